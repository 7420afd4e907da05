//! redb on our own door to the file system.

use crate::file::{File, read_exact_at, write_all_at};
use redb::StorageBackend;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A file as redb wants it. redb's own locks are not offered: the store's lock file covers the index too.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<dyn File>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        read_exact_at(&*self.0, out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        write_all_at(&*self.0, &mut [IoSlice::new(data)], offset)
    }
}
