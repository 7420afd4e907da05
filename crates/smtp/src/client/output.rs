//! What is to be sent: commands gathered into one piece, content as it is.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fmt::{self, Display};

/// Bytes on their way out; `Debug` does not show them, because a response to AUTH may be among them.
#[derive(Default)]
pub(super) struct Output {
    whole: VecDeque<Bytes>,
    small: BytesMut,
}

impl Output {
    /// Adds a command line.
    pub(super) fn line(&mut self, command: &impl Display) {
        let line = format!("{command}\r\n");
        self.bytes(line.as_bytes());
    }

    /// Adds bytes by copying them.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    /// Adds content; not copied unless it is short.
    pub(super) fn content(&mut self, content: Bytes) {
        if content.len() < COPIED_BELOW {
            return self.bytes(&content);
        }
        if !self.small.is_empty() {
            self.whole.push_back(std::mem::take(&mut self.small).freeze());
        }
        self.whole.push_back(content);
    }

    /// Whether there is so much that it should be sent before more is made.
    pub(super) fn is_much(&self) -> bool {
        !self.whole.is_empty() || self.small.len() >= COPIED_BELOW
    }

    /// The next piece to send.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.whole
            .pop_front()
            .or_else(|| (!self.small.is_empty()).then(|| std::mem::take(&mut self.small).freeze()))
    }

    pub(super) fn clear(&mut self) {
        *self = Output::default();
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({} pieces, {} octets)", self.whole.len(), self.small.len())
    }
}

/// Below this length, in octets, a write of its own costs more than the copy.
const COPIED_BELOW: usize = 16 * 1024;
