//! A file system in memory, for the targets that read a store or a backup. Nothing goes wrong in it; it holds those who use it to the
//! directories that are theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store_local::{File, Files, Lock, Mode};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// The file system.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    files: Mutex<BTreeMap<PathBuf, Bytes>>,
    directories: Mutex<BTreeSet<PathBuf>>,
}

#[derive(Debug)]
struct MemoryFile(Bytes);

#[derive(Debug)]
struct Held;

impl Memory {
    /// Puts a file there.
    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) {
        locked(&self.files).insert(path.into(), Arc::new(Mutex::new(bytes)));
    }

    /// The names of all files.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        locked(&self.files).keys().cloned().collect()
    }
}

impl Files for Memory {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        let mut files = locked(&self.files);
        let file = match (files.get(path), mode) {
            (Some(_), Mode::Create) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(file), _) => file.clone(),
            (None, Mode::Create) => files.entry(path.to_owned()).or_default().clone(),
            (None, _) => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(MemoryFile(file)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let files = locked(&self.files);
        let inside = files.keys().filter_map(|path| path.strip_prefix(directory).ok());
        let first = inside.filter_map(|path| Some(path.iter().next()?.to_str()?.to_owned()));
        let mut names: Vec<String> = first.collect();
        names.dedup();
        let is_there = !names.is_empty() || locked(&self.directories).contains(directory);
        if is_there { Ok(names) } else { Err(ErrorKind::NotFound.into()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        locked(&self.files).remove(path).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = locked(&self.files);
        let file = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        locked(&self.directories).extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self, _directory: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        Ok(Some(Box::new(Held)))
    }
}

impl Lock for Held {}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = locked(&self.0);
        let from = bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let (mut bytes, mut at) = (locked(&self.0), offset as usize);
        for piece in pieces {
            let end = at + piece.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[at..end].copy_from_slice(piece);
            at = end;
        }
        Ok(at - offset as usize)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut bytes = locked(&self.0);
        let len = bytes.len().max(len as usize);
        bytes.resize(len, 0);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        locked(&self.0).resize(len as usize, 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(locked(&self.0).len() as u64)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
