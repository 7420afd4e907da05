//! [`Mailboxes`] for [`Local`].

use crate::content::For;
use crate::index::Snapshot;
use crate::job::{EntryChange, Job};
use crate::local::Local;
use async_trait::async_trait;
use std::collections::BTreeSet;
use store::{
    Account, AccountName, Change, Entry, Error, Flags, MailboxId, MailboxName, MailboxStatus, Mailboxes,
    ModSeq, Reader, Result, Uid,
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
            found.ok_or_else(|| Error::NoSuchMailbox(format!("{} of {account}", name.as_str())))
        })
        .await
    }

    async fn entries(&self, mailbox: MailboxId, after: Uid, limit: usize) -> Result<Vec<Entry>> {
        self.snapshot(move |index| index.entries(mailbox, after, limit)).await
    }

    async fn fetch(&self, mailbox: MailboxId, uid: Uid) -> Result<(Entry, Reader)> {
        let engine = self.engine.clone();
        self.engine
            .read(move || {
                let (entry, delivery) = engine.view.read()?.entry(mailbox, uid)?;
                let reader = engine.text(entry.spool, For::Entry(delivery))?;
                Ok((entry, reader))
            })
            .await
    }

    async fn update_flags(&self, mailbox: MailboxId, uids: &[Uid], add: Flags, remove: Flags) -> Result<u64> {
        let change = |uids| EntryChange::Flags { mailbox, uids, add, remove };
        self.change(mailbox, uids, change).await
    }

    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<u64> {
        self.change(mailbox, uids, |uids| EntryChange::Expunge { mailbox, uids }).await
    }

    async fn changes(&self, mailbox: MailboxId, since: ModSeq, limit: usize) -> Result<Vec<Change>> {
        self.snapshot(move |index| index.changes(mailbox, since, limit)).await
    }

    fn watch(&self) -> watch::Receiver<ModSeq> {
        self.engine.view.watch()
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

    /// Changes those of these entries that there are.
    async fn change(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        change: impl FnOnce(Vec<Uid>) -> EntryChange,
    ) -> Result<u64> {
        self.engine.retry_index();
        self.engine.status.check_change()?;
        let uids: BTreeSet<Uid> = uids.iter().copied().collect();
        let present = self.snapshot(move |index| index.present(mailbox, uids)).await?;
        if present.is_empty() {
            return Ok(0);
        }
        let (answer, answered) = oneshot::channel();
        self.engine.writer.submit(Job::Entries { change: change(present), answer });
        self.engine.answer(answered).await
    }
}

fn owner(index: &Snapshot, name: &AccountName) -> Result<Account> {
    index.account(name)?.ok_or_else(|| Error::NoSuchAccount(name.to_string()))
}
