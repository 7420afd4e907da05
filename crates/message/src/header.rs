//! Header sections: fields as byte ranges, with unfolding (RFC 5322 §2.2).
//!
//! A section ends at the first empty line, or before the first line that cannot be a field: people who type a message by hand forget
//! the empty line. A line with a colon after something that is no field name (`Fr om: x`, an mbox `From ` line) is kept as a field
//! without a name, so that nobody takes it for a field that others do not see.

use crate::span::{RawLine, Span};
use std::borrow::Cow;

/// One field as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty when what stands before the colon is no field name (RFC 5322 §3.6.8).
    pub name: Span,
    /// What follows the colon, with the folds, without the last line ending.
    pub value: Span,
    /// All of it: from the name through the last line ending.
    pub whole: Span,
}

/// The fields of one header section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Where it stands, with the empty line that ends it.
    pub span: Span,
    /// Its fields in order, up to [`crate::Limits::fields`].
    pub fields: Vec<Field>,
}

impl Header {
    /// The fields of that name (in any case), in order.
    pub fn named<'a>(&'a self, message: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.name.of(message).eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The unfolded value of the first field of that name, without spaces around it.
    pub fn value<'a>(&'a self, message: &'a [u8], name: &'a str) -> Option<Cow<'a, [u8]>> {
        self.named(message, name).next().map(|field| unfold(field.value.of(message)))
    }
}

/// The value without its folds and without white space around it (RFC 5322 §2.2.3: the line ending goes, the white space stays).
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect())
}

/// What a line is within a header section.
pub(crate) enum LineKind {
    /// The empty line that ends the section.
    Empty,
    /// The first line of a field; the spans are those of its name and of the rest of the line.
    Field(Span, Span),
    /// More of the field before.
    Fold,
    /// No part of a header section.
    Other,
}

/// What this line is; `before` is the field that it would continue.
pub(crate) fn line_kind(message: &[u8], line: RawLine, before: Option<&Field>) -> LineKind {
    let text = line.text.of(message);
    match text.first() {
        None => return LineKind::Empty,
        Some(b' ' | b'\t') if before.is_some() => return LineKind::Fold,
        Some(_) => {}
    }
    let Some(colon) = memchr::memchr(b':', text) else { return LineKind::Other };
    let value = Span::new(line.text.start + colon + 1, line.text.end);
    // RFC 5322 §4.5: obsolete fields may have white space before the colon
    let name = text[..colon].trim_ascii_end();
    let is_name = !name.is_empty() && name.len() <= MAX_NAME && name.iter().all(u8::is_ascii_graphic);
    let name_end = line.text.start + if is_name { name.len() } else { 0 };
    LineKind::Field(Span::new(line.text.start, name_end), value)
}

/// RFC 5322 §2.1.1: a line has at most 998 characters, and a name is on one line.
const MAX_NAME: usize = 998;
