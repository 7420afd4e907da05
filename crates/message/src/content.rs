//! What a message asks of the transport, and line endings of one that comes from a file.

use crate::{Limits, Structure};
use std::borrow::Cow;

/// What the bytes of a message need of the servers on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The body type to be declared.
    pub body: BodyType,
    /// Whether a header section holds more than ASCII, so that SMTPUTF8 is needed (RFC 6532). Addresses of the envelope may
    /// need it too: those are not looked at here.
    pub smtputf8: bool,
    /// Whether a line has more than the 998 bytes that RFC 5322 §2.1.1 allows. Strictly only BINARYMIME may carry it; most servers
    /// take it all the same.
    pub long_lines: bool,
}

/// The least body type that a content fits in (RFC 6152, RFC 3030).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum BodyType {
    /// Lines of ASCII.
    #[default]
    SevenBit,
    /// Lines with other bytes too (8BITMIME).
    EightBit,
    /// NUL, or CR or LF alone: only BDAT can carry it unchanged (BINARYMIME).
    Binary,
}

impl Needs {
    /// What this whole message needs.
    pub fn of(message: &[u8]) -> Needs {
        let is_ascii = message.is_ascii();
        let (mut has_bare, mut long_lines) = (memchr::memchr(0, message).is_some(), false);
        for line in message.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\r\n").unwrap_or(line);
            has_bare |= memchr::memchr2(b'\r', b'\n', text).is_some();
            long_lines |= text.len() > MAX_LINE;
        }
        let body = match (has_bare, is_ascii) {
            (true, _) => BodyType::Binary,
            (false, true) => BodyType::SevenBit,
            (false, false) => BodyType::EightBit,
        };
        let is_utf8 = |part: &crate::Part| !part.header.span.of(message).is_ascii();
        let smtputf8 = !is_ascii && Structure::of(message, &Limits::default()).parts().iter().any(is_utf8);
        Needs { body, smtputf8, long_lines }
    }
}

/// A whole message with CRLF at the end of every line, the last one included. What has it so is not copied. An LF alone becomes
/// CRLF; a CR alone stays: what it was meant to be nobody knows, and a server will refuse it.
///
/// For files, whose lines end as the system's do. Never for what came by SMTP: there an LF alone is an error (RFC 5321 §2.3.8).
pub fn normalise_line_endings(message: &[u8]) -> Cow<'_, [u8]> {
    let ends_line = |place: usize| place > 0 && message[place - 1] == b'\r';
    let is_complete = message.is_empty() || message.ends_with(b"\r\n");
    if is_complete && memchr::memchr_iter(b'\n', message).all(ends_line) {
        return Cow::Borrowed(message);
    }
    let mut whole = Vec::with_capacity(message.len() + message.len() / 32 + 2);
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        whole.extend_from_slice(text.strip_suffix(b"\r").filter(|_| line.ends_with(b"\n")).unwrap_or(text));
        whole.extend_from_slice(b"\r\n");
    }
    Cow::Owned(whole)
}

/// RFC 5322 §2.1.1, without the CRLF.
const MAX_LINE: usize = 998;
