//! What content must not hold, whatever carries it.
//!
//! RFC 5321 §2.3.8 allows CR and LF in content only as CRLF; §4.5.2 leaves no place for NUL. The finder reads
//! content in pieces and says what it found first. [`crate::dot::Decoder`] does the same while it removes
//! dots.

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
