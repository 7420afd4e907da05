//! The store as the rest of the program sees it: opening, closing, and what can be chosen.

use crate::backup::BackedUp;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::io_error;
use crate::file::Files;
use crate::open;
use crate::sieve::{Searchable, Sieves};
use crate::space::Reclaimed;
use crate::stats::{Stats, Totals};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use store::{FateLimits, Result, Timestamp};

/// A store on the local disk.
///
/// When the last handle is dropped it is closed, which waits for what is under way; [`store::Spool::close`] does the same without
/// blocking the thread, and tells how it went.
pub struct Local {
    pub(crate) engine: Arc<Engine>,
    recovery: Recovery,
}

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where chance comes from: any number, each as likely.
pub type Random = Arc<dyn Fn() -> io::Result<u32> + Send + Sync>;

/// What can be chosen about a store. [`Options::new`] has the usual values.
#[derive(Clone)]
pub struct Options {
    /// The store's directory; it is created when there is none.
    pub directory: PathBuf,
    /// The file system.
    pub files: Arc<dyn Files>,
    /// The clock.
    pub clock: Clock,
    /// Chance, for what nobody outside may foresee: see the salt in `docs/store-format.md`.
    pub random: Random,
    /// Content longer than this many bytes gets a file of its own; at most 64 MiB.
    pub large_from: usize,
    /// How many bytes a segment of the log has, 4 KiB to 16 GiB. Only new segments follow it.
    pub segment_size: u64,
    /// When the file system has less free space than this many bytes, [`store::Spool::health`] says so. It is what there is to drain the
    /// queue with, so it should hold a few segments.
    pub reserve: u64,
    /// How many bytes of memory the index may use as its cache.
    pub index_cache: usize,
    /// The number of this machine in the ids that it gives; 0 to 1023.
    pub node: u16,
    /// How many bytes of the log's segments are read in a second, about, by the thread that gives back the space of what was removed; 0
    /// for no such thread. With [`Work::Caller`] there is none anyway: see [`Local::reclaim`].
    pub reclaim_rate: u64,
    /// How much is remembered of what became of deliveries.
    pub fates: FateLimits,
    /// What of a message can be searched for; without it [`store::Mailboxes::sift`] names all messages, and none has a gist.
    pub searchable: Option<Searchable>,
    /// Who does the work.
    pub work: Work,
}

/// Who does the engine's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Threads of its own and the runtime's blocking threads: for servers. Needs a tokio runtime.
    Threads,
    /// Whoever calls, on the spot: deterministic, for simulations and single commands. No call waits for another.
    Caller,
}

/// What opening a store found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many bytes of unfinished, never acknowledged writing were cut off the end of the log.
    pub torn: u64,
    /// Why the index was made anew, if it was.
    pub rebuilt: Option<String>,
    /// How many batches of the log the index did not know.
    pub replayed: u64,
    /// How many files of large content were left over from messages that were never acknowledged.
    pub leftovers: u64,
    /// Contents of messages that were found damaged, each with its place: everything else about these messages is known.
    pub damage: Vec<String>,
}

impl Options {
    /// The usual values, for a store in this directory of this machine's file system.
    pub fn new(directory: impl Into<PathBuf>) -> Options {
        Options {
            directory: directory.into(),
            files: Arc::new(Disk),
            clock: Arc::new(system_time),
            random: Arc::new(system_random),
            large_from: 1 << 20,
            segment_size: 64 << 20,
            reserve: 256 << 20,
            index_cache: 64 << 20,
            node: 0,
            reclaim_rate: 16 << 20,
            fates: FateLimits::default(),
            searchable: None,
            work: Work::Threads,
        }
    }
}

impl Local {
    /// Opens a store, or begins one.
    ///
    /// Fails with [`store::Error::InUse`] when another process has it open, and with [`store::Error::Damaged`] when something that was
    /// acknowledged cannot be read any more: a person should know first, and [`crate::repair`] saves what is intact. Blocks while
    /// it reads the end of the log.
    pub fn open(options: Options) -> Result<Local> {
        let (engine, recovery) = open::open(options)?;
        let engine = Arc::new(engine);
        if engine.work == Work::Threads {
            let what = |error| io_error("starting the threads of", &engine.directory, error);
            Sieves::start(&engine).map_err(what)?;
        }
        Ok(Local { engine, recovery })
    }

    /// Gives back the space of one sealed segment of which more than half is dead, now and without pauses; `None` when there is no such
    /// segment. Mail is accepted and read meanwhile.
    pub async fn reclaim(&self) -> Result<Option<Reclaimed>> {
        let space = self.engine.space.clone();
        self.engine.read(move || space.reclaim()).await
    }

    /// Why space of what is dead is not given back, as far as that was tried since it was opened; `None` when nothing is in the way.
    pub fn unreclaimed(&self) -> Option<String> {
        self.engine.space.trouble()
    }

    /// How much there is in it. Goes through all messages, so it is nothing to be asked every second.
    pub async fn stats(&self) -> Result<Stats> {
        let engine = self.engine.clone();
        self.engine.read(move || engine.stats()).await
    }

    /// The few figures of it that can be asked at any time.
    pub async fn totals(&self) -> Result<Totals> {
        let engine = self.engine.clone();
        self.engine.read(move || engine.totals()).await
    }

    /// Copies all that was acknowledged when this is called into a directory: a new or empty one, or that of an earlier backup, of which
    /// only what is new is copied. Mail is accepted and read meanwhile. On an error, and when the future is dropped, the earlier backup is
    /// as it was; [`crate::restore`] makes a store from it.
    ///
    /// Fails with [`store::Error::Damaged`] when something of what would be copied is, and with [`store::Error::Invalid`] when the
    /// directory is neither empty nor a backup, or lies in the store's.
    pub async fn backup(&self, directory: PathBuf) -> Result<BackedUp> {
        let engine = self.engine.clone();
        let given_up = GiveUpOnDrop(Arc::default());
        let flag = given_up.0.clone();
        self.engine.read(move || engine.backup(&directory, &flag)).await
    }

    /// What opening it found and did.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Err(error) = self.engine.close() {
            tracing::error!(%error, "the store did not close as it should; it will recover when it is opened");
        }
    }
}

/// Sets the flag when it is dropped.
struct GiveUpOnDrop(Arc<AtomicBool>);

impl Drop for GiveUpOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn system_random() -> io::Result<u32> {
    let mut bytes = [0; 4];
    // So few come together, or not at all.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u32::from_le_bytes(bytes))
}

fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // Before 1970 there is no mail; a clock that says so counts as 1970.
    Timestamp(since.map_or(0, |since| since.as_millis() as i64))
}
