//! Replies (RFC 5321 §4.2) and enhanced status codes (RFC 2034, RFC 3463).

mod parser;

pub use parser::{ReplyError, ReplyParser};

use bytes::{BufMut, BytesMut};
use std::borrow::Cow;
use std::fmt;

/// A three-digit reply code, 200 to 599 (RFC 5321 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

/// What the first digit of a reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// 2yz: done.
    Positive,
    /// 3yz: go on.
    Intermediate,
    /// 4yz: not now; the same may succeed later.
    Transient,
    /// 5yz: no; the same will fail again.
    Permanent,
}

/// The subject and detail of an enhanced status code (RFC 3463).
///
/// Its class is not kept: it is the first digit of the reply's code, so the two can never disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status {
    /// The second number, 0 to 999: what the code is about.
    pub subject: u16,
    /// The third number, 0 to 999.
    pub detail: u16,
}

/// A reply: a code, perhaps an enhanced status, and at least one line of text (which may be empty).
///
/// Texts hold no CR, LF or other control character; `\n` between lines is the type's own. Two replies are equal when they say the same,
/// whoever said it.
#[derive(Debug, Clone)]
pub struct Reply {
    code: Code,
    status: Option<Status>,
    /// Lines separated by `\n`: a reply from the catalogue needs no allocation.
    text: Cow<'static, str>,
    source: ReplySource,
}

/// Whose words a reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplySource {
    /// This program's.
    Own,
    /// Those of a host that was spoken with, as they came.
    Peer,
}

impl PartialEq for Reply {
    fn eq(&self, other: &Reply) -> bool {
        (self.code, self.status, &self.text) == (other.code, other.status, &other.text)
    }
}

impl Eq for Reply {}

impl Code {
    /// The code for a number from 200 to 599; panics in a constant context for any other.
    pub const fn new(number: u16) -> Code {
        assert!(number >= 200 && number <= 599, "a reply code is from 200 to 599");
        Code(number)
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }

    fn digits(self) -> [u8; 3] {
        [self.0 / 100, self.0 / 10 % 10, self.0 % 10].map(|digit| b'0' + digit as u8)
    }

    /// What the first digit says.
    pub const fn severity(self) -> Severity {
        match self.0 / 100 {
            2 => Severity::Positive,
            3 => Severity::Intermediate,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }
}

impl Reply {
    /// A reply with a text known when the program is built; `\n` separates lines.
    pub const fn new(code: u16, status: Option<Status>, text: &'static str) -> Reply {
        Reply { code: Code::new(code), status, text: Cow::Borrowed(text), source: ReplySource::Own }
    }

    /// The same code and status with another text, which is this program's. Control characters become spaces (`\n` separates lines).
    pub fn with_text(&self, text: impl AsRef<str>) -> Reply {
        let text = text.as_ref().replace(|c: char| c.is_control() && c != '\n', " ");
        Reply { code: self.code, status: self.status, text: Cow::Owned(text), source: ReplySource::Own }
    }

    /// The same text, by whom it was, with the code and status of another reply: for codes that mean something else than they say.
    pub fn read_as(&self, meant: &Reply) -> Reply {
        Reply { code: meant.code, status: meant.status, ..self.clone() }
    }

    /// The same code and text without an enhanced status.
    pub fn without_status(&self) -> Reply {
        Reply { status: None, ..self.clone() }
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whose words it is.
    pub fn source(&self) -> ReplySource {
        self.source
    }

    /// The enhanced status, if there is one.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// What the code's first digit says.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Writes the reply as it is sent.
    ///
    /// The enhanced status stands on each line (RFC 2034 §4). A line with all its parts has at most 512
    /// octets (RFC 5321 §4.5.3.1.5): a longer text goes on in a further line. Characters beyond ASCII are
    /// written as `\x{HEX}` (RFC 6533 §3), because a peer need not understand UTF-8 in a reply.
    pub fn encode(&self, out: &mut BytesMut) {
        // RFC 2034 §4: only 2yz, 4yz and 5yz replies have one.
        let status = self.status.filter(|_| self.severity() != Severity::Intermediate);
        let status = status.map(|status| status.display(self.code)).unwrap_or_default();
        // Code, separator and CRLF take 6 octets.
        let room = LINE_MAX - 6 - status.len();
        let text = escaped(&self.text);
        let mut lines = text.split('\n').flat_map(|line| wrapped(line, room)).peekable();
        while let Some(line) = lines.next() {
            let separator: &[u8] = match (lines.peek(), status.len() + line.len()) {
                (Some(_), _) => b"-",
                (None, 1..) => b" ",
                // RFC 5321 §4.2: without a text there is no space either.
                (None, 0) => b"",
            };
            out.put_slice(&self.code.digits());
            out.put_slice(separator);
            out.put_slice(status.as_bytes());
            out.put_slice(line.as_bytes());
            out.put_slice(b"\r\n");
        }
    }

    /// The text, its lines separated by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines of text, at least one.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }
}

impl Status {
    /// The three numbers and the space that follows them.
    fn display(self, code: Code) -> String {
        format!("{}.{}.{} ", code.0 / 100, self.subject, self.detail)
    }
}

/// Replaces what is not ASCII.
fn escaped(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) };
    text.chars().map(escape).collect::<String>().into()
}

/// Cuts a line of ASCII into lines of at most `room` octets, at spaces where there are any.
fn wrapped(line: &str, room: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        if line.len() <= room {
            return Some(line);
        }
        let at = match line[..=room].rfind(' ') {
            Some(space) if space > 0 => space,
            _ => room,
        };
        rest = Some(line[at..].strip_prefix(' ').unwrap_or(&line[at..]));
        Some(&line[..at])
    })
}

impl fmt::Display for Reply {
    /// As on one line: `550 5.1.1 No such mailbox here`; further lines follow after ` / `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code.0)?;
        if let Some(status) = self.status {
            write!(f, " {}.{}.{}", self.code.0 / 100, status.subject, status.detail)?;
        }
        for (n, line) in self.lines().enumerate() {
            write!(f, "{}{line}", if n == 0 { " " } else { " / " })?;
        }
        Ok(())
    }
}

/// The longest reply line with its CRLF, in octets (RFC 5321 §4.5.3.1.5).
const LINE_MAX: usize = 512;
