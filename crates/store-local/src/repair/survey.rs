//! What a damaged log makes and names, and what of it is lost: the first way through it.

use super::layout::{self, Layout};
use super::orders::Orders;
use super::salvage::{Lost, Piece};
use super::told::{Place, Told};
use crate::body::{self, AccountChange, Counters, Destination, MailboxChange, Remains, Settlement};
use crate::effect::{Effect, Position};
use crate::index::Snapshot;
use crate::segment;
use crate::state::MODSEQS_SKIPPED;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use store::{
    AccountId, AccountName, Entry, Flags, KeywordSet, MailboxId, MailboxName, Masks, ModSeq, Origin, Result,
    Timestamp, Uid, UidValidity,
};

/// What was found on the first way through the log.
pub(super) struct Survey<'a> {
    /// The old index, when it can be trusted.
    pub(super) index: Option<&'a Snapshot>,
    position: Option<Position>,
    counters: Counters,
    accounts: HashSet<AccountId>,
    /// Whose each mailbox is that the log makes.
    mailboxes: BTreeMap<MailboxId, AccountId>,
    /// Names that accounts have in the end.
    names: HashMap<AccountName, AccountId>,
    removed: HashSet<AccountName>,
    removed_accounts: HashSet<AccountId>,
    /// Mailboxes that messages name, with an address that such a message was for.
    named: BTreeMap<MailboxId, Option<AccountName>>,
    /// Messages whose acceptance is whole.
    pub(super) accepted: HashSet<u64>,
    pub(super) expunged: HashSet<(MailboxId, Uid)>,
    told: Told,
    orders: Orders,
    layout: Layout,
    /// How often the log says that the store was restored from a backup.
    restorations: u64,
    pub(super) lost: Vec<Lost>,
    pub(super) torn: u64,
    /// How many bytes are lost of which nobody knows what they numbered.
    pub(super) unknown: u64,
}

impl<'a> Survey<'a> {
    /// Nothing found yet.
    pub(super) fn new(index: Option<&'a Snapshot>) -> Result<Survey<'a>> {
        Ok(Survey {
            index,
            position: index.map_or(Ok(None), Snapshot::position)?,
            counters: index.map_or(Ok(Counters::default()), Snapshot::counters)?,
            accounts: HashSet::new(),
            mailboxes: BTreeMap::new(),
            names: HashMap::new(),
            removed: HashSet::new(),
            removed_accounts: HashSet::new(),
            named: BTreeMap::new(),
            accepted: HashSet::new(),
            expunged: HashSet::new(),
            told: Told::default(),
            orders: Orders::default(),
            layout: Layout::default(),
            restorations: 0,
            lost: Vec::new(),
            torn: 0,
            unknown: 0,
        })
    }

    /// Takes note of a piece.
    pub(super) fn see(&mut self, piece: Piece) -> Result<()> {
        match piece {
            Piece::Torn(bytes) => self.torn += bytes,
            Piece::Lost(lost) => {
                self.unknown += self.unseen_bytes(&lost);
                self.lost.push(lost);
            }
            Piece::Message(message) => {
                self.accepted.insert(message.accepted.spool);
                self.counters.spool = self.counters.spool.max(message.accepted.spool);
                let seen = self.index_has_seen(message.arrival.record.segment, message.acceptance.offset);
                let to = message
                    .accepted
                    .deliveries
                    .iter()
                    .filter(|delivery| matches!(delivery.destination, Destination::Mailbox { .. }));
                for (place, delivery) in message.placed.0.iter().zip(to) {
                    self.counters.modseq = self.counters.modseq.max(place.modseq);
                    let recipients = &message.accepted.envelope.recipients;
                    let recipient = recipients.get(delivery.recipient as usize);
                    // What the index does not know although it has seen it was removed.
                    let is_removed = seen
                        && match self.index {
                            Some(index) => !index.has_mailbox(place.mailbox)?,
                            None => false,
                        };
                    let address = recipient
                        .filter(|_| !is_removed)
                        .and_then(|recipient| account_of(&recipient.forward_path));
                    let named = self.named.entry(place.mailbox).or_default();
                    *named = named.take().or(address);
                }
            }
            Piece::Change { segment, record, effect } => self.change(&effect, (segment, record.offset)),
        }
        Ok(())
    }

    fn change(&mut self, effect: &Effect, at: Place) {
        let is_seen = self.index_has_seen(at.0, at.1);
        if !is_seen {
            self.orders.unseen(effect);
        }
        self.layout.see(effect, is_seen);
        match effect {
            Effect::Directory(change) => self.told.change(change, at),
            Effect::Opening(opening) => self.counters.see(&opening.counters),
            Effect::Account(change) => {
                self.counters.see_account_change(change);
                match change {
                    AccountChange::Created { id, name, .. } => {
                        self.accounts.insert(*id);
                        self.names.insert(name.clone(), *id);
                        self.told.created(*id, name, at);
                    }
                    AccountChange::MailboxCreated { id, account, .. } => {
                        self.mailboxes.insert(*id, *account);
                    }
                    AccountChange::Removed { id, name } => {
                        self.removed_accounts.insert(*id);
                        self.names.remove(name);
                        self.removed.insert(name.clone());
                    }
                    AccountChange::Restored { .. } => self.restorations += 1,
                    AccountChange::Raised { .. } => {}
                }
            }
            Effect::Mailbox(change) => {
                self.counters.see_mailbox_change(change);
                let moved = match change {
                    MailboxChange::Copied(copied) => copied.expunged(),
                    _ => None,
                };
                if let MailboxChange::Expunged { mailbox, uids, .. } = moved.as_ref().unwrap_or(change) {
                    self.expunged.extend(uids.iter().map(|uid| (*mailbox, *uid)));
                }
            }
            Effect::Accepted(_)
            | Effect::Layout(_)
            | Effect::Settled(_)
            | Effect::Queue(..)
            | Effect::Remains(_) => {}
        }
    }

    /// Whether anything that was acknowledged is lost.
    pub(super) fn has_losses(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Whether the record of a restoration from a backup is lost: it skips more ModSeqs than are ever given otherwise. Without it the
    /// mailboxes would have their old UIDVALIDITYs again, and UIDs that have stood for other messages.
    pub(super) fn has_lost_a_restoration(&self) -> bool {
        self.has_losses() && self.counters.modseq.0 / MODSEQS_SKIPPED > self.restorations
    }

    /// How much of what is lost the index has not seen, in bytes.
    fn unseen_bytes(&self, lost: &Lost) -> u64 {
        let seen = self.position.map(|at| (segment::last(at.segment), at.end));
        if lost.files > 0 {
            // A part of the one in which the index ends may be unseen.
            let unseen_from = seen.map_or(lost.segment, |(seen, _)| seen.max(lost.segment));
            return (lost.segment + lost.files).saturating_sub(unseen_from) * SEGMENT_GUESS;
        }
        let from = match seen.map(|(seen, end)| (seen.cmp(&segment::last(lost.segment)), end)) {
            Some((Ordering::Greater, _)) => return 0,
            Some((Ordering::Equal, end)) => lost.from.max(end),
            Some((Ordering::Less, _)) | None => lost.from,
        };
        lost.to.saturating_sub(from)
    }

    /// Whether the index was applied beyond this place of the log.
    fn index_has_seen(&self, segment: u64, offset: u64) -> bool {
        self.position.is_some_and(|at| (segment::last(segment), offset) < (segment::last(at.segment), at.end))
    }

    /// The accounts and mailboxes whose making is lost: as the index knows them, or else as the messages in them suggest.
    pub(super) fn founding(&mut self, now: Timestamp) -> Result<Vec<AccountChange>> {
        let mut founding = Vec::new();
        if let Some(index) = self.index.filter(|_| !self.lost.is_empty()) {
            for account in index.accounts()? {
                if self.accounts.insert(account.id) {
                    self.names.insert(account.name.clone(), account.id);
                    let store::Account { id, name, origin, created } = account;
                    founding.push(AccountChange::Created { id, name, origin, created });
                }
            }
            for mailbox in index.all_mailboxes()? {
                let (id, account, name) = (mailbox.id, mailbox.account, mailbox.name);
                if self.mailboxes.insert(id, account).is_none() {
                    let (validity, modseq) = (mailbox.uid_validity, ModSeq(1));
                    founding.push(AccountChange::MailboxCreated { id, account, name, validity, modseq });
                }
            }
        }
        let named = std::mem::take(&mut self.named);
        self.owners(&named, now, &mut founding)?;
        for (id, name) in named {
            let Some(name) = name.filter(|name| !self.removed.contains(name)) else { continue };
            if self.mailboxes.contains_key(&id) || self.layout.removed.contains(&id) {
                continue;
            }
            let validity = UidValidity::after(self.counters.validity, now);
            self.counters.validity = validity;
            let (account, mailbox) = match self.names.get(&name) {
                Some(account) => (*account, layout::recovered(id)?),
                None => {
                    self.counters.account = self.counters.account.max(self.unused_account()) + 1;
                    let account = AccountId(self.counters.account);
                    self.names.insert(name.clone(), account);
                    let (origin, created) = (Origin::Caught, now);
                    founding.push(AccountChange::Created { id: account, name, origin, created });
                    (account, MailboxName::inbox())
                }
            };
            self.counters.mailbox = self.counters.mailbox.max(id.0);
            self.mailboxes.insert(id, account);
            let modseq = ModSeq(1);
            founding.push(AccountChange::MailboxCreated { id, account, name: mailbox, validity, modseq });
        }
        for (id, from) in std::mem::take(&mut self.layout.copied_from) {
            let Some(account) = self.mailboxes.get(&from).copied() else { continue };
            if self.mailboxes.contains_key(&id) || self.layout.removed.contains(&id) {
                continue;
            }
            self.counters.validity = UidValidity::after(self.counters.validity, now);
            self.counters.mailbox = self.counters.mailbox.max(id.0);
            self.mailboxes.insert(id, account);
            let (name, validity, modseq) = (layout::recovered(id)?, self.counters.validity, ModSeq(1));
            founding.push(AccountChange::MailboxCreated { id, account, name, validity, modseq });
        }
        Ok(founding)
    }

    /// Accounts that have mailboxes with messages and whose own making is lost.
    fn owners(
        &mut self,
        named: &BTreeMap<MailboxId, Option<AccountName>>,
        now: Timestamp,
        founding: &mut Vec<AccountChange>,
    ) -> Result<()> {
        for (mailbox, &id) in &self.mailboxes {
            let Some(Some(name)) = named.get(mailbox) else { continue };
            if self.removed_accounts.contains(&id) || !self.accounts.insert(id) {
                continue;
            }
            let name = match self.names.contains_key(name) {
                false => name.clone(),
                // The name is somebody else's; the mail is not.
                true => recovered(id, name)?,
            };
            self.names.insert(name.clone(), id);
            founding.push(AccountChange::Created { id, name, origin: Origin::Caught, created: now });
        }
        Ok(())
    }

    /// No account that may be named in what is lost has a higher number.
    fn unused_account(&self) -> u64 {
        self.counters.account + self.unknown / RECORD_MIN
    }

    /// Numbers that were never given: above all that are known, by more than what is lost can have given.
    pub(super) fn counters(&self, alive: &Snapshot) -> Result<Counters> {
        let mut counters = self.counters;
        counters.see(&alive.counters()?);
        counters.account += self.unknown / RECORD_MIN;
        counters.mailbox += self.unknown / RECORD_MIN;
        counters.modseq.0 += self.unknown;
        Ok(counters)
    }

    /// What the index knows of changes whose records are lost, and the numbers that may have been given by what is lost.
    pub(super) fn reconcile(
        &self,
        alive: &Snapshot,
        put: &mut dyn FnMut(Effect) -> Result<()>,
    ) -> Result<()> {
        if let Some(index) = self.index {
            let has_seen = |(segment, offset): Place| self.index_has_seen(segment, offset);
            self.told.reconcile((index, alive), &has_seen, put)?;
            self.orders.reconcile((index, alive), put)?;
            self.layout.reconcile((index, alive), put)?;
        }
        layout::name_the_nameless((self.index, alive), put)?;
        let mut modseq = self.counters(alive)?.modseq;
        let mut places = Vec::new();
        for mailbox in alive.all_mailboxes()? {
            let mut last = mailbox.uid_next.0 - 1;
            if let Some(index) = self.index.filter(|index| index.has_mailbox(mailbox.id).unwrap_or(false)) {
                last = last.max(index.mailbox(mailbox.id)?.uid_next.0 - 1);
                for entry in alive.entries(mailbox.id, Uid(0), usize::MAX)? {
                    if let Some(change) = self.change_of(index, alive, (mailbox.id, &entry), modseq)? {
                        put(Effect::Mailbox(change))?;
                        modseq.0 += 1;
                    }
                }
            }
            let given = u32::try_from(self.unknown / PLACE_MIN).unwrap_or(u32::MAX);
            let uid = Uid(last.saturating_add(given).min(UID_MAX.max(last)));
            places.push(body::Place { mailbox: mailbox.id, uid, modseq });
        }
        self.settled(alive, put)?;
        places.iter_mut().for_each(|place| place.modseq = modseq);
        put(Effect::Remains(Remains(places)))
    }

    /// What the index knows of an entry that the log does not tell any more.
    fn change_of(
        &self,
        index: &Snapshot,
        alive: &Snapshot,
        (mailbox, entry): (MailboxId, &Entry),
        modseq: ModSeq,
    ) -> Result<Option<MailboxChange>> {
        let uids = vec![entry.uid];
        let modseq = ModSeq(modseq.0 + 1);
        if self.layout.unseen_copies.contains(&(mailbox, entry.uid)) {
            return Ok(None);
        }
        if !index.has_any(mailbox, &uids)? {
            let record = alive.message(entry.spool)?.map(|message| message.record);
            let seen = record.is_some_and(|record| self.index_has_seen(record.segment, record.offset));
            return Ok(seen.then_some(MailboxChange::Expunged { mailbox, uids, modseq }));
        }
        let known = index.entry(mailbox, entry.uid)?;
        let masks = Masks {
            add_flags: known.flags,
            remove_flags: Flags(!known.flags.0),
            add_keywords: known.keywords,
            remove_keywords: KeywordSet(!known.keywords.0),
        };
        let marks = (entry.flags, entry.keywords);
        let newer = known.modseq > entry.modseq && masks.apply(marks) != marks;
        Ok(newer.then_some(MailboxChange::Marked { mailbox, uids, masks, modseq }))
    }

    /// Deliveries that the index knows to be done.
    fn settled(&self, alive: &Snapshot, put: &mut dyn FnMut(Effect) -> Result<()>) -> Result<()> {
        let Some(index) = self.index else { return Ok(()) };
        let mut queued = Vec::new();
        alive.all_queued(|id, _| queued.push(id))?;
        for id in queued {
            let record = alive.message(id.spool)?.map(|message| message.record);
            let seen = record.is_some_and(|record| self.index_has_seen(record.segment, record.offset));
            if seen && index.queued(id)?.is_none() {
                put(Effect::Settled(Settlement::Done { spool: id.spool.0, recipient: id.recipient }))?;
            }
        }
        Ok(())
    }
}

/// A name for an account whose own is lost and whose mail names another one.
fn recovered(id: AccountId, name: &AccountName) -> Result<AccountName> {
    let (long, short) = (format!("recovered-{}.{name}", id.0), format!("recovered-{}", id.0));
    // What the name is made longer by may be too much for an address, and a quoted one cannot be made longer.
    AccountName::parse(&long).or_else(|_| {
        let domain = name.as_str().rsplit_once('@').map_or("localhost", |(_, domain)| domain);
        AccountName::parse(&format!("{short}@{domain}"))
    })
}

/// The account that an address suggests.
fn account_of(forward_path: &str) -> Option<AccountName> {
    let path: smtp::ForwardPath = forward_path.parse().ok()?;
    path.as_mailbox().map(AccountName::of)
}

/// The least that a record takes: so many accounts or mailboxes can have been made by so many bytes.
const RECORD_MIN: u64 = 24;

/// The least that the place of an entry takes in an acceptance.
const PLACE_MIN: u64 = 3;

/// As much is taken to be lost with a segment that is missing.
const SEGMENT_GUESS: u64 = 64 << 20;

/// So many UIDs are left to a mailbox at least, whatever may have been given.
const UID_MAX: u32 = u32::MAX - (1 << 24);
