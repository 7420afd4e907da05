//! A store on a file system that is mounted read-only, as Linux mounts one anew whose disk fails: just then it is to be verified and repaired.
//!
//! Nobody can write to it, so no lock is needed and no name has to be made durable. What is only needed for the work itself is made in
//! another directory. This is for [`crate::verify`] and [`crate::repair`]; a store that is opened has to be written.

use crate::file::{File, Files, Lock, Mode};
use crate::local::Options;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The same options for a store whose file system is read-only. `scratch` is a directory elsewhere that exists, is empty, and is the caller's
/// to remove.
pub fn read_only(options: &Options, scratch: &Path) -> Options {
    let (files, directory) = (options.files.clone(), options.directory.clone());
    let files = Arc::new(ReadOnly { files, directory, scratch: scratch.to_owned() });
    Options { files, ..options.clone() }
}

#[derive(Debug)]
struct ReadOnly {
    files: Arc<dyn Files>,
    /// The directory that nothing can be changed in.
    directory: PathBuf,
    scratch: PathBuf,
}

impl ReadOnly {
    /// Where a file is made instead that cannot be made in the store's directory.
    fn instead(&self, path: &Path) -> Option<PathBuf> {
        let is_ours = path.parent() == Some(&self.directory);
        path.file_name().filter(|_| is_ours).map(|name| self.scratch.join(name))
    }

    fn is_inside(&self, path: &Path) -> bool {
        path.starts_with(&self.directory)
    }
}

impl Files for ReadOnly {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        let Some(instead) = self.instead(path) else { return self.files.open(path, mode) };
        match (self.files.open(&instead, mode), mode) {
            (Err(error), Mode::Read) if error.kind() == ErrorKind::NotFound => self.files.open(path, mode),
            (opened, _) => opened,
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        match self.files.list(directory) {
            // A directory that opening makes when it is missing.
            Err(error) if error.kind() == ErrorKind::NotFound && self.instead(directory).is_some() => {
                Ok(Vec::new())
            }
            names => names,
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(self.instead(path).as_deref().unwrap_or(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if self.is_inside(path) { Ok(()) } else { self.files.create_dir(path) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.is_inside(path) { Ok(()) } else { self.files.sync_dir(path) }
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        self.files.free_space(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.files.lock(self.instead(path).as_deref().unwrap_or(path))
    }
}
