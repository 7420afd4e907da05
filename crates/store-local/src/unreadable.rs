//! Reading files on a disk that cannot read all of them, as disks die: single sectors answer with an error, and stay so.
//!
//! Where a read fails it is tried again in pieces of 4 KiB; what cannot be read even so is taken for zeros, which no checksum goes with, and
//! noted. So damage that the disk reports is found and told like damage that it does not. Verification, repair and restoration read
//! the old files through this; nothing that is written goes through it, nor does a store that is in use.

use crate::file::{File, Files, Lock, Mode};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// A file system of which some bytes may not be readable.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    files: Arc<dyn Files>,
    found: Found,
}

/// Bytes of a file that the disk cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) path: PathBuf,
    pub(crate) from: u64,
    /// The byte behind the last.
    pub(crate) to: u64,
    /// What the disk said.
    pub(crate) cause: String,
}

/// The holes by file and by their beginning.
type Found = Arc<Mutex<BTreeMap<PathBuf, BTreeMap<u64, (u64, String)>>>>;

#[derive(Debug)]
struct HoledFile {
    file: Arc<dyn File>,
    path: PathBuf,
    found: Found,
}

impl Unreadable {
    /// Of these files nothing is known yet.
    pub(crate) fn new(files: Arc<dyn Files>) -> Arc<Unreadable> {
        Arc::new(Unreadable { files, found: Found::default() })
    }

    /// What could not be read so far.
    pub(crate) fn holes(&self) -> Vec<Hole> {
        let found = locked(&self.found);
        let holes = found.iter().flat_map(|(path, holes)| holes.iter().map(move |hole| (path, hole)));
        let hole = |(path, (from, (to, cause))): (&PathBuf, (&u64, &(u64, String)))| Hole {
            path: path.clone(),
            from: *from,
            to: *to,
            cause: cause.clone(),
        };
        holes.map(hole).collect()
    }

    /// Where the last hole of a file ends, if one of them is among these bytes: what is behind that may be what these began. Otherwise 0.
    pub(crate) fn end_of_holes(&self, path: &Path, from: u64, to: u64) -> u64 {
        let found = locked(&self.found);
        let Some(holes) = found.get(path) else { return 0 };
        let touched = holes.iter().any(|(begin, (end, _))| *begin < to && from < *end);
        holes.values().map(|(end, _)| *end).max().filter(|_| touched).unwrap_or(0)
    }
}

impl std::fmt::Display for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, bytes {} to {}", self.path.display(), self.from, self.to - 1)
    }
}

impl Files for Unreadable {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        let file = self.files.open(path, mode)?;
        match mode {
            Mode::Read => Ok(Arc::new(HoledFile { file, path: path.to_owned(), found: self.found.clone() })),
            Mode::Write | Mode::Create => Ok(file),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.files.list(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.files.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.files.sync_dir(path)
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        self.files.free_space(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.files.lock(path)
    }
}

impl HoledFile {
    /// Reads what can be read of these bytes, and zeros in place of the rest.
    fn read_in_pieces(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let in_page = (PAGE - at % PAGE) as usize;
            let end = (done + in_page).min(buffer.len());
            let piece = &mut buffer[done..end];
            if self.hole_at(at) {
                piece.fill(0);
                done = end;
                continue;
            }
            match self.file.read_at(piece, at) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if !is_of_the_medium(&error) => return Err(error),
                Err(error) => self.note(at, &error)?,
                Ok(0) => break,
                Ok(count) => done += count,
            }
        }
        Ok(done)
    }

    fn hole_at(&self, at: u64) -> bool {
        let found = locked(&self.found);
        let before = found.get(&self.path).and_then(|holes| holes.range(..=at).next_back());
        before.is_some_and(|(_, (end, _))| at < *end)
    }

    fn touches_hole(&self, from: u64, to: u64) -> bool {
        let found = locked(&self.found);
        let before = found.get(&self.path).and_then(|holes| holes.range(..to).next_back());
        before.is_some_and(|(_, (end, _))| from < *end)
    }

    /// Takes note of a page that cannot be read.
    fn note(&self, at: u64, error: &io::Error) -> io::Result<()> {
        let page = at - at % PAGE;
        let end = (page + PAGE).min(self.file.size()?.max(at + 1));
        let mut found = locked(&self.found);
        let holes = found.entry(self.path.clone()).or_default();
        match holes.range_mut(..=page).next_back().filter(|(_, (last, _))| *last >= page) {
            Some((_, (last, _))) => *last = end.max(*last),
            None => {
                tracing::warn!(file = %self.path.display(), from = page, %error, "the disk cannot read this");
                holes.insert(page, (end, error.to_string()));
            }
        }
        Ok(())
    }
}

/// Whether it is about what was to be read, and not about the way to it: a disk or a server that went away has lost nothing.
fn is_of_the_medium(error: &io::Error) -> bool {
    const GONE: [Errno; 6] =
        [Errno::NODEV, Errno::NXIO, Errno::STALE, Errno::TIMEDOUT, Errno::NOMEM, Errno::ISDIR];
    Errno::from_io_error(error).is_none_or(|code| !GONE.contains(&code))
}

impl File for HoledFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // A disk takes seconds to give up: nobody asks it twice for the same.
        if self.touches_hole(offset, offset + buffer.len() as u64) {
            return self.read_in_pieces(buffer, offset);
        }
        match self.file.read_at(buffer, offset) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) if !is_of_the_medium(&error) => Err(error),
            Err(_) => self.read_in_pieces(buffer, offset),
            read => read,
        }
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.file.write_vectored_at(pieces, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

fn locked<T>(found: &Mutex<T>) -> MutexGuard<'_, T> {
    found.lock().expect("no holder of this lock panics")
}

/// The step in which a read is tried again: a page of memory, and a sector of most disks.
const PAGE: u64 = 4096;
