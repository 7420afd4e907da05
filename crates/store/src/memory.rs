//! The reference model: everything in memory, nothing clever.
//!
//! It defines what the traits mean: the contract suite compares each engine with it, step by step. The tests of other crates use it
//! where a disk would only be in the way. It keeps no promise across a crash, and it searches its queue from end to end, so it is
//! no engine for a server.

mod directory;
mod mailboxes;

use crate::{
    Accepted, Account, AccountId, AccountName, Alias, Attempt, Claim, Content, Credentials, Delivery,
    DeliveryId, Destination, DomainRecord, Entry, Error, Flags, IfMissing, MailboxId, MailboxName, ModSeq,
    NewDelivery, Origin, Outcome, QueueName, Quota, Reader, Result, Spool, SpoolId, SpoolIds, Stage,
    Timestamp, Uid, UidValidity, Waiting, remember,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// A store in memory.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    model: Mutex<Model>,
    watch: watch::Sender<ModSeq>,
}

struct Model {
    health: Result<()>,
    ids: SpoolIds,
    last_account: u64,
    last_mailbox: u64,
    last_validity: UidValidity,
    modseq: ModSeq,
    accounts: BTreeMap<AccountName, Account>,
    belongings: BTreeMap<AccountId, Belongings>,
    aliases: BTreeMap<AccountName, Alias>,
    domains: BTreeMap<smtp::Domain, DomainRecord>,
    mailboxes: BTreeMap<MailboxId, Kept>,
    messages: BTreeMap<SpoolId, Message>,
    queue: BTreeMap<DeliveryId, Queued>,
}

/// What belongs to an account besides its mail.
#[derive(Default)]
struct Belongings {
    full_name: Option<String>,
    quota: Quota,
    credentials: Credentials,
}

/// A mailbox.
struct Kept {
    account: AccountId,
    name: MailboxName,
    uid_validity: UidValidity,
    last_uid: u32,
    modseq: ModSeq,
    entries: BTreeMap<Uid, (Entry, Bytes)>,
    expunged: BTreeMap<ModSeq, Uid>,
}

struct Message {
    accepted: Accepted,
    content: Vec<Bytes>,
}

struct Queued {
    due: Timestamp,
    attempts: u32,
    history: Vec<Attempt>,
    lease: Option<Timestamp>,
}

struct MemoryStage {
    inner: Arc<Inner>,
    id: SpoolId,
    content: Vec<Bytes>,
    len: u64,
}

struct Chunks(VecDeque<Bytes>);

impl Memory {
    /// An empty store that takes the time from `clock`.
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Memory {
        let model = Model {
            health: Ok(()),
            ids: SpoolIds::above(SpoolId(0), 0),
            last_account: 0,
            last_mailbox: 0,
            last_validity: UidValidity(0),
            modseq: ModSeq(0),
            accounts: BTreeMap::new(),
            belongings: BTreeMap::new(),
            aliases: BTreeMap::new(),
            domains: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            messages: BTreeMap::new(),
            queue: BTreeMap::new(),
        };
        let inner =
            Inner { clock: Box::new(clock), model: Mutex::new(model), watch: watch::Sender::new(ModSeq(0)) };
        Memory { inner: Arc::new(inner) }
    }

    /// From now on [`Spool::health`] says this, and as long as it is an error whatever writes fails with it.
    pub fn set_health(&self, health: Result<()>) {
        self.inner.model().health = health;
    }
}

impl Inner {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().expect("no holder of the model's lock panics")
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Runs a change, unless the store is made to refuse, and tells the watchers.
    fn change<T>(&self, change: impl FnOnce(&mut Model) -> Result<T>) -> Result<T> {
        let mut model = self.model();
        model.health.clone()?;
        let result = change(&mut model)?;
        self.watch.send_if_modified(|seen| std::mem::replace(seen, model.modseq) != model.modseq);
        Ok(result)
    }
}

#[async_trait]
impl Spool for Memory {
    fn stage(&self) -> Result<Box<dyn Stage>> {
        let now = self.inner.now();
        let mut model = self.inner.model();
        model.health.clone()?;
        let id = model.ids.next(now);
        Ok(Box::new(MemoryStage { inner: self.inner.clone(), id, content: Vec::new(), len: 0 }))
    }

    async fn waiting(&self, now: Timestamp, after: Option<&Waiting>, limit: usize) -> Result<Vec<Waiting>> {
        let model = self.inner.model();
        let mut first = BTreeMap::<QueueName, Timestamp>::new();
        for (id, queued) in model.queue.iter().filter(|(_, queued)| queued.is_free(now)) {
            let due = first.entry(model.queue_name(*id)).or_insert(queued.due);
            *due = queued.due.min(*due);
        }
        let mut waiting: Vec<Waiting> = first
            .into_iter()
            .map(|(queue, due)| Waiting { queue, due })
            .filter(|one| one.due <= now)
            .collect();
        waiting.sort_by(Waiting::order);
        waiting.retain(|one| after.is_none_or(|after| one.order(after).is_gt()));
        waiting.truncate(limit);
        Ok(waiting)
    }

    async fn claim(
        &self,
        queue: &QueueName,
        now: Timestamp,
        limit: usize,
        lease: Timestamp,
    ) -> Result<Vec<Claim>> {
        let mut model = self.inner.model();
        let mut ready: Vec<(Timestamp, DeliveryId)> = model
            .queue
            .iter()
            .filter(|(id, queued)| {
                queued.due <= now && queued.is_free(now) && model.queue_name(**id) == *queue
            })
            .map(|(id, queued)| (queued.due, *id))
            .collect();
        ready.sort();
        ready.truncate(limit);
        for (_, id) in &ready {
            model.queue.get_mut(id).expect("taken from the queue above").lease = Some(lease);
        }
        Ok(ready.iter().map(|(_, id)| Claim { delivery: model.delivery(*id), lease }).collect())
    }

    async fn settle(&self, id: DeliveryId, outcome: Outcome) -> Result<()> {
        self.inner.change(|model| {
            let queued = model.queue.get_mut(&id).ok_or_else(|| no_such_delivery(id))?;
            match outcome {
                Outcome::Done => {
                    model.queue.remove(&id);
                    model.forget_if_unused(id.spool);
                }
                Outcome::Deferred { due, attempt } => {
                    queued.attempts += 1;
                    queued.due = due;
                    queued.lease = None;
                    remember(&mut queued.history, attempt);
                }
            }
            Ok(())
        })
    }

    async fn content(&self, id: SpoolId) -> Result<Reader> {
        let model = self.inner.model();
        let message = model.messages.get(&id).ok_or_else(|| Error::NoSuchMessage(id.to_string()))?;
        Ok(message.reader(Bytes::new()))
    }

    async fn envelope(&self, id: SpoolId) -> Result<smtp::Envelope> {
        let model = self.inner.model();
        if !model.queue.keys().any(|queued| queued.spool == id) {
            return Err(Error::NoSuchMessage(id.to_string()));
        }
        Ok(model.messages[&id].accepted.envelope.clone())
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        let model = self.inner.model();
        Ok(model.queue.values().map(|queued| queued.lease.unwrap_or(queued.due)).min())
    }

    async fn deliveries(&self, after: Option<DeliveryId>, limit: usize) -> Result<Vec<Delivery>> {
        let model = self.inner.model();
        let ids = model.queue.keys().filter(|id| after.is_none_or(|after| **id > after)).take(limit);
        Ok(ids.map(|id| model.delivery(*id)).collect())
    }

    fn health(&self) -> Result<()> {
        self.inner.model().health.clone()
    }

    async fn close(&self) -> Result<()> {
        self.set_health(Err(Error::Closed));
        Ok(())
    }
}

#[async_trait]
impl Stage for MemoryStage {
    fn id(&self) -> SpoolId {
        self.id
    }

    fn len(&self) -> u64 {
        self.len
    }

    async fn append(&mut self, chunk: Bytes) -> Result<()> {
        self.len += chunk.len() as u64;
        self.content.push(chunk);
        Ok(())
    }

    async fn commit(self: Box<Self>, accepted: Accepted) -> Result<SpoolId> {
        accepted.check()?;
        let MemoryStage { inner, id, content, len } = *self;
        let now = inner.now();
        inner.change(|model| {
            model.check_accounts(&accepted.deliveries)?;
            model.check_quotas(&accepted, len)?;
            for delivery in &accepted.deliveries {
                model.place(now, id, &accepted, len, delivery);
            }
            model.messages.insert(id, Message { accepted, content });
            Ok(id)
        })
    }
}

impl Model {
    /// Refuses deliveries to accounts that neither exist nor are to be created by an earlier delivery of the same message.
    fn check_accounts(&self, deliveries: &[NewDelivery]) -> Result<()> {
        let mut created = Vec::new();
        for delivery in deliveries {
            let Destination::Mailbox { account, if_missing, .. } = &delivery.destination else { continue };
            match if_missing {
                IfMissing::Create if self.aliases.contains_key(account) => {
                    return Err(Error::Exists(format!("alias {account}")));
                }
                IfMissing::Create => created.push(account),
                IfMissing::Fail if self.accounts.contains_key(account) || created.contains(&account) => {}
                IfMissing::Fail => return Err(Error::NoSuchAccount(account.to_string())),
            }
        }
        Ok(())
    }

    /// Makes one delivery of a message whose accounts were checked.
    fn place(
        &mut self,
        now: Timestamp,
        spool: SpoolId,
        accepted: &Accepted,
        len: u64,
        delivery: &NewDelivery,
    ) {
        match &delivery.destination {
            Destination::Queue { due } | Destination::Forward { due, .. } => {
                let queued = Queued { due: *due, attempts: 0, history: Vec::new(), lease: None };
                self.queue.insert(DeliveryId { spool, recipient: delivery.recipient }, queued);
            }
            Destination::Mailbox { account, mailbox, trace, .. } => {
                let account = match self.accounts.get(account) {
                    Some(account) => account.id,
                    None => self.create_account(now, account, Origin::Caught).id,
                };
                let id = self
                    .find_mailbox(account, mailbox)
                    .unwrap_or_else(|| self.create_mailbox(now, account, mailbox.clone()));
                let modseq = self.next_modseq();
                let kept = self.mailboxes.get_mut(&id).expect("found or created above");
                kept.last_uid += 1;
                kept.modseq = modseq;
                let entry = Entry {
                    uid: Uid(kept.last_uid),
                    modseq,
                    flags: Flags::default(),
                    received: accepted.received,
                    size: trace.len() as u64 + accepted.trace.len() as u64 + len,
                    spool,
                };
                kept.entries.insert(entry.uid, (entry, trace.clone()));
            }
        }
    }

    fn queue_name(&self, id: DeliveryId) -> QueueName {
        let recipients = &self.messages[&id.spool].accepted.envelope.recipients;
        QueueName::of(&recipients[id.recipient as usize].forward_path).expect("checked when it was accepted")
    }

    fn delivery(&self, id: DeliveryId) -> Delivery {
        let queued = &self.queue[&id];
        let accepted = &self.messages[&id.spool].accepted;
        Delivery {
            id,
            received: accepted.received,
            reverse_path: accepted.envelope.reverse_path.clone(),
            recipient: accepted.envelope.recipients[id.recipient as usize].clone(),
            forward: accepted.forward(id.recipient).cloned(),
            due: queued.due,
            attempts: queued.attempts,
            history: queued.history.clone(),
        }
    }

    /// Drops the text of a message that nothing names any more.
    fn forget_if_unused(&mut self, spool: SpoolId) {
        let queued = self.queue.keys().any(|id| id.spool == spool);
        let kept =
            self.mailboxes.values().any(|kept| kept.entries.values().any(|(entry, _)| entry.spool == spool));
        if !queued && !kept {
            self.messages.remove(&spool);
        }
    }

    fn next_modseq(&mut self) -> ModSeq {
        self.modseq.0 += 1;
        self.modseq
    }
}

impl Queued {
    fn is_free(&self, now: Timestamp) -> bool {
        self.lease.is_none_or(|end| end <= now)
    }
}

impl Message {
    fn reader(&self, own_trace: Bytes) -> Reader {
        let front = [own_trace, self.accepted.trace.clone()];
        let chunks: VecDeque<Bytes> =
            front.into_iter().chain(self.content.iter().cloned()).filter(|chunk| !chunk.is_empty()).collect();
        Reader { len: chunks.iter().map(|chunk| chunk.len() as u64).sum(), content: Box::new(Chunks(chunks)) }
    }
}

#[async_trait]
impl Content for Chunks {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.pop_front())
    }
}

fn no_such_delivery(id: DeliveryId) -> Error {
    Error::NoSuchMessage(format!("{} for recipient {} in the queue", id.spool, id.recipient))
}
