//! Command lines out of a stream of bytes, in bounded memory.
//!
//! Only CRLF ends a line. A bare CR or LF never does, because a peer that disagrees about where lines end can
//! be made to see commands that the other does not (SMTP smuggling). Used by the server endpoints; a client
//! reads replies more leniently.

use bytes::{Bytes, BytesMut};
use std::fmt;

/// What a [`LineBuffer`] found. The bytes are without the line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A whole line.
    Complete(Bytes),
    /// The beginning of a line that is longer than the limit. It is reported as soon as that is known; the
    /// rest, up to and with its CRLF, is skipped.
    TooLong(Bytes),
    /// A line up to a CR or LF that is not part of a CRLF. It is reported as soon as that is known; the rest,
    /// up to and with its CRLF, is skipped.
    BareEnding(Bytes),
}

/// Input that is read by lines, or as it is.
///
/// It holds no memory while it is empty, and what it holds is no more than the line limit plus what was
/// received since it was last asked until it had nothing more to give. `Debug` does not show it: it may be a password.
#[derive(Default)]
pub struct LineBuffer {
    bytes: BytesMut,
    /// How many bytes at the front are known to hold no line end.
    scanned: usize,
    /// The rest of a line that was reported is being skipped.
    skipping: bool,
}

impl LineBuffer {
    /// An empty buffer.
    pub fn new() -> LineBuffer {
        LineBuffer::default()
    }

    /// Takes bytes from the peer.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no bytes wait.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets everything received (RFC 3207 §4.2 asks for it at STARTTLS).
    pub fn clear(&mut self) {
        *self = LineBuffer::default();
    }

    /// The beginning of the next line, as far as it is there, and whatever follows it. A caller may look here how long a
    /// line it will take.
    pub fn start(&mut self) -> &[u8] {
        if self.skipping && !self.skip() {
            return &[];
        }
        &self.bytes
    }

    /// The next line of at most `max` octets with its CRLF; `None` when more input is needed.
    ///
    /// What is found does not depend on how the input was cut into pieces.
    pub fn next_line(&mut self, max: usize) -> Option<Line> {
        if self.skipping && !self.skip() {
            return None;
        }
        let Some(hit) = memchr::memchr2(b'\r', b'\n', &self.bytes[self.scanned..]) else {
            self.scanned = self.bytes.len();
            return self.too_long(max);
        };
        let at = self.scanned + hit;
        self.scanned = at;
        if self.bytes[at] == b'\n' {
            return if at < max { Some(self.bare_ending(at)) } else { self.too_long(max) };
        }
        if at + 2 > max {
            return self.too_long(max);
        }
        match self.bytes.get(at + 1) {
            None => None,
            Some(b'\n') => Some(Line::Complete(self.take(at, at + 2))),
            Some(_) => Some(self.bare_ending(at)),
        }
    }

    /// The bytes that wait, to be taken as they are: content rather than lines. To be called between lines
    /// only; nothing is skipped then.
    pub fn raw(&mut self) -> &mut BytesMut {
        debug_assert!(!self.skipping, "the rest of a refused line is still to be skipped");
        self.scanned = 0;
        &mut self.bytes
    }

    /// Gives memory back when there is nothing to keep in it.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }

    /// Reports a line that has no end within `max` octets, once that many are there.
    fn too_long(&mut self, max: usize) -> Option<Line> {
        if self.bytes.len() < max {
            return None;
        }
        // A CR at the limit may be half of the CRLF that ends the skipping.
        let end = if max > 0 && self.bytes[max - 1] == b'\r' { max - 1 } else { max };
        self.skipping = true;
        Some(Line::TooLong(self.take(end, end)))
    }

    /// Reports a line with a bare CR or LF at `at`.
    fn bare_ending(&mut self, at: usize) -> Line {
        self.skipping = true;
        Line::BareEnding(self.take(at, at + 1))
    }

    /// Removes `used` bytes and returns the first `end` of them.
    fn take(&mut self, end: usize, used: usize) -> Bytes {
        self.scanned = 0;
        let mut line = if used == self.bytes.len() {
            std::mem::take(&mut self.bytes)
        } else {
            self.bytes.split_to(used)
        };
        line.truncate(end);
        line.freeze()
    }

    /// Skips to the next CRLF and past it; says whether it was there.
    fn skip(&mut self) -> bool {
        let mut from = 0;
        while let Some(hit) = memchr::memchr(b'\n', &self.bytes[from..]) {
            let at = from + hit;
            if at > 0 && self.bytes[at - 1] == b'\r' {
                drop(self.take(0, at + 1));
                self.skipping = false;
                return true;
            }
            from = at + 1;
        }
        // The last byte may be the CR of a CRLF.
        let keep = usize::from(self.bytes.last() == Some(&b'\r'));
        drop(self.take(0, self.bytes.len() - keep));
        false
    }
}

impl fmt::Debug for LineBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineBuffer({} octets)", self.bytes.len())
    }
}
