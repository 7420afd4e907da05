//! Checking a backup where it lies, without restoring it: every file is there, as long as it was, with the checksum it had, and what the
//! files say is a whole log. [`crate::verify`] calls this for a directory that is a backup. Nothing in it is changed.

use super::copy::Source;
use super::manifest::{Entry, Kept, MANIFEST, Manifest};
use super::{LOCK, MARK, first_damage};
use crate::error::io_error;
use crate::file::{File, Files, Lock, Mode};
use crate::large::LargeReader;
use crate::local::Options;
use crate::open::{LARGE, LOG};
use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Error, Result};

/// A backup that nobody writes to meanwhile.
pub(crate) struct Checked {
    pub(crate) manifest: Manifest,
    _lock: Box<dyn Lock>,
}

/// Takes the lock of a backup and reads its manifest. Fails with [`Error::InUse`] when a backup is being made there, with [`Error::Invalid`]
/// when none was ever finished.
pub(crate) fn open(files: &dyn Files, directory: &Path) -> Result<Checked> {
    let path = directory.join(LOCK);
    let lock = files.lock(&path).map_err(|error| io_error("locking", &path, error))?;
    let shown = directory.display();
    let _lock = lock.ok_or_else(|| Error::InUse(format!("a backup into {shown} is under way")))?;
    let manifest = Manifest::read(files, directory)?.ok_or_else(|| no_manifest(files, directory))?;
    Ok(Checked { manifest, _lock })
}

/// Says why there is no manifest.
pub(crate) fn no_manifest(files: &dyn Files, backup: &Path) -> Error {
    let shown = backup.display();
    Error::Invalid(match files.open(&backup.join(MARK), Mode::Read) {
        Ok(_) => format!("the backup in {shown} was never finished: it has no {MANIFEST}"),
        Err(_) => format!("there is no backup in {shown}"),
    })
}

impl Checked {
    /// Compares every file with what the manifest says of it; `finding` gets the path of each that differs, and how.
    pub(crate) fn compare(
        &self,
        files: &dyn Files,
        directory: &Path,
        finding: &mut dyn FnMut(PathBuf, String),
    ) -> Result<()> {
        for entry in &self.manifest.entries {
            let path = directory.join(entry.stored());
            let file = match files.open(&path, Mode::Read) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    finding(path, "the file is missing".to_owned());
                    continue;
                }
                file => file.map_err(|error| io_error("opening", &path, error))?,
            };
            if let Some(what) = difference(file, &path, entry)? {
                finding(path, what);
            }
        }
        Ok(())
    }

    /// The same files, under the names that they have in a store.
    pub(crate) fn as_store(&self, options: &Options) -> Options {
        let directory = &options.directory;
        let paths = self.manifest.entries.iter().map(|entry| (entry.file.path(), entry.stored()));
        let stored: HashMap<_, _> =
            paths.map(|(path, stored)| (directory.join(path), directory.join(stored))).collect();
        let (log, large) = (directory.join(LOG), directory.join(LARGE));
        let directories = HashSet::from([log, large.clone()]);
        let above = stored.keys().filter_map(|path| path.parent()).filter(|path| path.starts_with(&large));
        let directories = directories.into_iter().chain(above.map(Path::to_owned)).collect();
        let files = Arc::new(AsStore { files: options.files.clone(), stored, directories });
        Options { files, ..options.clone() }
    }
}

/// Says how a file of a backup differs from what it was, if it does.
fn difference(file: Arc<dyn File>, path: &Path, entry: &Entry) -> Result<Option<String>> {
    let length = file.size().map_err(|error| io_error("reading", path, error))?;
    if length != entry.length {
        return Ok(Some(format!("it is {length} bytes long and not {}", entry.length)));
    }
    let source = Source { file: &*file, path, length };
    if source.checksum(&|| Ok(()))? == entry.crc {
        return Ok(None);
    }
    let place = place_of_damage(file, path, entry.file)?;
    let what = "it does not match its checksum";
    Ok(Some(place.map_or_else(|| what.to_owned(), |place| format!("{what}, first at {place}"))))
}

/// Where a file of a backup differs from what it was, as closely as the checksums in it tell.
pub(crate) fn place_of_damage(file: Arc<dyn File>, path: &Path, kept: Kept) -> Result<Option<String>> {
    match kept {
        Kept::Segment(segment) => {
            let at = first_damage(file, segment, None).map_err(|error| io_error("reading", path, error))?;
            Ok(at.map(|at| format!("the record at {at} of {}", path.display())))
        }
        Kept::Large(spool) => match read_blocks(file, path, spool) {
            Err(Error::Damaged(what)) => Ok(Some(what)),
            read => read.map(|()| None),
        },
    }
}

fn read_blocks(file: Arc<dyn File>, path: &Path, spool: u64) -> Result<()> {
    let mut reader = LargeReader::of_file(file, path.to_owned(), spool)?;
    while reader.next()?.is_some() {}
    Ok(())
}

/// The files of a backup as a restoration would name them; everything else is as it is.
#[derive(Debug)]
struct AsStore {
    files: Arc<dyn Files>,
    /// What they are called, by what they are called in a store.
    stored: HashMap<PathBuf, PathBuf>,
    /// The directories that a store has: nothing else is in them.
    directories: HashSet<PathBuf>,
}

impl AsStore {
    fn is_inside(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| self.directories.contains(parent))
    }
}

impl Files for AsStore {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        match self.stored.get(path) {
            Some(stored) if mode == Mode::Read => self.files.open(stored, mode),
            None if self.is_inside(path) => Err(ErrorKind::NotFound.into()),
            None => self.files.open(path, mode),
            Some(_) => Err(ErrorKind::PermissionDenied.into()),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        if !self.directories.contains(directory) {
            return self.files.list(directory);
        }
        let inside = self.stored.keys().chain(&self.directories);
        let inside = inside.filter(|path| path.parent() == Some(directory));
        // What is missing is told where the files are compared.
        let there = inside.filter(|path| {
            self.stored.get(*path).is_none_or(|stored| self.files.open(stored, Mode::Read).is_ok())
        });
        Ok(there.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.is_inside(path) { Err(ErrorKind::PermissionDenied.into()) } else { self.files.remove(path) }
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if self.directories.contains(path) { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
    }

    /// Nothing is ever changed in them.
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self, directory: &Path) -> io::Result<u64> {
        self.files.free_space(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.files.lock(path)
    }
}
