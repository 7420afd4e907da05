//! Content on its way in: in memory as long as it is small, in a file of its own from then on.

use crate::body::{self, Accepted};
use crate::effect::NewQueued;
use crate::engine::Engine;
use crate::job::{ContentBytes, Job, Message};
use crate::large::{BLOCK, Unfinished};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use store::{Error, Result, SpoolId, Stage};
use tokio::sync::oneshot;

/// A message being received.
pub(crate) struct LocalStage {
    engine: Arc<Engine>,
    id: SpoolId,
    len: u64,
    /// Of what would be the body of a content record: the spool id, then the content.
    body_crc: u32,
    held: Held,
    large: Option<Unfinished>,
    /// Why it cannot be committed.
    failed: Option<Error>,
}

/// Bytes held in memory.
#[derive(Default)]
struct Held {
    chunks: Vec<Bytes>,
    /// The end, gathered from small chunks.
    small: BytesMut,
    len: usize,
}

impl LocalStage {
    /// An empty one.
    pub(crate) fn new(engine: Arc<Engine>, id: SpoolId) -> LocalStage {
        let body_crc = crc32c::crc32c(&id.0.to_le_bytes());
        LocalStage { engine, id, len: 0, body_crc, held: Held::default(), large: None, failed: None }
    }

    /// Whether it belongs to this store.
    pub(crate) fn is_of(&self, engine: &Arc<Engine>) -> bool {
        Arc::ptr_eq(&self.engine, engine)
    }

    /// The message, ready for the writer; large content is durable.
    pub(crate) async fn finish(mut self: Box<Self>, accepted: store::Accepted) -> Result<Message> {
        accepted.check()?;
        self.failed.clone().map_or(Ok(()), Err)?;
        self.engine.retry_index();
        self.engine.status.check_change()?;
        let stored = Accepted::of(self.id.0, self.len, &accepted);
        let queued = NewQueued::of(&stored)?;
        let encoded = body::encode(&stored);
        if encoded.len() > ACCEPTANCE_MAX {
            return Err(Error::Invalid(format!("an envelope and trace of {} bytes", encoded.len())));
        }
        let content = match self.large.take() {
            None => {
                let length = self.len;
                ContentBytes::Here { chunks: self.held.take(), length, body_crc: self.body_crc }
            }
            Some(mut large) => {
                let chunks = self.held.take();
                let finished = self.engine.write_large(move || {
                    large.write(chunks)?;
                    large.finish()
                });
                let (file, length, crc) = finished.await?;
                ContentBytes::Large { length, crc, file }
            }
        };
        Ok(Message { content, accepted: stored, queued, encoded, deliveries: accepted.deliveries })
    }

    /// Writes what is held to the message's own file, if that leaves the reserve alone.
    async fn spill(&mut self) -> Result<()> {
        if let Err(error) = self.engine.status.take_room(self.held.len as u64) {
            // What is there already is given back at once: others need the room.
            self.held = Held::default();
            self.large.take().into_iter().for_each(|large| self.engine.drop_large(large));
            self.failed = Some(error.clone());
            return Err(error);
        }
        let (large, chunks) = (self.large.take(), self.held.take());
        // If this future is dropped while the write is under way, the file is lost to us.
        self.failed = Some(Error::Invalid("the content was interrupted".to_owned()));
        let (files, spool) = (self.engine.large.clone(), self.id.0);
        let written = self.engine.write_large(move || {
            let mut large = large.map_or_else(|| files.create(spool), Ok)?;
            large.write(chunks)?;
            Ok(large)
        });
        match written.await {
            Ok(large) => {
                self.large = Some(large);
                self.failed = None;
                Ok(())
            }
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Stage for LocalStage {
    fn id(&self) -> SpoolId {
        self.id
    }

    fn len(&self) -> u64 {
        self.len
    }

    async fn append(&mut self, chunk: Bytes) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)?;
        self.len += chunk.len() as u64;
        if self.large.is_none() {
            self.body_crc = crc32c::crc32c_append(self.body_crc, &chunk);
        }
        self.held.push(chunk);
        let hold = if self.large.is_some() { BLOCK - 1 } else { self.engine.large_from };
        if self.held.len > hold { self.spill().await } else { Ok(()) }
    }

    async fn commit(self: Box<Self>, accepted: store::Accepted) -> Result<SpoolId> {
        let engine = self.engine.clone();
        let message = self.finish(accepted).await?;
        let (answer, answered) = oneshot::channel();
        let now = engine.now();
        engine.writer.submit(Job::Commit { message: Box::new(message), now, answer });
        engine.answer(answered).await
    }
}

impl Drop for LocalStage {
    fn drop(&mut self) {
        if let Some(large) = self.large.take() {
            self.engine.drop_large(large);
        }
    }
}

impl Held {
    /// Takes a chunk. A small one is copied, so that it does not keep a whole read buffer alive, and so that content that comes byte
    /// by byte takes no more memory than its length.
    fn push(&mut self, chunk: Bytes) {
        self.len += chunk.len();
        if chunk.len() < COPY_BELOW {
            self.small.extend_from_slice(&chunk);
            if self.small.len() >= COPY_BELOW {
                self.end_small();
            }
            return;
        }
        self.end_small();
        self.chunks.push(chunk);
    }

    /// Everything, in order; it then holds nothing.
    fn take(&mut self) -> Vec<Bytes> {
        self.end_small();
        self.len = 0;
        std::mem::take(&mut self.chunks)
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.chunks.push(std::mem::take(&mut self.small).freeze());
        }
    }
}

/// Below this a chunk is copied. A driver's read buffer is 64 KiB, so what is not copied keeps at most twice its length alive.
const COPY_BELOW: usize = 32 * 1024;

/// The most that the acceptance of one message takes in the log. A thousand recipients take some hundred kilobytes.
const ACCEPTANCE_MAX: usize = 64 << 20;
