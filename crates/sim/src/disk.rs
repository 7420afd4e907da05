//! A file system in memory that forgets what was not synced, and fails when told to.
//!
//! It knows two states of everything: as it is now, and as a power cut would leave it. [`Disk::crash`] makes a new file system from the
//! latter, and from as much of the former as it is told to keep: each sector and each name by itself, so that unsynced effects
//! are lost, torn and reordered. A failed sync forgets some of what it was for, data and names alike: no later sync brings that back, and
//! for names neither does the next process, for after such a failure somebody has had to mount the file system anew. What goes wrong meanwhile is a [`Fault`] that lasts, or a plan of [`Wrong`]s, each of
//! which happens once; single reads fail with [`Disk::plan_read`]. [`Disk::injected`] counts everything that really happened. The store's
//! own tests and the simulation use it.

mod crash;
mod data;
mod faults;
mod names;

use data::Data;
pub use faults::{Fault, Injected, Keep, Wrong};
use faults::{Hit, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store_local::{File, Files, Lock, Mode};

/// The file system. A clone is another handle to the same one.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

/// What lies under a name.
type Content = Arc<Mutex<Data>>;

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Content>,
    durable_files: BTreeMap<PathBuf, Content>,
    directories: BTreeSet<PathBuf>,
    durable_directories: BTreeSet<PathBuf>,
    /// Names whose last change a failed sync has forgotten: no later sync makes it durable, and the next process does not find it.
    forgotten: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    /// How many operations that change something have been done.
    operations: u64,
    fault: Option<Fault>,
    plan: BTreeMap<u64, Wrong>,
    happened: Option<u64>,
    /// How many times something has been read.
    reads: u64,
    bad_reads: BTreeSet<u64>,
    stopped: bool,
    digest: u64,
    injected: Injected,
}

#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    path: PathBuf,
    data: Content,
}

#[derive(Debug)]
struct DiskLock {
    disk: Disk,
    path: PathBuf,
}

impl Disk {
    /// From now on this goes wrong, or nothing any more.
    pub fn fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// This goes wrong once: with the first operation that it can happen to, from the one with this number on (counted from 0).
    pub fn plan(&self, operation: u64, wrong: Wrong) {
        self.state().plan.insert(operation, wrong);
    }

    /// This read of a file or a directory (counted from 0) fails with EIO; the same read would succeed if it were tried again.
    pub fn plan_read(&self, read: u64) {
        self.state().bad_reads.insert(read);
    }

    /// How many times a file or a directory has been read.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// How many operations that change something have been done.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The operation with which the last thing went wrong that was planned.
    pub fn happened(&self) -> Option<u64> {
        self.state().happened
    }

    /// Nothing more goes wrong as planned.
    pub fn plan_nothing(&self) {
        let mut state = self.state();
        state.plan.clear();
        state.bad_reads.clear();
    }

    /// The same file system for somebody else, as it is now: what is done with this one from here on does not reach it.
    pub fn freeze(&self) -> Disk {
        let frozen = self.kill();
        let (state, mut after) = (self.state(), frozen.state());
        after.operations = state.operations;
        after.plan = state.plan.clone();
        after.happened = state.happened;
        after.reads = state.reads;
        after.bad_reads = state.bad_reads.clone();
        after.fault = state.fault;
        after.stopped = state.stopped;
        drop(after);
        frozen
    }

    /// All operations so far as one number, so that two histories can be compared.
    pub fn digest(&self) -> u64 {
        self.state().digest
    }

    /// Whether the machine has stopped: nothing can be changed any more.
    pub fn has_stopped(&self) -> bool {
        self.state().stopped
    }

    /// How often each thing went wrong. A file system made by [`Disk::crash`] goes on counting where the one before it ended.
    pub fn injected(&self) -> Injected {
        self.state().injected
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a change, and fails it if it is to fail. What is returned may ask for half of it to be done.
    fn change(&self, operation: Operation, path: &Path) -> io::Result<(MutexGuard<'_, State>, Hit)> {
        let mut state = self.state();
        let hit = state.hit(operation, path)?;
        Ok((state, hit))
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Files for Disk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        let data = if mode == Mode::Create {
            let (mut state, _) = self.change(Operation::Name, path)?;
            if state.files.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if path.parent().is_none_or(|parent| !state.directories.contains(parent)) {
                return Err(not_found());
            }
            let data = Content::default();
            state.name(path, Some(data.clone()));
            data
        } else {
            self.state().files.get(path).cloned().ok_or_else(not_found)?
        };
        Ok(Arc::new(DiskFile { disk: self.clone(), path: path.to_owned(), data }))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.read()?;
        if !state.directories.contains(directory) {
            return Err(not_found());
        }
        let all = state.files.keys().chain(&state.directories);
        let inside = all.filter(|path| path.parent() == Some(directory));
        Ok(inside
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.state().files.contains_key(path) {
            return Err(not_found());
        }
        self.change(Operation::Remove, path)?.0.name(path, None);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, _) = self.change(Operation::Name, to)?;
        let data = state.files.get(from).cloned().ok_or_else(not_found)?;
        state.name(from, None);
        state.name(to, Some(data));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let (mut state, _) = self.change(Operation::Name, path)?;
        state.directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Err(error) = state.hit(Operation::Sync, path) {
            if !state.stopped {
                state.sync_names_badly(path);
            }
            return Err(error);
        }
        if state.fault != Some(Fault::SyncsLie) {
            state.sync_names(path);
        }
        Ok(())
    }

    fn free_space(&self, _directory: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let taken = !self.state().locked.insert(path.to_owned());
        Ok((!taken)
            .then(|| Box::new(DiskLock { disk: self.clone(), path: path.to_owned() }) as Box<dyn Lock>))
    }
}

impl DiskFile {
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, operation: Operation) -> io::Result<Hit> {
        self.disk.change(operation, &self.path).map(|(_, hit)| hit)
    }
}

impl File for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.state().read()?;
        Ok(self.data().read(buffer, offset))
    }

    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut bytes = pieces.iter().map(|piece| &**piece).collect::<Vec<&[u8]>>().concat();
        let grows = offset as usize + bytes.len() > self.data().len();
        let operation = match bytes.len() {
            0 | 1 => Operation::Byte,
            _ if grows => Operation::Grow,
            _ => Operation::Write,
        };
        match self.change(operation) {
            Ok(Hit::Whole) => {}
            Ok(Hit::Part(part)) => {
                bytes.truncate(1 + (part as usize) % (bytes.len() - 1));
                self.disk.state().injected.short_writes += 1;
            }
            // Some of it may have come as far as the page cache.
            Err(error) => {
                let (done, _) = bytes.split_at(bytes.len() / 2);
                if self.disk.has_stopped() && !grows {
                    self.data().write(done, offset);
                }
                return Err(error);
            }
        }
        self.data().write(&bytes, offset);
        self.disk.state().digest(&bytes);
        Ok(bytes.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.disk.change(Operation::Sync, &self.path) {
            Ok((state, _)) if state.fault == Some(Fault::SyncsLie) => Ok(()),
            Ok(_) => {
                self.data().sync();
                Ok(())
            }
            Err(error) => {
                // As Linux does: what could not be written counts as clean from now on, and a later sync says that all is well.
                self.data().sync_badly();
                Err(error)
            }
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(Operation::Reserve)?;
        let mut data = self.data();
        let length = data.len().max(len as usize);
        data.resize(length);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let grows = len as usize > self.data().len();
        self.change(if grows { Operation::Reserve } else { Operation::Shrink })?;
        self.data().resize(len as usize);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.data().len() as u64)
    }
}

impl Lock for DiskLock {}

impl Drop for DiskLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.path);
    }
}
