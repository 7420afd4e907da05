//! What readers see: the index and the queue, brought up to date batch by batch, and the news of it.

use crate::commit::Durable;
use crate::index::{Applied, Index, Rewritten, Snapshot};
use crate::job::send;
use crate::large::LargeFiles;
use crate::queue::Queue;
use crate::usage::Usages;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use store::{Error, ModSeq, Result};
use tokio::sync::watch;

/// The state that readers see.
#[derive(Debug)]
pub(crate) struct View {
    /// `None` once the store is closed.
    index: RwLock<Option<Index>>,
    queue: Mutex<Queue>,
    large: Arc<LargeFiles>,
    usages: Arc<Usages>,
    /// How many batches are applied, or why no more will be.
    applied: watch::Sender<Result<u64>>,
    modseq: watch::Sender<ModSeq>,
}

impl View {
    /// A view of what is in this index; the queue is loaded from it.
    pub(crate) fn new(index: Index, large: Arc<LargeFiles>, usages: Arc<Usages>) -> Result<View> {
        let mut queue = Queue::default();
        let snapshot = index.read()?;
        let mut unreadable = None;
        snapshot.all_queued(|id, row| match row.queue.parse() {
            Ok(name) => queue.add(id, name, row.due, row.attempts),
            Err(_) => unreadable = Some(row.queue),
        })?;
        if let Some(name) = unreadable {
            return Err(Error::Damaged(format!("the index names a destination that is none: {name:?}")));
        }
        let modseq = snapshot.counters()?.modseq;
        Ok(View {
            index: RwLock::new(Some(index)),
            queue: Mutex::new(queue),
            large,
            usages,
            applied: watch::Sender::new(Ok(0)),
            modseq: watch::Sender::new(modseq),
        })
    }

    /// Applies durable batches, tells everybody who waits, and removes large content that nothing names any more. On an error nothing
    /// more can be applied or read: the index has to be opened, or made, anew.
    pub(crate) fn apply(&self, batches: Vec<Durable>) -> Result<()> {
        let Some(sequence) = batches.last().map(|batch| batch.sequence) else { return Ok(()) };
        if let Err(error) = self.is_whole() {
            self.fail(&error, batches);
            return Err(error);
        }
        let result = self.with_index(|index| index.apply(batches.iter().map(|batch| &batch.committed)));
        let applied = match result {
            Ok(applied) => applied,
            Err(error) => {
                self.fail(&error, batches);
                return Err(error);
            }
        };
        let mut queue = self.queue();
        batches.iter().flat_map(|batch| &batch.committed.effects).for_each(|effect| queue.apply(effect));
        drop(queue);
        // Before anybody who waits is told: what they have removed must not count any more.
        self.usages.see(&applied);
        let Applied { counts, gone, modseq, .. } = applied;
        self.applied.send_modify(|applied| *applied = Ok(sequence));
        if let Some(modseq) = modseq {
            self.modseq.send_replace(modseq);
        }
        let mut first = 0;
        for batch in batches {
            for (effect, answer) in batch.counts {
                send(answer, Ok(counts[first + effect]));
            }
            first += batch.committed.effects.len();
        }
        for spool in gone {
            if let Err(error) = self.large.remove(spool) {
                tracing::warn!(%error, "a message that is gone leaves its file until the store is opened anew");
            }
        }
        Ok(())
    }

    /// Makes the index durable as it is.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.is_whole()?;
        self.with_index(Index::checkpoint)
    }

    /// Whether every batch so far was applied. Over a hole nothing more may be applied, or the hole would be forgotten.
    fn is_whole(&self) -> Result<()> {
        self.applied.borrow().clone().map(drop)
    }

    /// Lets the index point into a rewritten segment, durably.
    pub(crate) fn adopt(&self, rewritten: &Rewritten) -> Result<()> {
        self.with_index(|index| index.adopt(rewritten))
    }

    /// Waits until this many batches are applied.
    pub(crate) async fn reach(&self, sequence: u64) -> Result<()> {
        let enough = |applied: &Result<u64>| applied.as_ref().map_or(true, |applied| *applied >= sequence);
        if enough(&self.applied.borrow()) {
            return self.applied.borrow().clone().map(drop);
        }
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(enough).await.map_err(|_| Error::Closed)?;
        reached.clone().map(drop)
    }

    /// The index at this moment.
    pub(crate) fn read(&self) -> Result<Snapshot> {
        self.with_index(Index::read)
    }

    /// The queue.
    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of the queue's lock panics")
    }

    /// Follows the highest ModSeq.
    pub(crate) fn watch(&self) -> watch::Receiver<ModSeq> {
        self.modseq.subscribe()
    }

    /// Syncs the index and lets go of its file.
    pub(crate) fn close(&self) -> Result<()> {
        let checkpoint = self.checkpoint();
        let index = self.index.write().expect("no holder of the index's lock panics").take();
        drop(index);
        checkpoint
    }

    fn with_index<T>(&self, act: impl FnOnce(&Index) -> Result<T>) -> Result<T> {
        act(self.index.read().expect("no holder of the index's lock panics").as_ref().ok_or(Error::Closed)?)
    }

    /// Nothing more will be applied, so nobody must wait for it.
    pub(crate) fn stop(&self, error: &Error) {
        self.applied.send_modify(|applied| *applied = Err(error.clone()));
    }

    fn fail(&self, error: &Error, batches: Vec<Durable>) {
        self.stop(error);
        let answers = batches.into_iter().flat_map(|batch| batch.counts);
        answers.for_each(|(_, answer)| send(answer, Err(error.clone())));
    }
}
