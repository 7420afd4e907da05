//! The structure of a message: its MIME parts as a tree of byte ranges (RFC 2045, RFC 2046).
//!
//! One pass over the bytes, no recursion, no copy of content; memory is bounded by [`Limits`] whatever the message is. Any bytes are a
//! message: what is malformed is less structured, never an error. Works as well on the first bytes of a message, for lists.
//!
//! Who calls it: summaries and `inbox show` here, later IMAP (BODYSTRUCTURE, BODY[n]) and search.

use crate::Limits;
use crate::content_type::{Disposition, MediaType};
use crate::header::{Field, Header, LineKind, line_kind};
use crate::span::{RawLine, Span, line_at};
use crate::transfer::TransferEncoding;

/// A message's parts, in the order in which they stand; the first is the message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    parts: Vec<Part>,
    truncated: bool,
}

/// The number of a part in its [`Structure`]; 0 is the message itself.
pub type PartNumber = usize;

/// One entity: a header section and a body (RFC 2045 §2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The part that this one is in; `None` for the message itself.
    pub parent: Option<PartNumber>,
    /// Its header section.
    pub header: Header,
    /// Its body as transferred, without the line ending before a boundary: that belongs to the boundary (RFC 2046 §5.1.1).
    pub body: Span,
    /// Content-Type; `text/plain` when there is none, `message/rfc822` in a `multipart/digest` (RFC 2046 §5.1.5).
    pub media_type: MediaType,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Transfer-Encoding.
    pub encoding: TransferEncoding,
    /// What its body consists of.
    pub content: Content,
}

/// What a part's body consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, an image or the like; also what lies too deep to be taken apart.
    Leaf,
    /// Parts between boundaries.
    Multipart(Vec<PartNumber>),
    /// One whole message (`message/rfc822`, `message/global`).
    Message(PartNumber),
}

impl Structure {
    /// The structure of these bytes.
    pub fn of(message: &[u8], limits: &Limits) -> Structure {
        let mut builder =
            Builder { message, limits, parts: Vec::new(), open: Vec::new(), fields: 0, truncated: false };
        builder.run();
        Structure { parts: builder.parts, truncated: builder.truncated }
    }

    /// The message itself.
    pub fn root(&self) -> &Part {
        &self.parts[0]
    }

    /// All parts, in the order in which they stand in the message, each before those inside it.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether a limit was met, so that some fields or parts are not listed. Body ranges then still cover everything.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

impl Part {
    /// Whether it is to be saved rather than shown: it says so, or it is neither text nor made of parts (RFC 2183 §2).
    pub fn is_attachment(&self) -> bool {
        let says_so = self.disposition.as_ref().is_some_and(|disposition| disposition.kind == "attachment");
        says_so || !matches!(self.media_type.kind.as_str(), "text" | "multipart")
    }

    /// Its file name, if it has one: of the disposition, or else the `name` of the type (RFC 2183 §2.3, RFC 2045).
    pub fn file_name(&self) -> Option<&str> {
        let of_disposition =
            self.disposition.as_ref().and_then(|disposition| disposition.parameters.value("filename"));
        of_disposition.or_else(|| self.media_type.parameters.value("name"))
    }
}

/// A part whose end was not seen yet.
struct Open {
    part: PartNumber,
    state: State,
}

/// Where in a part the pass is.
#[derive(PartialEq, Eq)]
enum State {
    /// In the header section.
    Header,
    /// In a body without boundaries of its own; also after a multipart's closing boundary.
    Body,
    /// In a multipart: these are its delimiters' first bytes, `--` and the boundary.
    Multipart(Vec<u8>),
}

struct Builder<'a> {
    message: &'a [u8],
    limits: &'a Limits,
    parts: Vec<Part>,
    open: Vec<Open>,
    fields: usize,
    truncated: bool,
}

impl Builder<'_> {
    fn run(&mut self) {
        self.begin_part(0, None);
        let mut position = 0;
        while position < self.message.len() {
            if !self.in_header() {
                position = self.next_candidate(position);
                if position == self.message.len() {
                    break;
                }
            }
            let line = line_at(self.message, position);
            position = match self.delimiter(line) {
                Some((place, Delimiter::Next)) => self.next_part(place, line),
                Some((place, Delimiter::Close)) => {
                    self.end_parts(place + 1, line.text.start);
                    self.open[place].state = State::Body;
                    line.next
                }
                None => self.header_line(line),
            };
        }
        self.end_parts(0, self.message.len());
    }

    fn in_header(&self) -> bool {
        self.open.last().is_some_and(|open| open.state == State::Header)
    }

    /// The start of the next line, from `position` on, that could be a delimiter; the end when there can be none.
    fn next_candidate(&self, position: usize) -> usize {
        let end = self.message.len();
        if !self.open.iter().any(|open| matches!(open.state, State::Multipart(_))) {
            return end;
        }
        if self.message[position..].starts_with(b"--") {
            return position;
        }
        memchr::memmem::find(&self.message[position..], b"\n--").map_or(end, |offset| position + offset + 1)
    }

    /// The open multipart whose delimiter this line is: the outermost, because an outer boundary ends what is inside (RFC 2046 §5.1.2).
    fn delimiter(&self, line: RawLine) -> Option<(usize, Delimiter)> {
        let text = line.text.of(self.message);
        if !text.starts_with(b"--") {
            return None;
        }
        self.open.iter().enumerate().find_map(|(place, open)| {
            let State::Multipart(delimiter) = &open.state else { return None };
            let rest = text.strip_prefix(delimiter.as_slice())?.trim_ascii_end();
            match rest {
                b"" => Some((place, Delimiter::Next)),
                b"--" => Some((place, Delimiter::Close)),
                _ => None,
            }
        })
    }

    /// Takes a line that is no delimiter; says where the next one starts.
    fn header_line(&mut self, line: RawLine) -> usize {
        let Some(open) = self.open.last().filter(|open| open.state == State::Header) else {
            return line.next;
        };
        let header = &mut self.parts[open.part].header;
        let too_large = line.text.end - header.span.start > self.limits.header_bytes;
        match line_kind(self.message, line, header.fields.last()) {
            LineKind::Empty => self.end_header(line.next),
            LineKind::Other => self.end_header(line.text.start),
            LineKind::Fold => {
                // the field that it continues may itself have been left out
                match header
                    .fields
                    .last_mut()
                    .filter(|field| field.whole.end == line.text.start && !too_large)
                {
                    Some(field) => (field.value.end, field.whole.end) = (line.text.end, line.next),
                    None => self.truncated = true,
                }
                line.next
            }
            LineKind::Field(name, value) => {
                if too_large || self.fields >= self.limits.fields {
                    self.truncated = true;
                } else {
                    header.fields.push(Field { name, value, whole: Span::new(line.text.start, line.next) });
                    self.fields += 1;
                }
                line.next
            }
        }
    }

    /// Ends the innermost part's header section where its body begins; says where to go on.
    fn end_header(&mut self, body: usize) -> usize {
        let Some(open) = self.open.last_mut() else { return body };
        let number = open.part;
        open.state = State::Body;
        let default = match self.parts[number].parent {
            Some(parent) if self.parts[parent].media_type.is("multipart", "digest") => MediaType::message(),
            _ => MediaType::default(),
        };
        let part = &mut self.parts[number];
        part.header.span.end = body;
        part.body = Span::new(body, body);
        part.read_fields(self.message, default);
        let Some(container) = part.container() else { return body };
        if self.open.len() >= self.limits.depth || self.parts.len() >= self.limits.parts {
            self.truncated = true;
            return body;
        }
        match container {
            Container::Multipart(delimiter) => {
                self.parts[number].content = Content::Multipart(Vec::new());
                if let Some(open) = self.open.last_mut() {
                    open.state = State::Multipart(delimiter);
                }
            }
            Container::Message => {
                self.parts[number].content = Content::Message(self.parts.len());
                self.begin_part(body, Some(number));
            }
        }
        body
    }

    /// Begins the next part of the open multipart at `place`, after the delimiter `line`.
    fn next_part(&mut self, place: usize, line: RawLine) -> usize {
        self.end_parts(place + 1, line.text.start);
        let parent = self.open[place].part;
        if self.parts.len() >= self.limits.parts {
            self.truncated = true;
            return line.next;
        }
        let number = self.parts.len();
        if let Content::Multipart(children) = &mut self.parts[parent].content {
            children.push(number);
        }
        self.begin_part(line.next, Some(parent));
        line.next
    }

    fn begin_part(&mut self, start: usize, parent: Option<PartNumber>) {
        let span = Span::new(start, start);
        self.open.push(Open { part: self.parts.len(), state: State::Header });
        self.parts.push(Part {
            parent,
            header: Header { span, fields: Vec::new() },
            body: span,
            media_type: MediaType::default(),
            disposition: None,
            encoding: TransferEncoding::SevenBit,
            content: Content::Leaf,
        });
    }

    /// Ends the open parts from `place` on, before the delimiter that starts at `delimiter` or at the end of the message.
    fn end_parts(&mut self, place: usize, delimiter: usize) {
        let mut end = delimiter;
        if delimiter < self.message.len() {
            // RFC 2046 §5.1.1: the line ending before a delimiter is part of it
            end -= usize::from(self.message[..end].ends_with(b"\n"));
            end -= usize::from(end < delimiter && self.message[..end].ends_with(b"\r"));
        }
        while self.open.len() > place {
            if self.in_header() {
                // no empty line came: all of it was header
                self.end_header(delimiter);
                continue;
            }
            let Some(open) = self.open.pop() else { return };
            let part = &mut self.parts[open.part];
            part.body = Span::new(part.body.start, end);
            // a header section without an empty line reaches to the delimiter, and so does what it is in
            end = part.body.end;
        }
    }
}

enum Delimiter {
    Next,
    Close,
}

/// A part that holds others.
enum Container {
    /// With the first bytes of its delimiters.
    Multipart(Vec<u8>),
    Message,
}

impl Part {
    /// What kind of container it is, by its fields.
    fn container(&self) -> Option<Container> {
        let media_type = &self.media_type;
        match (media_type.kind.as_str(), media_type.subtype.as_str()) {
            ("multipart", _) => {
                // RFC 2046 §5.1.1: a boundary does not end with white space
                let boundary = media_type.parameters.value("boundary").map(str::trim_end)?;
                (!boundary.is_empty()).then(|| Container::Multipart(format!("--{boundary}").into_bytes()))
            }
            // RFC 2046 §5.2.1: not encoded; what is all the same, is not looked into
            ("message", "rfc822" | "global") if self.encoding.is_identity() => Some(Container::Message),
            _ => None,
        }
    }

    /// Reads what the structure depends on from the header section.
    fn read_fields(&mut self, message: &[u8], default: MediaType) {
        let header = &self.header;
        self.media_type =
            header.value(message, "Content-Type").map_or(default, |value| MediaType::parse(&value));
        self.disposition =
            header.value(message, "Content-Disposition").map(|value| Disposition::parse(&value));
        let encoding = header.value(message, "Content-Transfer-Encoding");
        self.encoding = encoding.map_or(TransferEncoding::SevenBit, |value| TransferEncoding::parse(&value));
    }
}
