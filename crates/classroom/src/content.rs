//! The text of a message on its way in: lines that end with LF or CRLF, up to one with nothing but a dot.

use bytes::{BufMut, Bytes, BytesMut};
use wire::Normaliser;

/// Reads a text.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// In the middle of a line that was too long to wait for its end.
    mid_line: bool,
    endings: Normaliser,
    size: u64,
    has_nul: bool,
}

/// What was found.
pub(crate) enum Piece {
    /// Lines, each ended by CRLF, but for a part of a long one.
    Lines(Bytes),
    /// The line with the dot.
    End,
    /// More input is needed.
    None,
}

impl Text {
    /// Octets so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether there was an octet that no text has.
    pub(crate) fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// Takes what can be decided from the front of `input`.
    pub(crate) fn take(&mut self, input: &mut BytesMut) -> Piece {
        let mut lines = BytesMut::new();
        loop {
            let Some(at) = memchr::memchr(b'\n', input) else {
                // Half of a CRLF, or what may become a dot alone, is waited for.
                if input.len() >= LINE_MAX {
                    let keep = usize::from(input.last() == Some(&b'\r'));
                    lines.put_slice(&input.split_to(input.len() - keep));
                    self.mid_line = true;
                }
                break;
            };
            let line = strip_end(&input[..=at]);
            if line == b"." && !self.mid_line {
                if lines.is_empty() {
                    drop(input.split_to(at + 1));
                    return Piece::End;
                }
                break;
            }
            lines.put_slice(line);
            lines.put_slice(b"\r\n");
            self.mid_line = false;
            drop(input.split_to(at + 1));
        }
        if lines.is_empty() {
            return Piece::None;
        }
        self.has_nul |= memchr::memchr(0, &lines).is_some();
        // A CR in the middle of a line ends it as well: the store's texts have whole line ends.
        let lines = self.endings.normalise(lines.freeze());
        self.size += lines.len() as u64;
        Piece::Lines(lines)
    }
}

/// A line without its LF or CRLF.
pub(crate) fn strip_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A line longer than this is taken in parts.
const LINE_MAX: usize = 4096;
