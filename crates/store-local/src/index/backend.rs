//! redb on our own door to the file system.

use crate::error::io_error;
use crate::file::{File, read_exact_at, write_all_at};
use redb::StorageBackend;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use store::Error;

/// A file as redb wants it. redb's own locks are not offered: the store's lock file covers the index too.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) file: Arc<dyn File>,
    pub(super) state: Arc<State>,
}

/// What an index and its file tell each other.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Set once the file may be changed by somebody else, who opened it anew.
    given_up: AtomicBool,
    /// The first operation that failed. redb refuses everything after it, also what it could read.
    trouble: OnceLock<Error>,
}

impl State {
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
    }

    pub(super) fn trouble(&self) -> Option<&Error> {
        self.trouble.get()
    }

    fn check(&self) -> io::Result<()> {
        if self.given_up.load(Ordering::SeqCst) {
            return Err(io::Error::other("this index was closed, or opened anew"));
        }
        Ok(())
    }

    fn note<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done {
            let cause = io::Error::new(error.kind(), error.to_string());
            self.trouble.get_or_init(|| io_error("using", Path::new("the index"), cause));
        }
        done
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.state.note(self.file.size())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.state.note(read_exact_at(&*self.file, out, offset))?;
        // Behind the read: what was read before the file was given up is right.
        self.state.check()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.check()?;
        self.state.note(self.file.truncate(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state.check()?;
        self.state.note(self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state.check()?;
        self.state.note(write_all_at(&*self.file, &mut [IoSlice::new(data)], offset))
    }
}
