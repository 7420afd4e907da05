//! Lines, bounded.
use bytes::{Bytes, BytesMut};
/// What a [`LineBuffer`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// todo
    Complete(Bytes),
}
/// Input by lines.
#[derive(Debug, Default)]
pub struct LineBuffer {
    _bytes: BytesMut,
}
