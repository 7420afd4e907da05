//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).

use super::encode::{self, Style};
use super::fetch::Envelope;
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;

/// The structure of a message or part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyStructure<'a> {
    /// Without parts.
    Leaf {
        /// Its type in upper or lower case, like `TEXT`.
        kind: Cow<'a, str>,
        /// Its subtype.
        subtype: Cow<'a, str>,
        /// What every such part has.
        fields: BodyFields<'a>,
        /// What depends on the type.
        special: LeafKind<'a>,
        /// For BODYSTRUCTURE: the body's MD5 as the message says it.
        md5: Option<Cow<'a, [u8]>>,
        /// For BODYSTRUCTURE.
        extension: Extension<'a>,
    },
    /// With parts; never none.
    Multipart {
        /// The parts.
        parts: Vec<BodyStructure<'a>>,
        /// The subtype, like `MIXED`.
        subtype: Cow<'a, str>,
        /// For BODYSTRUCTURE: the parameters of the type.
        parameters: Parameters<'a>,
        /// For BODYSTRUCTURE.
        extension: Extension<'a>,
    },
}

/// Names and values.
pub type Parameters<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// What every part without parts has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are those of the part, by their names")]
pub struct BodyFields<'a> {
    pub parameters: Parameters<'a>,
    pub id: Option<Cow<'a, [u8]>>,
    pub description: Option<Cow<'a, [u8]>>,
    /// The transfer encoding: `7BIT`, `BASE64` …
    pub encoding: Cow<'a, str>,
    /// Octets as they are transferred.
    pub size: u64,
}

/// What depends on the type of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeafKind<'a> {
    /// Nothing.
    Basic,
    /// A text of so many lines.
    Text {
        /// How many.
        lines: u64,
    },
    /// A message within.
    Message {
        /// Its envelope.
        envelope: Box<Envelope<'a>>,
        /// Its structure.
        body: Box<BodyStructure<'a>>,
        /// Its lines.
        lines: u64,
    },
}

/// What BODYSTRUCTURE has beyond BODY.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extension<'a> {
    /// Content-Disposition.
    pub disposition: Option<Disposition<'a>>,
    /// Content-Language.
    pub language: Vec<Cow<'a, [u8]>>,
    /// Content-Location.
    pub location: Option<Cow<'a, [u8]>>,
}

/// Content-Disposition: its word and parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition<'a> {
    /// `attachment`, `inline` …
    pub kind: Cow<'a, str>,
    /// The parameters.
    pub parameters: Parameters<'a>,
}

impl BodyStructure<'_> {
    pub(super) fn write(&self, out: &mut BytesMut, style: Style, extended: bool) {
        out.put_u8(b'(');
        match self {
            BodyStructure::Leaf { kind, subtype, fields, special, md5, extension } => {
                encode::string(out, style, kind.as_bytes());
                out.put_u8(b' ');
                encode::string(out, style, subtype.as_bytes());
                out.put_u8(b' ');
                fields.write(out, style);
                special.write(out, style, extended);
                if extended {
                    out.put_u8(b' ');
                    encode::nstring(out, style, md5.as_deref());
                    extension.write(out, style);
                }
            }
            BodyStructure::Multipart { parts, subtype, parameters, extension } => {
                for part in parts {
                    part.write(out, style, extended);
                }
                out.put_u8(b' ');
                encode::string(out, style, subtype.as_bytes());
                if extended {
                    out.put_u8(b' ');
                    write_parameters(out, style, parameters);
                    extension.write(out, style);
                }
            }
        }
        out.put_u8(b')');
    }
}

impl BodyFields<'_> {
    fn write(&self, out: &mut BytesMut, style: Style) {
        write_parameters(out, style, &self.parameters);
        for text in [&self.id, &self.description] {
            out.put_u8(b' ');
            encode::nstring(out, style, text.as_deref());
        }
        out.put_u8(b' ');
        encode::string(out, style, self.encoding.as_bytes());
        out.put_u8(b' ');
        encode::number(out, self.size);
    }
}

impl LeafKind<'_> {
    fn write(&self, out: &mut BytesMut, style: Style, extended: bool) {
        match self {
            LeafKind::Basic => return,
            LeafKind::Text { .. } => {}
            LeafKind::Message { envelope, body, .. } => {
                out.put_u8(b' ');
                envelope.write(out, style);
                out.put_u8(b' ');
                body.write(out, style, extended);
            }
        }
        if let LeafKind::Text { lines } | LeafKind::Message { lines, .. } = self {
            out.put_u8(b' ');
            encode::number(out, *lines);
        }
    }
}

impl Extension<'_> {
    fn write(&self, out: &mut BytesMut, style: Style) {
        out.put_u8(b' ');
        match &self.disposition {
            None => out.put_slice(b"NIL"),
            Some(Disposition { kind, parameters }) => {
                out.put_u8(b'(');
                encode::string(out, style, kind.as_bytes());
                out.put_u8(b' ');
                write_parameters(out, style, parameters);
                out.put_u8(b')');
            }
        }
        out.put_u8(b' ');
        match self.language.as_slice() {
            [] => out.put_slice(b"NIL"),
            [only] => encode::string(out, style, only),
            several => encode::list(out, several, |out, word| encode::string(out, style, word)),
        }
        out.put_u8(b' ');
        encode::nstring(out, style, self.location.as_deref());
    }
}

fn write_parameters(out: &mut BytesMut, style: Style, parameters: &Parameters<'_>) {
    if parameters.is_empty() {
        return out.put_slice(b"NIL");
    }
    let words = parameters.iter().flat_map(|(name, value)| [name, value]);
    encode::list(out, words, |out, word| encode::string(out, style, word.as_bytes()));
}
