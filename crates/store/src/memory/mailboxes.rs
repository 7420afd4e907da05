//! The mailboxes of the model: reading them, changing their entries, and making them.

use super::{Belongings, Kept, Memory, Model};
use crate::{
    Account, AccountId, AccountName, Change, ChangeKind, Entry, Error, Flags, MailboxId, MailboxName,
    MailboxStatus, Mailboxes, ModSeq, Origin, Reader, Result, Timestamp, Uid, UidValidity,
};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

#[async_trait]
impl Mailboxes for Memory {
    async fn mailboxes(&self, account: &AccountName) -> Result<Vec<MailboxStatus>> {
        let model = self.inner.model();
        let account = model.account_id(account)?;
        let theirs = model.mailboxes.iter().filter(|(_, kept)| kept.account == account);
        let mut all: Vec<MailboxStatus> = theirs.map(|(id, kept)| kept.status(*id)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn mailbox(&self, account: &AccountName, name: &MailboxName) -> Result<MailboxStatus> {
        let model = self.inner.model();
        let account_id = model.account_id(account)?;
        let id = model
            .find_mailbox(account_id, name)
            .ok_or_else(|| Error::NoSuchMailbox(format!("{} of {account}", name.as_str())))?;
        Ok(model.mailboxes[&id].status(id))
    }

    async fn entries(&self, mailbox: MailboxId, after: Uid, limit: usize) -> Result<Vec<Entry>> {
        let model = self.inner.model();
        let entries = &model.kept(mailbox)?.entries;
        Ok(entries
            .values()
            .map(|(entry, _)| entry)
            .filter(|entry| entry.uid > after)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn fetch(&self, mailbox: MailboxId, uid: Uid) -> Result<(Entry, Reader)> {
        let model = self.inner.model();
        let (entry, trace) = model
            .kept(mailbox)?
            .entries
            .get(&uid)
            .ok_or_else(|| Error::NoSuchMessage(format!("{uid} in mailbox {}", mailbox.0)))?;
        Ok((entry.clone(), model.messages[&entry.spool].reader(trace.clone())))
    }

    async fn update_flags(&self, mailbox: MailboxId, uids: &[Uid], add: Flags, remove: Flags) -> Result<u64> {
        self.inner.change(|model| {
            let uids: BTreeSet<Uid> = uids.iter().copied().collect();
            let mut found = 0;
            for uid in uids {
                let Some((entry, _)) = model.kept(mailbox)?.entries.get(&uid) else { continue };
                found += 1;
                let flags = entry.flags.with(add).without(remove);
                if flags == entry.flags {
                    continue;
                }
                let modseq = model.next_modseq();
                let kept = model.mailboxes.get_mut(&mailbox).expect("found above");
                kept.modseq = modseq;
                let (entry, _) = kept.entries.get_mut(&uid).expect("found above");
                entry.flags = flags;
                entry.modseq = modseq;
            }
            model.kept(mailbox)?;
            Ok(found)
        })
    }

    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<u64> {
        self.inner.change(|model| {
            model.kept(mailbox)?;
            let uids: BTreeSet<Uid> = uids.iter().copied().collect();
            let mut found = 0;
            for uid in uids {
                let kept = model.mailboxes.get_mut(&mailbox).expect("found above");
                let Some((entry, _)) = kept.entries.remove(&uid) else { continue };
                found += 1;
                let modseq = model.next_modseq();
                let kept = model.mailboxes.get_mut(&mailbox).expect("found above");
                kept.modseq = modseq;
                kept.expunged.insert(modseq, uid);
                model.forget_if_unused(entry.spool);
            }
            Ok(found)
        })
    }

    async fn changes(&self, mailbox: MailboxId, since: ModSeq, limit: usize) -> Result<Vec<Change>> {
        let model = self.inner.model();
        let kept = model.kept(mailbox)?;
        let present =
            kept.entries.values().map(|(entry, _)| (entry.modseq, (entry.uid, ChangeKind::Present)));
        let expunged = kept.expunged.iter().map(|(modseq, uid)| (*modseq, (*uid, ChangeKind::Expunged)));
        let all: BTreeMap<ModSeq, (Uid, ChangeKind)> = present.chain(expunged).collect();
        let new = all.into_iter().filter(|(modseq, _)| *modseq > since).take(limit);
        Ok(new.map(|(modseq, (uid, kind))| Change { modseq, uid, kind }).collect())
    }

    fn watch(&self) -> watch::Receiver<ModSeq> {
        self.inner.watch.subscribe()
    }
}

impl Model {
    pub(super) fn find_mailbox(&self, account: AccountId, name: &MailboxName) -> Option<MailboxId> {
        let found = self.mailboxes.iter().find(|(_, kept)| kept.account == account && kept.name == *name);
        found.map(|(id, _)| *id)
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
            entries: BTreeMap::new(),
            expunged: BTreeMap::new(),
        };
        self.mailboxes.insert(id, kept);
        id
    }

    pub(super) fn account_id(&self, name: &AccountName) -> Result<AccountId> {
        let account = self.accounts.get(name).ok_or_else(|| Error::NoSuchAccount(name.to_string()))?;
        Ok(account.id)
    }

    fn kept(&self, id: MailboxId) -> Result<&Kept> {
        self.mailboxes.get(&id).ok_or_else(|| Error::NoSuchMailbox(format!("number {}", id.0)))
    }
}

impl Kept {
    fn status(&self, id: MailboxId) -> MailboxStatus {
        let entries = || self.entries.values().map(|(entry, _)| entry);
        MailboxStatus {
            id,
            account: self.account,
            name: self.name.clone(),
            uid_validity: self.uid_validity,
            uid_next: Uid(self.last_uid + 1),
            messages: self.entries.len() as u64,
            unseen: entries().filter(|entry| !entry.flags.contains(Flags::SEEN)).count() as u64,
            bytes: entries().map(|entry| entry.size).sum(),
            highest_modseq: self.modseq,
        }
    }
}
