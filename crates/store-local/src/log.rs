//! The log: appending a batch, and going on to the next segment.
//!
//! Plain and synchronous; [`crate::writer`] calls it from its thread. One batch is one vectored write and one sync. After a failed write or
//! sync nobody can know what the disk holds, and asking again can lie (a second fsync may succeed without having written anything),
//! so the log is fenced for good.

use crate::error::io_error;
use crate::file::{File, read_exact_at, write_all_at};
use crate::prepare::Preparer;
use crate::record::{SEGMENT_HEADER, Spot};
use crate::recover::{FIRST_SEGMENT, Tail};
use crate::segments::Segments;
use std::io::IoSlice;
use std::sync::Arc;
use store::{Error, Result};

/// The end of the log, open for writing.
#[derive(Debug)]
pub(crate) struct Log {
    segments: Arc<Segments>,
    preparer: Preparer,
    file: Arc<dyn File>,
    segment: u64,
    end: u64,
    size: u64,
    previous_end: u64,
    fence: Option<String>,
}

impl Log {
    /// Takes up a log where a walk found its end, or begins a new one. What a crash left behind the end is wiped out first.
    pub(crate) fn open(segments: Arc<Segments>, mut preparer: Preparer, tail: Option<Tail>) -> Result<Log> {
        let Some(tail) = tail else {
            let file = preparer.take(FIRST_SEGMENT, 0)?;
            let size = file.size().map_err(|e| segment_error(&segments, FIRST_SEGMENT, e))?;
            let (segment, end) = (FIRST_SEGMENT, SEGMENT_HEADER);
            return Ok(Log { segments, preparer, file, segment, end, size, previous_end: 0, fence: None });
        };
        let file = segments.open_to_write(tail.segment)?;
        if let Some(last) = tail.torn {
            wipe(&*file, tail.end, last + 1).map_err(|e| segment_error(&segments, tail.segment, e))?;
        }
        if tail.prepared {
            preparer.has(tail.segment + 1, segments.open_to_write(tail.segment + 1)?);
        }
        let size = file.size().map_err(|e| segment_error(&segments, tail.segment, e))?;
        let Tail { segment, end, previous_end, .. } = tail;
        Ok(Log { segments, preparer, file, segment, end, size, previous_end, fence: None })
    }

    /// The segment that is being written.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// Where the next record will begin.
    pub(crate) fn spot(&self) -> Spot {
        Spot { salt: self.segments.salt(), segment: self.segment, offset: self.end }
    }

    /// Where the records of the segment before end; 0 when there is none.
    pub(crate) fn previous_end(&self) -> u64 {
        self.previous_end
    }

    /// Whether the segment has no record yet.
    pub(crate) fn is_at_beginning(&self) -> bool {
        self.end == SEGMENT_HEADER
    }

    /// Whether this many bytes more fit the segment.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        self.end + bytes <= self.size
    }

    /// Refuses when the log is fenced.
    fn check(&self) -> Result<()> {
        self.fence.clone().map_or(Ok(()), |why| Err(Error::Fenced(why)))
    }

    /// Appends the records of one batch and makes them durable.
    pub(crate) fn append(&mut self, pieces: &mut [IoSlice<'_>], length: u64) -> Result<()> {
        self.check()?;
        let written = write_all_at(&*self.file, pieces, self.end).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            let why = segment_error(&self.segments, self.segment, error).to_string();
            self.fence = Some(why.clone());
            return Err(Error::Fenced(why));
        }
        self.end += length;
        // The next segment is made while this one is being filled, so that no commit waits for it.
        if self.end > self.size / 2 {
            self.preparer.begin(self.segment + 1);
        }
        Ok(())
    }

    /// Goes on to the next segment, which will have room for this many bytes. When it cannot be made nothing has changed: the disk may
    /// be full now and not later. When nobody can know how far it was made the log is fenced.
    pub(crate) fn roll(&mut self, bytes: u64) -> Result<()> {
        self.check()?;
        let next = self.segment + 1;
        let file = self.preparer.take(next, SEGMENT_HEADER + bytes).inspect_err(|error| {
            if let Error::Fenced(why) = error {
                self.fence = Some(why.clone());
            }
        })?;
        let size = file.size().map_err(|error| segment_error(&self.segments, next, error))?;
        self.previous_end = self.end;
        (self.file, self.segment, self.end, self.size) = (file, next, SEGMENT_HEADER, size);
        Ok(())
    }
}

/// Writes the last batch of a log anew, durably. It may have been read from memory only: a process that was killed had not synced it,
/// or its sync had failed, after which Linux takes the pages for clean and no later sync writes them. This comes before anything
/// is built upon it, the index included.
pub(crate) fn settle(segments: &Segments, tail: &Tail) -> Result<()> {
    let file = segments.open_to_write(tail.segment)?;
    let mut bytes = vec![0; (tail.end - tail.last) as usize];
    read_exact_at(&*file, &mut bytes, tail.last)
        .and_then(|()| write_all_at(&*file, &mut [IoSlice::new(&bytes)], tail.last))
        .and_then(|()| file.sync_data())
        .map_err(|error| segment_error(segments, tail.segment, error))
}

/// Overwrites a range with zeros, durably, so that nothing in it can ever be taken for a record.
fn wipe(file: &dyn File, from: u64, to: u64) -> std::io::Result<()> {
    let zeros = vec![0; WIPE.min((to - from) as usize)];
    let mut at = from;
    while at < to {
        let length = zeros.len().min((to - at) as usize);
        write_all_at(file, &mut [IoSlice::new(&zeros[..length])], at)?;
        at += length as u64;
    }
    file.sync_data()
}

fn segment_error(segments: &Segments, segment: u64, error: std::io::Error) -> Error {
    io_error("writing", &segments.path(segment), error)
}

/// How much is wiped in one write.
const WIPE: usize = 1 << 20;
