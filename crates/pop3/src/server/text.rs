//! The text of a message on its way to the client: whole line ends, added dots, and for TOP an end.
//!
//! What the store keeps may be binary (RFC 3030): bare CRs and LFs become CRLF here, because in POP3 a text is lines (RFC 1939 §3).

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;
use wire::Normaliser;

/// Encodes a text that comes in pieces.
#[derive(Debug)]
pub(super) struct Text {
    endings: Normaliser,
    /// How much of it is wanted; everything when `None`.
    limit: Option<Limit>,
    /// What comes next begins a line.
    at_line_start: bool,
}

/// The header section and some lines (RFC 1939 §7).
#[derive(Debug)]
struct Limit {
    /// The empty line has not come yet.
    in_header: bool,
    /// Octets since the last LF.
    column: usize,
    /// Lines of the body still wanted.
    lines: u32,
}

/// Whether more of the text is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    More,
    Enough,
}

impl Text {
    /// All of a text, or its header section and so many lines.
    pub(super) fn new(lines: Option<u32>) -> Text {
        let limit = lines.map(|lines| Limit { in_header: true, column: 0, lines });
        Text { endings: Normaliser::new(), limit, at_line_start: true }
    }

    /// Encodes the next piece. It is copied only if it needs to be.
    pub(super) fn encode(&mut self, piece: Bytes) -> (Bytes, Wanted) {
        let mut piece = self.endings.normalise(piece);
        let wanted = match &mut self.limit {
            Some(limit) => limit.cut(&mut piece),
            None => Wanted::More,
        };
        if wanted == Wanted::Enough {
            // A CR that was cut off must not be completed.
            self.endings = Normaliser::new();
        }
        (self.stuff(piece), wanted)
    }

    /// The end: what the last line lacks, and the line with the dot.
    pub(super) fn finish(&mut self) -> &'static [u8] {
        match (self.endings.finish(), self.at_line_start) {
            ([], true) => b".\r\n",
            ([], false) => b"\r\n.\r\n",
            // The last octet was a CR.
            _ => b"\n.\r\n",
        }
    }

    /// Adds a dot to each line that begins with one.
    fn stuff(&mut self, piece: Bytes) -> Bytes {
        let Some(last) = piece.last() else { return piece };
        let starts_with_dot = self.at_line_start && piece[0] == b'.';
        self.at_line_start = *last == b'\n';
        let mut hits = memmem::find_iter(&piece, b"\n.").map(|at| at + 1).peekable();
        if !starts_with_dot && hits.peek().is_none() {
            drop(hits);
            return piece;
        }
        let mut out = BytesMut::with_capacity(piece.len() + piece.len() / 64 + 1);
        let mut written = 0;
        for at in starts_with_dot.then_some(0).into_iter().chain(hits) {
            out.put_slice(&piece[written..at]);
            out.put_u8(b'.');
            written = at;
        }
        out.put_slice(&piece[written..]);
        out.freeze()
    }
}

impl Limit {
    /// Cuts off what is not wanted of a piece with whole line ends.
    fn cut(&mut self, piece: &mut Bytes) -> Wanted {
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', piece) {
            // Only the CR of it: the line is empty.
            let is_empty = self.column + (at - from) <= 1;
            (self.column, from) = (0, at + 1);
            if !self.in_header {
                self.lines -= 1;
            } else if is_empty {
                self.in_header = false;
            }
            if !self.in_header && self.lines == 0 {
                piece.truncate(from);
                return Wanted::Enough;
            }
        }
        self.column += piece.len() - from;
        Wanted::More
    }
}
