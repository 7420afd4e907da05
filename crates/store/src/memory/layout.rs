//! The mailboxes of the model as such: made, named, subscribed to, removed.

use super::{Belongings, Kept, Model};
use crate::{
    Account, AccountId, AccountName, Error, Flags, MAILBOXES_MAX, MailboxId, MailboxName, MailboxStatus,
    ModSeq, Origin, Originals, Result, SUBSCRIPTIONS_MAX, SpecialUse, Timestamp, Uid, UidValidity,
    VANISHED_MAX, renames,
};
use std::collections::{BTreeMap, BTreeSet};

impl Model {
    pub(super) fn find_mailbox(&self, account: AccountId, name: &MailboxName) -> Option<MailboxId> {
        let found = self.mailboxes.iter().find(|(_, kept)| kept.account == account && kept.name == *name);
        found.map(|(id, _)| *id)
    }

    pub(super) fn mailbox_named(&self, account: &AccountName, name: &MailboxName) -> Result<MailboxId> {
        self.find_mailbox(self.account_id(account)?, name)
            .ok_or_else(|| Error::NoSuchMailbox(format!("{name} of {account}")))
    }

    pub(super) fn account_id(&self, name: &AccountName) -> Result<AccountId> {
        let account = self.accounts.get(name).ok_or_else(|| Error::NoSuchAccount(name.to_string()))?;
        Ok(account.id)
    }

    pub(super) fn kept(&self, id: MailboxId) -> Result<&Kept> {
        self.mailboxes.get(&id).ok_or_else(|| Error::NoSuchMailbox(format!("number {}", id.0)))
    }

    pub(super) fn create_account(&mut self, now: Timestamp, name: &AccountName, origin: Origin) -> Account {
        self.last_account += 1;
        let account = Account { id: AccountId(self.last_account), name: name.clone(), origin, created: now };
        self.accounts.insert(name.clone(), account.clone());
        self.belongings.insert(account.id, Belongings::default());
        self.create_mailbox(now, account.id, MailboxName::inbox());
        account
    }

    pub(super) fn create_mailbox(
        &mut self,
        now: Timestamp,
        account: AccountId,
        name: MailboxName,
    ) -> MailboxId {
        self.last_mailbox += 1;
        let id = MailboxId(self.last_mailbox);
        self.last_validity = UidValidity::after(self.last_validity, now);
        let modseq = self.next_modseq();
        let kept = Kept {
            account,
            name,
            uid_validity: self.last_validity,
            last_uid: 0,
            modseq,
            special_use: None,
            keywords: Vec::new(),
            entries: BTreeMap::new(),
            expunged: BTreeMap::new(),
        };
        self.mailboxes.insert(id, kept);
        self.rearranged(account);
        id
    }

    pub(super) fn create(
        &mut self,
        now: Timestamp,
        account: &AccountName,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId> {
        let account = self.account_id(account)?;
        if self.find_mailbox(account, name).is_some() {
            return Err(Error::Exists(format!("mailbox {name}")));
        }
        self.check_special_use(account, special_use, None)?;
        if self.mailboxes.values().filter(|kept| kept.account == account).count() >= MAILBOXES_MAX {
            return Err(Error::Limit("mailboxes".to_owned()));
        }
        let id = self.create_mailbox(now, account, name.clone());
        self.mailboxes.get_mut(&id).expect("just created").special_use = special_use;
        Ok(id)
    }

    pub(super) fn rename(
        &mut self,
        account: &AccountName,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<()> {
        let account = self.account_id(account)?;
        let theirs = self.mailboxes.values().filter(|kept| kept.account == account);
        let names: BTreeSet<&MailboxName> = theirs.map(|kept| &kept.name).collect();
        let renames: BTreeMap<_, _> = renames(&names, from, to)?.into_iter().collect();
        for kept in self.mailboxes.values_mut().filter(|kept| kept.account == account) {
            if let Some(new) = renames.get(&kept.name) {
                kept.name = new.clone();
            }
        }
        self.rearranged(account);
        Ok(())
    }

    /// Renaming INBOX moves what is in it.
    pub(super) fn empty_inbox(
        &mut self,
        now: Timestamp,
        account: &AccountName,
        to: &MailboxName,
    ) -> Result<()> {
        let inbox = self.mailbox_named(account, &MailboxName::inbox())?;
        let target = self.create(now, account, to, None)?;
        let uids: Vec<Uid> = self.kept(inbox)?.entries.keys().copied().collect();
        self.copy(now, (inbox, &uids), target, Originals::Go).map(drop)
    }

    pub(super) fn delete(&mut self, account: &AccountName, name: &MailboxName) -> Result<()> {
        self.account_id(account)?;
        if name.is_inbox() {
            return Err(Error::Invalid("INBOX cannot be deleted".to_owned()));
        }
        let id = self.mailbox_named(account, name)?;
        let kept = self.mailboxes.remove(&id).expect("found above");
        self.forget_unused(kept.entries.values().map(|(entry, _)| entry.spool));
        self.rearranged(kept.account);
        Ok(())
    }

    pub(super) fn set_special_use(
        &mut self,
        account: &AccountName,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<()> {
        let id = self.mailbox_named(account, name)?;
        let account = self.account_id(account)?;
        self.check_special_use(account, special_use, Some(id))?;
        self.mailboxes.get_mut(&id).expect("found above").special_use = special_use;
        self.rearranged(account);
        Ok(())
    }

    pub(super) fn subscribe(&mut self, account: &AccountName, name: &MailboxName) -> Result<()> {
        let subscriptions = &mut self.belongings(account)?.subscriptions;
        if !subscriptions.contains(name) && subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(Error::Limit("subscriptions".to_owned()));
        }
        if subscriptions.insert(name.clone()) {
            self.rearranged(self.account_id(account)?);
        }
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, account: &AccountName, name: &MailboxName) -> Result<()> {
        if self.belongings(account)?.subscriptions.remove(name) {
            self.rearranged(self.account_id(account)?);
        }
        Ok(())
    }

    /// The mailbox, which exists.
    pub(super) fn status(&self, id: MailboxId) -> MailboxStatus {
        let kept = &self.mailboxes[&id];
        let entries = || kept.entries.values().map(|(entry, _)| entry);
        let with = |flag: Flags| entries().filter(|entry| entry.flags.contains(flag)).count() as u64;
        let is_full = kept.expunged.len() == VANISHED_MAX;
        let oldest = kept.expunged.first_key_value().filter(|_| is_full);
        MailboxStatus {
            id,
            account: kept.account,
            name: kept.name.clone(),
            uid_validity: kept.uid_validity,
            uid_next: Uid(kept.last_uid + 1),
            messages: kept.entries.len() as u64,
            unseen: kept.entries.len() as u64 - with(Flags::SEEN),
            deleted: with(Flags::DELETED),
            bytes: entries().map(|entry| entry.size).sum(),
            highest_modseq: kept.modseq,
            history_from: oldest.map_or(ModSeq(0), |(oldest, _)| ModSeq(oldest.0 - 1)),
            special_use: kept.special_use,
            subscribed: self.belongings[&kept.account].subscriptions.contains(&kept.name),
            keywords: kept.keywords.clone(),
        }
    }

    /// Refuses a second mailbox for the same use.
    fn check_special_use(
        &self,
        account: AccountId,
        special_use: Option<SpecialUse>,
        except: Option<MailboxId>,
    ) -> Result<()> {
        let Some(wanted) = special_use else { return Ok(()) };
        let mut theirs = self.mailboxes.iter().filter(|(_, kept)| kept.account == account);
        match theirs.find(|(id, kept)| kept.special_use == Some(wanted) && Some(**id) != except) {
            Some((_, kept)) => Err(Error::Exists(format!("{wanted} is {}, which", kept.name))),
            None => Ok(()),
        }
    }
}
