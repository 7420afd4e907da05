//! The mailboxes of the model, as the trait has them.

use super::{Memory, MemoryStage, Model};
use crate::{
    Accepted, AccountId, AccountName, Appended, Change, ChangeKind, Copied, Entry, Error, Events, MailboxId,
    MailboxName, MailboxStatus, Mailboxes, Marked, Marking, Marks, ModSeq, NewMessage, Originals, Reader,
    Result, Roll, SpecialUse, Uid,
};
use async_trait::async_trait;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use tokio::sync::watch;

#[async_trait]
impl Mailboxes for Memory {
    async fn mailboxes(&self, account: &AccountName) -> Result<Vec<MailboxStatus>> {
        let model = self.inner.model();
        let account = model.account_id(account)?;
        let theirs = model.mailboxes.iter().filter(|(_, kept)| kept.account == account);
        let mut all: Vec<MailboxStatus> = theirs.map(|(id, _)| model.status(*id)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn mailbox(&self, account: &AccountName, name: &MailboxName) -> Result<MailboxStatus> {
        let model = self.inner.model();
        Ok(model.status(model.mailbox_named(account, name)?))
    }

    async fn status(&self, mailbox: MailboxId) -> Result<MailboxStatus> {
        let model = self.inner.model();
        model.kept(mailbox)?;
        Ok(model.status(mailbox))
    }

    async fn create_mailbox(
        &self,
        account: &AccountName,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxStatus> {
        let now = self.inner.now();
        self.inner.change(|model| {
            let id = model.create(now, account, name, special_use)?;
            Ok(model.status(id))
        })
    }

    async fn rename_mailbox(
        &self,
        account: &AccountName,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<()> {
        let now = self.inner.now();
        self.inner.change(|model| match from.is_inbox() {
            true => model.empty_inbox(now, account, to),
            false => model.rename(account, from, to),
        })
    }

    async fn delete_mailbox(&self, account: &AccountName, name: &MailboxName) -> Result<()> {
        self.inner.change(|model| model.delete(account, name))
    }

    async fn set_special_use(
        &self,
        account: &AccountName,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<()> {
        self.inner.change(|model| model.set_special_use(account, name, special_use))
    }

    async fn subscribe(&self, account: &AccountName, name: &MailboxName) -> Result<()> {
        self.inner.change(|model| model.subscribe(account, name))
    }

    async fn unsubscribe(&self, account: &AccountName, name: &MailboxName) -> Result<()> {
        self.inner.change(|model| model.unsubscribe(account, name))
    }

    async fn subscriptions(&self, account: &AccountName) -> Result<Vec<MailboxName>> {
        let model = self.inner.model();
        let account = model.account_id(account)?;
        Ok(model.belongings[&account].subscriptions.iter().cloned().collect())
    }

    async fn entries(&self, mailbox: MailboxId, after: Uid, limit: usize) -> Result<Vec<Entry>> {
        let model = self.inner.model();
        let entries = model.kept(mailbox)?.entries.values().map(|(entry, _)| entry);
        Ok(entries.filter(|entry| entry.uid > after).take(limit).cloned().collect())
    }

    async fn entries_in(
        &self,
        mailbox: MailboxId,
        ranges: &[RangeInclusive<Uid>],
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let model = self.inner.model();
        let entries = model.kept(mailbox)?.entries.values().map(|(entry, _)| entry);
        Ok(entries.filter(|entry| is_in(entry.uid, ranges)).take(limit).cloned().collect())
    }

    async fn roll(&self, mailbox: MailboxId) -> Result<Arc<Roll>> {
        let model = self.inner.model();
        let marks = model.kept(mailbox)?.entries.values().map(|(entry, _)| entry.mark()).collect();
        Ok(Arc::new(Roll { status: model.status(mailbox), marks }))
    }

    async fn fetch(&self, mailbox: MailboxId, uid: Uid) -> Result<(Entry, Reader)> {
        let model = self.inner.model();
        let (entry, trace) = model
            .kept(mailbox)?
            .entries
            .get(&uid)
            .ok_or_else(|| Error::NoSuchMessage(format!("{uid} in mailbox {}", mailbox.0)))?;
        if model.damaged == Some(uid) {
            return Err(Error::Damaged(format!("message {uid}")));
        }
        Ok((entry.clone(), model.messages[&entry.spool].reader(trace.clone())))
    }

    async fn append(&self, mailbox: MailboxId, messages: Vec<NewMessage>) -> Result<Appended> {
        crate::mailboxes::check_append(&messages)?;
        let mut own = Vec::new();
        for NewMessage { stage, received, marks } in messages {
            let stage = (stage as Box<dyn Any>).downcast::<MemoryStage>();
            let stage = stage.ok().filter(|stage| Arc::ptr_eq(&stage.inner, &self.inner));
            let stage = stage.ok_or_else(|| Error::Invalid("a stage of another store".to_owned()))?;
            own.push((*stage, received, marks));
        }
        self.inner.change(|model| model.append(mailbox, own))
    }

    async fn copy(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        target: MailboxId,
        originals: Originals,
    ) -> Result<Copied> {
        let now = self.inner.now();
        self.inner.change(|model| model.copy(now, (mailbox, uids), target, originals))
    }

    async fn mark(&self, mailbox: MailboxId, uids: &[Uid], marking: Marking) -> Result<Marked> {
        self.inner.change(|model| model.mark(mailbox, uids, &marking))
    }

    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<u64> {
        self.inner.change(|model| {
            model.kept(mailbox)?;
            Ok(model.expunge(mailbox, uids.iter().copied()))
        })
    }

    async fn expunge_deleted(&self, mailbox: MailboxId, ranges: &[RangeInclusive<Uid>]) -> Result<u64> {
        self.inner.change(|model| {
            let entries = model.kept(mailbox)?.entries.values().map(|(entry, _)| entry);
            let deleted = entries
                .filter(|entry| entry.flags.contains(crate::Flags::DELETED) && is_in(entry.uid, ranges));
            let uids: Vec<Uid> = deleted.map(|entry| entry.uid).collect();
            Ok(model.expunge(mailbox, uids))
        })
    }

    async fn changes(&self, mailbox: MailboxId, since: ModSeq, limit: usize) -> Result<Vec<Change>> {
        let model = self.inner.model();
        model.changes.clone()?;
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

    fn follow(&self, account: AccountId) -> Events {
        self.inner.news.follow(account)
    }
}

impl Model {
    /// Appends messages that were checked.
    fn append(
        &mut self,
        mailbox: MailboxId,
        messages: Vec<(MemoryStage, crate::Timestamp, Marks)>,
    ) -> Result<Appended> {
        let kept = self.kept(mailbox)?;
        let (account, name) = (kept.account, kept.name.clone());
        let added = messages.iter().flat_map(|(_, _, marks)| &marks.keywords);
        let keywords = kept.with_keywords(added)?;
        let bytes = messages.iter().map(|(stage, _, _)| stage.len).sum();
        self.check_room(account, crate::Usage { bytes, messages: messages.len() as u64 })?;
        let kept = self.mailboxes.get_mut(&mailbox).expect("found above");
        let (account, uid_validity) = (self.accounts.values().find(|a| a.id == account), kept.uid_validity);
        let account = account.expect("a mailbox has an account").name.clone();
        kept.keywords = keywords;
        let mut uids = Vec::new();
        for (MemoryStage { id, content, len, .. }, received, marks) in messages {
            let accepted = Accepted::appended(&account, &name, received);
            let message = super::Arriving { id, accepted: &accepted, len, delivery: 0 };
            let uid = self.arrive(mailbox, message, &bytes::Bytes::new());
            self.messages.insert(id, super::Message { accepted, content, placed: vec![(0, mailbox, uid)] });
            self.mark(mailbox, &[uid], &Marking::add(marks)).expect("the keywords were checked");
            uids.push(uid);
        }
        Ok(Appended { uid_validity, uids })
    }
}

/// Whether a UID is in one of these ranges.
fn is_in(uid: Uid, ranges: &[RangeInclusive<Uid>]) -> bool {
    ranges.iter().any(|range| range.contains(&uid))
}

/// The UIDs, each once, ascending.
pub(super) fn sorted(uids: &[Uid]) -> BTreeSet<Uid> {
    uids.iter().copied().collect()
}
