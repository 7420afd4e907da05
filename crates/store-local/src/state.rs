//! What the writer must know to give numbers: accounts, mailboxes, and the highest numbers given so far.
//!
//! It is ahead of what readers see: it holds what was admitted to the batch in hand. If that batch fails the log is fenced, so
//! nothing is ever taken back.

use crate::body::{AccountChange, Counters, MailboxChange, Place, Placed};
use std::collections::HashMap;
use store::{
    Account, AccountId, AccountName, Destination, Error, IfMissing, MailboxId, MailboxName, ModSeq,
    NewDelivery, Origin, Result, Timestamp, Uid, UidValidity,
};

/// The writer's knowledge.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) counters: Counters,
    accounts: HashMap<AccountName, Known>,
    /// The last UID given in each mailbox.
    uids: HashMap<MailboxId, Uid>,
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
    mailboxes: HashMap<MailboxName, MailboxId>,
}

impl State {
    /// Nothing known but these numbers.
    pub(crate) fn new(counters: Counters) -> State {
        State { counters, ..State::default() }
    }

    /// Takes in an account that exists.
    pub(crate) fn add_account(&mut self, account: Account) {
        self.accounts.insert(account.name.clone(), Known { account, mailboxes: HashMap::new() });
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

    /// Gives each mailbox delivery of a message its place; creates what is to be created. On an error nothing has changed.
    pub(crate) fn place(&mut self, deliveries: &[NewDelivery], created: &mut Created) -> Result<Placed> {
        self.check(deliveries)?;
        let mut placed = Placed::default();
        for delivery in deliveries {
            let Destination::Mailbox { account, mailbox, .. } = &delivery.destination else { continue };
            let id = self.mailbox(account, mailbox, created);
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
