//! Generated messages, read by us and by two other readers: parts, bodies and header fields must be the same.
//!
//! `mail-parser` 0.11.9 finds boundaries in the middle of a line, so that bodies here do not mention them; our own tests do.

use message::{Content, Limits, Structure, Summary};
use posthaste_message as message;
use proptest::prelude::*;

/// A MIME entity to be written.
#[derive(Debug, Clone)]
enum Entity {
    Leaf { media_type: &'static str, encoding: &'static str, content: Vec<u8> },
    Multipart { subtype: &'static str, parts: Vec<Entity> },
    Message(Box<Entity>),
}

fn entity() -> impl Strategy<Value = Entity> {
    let lines = prop::collection::vec("[ -~]{0,70}", 0..5).prop_map(|lines| lines.join("\r\n").into_bytes());
    let identity =
        (lines.clone(), prop::sample::select(vec!["7bit", "8bit"])).prop_map(|(content, encoding)| {
            Entity::Leaf { media_type: "text/plain; charset=utf-8", encoding, content }
        });
    let quoted = lines.prop_map(|content| Entity::Leaf {
        media_type: "text/html; charset=\"utf-8\"",
        encoding: "quoted-printable",
        content,
    });
    let binary = prop::collection::vec(any::<u8>(), 0..200).prop_map(|content| Entity::Leaf {
        media_type: "application/octet-stream",
        encoding: "base64",
        content,
    });
    prop_oneof![identity, quoted, binary].prop_recursive(4, 24, 4, |inner| {
        let subtypes = prop::sample::select(vec!["mixed", "alternative", "related"]);
        prop_oneof![
            4 => (subtypes, prop::collection::vec(inner.clone(), 1..4))
                .prop_map(|(subtype, parts)| Entity::Multipart { subtype, parts }),
            1 => inner.prop_map(|inner| Entity::Message(Box::new(inner))),
        ]
    })
}

/// Writes an entity's fields and body; every multipart has a boundary of its own.
fn write(entity: &Entity, boundaries: &mut usize, out: &mut Vec<u8>) {
    match entity {
        Entity::Leaf { media_type, encoding, content } => {
            let head = format!("Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
            out.extend_from_slice(head.as_bytes());
            match *encoding {
                "base64" => {
                    out.extend_from_slice(data_encoding::BASE64_MIME.encode(content).trim_end().as_bytes());
                }
                "quoted-printable" => write_quoted(content, out),
                _ => out.extend_from_slice(content),
            }
        }
        Entity::Multipart { subtype, parts } => {
            *boundaries += 1;
            let boundary = format!("=_boundary_{boundaries}_x");
            let head = format!("Content-Type: multipart/{subtype};\r\n\tboundary=\"{boundary}\"\r\n\r\n");
            out.extend_from_slice(head.as_bytes());
            for part in parts {
                out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
                write(part, boundaries, out);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        }
        Entity::Message(inner) => {
            out.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n");
            write(inner, boundaries, out);
        }
    }
}

fn write_quoted(content: &[u8], out: &mut Vec<u8>) {
    for (place, &byte) in content.iter().enumerate() {
        if place % 60 == 59 && byte != b'\n' {
            out.extend_from_slice(b"=\r\n");
        }
        match byte {
            b'\r' | b'\n' => out.push(byte),
            b'!'..=b'<' | b'>'..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("={byte:02X}").as_bytes()),
        }
    }
}

/// The decoded bodies of all leaves in order, those of messages within included.
fn our_leaves(bytes: &[u8]) -> Vec<Vec<u8>> {
    let structure = Structure::of(bytes, &Limits::default());
    assert!(!structure.is_truncated());
    let leaves = structure.parts().iter().filter(|part| part.content == Content::Leaf);
    leaves.map(|part| part.encoding.decode(part.body.of(bytes), usize::MAX).into_owned()).collect()
}

fn expected_leaves(entity: &Entity, leaves: &mut Vec<Vec<u8>>) {
    match entity {
        Entity::Leaf { content, .. } => leaves.push(content.clone()),
        Entity::Multipart { parts, .. } => parts.iter().for_each(|part| expected_leaves(part, leaves)),
        Entity::Message(inner) => expected_leaves(inner, leaves),
    }
}

/// mailparse takes a message within as a leaf.
fn mailparse_leaves(mail: &mailparse::ParsedMail<'_>, leaves: &mut Vec<Vec<u8>>) {
    if mail.ctype.mimetype == "message/rfc822" {
        let inner = mail.get_body_raw().unwrap();
        mailparse_leaves(&mailparse::parse_mail(&inner).unwrap(), leaves);
    } else if mail.subparts.is_empty() {
        leaves.push(mail.get_body_raw().unwrap());
    } else {
        mail.subparts.iter().for_each(|part| mailparse_leaves(part, leaves));
    }
}

fn mail_parser_leaves(mail: &mail_parser::Message<'_>, number: u32, leaves: &mut Vec<Vec<u8>>) {
    let part = &mail.parts[number as usize];
    match &part.body {
        mail_parser::PartType::Multipart(parts) => {
            parts.iter().for_each(|&part| mail_parser_leaves(mail, part, leaves));
        }
        _ => leaves.push(part.contents().to_vec()),
    }
}

fn holds_message(entity: &Entity) -> bool {
    match entity {
        Entity::Leaf { .. } => false,
        Entity::Multipart { parts, .. } => parts.iter().any(holds_message),
        Entity::Message(_) => true,
    }
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-zA-Zäöüß€用户]{1,12}", 1..6).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn parts_and_bodies_are_those_that_others_find(entity in entity()) {
        let mut bytes = b"From: a@example.org\r\nMIME-Version: 1.0\r\n".to_vec();
        write(&entity, &mut 0, &mut bytes);
        let mut expected = Vec::new();
        expected_leaves(&entity, &mut expected);
        prop_assert_eq!(our_leaves(&bytes), expected.clone());

        let mut leaves = Vec::new();
        mailparse_leaves(&mailparse::parse_mail(&bytes).unwrap(), &mut leaves);
        prop_assert_eq!(&leaves, &expected, "mailparse");

        if holds_message(&entity) {
            // mail-parser panics on some ("Invalid part ID, could not find multipart")
            return Ok(());
        }
        let mut leaves = Vec::new();
        mail_parser_leaves(&mail_parser::MessageParser::new().parse(&bytes).unwrap(), 0, &mut leaves);
        prop_assert_eq!(&leaves, &expected, "mail-parser");
    }

    #[test]
    fn fields_are_those_that_others_read(subject in words(), name in words(), to in prop::collection::vec("[a-z]{1,8}", 1..4)) {
        let encoded = |text: &str| {
            let words = text.split(' ').map(|word| data_encoding::BASE64.encode(word.as_bytes()));
            words.map(|word| format!("=?utf-8?B?{word}?=")).collect::<Vec<_>>().join("\r\n =?utf-8?Q?_?= ")
        };
        let recipients: Vec<String> = to.iter().map(|to| format!("{to}@example.org")).collect();
        let text = format!(
            "Subject: {}\r\nFrom: {} <a@example.org>\r\nTo: {}\r\n\r\nbody\r\n",
            encoded(&subject), encoded(&name), recipients.join(",\r\n\t"),
        );
        let summary = Summary::of(text.as_bytes());
        prop_assert_eq!(&summary.subject, &subject);
        prop_assert_eq!(summary.from[0].name.as_deref(), Some(name.as_str()));
        let addresses: Vec<&str> = summary.to.iter().map(|to| to.address.as_str()).collect();
        prop_assert_eq!(&addresses, &recipients);

        let other = mail_parser::MessageParser::new().parse(&text).unwrap();
        prop_assert_eq!(other.subject(), Some(subject.as_str()));
        prop_assert_eq!(other.from().unwrap().first().unwrap().name(), Some(name.as_str()));
        let others: Vec<&str> = other.to().unwrap().iter().map(|to| to.address().unwrap()).collect();
        prop_assert_eq!(&others, &recipients);
    }
}
