//! The data of a message in FETCH (RFC 9051 §7.5.2, and BINARY, CONDSTORE, OBJECTID, PREVIEW).
//!
//! What is short is a [`FetchData`] and written at once. The text of a message is a literal whose octets come piece by piece:
//! [`LiteralName`] is what stands before it.

use super::body::BodyStructure;
use super::encode::{self, Style};
use crate::{Flag, Section, SectionText};
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;
use std::fmt::Write;

/// One item of FETCH, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchData<'a> {
    /// FLAGS.
    Flags(&'a [Flag]),
    /// INTERNALDATE: milliseconds since 1970.
    InternalDate(i64),
    /// RFC822.SIZE.
    Rfc822Size(u64),
    /// ENVELOPE.
    Envelope(&'a Envelope<'a>),
    /// BODY.
    Body(&'a BodyStructure<'a>),
    /// BODYSTRUCTURE.
    BodyStructure(&'a BodyStructure<'a>),
    /// MODSEQ.
    ModSeq(u64),
    /// EMAILID.
    EmailId(&'a str),
    /// THREADID, which we do not have.
    NoThreadId,
    /// PREVIEW; `None` where it would have cost too much.
    Preview(Option<&'a str>),
    /// BINARY.SIZE of a part.
    BinarySize(&'a [u32], u64),
    /// An item that was written before, by [`crate::server::Server::written`] under the same [`Names`](super::Names).
    Written(&'a [u8]),
    /// A text that is not there.
    Nil(LiteralName<'a>),
}

/// What a literal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiteralName<'a> {
    /// `BODY[…]`, from this octet on if only a part was asked for.
    Section(&'a Section, Option<u64>),
    /// `BINARY[…]`, likewise; its literal may hold NULs.
    Binary(&'a [u32], Option<u64>),
    /// `RFC822`.
    Rfc822,
    /// `RFC822.HEADER`.
    Rfc822Header,
    /// `RFC822.TEXT`.
    Rfc822Text,
}

/// ENVELOPE (RFC 9051 §7.5.2): fields as they stand, unfolded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are those of the message, by their names")]
pub struct Envelope<'a> {
    pub date: Option<Cow<'a, [u8]>>,
    pub subject: Option<Cow<'a, [u8]>>,
    pub from: Vec<Address<'a>>,
    /// The same as `from` where there is no such field; so is `reply_to`.
    pub sender: Vec<Address<'a>>,
    pub reply_to: Vec<Address<'a>>,
    pub to: Vec<Address<'a>>,
    pub cc: Vec<Address<'a>>,
    pub bcc: Vec<Address<'a>>,
    pub in_reply_to: Option<Cow<'a, [u8]>>,
    pub message_id: Option<Cow<'a, [u8]>>,
}

/// One address, or the beginning or the end of a group (RFC 9051 §7.5.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address<'a> {
    /// The name, with the encoded words that it has.
    pub name: Option<Cow<'a, [u8]>>,
    /// A source route, which is obsolete.
    pub route: Option<Cow<'a, [u8]>>,
    /// The local part; a group's name where `host` is `None`, and `None` at a group's end.
    pub mailbox: Option<Cow<'a, [u8]>>,
    /// The domain.
    pub host: Option<Cow<'a, [u8]>>,
}

/// Writes an item with its name.
pub(crate) fn write_data(out: &mut BytesMut, style: Style, data: &FetchData<'_>) {
    match data {
        FetchData::Flags(flags) => {
            out.put_slice(b"FLAGS ");
            encode::list(out, *flags, |out, flag| flag.write(out));
        }
        FetchData::InternalDate(time) => {
            out.put_slice(b"INTERNALDATE ");
            encode::date_time(out, *time);
        }
        FetchData::Rfc822Size(size) => put_number(out, "RFC822.SIZE ", *size),
        FetchData::Envelope(envelope) => {
            out.put_slice(b"ENVELOPE ");
            envelope.write(out, style);
        }
        FetchData::Body(structure) => {
            out.put_slice(b"BODY ");
            structure.write(out, style, false);
        }
        FetchData::BodyStructure(structure) => {
            out.put_slice(b"BODYSTRUCTURE ");
            structure.write(out, style, true);
        }
        FetchData::ModSeq(value) => {
            put_number(out, "MODSEQ (", *value);
            out.put_u8(b')');
        }
        FetchData::EmailId(id) => {
            out.put_slice(b"EMAILID (");
            encode::atom(out, id);
            out.put_u8(b')');
        }
        FetchData::NoThreadId => out.put_slice(b"THREADID NIL"),
        FetchData::Preview(text) => {
            out.put_slice(b"PREVIEW ");
            // RFC 8970 §3.1: UTF-8 whatever was enabled, in a literal where a quoted string cannot hold it.
            encode::nstring(out, style, text.map(str::as_bytes));
        }
        FetchData::BinarySize(part, size) => {
            out.put_slice(b"BINARY.SIZE[");
            write_part(out, part);
            put_number(out, "] ", *size);
        }
        FetchData::Written(item) => out.put_slice(item),
        FetchData::Nil(name) => {
            name.write(out, style);
            out.put_slice(b" NIL");
        }
    }
}

/// Writes what stands before the octets of a literal.
pub(crate) fn begin_literal(out: &mut BytesMut, style: Style, name: LiteralName<'_>, length: u64) {
    name.write(out, style);
    out.put_u8(b' ');
    if matches!(name, LiteralName::Binary(..)) {
        out.put_u8(b'~');
    }
    encode::literal_header(out, length);
}

impl LiteralName<'_> {
    fn write(&self, out: &mut BytesMut, style: Style) {
        let origin = match self {
            LiteralName::Section(section, origin) => {
                out.put_slice(b"BODY[");
                write_section(out, style, section);
                out.put_u8(b']');
                *origin
            }
            LiteralName::Binary(part, origin) => {
                out.put_slice(b"BINARY[");
                write_part(out, part);
                out.put_u8(b']');
                *origin
            }
            LiteralName::Rfc822 => return out.put_slice(b"RFC822"),
            LiteralName::Rfc822Header => return out.put_slice(b"RFC822.HEADER"),
            LiteralName::Rfc822Text => return out.put_slice(b"RFC822.TEXT"),
        };
        if let Some(origin) = origin {
            put_number(out, "<", origin);
            out.put_u8(b'>');
        }
    }
}

fn put_number(out: &mut BytesMut, before: &str, number: u64) {
    out.put_slice(before.as_bytes());
    encode::number(out, number);
}

fn write_part(out: &mut BytesMut, part: &[u32]) {
    for (place, number) in part.iter().enumerate() {
        let dot = if place > 0 { "." } else { "" };
        write!(out, "{dot}{number}").expect("a buffer takes everything");
    }
}

fn write_section(out: &mut BytesMut, style: Style, section: &Section) {
    write_part(out, &section.part);
    let Some(text) = &section.text else { return };
    if !section.part.is_empty() {
        out.put_u8(b'.');
    }
    let (name, fields) = match text {
        SectionText::Header => ("HEADER", None),
        SectionText::HeaderFields(fields) => ("HEADER.FIELDS ", Some(fields)),
        SectionText::HeaderFieldsNot(fields) => ("HEADER.FIELDS.NOT ", Some(fields)),
        SectionText::Text => ("TEXT", None),
        SectionText::Mime => ("MIME", None),
    };
    out.put_slice(name.as_bytes());
    if let Some(fields) = fields {
        encode::list(out, fields, |out, field| encode::astring(out, style, field.as_bytes()));
    }
}

impl Envelope<'_> {
    pub(super) fn write(&self, out: &mut BytesMut, style: Style) {
        out.put_u8(b'(');
        for text in [&self.date, &self.subject] {
            encode::nstring(out, style, text.as_deref());
            out.put_u8(b' ');
        }
        for list in [&self.from, &self.sender, &self.reply_to, &self.to, &self.cc, &self.bcc] {
            write_addresses(out, style, list);
            out.put_u8(b' ');
        }
        encode::nstring(out, style, self.in_reply_to.as_deref());
        out.put_u8(b' ');
        encode::nstring(out, style, self.message_id.as_deref());
        out.put_u8(b')');
    }
}

/// Addresses stand without spaces between them (RFC 9051 §9, `env-from`).
fn write_addresses(out: &mut BytesMut, style: Style, addresses: &[Address<'_>]) {
    if addresses.is_empty() {
        return out.put_slice(b"NIL");
    }
    out.put_u8(b'(');
    for address in addresses {
        let words = [&address.name, &address.route, &address.mailbox, &address.host];
        encode::list(out, words, |out, word| encode::nstring(out, style, word.as_deref()));
    }
    out.put_u8(b')');
}
