//! What readers see: the index and the queue, brought up to date batch by batch, and the news of it.
//!
//! When the index fails it is opened anew, at once and then again and again until that helps; meanwhile nothing new is accepted
//! ([`Status`]), what was acknowledged is safe in the log, and readers are told. Only a fault of ours ends that for good.

use crate::commit::Durable;
use crate::effect::Position;
use crate::index::{Applied, Index, Rewritten, Snapshot};
use crate::job::{Told, send};
use crate::large::LargeFiles;
use crate::mend::Source;
use crate::queue::{Loaded, Queue};
use crate::status::Status;
use crate::usage::Usages;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use store::{Error, Event, ModSeq, News, QueueName, Result};
use tokio::sync::watch;

/// The state that readers see.
#[derive(Debug)]
pub(crate) struct View {
    source: Source,
    index: RwLock<Held>,
    following: Mutex<Following>,
    queue: Mutex<Queue>,
    large: Arc<LargeFiles>,
    usages: Arc<Usages>,
    status: Arc<Status>,
    reached: watch::Sender<Reached>,
    modseq: watch::Sender<ModSeq>,
    news: News,
}

/// The index, if there is one to read from.
#[derive(Debug)]
enum Held {
    Open(Index),
    Failed(Error),
    Closed,
}

/// How far the index has followed the log. Whoever writes to the index holds this.
#[derive(Debug)]
struct Following {
    /// The end of the last batch applied.
    position: Option<Position>,
    /// That batch's number.
    sequence: u64,
    /// Batches that could not be applied yet.
    waiting: Vec<Durable>,
    /// Why the index has to be opened anew before it is used again.
    failed: Option<Error>,
    /// How often that was tried in vain since it last was well.
    attempts: u32,
    /// How often it was opened anew.
    epoch: u64,
    /// How often a reader found that it had failed, since it was last made from nothing.
    found: u32,
}

/// What readers wait for.
#[derive(Debug, Clone)]
enum Reached {
    /// So many batches are applied.
    Batch(u64),
    /// No more are for now.
    Failed(Error),
    /// No more ever will be.
    Stopped(Error),
}

impl View {
    /// A view of what is in this index; the queue is loaded from it.
    pub(crate) fn new(
        index: Index,
        source: Source,
        (large, usages): (Arc<LargeFiles>, Arc<Usages>),
        status: Arc<Status>,
    ) -> Result<View> {
        let snapshot = index.read()?;
        let queue = loaded(&snapshot)?;
        let modseq = snapshot.counters()?.modseq;
        let following = Following {
            position: snapshot.position()?,
            sequence: 0,
            waiting: Vec::new(),
            failed: None,
            attempts: 0,
            epoch: 0,
            found: 0,
        };
        Ok(View {
            source,
            index: RwLock::new(Held::Open(index)),
            following: Mutex::new(following),
            queue: Mutex::new(queue),
            large,
            usages,
            status,
            reached: watch::Sender::new(Reached::Batch(0)),
            modseq: watch::Sender::new(modseq),
            news: News::default(),
        })
    }

    /// Applies durable batches, tells everybody who waits, and removes large content that nothing names any more. What cannot be applied
    /// is kept for [`View::retry`].
    pub(crate) fn apply(&self, batches: Vec<Durable>) {
        let mut following = self.following();
        following.waiting.extend(batches);
        self.follow(&mut following);
    }

    /// Makes the index durable as it is.
    pub(crate) fn checkpoint(&self) {
        self.checkpoint_of(&mut self.following());
    }

    /// Tries anew what has failed, if anything has; for a reader, too.
    pub(crate) fn retry(&self) {
        let mut following = self.following();
        if following.failed.is_none()
            && let Some(error) = self.trouble()
        {
            tracing::warn!(%error, "the index could not be read; it is opened anew");
            (following.failed, following.found) = (Some(error), following.found + 1);
        }
        if following.failed.is_some() {
            self.follow(&mut following);
        }
    }

    /// What a reader of the index has met that ends its use. Whoever writes meets it as well, but that may take long.
    pub(crate) fn trouble(&self) -> Option<Error> {
        match &*self.index.read().expect("no holder of the index's lock panics") {
            Held::Open(index) => index.trouble(),
            Held::Failed(_) | Held::Closed => None,
        }
    }

    /// How often the index was opened anew: to be asked before the snapshot is taken that a [`View::adopt`] follows from.
    pub(crate) fn epoch(&self) -> u64 {
        self.following().epoch
    }

    /// Lets the index point into a rewritten segment, durably, unless it is another index than that time.
    pub(crate) fn adopt(&self, rewritten: &Rewritten, epoch: u64) -> Result<()> {
        let mut following = self.following();
        if following.epoch != epoch || following.failed.is_some() {
            return Err(Error::Io {
                what: "letting the index use a rewritten segment".to_owned(),
                cause: "the index was opened anew meanwhile".to_owned(),
            });
        }
        let adopted = self.with_index(|index| index.adopt(rewritten));
        if let Err(error) = &adopted {
            following.failed = Some(error.clone());
            self.follow(&mut following);
        }
        adopted
    }

    /// Waits until this many batches are applied.
    pub(crate) async fn reach(&self, sequence: u64) -> Result<()> {
        let enough = |reached: &Reached| !matches!(reached, Reached::Batch(at) if *at < sequence);
        let mut reached = self.reached.subscribe();
        let reached = reached.wait_for(enough).await.map_err(|_| Error::Closed)?;
        match &*reached {
            Reached::Batch(_) => Ok(()),
            Reached::Failed(error) | Reached::Stopped(error) => Err(error.clone()),
        }
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

    /// Those who follow accounts.
    pub(crate) fn news(&self) -> &News {
        &self.news
    }

    /// Syncs the index and lets go of its file.
    pub(crate) fn close(&self) -> Result<()> {
        let mut following = self.following();
        self.follow(&mut following);
        self.checkpoint_of(&mut following);
        self.hold(Held::Closed);
        self.news.end_all();
        following.failed.clone().map_or(Ok(()), Err)
    }

    /// Nothing more will ever be applied, so nobody must wait for it.
    pub(crate) fn stop(&self, error: &Error) {
        self.reached.send_replace(Reached::Stopped(error.clone()));
        self.news.end_all();
    }

    fn following(&self) -> MutexGuard<'_, Following> {
        self.following.lock().expect("no holder of this lock panics")
    }

    /// Applies what waits. When that fails, once more on an index opened anew: what was wrong may have passed.
    fn follow(&self, following: &mut Following) {
        for _ in 0..2 {
            match self.mend(following).and_then(|()| self.apply_waiting(following)) {
                Ok(()) => {
                    following.attempts = 0;
                    self.status.index_is(None);
                    self.tell(Reached::Batch(following.sequence));
                    return;
                }
                Err(error) => following.failed = Some(error),
            }
        }
        if let Some(error) = following.failed.clone() {
            self.say(following, &error);
        }
    }

    /// Tells everybody who waits that the index has failed.
    fn say(&self, following: &mut Following, error: &Error) {
        self.status.index_is(Some(error));
        self.tell(Reached::Failed(error.clone()));
        for batch in &mut following.waiting {
            for (_, told) in batch.told.drain(..) {
                told.fail(error.clone());
            }
        }
    }

    /// Opens the index anew if it has failed.
    fn mend(&self, following: &mut Following) -> Result<()> {
        let Some(error) = &following.failed else { return Ok(()) };
        following.attempts += 1;
        following.epoch += 1;
        // The file itself may be bad, unless it is only that there is no room. To make it anew takes long: more and more seldom.
        let anew =
            following.attempts > 1 && following.attempts.is_power_of_two() || following.found > FOUND_MAX;
        let error = error.clone();
        self.hold(Held::Failed(error.clone()));
        let index = match anew && !matches!(error, Error::Full(_)) {
            true => self.make(following, &error)?,
            false => match self.source.open(following.position)? {
                Ok(index) => index,
                Err(why) => {
                    tracing::warn!(%why, "the index cannot be used");
                    self.make(following, &error)?
                }
            },
        };
        self.hold(Held::Open(index));
        following.failed = None;
        Ok(())
    }

    /// Makes the index from nothing. Nobody waits for it that long without knowing why.
    fn make(&self, following: &mut Following, error: &Error) -> Result<Index> {
        self.say(following, error);
        tracing::warn!("the index is made anew from the log");
        // Whether or not it succeeds: it is not tried again at once.
        following.found = 0;
        self.source.make(following.position)
    }

    /// Applies the batches that wait in one transaction.
    fn apply_waiting(&self, following: &mut Following) -> Result<()> {
        let batches = &following.waiting;
        let Some(last) = batches.last() else { return Ok(()) };
        let (sequence, position) = (last.sequence, last.committed.position);
        let (mut asked, mut first) = (HashSet::new(), 0);
        for batch in batches {
            let marked = batch.told.iter().filter(|(_, told)| matches!(told, Told::Marked(_)));
            asked.extend(marked.map(|(effect, _)| first + effect));
            first += batch.committed.effects.len();
        }
        let committed = || batches.iter().map(|batch| &batch.committed);
        let applied = self.with_index(|index| index.apply_and_tell(committed(), &asked))?;
        let mut queue = self.queue();
        batches.iter().flat_map(|batch| &batch.committed.effects).for_each(|effect| queue.apply(effect));
        drop(queue);
        (following.sequence, following.position) = (sequence, Some(position));
        self.applied(std::mem::take(&mut following.waiting), sequence, applied);
        Ok(())
    }

    /// Tells everybody what was applied.
    fn applied(&self, batches: Vec<Durable>, sequence: u64, applied: Applied) {
        // Before anybody who waits is told: what they have removed must not count any more.
        self.usages.see(&applied, batches.iter().flat_map(|batch| &batch.admitted));
        let Applied { counts, mut marked, gone, modseq, removed, touched, rearranged, credentials, .. } =
            applied;
        self.tell(Reached::Batch(sequence));
        if let Some(modseq) = modseq {
            self.modseq.send_replace(modseq);
        }
        rearranged.into_iter().for_each(|account| self.news.tell(account, Event::Layout));
        credentials.into_iter().for_each(|account| self.news.tell(account, Event::Credentials));
        for (mailbox, (account, modseq)) in touched {
            self.news.tell(account, Event::Entries { mailbox, modseq });
        }
        removed.into_iter().for_each(|account| self.news.end(account));
        let mut first = 0;
        for batch in batches {
            for (effect, told) in batch.told {
                match told {
                    Told::Count(answer) => send(answer, Ok(counts[first + effect])),
                    Told::Marked(answer) => {
                        send(answer, Ok(marked.remove(&(first + effect)).unwrap_or_default()));
                    }
                }
            }
            first += batch.committed.effects.len();
        }
        gone.into_iter().for_each(|spool| self.large.discard(spool));
    }

    fn checkpoint_of(&self, following: &mut Following) {
        if following.failed.is_some() {
            return;
        }
        if let Err(error) = self.with_index(Index::checkpoint) {
            following.failed = Some(error);
            self.follow(following);
        }
    }

    fn tell(&self, news: Reached) {
        self.reached.send_if_modified(|reached| {
            let goes_on = !matches!(reached, Reached::Stopped(_));
            if goes_on {
                *reached = news;
            }
            goes_on
        });
    }

    /// Holds another index or none; lets go of the one that was there.
    fn hold(&self, held: Held) {
        let mut index = self.index.write().expect("no holder of the index's lock panics");
        match std::mem::replace(&mut *index, held) {
            Held::Open(old) => old.give_up(),
            Held::Failed(_) | Held::Closed => {}
        }
    }

    fn with_index<T>(&self, act: impl FnOnce(&Index) -> Result<T>) -> Result<T> {
        match &*self.index.read().expect("no holder of the index's lock panics") {
            Held::Open(index) => act(index),
            Held::Failed(error) => Err(error.clone()),
            Held::Closed => Err(Error::Closed),
        }
    }
}

/// A page that cannot be read stays so as long as the file is the same: after so many failures there is another one.
const FOUND_MAX: u32 = 2;

/// The queue as the index has it.
fn loaded(snapshot: &Snapshot) -> Result<Queue> {
    let mut names: HashMap<String, QueueName> = HashMap::new();
    let (mut deliveries, mut unreadable) = (Vec::new(), None);
    snapshot.all_queued(|id, row| {
        let queue = match names.get(&row.queue) {
            Some(name) => name.clone(),
            None => match row.queue.parse::<QueueName>() {
                Ok(name) => names.entry(row.queue).or_insert(name).clone(),
                Err(_) => return unreadable = Some(row.queue),
            },
        };
        let (sender, due, attempts, held) = (row.sender, row.due, row.attempts, row.held.is_some());
        deliveries.push(Loaded { id, queue, sender, due, attempts, held });
    })?;
    if let Some(name) = unreadable {
        return Err(Error::Damaged(format!("the index names a destination that is none: {name:?}")));
    }
    drop(names);
    let mut queue = Queue::load(deliveries);
    snapshot.pauses()?.iter().for_each(|pause| queue.pause(&pause.scope));
    Ok(queue)
}
