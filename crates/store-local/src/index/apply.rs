//! Applying batches of the log.
//!
//! The result depends on the log alone, never on when it is applied or in how many transactions: so an index that is rebuilt
//! equals the one that was lost. What a change names but is not there (any more) is passed over; that is how two changes that
//! crossed each other on their way to the log are settled.

mod directory;
mod entries;
mod layout;
mod queue;

pub(crate) use queue::pause_key;

use super::overlay::Overlay;
use super::rows::{
    ACCOUNTS, ALIASES, BELONGINGS, CHANGES, DOMAINS, ENTRIES, EntryRow, FATE_ORDER, FATES, FateRow,
    MAILBOXES, MESSAGES, MailboxRow, MessageRow, NAMES, OrderRow, PAUSES, QUEUE, QueueRow, SEGMENTS,
    SUBSCRIPTIONS, SegmentRow, VANISHED,
};
use super::{Index, Sync, commit, put_meta};
use crate::body::{self, AccountChange, Belongings, Counters};
use crate::effect::{Arrival, Committed, Content, Effect, Locator};
use crate::error::index_error;
use crate::record;
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use store::{Account, AccountId, AccountName, MailboxId, Marked, ModSeq, Result, Uid, Usage};

/// What came of applying batches.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// For each effect, in order: how many entries it found.
    pub(crate) counts: Vec<u64>,
    /// What became of the entries that these effects marked, where that was asked for.
    pub(crate) marked: HashMap<usize, Marked>,
    /// Messages with large content that nothing names any more.
    pub(crate) gone: Vec<u64>,
    /// The latest change of a mailbox, if there was one.
    pub(crate) modseq: Option<ModSeq>,
    /// What accounts got.
    pub(crate) arrived: HashMap<AccountId, Usage>,
    /// What was expunged of accounts.
    pub(crate) left: HashMap<AccountId, Usage>,
    /// Accounts that were removed.
    pub(crate) removed: Vec<AccountId>,
    /// Mailboxes whose entries changed: whose they are, and their highest ModSeq now.
    pub(crate) touched: BTreeMap<MailboxId, (AccountId, ModSeq)>,
    /// Accounts whose mailboxes or subscriptions are not what they were.
    pub(crate) rearranged: BTreeSet<AccountId>,
    /// Accounts of which passwords were set anew or removed.
    pub(crate) credentials: BTreeSet<AccountId>,
}

/// One transaction's work.
struct Work<'t> {
    accounts: Table<'t, &'static str, &'static [u8]>,
    belongings: Overlay<'t, Belongings>,
    aliases: Table<'t, &'static str, &'static [u8]>,
    domains: Table<'t, &'static str, &'static [u8]>,
    names: Table<'t, (u64, &'static str), u64>,
    mailboxes: Overlay<'t, MailboxRow>,
    entries: Overlay<'t, EntryRow>,
    changes: Overlay<'t, Uid>,
    vanished: Overlay<'t, Uid>,
    /// Up to which ModSeq the expunges of a mailbox were forgotten in this transaction.
    forgotten: HashMap<MailboxId, ModSeq>,
    subscriptions: Table<'t, (u64, &'static str), ()>,
    messages: Overlay<'t, MessageRow>,
    queue: Overlay<'t, QueueRow>,
    fates: Overlay<'t, FateRow>,
    fate_order: Overlay<'t, OrderRow>,
    /// No fate with a lower number is there.
    remembered_from: u64,
    pauses: Table<'t, &'static str, &'static [u8]>,
    segments: Overlay<'t, SegmentRow>,
    counters: Counters,
    applied: Applied,
}

impl Index {
    /// Applies batches in one transaction, which is not synced.
    pub(crate) fn apply<'b>(&self, batches: impl IntoIterator<Item = &'b Committed>) -> Result<Applied> {
        self.apply_and_tell(batches, &HashSet::new())
    }

    /// The same; says what these effects, counted over all batches, have marked.
    pub(crate) fn apply_and_tell<'b>(
        &self,
        batches: impl IntoIterator<Item = &'b Committed>,
        asked: &HashSet<usize>,
    ) -> Result<Applied> {
        let counters = self.read()?.counters()?;
        let transaction = self.begin(Sync::Later)?;
        let mut work = Work::new(&transaction, counters)?;
        let mut position = None;
        for batch in batches {
            for effect in &batch.effects {
                let number = work.applied.counts.len();
                let mut marked = asked.contains(&number).then(Marked::default);
                let count = work.effect(effect, marked.as_mut())?;
                work.applied.counts.push(count);
                work.applied.marked.extend(marked.map(|marked| (number, marked)));
            }
            let length = batch.position.end - batch.position.start;
            work.segment(batch.position.segment, |row| row.used += length)?;
            position = Some(batch.position);
        }
        let (counters, applied) = work.write()?;
        put_meta(&transaction, "counters", &counters)?;
        if let Some(position) = position {
            put_meta(&transaction, "position", &position)?;
        }
        commit(transaction)?;
        Ok(applied)
    }
}

impl<'t> Work<'t> {
    fn new(transaction: &'t WriteTransaction, counters: Counters) -> Result<Work<'t>> {
        Ok(Work {
            accounts: transaction.open_table(ACCOUNTS).map_err(index_error)?,
            belongings: Overlay::new(transaction, BELONGINGS)?,
            aliases: transaction.open_table(ALIASES).map_err(index_error)?,
            domains: transaction.open_table(DOMAINS).map_err(index_error)?,
            names: transaction.open_table(NAMES).map_err(index_error)?,
            mailboxes: Overlay::new(transaction, MAILBOXES)?,
            entries: Overlay::new(transaction, ENTRIES)?,
            changes: Overlay::new(transaction, CHANGES)?,
            vanished: Overlay::new(transaction, VANISHED)?,
            forgotten: HashMap::new(),
            subscriptions: transaction.open_table(SUBSCRIPTIONS).map_err(index_error)?,
            messages: Overlay::new(transaction, MESSAGES)?,
            queue: Overlay::new(transaction, QUEUE)?,
            fates: Overlay::new(transaction, FATES)?,
            fate_order: Overlay::new(transaction, FATE_ORDER)?,
            remembered_from: 0,
            pauses: transaction.open_table(PAUSES).map_err(index_error)?,
            segments: Overlay::new(transaction, SEGMENTS)?,
            counters,
            applied: Applied::default(),
        })
    }

    fn write(self) -> Result<(Counters, Applied)> {
        self.belongings.write()?;
        self.mailboxes.write()?;
        self.entries.write()?;
        self.changes.write()?;
        self.vanished.write()?;
        self.messages.write()?;
        self.queue.write()?;
        self.fates.write()?;
        self.fate_order.write()?;
        self.segments.write()?;
        Ok((self.counters, self.applied))
    }

    /// Applies one effect; returns how many entries it found.
    fn effect(&mut self, effect: &Effect, told: Option<&mut Marked>) -> Result<u64> {
        match effect {
            Effect::Opening(opening) => self.counters.see(&opening.counters),
            Effect::Accepted(arrival) => self.arrival(arrival)?,
            Effect::Account(change) => self.account(change)?,
            Effect::Directory(change) => self.directory(change)?,
            Effect::Settled(settlement) => self.settlement(settlement)?,
            Effect::Queue(change, record) => self.queue_change(change, *record)?,
            Effect::Remains(remains) => self.remains(remains)?,
            Effect::Layout(change) => self.layout(change)?,
            Effect::Mailbox(change) => return self.mailbox(change, told),
        }
        Ok(0)
    }

    fn arrival(&mut self, arrival: &Arrival) -> Result<()> {
        let spool = arrival.spool;
        self.counters.spool = self.counters.spool.max(spool);
        let mut references = 0;
        for entry in &arrival.entries {
            self.counters.modseq = self.counters.modseq.max(entry.modseq);
            if self.mailboxes.row((entry.mailbox.0, 0))?.is_none() {
                continue;
            }
            let times = (arrival.received, store::SpoolId(spool).time());
            self.arrives(entry.mailbox, (entry.uid, entries::unmarked(times, spool, entry)))?;
            references += 1;
        }
        for queued in &arrival.queued {
            let queue = queued.queue.to_string();
            let (sender, due) = (queued.sender, queued.due);
            let row = QueueRow { queue, sender, due, attempts: 0, held: None, history: Vec::new() };
            self.queue.put((spool, u64::from(queued.recipient)), row);
            references += 1;
        }
        let Arrival { received, record, content, .. } = *arrival;
        self.messages.put((spool, 0), MessageRow { received, record, content, references });
        Ok(())
    }

    fn account(&mut self, change: &AccountChange) -> Result<()> {
        self.counters.see_account_change(change);
        match change {
            AccountChange::Created { id, name, origin, created } => {
                self.put_account(&Account { id: *id, name: name.clone(), origin: *origin, created: *created })
            }
            AccountChange::Raised { name, origin, .. } => {
                let row = self.accounts.get(name.as_str()).map_err(index_error)?;
                let row = row.map(|bytes| body::decode::<Account>(bytes.value())).transpose()?;
                row.map_or(Ok(()), |row| self.put_account(&Account { origin: *origin, ..row }))
            }
            AccountChange::Removed { id, name } => self.remove_account(*id, name),
            AccountChange::MailboxCreated { id, account, name, validity, modseq } => {
                self.created(*id, (*account, name), (*validity, *modseq))
            }
            AccountChange::Restored { validity, counters } => self.restored(*validity, counters),
        }
    }

    fn put_account(&mut self, row: &Account) -> Result<()> {
        self.accounts.insert(row.name.as_str(), body::encode(row).as_slice()).map_err(index_error)?;
        Ok(())
    }

    fn remove_account(&mut self, account: AccountId, name: &AccountName) -> Result<()> {
        let row = self.accounts.get(name.as_str()).map_err(index_error)?;
        let row = row.map(|bytes| body::decode::<Account>(bytes.value())).transpose()?;
        // After a repair the name may be another account's by now.
        if row.is_some_and(|row| row.id == account) {
            self.accounts.remove(name.as_str()).map_err(index_error)?;
        }
        self.belongings.remove((account.0, 0));
        self.applied.removed.push(account);
        let range = (account.0, "")..(account.0 + 1, "");
        let mut mailboxes = Vec::new();
        for row in self.names.extract_from_if(range.clone(), |_, _| true).map_err(index_error)? {
            mailboxes.push(row.map_err(index_error)?.1.value());
        }
        for row in self.subscriptions.extract_from_if(range.clone(), |_, _| true).map_err(index_error)? {
            row.map_err(index_error)?;
        }
        mailboxes.into_iter().try_for_each(|mailbox| self.cleared(mailbox))
    }

    /// Takes away one reference to a message; with the last one its records are dead.
    fn release(&mut self, spool: u64) -> Result<()> {
        let Some(message) = self.messages.row((spool, 0))? else { return Ok(()) };
        message.references = message.references.saturating_sub(1);
        if message.references > 0 {
            return Ok(());
        }
        let MessageRow { record, content, .. } = *message;
        self.messages.remove((spool, 0));
        let content = match content {
            Content::Log(at) => at,
            Content::Large { record, .. } => {
                self.applied.gone.push(spool);
                record
            }
        };
        for Locator { segment, length, .. } in [record, content] {
            self.segment(segment, |row| row.dead += record::space(length))?;
        }
        Ok(())
    }

    fn segment(&mut self, segment: u64, change: impl FnOnce(&mut SegmentRow)) -> Result<()> {
        if let Some(row) = self.segments.row((segment, 0))? {
            change(row);
            return Ok(());
        }
        let mut row = SegmentRow::default();
        change(&mut row);
        self.segments.put((segment, 0), row);
        Ok(())
    }
}

/// Counts one message.
fn count(counted: &mut HashMap<AccountId, Usage>, account: AccountId, size: u64) {
    let usage = counted.entry(account).or_default();
    *usage = usage.with(Usage { bytes: size, messages: 1 });
}
