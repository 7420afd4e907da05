//! The mark of a store that is being made from another one or from a backup: until it is whole, nobody may take it for the mail.

use crate::engine::Engine;
use crate::error::io_error;
use crate::file::{Files, Lock, Mode};
use crate::local::{Options, Work};
use crate::open::{self, lock};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use store::{Error, Result};

/// A new store that is not whole yet.
pub(crate) struct Unfinished<'a> {
    files: &'a dyn Files,
    directory: &'a Path,
    lock: Box<dyn Lock>,
}

impl<'a> Unfinished<'a> {
    /// Begins a store in a directory that is empty or does not exist.
    pub(crate) fn begin(files: &'a dyn Files, directory: &'a Path) -> Result<Unfinished<'a>> {
        let names = match files.list(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| io_error("listing", directory, error))?,
        };
        if !names.is_empty() {
            let directory = directory.display();
            return Err(Error::Invalid(format!(
                "{directory} is not empty: name a directory that is, or a new one"
            )));
        }
        let lock = lock(files, directory)?;
        let path = mark(directory);
        let file = files.open(&path, Mode::Create).map_err(|error| io_error("creating", &path, error))?;
        file.sync_data().map_err(|error| io_error("syncing", &path, error))?;
        files.sync_dir(directory).map_err(|error| io_error("syncing", directory, error))?;
        Ok(Unfinished { files, directory, lock })
    }

    /// It is whole, and can be opened: that is proved, and a change made that belongs to its making, before the mark goes.
    pub(crate) fn finish_with<T>(
        self,
        options: &Options,
        change: impl FnOnce(&Engine) -> Result<T>,
    ) -> Result<T> {
        let (engine, _) = open::open_held(on_the_spot(options, self.directory), self.lock)?;
        let changed = change(&engine)?;
        engine.close()?;
        remove_mark(self.files, self.directory)?;
        Ok(changed)
    }
}

fn remove_mark(files: &dyn Files, directory: &Path) -> Result<()> {
    let path = mark(directory);
    files.remove(&path).map_err(|error| io_error("removing", &path, error))?;
    files.sync_dir(directory).map_err(|error| io_error("syncing", directory, error))
}

/// Refuses a store that was never finished.
pub(crate) fn check(files: &dyn Files, directory: &Path) -> Result<()> {
    match files.open(&mark(directory), Mode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("opening", &mark(directory), error)),
        Ok(_) => Err(Error::Invalid(format!(
            "{} was being repaired or restored, and that was not finished: remove it and begin again",
            directory.display()
        ))),
    }
}

fn on_the_spot(options: &Options, directory: &Path) -> Options {
    Options { directory: directory.to_owned(), work: Work::Caller, ..options.clone() }
}

fn mark(directory: &Path) -> PathBuf {
    directory.join(MARK)
}

/// The name of the mark in a store's directory.
pub(crate) const MARK: &str = "unfinished";
