//! Drafts, read back with our own and with other people's readers.

use message::{
    Address, BodyType, Date, Draft, DraftAttachment, Limits, Needs, Structure, Summary, View,
    normalise_line_endings,
};
use posthaste_message as message;
use proptest::prelude::*;

fn address(text: &str) -> Address {
    Address::parse_list(text.as_bytes()).remove(0)
}

fn draft() -> Draft {
    Draft {
        from: address("Ann Author <ann@example.org>"),
        to: vec![address("bob@example.net")],
        subject: "Hello".to_owned(),
        text: Some("Hello Bob\n".to_owned()),
        date: Date { millis: 1_795_251_072_000, offset_minutes: 60 },
        id: "4f1c2a".to_owned(),
        id_host: "client.example.org".to_owned(),
        ..Draft::default()
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_plain_message() {
    assert_eq!(
        text(draft().build().unwrap()),
        "Date: Sat, 21 Nov 2026 09:51:12 +0100\r\n\
         From: \"Ann Author\" <ann@example.org>\r\n\
         Message-ID: <4f1c2a@client.example.org>\r\n\
         To: <bob@example.net>\r\n\
         Subject: Hello\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=\"utf-8\"\r\n\
         Content-Transfer-Encoding: 7bit\r\n\r\n\
         Hello Bob\r\n"
    );
}

#[test]
fn the_same_draft_is_the_same_bytes() {
    let draft = Draft {
        html: Some("<p>Hello</p>".to_owned()),
        attachments: vec![DraftAttachment {
            name: "a.bin".to_owned(),
            media_type: "application/octet-stream".to_owned(),
            content: vec![0, 10, 13, 255],
        }],
        ..draft()
    };
    assert_eq!(draft.build().unwrap(), draft.build().unwrap());
}

#[test]
fn text_html_and_files_are_found_again() {
    let content: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let draft = Draft {
        from: address("=?utf-8?Q?J=C3=BCrgen_=22J=22?= <j@example.org>"),
        to: vec![address("a@example.org"), address("\"Last, First\" <b@example.org>")],
        cc: vec![address("c@example.org")],
        subject: "Grüße — ".repeat(20),
        text: Some("Schöne Grüße\n.\nfrom --x\n".to_owned()),
        html: Some("<p>Schöne Grüße</p>".to_owned()),
        attachments: vec![DraftAttachment {
            name: "Müll \"1\".pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            content: content.clone(),
        }],
        ..draft()
    };
    let bytes = draft.build().unwrap();
    assert_eq!(Needs::of(&bytes), Needs::default(), "ASCII on short lines");
    assert!(bytes.split(|&byte| byte == b'\n').all(|line| line.len() <= 79));
    let view = View::of(&bytes);
    assert_eq!(view.text.trim_end(), "Schöne Grüße\n.\nfrom --x");
    assert_eq!(view.attachments[0].name.as_deref(), Some("Müll \"1\".pdf"));
    assert_eq!(view.attachments[0].size, content.len());
    let summary = Summary::of(&bytes);
    assert_eq!(summary.from, std::slice::from_ref(&draft.from));
    assert_eq!(summary.to, draft.to);
    assert_eq!(summary.subject, draft.subject);

    let other = mail_parser::MessageParser::new().parse(&bytes).unwrap();
    assert_eq!(other.subject(), Some(draft.subject.as_str()));
    assert_eq!(other.body_text(0).unwrap().replace("\r\n", "\n"), draft.text.clone().unwrap());
    let file = other.attachment(0).unwrap();
    assert_eq!(file.contents(), content);
    let third = mailparse::parse_mail(&bytes).unwrap();
    assert_eq!(third.ctype.mimetype, "multipart/mixed");
    assert_eq!(third.subparts[1].get_body_raw().unwrap(), content);
}

#[test]
fn nothing_can_inject_a_field() {
    let evil = "x\r\nBcc: victim@example.net";
    let bad_address = Address { name: None, address: format!("a@b.example{evil}") };
    let bad_name = Address { name: Some(evil.to_owned()), address: "a@b.example".to_owned() };
    let file = |name: &str, media_type: &str| DraftAttachment {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        content: vec![],
    };
    for (draft, what) in [
        (Draft { from: bad_address.clone(), ..draft() }, "From"),
        (Draft { to: vec![bad_name.clone()], ..draft() }, "To"),
        (Draft { cc: vec![bad_address], ..draft() }, "Cc"),
        (Draft { subject: evil.to_owned(), ..draft() }, "Subject"),
        (Draft { subject: "nul \0".to_owned(), ..draft() }, "Subject"),
        (Draft { attachments: vec![file(evil, "a/b")], ..draft() }, "attachment name"),
        (Draft { attachments: vec![file("a", "a/b\r\nX: y")], ..draft() }, "media type"),
        (Draft { attachments: vec![file("a", "ab")], ..draft() }, "media type"),
        (Draft { id: "a@b>".to_owned(), ..draft() }, "identifier"),
        (Draft { id_host: "host\r\n".to_owned(), ..draft() }, "identifier's host"),
        (Draft { text: Some("nul \0".to_owned()), ..draft() }, "text"),
        (Draft { from: address("no address <>"), ..draft() }, "From"),
    ] {
        let error = draft.build().unwrap_err().to_string();
        assert!(error.starts_with(&format!("the {what} cannot be written: ")), "{error}");
    }
    let error = Draft { from: bad_name, ..draft() }.build().unwrap_err().to_string();
    assert_eq!(error, "the From cannot be written: \"x\\r\\nBcc: victim@example.net\" has a line break");
}

#[test]
fn line_endings_of_files() {
    for (file, message) in [
        ("a\nb\n", "a\r\nb\r\n"),
        ("a\r\nb\r\n", "a\r\nb\r\n"),
        ("a\r\nb\n", "a\r\nb\r\n"),
        ("no end", "no end\r\n"),
        ("\n\n", "\r\n\r\n"),
        ("cr\rstays\n", "cr\rstays\r\n"),
        ("last\r", "last\r\r\n"),
        ("", ""),
    ] {
        assert_eq!(normalise_line_endings(file.as_bytes()), message.as_bytes(), "{file:?}");
    }
    assert!(matches!(normalise_line_endings(b"a\r\n"), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn what_a_message_needs() {
    let needs = |text: &[u8]| Needs::of(text);
    let plain = Needs::default();
    assert_eq!(needs(b"A: b\r\n\r\nx\r\n"), plain);
    assert_eq!(needs("A: b\r\n\r\né\r\n".as_bytes()), Needs { body: BodyType::EightBit, ..plain });
    let utf8 = Needs { body: BodyType::EightBit, smtputf8: true, ..plain };
    assert_eq!(needs("A: é\r\n\r\nx\r\n".as_bytes()), utf8);
    let inner = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: é\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(needs(inner.as_bytes()), utf8);
    for binary in [&b"\r\na\0b\r\n"[..], b"\r\na\nb\r\n", b"\r\na\rb\r\n"] {
        assert_eq!(needs(binary), Needs { body: BodyType::Binary, ..plain });
    }
    let line = |length: usize| format!("\r\n{}\r\n", "x".repeat(length));
    assert_eq!(needs(line(998).as_bytes()), plain);
    assert_eq!(needs(line(999).as_bytes()), Needs { long_lines: true, ..plain });
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        name in "\\PC{0,40}",
        subject in "\\PC{0,200}",
        body in "(\\PC{0,90}\n){0,6}",
        html in prop::option::of("[a-zé ]{0,50}"),
        content in prop::collection::vec(any::<u8>(), 0..200),
        file in "[\\PC&&[^\\\\]]{1,60}",
        media_type in prop::sample::select(vec!["x/y", "text/csv", "image/png", "application/pdf"]),
    ) {
        // white space around a name or subject, and runs of it, are no part of what is said
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (name, subject) = (squeeze(&name), squeeze(&subject));
        let draft = Draft {
            from: Address { name: Some(name.clone()).filter(|name| !name.is_empty()), address: "a@example.org".to_owned() },
            subject: subject.clone(),
            text: Some(body.clone()),
            html,
            attachments: vec![DraftAttachment { name: file.clone(), media_type: media_type.to_owned(), content: content.clone() }],
            ..draft()
        };
        let bytes = draft.build().unwrap();
        prop_assert_eq!(Needs::of(&bytes), Needs::default());
        prop_assert_eq!(normalise_line_endings(&bytes), &bytes[..]);
        let summary = Summary::of(&bytes);
        prop_assert_eq!(squeeze(summary.from[0].name.as_deref().unwrap_or("")), name);
        prop_assert_eq!(squeeze(&summary.subject), subject);
        let view = View::of(&bytes);
        prop_assert_eq!(view.text, body);
        prop_assert_eq!(view.attachments.len(), 1);
        prop_assert_eq!(&view.attachments[0].media_type, media_type);
        let structure = Structure::of(&bytes, &Limits::default());
        let part = structure.parts().last().unwrap();
        prop_assert_eq!(part.encoding.decode(part.body.of(&bytes), usize::MAX).into_owned(), content);
        prop_assert_eq!(view.attachments[0].name.as_deref().map(squeeze), Some(squeeze(&file)));
    }
}
