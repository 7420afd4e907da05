//! The real file system, through std and rustix. No logic of the engine is here.

use crate::file::{File, Files, Lock, Mode, NotTried};
use rustix::fs::{FallocateFlags, FlockOperation, Mode as Permissions, OFlags};
use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::Arc;

/// The file system of this machine. What it creates is readable by its owner alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

#[derive(Debug)]
struct DiskFile(std::fs::File);

/// The descriptor that holds the lock.
#[derive(Debug)]
struct DiskLock {
    _held: OwnedFd,
}

impl Files for Disk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        let flags = match mode {
            Mode::Read => OFlags::RDONLY,
            Mode::Write => OFlags::RDWR,
            Mode::Create => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let descriptor = rustix::fs::open(path, flags | OFlags::CLOEXEC, OWNER_ONLY)?;
        Ok(Arc::new(DiskFile(std::fs::File::from(descriptor))))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let name =
            |entry: io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        std::fs::read_dir(directory)?.map(name).collect()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path).map_err(NotTried::error)?.sync_all()
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, OWNER_ONLY)?;
        match rustix::fs::flock(&descriptor, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // For a person who looks: which process it is. The lock itself is the kernel's.
        let mut file = std::fs::File::from(descriptor);
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Box::new(DiskLock { _held: file.into() })))
    }
}

impl Lock for DiskLock {}

impl File for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, buffer, offset)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, pieces, offset)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let allocate = || rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len);
        match rustix::io::retry_on_intr(allocate) {
            // The file system cannot reserve space: the length is all that it can give.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(len),
            result => Ok(result?),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

const OWNER_ONLY: Permissions = Permissions::RUSR.union(Permissions::WUSR);
