//! What the writer must know to give numbers and to refuse: accounts, mailboxes, aliases, domains, and the highest numbers given so far.
//!
//! It is ahead of what readers see: it holds what was admitted to the batch in hand. If that batch fails the log is fenced, so
//! nothing is ever taken back.

mod directory;

use crate::body::{AccountChange, Counters, MailboxChange, Place, Placed, restored_validity};
use crate::usage::Usages;
use smtp::{Domain, Mailbox};
use std::collections::HashMap;
use std::sync::Arc;
use store::{
    Account, AccountId, AccountName, Destination, DomainRecord, Error, IfFull, IfMissing, MailboxId,
    MailboxName, ModSeq, NewDelivery, Origin, Quota, Result, Timestamp, Uid, UidValidity, Usage,
};

/// The writer's knowledge.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) counters: Counters,
    /// The number of the last fate.
    last_fate: u64,
    accounts: HashMap<AccountName, Known>,
    /// The last UID given in each mailbox.
    uids: HashMap<MailboxId, Uid>,
    aliases: HashMap<AccountName, Vec<Mailbox>>,
    domains: HashMap<Domain, DomainRecord>,
    /// How much each account holds; shared with readers, for it has its own way to be up to date.
    usages: Arc<Usages>,
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
    mailboxes: HashMap<MailboxName, MailboxId>,
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
        self.accounts.insert(name, Known { account, quota: Quota::default(), mailboxes: HashMap::new() });
    }

    /// Takes in a mailbox that exists, of an account that was taken in.
    pub(crate) fn add_mailbox(&mut self, account: &AccountName, name: MailboxName, id: MailboxId, last: Uid) {
        if let Some(known) = self.accounts.get_mut(account) {
            known.mailboxes.insert(name, id);
            self.uids.insert(id, last);
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
            self.uids.remove(mailbox);
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
            self.usages.admit(self.accounts[account].account.id, one(common, trace));
            let last = self.uids.get_mut(&id).expect("every mailbox known has a last UID");
            last.0 += 1;
            let uid = *last;
            let modseq = self.take_modseqs(1);
            placed.0.push(Place { mailbox: id, uid, modseq });
        }
        Ok(placed)
    }

    /// Reserves a ModSeq for each of these entries, ascending from the one returned.
    pub(crate) fn flags(&mut self, mailbox: MailboxId, entries: usize) -> Result<ModSeq> {
        if !self.uids.contains_key(&mailbox) {
            return Err(Error::NoSuchMailbox(format!("number {}", mailbox.0)));
        }
        Ok(self.take_modseqs(entries as u64))
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
            let last = known.and_then(|known| self.uids.get(known.mailboxes.get(mailbox)?));
            if last.is_some_and(|last| last.0 > u32::MAX - deliveries.len() as u32) {
                return Err(Error::Invalid(format!(
                    "mailbox {} of {account} has no UIDs left",
                    mailbox.as_str()
                )));
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
        self.add_mailbox(owner, name, id, Uid(0));
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
const MODSEQS_SKIPPED: u64 = 1 << 36;

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
        let (MailboxChange::Flags { uids, modseq, .. } | MailboxChange::Expunged { uids, modseq, .. }) =
            change;
        self.modseq.0 = self.modseq.0.max(modseq.0 + (uids.len() as u64).saturating_sub(1));
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
