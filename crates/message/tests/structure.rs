//! The part tree of messages, well-formed and not.

use message::{Content, Limits, Part, Structure};
use posthaste_message as message;
use proptest::prelude::*;

fn structure(text: &str) -> Structure {
    Structure::of(text.as_bytes(), &Limits::default())
}

/// The parts as `depth type [body]`, one a line.
fn outline(text: &str) -> Vec<String> {
    let structure = structure(text);
    let depth =
        |part: &Part| std::iter::successors(part.parent, |&parent| structure.parts()[parent].parent).count();
    let line = |part: &Part| {
        let body = String::from_utf8_lossy(part.body.of(text.as_bytes()));
        match part.content {
            Content::Leaf => format!("{} {} {body:?}", depth(part), part.media_type.essence()),
            _ => format!("{} {}", depth(part), part.media_type.essence()),
        }
    };
    structure.parts().iter().map(line).collect()
}

fn fields(text: &str) -> Vec<(String, String)> {
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let structure = structure(text);
    let fields = structure.root().header.fields.iter();
    fields
        .map(|field| {
            let value = message::unfold(field.value.of(text.as_bytes())).into_owned();
            (text_of(field.name.of(text.as_bytes())), text_of(&value))
        })
        .collect()
}

#[test]
fn fields_fold_and_the_body_follows_the_empty_line() {
    let text = "Subject: one\r\n two\r\nX-Empty:\r\nFrom : old form\r\n\r\nbody\r\nNot: a field\r\n";
    let expected = [("Subject", "one two"), ("X-Empty", ""), ("From", "old form")];
    assert_eq!(fields(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(outline(text), ["0 text/plain \"body\\r\\nNot: a field\\r\\n\""]);
    let root = structure(text).root().clone();
    assert_eq!(root.header.span.of(text.as_bytes()).len() + root.body.len(), text.len());
    assert_eq!(root.header.fields[0].whole.of(text.as_bytes()), b"Subject: one\r\n two\r\n");
}

#[test]
fn bare_lf_and_no_end_of_header_are_read() {
    assert_eq!(outline("A: b\n\nbody\n"), ["0 text/plain \"body\\n\""]);
    assert_eq!(outline("A: b\r\n"), ["0 text/plain \"\""]);
    assert_eq!(outline("A: b"), ["0 text/plain \"\""]);
    assert_eq!(outline(""), ["0 text/plain \"\""]);
    assert_eq!(outline("\r\nbody"), ["0 text/plain \"body\""]);
}

#[test]
fn a_line_that_is_no_field_begins_the_body() {
    let text = "SUBJECT: testing\r\nFROM: a@b.example\r\nDear Nour, this is me\r\n";
    assert_eq!(outline(text), ["0 text/plain \"Dear Nour, this is me\\r\\n\""]);
}

#[test]
fn a_name_with_a_space_is_no_from_field() {
    let text = "Fr om: ceo@bank.example\r\nSubject: x\r\n\r\n";
    let structure = structure(text);
    assert!(structure.root().header.value(text.as_bytes(), "From").is_none());
    assert!(structure.root().header.value(text.as_bytes(), "Fr om").is_none());
    assert_eq!(structure.root().header.value(text.as_bytes(), "subject").unwrap().as_ref(), b"x");
}

#[test]
fn parts_between_boundaries() {
    let text = "Content-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\npreamble\r\n\
        --b 1\r\n\r\nfirst\r\n\r\n--b 1 \t\r\nContent-Type: text/html\r\n\r\n--b 1\r\n\
        Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b 1--\r\nepilogue\r\n--b 1\r\n\r\nno part\r\n";
    let expected =
        ["0 multipart/mixed", "1 text/plain \"first\\r\\n\"", "1 text/html \"\"", "1 image/png \"AAAA\""];
    assert_eq!(outline(text), expected);
}

#[test]
fn a_boundary_counts_only_as_a_whole_line() {
    let text = "Content-Type: multipart/mixed; boundary=bnd\r\n\r\n--bnd\r\n\r\n\
        This mentions --bnd in a line\r\n--bnd in a line\r\n--bndx\r\n--bnd-\r\n --bnd\r\nend\r\n--bnd--\r\n";
    let body =
        "This mentions --bnd in a line\\r\\n--bnd in a line\\r\\n--bndx\\r\\n--bnd-\\r\\n --bnd\\r\\nend";
    assert_eq!(outline(text), ["0 multipart/mixed".to_owned(), format!("1 text/plain \"{body}\"")]);
}

#[test]
fn an_outer_boundary_ends_what_is_inside() {
    let text = "Content-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\n\
        Content-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n\r\nunfinished\r\n--out\r\n\r\nnext\r\n--in\r\nno boundary now\r\n";
    let expected = [
        "0 multipart/mixed",
        "1 multipart/alternative",
        "2 text/plain \"unfinished\"",
        "1 text/plain \"next\\r\\n--in\\r\\nno boundary now\\r\\n\"",
    ];
    assert_eq!(outline(text), expected);
}

#[test]
fn a_message_within_a_message() {
    let text = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: inner\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n";
    let expected = ["0 multipart/mixed", "1 message/rfc822", "2 multipart/mixed", "3 text/plain \"x\""];
    assert_eq!(outline(text), expected);
    let structure = structure(text);
    let inner = structure.parts()[2].header.value(text.as_bytes(), "Subject").unwrap().into_owned();
    assert_eq!(inner, b"inner");
    assert_eq!(structure.parts()[1].content, Content::Message(2));
}

#[test]
fn digests_hold_messages_by_default() {
    let text = "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: one\r\n\r\nx\r\n--b\r\n\
        Content-Type: text/plain\r\n\r\ny\r\n--b--";
    let expected = ["0 multipart/digest", "1 message/rfc822", "2 text/plain \"x\"", "1 text/plain \"y\""];
    assert_eq!(outline(text), expected);
}

#[test]
fn an_encoded_message_and_a_multipart_without_boundary_are_not_looked_into() {
    let encoded = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQTog\r\n";
    assert_eq!(outline(encoded), ["0 message/rfc822 \"QTog\\r\\n\""]);
    let bare = "Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nx";
    assert_eq!(outline(bare), ["0 multipart/mixed \"--\\r\\n\\r\\nx\""]);
}

#[test]
fn headers_without_an_empty_line_before_the_next_boundary() {
    let text =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX-Only: header\r\n--b\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(outline(text), ["0 multipart/mixed", "1 text/plain \"\"", "1 text/plain \"x\""]);
}

#[test]
fn nesting_parts_and_fields_are_bounded() {
    let limits = Limits { depth: 4, parts: 10, fields: 20, header_bytes: 2000 };
    let mut nested = String::new();
    for depth in 0..20_000 {
        nested.push_str(&format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n"));
    }
    let structure = Structure::of(nested.as_bytes(), &limits);
    assert!(structure.is_truncated());
    assert_eq!(structure.parts().len(), limits.depth);
    assert_eq!(structure.parts()[limits.depth - 1].body.end, nested.len());

    let many =
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\nx\r\n".repeat(1000));
    let structure = Structure::of(many.as_bytes(), &limits);
    assert!(structure.is_truncated());
    assert_eq!(structure.parts().len(), limits.parts);
    assert_eq!(structure.parts()[limits.parts - 1].body.of(many.as_bytes()), b"x");

    let wide = format!("{}Content-Type: text/html\r\n\r\nbody", "X: y\r\n\tz\r\n".repeat(1000));
    let structure = Structure::of(wide.as_bytes(), &limits);
    assert!(structure.is_truncated());
    assert_eq!(structure.root().header.fields.len(), limits.fields);
    assert_eq!(structure.root().body.of(wide.as_bytes()), b"body");

    let long = format!("A: b\r\nX: {}\r\n c\r\nD: e\r\n\r\nbody", "y".repeat(3000));
    let structure = Structure::of(long.as_bytes(), &limits);
    assert!(structure.is_truncated());
    assert_eq!(structure.root().header.fields[0].whole.of(long.as_bytes()), b"A: b\r\n");
    assert_eq!(structure.root().header.fields.len(), 1);
}

/// Pieces of which hostile messages are made.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"--b".to_vec()),
        Just(b"--c".to_vec()),
        Just(b"--".to_vec()),
        Just(b"Content-Type: multipart/mixed; boundary=b\r\n".to_vec()),
        Just(b"Content-Type: multipart/digest;\r\n\tboundary=\"c\"\r\n\r\n".to_vec()),
        Just(b"Content-Type: message/rfc822\r\n\r\n".to_vec()),
        Just(b"Content-Transfer-Encoding: base64\r\n".to_vec()),
        Just(b"Subject: x\r\n y".to_vec()),
        Just(b": \r".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn any_bytes_have_a_structure_within_bounds(pieces in prop::collection::vec(piece(), 0..40)) {
        let message = pieces.concat();
        let limits = Limits { depth: 5, parts: 12, fields: 30, header_bytes: 300 };
        let structure = Structure::of(&message, &limits);
        let parts = structure.parts();
        prop_assert!(!parts.is_empty() && parts.len() <= limits.parts);
        prop_assert!(parts.iter().map(|part| part.header.fields.len()).sum::<usize>() <= limits.fields);
        prop_assert_eq!(parts[0].body.end, message.len());
        for (number, part) in parts.iter().enumerate() {
            prop_assert!(part.header.span.end <= part.body.start);
            prop_assert!(part.body.start <= part.body.end && part.body.end <= message.len());
            for field in &part.header.fields {
                prop_assert!(part.header.span.start <= field.whole.start && field.whole.end <= part.header.span.end);
                prop_assert!(field.name.end <= field.value.start && field.value.end <= field.whole.end);
            }
            if let Some(parent) = part.parent {
                let parent = &parts[parent];
                prop_assert!(parent.body.start <= part.header.span.start && part.body.end <= parent.body.end);
                let is_listed = match &parent.content {
                    Content::Multipart(children) => children.contains(&number),
                    Content::Message(child) => *child == number,
                    Content::Leaf => false,
                };
                prop_assert!(is_listed);
            }
        }
    }
}
