//! Texts being read: trace fields from memory, then the content from the log or from its own file, checked before it is returned.

use crate::body::Accepted;
use crate::effect;
use crate::engine::Engine;
use crate::file::File;
use crate::index::MessageRow;
use crate::large::LargeReader;
use async_trait::async_trait;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::sync::Arc;
use store::{Content, Entry, Error, MailboxId, Reader, Result, SpoolId, Uid};

/// A text being read.
struct Text {
    engine: Arc<Engine>,
    ready: VecDeque<Bytes>,
    rest: Option<Rest>,
}

/// What is to be read later.
enum Rest {
    Log { at: effect::Locator, spool: SpoolId, file: Arc<dyn File> },
    Large(LargeReader),
}

/// Which trace fields come before the content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum For {
    /// The message's alone.
    Relay,
    /// Those of a mailbox delivery as well.
    Entry(u32),
}

impl Engine {
    /// The text of a message. Reads its acceptance now, and a small content with it; may block.
    pub(crate) fn text(self: &Arc<Self>, spool: SpoolId, reader: For) -> Result<Reader> {
        let text = self.with_message(spool, |message| self.text_of(spool, message, reader))?;
        text.ok_or_else(|| Error::NoSuchMessage(spool.to_string()))
    }

    /// The texts of entries, as [`store::Mailboxes::fetch_several`] has them.
    pub(crate) fn texts(
        self: &Arc<Self>,
        mailbox: MailboxId,
        uids: Vec<Uid>,
    ) -> Result<Vec<(Entry, Reader)>> {
        let snapshot = self.view.read()?;
        let entries = snapshot.present(mailbox, uids)?;
        let rows = snapshot.messages(entries.iter().map(|entry| entry.spool))?;
        let mut texts = Vec::with_capacity(entries.len());
        for (entry, row) in entries.into_iter().zip(rows) {
            let read = |message| self.text_of(entry.spool, message, For::Entry(entry.delivery));
            match self.with_message_at(entry.spool, row, read) {
                Ok(Some(reader)) => texts.push((entry, reader)),
                Ok(None) => {}
                Err(error) if texts.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(texts)
    }

    /// The whole text of an entry, read at once.
    pub(crate) fn text_at_once(self: &Arc<Self>, spool: SpoolId, delivery: u32) -> Result<Vec<u8>> {
        let text = self.with_message(spool, |message| {
            let (accepted, _) = Accepted::decode(&self.segments.read(message.record)?)?;
            let own = accepted.own_traces().nth(delivery as usize).cloned().unwrap_or_default();
            let mut text = [own, accepted.trace].concat();
            match message.content {
                effect::Content::Log(at) => {
                    content_chunks(self.segments.read(at)?, spool)?
                        .iter()
                        .for_each(|chunk| text.extend_from_slice(chunk));
                }
                effect::Content::Large { length, .. } => {
                    let mut file = self.large.read(spool, length)?;
                    while let Some(block) = file.next()? {
                        text.extend_from_slice(&block);
                    }
                }
            }
            Ok(text)
        })?;
        text.ok_or_else(|| Error::NoSuchMessage(spool.to_string()))
    }

    fn text_of(self: &Arc<Self>, spool: SpoolId, message: MessageRow, reader: For) -> Result<Reader> {
        let (accepted, _) = Accepted::decode(&self.segments.read(message.record)?)?;
        let own = match reader {
            For::Relay => None,
            For::Entry(delivery) => {
                Some(accepted.own_traces().nth(delivery as usize).cloned().ok_or_else(|| {
                    Error::Damaged(format!("message {spool} has no mailbox delivery number {delivery}"))
                })?)
            }
        };
        let mut ready: VecDeque<Bytes> = own.into_iter().chain([accepted.trace]).collect();
        let trace: u64 = ready.iter().map(|chunk| chunk.len() as u64).sum();
        let (length, rest) = match message.content {
            effect::Content::Log(at) if at.length <= AT_ONCE => {
                let body = self.segments.read(at)?;
                ready.extend(content_chunks(body, spool)?);
                (accepted.length, None)
            }
            effect::Content::Log(at) => {
                // Opened now, because the segment may be rewritten before anybody asks for more.
                let file = self.segments.open_to_read(at.segment)?;
                (accepted.length, Some(Rest::Log { at, spool, file }))
            }
            effect::Content::Large { length, .. } => {
                (length, Some(Rest::Large(self.large.read(spool, length)?)))
            }
        };
        Ok(Reader { len: trace + length, content: Box::new(Text { engine: self.clone(), ready, rest }) })
    }
}

/// The content in the body of a content record, in chunks.
fn content_chunks(mut body: Bytes, spool: SpoolId) -> Result<Vec<Bytes>> {
    if body.len() < 8 || body.get_u64_le() != spool.0 {
        return Err(Error::Damaged(format!("the content of {spool} is that of another message")));
    }
    let mut chunks = Vec::new();
    while !body.is_empty() {
        chunks.push(body.split_to(body.len().min(CHUNK)));
    }
    Ok(chunks)
}

#[async_trait]
impl Content for Text {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.ready.pop_front() {
                Some(chunk) if chunk.is_empty() => continue,
                Some(chunk) => return Ok(Some(chunk)),
                None => {}
            }
            let engine = self.engine.clone();
            match self.rest.take() {
                None => return Ok(None),
                Some(Rest::Log { at, spool, file }) => {
                    let read = move || content_chunks(engine.segments.read_from(&*file, at)?, spool);
                    let chunks = self.engine.off_thread(read).await?;
                    self.ready.extend(chunks);
                }
                Some(Rest::Large(mut file)) => {
                    let read = self.engine.off_thread(move || {
                        let block = file.next()?;
                        Ok(block.map(|block| (block, file)))
                    });
                    if let Some((block, file)) = read.await? {
                        self.ready.push_back(block);
                        self.rest = Some(Rest::Large(file));
                    }
                }
            }
        }
    }
}

/// A content up to this long is read along with the acceptance, in one go.
const AT_ONCE: u32 = 64 * 1024;

/// The largest chunk that a reader returns, but for large content, which comes in its blocks.
const CHUNK: usize = 256 * 1024;
