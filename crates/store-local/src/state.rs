//! What the writer must know to give numbers and to refuse: accounts, mailboxes, aliases, domains, and the highest numbers given so far.
//!
//! It is ahead of what readers see: it holds what was admitted to the batch in hand. If that batch fails the log is fenced, so
//! nothing is ever taken back.

mod directory;
mod mailboxes;

use crate::body::{AccountChange, Counters, MailboxChange, Place, Placed, restored_validity};
use crate::usage::Usages;
use smtp::{Domain, Mailbox};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use store::{
    Account, AccountId, AccountName, Destination, DomainRecord, Error, IfFull, IfMissing, Keyword, MailboxId,
    MailboxName, ModSeq, NewDelivery, Origin, Quota, Result, SpecialUse, Timestamp, Uid, UidValidity, Usage,
};

/// The writer's knowledge.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) counters: Counters,
    /// The number of the last fate.
    last_fate: u64,
    accounts: HashMap<AccountName, Known>,
    mailboxes: HashMap<MailboxId, KnownMailbox>,
    aliases: HashMap<AccountName, Vec<Mailbox>>,
    domains: HashMap<Domain, DomainRecord>,
    /// How much each account holds; shared with readers, for it has its own way to be up to date.
    usages: Arc<Usages>,
    /// What was added to that and is not on its way to the index yet.
    admitted: Vec<(AccountId, Usage)>,
}

/// What an act has created so far, and when.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) now: Timestamp,
    pub(crate) changes: Vec<AccountChange>,
}

#[derive(Debug)]
struct Known {
    account: Account,
    quota: Quota,
    mailboxes: BTreeMap<MailboxName, MailboxId>,
    subscriptions: BTreeSet<MailboxName>,
}

/// A mailbox that exists.
#[derive(Debug)]
pub(crate) struct KnownMailbox {
    /// Whose it is.
    pub(crate) owner: AccountName,
    pub(crate) validity: UidValidity,
    /// The last UID given.
    pub(crate) last: Uid,
    /// The last ModSeq given to a change of an entry that was there before.
    pub(crate) touched: ModSeq,
    pub(crate) special_use: Option<SpecialUse>,
    /// By their numbers.
    pub(crate) keywords: Vec<Keyword>,
}

impl State {
    /// Nothing known but these numbers.
    pub(crate) fn new(counters: Counters, last_fate: u64, usages: Arc<Usages>) -> State {
        State { counters, last_fate, usages, ..State::default() }
    }

    /// Numbers a fate.
    pub(crate) fn next_fate(&mut self) -> u64 {
        self.last_fate += 1;
        self.last_fate
    }

    /// Takes in an account that exists.
    pub(crate) fn add_account(&mut self, account: Account) {
        let name = account.name.clone();
        let (quota, mailboxes, subscriptions) = (Quota::default(), BTreeMap::new(), BTreeSet::new());
        self.accounts.insert(name, Known { account, quota, mailboxes, subscriptions });
    }

    /// Takes in a mailbox that exists, of an account that was taken in.
    pub(crate) fn add_mailbox(&mut self, id: MailboxId, name: MailboxName, mailbox: KnownMailbox) {
        if let Some(known) = self.accounts.get_mut(&mailbox.owner) {
            known.mailboxes.insert(name, id);
            self.mailboxes.insert(id, mailbox);
        }
    }

    /// Creates an account with its INBOX, or raises the origin of one.
    pub(crate) fn create_account(
        &mut self,
        name: &AccountName,
        origin: Origin,
        created: &mut Created,
    ) -> Result<Account> {
        if self.aliases.contains_key(name) {
            return Err(Error::Exists(format!("alias {name}")));
        }
        if let Some(known) = self.accounts.get_mut(name) {
            if known.account.origin >= origin {
                return Err(Error::Exists(format!("account {name}")));
            }
            known.account.origin = origin;
            created.changes.push(AccountChange::Raised { id: known.account.id, name: name.clone(), origin });
            return Ok(known.account.clone());
        }
        self.counters.account += 1;
        let id = AccountId(self.counters.account);
        let account = Account { id, name: name.clone(), origin, created: created.now };
        created.changes.push(AccountChange::Created { id, name: name.clone(), origin, created: created.now });
        self.add_account(account.clone());
        self.create_mailbox(name, id, MailboxName::inbox(), created);
        Ok(account)
    }

    /// Removes an account with its mailboxes.
    pub(crate) fn remove_account(&mut self, name: &AccountName) -> Result<AccountChange> {
        let known = self.accounts.remove(name).ok_or_else(|| Error::NoSuchAccount(name.to_string()))?;
        for mailbox in known.mailboxes.values() {
            self.mailboxes.remove(mailbox);
        }
        Ok(AccountChange::Removed { id: known.account.id, name: name.clone() })
    }

    /// What follows on the restoration of a backup. Nobody knows which numbers were given after it was made: more are skipped than will
    /// have been, and new UIDVALIDITYs tell clients to forget what they know.
    pub(crate) fn restored(&mut self, now: Timestamp) -> AccountChange {
        let given = self.counters;
        let validity = UidValidity(UidValidity::after(given.validity, now).0.saturating_add(SKIPPED));
        let skipped = Counters {
            spool: given.spool,
            account: given.account + u64::from(SKIPPED),
            mailbox: given.mailbox + u64::from(SKIPPED),
            validity: restored_validity(validity, MailboxId(given.mailbox)),
            modseq: ModSeq(given.modseq.0 + MODSEQS_SKIPPED),
        };
        self.counters = skipped;
        for (id, mailbox) in &mut self.mailboxes {
            mailbox.validity = restored_validity(validity, *id);
        }
        AccountChange::Restored { validity, counters: skipped }
    }

    /// Gives each mailbox delivery of a message its place; creates what is to be created. On an error nothing has changed. `common` is
    /// how many bytes each entry has besides its own trace.
    pub(crate) fn place(
        &mut self,
        (deliveries, common): (&[NewDelivery], u64),
        created: &mut Created,
    ) -> Result<Placed> {
        self.check(deliveries)?;
        self.check_quotas(deliveries, common)?;
        let mut placed = Placed::default();
        for delivery in deliveries {
            let Destination::Mailbox { account, mailbox, trace, .. } = &delivery.destination else {
                continue;
            };
            let id = self.mailbox(account, mailbox, created);
            self.admit(account, one(common, trace));
            placed.0.push(self.place_in(id));
        }
        Ok(placed)
    }

    /// The place of one more entry in a mailbox that exists.
    pub(crate) fn place_in(&mut self, mailbox: MailboxId) -> Place {
        let known = self.mailboxes.get_mut(&mailbox).expect("found by the caller");
        known.last.0 += 1;
        let uid = known.last;
        Place { mailbox, uid, modseq: self.take_modseqs(1) }
    }

    /// Counts what an account is about to get.
    pub(crate) fn admit(&mut self, account: &AccountName, usage: Usage) {
        let account = self.accounts[account].account.id;
        self.usages.admit(account, usage);
        self.admitted.push((account, usage));
    }

    /// What was admitted since this was last asked.
    pub(crate) fn take_admitted(&mut self) -> Vec<(AccountId, Usage)> {
        std::mem::take(&mut self.admitted)
    }

    /// Refuses deliveries that cannot all be made.
    fn check(&self, deliveries: &[NewDelivery]) -> Result<()> {
        let mut created = Vec::new();
        for delivery in deliveries {
            let Destination::Mailbox { account, mailbox, if_missing, .. } = &delivery.destination else {
                continue;
            };
            let known = self.accounts.get(account);
            match if_missing {
                IfMissing::Fail if known.is_none() && !created.contains(&account) => {
                    return Err(Error::NoSuchAccount(account.to_string()));
                }
                IfMissing::Create if known.is_none() && self.aliases.contains_key(account) => {
                    return Err(Error::Exists(format!("alias {account}")));
                }
                IfMissing::Create if known.is_none() => created.push(account),
                _ => {}
            }
            if let Some(mailbox) = known.and_then(|known| known.mailboxes.get(mailbox)) {
                self.check_uids(*mailbox, deliveries.len())?;
            }
        }
        Ok(())
    }

    /// Refuses a message that does not fit into the quota of an account that it goes to.
    fn check_quotas(&self, deliveries: &[NewDelivery], common: u64) -> Result<()> {
        let mut added: HashMap<&AccountName, Usage> = HashMap::new();
        let default = self.usages.default_quota().unwrap_or_default();
        for delivery in deliveries {
            let Destination::Mailbox { account, trace, if_full, .. } = &delivery.destination else {
                continue;
            };
            let Some(known) = self.accounts.get(account) else { continue };
            let quota = known.quota.or(default);
            if !quota.is_set() {
                continue;
            }
            let usage = added.entry(account).or_insert_with(|| self.usages.of(known.account.id));
            *usage = usage.with(one(common, trace));
            let quota = match if_full {
                IfFull::Fail => quota,
                IfFull::UseReserve => quota.with_reserve(),
            };
            if !quota.allows(*usage) {
                return Err(Error::OverQuota(account.to_string()));
            }
        }
        Ok(())
    }

    /// The mailbox of that name, created if need be, in an account that is created if need be.
    fn mailbox(&mut self, account: &AccountName, name: &MailboxName, created: &mut Created) -> MailboxId {
        if !self.accounts.contains_key(account) {
            self.create_account(account, Origin::Caught, created).expect("there is none of that name");
        }
        let known = &self.accounts[account];
        match known.mailboxes.get(name) {
            Some(id) => *id,
            None => self.create_mailbox(account, known.account.id, name.clone(), created),
        }
    }

    fn create_mailbox(
        &mut self,
        owner: &AccountName,
        account: AccountId,
        name: MailboxName,
        created: &mut Created,
    ) -> MailboxId {
        self.counters.mailbox += 1;
        self.counters.validity = UidValidity::after(self.counters.validity, created.now);
        let id = MailboxId(self.counters.mailbox);
        let (validity, modseq) = (self.counters.validity, self.take_modseqs(1));
        created.changes.push(AccountChange::MailboxCreated {
            id,
            account,
            name: name.clone(),
            validity,
            modseq,
        });
        let mailbox = KnownMailbox {
            owner: owner.clone(),
            validity,
            last: Uid(0),
            touched: ModSeq(0),
            special_use: None,
            keywords: Vec::new(),
        };
        self.add_mailbox(id, name, mailbox);
        id
    }

    /// Takes `count` ModSeqs; returns the first.
    fn take_modseqs(&mut self, count: u64) -> ModSeq {
        let first = self.counters.modseq.0 + 1;
        self.counters.modseq.0 += count;
        ModSeq(first)
    }
}

/// One entry of a message.
fn one(common: u64, trace: &[u8]) -> Usage {
    Usage { bytes: common + trace.len() as u64, messages: 1 }
}

/// More accounts, mailboxes and UIDVALIDITYs than are made between two backups. UIDVALIDITYs follow the clock in seconds, so these are
/// twelve days of it.
const SKIPPED: u32 = 1 << 20;

/// The same of ModSeqs, of which IMAP has 63 bits (RFC 7162 §3.1).
pub(crate) const MODSEQS_SKIPPED: u64 = 1 << 36;

impl Counters {
    /// Takes in the numbers that a change of accounts or mailboxes has given.
    pub(crate) fn see_account_change(&mut self, change: &AccountChange) {
        match change {
            AccountChange::Created { id, .. } => self.account = self.account.max(id.0),
            AccountChange::MailboxCreated { id, validity, modseq, .. } => {
                self.mailbox = self.mailbox.max(id.0);
                self.validity = self.validity.max(*validity);
                self.modseq = self.modseq.max(*modseq);
            }
            AccountChange::Restored { counters, .. } => self.see(counters),
            AccountChange::Raised { .. } | AccountChange::Removed { .. } => {}
        }
    }

    /// Takes in the numbers that a change of entries has given.
    pub(crate) fn see_mailbox_change(&mut self, change: &MailboxChange) {
        let (first, count) = change.modseqs();
        let last = first.0.saturating_add(count).saturating_sub(1);
        self.modseq.0 = self.modseq.0.max(last);
    }

    /// Takes in other counters.
    pub(crate) fn see(&mut self, other: &Counters) {
        self.spool = self.spool.max(other.spool);
        self.account = self.account.max(other.account);
        self.mailbox = self.mailbox.max(other.mailbox);
        self.validity = self.validity.max(other.validity);
        self.modseq = self.modseq.max(other.modseq);
    }
}
