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
        self.read_at(piece).map(|(flaw, _)| flaw)
    }

    /// Reads the next piece; returns the first flaw of all that was read, and how many octets of this piece come before
    /// the one that shows it: for a bare CR that is the next one, for a flaw of an earlier piece none.
    pub fn read_at(&mut self, piece: &[u8]) -> Option<(Flaw, usize)> {
        if let Some(flaw) = self.flaw {
            return Some((flaw, 0));
        }
        let found = self.find(piece);
        self.flaw = found.map(|(flaw, _)| flaw);
        found
    }

    /// At the end of the message, where a last CR is bare.
    pub fn finish(&self) -> Option<Flaw> {
        self.flaw.or(self.after_cr.then_some(Flaw::BareCr))
    }

    fn find(&mut self, piece: &[u8]) -> Option<(Flaw, usize)> {
        let mut read = 0;
        if self.after_cr {
            match piece.first() {
                None => return None,
                Some(b'\n') => read = 1,
                Some(_) => return Some((Flaw::BareCr, 0)),
            }
            self.after_cr = false;
        }
        while let Some(hit) = memchr::memchr3(b'\r', b'\n', 0, &piece[read..]) {
            let at = read + hit;
            match (piece[at], piece.get(at + 1)) {
                (b'\n', _) => return Some((Flaw::BareLf, at)),
                (0, _) => return Some((Flaw::Nul, at)),
                (_, Some(b'\n')) => read = at + 2,
                (_, Some(_)) => return Some((Flaw::BareCr, at + 1)),
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
    pub fn normalise(&mut self, piece: Bytes) -> Bytes {
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
            let Some(hit) = memchr::memchr2(b'\r', b'\n', &octets[read..]) else { break };
            read += hit;
            if octets[read] == b'\r' {
                self.after_cr = true;
            } else {
                out.put_slice(&octets[written..read]);
                out.put_slice(b"\r\n");
                written = read + 1;
            }
            read += 1;
        }
        if out.is_empty() {
            return piece;
        }
        out.put_slice(&octets[written..]);
        out.freeze()
    }

    /// What is to be added at the end of the message, where a last CR is bare: an LF, or nothing.
    pub fn finish(&self) -> &'static [u8] {
        if self.after_cr { b"\n" } else { b"" }
    }
}
