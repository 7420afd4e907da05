//! How much of a message is taken apart.

/// Bounds for [`crate::Structure`]. What lies beyond them is not listed, and the structure says that it is truncated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How deep parts lie in parts; the message itself is at 1. What is deeper is not taken apart.
    pub depth: usize,
    /// How many parts there are, the message itself included.
    pub parts: usize,
    /// How many header fields there are, in all sections together.
    pub fields: usize,
    /// How many bytes of one header section are listed. (Postfix allows 102,400.)
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { depth: 64, parts: 1000, fields: 10_000, header_bytes: 256 * 1024 }
    }
}
