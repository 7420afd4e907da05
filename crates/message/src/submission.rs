//! What a submission server mends in a message before it takes it (RFC 6409 §8): blind copies go, and what every message must have is
//! added before it.
//!
//! [`Mender`] looks at the header section while it passes, in chunks of any size and with bounded memory; the body passes as it is.
//! The server's receiving side calls it, for submissions only: content that other servers hand over is never changed.

use crate::header::unfold;
use crate::{Address, Date};
use bytes::{Bytes, BytesMut};

/// Takes the fields `Bcc` and `Resent-Bcc` out of a message that passes, and notes which fields there are.
#[derive(Debug, Default)]
pub struct Mender {
    place: Place,
    /// What becomes of the field at hand, for the lines that continue it.
    field: Option<Field>,
    findings: Findings,
    from: Vec<u8>,
    from_fields: usize,
}

/// What the header section says, as far as a submission server must know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Who wrote it.
    pub from: Authors,
    /// Whether there is a Sender field.
    pub sender: Presence,
    /// Whether there is a Date field.
    pub date: Presence,
    /// Whether there is a Message-ID field.
    pub message_id: Presence,
    /// Fields that named blind copies and were taken out.
    pub removed: usize,
}

/// What the From field says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authors {
    /// There is none.
    #[default]
    Missing,
    /// These; may be empty when it cannot be read.
    Known(Vec<Address>),
    /// There are several From fields, which RFC 5322 §3.6 forbids: programs differ in which one they show.
    SeveralFields,
    /// It is longer than [`FROM_MAX`].
    TooLong,
}

/// Whether a field is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// No.
    #[default]
    Missing,
    /// Yes.
    Present,
}

/// What to add to a message that lacks it.
#[derive(Debug, Clone, Copy)]
pub struct Additions<'a> {
    /// When it was submitted.
    pub date: Date,
    /// The identifier for Message-ID, without angle brackets.
    pub message_id: &'a str,
    /// The address for From.
    pub from: &'a str,
    /// The address for Sender, when there is to be one (RFC 6409 §8.1).
    pub sender: Option<&'a str>,
}

/// The longest From field that is read, in octets.
pub const FROM_MAX: usize = 16 * 1024;

/// A line that has no colon in so many octets is no field (RFC 5322 §2.1.1).
const NAME_MAX: usize = 998;

#[derive(Debug)]
enum Place {
    /// At the start of a line whose kind is not known yet.
    Line(Vec<u8>),
    /// Within a line of a field.
    Field,
    Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    From,
    BlindCopy,
    Other,
}

impl Default for Place {
    fn default() -> Place {
        Place::Line(Vec::new())
    }
}

impl Mender {
    /// Takes the next octets of the message; returns what is to be kept of them and of those held before.
    pub fn pass(&mut self, chunk: Bytes) -> Bytes {
        if let Place::Body = self.place {
            return chunk;
        }
        let mut kept = BytesMut::with_capacity(chunk.len() + 2);
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            rest = match &mut self.place {
                Place::Line(line) => {
                    line.push(rest[0]);
                    self.look(&mut kept);
                    &rest[1..]
                }
                Place::Field => self.in_field(rest, &mut kept),
                Place::Body => {
                    kept.extend_from_slice(rest);
                    &[]
                }
            };
        }
        kept.freeze()
    }

    /// The message is over; returns what was held back, and what was found.
    pub fn finish(mut self) -> (Bytes, Findings) {
        let mut kept = BytesMut::new();
        if let Place::Line(line) = &self.place
            && !line.is_empty()
        {
            // It has no colon, and no line ending either.
            separate(line, &mut kept);
        }
        let addresses = || Address::parse_list(&unfold(&self.from));
        self.findings.from = match self.from_fields {
            0 => Authors::Missing,
            _ if self.from.len() > FROM_MAX => Authors::TooLong,
            1 => Authors::Known(addresses()),
            _ => Authors::SeveralFields,
        };
        (kept.freeze(), self.findings)
    }

    /// Looks whether the start of a line says what it is.
    fn look(&mut self, kept: &mut BytesMut) {
        let Place::Line(line) = &mut self.place else { return };
        let line = match line.as_slice() {
            [b' ' | b'\t'] if self.field.is_some() => std::mem::take(line),
            [b'\r', b'\n'] | [b'\n'] => {
                kept.extend_from_slice(line);
                self.place = Place::Body;
                return;
            }
            [.., b':'] if name(line).is_some() => {
                let line = std::mem::take(line);
                self.field = name(&line).map(|name| self.note(name));
                line
            }
            [.., b':' | b'\n'] => {
                separate(line, kept);
                self.place = Place::Body;
                return;
            }
            long if long.len() >= NAME_MAX => {
                separate(long, kept);
                self.place = Place::Body;
                return;
            }
            _ => return,
        };
        self.place = Place::Field;
        // Of a name only what follows it is the field's value.
        match line.as_slice() {
            [b' ' | b'\t'] => self.keep(&line, kept),
            _ if self.field == Some(Field::BlindCopy) => {}
            _ => kept.extend_from_slice(&line),
        }
    }

    /// Takes the rest of a field's line; returns what follows it.
    fn in_field<'a>(&mut self, rest: &'a [u8], kept: &mut BytesMut) -> &'a [u8] {
        let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        self.keep(line, kept);
        if end.is_some() {
            self.place = Place::default();
        }
        after
    }

    fn keep(&mut self, part: &[u8], kept: &mut BytesMut) {
        match self.field {
            Some(Field::BlindCopy) => return,
            Some(Field::From) => {
                // One octet more than is read says that it was too long.
                let room = (FROM_MAX + 1).saturating_sub(self.from.len());
                self.from.extend_from_slice(&part[..part.len().min(room)]);
            }
            _ => {}
        }
        kept.extend_from_slice(part);
    }

    /// Notes that there is a field of this name.
    fn note(&mut self, name: &[u8]) -> Field {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match () {
            () if is("From") => {
                self.from_fields += 1;
                return Field::From;
            }
            () if is("Bcc") || is("Resent-Bcc") => {
                self.findings.removed += 1;
                return Field::BlindCopy;
            }
            () if is("Sender") => self.findings.sender = Presence::Present,
            () if is("Date") => self.findings.date = Presence::Present,
            () if is("Message-ID") => self.findings.message_id = Presence::Present,
            () => {}
        }
        Field::Other
    }
}

impl Findings {
    /// The fields that the message lacks, to be put before it.
    pub fn missing_fields(&self, additions: Additions<'_>) -> Vec<u8> {
        let Additions { date, message_id, from, sender } = additions;
        let mut fields = String::new();
        if self.date == Presence::Missing {
            fields.push_str(&format!("Date: {date}\r\n"));
        }
        if self.message_id == Presence::Missing {
            fields.push_str(&format!("Message-ID: <{message_id}>\r\n"));
        }
        if self.from == Authors::Missing {
            fields.push_str(&format!("From: {from}\r\n"));
        }
        if let Some(sender) = sender.filter(|_| self.sender == Presence::Missing) {
            fields.push_str(&format!("Sender: {sender}\r\n"));
        }
        fields.into_bytes()
    }
}

/// The field name that these octets, which end with a colon, begin a line with; white space before the colon is obsolete but
/// allowed (RFC 5322 §4.5).
fn name(line: &[u8]) -> Option<&[u8]> {
    let name = line.strip_suffix(b":")?.trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

/// A line that is no field begins the body, but there is no empty line before it: without one, what we put before the message would
/// run into its text.
fn separate(line: &[u8], kept: &mut BytesMut) {
    kept.extend_from_slice(b"\r\n");
    kept.extend_from_slice(line);
}
