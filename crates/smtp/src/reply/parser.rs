//! Replies as a client reads them: leniently, because a reply cannot be refused, but in bounded memory.

use super::{Code, Reply, ReplySource, Status};
use crate::AUTH_LINE_MAX;
use bytes::{Buf, BytesMut};
use std::borrow::Cow;

/// Why what the server sent is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with a code from 200 to 599, followed by a space, a hyphen or nothing.
    #[error("a line that is no reply")]
    Malformed,
    /// More than 512 lines, or 64 KiB of text.
    #[error("a reply that is too long")]
    TooLong,
}

/// Puts replies together from bytes in any chunks (RFC 5321 §4.2).
///
/// * A line may end in LF alone, its text may be missing, and of a line of more than 2,048 octets the rest is
///   dropped; of a challenge (334) it is what is beyond 12,288 (RFC 4954 §4).
/// * If the lines of a reply have different codes, the last one counts (§4.2.1 forbids it, it happens).
/// * The enhanced status is taken from the text when its class agrees with the code (RFC 2034 §4); else it
///   stays text.
/// * It is the peer's ([`ReplySource::Peer`]).
/// * Octets that are not UTF-8, and control characters, are replaced.
///
/// After an error there is no way to find the next reply: the error stays.
#[derive(Debug, Default)]
pub struct ReplyParser {
    bytes: BytesMut,
    /// How many bytes at the front are known to hold no line end.
    scanned: usize,
    /// The line in hand was too long; its rest is being dropped.
    dropping: bool,
    /// The lines of the reply in hand, each with `\n` before it.
    text: String,
    lines: usize,
    /// The last status seen in the reply in hand, with its class.
    status: Option<(u16, Status)>,
    error: Option<ReplyError>,
}

impl ReplyParser {
    /// A parser before the first reply.
    pub fn new() -> ReplyParser {
        ReplyParser::default()
    }

    /// Takes bytes that the server sent.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Whether nothing waits: neither bytes nor a part of a reply.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.lines == 0 && !self.dropping
    }

    /// The next whole reply, if there is one.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let reply = self.read();
        if let Err(error) = reply {
            self.error = Some(error);
            self.bytes = BytesMut::new();
        } else if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
        reply
    }

    fn read(&mut self) -> Result<Option<Reply>, ReplyError> {
        while let Some(line) = self.next_line() {
            if let Some(code) = self.take_line(&line)? {
                return Ok(Some(self.finish(code)));
            }
        }
        Ok(None)
    }

    /// Takes one line; returns the code if it was the last of its reply.
    fn take_line(&mut self, line: &[u8]) -> Result<Option<Code>, ReplyError> {
        let (code, more, text) = split(line).ok_or(ReplyError::Malformed)?;
        let text = String::from_utf8_lossy(text);
        let (status, text) = split_status(code, &text);
        self.status = status.map(|status| (code.number() / 100, status)).or(self.status);
        self.lines += 1;
        if self.lines > LINES_MAX || self.text.len() + text.len() >= TEXT_MAX {
            return Err(ReplyError::TooLong);
        }
        self.text.push('\n');
        self.text.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        Ok((!more).then_some(code))
    }

    fn finish(&mut self, code: Code) -> Reply {
        self.lines = 0;
        let mut text = std::mem::take(&mut self.text);
        text.remove(0);
        let status =
            self.status.take().filter(|(class, _)| *class == code.number() / 100).map(|(_, status)| status);
        Reply { code, status, text: Cow::Owned(text), source: ReplySource::Peer }
    }

    /// The next line without its end; of one that is too long its beginning.
    fn next_line(&mut self) -> Option<BytesMut> {
        loop {
            let kept = if self.bytes.starts_with(b"334") { AUTH_LINE_MAX } else { LINE_KEPT };
            let hit = memchr::memchr(b'\n', &self.bytes[self.scanned..]);
            let (length, used) = match hit {
                Some(hit) => (self.scanned + hit, self.scanned + hit + 1),
                None if self.bytes.len() < kept && !self.dropping => {
                    self.scanned = self.bytes.len();
                    return None;
                }
                None => (self.bytes.len(), self.bytes.len()),
            };
            self.scanned = 0;
            if self.dropping {
                self.bytes.advance(used);
                self.dropping = hit.is_none();
                if self.dropping {
                    return None;
                }
                continue;
            }
            self.dropping = hit.is_none();
            let mut line = self.bytes.split_to(used);
            line.truncate(length.min(kept));
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            return Some(line);
        }
    }
}

/// Takes a line apart: its code, whether more lines follow, and its text.
fn split(line: &[u8]) -> Option<(Code, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((Code(number), false, rest)),
        Some((b' ', text)) => Some((Code(number), false, text)),
        Some((b'-', text)) => Some((Code(number), true, text)),
        Some(_) => None,
    }
}

/// Takes an enhanced status off the front of a text, if there is one whose class agrees with the code.
fn split_status(code: Code, text: &str) -> (Option<Status>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut numbers = word.split('.').map(|number| {
        let short = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        number.parse::<u16>().ok().filter(|_| short)
    });
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Some(class)), Some(Some(subject)), Some(Some(detail)), None)
            if class == code.number() / 100 && class != 3 && word.as_bytes()[1] == b'.' =>
        {
            (Some(Status { subject, detail }), rest)
        }
        _ => (None, text),
    }
}

/// How much of a line is kept; RFC 5321 §4.5.3.1.5 allows 512 octets with all its parts.
const LINE_KEPT: usize = 2048;
const LINES_MAX: usize = 512;
const TEXT_MAX: usize = 64 * 1024;
