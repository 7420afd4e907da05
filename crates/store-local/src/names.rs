//! Making the names in a directory durable, which nobody tries a second time.
//!
//! After a failed sync the kernel may take what it could not write for clean, and another sync may then succeed without having written
//! anything. So the first failure is for good, and for everybody who has made a name in the same directory. [`crate::segments`] and
//! [`crate::large`] use it while the store is open; opening it anew begins anew, since a file system with such a failure has to be
//! mounted anew first.

use crate::error::io_error;
use crate::file::{Files, NotTried};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use store::{Error, Result};

/// The names in one directory.
#[derive(Debug)]
pub(crate) struct Names {
    files: Arc<dyn Files>,
    directory: PathBuf,
    /// Why none is believed to become durable any more. Held during a sync: who makes a name meanwhile hears of its failure as well.
    failed: Mutex<Option<String>>,
}

impl Names {
    /// Those in this directory.
    pub(crate) fn new(files: Arc<dyn Files>, directory: PathBuf) -> Names {
        Names { files, directory, failed: Mutex::new(None) }
    }

    /// Makes all changes durable that were made before. After a sync that failed only [`Error::Fenced`] comes; any other error says that there was
    /// none, and that it may be tried again.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut failed = self.failed.lock().expect("no holder of this lock panics");
        if let Some(why) = &*failed {
            return Err(Error::Fenced(why.clone()));
        }
        self.files.sync_dir(&self.directory).map_err(|error| {
            if NotTried::is_in(&error) {
                return io_error("syncing", &self.directory, error);
            }
            let why = io_error("syncing", &self.directory, error).to_string();
            *failed = Some(why.clone());
            Error::Fenced(why)
        })
    }
}
