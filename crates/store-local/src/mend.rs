//! Opening the index anew while the store is open, after a file operation on it has failed.
//!
//! The log is the truth and goes on; the index is derived from it, so no failure of the index is for good. [`crate::view`] decides when it
//! is tried. This is not the opening of a store ([`crate::open`]): nothing is judged here, and nothing is written to the log.

use crate::effect::{Committed, Position};
use crate::error::io_error;
use crate::file::Files;
use crate::index::{Index, Unusable};
use crate::open::{INDEX, INDEX_ANEW};
use crate::recover::{self, Damage, Visitor};
use crate::scan::Batch;
use crate::segments::Segments;
use std::path::PathBuf;
use std::sync::Arc;
use store::{Error, Result};

/// What an index is opened, or made, from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) files: Arc<dyn Files>,
    /// The store's directory.
    pub(crate) directory: PathBuf,
    /// Bytes of memory for the index's cache.
    pub(crate) cache: usize,
    pub(crate) segments: Arc<Segments>,
}

impl Source {
    /// The index that is there, if it can be used, to which the log is applied up to the end of this batch and no further. The outer error
    /// says nothing against the file: it may succeed later.
    pub(crate) fn open(&self, upto: Option<Position>) -> Result<std::result::Result<Index, String>> {
        match Index::open(&*self.files, &self.directory.join(INDEX), self.cache)? {
            Err(Unusable::Failed(error)) => Err(error),
            Err(Unusable::Bad(why)) => Ok(Err(why)),
            Ok(index) => match self.apply(&index, upto) {
                Ok(()) => Ok(Ok(index)),
                Err(error @ (Error::Full(_) | Error::Io { .. })) => Err(error),
                Err(error) => Ok(Err(error.to_string())),
            },
        }
    }

    /// The same, made from nothing, which takes long: the whole log is read.
    pub(crate) fn make(&self, upto: Option<Position>) -> Result<Index> {
        // The old one stays until the new one is whole: if the log cannot be read everywhere, it still says what was acknowledged.
        let (new, path) = (self.directory.join(INDEX_ANEW), self.directory.join(INDEX));
        let index = Index::create(&*self.files, &new, self.cache)?;
        self.apply(&index, upto)?;
        self.files.rename(&new, &path).map_err(|error| io_error("renaming", &new, error))?;
        let synced = self.files.sync_dir(&self.directory);
        synced.map_err(|error| io_error("syncing", &self.directory, error))?;
        Ok(index)
    }

    /// Applies what the index does not have yet, durably.
    fn apply(&self, index: &Index, upto: Option<Position>) -> Result<()> {
        let from = index.read()?.position()?;
        if from == upto {
            return Ok(());
        }
        let mut catching_up = CatchingUp { index, upto, waiting: Vec::new(), effects: 0, reached: false };
        let walked = recover::walk(&self.segments, from, &mut catching_up);
        if !catching_up.reached {
            walked?;
            return Err(Error::Damaged("the log does not reach as far as the index did".to_owned()));
        }
        index.checkpoint()
    }
}

/// Walks up to a batch. Behind it the log is being written, so what is there must not be looked at.
struct CatchingUp<'a> {
    index: &'a Index,
    upto: Option<Position>,
    waiting: Vec<Committed>,
    effects: usize,
    reached: bool,
}

impl Visitor for CatchingUp<'_> {
    fn batch(&mut self, segment: u64, batch: &Batch) -> Result<()> {
        // What cannot be understood was passed over when the store was opened.
        if let Ok(committed) = Committed::read(segment, batch) {
            self.effects += committed.effects.len();
            self.waiting.push(committed);
        }
        let at = Position { segment, start: batch.start, end: batch.end };
        let reached = Some(at) == self.upto;
        if reached || self.effects >= EFFECTS_MAX {
            self.effects = 0;
            self.index.apply(&std::mem::take(&mut self.waiting))?;
        }
        if reached {
            self.reached = true;
            // Ends the walk.
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Judged when the store was opened.
    fn damage(&mut self, _: Damage) -> Result<()> {
        Ok(())
    }
}

/// About how many effects are applied in one transaction.
const EFFECTS_MAX: usize = 32 * 1024;
