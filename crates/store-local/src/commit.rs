//! Group commit: many jobs, one batch, one sync.
//!
//! Plain and synchronous: [`crate::writer`] runs it on its thread, or on the caller's. Each job is admitted in turn: it gets its numbers
//! and its records join the batch, or it is refused without a trace. Only when the batch is durable is anybody answered.

mod mailboxes;

use crate::batch::Batch;
use crate::body::{self, AccountChange, Large, Opening, Placed, QueueChange};
use crate::effect::{Arrival, Committed, Content, Effect};
use crate::job::{Answer, ContentBytes, DirectoryRequest, Job, Message, Told, send};
use crate::large::Unclaimed;
use crate::log::Log;
use crate::record::Kind;
use crate::roster::Roster;
use crate::state::{Created, State};
use crate::status::Status;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use store::{
    Account, AccountId, AccountName, Appended, Error, MailboxId, NewAccount, SpoolId, Timestamp, Usage,
};

/// The writer: the log, and what it takes to number things.
#[derive(Debug)]
pub(crate) struct Committer {
    log: Log,
    state: State,
    roster: Arc<Roster>,
    status: Arc<Status>,
}

/// A durable batch on its way to the index.
#[derive(Debug)]
pub(crate) struct Durable {
    /// Counted from 1.
    pub(crate) sequence: u64,
    pub(crate) committed: Committed,
    /// Who wants to know what an effect (by its place in the list) has found.
    pub(crate) told: Vec<(usize, Told)>,
    /// What accounts were counted to have before the index knew of it.
    pub(crate) admitted: Vec<(AccountId, Usage)>,
}

/// The batch in hand and who waits for it.
struct Pending {
    batch: Batch,
    waiting: Vec<Waiting>,
    told: Vec<(usize, Told)>,
    /// Accounts whose passwords it changes: the roster does not know of that yet.
    passwords: HashSet<AccountName>,
}

/// Somebody to be answered when the batch is durable.
enum Waiting {
    /// A message; its large content, if it has one, then belongs to the store.
    Commit(Answer<SpoolId>, SpoolId, Option<Unclaimed>),
    /// Messages that were appended; likewise.
    Append(Answer<Appended>, Appended, Vec<Unclaimed>),
    Copy(Answer<store::Copied>, store::Copied),
    Layout(Answer<Option<MailboxId>>, Option<MailboxId>),
    Account(Answer<Account>, Account),
    Done(Answer<()>),
}

impl Committer {
    /// A writer that goes on where the log ends.
    pub(crate) fn new(log: Log, state: State, roster: Arc<Roster>, status: Arc<Status>) -> Committer {
        Committer { log, state, roster, status }
    }

    /// Makes these jobs durable, in order, in as few batches as they fit, and answers them. Each durable batch goes to `deliver`.
    pub(crate) fn commit(&mut self, jobs: impl Into<VecDeque<Job>>, deliver: &mut dyn FnMut(Durable)) {
        let mut pending = self.begin();
        for job in jobs.into() {
            if let Err(error) = self.status.check_fence() {
                job.fail(error);
                continue;
            }
            let space = job.space_max() + OPENING_MAX;
            if !self.log.fits(pending.batch.length() + space) || pending.changes_passwords_of(&job) {
                self.flush(pending, deliver);
                pending = self.begin();
            }
            if !self.log.fits(pending.batch.length() + space) {
                // When there is no room on the disk, nothing of this job was written.
                if let Err(error) = self.log.roll(space) {
                    if matches!(error, Error::Fenced(_)) {
                        self.status.fence(&error);
                    }
                    job.fail(error);
                    continue;
                }
                pending = self.begin();
            }
            self.admit(job, &mut pending);
        }
        self.flush(pending, deliver);
    }

    fn begin(&self) -> Pending {
        let batch = Batch::new(self.log.spot());
        Pending { batch, waiting: Vec::new(), told: Vec::new(), passwords: HashSet::new() }
    }

    /// Gives a job its numbers and adds its records, or refuses it.
    fn admit(&mut self, job: Job, pending: &mut Pending) {
        match job {
            Job::Commit { message, now, answer } => self.admit_message(*message, now, answer, pending),
            Job::Entries { change, answer } => self.admit_change(change, answer, pending),
            Job::Append { mailbox, messages, answer } => {
                self.admit_append(mailbox, messages, answer, pending);
            }
            Job::Copy { copying, now, answer } => self.admit_copy(&copying, now, answer, pending),
            Job::Layout { request, now, answer } => self.admit_layout(&request, now, answer, pending),
            Job::Settle { settlement, answer } => {
                self.push(pending, Kind::Settlement, Effect::Settled(settlement));
                pending.waiting.push(Waiting::Done(answer));
            }
            Job::End { fate, expired, keep, answer } => {
                let number = self.state.next_fate();
                let forgotten = number.saturating_sub(keep).max(expired).min(number - 1);
                let change = QueueChange::Ended { number, forgotten, fate };
                self.push_queue(change, answer, pending);
            }
            Job::Queue { change, answer } => self.push_queue(change, answer, pending),
            Job::CreateAccount { new, now, answer } => self.admit_account(&new, now, answer, pending),
            Job::Directory { request, now, answer } => self.admit_directory(*request, now, answer, pending),
            Job::Restored { now, answer } => {
                let change = self.state.restored(now);
                self.push_changes(pending, vec![change]);
                pending.waiting.push(Waiting::Done(answer));
            }
            Job::RemoveAccount { name, answer } => match self.state.remove_account(&name) {
                Ok(change) => {
                    self.push_changes(pending, vec![change]);
                    pending.waiting.push(Waiting::Done(answer));
                }
                Err(error) => send(answer, Err(error)),
            },
        }
    }

    fn admit_account(
        &mut self,
        new: &NewAccount,
        now: Timestamp,
        answer: Answer<Account>,
        pending: &mut Pending,
    ) {
        let mut created = Created { now, changes: Vec::new() };
        match self.state.create_account(&new.name, new.origin, &mut created) {
            Ok(account) => {
                self.push_changes(pending, created.changes);
                for change in self.state.give(account.id, new) {
                    self.push(pending, Kind::Directory, Effect::Directory(change));
                }
                pending.waiting.push(Waiting::Account(answer, account));
            }
            Err(error) => send(answer, Err(error)),
        }
    }

    fn admit_directory(
        &mut self,
        request: DirectoryRequest,
        now: Timestamp,
        answer: Answer<()>,
        pending: &mut Pending,
    ) {
        let passwords_of = request.passwords_of().cloned();
        match self.state.directory(request, now, &self.roster) {
            Ok(Some(change)) => {
                self.push(pending, Kind::Directory, Effect::Directory(change));
                pending.passwords.extend(passwords_of);
                pending.waiting.push(Waiting::Done(answer));
            }
            Ok(None) => send(answer, Ok(())),
            Err(error) => send(answer, Err(error)),
        }
    }

    fn admit_message(
        &mut self,
        message: Message,
        now: Timestamp,
        answer: Answer<SpoolId>,
        pending: &mut Pending,
    ) {
        let mut created = Created { now, changes: Vec::new() };
        let common = message.accepted.trace.len() as u64 + message.accepted.length;
        let placed = match self.state.place((&message.deliveries, common), &mut created) {
            Ok(placed) => placed,
            Err(error) => return send(answer, Err(error)),
        };
        let spool = message.accepted.spool;
        self.state.counters.spool = self.state.counters.spool.max(spool);
        self.push_changes(pending, created.changes);
        let file = self.push_message(message, &placed, pending);
        pending.waiting.push(Waiting::Commit(answer, SpoolId(spool), file));
    }

    /// Adds the records of a message: its content or where that is, then its acceptance.
    fn push_message(
        &mut self,
        message: Message,
        placed: &Placed,
        pending: &mut Pending,
    ) -> Option<Unclaimed> {
        let Message { content, accepted, encoded, queued, .. } = message;
        self.open_segment(pending);
        let batch = &mut pending.batch;
        let (content, file) = match content {
            ContentBytes::Here { chunks, body_crc, .. } => {
                let front = accepted.spool.to_le_bytes();
                (Content::Log(batch.push_chunks(Kind::Content, &front, chunks, body_crc)), None)
            }
            ContentBytes::Large { length, crc, file } => {
                let large = Large { spool: accepted.spool, length, crc };
                let record = batch.push(Kind::Large, &body::encode(&large));
                (Content::Large { record, length, crc }, Some(file))
            }
        };
        let mut body = encoded;
        body.extend(body::encode(placed));
        let record = batch.push(Kind::Accepted, &body);
        batch.mean(Effect::Accepted(Arrival::of(&accepted, queued, placed, (record, content))));
        file
    }

    fn push_changes(&mut self, pending: &mut Pending, changes: Vec<AccountChange>) {
        for change in changes {
            self.push(pending, Kind::Account, Effect::Account(change));
        }
    }

    /// Adds the record of an effect that has one of its own.
    fn push(&mut self, pending: &mut Pending, kind: Kind, effect: Effect) {
        self.open_segment(pending);
        let body = match &effect {
            Effect::Mailbox(change) => body::encode(change),
            Effect::Account(change) => body::encode(change),
            Effect::Layout(change) => body::encode(change),
            Effect::Directory(change) => body::encode(change),
            Effect::Settled(settlement) => body::encode(settlement),
            Effect::Queue(..) => unreachable!("push_queue writes it"),
            Effect::Opening(opening) => body::encode(opening),
            Effect::Remains(remains) => body::encode(remains),
            Effect::Accepted(_) => unreachable!("a message has two records; push_message writes them"),
        };
        pending.batch.push(kind, &body);
        pending.batch.mean(effect);
    }

    /// Adds a change of the queue.
    fn push_queue(&mut self, change: QueueChange, answer: Answer<()>, pending: &mut Pending) {
        self.open_segment(pending);
        let record = pending.batch.push(Kind::Queue, &body::encode(&change));
        pending.batch.mean(Effect::Queue(change, record));
        pending.waiting.push(Waiting::Done(answer));
    }

    /// Puts the opening record before the first one of a segment.
    fn open_segment(&mut self, pending: &mut Pending) {
        if self.log.is_at_beginning() && pending.batch.is_empty() {
            let opening = Opening { previous_end: self.log.previous_end(), counters: self.state.counters };
            pending.batch.push(Kind::Opening, &body::encode(&opening));
            pending.batch.mean(Effect::Opening(opening));
        }
    }

    /// Writes and syncs the batch, answers everybody, hands it on.
    fn flush(&mut self, pending: Pending, deliver: &mut dyn FnMut(Durable)) {
        let Pending { batch, waiting, told, .. } = pending;
        let admitted = self.state.take_admitted();
        if batch.is_empty() {
            return;
        }
        let log = &mut self.log;
        match batch.finish(|pieces, length| log.append(pieces, length)) {
            Ok(committed) => {
                let sequence = self.status.advance();
                self.roster.see(&committed.effects);
                waiting.into_iter().for_each(Waiting::done);
                deliver(Durable { sequence, committed, told, admitted });
            }
            Err(error) => {
                self.status.fence(&error);
                waiting.into_iter().for_each(|waiting| waiting.fail(&error));
                told.into_iter().for_each(|(_, told)| told.fail(error.clone()));
            }
        }
    }
}

impl Pending {
    /// Whether the batch changes passwords that this job must know.
    fn changes_passwords_of(&self, job: &Job) -> bool {
        let Job::Directory { request, .. } = job else { return false };
        request.passwords_of().is_some_and(|account| self.passwords.contains(account))
    }
}

impl Waiting {
    fn done(self) {
        match self {
            Waiting::Commit(answer, id, file) => {
                file.into_iter().for_each(Unclaimed::keep);
                send(answer, Ok(id));
            }
            Waiting::Append(answer, appended, files) => {
                files.into_iter().for_each(Unclaimed::keep);
                send(answer, Ok(appended));
            }
            Waiting::Copy(answer, copied) => send(answer, Ok(copied)),
            Waiting::Layout(answer, made) => send(answer, Ok(made)),
            Waiting::Account(answer, account) => send(answer, Ok(account)),
            Waiting::Done(answer) => send(answer, Ok(())),
        }
    }

    fn fail(self, error: &Error) {
        match self {
            // Nobody knows whether the log names the file now; if it does not, the next opening removes it.
            Waiting::Commit(answer, _, file) => {
                file.into_iter().for_each(Unclaimed::keep);
                send(answer, Err(error.clone()));
            }
            Waiting::Append(answer, _, files) => {
                files.into_iter().for_each(Unclaimed::keep);
                send(answer, Err(error.clone()));
            }
            Waiting::Copy(answer, _) => send(answer, Err(error.clone())),
            Waiting::Layout(answer, _) => send(answer, Err(error.clone())),
            Waiting::Account(answer, _) => send(answer, Err(error.clone())),
            Waiting::Done(answer) => send(answer, Err(error.clone())),
        }
    }
}

/// The most that an opening record takes.
const OPENING_MAX: u64 = 128;
