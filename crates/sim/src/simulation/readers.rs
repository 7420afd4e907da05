//! Who has the mail while clients send more: somebody who reads and marks it, somebody who removes it, and the reclamation of the space
//! that this leaves. All of them end with the server.
//!
//! What is read is checked at once. A store may refuse a request when its disk fails, but then it has to say so: an entry that
//! is listed and then "does not exist", or counts as damaged, is a violation.

use super::{ACCOUNTS, Shared};
use crate::mail::Mail;
use crate::random::Random;
use std::sync::Arc;
use std::time::Duration;
use store::{
    AccountName, Entry, Error, Flags, Keyword, MailboxId, MailboxName, Marking, Marks, Originals,
    SharedStore, Uid,
};
use store_local::Local;

/// Somebody with access to all mailboxes.
pub(super) struct Reader {
    pub(super) store: SharedStore,
    pub(super) random: Random,
    pub(super) shared: Shared,
}

/// An inbox as it was listed.
pub(super) struct Inbox {
    pub(super) account: usize,
    pub(super) id: MailboxId,
    pub(super) entries: Vec<Entry>,
}

impl Reader {
    pub(super) fn new(store: SharedStore, random: Random, shared: Shared) -> Reader {
        Reader { store, random, shared }
    }

    /// The name of an account.
    pub(super) fn account(number: usize) -> AccountName {
        AccountName::parse(ACCOUNTS[number]).expect("a valid name")
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.random.pick(&[10, 400, 9_000]))).await;
    }

    /// Lists an inbox; `None` when there is none or the store cannot.
    pub(super) async fn inbox(&self, account: usize) -> Option<Inbox> {
        let name = Reader::account(account);
        // Mail that is missed is noticed when the store is opened anew, not here.
        let inbox = match self.store.mailbox(&name, &MailboxName::inbox()).await {
            Err(Error::NoSuchAccount(_)) => return None,
            inbox => self.answered(account, inbox)?,
        };
        let entries = self.store.entries(inbox.id, Uid(0), usize::MAX).await;
        let entries = self.answered(account, entries)?;
        if let Err(what) = self.shared.ledger().list(account, &inbox, &entries) {
            self.shared.violated(format!("{name}: {what}"));
        }
        Some(Inbox { account, id: inbox.id, entries })
    }

    /// Reads an entry to its end and checks it; its message's token if that was possible.
    pub(super) async fn read(&self, inbox: &Inbox, uid: Uid) -> Option<u64> {
        let read = match self.store.fetch(inbox.id, uid).await {
            Ok((_, reader)) => reader.read_all(1 << 20).await,
            Err(error) => Err(error),
        };
        if matches!(read, Err(Error::NoSuchMessage(_)))
            && self.shared.ledger().may_be_gone(inbox.account, uid.0)
        {
            return None;
        }
        let text = self.answered(inbox.account, read)?;
        let mail = Mail::of(&text);
        let seen = mail.and_then(|mail| {
            self.shared.ledger().place(inbox.account, uid.0, &text)?;
            Ok(mail.token)
        });
        if let Err(what) = &seen {
            self.shared.violated(format!("{}: UID {uid}: {what}", ACCOUNTS[inbox.account]));
        }
        seen.ok()
    }

    /// Removes entries.
    async fn expunge(&self, inbox: &Inbox, uids: &[Uid]) {
        uids.iter().for_each(|uid| self.shared.ledger().expunging(inbox.account, uid.0));
        if self.store.expunge(inbox.id, uids).await.is_ok() {
            uids.iter().for_each(|uid| self.shared.ledger().is_expunged(inbox.account, uid.0));
        }
    }

    /// Puts a copy of an entry into a mailbox made for that, and looks whether it is what it was; now and then the mailbox goes, or has
    /// another name.
    async fn file(&mut self, inbox: &Inbox, uid: Uid) -> Option<()> {
        let account = AccountName::parse(ACCOUNTS[inbox.account]).expect("a valid name");
        let [filed, old] =
            ["Filed", "Filed before"].map(|name| MailboxName::new(name).expect("a valid name"));
        let to = match self.store.mailbox(&account, &filed).await {
            Err(Error::NoSuchMailbox(_)) => self.store.create_mailbox(&account, &filed, None).await,
            found => found,
        };
        let to = self.answered(inbox.account, to)?.id;
        let copied = self.store.copy(inbox.id, &[uid], to, Originals::Stay).await;
        // Somebody may have removed it.
        let (_, copy) = self.answered(inbox.account, copied)?.pairs.pop()?;
        let marks = Marks { keywords: vec![Keyword::new("$Filed").expect("a keyword")], ..Marks::default() };
        let marked = self.store.mark(to, &[copy], Marking::add(marks)).await;
        self.answered(inbox.account, marked)?;
        let moved = self.store.copy(to, &[copy], to, Originals::Go).await;
        let (_, copy) = self.answered(inbox.account, moved)?.pairs.pop()?;
        let read = match self.store.fetch(to, copy).await {
            Ok((entry, reader)) if entry.keywords.is_empty() => {
                self.shared.violated(format!("{account}: copy {copy} of UID {uid} lost its keyword"));
                reader.read_all(1 << 20).await
            }
            Ok((_, reader)) => reader.read_all(1 << 20).await,
            Err(error) => Err(error),
        };
        let text = self.answered(inbox.account, read)?;
        if let Err(what) = self.shared.ledger().place(inbox.account, uid.0, &text) {
            self.shared.violated(format!("{account}: a copy of UID {uid}: {what}"));
        }
        let arranged = match self.random.below(6) {
            0 => self.store.delete_mailbox(&account, &filed).await,
            1 => match self.store.delete_mailbox(&account, &old).await {
                Ok(()) | Err(Error::NoSuchMailbox(_)) => {
                    self.store.rename_mailbox(&account, &filed, &old).await
                }
                failed => failed,
            },
            2 => self.store.expunge(to, &[copy]).await.map(drop),
            _ => Ok(()),
        };
        self.answered(inbox.account, arranged)
    }

    /// What was answered. A refusal has to say that something failed, not that there is nothing.
    pub(super) fn answered<T>(&self, account: usize, answer: store::Result<T>) -> Option<T> {
        if let Err(error) = &answer {
            self.shared.history.event(0, &format!("not read: {error}"), b"");
            if !matches!(error, Error::Io { .. } | Error::Fenced(_) | Error::Full(_) | Error::Closed) {
                self.shared.violated(format!("{} is told: {error}", ACCOUNTS[account]));
            }
        }
        answer.ok()
    }
}

/// Reads mail now and then, marks it, and removes some of it.
pub(super) async fn read(mut reader: Reader) {
    for _ in 0..reader.random.below(12) {
        reader.pause().await;
        let account = reader.random.below(ACCOUNTS.len() as u64) as usize;
        let Some(inbox) = reader.inbox(account).await else { continue };
        let at = reader.random.below(inbox.entries.len().max(1) as u64) as usize;
        let Some(uid) = inbox.entries.get(at).map(|entry| entry.uid) else { continue };
        if reader.read(&inbox, uid).await.is_none() {
            continue;
        }
        if reader.random.one_in(2) {
            let seen = reader.store.update_flags(inbox.id, &[uid], Flags::SEEN, Flags::default()).await;
            reader.shared.history.event(0, if seen.is_ok() { "seen" } else { "not seen" }, b"");
        }
        if reader.random.one_in(4) {
            reader.expunge(&inbox, &[uid]).await;
        }
    }
}

/// Files copies of mail now and then, as a reader with IMAP does.
pub(super) async fn file(mut reader: Reader) {
    for _ in 0..reader.random.below(10) {
        reader.pause().await;
        let account = reader.random.below(ACCOUNTS.len() as u64) as usize;
        let Some(inbox) = reader.inbox(account).await else { continue };
        let at = reader.random.below(inbox.entries.len().max(1) as u64) as usize;
        let Some(uid) = inbox.entries.get(at).map(|entry| entry.uid) else { continue };
        // The ledger has to know what it is.
        if reader.read(&inbox, uid).await.is_some() {
            let filed = reader.file(&inbox, uid).await.is_some();
            reader.shared.history.event(0, if filed { "filed" } else { "not filed" }, b"");
        }
    }
}

/// Empties mailboxes now and then, all but some entries.
pub(super) async fn tidy(mut reader: Reader) {
    for _ in 0..reader.random.below(6) {
        reader.pause().await;
        let keep_one_in = reader.random.pick(&[2, 8, u64::MAX]);
        for account in 0..ACCOUNTS.len() {
            let Some(inbox) = reader.inbox(account).await else { continue };
            let mut uids = Vec::new();
            for entry in &inbox.entries {
                // The ledger has to know what it was.
                if !reader.random.one_in(keep_one_in) && reader.read(&inbox, entry.uid).await.is_some() {
                    uids.push(entry.uid);
                }
            }
            if !uids.is_empty() {
                reader.expunge(&inbox, &uids).await;
            }
        }
    }
}

/// Gives back the space of what was removed, as the server does it all the time.
pub(super) async fn reclaim(store: Arc<Local>, mut random: Random, shared: Shared) {
    for _ in 0..random.below(40) {
        tokio::time::sleep(Duration::from_millis(random.pick(&[50, 400, 3_000]))).await;
        match store.reclaim().await {
            Ok(None) => {}
            Ok(Some(reclaimed)) => {
                if let Err(what) = shared.reclaimed(reclaimed) {
                    shared.violated(what);
                }
            }
            Err(error) => {
                shared.history.event(0, &format!("not reclaimed: {error}"), b"");
                if matches!(error, Error::Damaged(_)) {
                    shared.violated(format!("reclaiming: {error}"));
                }
            }
        }
    }
}
