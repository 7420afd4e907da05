//! The segment files: their names, making them, and reading single records out of them.

use crate::effect::Locator;
use crate::error::io_error;
use crate::file::{File, Files, Mode, read_exact_at, write_all_at};
use crate::record::{self, Header, RECORD_HEADER};
use bytes::Bytes;
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use store::{Error, Result};

/// The segments of a log, opened as they are needed for reading.
#[derive(Debug)]
pub(crate) struct Segments {
    files: Arc<dyn Files>,
    directory: PathBuf,
    open: Mutex<HashMap<u64, Arc<dyn File>>>,
}

impl Segments {
    /// Those of the log in this directory, which is created when there is none.
    pub(crate) fn open(files: Arc<dyn Files>, directory: PathBuf) -> Result<Segments> {
        files.create_dir(&directory).map_err(|error| io_error("creating", &directory, error))?;
        let store = directory.parent().unwrap_or(&directory);
        files.sync_dir(store).map_err(|error| io_error("syncing", store, error))?;
        // A process may have ended between the naming of a segment and its sync.
        files.sync_dir(&directory).map_err(|error| io_error("syncing", &directory, error))?;
        Ok(Segments { files, directory, open: Mutex::new(HashMap::new()) })
    }

    /// Makes a segment of this many bytes, durably, so that nothing but its records is missing. Under its final name there is only
    /// ever a whole one.
    pub(crate) fn create(&self, segment: u64, size: u64) -> io::Result<Arc<dyn File>> {
        match self.files.open(&self.path(segment), Mode::Read) {
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let unfinished = self.directory.join(format!("{segment:08}.new"));
        match self.files.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.files.open(&unfinished, Mode::Create)?;
        let made = self.fill(&*file, segment, size);
        if let Err(error) = made {
            // Most likely the disk is full: what was reserved goes back. The first error is the one to tell.
            self.files.remove(&unfinished).unwrap_or_else(|error| {
                tracing::warn!(%error, file = %unfinished.display(), "cannot remove an unfinished segment");
            });
            return Err(error);
        }
        self.files.rename(&unfinished, &self.path(segment))?;
        self.files.sync_dir(&self.directory)?;
        Ok(file)
    }

    fn fill(&self, file: &dyn File, segment: u64, size: u64) -> io::Result<()> {
        file.allocate(size)?;
        write_all_at(file, &mut [IoSlice::new(&record::segment_header(segment))], 0)?;
        file.sync_data()
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

    /// The numbers of the segments that there are, ascending.
    pub(crate) fn list(&self) -> Result<Vec<u64>> {
        let fail = |error| io_error("listing", &self.directory, error);
        let mut numbers = Vec::new();
        for name in self.files.list(&self.directory).map_err(fail)? {
            let path = self.directory.join(&name);
            match name.split_once('.') {
                Some((number, "seg")) if number.len() == 8 && number.bytes().all(|b| b.is_ascii_digit()) => {
                    numbers.extend(number.parse::<u64>());
                }
                Some((_, "new")) => self.files.remove(&path).map_err(|e| io_error("removing", &path, e))?,
                _ => {
                    tracing::warn!(file = %path.display(), "this file does not belong into a log; it is left alone")
                }
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The body of a record, checked.
    pub(crate) fn read(&self, at: Locator) -> Result<Bytes> {
        let file = self.open_to_read(at.segment)?;
        let mut bytes = vec![0; RECORD_HEADER as usize + at.length as usize];
        read_exact_at(&*file, &mut bytes, at.offset)
            .map_err(|error| io_error("reading", &self.path(at.segment), error))?;
        let body = Bytes::from(bytes);
        let header = Header::decode(&body, at.segment, at.offset);
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
        self.directory.join(format!("{segment:08}.seg"))
    }
}

/// How many segments stay open for reading.
const OPEN_MAX: usize = 128;
