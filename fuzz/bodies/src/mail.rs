//! Messages: any bytes have a structure within bounds, can be shown, and a terminal is sent no commands.

use crate::Random;
use bytes::Bytes;
use message::submission::{Findings, Mender};
use message::{
    Address, Content, Date, Disposition, HopCounter, Limits, MediaType, Needs, Structure, Summary,
    TransferEncoding, View, normalise_line_endings, terminal,
};

/// Takes the input as a message, as its first bytes, and as a file.
pub fn message(input: &[u8]) {
    let limits = Limits { depth: 6, parts: 20, fields: 50, header_bytes: 2000 };
    for limits in [limits, Limits::default()] {
        check(input, &Structure::of(input, &limits), &limits);
    }
    let view = View::of(input);
    assert!(view.text.len() <= message::TEXT_BYTES);
    assert!(terminal::lines(&view.text).chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
    for (_, value) in &view.headers {
        assert!(terminal::one_line(value).chars().all(|c| !c.is_control()));
    }
    let summary = Summary::of(&input[..input.len() / 2]);
    assert!(summary.preview.chars().count() <= message::PREVIEW_CHARS);
    let normal = normalise_line_endings(input);
    assert_eq!(normalise_line_endings(&normal), normal, "to normalise twice is to normalise once");
    assert!(!Needs::of(&normal).smtputf8 || !input.is_ascii());
}

fn check(input: &[u8], structure: &Structure, limits: &Limits) {
    let parts = structure.parts();
    assert!(!parts.is_empty() && parts.len() <= limits.parts);
    assert!(parts.iter().map(|part| part.header.fields.len()).sum::<usize>() <= limits.fields);
    assert_eq!(parts[0].body.end, input.len());
    for (number, part) in parts.iter().enumerate() {
        assert!(part.header.span.end <= part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= input.len());
        for field in &part.header.fields {
            assert!(part.header.span.start <= field.whole.start && field.whole.end <= part.header.span.end);
            assert!(field.name.end <= field.value.start && field.value.end <= field.whole.end);
        }
        let Some(parent) = part.parent.map(|parent| &parts[parent]) else { continue };
        assert!(parent.body.start <= part.header.span.start && part.body.end <= parent.body.end);
        assert!(match &parent.content {
            Content::Multipart(children) => children.contains(&number),
            Content::Message(child) => *child == number,
            Content::Leaf => false,
        });
    }
}

/// Reads each line as every kind of header field value, and the whole as every kind of body.
pub fn header(input: &[u8]) {
    for line in input.split(|octet| *octet == b'\n') {
        let text = String::from_utf8_lossy(line);
        if let Some(date) = Date::parse(&text) {
            let written = date.to_string();
            let again = Date::parse(&written).map(|date| date.to_string());
            assert_eq!(again, Some(written), "{text:?}");
        }
        assert!(Address::parse_list(line).len() <= message::MAX_ADDRESSES);
        message::encoded_word::decode(line);
        let media = MediaType::parse(line);
        assert!(!media.essence().chars().any(|c| c.is_control() || c == ' '), "{:?}", media.essence());
        Disposition::parse(line);
        message::charset::header_text(line);
    }
    for encoding in ["base64", "quoted-printable", "8bit"] {
        let encoding = TransferEncoding::parse(encoding.as_bytes());
        let decoded = encoding.decode(input, 1000);
        assert!(decoded.len() <= 1000);
        assert_eq!(decoded.len(), encoding.decoded_len(input).min(1000), "{encoding:?}");
    }
    for charset in [None, Some("utf-8"), Some("iso-2022-jp"), Some("utf-16"), Some("no-such")] {
        let text = message::charset::decode(charset, input);
        assert!(message::html::to_text(&text, 1000).len() <= 1000);
    }
}

/// What a submission server mends. The first octet chooses the cuts. Holds: the cuts change nothing; nothing but blind copies goes; they are
/// all gone; what has none stays as it is.
pub fn mender(input: &[u8]) {
    let [seed, octets @ ..] = input else { return };
    let (mended, findings) = mend([octets].into_iter());
    let pieces = Random::new(u64::from(*seed)).cut(octets);
    assert_eq!(mend(pieces.iter().copied()), (mended.clone(), findings.clone()));
    assert_eq!(hops([octets].into_iter()), hops(pieces.into_iter()));
    assert!(findings.removed > 0 || mended.len() >= octets.len(), "something is gone");
    let (again, left) = mend([&mended[..]].into_iter());
    assert_eq!((left.removed, again == mended), (0, true), "blind copies are left");
}

fn mend<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Findings) {
    let (mut mender, mut kept) = (Mender::default(), Vec::new());
    for piece in pieces {
        kept.extend_from_slice(&mender.pass(Bytes::copy_from_slice(piece)));
    }
    let (rest, findings) = mender.finish();
    kept.extend_from_slice(&rest);
    (kept, findings)
}

fn hops<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut counter = HopCounter::default();
    pieces.for_each(|piece| counter.read(piece));
    counter.hops()
}

/// A message that is made 7-bit. Holds: no panic; what comes out is 7-bit, in lines of no more than 998 octets where there were such, and so is left as it is from
/// then on.
pub fn downgrade(input: &[u8]) {
    let Ok(plain) = message::downgrade::to_seven_bit(input) else { return };
    assert!(plain.iter().all(|byte| byte.is_ascii() && *byte != 0), "it is not 7-bit");
    let again = message::downgrade::to_seven_bit(&plain);
    assert_eq!(again.as_deref(), Ok(&plain[..]), "what is 7-bit stays as it is");
}
