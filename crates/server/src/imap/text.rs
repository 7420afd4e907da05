//! Texts of messages, as far as an answer needs them: the header, all of it, or piece by piece.
//!
//! What needs a message as a whole (its structure, its parts) has it in memory for a moment, within the bounds of [`crate::reading::Memory`].

use bytes::{Bytes, BytesMut};
use store::{Reader, Result};

/// Header sections are read so far, in octets; what is beyond is no field that anybody looks for.
pub(super) const HEADER_MAX: usize = 512 * 1024;

/// The whole text.
pub(super) async fn whole(mut reader: Reader) -> Result<Bytes> {
    let Some(first) = reader.content.next().await? else { return Ok(Bytes::new()) };
    if first.len() as u64 >= reader.len {
        return Ok(first);
    }
    let mut text = BytesMut::with_capacity(usize::try_from(reader.len).unwrap_or(0));
    text.extend_from_slice(&first);
    while let Some(piece) = reader.content.next().await? {
        text.extend_from_slice(&piece);
    }
    Ok(text.freeze())
}

/// The header section, with the empty line that ends it.
pub(super) async fn head(mut reader: Reader) -> Result<Bytes> {
    let Some(first) = reader.content.next().await? else { return Ok(Bytes::new()) };
    if let Some(end) = header_end(&first, 0) {
        return Ok(first.slice(..end));
    }
    let mut text = BytesMut::from(&first[..]);
    while let Some(piece) = reader.content.next().await? {
        let from = text.len().saturating_sub(3);
        text.extend_from_slice(&piece);
        if let Some(end) = header_end(&text, from) {
            text.truncate(end);
            break;
        }
        if text.len() >= HEADER_MAX {
            break;
        }
    }
    Ok(text.freeze())
}

/// Where the body begins, if that is in this text; everything before `from` was looked at.
pub(super) fn header_end(text: &[u8], from: usize) -> Option<usize> {
    if text.starts_with(b"\r\n") {
        return Some(2);
    }
    memchr::memmem::find(&text[from..], b"\r\n\r\n").map(|at| from + at + 4)
}

/// A slice of a text that is shorter than this is sent as a copy, unless it is most of the text.
const SLICE_MIN: usize = 64 * 1024;

/// A slice of a text of this length, without the text when it is only a little of it: what waits to be sent counts by its own length.
pub(super) fn apart(slice: Bytes, length: usize) -> Bytes {
    if slice.len() < SLICE_MIN && slice.len() < length / 2 { Bytes::copy_from_slice(&slice) } else { slice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_of_a_text_does_not_hold_all_of_it() {
        let text = Bytes::from(vec![b'x'; 4 * SLICE_MIN]);
        let little = apart(text.slice(1..4097), text.len());
        assert_eq!(little.len(), 4096);
        assert!(text.is_unique(), "the slice is a copy");
        let most = apart(text.slice(1..), text.len());
        assert!(!text.is_unique() && most.len() == text.len() - 1, "what is long is not copied");
    }
}
