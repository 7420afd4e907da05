//! The mark of a store that is being made from another one or from a backup: until it is whole, nobody may take it for the mail.
//!
//! An empty mark says that the making goes on, or was interrupted: anything may be missing, and nothing in the directory tells what. When
//! all of a damaged backup was copied the mark says so, and where the log ended that was backed up; from such a store a repair can save
//! what is intact, and say what is not.

use crate::effect::Position;
use crate::engine::Engine;
use crate::error::io_error;
use crate::file::{Files, Lock, Mode, read_exact_at, write_all_at};
use crate::local::{Options, Work};
use crate::open::{self, lock};
use crate::segment;
use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use store::{Error, Result};

/// A new store that is not whole yet.
pub(crate) struct Unfinished<'a> {
    files: &'a dyn Files,
    directory: &'a Path,
    lock: Box<dyn Lock>,
}

/// How far the making of a store has come that has the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It goes on, or was interrupted.
    Begun,
    /// All that a damaged backup has is there; its log ended at this position, if it had any records.
    Copied(Option<Position>),
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

    /// All of a damaged backup is there, durably. Its log ended at this length of this segment, if it had any.
    pub(crate) fn copied(&self, end: Option<(u64, u64)>) -> Result<()> {
        let path = mark(self.directory);
        let text = match end {
            Some((segment, length)) => format!("{COPIED} {} {length}\n", segment::name(segment)),
            None => format!("{COPIED}\n"),
        };
        let fail = |error| io_error("writing", &path, error);
        let file = self.files.open(&path, Mode::Write).map_err(fail)?;
        write_all_at(&*file, &mut [IoSlice::new(text.as_bytes())], 0).map_err(fail)?;
        file.sync_data().map_err(|error| io_error("syncing", &path, error))
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
    progress(files, directory)?.map_or(Ok(()), |progress| {
        Err(Error::Invalid(format!("{} {}", directory.display(), progress.what())))
    })
}

/// What the mark of a store says; `None` when it has none.
pub(crate) fn progress(files: &dyn Files, directory: &Path) -> Result<Option<Progress>> {
    let path = mark(directory);
    let file = match files.open(&path, Mode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| io_error("opening", &path, error))?,
    };
    let mut text = [0; MARK_MAX];
    let fail = |error| io_error("reading", &path, error);
    let length = file.size().map_err(fail)?.min(MARK_MAX as u64) as usize;
    read_exact_at(&*file, &mut text[..length], 0).map_err(fail)?;
    // What cannot be understood was not written to its end.
    Ok(Some(Progress::parse(&text[..length]).unwrap_or(Progress::Begun)))
}

impl Progress {
    /// What is to be said of a store with such a mark, behind its name.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Progress::Begun => {
                "was being repaired or restored, and that was not finished: anything may be missing from it. Remove it and begin again"
            }
            Progress::Copied(_) => {
                "was restored from a backup that is damaged, and that was not finished: restore another backup, or save what is intact \
                 with `posthaste store repair NEW-DIR`"
            }
        }
    }

    fn parse(text: &[u8]) -> Option<Progress> {
        let line = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
        let mut words = line.split(' ');
        if words.next() != Some(COPIED) {
            return None;
        }
        let Some(name) = words.next() else { return Some(Progress::Copied(None)) };
        let (segment, end) = (segment::parse(name)?, words.next()?.parse().ok()?);
        Some(Progress::Copied(Some(Position { segment, start: end, end })))
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

/// How the mark begins when all of a damaged backup was copied.
const COPIED: &str = "copied";

/// No mark is longer, in bytes.
const MARK_MAX: usize = 128;
