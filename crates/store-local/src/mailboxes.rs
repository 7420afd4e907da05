//! [`Mailboxes`] for [`Local`].
//!
//! What is decided by how entries are (which are marked as deleted, what a copy is marked with) is decided from the index, and the writer
//! refuses it when the mailbox was changed since; then it is tried anew. So the writer waits for no reader, and the log says what is so.

use crate::content::For;
use crate::index::Snapshot;
use crate::job::{Answer, Copying, EntryChange, Job, LayoutRequest, Target, Told};
use crate::local::Local;
use crate::stage::LocalStage;
use async_trait::async_trait;
use bytes::Bytes;
use std::any::Any;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use store::{
    Account, AccountId, AccountName, Appended, Change, Copied, Entry, Error, Events, Flags, MailboxId,
    MailboxName, MailboxStatus, Mailboxes, Marked, Marking, ModSeq, NewMessage, Originals, Reader, Result,
    Roll, SpecialUse, Uid,
};
use tokio::sync::{oneshot, watch};

#[async_trait]
impl Mailboxes for Local {
    async fn mailboxes(&self, account: &AccountName) -> Result<Vec<MailboxStatus>> {
        let account = account.clone();
        self.snapshot(move |index| index.mailboxes(owner(index, &account)?.id)).await
    }

    async fn mailbox(&self, account: &AccountName, name: &MailboxName) -> Result<MailboxStatus> {
        let (account, name) = (account.clone(), name.clone());
        self.snapshot(move |index| {
            let found = index.mailbox_named(owner(index, &account)?.id, &name)?;
            found.ok_or_else(|| Error::NoSuchMailbox(format!("{name} of {account}")))
        })
        .await
    }

    async fn status(&self, mailbox: MailboxId) -> Result<MailboxStatus> {
        self.snapshot(move |index| index.mailbox(mailbox)).await
    }

    async fn create_mailbox(
        &self,
        account: &AccountName,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxStatus> {
        let request = LayoutRequest::Create { account: account.clone(), name: name.clone(), special_use };
        let made = self.layout(request).await?;
        self.status(made.ok_or_else(|| Error::NoSuchMailbox(format!("{name} of {account}")))?).await
    }

    async fn rename_mailbox(
        &self,
        account: &AccountName,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<()> {
        if from.is_inbox() {
            let inbox = self.mailbox(account, from).await?;
            let target = || Target::New(to.clone());
            return self.transfer((inbox.id, None), &target, Originals::Go).await.map(drop);
        }
        let (from, to) = (from.clone(), to.clone());
        self.layout(LayoutRequest::Rename { account: account.clone(), from, to }).await.map(drop)
    }

    async fn delete_mailbox(&self, account: &AccountName, name: &MailboxName) -> Result<()> {
        if name.is_inbox() && self.engine.roster.account(account).is_some() {
            return Err(Error::Invalid("INBOX cannot be deleted".to_owned()));
        }
        let request = LayoutRequest::Delete { account: account.clone(), name: name.clone() };
        self.layout(request).await?;
        // So that what it held does not count towards the quota any more.
        self.engine.catch_up().await?;
        self.engine.forget_sieves();
        Ok(())
    }

    async fn set_special_use(
        &self,
        account: &AccountName,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<()> {
        let (account, name) = (account.clone(), name.clone());
        self.layout(LayoutRequest::SpecialUse { account, name, special_use }).await.map(drop)
    }

    async fn subscribe(&self, account: &AccountName, name: &MailboxName) -> Result<()> {
        let request = LayoutRequest::Subscribe { account: account.clone(), name: name.clone() };
        self.layout(request).await.map(drop)
    }

    async fn unsubscribe(&self, account: &AccountName, name: &MailboxName) -> Result<()> {
        let request = LayoutRequest::Unsubscribe { account: account.clone(), name: name.clone() };
        self.layout(request).await.map(drop)
    }

    async fn subscriptions(&self, account: &AccountName) -> Result<Vec<MailboxName>> {
        let account = account.clone();
        self.snapshot(move |index| index.subscriptions(owner(index, &account)?.id)).await
    }

    async fn entries(&self, mailbox: MailboxId, after: Uid, limit: usize) -> Result<Vec<Entry>> {
        self.snapshot(move |index| index.entries(mailbox, after, limit)).await
    }

    async fn entries_in(
        &self,
        mailbox: MailboxId,
        ranges: &[RangeInclusive<Uid>],
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let ranges = ranges.to_vec();
        self.snapshot(move |index| index.entries_in(mailbox, &ranges, limit)).await
    }

    async fn roll(&self, mailbox: MailboxId) -> Result<Arc<Roll>> {
        let engine = self.engine.clone();
        self.engine.read(move || engine.rolls.roll(&engine.view.read()?, mailbox)).await
    }

    async fn fetch(&self, mailbox: MailboxId, uid: Uid) -> Result<(Entry, Reader)> {
        let engine = self.engine.clone();
        self.engine
            .read(move || {
                let entry = engine.view.read()?.entry(mailbox, uid)?;
                let reader = engine.text(entry.spool, For::Entry(entry.delivery))?;
                Ok((entry, reader))
            })
            .await
    }

    async fn fetch_several(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<Vec<(Entry, Reader)>> {
        let (engine, uids) = (self.engine.clone(), uids.to_vec());
        self.engine.read(move || engine.texts(mailbox, uids)).await
    }

    async fn append(&self, mailbox: MailboxId, messages: Vec<NewMessage>) -> Result<Appended> {
        store::check_append(&messages)?;
        let status = self.status(mailbox).await?;
        let account = self.engine.roster.account_of(status.account);
        let account = account.ok_or_else(|| Error::NoSuchMailbox(format!("number {}", mailbox.0)))?;
        let mut ready = Vec::new();
        for NewMessage { stage, received, marks } in messages {
            let stage = (stage as Box<dyn Any>).downcast::<LocalStage>();
            let stage = stage.map_err(|_| Error::Invalid("a stage of another store".to_owned()))?;
            if !stage.is_of(&self.engine) {
                return Err(Error::Invalid("a stage of another store".to_owned()));
            }
            let accepted = store::Accepted::appended(&account.name, &status.name, received);
            ready.push((stage.finish(accepted).await?, marks));
        }
        let (answer, answered) = oneshot::channel();
        self.engine.writer.submit(Job::Append { mailbox, messages: ready, answer });
        self.engine.answer(answered).await
    }

    async fn copy(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        target: MailboxId,
        originals: Originals,
    ) -> Result<Copied> {
        let uids: BTreeSet<Uid> = uids.iter().copied().collect();
        self.transfer((mailbox, Some(uids)), &|| Target::Mailbox(target), originals).await
    }

    async fn mark(&self, mailbox: MailboxId, uids: &[Uid], marking: Marking) -> Result<Marked> {
        let uids: BTreeSet<Uid> = uids.iter().copied().collect();
        let since = marking.unchanged_since;
        for _ in 0..TRIES {
            self.check_change()?;
            let uids = uids.clone();
            let (present, seen) = self
                .snapshot(move |index| Ok((index.present(mailbox, uids)?, index.counters()?.modseq)))
                .await?;
            let (failed, wanted): (Vec<&Entry>, Vec<&Entry>) =
                present.iter().partition(|entry| since.is_some_and(|since| entry.modseq > since));
            let failed: Vec<Uid> = failed.iter().map(|entry| entry.uid).collect();
            let uids: Vec<Uid> = wanted.iter().map(|entry| entry.uid).collect();
            if uids.is_empty() {
                return Ok(Marked { failed, ..Marked::default() });
            }
            let (marking, seen) = (Box::new(marking.clone()), since.map(|_| seen));
            let change = EntryChange::Mark { mailbox, uids, marking, seen };
            match self.change(change, Told::Marked).await {
                Err(Error::Changed(_)) => {}
                marked => return Ok(Marked { failed, ..marked? }),
            }
        }
        Err(busy(mailbox))
    }

    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<u64> {
        self.check_change()?;
        let uids: BTreeSet<Uid> = uids.iter().copied().collect();
        let present = self.snapshot(move |index| index.present(mailbox, uids)).await?;
        let uids: Vec<Uid> = present.iter().map(|entry| entry.uid).collect();
        if uids.is_empty() {
            return Ok(0);
        }
        self.change(EntryChange::Expunge { mailbox, uids, seen: None }, Told::Count).await
    }

    async fn expunge_deleted(&self, mailbox: MailboxId, ranges: &[RangeInclusive<Uid>]) -> Result<u64> {
        for _ in 0..TRIES {
            self.check_change()?;
            let ranges = ranges.to_vec();
            let (uids, seen) = self.snapshot(move |index| deleted(index, mailbox, &ranges)).await?;
            if uids.is_empty() {
                return Ok(0);
            }
            let change = EntryChange::Expunge { mailbox, uids, seen: Some(seen) };
            match self.change(change, Told::Count).await {
                Err(Error::Changed(_)) => {}
                expunged => return expunged,
            }
        }
        Err(busy(mailbox))
    }

    async fn changes(&self, mailbox: MailboxId, since: ModSeq, limit: usize) -> Result<Vec<Change>> {
        self.snapshot(move |index| index.changes(mailbox, since, limit)).await
    }

    async fn sift(&self, mailbox: MailboxId, needles: &[Vec<u8>]) -> Result<Vec<RangeInclusive<Uid>>> {
        let (engine, needles) = (self.engine.clone(), needles.to_vec());
        self.engine.read(move || engine.sift(mailbox, &needles)).await
    }

    async fn gists(&self, mailbox: MailboxId, ranges: &[RangeInclusive<Uid>]) -> Result<Vec<(Uid, Bytes)>> {
        let (engine, ranges) = (self.engine.clone(), ranges.to_vec());
        self.engine.read(move || engine.gists(mailbox, &ranges)).await
    }

    fn watch(&self) -> watch::Receiver<ModSeq> {
        self.engine.view.watch()
    }

    fn follow(&self, account: AccountId) -> Events {
        self.engine.view.news().follow(account)
    }
}

impl Local {
    /// Reads the index.
    pub(crate) async fn snapshot<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Snapshot) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = self.engine.clone();
        self.engine.read(move || act(&engine.view.read()?)).await
    }

    fn check_change(&self) -> Result<()> {
        self.engine.retry_index();
        self.engine.status.check_change()
    }

    async fn change<T>(&self, change: EntryChange, told: impl FnOnce(Answer<T>) -> Told) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.engine.writer.submit(Job::Entries { change, answer: told(answer) });
        self.engine.answer(answered).await
    }

    async fn layout(&self, request: LayoutRequest) -> Result<Option<MailboxId>> {
        self.check_change()?;
        let (answer, answered) = oneshot::channel();
        let now = self.engine.now();
        self.engine.writer.submit(Job::Layout { request, now, answer });
        self.engine.answer(answered).await
    }

    /// Copies these entries, or all.
    async fn transfer(
        &self,
        (source, uids): (MailboxId, Option<BTreeSet<Uid>>),
        target: &(dyn Fn() -> Target + Sync),
        originals: Originals,
    ) -> Result<Copied> {
        for _ in 0..TRIES {
            self.check_change()?;
            let (uids, to) = (uids.clone(), target());
            let (copying, validity) = self
                .snapshot(move |index| {
                    let entries = match uids {
                        Some(uids) => index.present(source, uids)?,
                        None => index.entries(source, Uid(0), usize::MAX)?,
                    };
                    let validity = match &to {
                        Target::Mailbox(target) => {
                            let target = index.mailbox(*target)?;
                            check_accounts(&index.mailbox(source)?, &target)?;
                            target.uid_validity
                        }
                        Target::New(_) => store::UidValidity(0),
                    };
                    let seen = index.counters()?.modseq;
                    Ok((Copying { source, entries, seen, target: to, originals }, validity))
                })
                .await?;
            if copying.entries.is_empty() && matches!(copying.target, Target::Mailbox(_)) {
                return Ok(Copied { uid_validity: validity, pairs: Vec::new() });
            }
            let (answer, answered) = oneshot::channel();
            let (copying, now) = (Box::new(copying), self.engine.now());
            self.engine.writer.submit(Job::Copy { copying, now, answer });
            match self.engine.answer(answered).await {
                Err(Error::Changed(_)) => {}
                copied => return copied,
            }
        }
        Err(busy(source))
    }
}

/// The entries within these ranges that are marked as deleted, and the moment of which that is true.
fn deleted(
    index: &Snapshot,
    mailbox: MailboxId,
    ranges: &[RangeInclusive<Uid>],
) -> Result<(Vec<Uid>, ModSeq)> {
    let seen = index.counters()?.modseq;
    if index.mailbox(mailbox)?.deleted == 0 {
        return Ok((Vec::new(), seen));
    }
    let entries = index.entries_in(mailbox, ranges, usize::MAX)?;
    let deleted = entries.iter().filter(|entry| entry.flags.contains(Flags::DELETED));
    Ok((deleted.map(|entry| entry.uid).collect(), seen))
}

fn check_accounts(source: &MailboxStatus, target: &MailboxStatus) -> Result<()> {
    match source.account == target.account {
        true => Ok(()),
        false => Err(Error::Invalid("the mailboxes are of two accounts".to_owned())),
    }
}

fn owner(index: &Snapshot, name: &AccountName) -> Result<Account> {
    index.account(name)?.ok_or_else(|| Error::NoSuchAccount(name.to_string()))
}

/// What is said when others were quicker again and again.
fn busy(mailbox: MailboxId) -> Error {
    Error::Changed(format!("mailbox {} again and again", mailbox.0))
}

/// How often a change is tried that is made for entries as they are. Others who change the same mailbox at the same moment come first at
/// most once for each try.
const TRIES: usize = 64;
