//! Content-Type and Content-Disposition with their parameters (RFC 2045 §5.1, RFC 2183, RFC 2231), read tolerantly.

use crate::charset;
use crate::encoded_word;

/// A media type (RFC 2045 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// The top-level type in lower case: `text`.
    pub kind: String,
    /// The subtype in lower case: `plain`.
    pub subtype: String,
    /// The parameters.
    pub parameters: Parameters,
}

/// A disposition (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment` or another word, in lower case.
    pub kind: String,
    /// The parameters.
    pub parameters: Parameters,
}

/// Parameters, decoded (RFC 2231; also encoded words, which RFC 2047 §5 forbids here and mailers write all the same).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Default for MediaType {
    /// `text/plain` (RFC 2045 §5.2).
    fn default() -> MediaType {
        MediaType::new("text", "plain")
    }
}

impl MediaType {
    fn new(kind: &str, subtype: &str) -> MediaType {
        MediaType { kind: kind.to_owned(), subtype: subtype.to_owned(), parameters: Parameters::default() }
    }

    /// `message/rfc822`.
    pub(crate) fn message() -> MediaType {
        MediaType::new("message", "rfc822")
    }

    /// Reads the unfolded value of a Content-Type field. What is no type at all is `text/plain` (RFC 2045 §5.2).
    pub fn parse(value: &[u8]) -> MediaType {
        let text = field_text(value);
        let (first, parameters) = split_first(&text);
        let first = first.to_ascii_lowercase();
        let (kind, subtype) = match first.split_once('/') {
            Some((kind, subtype)) => (kind.trim(), subtype.trim()),
            None => ("", ""),
        };
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic());
        if !is_token(kind) || !is_token(subtype) {
            return MediaType { parameters, ..MediaType::default() };
        }
        MediaType { parameters, ..MediaType::new(kind, subtype) }
    }

    /// Whether it is this type (in lower case).
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }

    /// The type without its parameters: `text/plain`.
    pub fn essence(&self) -> String {
        format!("{}/{}", self.kind, self.subtype)
    }

    /// The charset parameter.
    pub fn charset(&self) -> Option<&str> {
        self.parameters.value("charset")
    }
}

impl Disposition {
    /// Reads the unfolded value of a Content-Disposition field.
    pub fn parse(value: &[u8]) -> Disposition {
        let text = field_text(value);
        let (first, parameters) = split_first(&text);
        Disposition { kind: first.to_ascii_lowercase(), parameters }
    }
}

impl Parameters {
    /// The value of the parameter of that name (in lower case).
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Names (in lower case) and values, in the order of their first appearance.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts together what RFC 2231 §3 splits and decodes what its §4 encodes.
    fn assemble(mut pieces: Vec<Piece>) -> Parameters {
        let mut names: Vec<String> = Vec::new();
        for piece in &pieces {
            if !names.contains(&piece.name) {
                names.push(piece.name.clone());
            }
        }
        // stable, so that of two sections with one number the first is kept
        pieces.sort_by_key(|piece| piece.section);
        let value = |name: &String| {
            let sections = pieces.iter().filter(|piece| piece.name == *name && piece.section.is_some());
            let joined = join_sections(sections);
            let plain = || pieces.iter().find(|piece| piece.name == *name && piece.section.is_none());
            joined.or_else(|| plain().map(|piece| encoded_word::decode(piece.value.as_bytes())))
        };
        Parameters(names.iter().filter_map(|name| Some((name.clone(), value(name)?))).collect())
    }
}

/// One parameter as written: `name`, `name*`, `name*2` or `name*2*`.
struct Piece {
    name: String,
    /// `None` for a plain parameter; a single extended one is section 0.
    section: Option<u32>,
    extended: bool,
    value: String,
}

impl Piece {
    fn parse(text: &str) -> Option<Piece> {
        let (name, value) = text.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let mut words = name.split('*');
        let base = words.next().filter(|base| !base.is_empty())?.to_owned();
        let (section, extended) = match (words.next(), words.next()) {
            (None, _) => (None, false),
            (Some(""), _) => (Some(0), true),
            (Some(number), rest) => (Some(number.parse().ok()?), rest.is_some()),
        };
        Some(Piece { name: base, section, extended, value: unquote(value.trim()) })
    }
}

/// The sections 0, 1, 2 … as one text, up to the first gap.
fn join_sections<'a>(sections: impl Iterator<Item = &'a Piece>) -> Option<String> {
    let mut bytes = Vec::new();
    let mut label = None;
    let mut expected = 0;
    for piece in sections.filter(|piece| piece.section.is_some()) {
        if piece.section != Some(expected) {
            continue;
        }
        let mut value = piece.value.as_str();
        if expected == 0 && piece.extended {
            let mut marks = value.splitn(3, '\'');
            if let (Some(charset), Some(_language), Some(rest)) = (marks.next(), marks.next(), marks.next()) {
                (label, value) = (Some(charset), rest);
            }
        }
        match piece.extended {
            true => percent_decode(value, &mut bytes),
            false => bytes.extend_from_slice(value.as_bytes()),
        }
        expected += 1;
    }
    (expected > 0).then(|| charset::decode(label, &bytes))
}

fn percent_decode(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let pair = after.first_chunk::<2>().and_then(|pair| crate::transfer::hex_pair(*pair));
        match (byte, pair) {
            (b'%', Some(value)) => {
                out.push(value);
                rest = &after[2..];
            }
            _ => out.push(byte),
        }
    }
}

/// The text of a field's value, at most [`MAX_VALUE`] bytes of it.
fn field_text(value: &[u8]) -> String {
    charset::header_text(&value[..value.len().min(MAX_VALUE)])
}

/// What stands before the first semicolon, and the parameters after it.
fn split_first(text: &str) -> (String, Parameters) {
    let mut pieces = split_semicolons(text).into_iter();
    let first = pieces.next().unwrap_or_default();
    (
        first.trim().to_owned(),
        Parameters::assemble(pieces.take(MAX_PARAMETERS).filter_map(|p| Piece::parse(&p)).collect()),
    )
}

/// The pieces between semicolons that stand outside quotes; comments are left out (RFC 5322 §3.2.2).
fn split_semicolons(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut comment) = (false, 0u32);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let piece = pieces.last_mut().expect("there is always one piece");
        match c {
            '\\' if quoted || comment > 0 => {
                let next = chars.next();
                if comment == 0 {
                    piece.push(c);
                    piece.extend(next);
                }
            }
            '"' if comment == 0 => {
                quoted = !quoted;
                piece.push(c);
            }
            '(' if !quoted => comment += 1,
            ')' if !quoted && comment > 0 => comment -= 1,
            ';' if !quoted && comment == 0 => pieces.push(String::new()),
            _ if comment == 0 => piece.push(c),
            _ => {}
        }
    }
    pieces
}

/// The value of a quoted string, or the text itself (RFC 5322 §3.2.4).
fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else { return text.to_owned() };
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            _ => value.push(c),
        }
    }
    value
}

/// Longer values are read up to here: no file name and no boundary is so long.
const MAX_VALUE: usize = 16 * 1024;
/// More parameters are not read.
const MAX_PARAMETERS: usize = 200;
