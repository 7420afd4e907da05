//! What a message says: its fields and its text parts, decoded and in lower case, as searches look at them (RFC 9051 §6.4.4).

use super::criteria::DAY;
use message::{Content, Limits, Part, PartNumber, Structure, encoded_word, unfold};
use std::cell::OnceCell;

/// Each piece of a message's text in which a search may look for something. The store keeps sieves made of it: whoever changes what this says
/// gives them a new version (`SIEVE_VERSION` in `crates/store-local/src/sieve.rs`), or searches miss messages.
pub fn searchable(octets: &[u8], each: &mut dyn FnMut(&str)) {
    let text = Text::of(octets);
    for part in text.structure.parts() {
        for field in &part.header.fields {
            each(&decoded(field.whole.of(octets)));
            each(&decoded(field.value.of(octets)));
        }
        if part.media_type.kind == "text" {
            each(&text.content(part));
        }
    }
}

/// A message, as far as it was read. What is looked into is decoded once, however many criteria ask for it.
pub(super) struct Text<'a> {
    pub(super) octets: &'a [u8],
    pub(super) structure: Structure,
    /// For each part: its fields and its content, decoded and in lower case.
    lowered: Vec<Lowered>,
}

#[derive(Default)]
struct Lowered {
    /// Each field behind a NUL, which no criterion can have (RFC 9051 §9): nothing is found across two of them.
    header: OnceCell<String>,
    content: OnceCell<String>,
}

impl Text<'_> {
    pub(super) fn of(octets: &[u8]) -> Text<'_> {
        let structure = Structure::of(octets, &Limits::default());
        let lowered = structure.parts().iter().map(|_| Lowered::default()).collect();
        Text { octets, structure, lowered }
    }

    /// Whether a field of that name has this in it; with nothing wanted, whether there is one (RFC 9051 §6.4.4).
    pub(super) fn field(&self, name: &str, wanted: &[u8]) -> bool {
        let mut fields = self.structure.root().header.named(self.octets, name);
        fields.any(|field| wanted.is_empty() || contains(&decoded(field.value.of(self.octets)), wanted))
    }

    /// The day in the Date field, whatever its zone (RFC 9051 §6.4.4).
    pub(super) fn sent(&self) -> Option<i64> {
        let value = self.structure.root().header.value(self.octets, "Date")?;
        let date = message::Date::parse(&String::from_utf8_lossy(&value))?;
        Some((date.millis + i64::from(date.offset_minutes) * 60_000).div_euclid(DAY))
    }

    /// Whether a field of a part has this in it.
    fn any_field(&self, part: PartNumber, wanted: &[u8]) -> bool {
        let lowered = || {
            let fields = &self.structure.parts()[part].header.fields;
            fields
                .iter()
                .map(|field| format!("\0{}", decoded(field.whole.of(self.octets)).to_lowercase()))
                .collect()
        };
        has(self.lowered[part].header.get_or_init(lowered).as_bytes(), wanted)
    }

    /// Whether the body of the message has this in it: in its text parts, decoded, or in the headers of messages within. Fields of parts
    /// are none of it (RFC 9051 §6.4.4).
    pub(super) fn body(&self, wanted: &[u8]) -> bool {
        self.structure.parts().iter().enumerate().any(|(number, part)| match part.content {
            Content::Message(inner) => self.any_field(inner, wanted),
            _ if part.media_type.kind == "text" => {
                let lowered = || self.content(part).to_lowercase();
                has(self.lowered[number].content.get_or_init(lowered).as_bytes(), wanted)
            }
            _ => false,
        })
    }

    /// Whether the fields of a part have this in them, or those of the message.
    pub(super) fn any_part_header(&self, wanted: &[u8]) -> bool {
        (0..self.lowered.len()).any(|part| self.any_field(part, wanted))
    }

    /// What a text part says.
    fn content(&self, part: &Part) -> String {
        let body = part.encoding.decode(part.body.of(self.octets), usize::MAX);
        message::charset::decode(part.media_type.charset(), &body)
    }
}

pub(super) fn decoded(value: &[u8]) -> String {
    encoded_word::decode(&unfold(value))
}

/// Whether a text has this in it; what is wanted is in lower case.
pub(super) fn contains(text: &str, wanted: &[u8]) -> bool {
    has(text.to_lowercase().as_bytes(), wanted)
}

/// The same of a text that is in lower case, too.
pub(super) fn has(lowered: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(lowered, wanted).is_some()
}
