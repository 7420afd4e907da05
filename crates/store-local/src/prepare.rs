//! Making the next segment before it is needed.

use crate::Work;
use crate::file::File;
use crate::segments::Segments;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

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
    Making(u64, JoinHandle<io::Result<Arc<dyn File>>>),
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

    /// The segment, ready for writing and at least so long; waits for it. After an error it may be asked for again.
    pub(crate) fn take(&mut self, segment: u64, size: u64) -> io::Result<Arc<dyn File>> {
        let file = match std::mem::replace(&mut self.state, State::Idle) {
            State::Ready(number, file) if number == segment => Ok(file),
            State::Making(number, making) if number == segment => making
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that made a segment panicked"))),
            _ => self.segments.create(segment, self.size.max(size)),
        }?;
        if file.size()? < size {
            let longer = file.allocate(size).and_then(|()| file.sync_data());
            if let Err(error) = longer {
                self.state = State::Ready(segment, file);
                return Err(error);
            }
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
