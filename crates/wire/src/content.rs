//! What content must not hold, whatever carries it.
//!
//! RFC 5321 §2.3.8 allows CR and LF in content only as CRLF; §4.5.2 leaves no place for NUL. The finder reads
//! content in pieces and says what it found first. [`crate::dot::Decoder`] does the same while it removes
//! dots. The normaliser mends line endings instead, where that is wanted.

use bytes::{BufMut, Bytes, BytesMut};

/// An octet that mail content must not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// A CR that no LF follows.
    BareCr,
    /// An LF that no CR precedes.
    BareLf,
    /// A NUL.
    Nul,
}

/// Looks for flaws in content that comes in pieces, without dot-stuffing.
#[derive(Debug, Clone, Default)]
pub struct FlawFinder {
    after_cr: bool,
    flaw: Option<Flaw>,
}

impl FlawFinder {
    /// A finder at the start of a message.
    pub fn new() -> FlawFinder {
        FlawFinder::default()
    }

    /// Reads the next piece; returns the first flaw of all that was read.
    pub fn read(&mut self, piece: &[u8]) -> Option<Flaw> {
        if self.flaw.is_none() {
            self.flaw = self.find(piece);
        }
        self.flaw
    }

    /// At the end of the message, where a last CR is bare.
    pub fn finish(&self) -> Option<Flaw> {
        self.flaw.or(self.after_cr.then_some(Flaw::BareCr))
    }

    fn find(&mut self, piece: &[u8]) -> Option<Flaw> {
        let mut rest = piece;
        if self.after_cr {
            match rest.split_first() {
                None => return None,
                Some((b'\n', after)) => rest = after,
                Some(_) => return Some(Flaw::BareCr),
            }
            self.after_cr = false;
        }
        while let Some(at) = memchr::memchr3(b'\r', b'\n', 0, rest) {
            match (rest[at], rest.get(at + 1)) {
                (b'\n', _) => return Some(Flaw::BareLf),
                (0, _) => return Some(Flaw::Nul),
                (_, Some(b'\n')) => rest = &rest[at + 2..],
                (_, Some(_)) => return Some(Flaw::BareCr),
                (_, None) => {
                    self.after_cr = true;
                    return None;
                }
            }
        }
        None
    }
}

/// Turns each bare CR and LF of content into CRLF, piece by piece.
///
/// It is for content whose end is known: where DATA ends, and which dots were added, is decided by
/// [`crate::dot::Decoder`] before, which knows only CRLF. So nothing that is made a line here can end a message.
#[derive(Debug, Clone, Default)]
pub struct Normaliser {
    after_cr: bool,
}

impl Normaliser {
    /// A normaliser at the start of a message.
    pub fn new() -> Normaliser {
        Normaliser::default()
    }

    /// Mends the next piece. It is copied only if it needs to be, and is at most twice as long then.
    ///
    /// A NUL cannot be mended: that is an error, after which the normaliser is of no more use.
    pub fn normalise(&mut self, piece: Bytes) -> Result<Bytes, Flaw> {
        let octets = &piece[..];
        // What is written lags behind what is read until something must be changed.
        let mut out = BytesMut::new();
        let (mut read, mut written) = (0, 0);
        while read < octets.len() {
            if self.after_cr {
                self.after_cr = false;
                if octets[read] == b'\n' {
                    read += 1;
                } else {
                    out.put_slice(&octets[written..read]);
                    out.put_u8(b'\n');
                    written = read;
                }
                continue;
            }
            let Some(hit) = memchr::memchr3(b'\r', b'\n', 0, &octets[read..]) else { break };
            read += hit;
            match octets[read] {
                b'\r' => self.after_cr = true,
                b'\n' => {
                    out.put_slice(&octets[written..read]);
                    out.put_slice(b"\r\n");
                    written = read + 1;
                }
                _ => return Err(Flaw::Nul),
            }
            read += 1;
        }
        if out.is_empty() {
            return Ok(piece);
        }
        out.put_slice(&octets[written..]);
        Ok(out.freeze())
    }

    /// What is to be added at the end of the message, where a last CR is bare: an LF, or nothing.
    pub fn finish(&self) -> &'static [u8] {
        if self.after_cr { b"\n" } else { b"" }
    }
}
