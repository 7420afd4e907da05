//! What a submission server mends: whole messages, in chunks of any size.

use bytes::Bytes;
use posthaste_message::Date;
use posthaste_message::submission::{Additions, Authors, FROM_MAX, Findings, Mender, Presence};
use proptest::prelude::*;

/// Passes the text in chunks of `size`.
fn mend(text: &str, size: usize) -> (String, Findings) {
    let mut mender = Mender::default();
    let mut kept = Vec::new();
    for chunk in text.as_bytes().chunks(size) {
        kept.extend_from_slice(&mender.pass(Bytes::copy_from_slice(chunk)));
    }
    let (rest, findings) = mender.finish();
    kept.extend_from_slice(&rest);
    (String::from_utf8(kept).expect("UTF-8, as it was"), findings)
}

fn authors(findings: &Findings) -> Vec<&str> {
    match &findings.from {
        Authors::Known(addresses) => addresses.iter().map(|address| address.address.as_str()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn blind_copies_go_and_nothing_else() {
    for (text, expected, removed) in [
        ("Bcc: eve@x\r\nSubject: hi\r\n\r\nBcc: stays\r\n", "Subject: hi\r\n\r\nBcc: stays\r\n", 1),
        (
            "Subject: hi\r\nbCC : eve@x,\r\n\tmal@x\r\n  \r\nTo: bob@x\r\n\r\n",
            "Subject: hi\r\nTo: bob@x\r\n\r\n",
            1,
        ),
        ("Bcc:\r\nBcc: x\r\nResent-Bcc: y\r\n\r\nbody", "\r\nbody", 3),
        ("Bcc: only", "", 1),
        ("X-Bcc: a\r\nBccs: b\r\n\r\n", "X-Bcc: a\r\nBccs: b\r\n\r\n", 0),
        ("", "", 0),
        ("\r\nBcc: in the body\r\n", "\r\nBcc: in the body\r\n", 0),
        ("Subject: a\nBcc: b\nTo: c\n\nbody\n", "Subject: a\nTo: c\n\nbody\n", 1),
    ] {
        for size in [1, 2, 3, 7, 1000] {
            let (kept, findings) = mend(text, size);
            assert_eq!(kept, expected, "in chunks of {size}");
            assert_eq!(findings.removed, removed, "{text:?}");
        }
    }
}

#[test]
fn a_body_without_a_header_gets_an_empty_line_before_it() {
    for (text, expected) in [
        ("hello\r\nBcc: x\r\n", "\r\nhello\r\nBcc: x\r\n"),
        ("Subject: x\r\nhello\r\nBcc: y\r\n", "Subject: x\r\n\r\nhello\r\nBcc: y\r\n"),
        ("hello", "\r\nhello"),
        (" Subject: x\r\n", "\r\n Subject: x\r\n"),
        (": x\r\n", "\r\n: x\r\n"),
        ("two words: x\r\n", "\r\ntwo words: x\r\n"),
    ] {
        for size in [1, 2, 1000] {
            assert_eq!(mend(text, size).0, expected, "in chunks of {size}");
        }
    }
    let long = "x".repeat(3000);
    assert_eq!(mend(&long, 10).0, format!("\r\n{long}"));
}

#[test]
fn what_is_there_is_found() {
    let text =
        "FROM: Bob <bob@x>,\r\n \"A, B\" <ab@x>\r\nMessage-Id: <1@x>\r\ndate: now\r\n\r\nSender: no\r\n";
    let (kept, findings) = mend(text, 3);
    assert_eq!(kept, text);
    assert_eq!(authors(&findings), ["bob@x", "ab@x"]);
    assert_eq!(findings.date, Presence::Present);
    assert_eq!(findings.message_id, Presence::Present);
    assert_eq!(findings.sender, Presence::Missing);
    assert_eq!(mend("From: a@x\r\nFrom: b@x\r\n\r\n", 5).1.from, Authors::SeveralFields);
    let long = format!("From: {}\r\n\r\n", "a@x, ".repeat(FROM_MAX / 5 + 1));
    let (kept, findings) = mend(&long, 100);
    assert_eq!((kept, findings.from), (long, Authors::TooLong));
}

#[test]
fn what_lacks_is_added() {
    let additions = Additions {
        date: Date::utc(1_767_323_045_000),
        message_id: "42@mx.example",
        from: "bob@b.example",
        sender: Some("bob@b.example"),
    };
    let all = "Date: Fri, 2 Jan 2026 03:04:05 +0000\r\nMessage-ID: <42@mx.example>\r\nFrom: bob@b.example\r\n\
        Sender: bob@b.example\r\n";
    assert_eq!(mend("", 1).1.missing_fields(additions), all.as_bytes());
    let (_, findings) = mend("Date: x\r\nMessage-ID: <x@x>\r\nFrom: x@x\r\nSender: x@x\r\n\r\n", 9);
    assert_eq!(findings.missing_fields(additions), b"");
    let (_, findings) = mend("Date: x\r\nMessage-ID: <x@x>\r\nFrom: x@x\r\n\r\n", 9);
    assert_eq!(findings.missing_fields(Additions { sender: None, ..additions }), b"");
}

proptest! {
    #[test]
    fn the_chunks_do_not_matter(
        text in "((Bcc|From|Subject|x y)? ?:?[ a-z@]{0,6}\r?\n){0,8}[ \ta-z:\r\n]{0,20}",
        size in 1_usize..40,
    ) {
        let whole = mend(&text, text.len().max(1));
        prop_assert_eq!(&mend(&text, size), &whole);
        // What was mended is not mended again.
        let again = mend(&whole.0, size);
        prop_assert_eq!(&again.0, &whole.0);
        prop_assert_eq!(again.1.removed, 0);
    }
}
