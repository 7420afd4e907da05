//! The index: a redb file derived from the log, so that reads need not search it. It can be thrown away at any time.
//!
//! Batches are applied in the order of the log, many in one transaction that is not synced; a checkpoint syncs now and then. Each
//! transaction also writes the log position that it reaches, so that after a crash the log is applied from there on.

mod adopt;
mod apply;
mod backend;
mod compare;
mod overlay;
mod read;
mod rows;

pub(crate) use adopt::{Relocated, Rewritten};
pub(crate) use apply::{Applied, pause_key};
pub(crate) use read::Snapshot;
pub(crate) use rows::{MessageRow, QueueRow, SegmentRow};

use crate::body::{self, Counters};
use crate::error::{index_error, io_error};
use crate::file::{File, Files, Mode};
use backend::{Backend, State};
use redb::{CommitError, Database, Durability, ReadableDatabase, StorageError, WriteTransaction};
use rows::{
    ACCOUNTS, ALIASES, BELONGINGS, CHANGES, DOMAINS, ENTRIES, FATE_ORDER, FATES, MAILBOXES, MESSAGES, META,
    NAMES, PAUSES, QUEUE, SEGMENTS, SUBSCRIPTIONS, VANISHED,
};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use store::{Error, Result};

/// The index.
#[derive(Debug)]
pub(crate) struct Index {
    database: Closing,
    file: Arc<State>,
}

/// A database whose closing cannot end the program: redb tidies up when it closes, and a page that is damaged makes it panic there
/// (4.5.0, `btree_cursor.rs`). The index is made anew then, as whenever something is wrong with it.
#[derive(Debug)]
struct Closing(Option<Database>);

impl Deref for Closing {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Closing {
    fn deref_mut(&mut self) -> &mut Database {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let database = self.0.take();
        if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::warn!("the index is damaged and could not be closed in order");
        }
    }
}

/// Commits. redb tidies up here too, so a damaged page may make it panic.
fn commit(transaction: WriteTransaction) -> Result<()> {
    catch_unwind(AssertUnwindSafe(|| transaction.commit()))
        .unwrap_or_else(|_| Err(CommitError::Storage(StorageError::Corrupted("a damaged page".to_owned()))))
        .map_err(index_error)
}

/// Whether a transaction is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    Later,
    Now,
}

/// Why an index that is looked for cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It is none, or not one for this program.
    Bad(String),
    /// Nobody can say: it could not be read, or not written.
    Failed(Error),
}

impl Unusable {
    fn of(error: impl Into<redb::Error>) -> Unusable {
        match index_error(error) {
            error @ (Error::Io { .. } | Error::Full(_)) => Unusable::Failed(error),
            error => Unusable::Bad(error.to_string()),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Bad(why) => f.write_str(why),
            Unusable::Failed(error) => error.fmt(f),
        }
    }
}

impl Index {
    /// Opens an index that is there; the inner error says why it cannot be used.
    pub(crate) fn open(
        files: &dyn Files,
        path: &Path,
        cache: usize,
    ) -> Result<std::result::Result<Index, Unusable>> {
        let file = match files.open(path, Mode::Write) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(Unusable::Bad("there is none".to_owned())));
            }
            Err(error) => return Err(io_error("opening", path, error)),
        };
        let index = match Index::on(file, cache) {
            Ok(index) => index,
            Err(error) => return Ok(Err(Unusable::of(error))),
        };
        let bad = |why: String| Ok(Err(Unusable::Bad(why)));
        match index.format() {
            Ok(Some(FORMAT)) => Ok(Ok(index)),
            Ok(Some(format)) => bad(format!("its format is version {format}, this program's is {FORMAT}")),
            Ok(None) => bad("it has no format version".to_owned()),
            Err(error @ (Error::Io { .. } | Error::Full(_))) => Ok(Err(Unusable::Failed(error))),
            Err(error) => bad(error.to_string()),
        }
    }

    /// Makes an empty index in place of any that is there.
    pub(crate) fn create(files: &dyn Files, path: &Path, cache: usize) -> Result<Index> {
        match files.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("removing", path, error));
            }
            _ => {}
        }
        let file = files.open(path, Mode::Create).map_err(|error| io_error("creating", path, error))?;
        let index = Index::on(file, cache).map_err(index_error)?;
        let transaction = index.begin(Sync::Now)?;
        for table in [MAILBOXES, ENTRIES, CHANGES, VANISHED] {
            transaction.open_table(table).map_err(index_error)?;
        }
        for table in [BELONGINGS, MESSAGES, QUEUE, FATES, FATE_ORDER, SEGMENTS] {
            transaction.open_table(table).map_err(index_error)?;
        }
        for table in [ACCOUNTS, ALIASES, DOMAINS, PAUSES] {
            transaction.open_table(table).map_err(index_error)?;
        }
        transaction.open_table(NAMES).map_err(index_error)?;
        transaction.open_table(SUBSCRIPTIONS).map_err(index_error)?;
        put_meta(&transaction, "format", &FORMAT)?;
        put_meta(&transaction, "counters", &Counters::default())?;
        commit(transaction)?;
        Ok(index)
    }

    fn on(file: Arc<dyn File>, cache: usize) -> std::result::Result<Index, redb::DatabaseError> {
        let state = Arc::new(State::default());
        let backend = Backend { file, state: state.clone() };
        let database = redb::Builder::new().set_cache_size(cache).create_with_backend(backend)?;
        Ok(Index { database: Closing(Some(database)), file: state })
    }

    /// Lets go of the file, so that it can be opened anew: whoever still reads from this index gets an error from now on.
    pub(crate) fn give_up(self) {
        let file = self.file.clone();
        drop(self);
        file.give_up();
    }

    /// What has failed, if anything has: no use of this index succeeds any more then.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.file.trouble().cloned()
    }

    /// A consistent view of everything.
    pub(crate) fn read(&self) -> Result<Snapshot> {
        Ok(Snapshot::new(self.database.begin_read().map_err(index_error)?))
    }

    /// Whether every page matches its checksum.
    pub(crate) fn is_whole(&mut self) -> bool {
        let database = &mut self.database;
        catch_unwind(AssertUnwindSafe(|| database.check_integrity().unwrap_or(false))).unwrap_or(false)
    }

    /// Makes everything applied so far durable.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        commit(self.begin(Sync::Now)?)
    }

    fn begin(&self, sync: Sync) -> Result<WriteTransaction> {
        let mut transaction = self.database.begin_write().map_err(index_error)?;
        match sync {
            // So that redb need not check the whole file after a crash.
            Sync::Now => transaction.set_quick_repair(true),
            Sync::Later => transaction.set_durability(Durability::None).map_err(index_error)?,
        }
        Ok(transaction)
    }

    fn format(&self) -> Result<Option<u32>> {
        let transaction = self.database.begin_read().map_err(index_error)?;
        let meta = transaction.open_table(META).map_err(index_error)?;
        let format = meta.get("format").map_err(index_error)?;
        format.map(|bytes| body::decode(bytes.value())).transpose()
    }
}

fn put_meta<T: serde::Serialize>(transaction: &WriteTransaction, name: &str, value: &T) -> Result<()> {
    let mut meta = transaction.open_table(META).map_err(index_error)?;
    meta.insert(name, body::encode(value).as_slice()).map_err(index_error)?;
    Ok(())
}

/// The version of the index's format. Another one is thrown away and made anew.
const FORMAT: u32 = 7;
