//! BODYSTRUCTURE of a message, and where its sections are (RFC 9051 §6.4.5.1, §7.5.2).

use super::envelope::envelope;
use imap::answer::{BodyFields, BodyStructure, Disposition, Extension, LeafKind, Parameters};
use imap::{Section, SectionText};
use message::{Content, Header, Part, PartNumber, Span, Structure};
use std::borrow::Cow;

/// The structure as IMAP says it.
pub(super) fn body_structure<'a>(
    text: &'a [u8],
    structure: &'a Structure,
    part: PartNumber,
) -> BodyStructure<'a> {
    let part = &structure.parts()[part];
    let extension = extension(text, part);
    match &part.content {
        Content::Multipart(children) => {
            let mut parts: Vec<BodyStructure<'a>> =
                children.iter().map(|child| body_structure(text, structure, *child)).collect();
            if parts.is_empty() {
                // The grammar wants one at least; an empty text is what is there.
                parts.push(nothing());
            }
            BodyStructure::Multipart {
                parts,
                subtype: part.media_type.subtype.as_str().into(),
                parameters: parameters(part.media_type.parameters.iter()),
                extension,
            }
        }
        content => {
            let (kind, subtype) = leaf_type(part);
            let body = part.body.of(text);
            let lines = || memchr::memchr_iter(b'\n', body).count() as u64;
            let special = match content {
                Content::Message(inner) => LeafKind::Message {
                    envelope: Box::new(envelope(text, &structure.parts()[*inner].header)),
                    body: Box::new(body_structure(text, structure, *inner)),
                    lines: lines(),
                },
                _ if kind == "text" => LeafKind::Text { lines: lines() },
                _ => LeafKind::Basic,
            };
            let mut fields = fields(text, part);
            if kind == "text" && part.media_type.charset().is_none() {
                // The default, told as other servers do (RFC 2046 §4.1.2).
                fields.parameters.push(("charset".into(), "us-ascii".into()));
            }
            BodyStructure::Leaf {
                kind: kind.into(),
                subtype: subtype.into(),
                fields,
                special,
                md5: part.header.value(text, "Content-MD5"),
                extension,
            }
        }
    }
}

fn nothing<'a>() -> BodyStructure<'a> {
    BodyStructure::Leaf {
        kind: "text".into(),
        subtype: "plain".into(),
        fields: BodyFields { encoding: "7bit".into(), ..BodyFields::default() },
        special: LeafKind::Text { lines: 0 },
        md5: None,
        extension: Extension::default(),
    }
}

/// The type of a part without parts. What should have some and was not taken apart is octets: clients would look for the parts.
fn leaf_type(part: &Part) -> (&str, &str) {
    let (kind, subtype) = (part.media_type.kind.as_str(), part.media_type.subtype.as_str());
    match (kind, subtype, &part.content) {
        (_, _, Content::Message(_)) => (kind, subtype),
        ("multipart", ..) | ("message", "rfc822" | "global", _) => ("application", "octet-stream"),
        _ => (kind, subtype),
    }
}

fn fields<'a>(text: &'a [u8], part: &'a Part) -> BodyFields<'a> {
    let encoding = match part.encoding.name() {
        Some(name) => name.into(),
        None => {
            let written = part.header.value(text, "Content-Transfer-Encoding").unwrap_or_default();
            String::from_utf8_lossy(&written).into_owned().into()
        }
    };
    BodyFields {
        parameters: parameters(part.media_type.parameters.iter()),
        id: part.header.value(text, "Content-ID"),
        description: part.header.value(text, "Content-Description"),
        encoding,
        size: part.body.len() as u64,
    }
}

fn extension<'a>(text: &'a [u8], part: &'a Part) -> Extension<'a> {
    let disposition = part.disposition.as_ref().map(|disposition| Disposition {
        kind: disposition.kind.as_str().into(),
        parameters: parameters(disposition.parameters.iter()),
    });
    let languages = part.header.value(text, "Content-Language").unwrap_or_default();
    let words =
        languages.split(|octet| *octet == b',').map(<[u8]>::trim_ascii).filter(|word| !word.is_empty());
    Extension {
        disposition,
        language: words.map(|word| Cow::Owned(word.to_vec())).collect(),
        location: part.header.value(text, "Content-Location"),
    }
}

/// Parameters as clients know them: beyond ASCII in the form of RFC 2231 §4, whatever the message wrote.
fn parameters<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Parameters<'a> {
    all.map(|(name, value)| {
        if value.is_ascii() {
            return (name.into(), value.into());
        }
        let mut encoded = "utf-8''".to_owned();
        for octet in value.bytes() {
            if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_') {
                encoded.push(char::from(octet));
            } else {
                encoded.push_str(&format!("%{octet:02X}"));
            }
        }
        (format!("{name}*").into(), encoded.into())
    })
    .collect()
}

/// Where a section of a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// These octets.
    Span(Span),
    /// Fields picked from a header, with the empty line.
    Picked(Vec<u8>),
}

/// Finds a section; `None` where there is none.
pub(super) fn section(text: &[u8], structure: &Structure, section: &Section) -> Option<Place> {
    let part = entity(structure, &section.part)?;
    let whole = section.part.is_empty();
    let of_message = || match (whole, &part.content) {
        (true, _) => Some(part),
        (false, Content::Message(inner)) => Some(&structure.parts()[*inner]),
        (false, _) => None,
    };
    Some(match &section.text {
        None if whole => Place::Span(Span::new(0, text.len())),
        None => Place::Span(part.body),
        Some(SectionText::Mime) => Place::Span(part.header.span),
        Some(SectionText::Header) => Place::Span(of_message()?.header.span),
        Some(SectionText::Text) => Place::Span(of_message()?.body),
        Some(SectionText::HeaderFields(names)) => {
            Place::Picked(picked(text, &of_message()?.header, names, true))
        }
        Some(SectionText::HeaderFieldsNot(names)) => {
            Place::Picked(picked(text, &of_message()?.header, names, false))
        }
    })
}

/// The part with this number (RFC 9051 §6.4.5.1): parts of a multipart are counted; what has no parts is its own part 1; a message within
/// counts as its content does.
pub(super) fn entity<'a>(structure: &'a Structure, number: &[u32]) -> Option<&'a Part> {
    let mut part = structure.root();
    for (level, place) in number.iter().enumerate() {
        // A message, whose own number was said: it, or what is within a part.
        let mut begins = level == 0;
        if let (true, Content::Message(inner)) = (level > 0, &part.content) {
            part = &structure.parts()[*inner];
            begins = true;
        }
        match &part.content {
            Content::Multipart(children) => {
                part = &structure.parts()[*children.get(*place as usize - 1)?];
            }
            // What has no parts is its only part.
            _ if *place == 1 && begins => {}
            _ => return None,
        }
    }
    Some(part)
}

/// HEADER.FIELDS and HEADER.FIELDS.NOT: whole fields in their order, and the empty line.
pub(super) fn picked(text: &[u8], header: &Header, names: &[String], wanted: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for field in &header.fields {
        let name = field.name.of(text);
        if names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) == wanted {
            out.extend_from_slice(field.whole.of(text));
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}
