//! The reference model: everything in memory, nothing clever.
//!
//! It defines what the traits mean: the contract suite compares each engine with it, step by step. The tests of other crates use it
//! where a disk would only be in the way. It keeps no promise across a crash, and it searches its queue from end to end, so it is
//! no engine for a server. It remembers every fate.

mod directory;
mod entries;
mod layout;
mod mailboxes;
mod queue;

use crate::{
    Acceptance, Accepted, Account, AccountId, AccountName, Adjustment, Alias, Attempt, Backlog, Claim,
    Content, Credentials, Delivery, DeliveryId, Destination, DomainRecord, Entry, Error, Event, Fate, Flags,
    Hold, IfMissing, Keyword, KeywordSet, MailboxId, MailboxName, ModSeq, NewDelivery, News, Origin, Outcome,
    Pause, PauseScope, QueueName, Quota, Reader, Result, SpecialUse, Spool, SpoolId, SpoolIds, Stage,
    Timestamp, Uid, UidValidity, Unreadable, Waiting,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    news: News,
}

struct Model {
    health: Result<()>,
    settling: Result<()>,
    claiming: Result<()>,
    envelopes: Result<()>,
    changes: Result<()>,
    damaged: Option<Uid>,
    claims: u64,
    ids: SpoolIds,
    last_account: u64,
    last_mailbox: u64,
    last_validity: UidValidity,
    modseq: ModSeq,
    accounts: BTreeMap<AccountName, Account>,
    belongings: BTreeMap<AccountId, Belongings>,
    default_quota: Option<Quota>,
    aliases: BTreeMap<AccountName, Alias>,
    domains: BTreeMap<smtp::Domain, DomainRecord>,
    mailboxes: BTreeMap<MailboxId, Kept>,
    messages: BTreeMap<SpoolId, Message>,
    queue: BTreeMap<DeliveryId, Queued>,
    fates: BTreeMap<DeliveryId, Fate>,
    pauses: BTreeMap<PauseScope, Pause>,
    /// What followers are to be told; no event is the end of the account.
    happened: Vec<(AccountId, Option<Event>)>,
}

/// What belongs to an account besides its mail.
#[derive(Default)]
struct Belongings {
    full_name: Option<String>,
    quota: Quota,
    credentials: Credentials,
    subscriptions: BTreeSet<MailboxName>,
}

/// A mailbox.
struct Kept {
    account: AccountId,
    name: MailboxName,
    uid_validity: UidValidity,
    last_uid: u32,
    modseq: ModSeq,
    special_use: Option<SpecialUse>,
    keywords: Vec<Keyword>,
    /// With the trace fields of each alone.
    entries: BTreeMap<Uid, (Entry, Bytes)>,
    /// The latest [`VANISHED_MAX`].
    expunged: BTreeMap<ModSeq, Uid>,
}

struct Message {
    accepted: Accepted,
    content: Vec<Bytes>,
    /// Where its mailbox entries are or were, by recipient.
    placed: Vec<(u32, MailboxId, Uid)>,
}

struct Queued {
    queue: QueueName,
    due: Timestamp,
    held: Option<Hold>,
    attempts: u32,
    history: Vec<Attempt>,
    lease: Option<Timestamp>,
}

/// A message on its way into a mailbox.
#[derive(Clone, Copy)]
struct Arriving<'m> {
    id: SpoolId,
    accepted: &'m Accepted,
    len: u64,
    /// How many mailbox deliveries of the same message came before.
    delivery: u32,
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
            settling: Ok(()),
            claiming: Ok(()),
            envelopes: Ok(()),
            changes: Ok(()),
            damaged: None,
            claims: 0,
            ids: SpoolIds::above(SpoolId(0), 0),
            last_account: 0,
            last_mailbox: 0,
            last_validity: UidValidity(0),
            modseq: ModSeq(0),
            accounts: BTreeMap::new(),
            belongings: BTreeMap::new(),
            default_quota: None,
            aliases: BTreeMap::new(),
            domains: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            messages: BTreeMap::new(),
            queue: BTreeMap::new(),
            fates: BTreeMap::new(),
            pauses: BTreeMap::new(),
            happened: Vec::new(),
        };
        let inner = Inner {
            clock: Box::new(clock),
            model: Mutex::new(model),
            watch: watch::Sender::new(ModSeq(0)),
            news: News::default(),
        };
        Memory { inner: Arc::new(inner) }
    }

    /// From now on [`Spool::health`] says this, and as long as it is an error whatever writes fails with it; for want of space
    /// ([`Error::Full`]) deliveries can be settled all the same.
    pub fn set_health(&self, health: Result<()>) {
        self.inner.model().health = health;
    }

    /// From now on [`Spool::settle`] fails so, though [`Spool::can_settle`] has not foreseen it: a disk may be that full.
    pub fn set_settling(&self, settling: Result<()>) {
        self.inner.model().settling = settling;
    }

    /// From now on [`Spool::claim`] fails so, though [`Spool::can_settle`] has not foreseen it: what is to be claimed may not be readable.
    pub fn set_claiming(&self, claiming: Result<()>) {
        self.inner.model().claiming = claiming;
    }

    /// From now on [`Spool::envelope`] fails so.
    pub fn set_envelopes(&self, envelopes: Result<()>) {
        self.inner.model().envelopes = envelopes;
    }

    /// From now on [`Mailboxes::changes`] fails so.
    pub fn set_changes(&self, changes: Result<()>) {
        self.inner.model().changes = changes;
    }

    /// From now on messages with this UID are damaged.
    pub fn set_damaged(&self, uid: Option<Uid>) {
        self.inner.model().damaged = uid;
    }

    /// How often [`Spool::claim`] was called while the store could settle.
    pub fn claims(&self) -> u64 {
        self.inner.model().claims
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
        self.model().health.clone()?;
        self.make(change)
    }

    /// The same whatever the store is made to refuse.
    fn make<T>(&self, change: impl FnOnce(&mut Model) -> Result<T>) -> Result<T> {
        let mut model = self.model();
        let result = change(&mut model)?;
        self.watch.send_if_modified(|seen| std::mem::replace(seen, model.modseq) != model.modseq);
        for (account, event) in std::mem::take(&mut model.happened) {
            match event {
                Some(event) => self.news.tell(account, event),
                None => self.news.end(account),
            }
        }
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
        Ok(self.inner.model().waiting(now, after, limit))
    }

    async fn latest(&self, now: Timestamp, limit: usize) -> Result<Vec<Waiting>> {
        let all = self.inner.model().waiting(now, None, usize::MAX);
        Ok(all.into_iter().rev().take(limit).collect())
    }

    async fn claim(
        &self,
        queue: &QueueName,
        now: Timestamp,
        limit: usize,
        lease: Timestamp,
    ) -> Result<Vec<Claim>> {
        self.can_settle()?;
        let mut model = self.inner.model();
        model.claims += 1;
        model.claiming.clone()?;
        let ids = model.claim(queue, now, limit, lease);
        Ok(ids.into_iter().map(|id| Claim { delivery: model.delivery(id), lease }).collect())
    }

    async fn settle(&self, id: DeliveryId, outcome: Outcome) -> Result<()> {
        self.can_settle()?;
        self.inner.make(|model| {
            model.settling.clone()?;
            model.settle(id, outcome)
        })
    }

    async fn let_go(&self, ids: &[DeliveryId]) -> Result<()> {
        let mut model = self.inner.model();
        for id in ids {
            if let Some(queued) = model.queue.get_mut(id) {
                queued.lease = None;
            }
        }
        Ok(())
    }

    async fn adjust(&self, ids: &[DeliveryId], adjustment: Adjustment) -> Result<u64> {
        self.inner.change(|model| Ok(model.adjust(ids, &adjustment)))
    }

    async fn pause(&self, pause: Pause) -> Result<()> {
        self.inner.change(|model| model.pause(pause))
    }

    async fn resume(&self, scope: &PauseScope) -> Result<bool> {
        self.inner.change(|model| model.resume(scope))
    }

    async fn pauses(&self) -> Result<Vec<Pause>> {
        Ok(self.inner.model().pauses.values().cloned().collect())
    }

    async fn fates(&self, before: Option<SpoolId>, limit: usize) -> Result<Vec<Fate>> {
        Ok(self.inner.model().fates(before, limit))
    }

    async fn fates_of(&self, id: SpoolId) -> Result<Vec<Fate>> {
        let model = self.inner.model();
        Ok(model.fates.values().filter(|fate| fate.delivery.id.spool == id).cloned().collect())
    }

    async fn acceptance(&self, id: SpoolId) -> Result<Acceptance> {
        self.inner.model().acceptance(id)
    }

    async fn content(&self, id: SpoolId) -> Result<Reader> {
        let model = self.inner.model();
        let message = model.messages.get(&id).ok_or_else(|| Error::NoSuchMessage(id.to_string()))?;
        Ok(message.reader(Bytes::new()))
    }

    async fn envelope(&self, id: SpoolId) -> Result<smtp::Envelope> {
        let model = self.inner.model();
        model.envelopes.clone()?;
        if !model.queue.keys().any(|queued| queued.spool == id) {
            return Err(Error::NoSuchMessage(id.to_string()));
        }
        Ok(model.messages[&id].accepted.envelope.clone())
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        Ok(self.inner.model().next_due())
    }

    async fn destinations(&self, limit: usize) -> Result<Vec<Backlog>> {
        Ok(self.inner.model().backlogs(limit))
    }

    async fn deliveries(&self, after: Option<DeliveryId>, limit: usize) -> Result<Vec<Delivery>> {
        let model = self.inner.model();
        let ids = model.queue.keys().filter(|id| after.is_none_or(|after| **id > after)).take(limit);
        Ok(ids.map(|id| model.delivery(*id)).collect())
    }

    async fn unreadable(&self) -> Result<Vec<Unreadable>> {
        // What is in memory can be read.
        Ok(Vec::new())
    }

    fn health(&self) -> Result<()> {
        self.inner.model().health.clone()
    }

    fn can_settle(&self) -> Result<()> {
        match self.health() {
            Err(Error::Full(_)) => Ok(()),
            health => health,
        }
    }

    async fn close(&self) -> Result<()> {
        self.set_health(Err(Error::Closed));
        self.inner.news.end_all();
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
            let mut placed = Vec::new();
            for delivery in &accepted.deliveries {
                let message = Arriving { id, accepted: &accepted, len, delivery: placed.len() as u32 };
                placed.extend(model.place(now, message, delivery));
            }
            model.messages.insert(id, Message { accepted, content, placed });
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

    /// Makes one delivery of a message whose accounts were checked; says where it is when that is a mailbox.
    fn place(
        &mut self,
        now: Timestamp,
        message: Arriving<'_>,
        delivery: &NewDelivery,
    ) -> Option<(u32, MailboxId, Uid)> {
        match &delivery.destination {
            Destination::Queue { due } | Destination::Forward { due, .. } => {
                let recipient = &message.accepted.envelope.recipients[delivery.recipient as usize];
                let queue = QueueName::of(&recipient.forward_path).expect("checked when it was accepted");
                let queued =
                    Queued { queue, due: *due, held: None, attempts: 0, history: Vec::new(), lease: None };
                self.queue.insert(DeliveryId { spool: message.id, recipient: delivery.recipient }, queued);
                None
            }
            Destination::Mailbox { account, mailbox, trace, .. } => {
                let account = match self.accounts.get(account) {
                    Some(account) => account.id,
                    None => self.create_account(now, account, Origin::Caught).id,
                };
                let id = self
                    .find_mailbox(account, mailbox)
                    .unwrap_or_else(|| self.create_mailbox(now, account, mailbox.clone()));
                let uid = self.arrive(id, message, trace);
                Some((delivery.recipient, id, uid))
            }
        }
    }

    /// Puts a message into a mailbox.
    fn arrive(&mut self, mailbox: MailboxId, message: Arriving<'_>, trace: &Bytes) -> Uid {
        let Arriving { id, accepted, len, delivery } = message;
        let entry = Entry {
            uid: Uid(0),
            modseq: ModSeq(0),
            flags: Flags::default(),
            keywords: KeywordSet::default(),
            received: accepted.received,
            saved: id.time(),
            size: trace.len() as u64 + accepted.trace.len() as u64 + len,
            spool: id,
            delivery,
        };
        self.insert(mailbox, entry, trace.clone())
    }

    /// Adds an entry, with a UID and a ModSeq of its own.
    fn insert(&mut self, mailbox: MailboxId, entry: Entry, trace: Bytes) -> Uid {
        let modseq = self.next_modseq();
        let kept = self.mailboxes.get_mut(&mailbox).expect("found by the caller");
        kept.last_uid += 1;
        kept.modseq = modseq;
        let uid = Uid(kept.last_uid);
        kept.entries.insert(uid, (Entry { uid, modseq, ..entry }, trace));
        self.touched(mailbox);
        uid
    }

    /// Tells that entries of a mailbox changed.
    fn touched(&mut self, mailbox: MailboxId) {
        let kept = &self.mailboxes[&mailbox];
        let told = (kept.account, Some(Event::Entries { mailbox, modseq: kept.modseq }));
        let is_same = |(_, event): &(AccountId, Option<Event>)| matches!(event, Some(Event::Entries { mailbox: other, .. }) if *other == mailbox);
        self.happened.retain(|told| !is_same(told));
        self.happened.push(told);
    }

    /// Tells that the mailboxes of an account are not what they were.
    fn rearranged(&mut self, account: AccountId) {
        let told = (account, Some(Event::Layout));
        if !self.happened.contains(&told) {
            self.happened.push(told);
        }
    }

    /// Tells that passwords of an account are not what they were.
    fn credentials_changed(&mut self, account: &AccountName) -> Result<()> {
        self.happened.push((self.account_id(account)?, Some(Event::Credentials)));
        Ok(())
    }

    /// Drops the texts of those of these messages that nothing names any more.
    fn forget_unused(&mut self, spools: impl IntoIterator<Item = SpoolId>) {
        let mut unused: BTreeSet<SpoolId> = spools.into_iter().collect();
        for id in self.queue.keys() {
            unused.remove(&id.spool);
        }
        for (entry, _) in self.mailboxes.values().flat_map(|kept| kept.entries.values()) {
            unused.remove(&entry.spool);
        }
        for spool in unused {
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
        self.held.is_none() && self.lease.is_none_or(|end| end <= now)
    }
}

impl Message {
    fn size(&self) -> u64 {
        self.content.iter().map(|chunk| chunk.len() as u64).sum()
    }

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
