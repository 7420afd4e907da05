use super::criteria::Criteria;
use super::words::{Text, contains};
use super::*;
use imap::Date;

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

fn text(text: &str) -> SearchKey {
    SearchKey::Text(text.as_bytes().to_vec())
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

fn either(one: SearchKey, other: SearchKey) -> SearchKey {
    SearchKey::Or(Box::new(one), Box::new(other))
}

fn entry(uid: u32) -> Entry {
    let some = store::Marks::default();
    Entry {
        uid: Uid(uid),
        modseq: store::ModSeq(1),
        flags: some.flags,
        keywords: store::KeywordSet::default(),
        received: store::Timestamp(0),
        saved: store::Timestamp(0),
        size: 1,
        spool: store::SpoolId(1),
        delivery: 0,
    }
}

fn criteria(possible: &[(SearchKey, Numbers)]) -> Criteria {
    Criteria { keywords: Vec::new(), now: 0, possible: possible.iter().cloned().collect() }
}

#[test]
fn the_store_says_which_messages_a_search_can_mean_at_all() {
    let possible = [
        (text("aa"), Numbers::range(1, 10)),
        (text("bb"), Numbers::range(5, 20)),
        (text("cc"), Numbers::new()),
    ];
    let meant = |key: &SearchKey| sifted::candidates(key, &possible.iter().cloned().collect());
    assert_eq!(meant(&text("aa")), Some(Numbers::range(1, 10)));
    assert_eq!(
        meant(&SearchKey::And(vec![text("aa"), SearchKey::Seen, text("bb")])),
        Some(Numbers::range(5, 10))
    );
    assert_eq!(meant(&either(text("aa"), text("bb"))), Some(Numbers::range(1, 20)));
    assert_eq!(meant(&either(text("aa"), SearchKey::Seen)), None);
    assert_eq!(meant(&not(text("aa"))), None);
    assert_eq!(meant(&SearchKey::Among(Numbers::range(3, 4))), Some(Numbers::range(3, 4)));

    let criteria = criteria(&possible);
    let verdict = |key: &SearchKey, uid| criteria.by_entry(key, &entry(uid), None);
    assert_eq!(verdict(&not(text("cc")), 1), Verdict::Yes, "without it being read");
    assert_eq!(verdict(&not(text("bb")), 7), Verdict::Open(Needs::Text));
    assert_eq!(verdict(&either(text("bb"), text("cc")), 1), Verdict::No);
    assert_eq!(verdict(&either(text("aa"), not(text("cc"))), 1), Verdict::Yes);
}

/// Whatever the gist of a message says, its text says too.
#[test]
fn a_gist_never_says_otherwise_than_the_text() {
    let long = format!("Subject: {}needle\r\nTo: many@example.org\r\n\r\nbody\r\n", "word ".repeat(200));
    let crowd =
        format!("{}Subject: last\r\n\r\n", format!("To: {}@example.org\r\n", "x".repeat(90)).repeat(40));
    let messages = [
        MESSAGE,
        "",
        "\r\nno header\r\n",
        "Date: Tue, 6 Jan 2026 23:30:00 -0800\r\nCC: One <one@b.example>,\r\n\tTwo <two@b.example>\r\nX-Other: six\r\n\r\nneedle\r\n",
        "Date: nonsense\r\nDate: Tue, 6 Jan 2026 10:00:00 +0000\r\nbcc :\r\nSubject: ONE\r\nSubject: =?utf-8?q?zwei?=\r\n\r\n",
        &long,
        &crowd,
    ];
    let day = |day| Date { year: 2026, month: 1, day };
    let mut keys =
        vec![SearchKey::SentOn(day(6)), SearchKey::SentBefore(day(7)), SearchKey::SentSince(day(6))];
    for wanted in ["", "e", "one", "needle", "zwei", "grüße", "ann <", "last", "@b.example", "xxx", "six"] {
        let wanted = || wanted.as_bytes().to_vec();
        keys.extend([SearchKey::Subject(wanted()), SearchKey::From(wanted()), SearchKey::To(wanted())]);
        keys.extend([SearchKey::Cc(wanted()), SearchKey::Bcc(wanted()), SearchKey::Text(wanted())]);
        keys.extend([SearchKey::Body(wanted()), SearchKey::Header("X-Other".to_owned(), wanted())]);
    }
    let (criteria, mut decided) = (criteria(&[]), 0);
    for message in messages {
        let kept = gist::gist(message.as_bytes());
        let text = Text::of(message.as_bytes());
        for key in keys.iter().flat_map(|key| [key.clone(), not(key.clone())]) {
            let verdict = criteria.by_entry(&key, &entry(1), Some(&gist::Gist::of(&kept)));
            let is_meant = criteria.by_text(&key, &entry(1), &text);
            match verdict {
                Verdict::Open(_) => {}
                decision => assert_eq!(decision, Verdict::from(is_meant), "{key:?} of {message:?}"),
            }
            decided += usize::from(!matches!(verdict, Verdict::Open(_)));
        }
    }
    assert!(decided > 500, "{decided}");
    // Of a value that is not kept, and of a field that is none of them, nothing is said.
    let verdict = |message: &str, key| {
        criteria.by_entry(&key, &entry(1), Some(&gist::Gist::of(&gist::gist(message.as_bytes()))))
    };
    assert_eq!(verdict(&long, SearchKey::Subject(b"needle".to_vec())), Verdict::Open(Needs::Header));
    assert_eq!(verdict(&long, SearchKey::Subject(Vec::new())), Verdict::Yes);
    assert_eq!(
        verdict(MESSAGE, SearchKey::Header("X-Other".to_owned(), Vec::new())),
        Verdict::Open(Needs::Header)
    );
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
