//! The segment files: their names, making them, and reading single records out of them.

use crate::effect::Locator;
use crate::error::{io_error, write_error};
use crate::file::{File, Files, Mode, read_exact_at, write_all_at};
use crate::local::Random;
use crate::names::Names;
use crate::record::{Flaw, Header, RECORD_HEADER, SegmentHeader, Spot};
use crate::scan;
use crate::segment;
use bytes::Bytes;
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use store::{Error, Result};

/// The segments of a log, opened as they are needed for reading.
#[derive(Debug)]
pub(crate) struct Segments {
    files: Arc<dyn Files>,
    directory: PathBuf,
    names: Names,
    salt: u32,
    open: Mutex<HashMap<u64, Arc<dyn File>>>,
    /// Left over from a crash, and not removed.
    ignored: Vec<u64>,
}

impl Segments {
    /// Those of the log in this directory, which is created when there is none; a new log gets a salt by chance.
    ///
    /// Fails with [`Error::Invalid`] when another version of the program wrote it.
    pub(crate) fn open(files: Arc<dyn Files>, directory: PathBuf, random: &Random) -> Result<Segments> {
        files.create_dir(&directory).map_err(|error| io_error("creating", &directory, error))?;
        let store = directory.parent().unwrap_or(&directory);
        files.sync_dir(store).map_err(|error| io_error("syncing", store, error))?;
        // A process may have ended between the naming of a segment and its sync.
        files.sync_dir(&directory).map_err(|error| io_error("syncing", &directory, error))?;
        let (open, ignored) = (Mutex::new(HashMap::new()), Vec::new());
        let names = Names::new(files.clone(), directory.clone());
        let mut segments = Segments { files, directory, names, salt: 0, open, ignored };
        segments.salt = match segments.written_salt()? {
            Some(salt) => salt,
            None => {
                random().map_err(|error| io_error("asking for chance for", &segments.directory, error))?
            }
        };
        Ok(segments)
    }

    /// What the log has chosen by chance, so that no content of a message can be taken for its records.
    pub(crate) fn salt(&self) -> u32 {
        self.salt
    }

    /// Takes another salt: none was found, and the records say with which they are some.
    pub(crate) fn set_salt(&mut self, salt: u32) {
        self.salt = salt;
    }

    /// The salt in the first header that can be read; `None` when there is none.
    pub(crate) fn written_salt(&self) -> Result<Option<u32>> {
        let mut all = self.all()?;
        all.sort_unstable();
        for segment in all {
            let path = self.path(segment);
            let file = self.open_to_read(segment)?;
            match scan::header(&*file, segment).map_err(|error| io_error("reading", &path, error))? {
                Ok(header) => return Ok(Some(header.salt)),
                Err(flaw @ Flaw::Version(_)) => {
                    return Err(Error::Invalid(format!("{}: {flaw}", path.display())));
                }
                Err(Flaw::Damaged(_)) => {}
            }
        }
        Ok(None)
    }

    /// Makes a segment of this many bytes, durably, so that nothing but its records is missing. Under its final name there is only
    /// ever a whole one. After a write or a sync that failed this cannot be tried again ([`Error::Fenced`]); after any other error, such
    /// as [`Error::Full`], it can.
    pub(crate) fn create(&self, segment: u64, size: u64) -> Result<Arc<dyn File>> {
        let (path, unfinished) = (self.path(segment), self.unfinished(segment));
        match self.files.open(&path, Mode::Read) {
            Ok(_) => return Err(Error::Fenced(format!("{} is there already", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("looking for", &path, error)),
        }
        self.remove_file(&unfinished)?;
        let created = self.files.open(&unfinished, Mode::Create);
        let file = created.map_err(|error| io_error("creating", &unfinished, error))?;
        if let Err(error) = self.fill(&*file, segment, size) {
            // Most likely the disk is full: what was reserved goes back. The first error is the one to tell.
            self.files.remove(&unfinished).unwrap_or_else(|error| {
                tracing::warn!(%error, file = %unfinished.display(), "cannot remove an unfinished segment");
            });
            return Err(write_error("writing", &unfinished, error));
        }
        self.files.rename(&unfinished, &path).map_err(|error| write_error("naming", &path, error))?;
        match self.names.sync() {
            Ok(()) => Ok(file),
            Err(fenced @ Error::Fenced(_)) => Err(fenced),
            Err(error) => {
                // There was no sync, so nothing is doubtful: the next time the segment is made anew.
                self.remove_file(&path)?;
                Err(error)
            }
        }
    }

    fn fill(&self, file: &dyn File, segment: u64, size: u64) -> io::Result<()> {
        file.allocate(size)?;
        let header = SegmentHeader { salt: self.salt, segment, replaced_end: None };
        write_all_at(file, &mut [IoSlice::new(&header.encode())], 0)?;
        file.sync_data()
    }

    /// Does as if these segments were not there.
    pub(crate) fn ignore(&mut self, segments: Vec<u64>) {
        self.ignored = segments;
    }

    /// Opens a segment for writing.
    pub(crate) fn open_to_write(&self, segment: u64) -> Result<Arc<dyn File>> {
        let path = self.path(segment);
        self.files.open(&path, Mode::Write).map_err(|error| io_error("opening", &path, error))
    }

    /// Opens a segment for reading; it stays open as long as there is room.
    pub(crate) fn open_to_read(&self, segment: u64) -> Result<Arc<dyn File>> {
        let mut open = self.open.lock().expect("no holder of this lock panics");
        if let Some(file) = open.get(&segment) {
            return Ok(file.clone());
        }
        let path = self.path(segment);
        let file = self.files.open(&path, Mode::Read).map_err(|error| io_error("opening", &path, error))?;
        if open.len() >= OPEN_MAX {
            let any = *open.keys().next().expect("it is not empty");
            open.remove(&any);
        }
        open.insert(segment, file.clone());
        Ok(file)
    }

    /// Removes segments that were being made when the store stopped.
    pub(crate) fn remove_unfinished(&self) -> Result<()> {
        let fail = |error| io_error("listing", &self.directory, error);
        for name in self.files.list(&self.directory).map_err(fail)? {
            if name.ends_with(".new") {
                let path = self.directory.join(&name);
                self.files.remove(&path).map_err(|error| io_error("removing", &path, error))?;
            }
        }
        Ok(())
    }

    /// The segments that there are, in the order of the log, without those that another one replaces.
    pub(crate) fn list(&self) -> Result<Vec<u64>> {
        let all = self.all()?;
        let current = |new: &u64| !all.iter().any(|other| segment::replaces(*other, *new));
        let mut list: Vec<u64> = all.iter().copied().filter(current).collect();
        list.sort_unstable_by_key(|segment| segment::last(*segment));
        Ok(list)
    }

    /// All segments that there are, in any order.
    pub(crate) fn all(&self) -> Result<Vec<u64>> {
        let fail = |error| io_error("listing", &self.directory, error);
        let mut all = Vec::new();
        for name in self.files.list(&self.directory).map_err(fail)? {
            let path = self.directory.join(&name);
            match name.split_once('.') {
                Some((stem, "seg")) if segment::parse(stem).is_some() => all.extend(segment::parse(stem)),
                Some((_, "new")) => {}
                _ => {
                    tracing::warn!(file = %path.display(), "this file does not belong into a log; it is left alone")
                }
            }
        }
        all.retain(|segment| !self.ignored.contains(segment));
        Ok(all)
    }

    /// Begins to write a segment in place of others. It counts only when it is [finished](Segments::finish_rewritten).
    pub(crate) fn begin_rewritten(&self, segment: u64) -> Result<Arc<dyn File>> {
        let path = self.unfinished(segment);
        self.remove_file(&path)?;
        self.files.open(&path, Mode::Create).map_err(|error| io_error("creating", &path, error))
    }

    /// Gives a segment whose file is synced its name, durably.
    pub(crate) fn finish_rewritten(&self, segment: u64) -> Result<()> {
        let path = self.unfinished(segment);
        self.files.rename(&path, &self.path(segment)).map_err(|error| io_error("renaming", &path, error))?;
        self.names.sync()
    }

    /// Forgets a segment that was being written in place of others.
    pub(crate) fn abandon_rewritten(&self, segment: u64) -> Result<()> {
        self.remove_file(&self.unfinished(segment))?;
        self.remove(segment)?;
        self.sync()
    }

    /// Removes a segment. Who reads it at the moment can go on.
    pub(crate) fn remove(&self, segment: u64) -> Result<()> {
        self.open.lock().expect("no holder of this lock panics").remove(&segment);
        self.remove_file(&self.path(segment))
    }

    /// Makes it durable that files were removed.
    pub(crate) fn sync(&self) -> Result<()> {
        self.names.sync()
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        match self.files.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("removing", path, error)),
            _ => Ok(()),
        }
    }

    fn unfinished(&self, segment: u64) -> PathBuf {
        self.directory.join(format!("{}.new", segment::name(segment)))
    }

    /// The body of a record, checked.
    pub(crate) fn read(&self, at: Locator) -> Result<Bytes> {
        self.read_from(&*self.open_to_read(at.segment)?, at)
    }

    /// The same from a segment that was opened before, which may have been removed since.
    pub(crate) fn read_from(&self, file: &dyn File, at: Locator) -> Result<Bytes> {
        let mut bytes = vec![0; RECORD_HEADER as usize + at.length as usize];
        read_exact_at(file, &mut bytes, at.offset)
            .map_err(|error| io_error("reading", &self.path(at.segment), error))?;
        let body = Bytes::from(bytes);
        let header = Header::decode(&body, Spot { salt: self.salt, segment: at.segment, offset: at.offset });
        let body = body.slice(RECORD_HEADER as usize..);
        let whole = header
            .is_some_and(|header| header.length == at.length && header.body_crc == crc32c::crc32c(&body));
        if !whole {
            let path = self.path(at.segment);
            return Err(Error::Damaged(format!("the record at {} of {}", at.offset, path.display())));
        }
        Ok(body)
    }

    /// The path of a segment's file.
    pub(crate) fn path(&self, segment: u64) -> PathBuf {
        self.directory.join(format!("{}.seg", segment::name(segment)))
    }
}

/// How many segments stay open for reading.
const OPEN_MAX: usize = 128;
