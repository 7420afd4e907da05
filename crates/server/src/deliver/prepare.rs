//! A message as the host can take it: its envelope, and its content, converted where that is what it takes.
//!
//! What cannot be made to fit stays as it is: the client endpoint then refuses it by itself, and nothing is ever cut off in silence.

use super::relay::Letter;
use async_trait::async_trait;
use bytes::Bytes;
use smtp::{Body, Envelope, Extensions};
use store::{Content, Forward, Reader, SharedStore};

/// The envelope as the server can take it, and the content; of forwarded mail with its own reverse-path and fields.
pub(super) async fn prepared(
    store: &SharedStore,
    offered: &Extensions,
    letter: &Letter,
) -> store::Result<(Envelope, Reader)> {
    let (mut envelope, Reader { len, content }) = fitted(store, offered, letter).await?;
    let Some(Forward { reverse_path, trace }) = &letter.forward else {
        return Ok((envelope, Reader { len, content }));
    };
    envelope.reverse_path = reverse_path.clone();
    let len = len + trace.len() as u64;
    let front = Some(trace.clone()).filter(|trace| !trace.is_empty());
    Ok((envelope, Reader { len, content: Box::new(Preceded { front, rest: content }) }))
}

async fn fitted(
    store: &SharedStore,
    offered: &Extensions,
    letter: &Letter,
) -> store::Result<(Envelope, Reader)> {
    let mut envelope = letter.envelope.clone();
    // Many clients say BODY=8BITMIME whatever they send, and some say nothing and send 8-bit octets. For a host without 8BITMIME what counts
    // is what is there.
    if envelope.body != Body::BinaryMime && !offered.eight_bit_mime() {
        envelope.body = match is_ascii(store.content(letter.spool).await?).await? {
            true => Body::SevenBit,
            false => Body::EightBitMime,
        };
    }
    let content = store.content(letter.spool).await?;
    let fits = match envelope.body {
        Body::SevenBit => true,
        Body::EightBitMime => offered.eight_bit_mime(),
        Body::BinaryMime => offered.binary_mime() && offered.chunking(),
    };
    // What is too large for that, or must not be altered, the endpoint refuses: it goes back with 5.6.3.
    if fits || content.len > CONVERTED_MAX {
        return Ok((envelope, content));
    }
    match message::downgrade::to_seven_bit(&content.read_all(CONVERTED_MAX).await?) {
        Ok(converted) => {
            tracing::debug!(id = %letter.spool, "converted to 7 bits: the host takes nothing else");
            envelope.body = Body::SevenBit;
            Ok((
                envelope,
                Reader { len: converted.len() as u64, content: Box::new(Converted(converted.into())) },
            ))
        }
        Err(why) => {
            tracing::info!(id = %letter.spool, %why, "not converted to 7 bits, and the host takes nothing else");
            Ok((envelope, store.content(letter.spool).await?))
        }
    }
}

/// Content with something before it.
struct Preceded {
    front: Option<Bytes>,
    rest: Box<dyn Content>,
}

#[async_trait]
impl Content for Preceded {
    async fn next(&mut self) -> store::Result<Option<Bytes>> {
        match self.front.take() {
            Some(front) => Ok(Some(front)),
            None => self.rest.next().await,
        }
    }
}

/// Content in memory.
struct Converted(Bytes);

#[async_trait]
impl Content for Converted {
    async fn next(&mut self) -> store::Result<Option<Bytes>> {
        let piece = self.0.split_to(self.0.len().min(PIECE));
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

async fn is_ascii(mut reader: Reader) -> store::Result<bool> {
    while let Some(bytes) = reader.content.next().await? {
        if !bytes.is_ascii() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The largest message that is converted for a host that takes 7-bit content only, in bytes: it is in memory meanwhile, and hosts of that kind are few.
const CONVERTED_MAX: u64 = 8 * 1024 * 1024;
/// Converted content is handed over in pieces of this size.
const PIECE: usize = 64 * 1024;
