//! Replies as a client reads them.

use super::Reply;

/// Why what the server sent is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with a code from 200 to 599, followed by a space, a hyphen or nothing.
    #[error("a line that is no reply")]
    Malformed,
    /// More lines than anybody needs.
    #[error("a reply of too many lines")]
    TooLong,
}

/// Puts replies together from bytes in any chunks.
#[derive(Debug, Default)]
pub struct ReplyParser {}

impl ReplyParser {
    /// Takes bytes that the server sent.
    pub fn receive(&mut self, _bytes: &[u8]) {}

    /// The next whole reply, if there is one.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        Ok(None)
    }
}
