use super::*;

const MESSAGE: &str = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= an alle\r\nFrom: Ann\r\n <ann@example.org>\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\nEin gr=FCnes H=\r\naus\r\n--b\r\nContent-Type: text/html\r\n\
    Content-Transfer-Encoding: base64\r\nContent-Description: the Zebra\r\n\r\nPGI+VGlnZXI8L2I+\r\n--b\r\n\
    Content-Type: image/png\r\n\r\nhidden\r\n--b--\r\n";

fn found_in_pieces(wanted: &[u8]) -> bool {
    let mut found = false;
    searchable(MESSAGE.as_bytes(), &mut |piece| found |= contains(piece, wanted));
    found
}

/// What the sieves of the store are made of: a search must not miss a message because of them.
#[test]
fn whatever_a_search_finds_is_in_what_is_searchable() {
    let text = Text::of(MESSAGE.as_bytes());
    for wanted in ["grüße an alle", "ann <ann@", "from: ann", "grünes haus", "<b>tiger</b>", "the zebra"] {
        let wanted = wanted.as_bytes();
        assert!(text.any_part_header(wanted) || text.body(wanted), "{wanted:?} is there");
        assert!(found_in_pieces(wanted), "{wanted:?} is searchable");
    }
    assert!(text.field("Subject", "grüße an".as_bytes()) && text.field("From", b"ann <"));
    assert!(!found_in_pieces(b"hidden") && !text.body(b"hidden"));
}

#[test]
fn only_what_every_message_must_have_is_asked_of_the_store() {
    let text = |text: &str| SearchKey::Text(text.as_bytes().to_vec());
    let not = |key| SearchKey::Not(Box::new(key));
    let either = SearchKey::Or(Box::new(text("a")), Box::new(text("b")));
    let key = SearchKey::And(vec![text("c"), not(text("d")), either, SearchKey::Seen, text("")]);
    let mut wanted = Vec::new();
    needles(&SearchKey::And(vec![key, SearchKey::Subject(b"e".to_vec())]), &mut wanted);
    assert_eq!(wanted, [b"c".to_vec(), b"e".to_vec()]);
}

#[test]
fn ranges_are_gone_through_page_by_page() {
    let mut ranges = vec![Uid(1)..=Uid(3), Uid(5)..=Uid(5), Uid(7)..=Uid(u32::MAX)];
    behind(&mut ranges, Uid(2));
    assert_eq!(ranges[0], Uid(3)..=Uid(3));
    behind(&mut ranges, Uid(5));
    assert_eq!(ranges, [Uid(7)..=Uid(u32::MAX)]);
    behind(&mut ranges, Uid(u32::MAX));
    assert!(ranges.is_empty());
}
