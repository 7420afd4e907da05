//! What the engine asks of a file system: the only door to it.
//!
//! Everything that the engine keeps goes through [`Files`] and [`File`], so that a test can fail, tear, reorder or forget any single
//! operation, and a simulation can run the engine without a disk. [`crate::Disk`] is the real one. The promises that an
//! implementation must keep are those of POSIX as Linux keeps them: what was written is durable after
//! [`File::sync_data`], a name after [`Files::sync_dir`] of its directory, and neither before.

use std::fmt::{Debug, Display, Formatter};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To read one that exists.
    Read,
    /// To read and write one that exists.
    Write,
    /// To read and write a new one; an error when the name is taken.
    Create,
}

/// A file system.
pub trait Files: Send + Sync + Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>>;

    /// The names in a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Removes a file. Who has it open can go on reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in the same directory, in place of any file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Creates a directory, readable by its owner alone, and those above it; no error when it exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable. An error in which there is a [`NotTried`] came before anything was synced.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// How many bytes the file system of this directory can still take from us.
    fn free_space(&self, directory: &Path) -> io::Result<u64>;

    /// Takes the exclusive lock of a file, which is created when there is none; `None` when somebody else has it. It is released when
    /// what is returned is dropped, and when the process ends.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// Why [`Files::sync_dir`] did not come to the sync itself, such as too many open files: that may be tried again.
#[derive(Debug)]
pub struct NotTried(io::Error);

impl NotTried {
    /// The error of a sync that was not tried because of this one.
    pub fn error(cause: io::Error) -> io::Error {
        io::Error::new(cause.kind(), NotTried(cause))
    }

    /// Whether an error of [`Files::sync_dir`] is such a one.
    pub fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<NotTried>())
    }
}

impl Display for NotTried {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl std::error::Error for NotTried {}

/// A lock that is held.
pub trait Lock: Send + Sync + Debug {}

/// An open file. Offsets and lengths are in bytes.
pub trait File: Send + Sync + Debug {
    /// Reads from `offset` on; returns how many bytes came, 0 only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes these pieces one after the other from `offset` on, or a part of them; returns how many bytes were taken.
    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Makes everything written durable, and the file's length.
    fn sync_data(&self) -> io::Result<()>;

    /// Reserves room for `len` bytes in all and makes the file that long; what was not written reads as zeros. After this, writes
    /// below `len` do not fail for want of space, on file systems that can promise it.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes the file `len` bytes long: cut off, or longer by zeros.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Its length.
    fn size(&self) -> io::Result<u64>;
}

/// Reads exactly as much as the buffer holds; an error of kind `UnexpectedEof` when the file ends before.
pub(crate) fn read_exact_at(file: &dyn File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        buffer = &mut buffer[count..];
        offset += count as u64;
    }
    Ok(())
}

/// Writes all the pieces, in as many calls as it takes.
pub(crate) fn write_all_at(file: &dyn File, pieces: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    let mut rest = pieces;
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let window = rest.len().min(PIECES_MAX);
        let count = match file.write_vectored_at(&rest[..window], offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero));
        }
        offset += count as u64;
        IoSlice::advance_slices(&mut rest, count);
    }
    Ok(())
}

/// Linux's IOV_MAX: the most pieces that one call takes.
const PIECES_MAX: usize = 1024;
