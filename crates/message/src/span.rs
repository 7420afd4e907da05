//! A range of bytes in a message, and the lines it is made of.

/// From `start` up to but without `end`, in bytes from the start of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The first byte after it; never less than `start`.
    pub end: usize,
}

impl Span {
    /// From `start` to `end`; empty at `start` when `end` is less.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end: end.max(start) }
    }

    /// How many bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// These bytes of the message it belongs to; of another message, those that exist.
    pub fn of(self, message: &[u8]) -> &[u8] {
        let end = self.end.min(message.len());
        &message[self.start.min(end)..end]
    }
}

/// One line: its text without the line ending, and where the next one starts.
#[derive(Clone, Copy)]
pub(crate) struct RawLine {
    pub(crate) text: Span,
    pub(crate) next: usize,
}

/// The line that starts at `start`, which is inside the message. It ends with LF or CRLF (a stored message has only the latter, a
/// file may not) or with the message.
pub(crate) fn line_at(message: &[u8], start: usize) -> RawLine {
    let (end, next) = match memchr::memchr(b'\n', &message[start..]) {
        Some(offset) => (start + offset, start + offset + 1),
        None => (message.len(), message.len()),
    };
    let has_cr = next > end && end > start && message[end - 1] == b'\r';
    RawLine { text: Span::new(start, if has_cr { end - 1 } else { end }), next }
}
