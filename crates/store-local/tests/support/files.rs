//! A file system in memory that forgets what was not synced, and fails when told to.
//!
//! It knows two states of everything: as it is now, and as a power cut would leave it. [`Ram::crash`] makes a new file system from the
//! latter, and from as much of the former as it is told to keep.

use posthaste_store_local::{File, Files, Lock, Mode};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The file system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ram(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Data>>>,
    durable_files: BTreeMap<PathBuf, Arc<Mutex<Data>>>,
    directories: BTreeSet<PathBuf>,
    durable_directories: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    /// How many operations that change something have been done.
    operations: u64,
    fault: Option<Fault>,
}

#[derive(Debug, Default)]
struct Data {
    now: Vec<u8>,
    durable: Vec<u8>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every change from this one on (counted from 0): the machine has stopped.
    StoppedAt(u64),
    /// Every write to a segment.
    Writes,
    /// Every sync of a segment.
    Syncs,
    /// Nothing, it seems: but syncs are ignored.
    SyncsLie,
    /// Every reservation of space, and every write that makes a file longer.
    Space,
}

/// What a crash leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    Everything,
    /// Each sector of 512 bytes and each name by chance, with this seed.
    Some(u64),
}

/// What an operation does, as far as faults care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Write,
    Grow,
    Sync,
    Other,
}

#[derive(Debug)]
struct RamFile {
    ram: Ram,
    path: PathBuf,
    data: Arc<Mutex<Data>>,
}

#[derive(Debug)]
struct RamLock {
    ram: Ram,
    path: PathBuf,
}

impl Ram {
    /// From now on this goes wrong, or nothing any more.
    pub(crate) fn fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// How many operations that change something have been done.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The file system after a power cut.
    pub(crate) fn crash(&self, keep: Keep) -> Ram {
        let state = self.state();
        let mut chance = match keep {
            Keep::Some(seed) => seed.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1,
            _ => 0,
        };
        let mut keeps = || match keep {
            Keep::Nothing => false,
            Keep::Everything => true,
            Keep::Some(_) => {
                chance ^= chance << 13;
                chance ^= chance >> 7;
                chance ^= chance << 17;
                chance & 1 == 1
            }
        };
        let all: BTreeSet<_> = state.directories.union(&state.durable_directories).collect();
        let directories: BTreeSet<PathBuf> = all
            .into_iter()
            .filter(|path| {
                let (now, durable) =
                    (state.directories.contains(*path), state.durable_directories.contains(*path));
                if now == durable { now } else { keeps() == now }
            })
            .cloned()
            .collect();
        let mut files = BTreeMap::new();
        let names: BTreeSet<_> = state.files.keys().chain(state.durable_files.keys()).collect();
        for path in names {
            let (now, durable) = (state.files.get(path), state.durable_files.get(path));
            let same = now.map(Arc::as_ptr) == durable.map(Arc::as_ptr);
            let Some(data) = (if same || keeps() { now } else { durable }) else { continue };
            if path.parent().is_none_or(|parent| !directories.contains(parent)) {
                continue;
            }
            let data = data.lock().unwrap();
            let mut bytes = data.durable.clone();
            for (sector, now) in data.now.chunks(512).enumerate() {
                let at = sector * 512;
                let durable = data.durable.get(at..at + now.len());
                if durable != Some(now) && keeps() {
                    bytes.resize(bytes.len().max(at + now.len()), 0);
                    bytes[at..at + now.len()].copy_from_slice(now);
                }
            }
            let data = Data { now: bytes.clone(), durable: bytes };
            files.insert(path.clone(), Arc::new(Mutex::new(data)));
        }
        let state = State {
            durable_files: files.clone(),
            files,
            durable_directories: directories.clone(),
            directories,
            ..State::default()
        };
        Ram(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts a change, and fails it if it is to fail.
    fn change(&self, operation: Operation, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let number = state.operations;
        state.operations += 1;
        let segment = path.parent().is_some_and(|parent| parent.ends_with("log"));
        let broken = || Err(io::Error::other("made to fail"));
        match state.fault {
            Some(Fault::StoppedAt(first)) if number >= first => broken(),
            Some(Fault::Writes) if segment && operation == Operation::Write => broken(),
            Some(Fault::Syncs) if segment && operation == Operation::Sync => broken(),
            Some(Fault::Space) if operation == Operation::Grow => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(state),
        }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Files for Ram {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        let data = if mode == Mode::Create {
            let mut state = self.change(Operation::Other, path)?;
            if state.files.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if path.parent().is_none_or(|parent| !state.directories.contains(parent)) {
                return Err(not_found());
            }
            let data = Arc::<Mutex<Data>>::default();
            state.files.insert(path.to_owned(), data.clone());
            data
        } else {
            self.state().files.get(path).cloned().ok_or_else(not_found)?
        };
        Ok(Arc::new(RamFile { ram: self.clone(), path: path.to_owned(), data }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        if !state.directories.contains(directory) {
            return Err(not_found());
        }
        let all = state.files.keys().chain(&state.directories);
        let inside = all.filter(|path| path.parent() == Some(directory));
        Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.state().files.contains_key(path) {
            return Err(not_found());
        }
        self.change(Operation::Other, path)?.files.remove(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change(Operation::Other, to)?;
        let data = state.files.remove(from).ok_or_else(not_found)?;
        state.files.insert(to.to_owned(), data);
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change(Operation::Other, path)?;
        state.directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change(Operation::Other, path)?;
        if state.fault == Some(Fault::SyncsLie) {
            return Ok(());
        }
        let inside = |other: &Path| other.parent() == Some(path);
        let State { files, durable_files, directories, durable_directories, .. } = &mut *state;
        durable_files.retain(|name, _| !inside(name));
        durable_files.extend(
            files.iter().filter(|(name, _)| inside(name)).map(|(name, data)| (name.clone(), data.clone())),
        );
        durable_directories.extend(directories.iter().filter(|name| inside(name)).cloned());
        // The directories above the store are somebody else's, and there.
        durable_directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn free_space(&self, _directory: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let taken = !self.state().locked.insert(path.to_owned());
        Ok((!taken).then(|| Box::new(RamLock { ram: self.clone(), path: path.to_owned() }) as Box<dyn Lock>))
    }
}

impl File for RamFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let data = self.data.lock().unwrap();
        let from = data.now.get(offset as usize..).unwrap_or_default();
        let count = buffer.len().min(from.len());
        buffer[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        let grows = to > self.data.lock().unwrap().now.len();
        drop(self.ram.change(if grows { Operation::Grow } else { Operation::Write }, &self.path)?);
        let mut data = self.data.lock().unwrap();
        let length = data.now.len().max(to);
        data.now.resize(length, 0);
        data.now[from..to].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        let state = self.ram.change(Operation::Sync, &self.path)?;
        if state.fault == Some(Fault::SyncsLie) {
            return Ok(());
        }
        drop(state);
        let mut data = self.data.lock().unwrap();
        data.durable = data.now.clone();
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        drop(self.ram.change(Operation::Grow, &self.path)?);
        let mut data = self.data.lock().unwrap();
        let length = data.now.len().max(len as usize);
        data.now.resize(length, 0);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let grows = len > self.data.lock().unwrap().now.len() as u64;
        drop(self.ram.change(if grows { Operation::Grow } else { Operation::Other }, &self.path)?);
        self.data.lock().unwrap().now.resize(len as usize, 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.data.lock().unwrap().now.len() as u64)
    }
}

impl Lock for RamLock {}

impl Drop for RamLock {
    fn drop(&mut self) {
        self.ram.state().locked.remove(&self.path);
    }
}
