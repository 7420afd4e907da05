//! redb on our own door to the file system.

use crate::file::{File, read_exact_at, write_all_at};
use redb::StorageBackend;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A file as redb wants it. redb's own locks are not offered: the store's lock file covers the index too.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) file: Arc<dyn File>,
    /// Set once the file may be changed by somebody else, who opened it anew.
    pub(super) given_up: Arc<AtomicBool>,
}

impl Backend {
    fn check(&self) -> io::Result<()> {
        if self.given_up.load(Ordering::SeqCst) {
            return Err(io::Error::other("this index was closed, or opened anew"));
        }
        Ok(())
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact_at(&*self.file, out, offset)?;
        // Behind the read: what was read before the file was given up is right.
        self.check()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.file.truncate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        write_all_at(&*self.file, &mut [IoSlice::new(data)], offset)
    }
}
