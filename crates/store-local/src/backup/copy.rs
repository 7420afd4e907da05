//! Reading a file from its front, for its checksum alone or into a copy.

use crate::error::io_error;
use crate::file::{File, read_exact_at, write_all_at};
use std::io::IoSlice;
use std::path::Path;
use store::Result;

/// A file to be read up to a length.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a dyn File,
    pub(crate) path: &'a Path,
    pub(crate) length: u64,
}

impl Source<'_> {
    /// The CRC32C of the file. `go_on` is asked again and again, and ends this with its error.
    pub(crate) fn checksum(&self, go_on: &dyn Fn() -> Result<()>) -> Result<u32> {
        self.pass(go_on, &mut |_, _| Ok(()))
    }

    /// The same, and writes the file to a copy, durably.
    pub(crate) fn copy(
        &self,
        (copy, path): (&dyn File, &Path),
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<u32> {
        let mut unsynced = 0;
        let crc = self.pass(go_on, &mut |part, at| {
            write_all_at(copy, &mut [IoSlice::new(part)], at)
                .map_err(|error| io_error("writing", path, error))?;
            unsynced += part.len();
            // In pieces, so that the log's syncs never wait behind all of a long file.
            if unsynced >= SYNC_EVERY {
                unsynced = 0;
                copy.sync_data().map_err(|error| io_error("syncing", path, error))?;
            }
            Ok(())
        })?;
        copy.sync_data().map_err(|error| io_error("syncing", path, error))?;
        Ok(crc)
    }

    fn pass(
        &self,
        go_on: &dyn Fn() -> Result<()>,
        each: &mut dyn FnMut(&[u8], u64) -> Result<()>,
    ) -> Result<u32> {
        let (mut at, mut crc) = (0, 0);
        let mut bytes = vec![0; self.length.min(AT_ONCE) as usize];
        while at < self.length {
            go_on()?;
            let part = &mut bytes[..(self.length - at).min(AT_ONCE) as usize];
            read_exact_at(self.file, part, at).map_err(|error| io_error("reading", self.path, error))?;
            crc = crc32c::crc32c_append(crc, part);
            each(part, at)?;
            at += part.len() as u64;
        }
        Ok(crc)
    }
}

/// How much is read at once.
const AT_ONCE: u64 = 1 << 20;

/// How much is written between two syncs.
const SYNC_EVERY: usize = 8 << 20;
