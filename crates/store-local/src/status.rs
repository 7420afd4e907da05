//! Whether the store can be written, as a few atomic values that everybody shares: asked at each MAIL, so it must cost nothing.

use crate::Clock;
use crate::error::io_error;
use crate::file::Files;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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
    fence: OnceLock<String>,
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
            fence: OnceLock::new(),
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

    /// Whether messages can be accepted. Asks the file system for its free space once a second.
    pub(crate) fn health(&self) -> Result<()> {
        self.check()?;
        let now = (self.clock)().0;
        let asked = self.asked.load(Ordering::Relaxed);
        let due = now.saturating_sub(asked).unsigned_abs() >= ASK_EVERY;
        if due && self.asked.compare_exchange(asked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            match self.files.free_space(&self.directory) {
                Ok(free) => self.free.store(free, Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the free space is unknown"),
            }
        }
        let free = self.free.load(Ordering::Relaxed);
        if free < self.reserve {
            let (directory, reserve) = (self.directory.display(), self.reserve);
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

    /// A write or a sync has failed: nothing is written from now on. Only the first reason counts.
    pub(crate) fn fence(&self, error: &Error) {
        self.fence.get_or_init(|| match error {
            Error::Fenced(why) => why.clone(),
            error => error.to_string(),
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
