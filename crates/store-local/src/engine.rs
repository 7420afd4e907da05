//! The parts of an open store, and what all the traits' methods need of them.

use crate::Clock;
use crate::Work;
use crate::file::{Files, Lock};
use crate::index::MessageRow;
use crate::large::{LargeFiles, Unfinished};
use crate::rolls::Rolls;
use crate::roster::Roster;
use crate::segments::Segments;
use crate::sieve::Sieves;
use crate::space::Space;
use crate::status::Status;
use crate::view::View;
use crate::writer::Writer;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use store::{Error, FateLimits, Result, SpoolId, SpoolIds, Timestamp};
use tokio::sync::{Semaphore, oneshot};

/// An open store.
pub(crate) struct Engine {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) directory: PathBuf,
    pub(crate) segments: Arc<Segments>,
    pub(crate) large: Arc<LargeFiles>,
    pub(crate) view: Arc<View>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) status: Arc<Status>,
    pub(crate) writer: Writer,
    pub(crate) space: Arc<Space>,
    pub(crate) sieves: Sieves,
    pub(crate) rolls: Rolls,
    pub(crate) clock: Clock,
    pub(crate) work: Work,
    /// Content longer than this gets a file of its own.
    pub(crate) large_from: usize,
    /// How much is remembered of what became of deliveries.
    pub(crate) fates: FateLimits,
    pub(crate) ids: Mutex<SpoolIds>,
    pub(crate) large_writes: Semaphore,
    /// Held until the store is closed.
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
}

impl Engine {
    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The next message's id.
    pub(crate) fn next_id(&self) -> SpoolId {
        self.ids.lock().expect("no holder of this lock panics").next(self.now())
    }

    /// Reads from the records of a message. When they were moved meanwhile, once more from where they are now.
    pub(crate) fn with_message<T>(
        &self,
        spool: SpoolId,
        read: impl FnMut(MessageRow) -> Result<T>,
    ) -> Result<Option<T>> {
        let at = self.view.read()?.message(spool)?;
        self.with_message_at(spool, at, read)
    }

    /// The same where it is known what the index says, or said a moment ago.
    pub(crate) fn with_message_at<T>(
        &self,
        spool: SpoolId,
        mut at: Option<MessageRow>,
        mut read: impl FnMut(MessageRow) -> Result<T>,
    ) -> Result<Option<T>> {
        while let Some(message) = at {
            match read(message) {
                Ok(text) => return Ok(Some(text)),
                Err(error) => {
                    at = self.view.read()?.message(spool)?;
                    if at.is_some_and(|now| now.record == message.record) {
                        return Err(match error {
                            // It is named as before: nobody has removed it.
                            Error::NoSuchMessage(_) => Error::Damaged(format!(
                                "the file with the content of message {spool} is missing"
                            )),
                            error => error,
                        });
                    }
                }
            }
        }
        Ok(None)
    }

    /// Waits until everything that was acknowledged before can be read.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        self.status.check_open()?;
        self.retry_index();
        self.view.reach(self.status.durable()).await
    }

    /// Tries anew to use a failed index, where no thread does that now and then.
    pub(crate) fn retry_index(&self) {
        if self.work == Work::Caller && (self.status.index_has_failed() || self.view.trouble().is_some()) {
            self.view.retry();
        }
    }

    /// Runs what may block, such as reading from a disk, where it cannot hold up other connections.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.work == Work::Caller {
            return act();
        }
        let result = tokio::task::spawn_blocking(act).await;
        // A panic, or the runtime is being shut down.
        let failed = |error: tokio::task::JoinError| Error::Io {
            what: "running a task of the store".to_owned(),
            cause: error.to_string(),
        };
        result.unwrap_or_else(|error| Err(failed(error)))
    }

    /// Waits for the changes of others, then reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.catch_up().await?;
        self.off_thread(act).await
    }

    /// Writes large content. Only a few do so at the same time: a disk gains nothing from more, and each takes a thread.
    pub(crate) async fn write_large<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.large_writes.acquire().await.map_err(|_| Error::Closed)?;
        let result = self.off_thread(act).await;
        drop(permit);
        // A name that cannot be made durable, which is not tried again.
        result.inspect_err(|error| {
            if matches!(error, Error::Fenced(_)) {
                self.status.fence(error);
            }
        })
    }

    /// Gives up large content that was being received; removing a long file can take a while.
    pub(crate) fn drop_large(&self, large: Unfinished) {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.work == Work::Threads => drop(runtime.spawn_blocking(move || drop(large))),
            _ => drop(large),
        }
    }

    /// The writer's answer.
    pub(crate) async fn answer<T>(&self, answered: oneshot::Receiver<Result<T>>) -> Result<T> {
        let stopped = || self.status.check().err().unwrap_or(Error::Closed);
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Closes everything. What was handed in is finished first.
    pub(crate) fn close(&self) -> Result<()> {
        self.status.close();
        // Whoever closes a second time waits here for the first: nobody may think that the files are free before they are.
        let mut lock = self.lock.lock().expect("no holder of this lock panics");
        self.space.stop();
        self.sieves.stop();
        let closed = self.writer.close();
        *lock = None;
        closed
    }
}

/// How many connections write large content at the same time.
pub(crate) const LARGE_WRITES: usize = 16;
