//! Whether the store can be written, as a few atomic values that everybody shares: asked at each MAIL, so it must cost nothing.

use crate::Clock;
use crate::error::io_error;
use crate::file::Files;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use store::{Error, Result};

/// The state of the engine as a whole.
pub(crate) struct Status {
    files: Arc<dyn Files>,
    directory: PathBuf,
    clock: Clock,
    /// Below this many bytes of free space nothing new is accepted.
    reserve: u64,
    free: AtomicU64,
    /// When the free space was last asked for, in milliseconds.
    asked: AtomicI64,
    /// How many batches are durable.
    durable: AtomicU64,
    /// Whether there was too little when it was last looked at.
    short: AtomicBool,
    fence: OnceLock<String>,
    /// Why the index cannot be used at the moment.
    index: Mutex<Option<Error>>,
    /// Whether there is such a reason.
    index_failed: AtomicBool,
    closed: AtomicBool,
}

impl Status {
    /// Everything is well, and there is room until asked.
    pub(crate) fn new(files: Arc<dyn Files>, directory: PathBuf, clock: Clock, reserve: u64) -> Status {
        Status {
            files,
            directory,
            clock,
            reserve,
            free: AtomicU64::new(u64::MAX),
            asked: AtomicI64::new(i64::MIN),
            durable: AtomicU64::new(0),
            short: AtomicBool::new(false),
            fence: OnceLock::new(),
            index: Mutex::new(None),
            index_failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether anything can be written at all: also what makes room, such as settlements and expunges.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_open()?;
        self.check_fence()
    }

    /// Whether the store is open.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether every write and sync so far has succeeded.
    pub(crate) fn check_fence(&self) -> Result<()> {
        self.fence.get().map_or(Ok(()), |why| Err(Error::Fenced(why.clone())))
    }

    /// Whether anything new can be begun: the log can be written, and the index follows it. Otherwise what is durable could not be seen.
    pub(crate) fn check_change(&self) -> Result<()> {
        self.check()?;
        if self.index_has_failed() { self.index().clone().map_or(Ok(()), Err) } else { Ok(()) }
    }

    /// Whether the index is to be opened anew.
    pub(crate) fn index_has_failed(&self) -> bool {
        self.index_failed.load(Ordering::Acquire)
    }

    /// Takes note of how the index is, and says so when that is news.
    pub(crate) fn index_is(&self, failed: Option<&Error>) {
        let mut index = self.index();
        match (&*index, failed) {
            (None, None) => return,
            (None, Some(error)) => {
                tracing::error!(%error, "the index has failed; nothing is accepted until it can be used again. What was acknowledged is safe in the log");
            }
            (Some(_), None) => tracing::info!("the index can be used again"),
            (Some(_), Some(_)) => {}
        }
        *index = failed.cloned();
        self.index_failed.store(failed.is_some(), Ordering::Release);
    }

    fn index(&self) -> MutexGuard<'_, Option<Error>> {
        self.index.lock().expect("no holder of this lock panics")
    }

    /// Whether messages can be accepted.
    pub(crate) fn health(&self) -> Result<()> {
        self.take_room(0)
    }

    /// Takes room for content that comes before its message is committed: the reserve must be kept however much is under way. Asks the
    /// file system for its free space once a second, and counts in between.
    pub(crate) fn take_room(&self, bytes: u64) -> Result<()> {
        self.check_change()?;
        let now = (self.clock)().0;
        let asked = self.asked.load(Ordering::Relaxed);
        let due = now.saturating_sub(asked).unsigned_abs() >= ASK_EVERY;
        if due && self.asked.compare_exchange(asked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            match self.files.free_space(&self.directory) {
                Ok(free) => self.free.store(free, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the free space is unknown"),
            }
        }
        let take = |free: u64| Some(free.saturating_sub(bytes));
        let before = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let free = before.unwrap_or_else(|free| free).saturating_sub(bytes);
        let (directory, reserve) = (self.directory.display(), self.reserve);
        let short = free < reserve;
        if self.short.swap(short, Ordering::Relaxed) != short {
            if short {
                tracing::error!(%directory, free, reserve, "the disk is nearly full: no mail is accepted");
            } else {
                tracing::info!(%directory, free, "there is room on the disk again");
            }
        }
        if short {
            return Err(Error::Full(format!(
                "{directory}: {free} bytes free, {reserve} are kept in reserve"
            )));
        }
        Ok(())
    }

    /// What the file system can still take, in bytes.
    pub(crate) fn free_space(&self) -> Result<u64> {
        let free = self.files.free_space(&self.directory);
        free.map_err(|error| io_error("asking for the free space of", &self.directory, error))
    }

    /// Below this many bytes of free space nothing new is accepted.
    pub(crate) fn reserve(&self) -> u64 {
        self.reserve
    }

    /// A write or a sync has failed: nothing is written from now on. Only the first reason counts, and is said loudly.
    pub(crate) fn fence(&self, error: &Error) {
        self.fence.get_or_init(|| {
            let why = match error {
                Error::Fenced(why) => why.clone(),
                error => error.to_string(),
            };
            tracing::error!(%why, "the log can no longer be written: the store accepts nothing until it is opened anew");
            why
        });
    }

    /// The store is closing: nothing new is begun.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// One more batch is durable; returns how many are.
    pub(crate) fn advance(&self) -> u64 {
        self.durable.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// How many batches are durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Status")
            .field("fence", &self.fence)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// Milliseconds between two questions for the free space.
const ASK_EVERY: u64 = 1_000;
