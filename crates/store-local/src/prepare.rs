//! Making the next segment before it is needed.

use crate::Work;
use crate::error::{io_error, write_error};
use crate::file::File;
use crate::segments::Segments;
use std::sync::Arc;
use std::thread::JoinHandle;
use store::{Error, Result};

/// Makes segments, in a thread of its own if the engine has threads.
#[derive(Debug)]
pub(crate) struct Preparer {
    segments: Arc<Segments>,
    /// The size of an ordinary segment.
    size: u64,
    work: Work,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Making(u64, JoinHandle<Result<Arc<dyn File>>>),
    Ready(u64, Arc<dyn File>),
}

impl Preparer {
    /// For segments of this size.
    pub(crate) fn new(segments: Arc<Segments>, size: u64, work: Work) -> Preparer {
        Preparer { segments, size, work, state: State::Idle }
    }

    /// Takes note of a segment that is there already.
    pub(crate) fn has(&mut self, segment: u64, file: Arc<dyn File>) {
        self.state = State::Ready(segment, file);
    }

    /// Begins to make a segment, unless that was done before. Does not wait.
    pub(crate) fn begin(&mut self, segment: u64) {
        if !matches!(self.state, State::Idle) || self.work == Work::Caller {
            return;
        }
        let (segments, size) = (self.segments.clone(), self.size);
        let thread = std::thread::Builder::new().name("store-segment".to_owned());
        match thread.spawn(move || segments.create(segment, size)) {
            Ok(making) => self.state = State::Making(segment, making),
            Err(error) => {
                tracing::warn!(%error, "no thread to prepare a segment; it will be made when it is needed")
            }
        }
    }

    /// The segment, ready for writing and at least so long; waits for it. After any error but [`Error::Fenced`] it may be asked for again.
    pub(crate) fn take(&mut self, segment: u64, size: u64) -> Result<Arc<dyn File>> {
        let file = match std::mem::replace(&mut self.state, State::Idle) {
            State::Ready(number, file) if number == segment => Ok(file),
            State::Making(number, making) if number == segment => match making.join() {
                Ok(made @ (Ok(_) | Err(Error::Fenced(_)))) => made,
                // What failed then, hours ago perhaps, may have passed since.
                Ok(Err(_)) => self.segments.create(segment, self.size.max(size)),
                Err(_) => Err(Error::Fenced("the thread that made a segment panicked".to_owned())),
            },
            _ => self.segments.create(segment, self.size.max(size)),
        }?;
        let path = self.segments.path(segment);
        if file.size().map_err(|error| io_error("asking for the length of", &path, error))? < size {
            if let Err(error) = file.allocate(size) {
                self.state = State::Ready(segment, file);
                return Err(write_error("making room in", &path, error));
            }
            // Whatever the reason: the next one would see that it is long enough, and not that it was never synced.
            file.sync_data().map_err(|error| Error::Fenced(io_error("syncing", &path, error).to_string()))?;
        }
        Ok(file)
    }
}

impl Drop for Preparer {
    /// No segment is made any more when the store's lock is let go.
    fn drop(&mut self) {
        if let State::Making(segment, making) = std::mem::replace(&mut self.state, State::Idle) {
            match making.join() {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, segment, "the next segment could not be prepared"),
                Err(_) => tracing::error!(segment, "the thread that made a segment panicked"),
            }
        }
    }
}
