//! The index's way to run: batches come from the writer, are applied together as they come, and are made durable now and then.

use crate::commit::Durable;
use crate::status::Status;
use crate::view::View;
use crate::writer::OnPanic;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use store::{Error, Result};

/// Keeps the view up to date.
#[derive(Debug)]
pub(crate) struct Indexer {
    view: Arc<View>,
    status: Arc<Status>,
    /// The segment of the last batch applied.
    segment: u64,
    /// How many batches were applied since the last checkpoint.
    unsynced: u64,
}

impl Indexer {
    /// For this view, whose last batch is in `segment`.
    pub(crate) fn new(view: Arc<View>, status: Arc<Status>, segment: u64) -> Indexer {
        Indexer { view, status, segment, unsynced: 0 }
    }

    /// What it keeps up to date.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Applies what comes until the writer stops, then makes everything durable.
    pub(crate) fn run(mut self, delivered: Receiver<Durable>) {
        let (view, status) = (self.view.clone(), self.status.clone());
        let _guard = OnPanic(move || {
            let panicked = Error::Fenced("the indexer panicked".to_owned());
            status.fence(&panicked);
            view.stop(&panicked);
        });
        let mut checkpoint_due = Instant::now();
        loop {
            if self.unsynced == 0 {
                checkpoint_due = Instant::now() + CHECKPOINT_EVERY;
            }
            let until_checkpoint = checkpoint_due.saturating_duration_since(Instant::now());
            let first = match delivered.recv_timeout(until_checkpoint.min(RETRY_EVERY)) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) => {
                    self.view.retry();
                    if self.unsynced > 0 && Instant::now() >= checkpoint_due {
                        self.checkpoint();
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut batches = vec![first];
            let mut effects = batches[0].committed.effects.len();
            while effects < EFFECTS_MAX {
                let Ok(batch) = delivered.try_recv() else { break };
                effects += batch.committed.effects.len();
                batches.push(batch);
            }
            self.apply(batches);
            if self.unsynced > 0 && Instant::now() >= checkpoint_due {
                self.checkpoint();
            }
        }
        if let Err(error) = self.close() {
            tracing::error!(%error, "the index could not be brought up to date; that happens when the store is opened");
        }
    }

    /// Applies batches in one transaction. Where a segment ends, everything is made durable.
    pub(crate) fn apply(&mut self, batches: Vec<Durable>) {
        let Some(segment) = batches.last().map(|batch| batch.committed.position.segment) else { return };
        self.unsynced += batches.len() as u64;
        self.view.apply(batches);
        if segment != self.segment {
            self.segment = segment;
            self.checkpoint();
        }
    }

    /// Makes everything durable and lets go of the index.
    pub(crate) fn close(self) -> Result<()> {
        self.view.close()
    }

    fn checkpoint(&mut self) {
        self.unsynced = 0;
        self.view.checkpoint();
    }
}

/// How much is lost of the index, at most, when the machine stops: so much of the log is applied again at the next opening.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// How often a failed index is tried anew. Somebody else may find that it has failed, so this passes also when nothing comes.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// About how many effects one transaction takes.
const EFFECTS_MAX: usize = 16 * 1024;
