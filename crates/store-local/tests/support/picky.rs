//! A file system that fails for some files only.

use posthaste_store_local::{File, Files, Lock, Mode, NotTried};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// Another file system, with trouble.
#[derive(Debug, Clone)]
pub(crate) struct Picky {
    inner: Arc<dyn Files>,
    trouble: Arc<Mutex<Trouble>>,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble {
    /// Changes of files whose name contains this fail in this way, and are counted.
    pub(crate) writes: Option<(&'static str, io::ErrorKind)>,
    /// So many readings of files whose name contains this fail.
    pub(crate) reads: Option<(&'static str, u64)>,
    /// How many more changes of such files succeed before.
    pub(crate) after: u64,
    /// Only so many fail.
    pub(crate) times: Option<u64>,
    pub(crate) failed: u64,
    /// How often such files were removed.
    pub(crate) removed: u64,
    /// Directories cannot be opened, for want of descriptors; how often that was so.
    pub(crate) crowded: Option<u64>,
    /// Bytes of files whose name contains this that cannot be read: from, to.
    pub(crate) unreadable: Vec<(String, u64, u64)>,
    /// Nothing below this path can be changed.
    pub(crate) read_only: Option<String>,
    /// How much space is said to be free.
    pub(crate) free: Option<u64>,
}

#[derive(Debug)]
struct PickyFile {
    inner: Arc<dyn File>,
    name: String,
    trouble: Arc<Mutex<Trouble>>,
}

impl Picky {
    pub(crate) fn new(inner: impl Files + 'static) -> Picky {
        Picky { inner: Arc::new(inner), trouble: Arc::default() }
    }

    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().expect("no holder of this lock panics")
    }

    /// Files whose name contains this cannot be changed any more.
    pub(crate) fn fail(&self, name: &'static str, kind: io::ErrorKind) {
        *self.trouble() = Trouble { writes: Some((name, kind)), ..Trouble::default() };
    }

    /// All is well again; returns how many changes failed.
    pub(crate) fn heal(&self) -> u64 {
        std::mem::take(&mut *self.trouble()).failed
    }

    fn writable(&self, path: &Path) -> io::Result<()> {
        match &self.trouble().read_only {
            Some(directory) if path.starts_with(directory) => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            _ => Ok(()),
        }
    }

    fn change(&self, path: &Path) -> io::Result<()> {
        change(&self.trouble, &path.to_string_lossy())
    }
}

fn change(trouble: &Mutex<Trouble>, changed: &str) -> io::Result<()> {
    let mut trouble = trouble.lock().expect("no holder of this lock panics");
    let Some((_, kind)) = trouble.writes.filter(|(name, _)| changed.contains(name)) else { return Ok(()) };
    if trouble.after > 0 {
        trouble.after -= 1;
        return Ok(());
    }
    if trouble.times == Some(trouble.failed) {
        return Ok(());
    }
    trouble.failed += 1;
    Err(io::Error::new(kind, "made to fail"))
}

impl Files for Picky {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        if mode == Mode::Create {
            self.change(path)?;
        }
        if mode != Mode::Read {
            self.writable(path)?;
        }
        let (name, trouble) = (path.to_string_lossy().into_owned(), self.trouble.clone());
        Ok(Arc::new(PickyFile { inner: self.inner.open(path, mode)?, name, trouble }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.inner.list(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut trouble = self.trouble();
        if trouble.writes.is_some_and(|(name, _)| path.to_string_lossy().contains(name)) {
            trouble.removed += 1;
        }
        drop(trouble);

        self.writable(path)?;
        self.inner.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(to)?;
        self.inner.rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.writable(path).or_else(|error| self.inner.list(path).map(drop).map_err(|_| error))?;
        self.inner.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if let Some(times) = &mut self.trouble().crowded {
            *times += 1;
            return Err(NotTried::error(io::Error::other("too many open files")));
        }
        self.writable(path)?;
        self.inner.sync_dir(path)
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        let free = self.trouble().free;
        free.map_or_else(|| self.inner.free_space(directory), Ok)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.writable(path)?;
        self.inner.lock(path)
    }
}

impl PickyFile {
    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().expect("no holder of this lock panics")
    }
}

impl File for PickyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut trouble = self.trouble();
        let end = offset + buffer.len() as u64;
        let is_bad = |(name, from, to): &(String, u64, u64)| {
            self.name.contains(name.as_str()) && *from < end && offset < *to
        };
        if trouble.unreadable.iter().any(is_bad) {
            return Err(io::Error::other("made unreadable"));
        }
        if let Some((name, left)) = &mut trouble.reads
            && *left > 0
            && self.name.contains(*name)
        {
            *left -= 1;
            return Err(io::Error::other("made to fail"));
        }
        drop(trouble);
        self.inner.read_at(buffer, offset)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        change(&self.trouble, &self.name)?;
        self.inner.write_vectored_at(pieces, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        change(&self.trouble, &self.name)?;
        self.inner.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        change(&self.trouble, &self.name)?;
        self.inner.allocate(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        change(&self.trouble, &self.name)?;
        self.inner.truncate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}
