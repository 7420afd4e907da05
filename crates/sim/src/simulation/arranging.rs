//! Who arranges mail while it comes: makes, renames and removes mailboxes, copies and moves messages into them, marks them with a keyword,
//! and removes them again.
//!
//! What was answered is written down and held against the store after each start: a mailbox has its name, a copy is whole, is the same
//! message, and has its keyword; what was removed stays away. What was asked and never answered may be so or not.

use super::ACCOUNTS;
use super::readers::{Inbox, Reader};
use crate::ledger::MOVED;
use crate::mail::Mail;
use std::collections::{BTreeMap, BTreeSet};
use store::{
    Entry, Error, Flags, Keyword, MailboxId, MailboxName, MailboxStatus, Mailboxes, Marking, Marks,
    Originals, Uid,
};

/// What was arranged.
#[derive(Debug, Default)]
pub(super) struct Arranged {
    boxes: BTreeMap<MailboxId, Kept>,
    removed: BTreeSet<MailboxId>,
    /// How many requests were carried out.
    pub(super) requests: u64,
    /// How many copies were made.
    pub(super) copies: u64,
}

/// A mailbox besides INBOX.
#[derive(Debug)]
struct Kept {
    /// `None` when nobody knows.
    name: Option<MailboxName>,
    entries: BTreeMap<Uid, Copy>,
    /// Copies whose removal was answered.
    expunged: BTreeSet<Uid>,
    /// How many entries there may be besides: requests for so many were not answered.
    doubtful: usize,
}

/// An entry that is in it.
#[derive(Debug)]
struct Copy {
    token: u64,
    marked: bool,
}

impl Arranged {
    /// Holds it against a store. The outer error is the store's.
    pub(super) async fn check(&self, store: &dyn Mailboxes) -> store::Result<Result<(), String>> {
        for id in &self.removed {
            if !matches!(store.status(*id).await, Err(Error::NoSuchMailbox(_))) {
                return Ok(Err(format!("mailbox {} was removed and is there", id.0)));
            }
        }
        for (id, kept) in &self.boxes {
            let status = match store.status(*id).await {
                Err(Error::NoSuchMailbox(_)) => return Ok(Err(format!("mailbox {} is lost", id.0))),
                status => status?,
            };
            if kept.name.as_ref().is_some_and(|name| *name != status.name) {
                return Ok(Err(format!("{:?} is called {}", kept.name, status.name)));
            }
            let mut others = 0;
            for Entry { uid, .. } in store.entries(*id, Uid(0), usize::MAX).await? {
                if kept.expunged.contains(&uid) {
                    return Ok(Err(format!("{}, UID {uid}, was expunged and came back", status.name)));
                }
                others += usize::from(!kept.entries.contains_key(&uid));
            }
            if others > kept.doubtful {
                return Ok(Err(format!("{others} copies that nobody made are in {}", status.name)));
            }
            for (uid, copy) in &kept.entries {
                if let Err(what) = copy.check(store, &status, *uid).await? {
                    return Ok(Err(format!("{}, UID {uid}: {what}", status.name)));
                }
            }
        }
        Ok(Ok(()))
    }

    fn kept(&mut self, mailbox: MailboxId) -> Option<&mut Kept> {
        self.boxes.get_mut(&mailbox)
    }
}

impl Copy {
    async fn check(
        &self,
        store: &dyn Mailboxes,
        status: &MailboxStatus,
        uid: Uid,
    ) -> store::Result<Result<(), String>> {
        let (entry, reader) = match store.fetch(status.id, uid).await {
            Err(Error::NoSuchMessage(_)) => return Ok(Err("the copy is lost".to_owned())),
            fetched => fetched?,
        };
        let mail = Mail::of(&reader.read_all(1 << 20).await?);
        let is_marked =
            entry.keywords.numbers().any(|number| status.keywords.get(number) == Some(&keyword()));
        Ok(match mail {
            Err(what) => Err(what),
            Ok(mail) if mail.token != self.token => Err("it is another message".to_owned()),
            Ok(_) if self.marked && !is_marked => Err("its keyword is lost".to_owned()),
            Ok(_) => Ok(()),
        })
    }
}

/// Arranges mail now and then.
pub(super) async fn arrange(mut reader: Reader) {
    for _ in 0..reader.random.below(14) {
        reader.pause().await;
        let account = reader.random.below(ACCOUNTS.len() as u64) as usize;
        let Some(inbox) = reader.inbox(account).await else { continue };
        let all = reader.store.mailboxes(&Reader::account(account)).await;
        let Some(mut all) = reader.answered(account, all) else { continue };
        // The others are somebody else's.
        all.retain(|mailbox| mailbox.name.as_str().starts_with(OWN));
        let chosen = (!all.is_empty()).then(|| reader.random.below(all.len() as u64) as usize);
        let Some(mailbox) = chosen.map(|chosen| all.swap_remove(chosen)) else {
            reader.create(account).await;
            continue;
        };
        match reader.random.below(10) {
            9 => reader.move_away(&inbox).await,
            0 => reader.create(account).await,
            1 => reader.rename(account, &mailbox).await,
            2 => reader.delete(account, &mailbox).await,
            3 | 4 => reader.copy(&inbox, &mailbox, Originals::Stay).await,
            5 | 6 => reader.copy(&inbox, &mailbox, Originals::Go).await,
            7 => reader.mark_all(account, &mailbox).await,
            _ => reader.expunge_first(account, &mailbox).await,
        }
    }
}

impl Reader {
    fn some_name(&mut self) -> MailboxName {
        MailboxName::new(&format!("{OWN}{}", self.random.below(5))).expect("a valid name")
    }

    async fn create(&mut self, account: usize) {
        let name = self.some_name();
        let made = self.store.create_mailbox(&Reader::account(account), &name, None).await;
        if let Some(made) = self.carried_out(account, made) {
            let kept =
                Kept { name: Some(name), entries: BTreeMap::new(), expunged: BTreeSet::new(), doubtful: 0 };
            self.shared.arranged().boxes.insert(made.id, kept);
        }
    }

    async fn rename(&mut self, account: usize, mailbox: &MailboxStatus) {
        let name = self.some_name();
        if let Some(kept) = self.shared.arranged().kept(mailbox.id) {
            kept.name = None;
        }
        let renamed = self.store.rename_mailbox(&Reader::account(account), &mailbox.name, &name).await;
        let name = self.carried_out(account, renamed).map(|()| name);
        if let Some(kept) = self.shared.arranged().kept(mailbox.id) {
            kept.name = name;
        }
    }

    async fn delete(&mut self, account: usize, mailbox: &MailboxStatus) {
        self.shared.arranged().boxes.remove(&mailbox.id);
        let deleted = self.store.delete_mailbox(&Reader::account(account), &mailbox.name).await;
        if self.carried_out(account, deleted).is_some() {
            self.shared.arranged().removed.insert(mailbox.id);
        }
    }

    async fn copy(&mut self, inbox: &Inbox, mailbox: &MailboxStatus, originals: Originals) {
        let mut tokens = BTreeMap::new();
        for entry in inbox.entries.iter().take(1 + self.random.below(4) as usize) {
            // The ledger has to know what it was.
            if let Some(token) = self.read(inbox, entry.uid).await {
                tokens.insert(entry.uid, token);
            }
        }
        let uids: Vec<Uid> = tokens.keys().copied().collect();
        if originals == Originals::Go {
            uids.iter().for_each(|uid| self.shared.ledger().expunging(inbox.account, uid.0));
        }
        let doubtful = |count: isize| {
            if let Some(kept) = self.shared.arranged().kept(mailbox.id) {
                kept.doubtful = kept.doubtful.saturating_add_signed(count);
            }
        };
        doubtful(uids.len() as isize);
        let copied = self.store.copy(inbox.id, &uids, mailbox.id, originals).await;
        let Some(copied) = self.carried_out(inbox.account, copied) else { return };
        doubtful(-(uids.len() as isize));
        let mut arranged = self.shared.arranged();
        arranged.copies += copied.pairs.len() as u64;
        for (original, copy) in copied.pairs {
            if originals == Originals::Go {
                self.shared.ledger().is_expunged(inbox.account, original.0);
            }
            if let Some(kept) = arranged.kept(mailbox.id) {
                kept.entries.insert(copy, Copy { token: tokens[&original], marked: false });
            }
        }
    }

    async fn mark_all(&mut self, account: usize, mailbox: &MailboxStatus) {
        let Some(uids) = self.uids(account, mailbox).await else { return };
        let marks = Marks { flags: Flags::default(), keywords: vec![keyword()] };
        let marked = self.store.mark(mailbox.id, &uids, Marking::add(marks)).await;
        if self.carried_out(account, marked).is_some()
            && let Some(kept) = self.shared.arranged().kept(mailbox.id)
        {
            for uid in uids {
                if let Some(copy) = kept.entries.get_mut(&uid) {
                    copy.marked = true;
                }
            }
        }
    }

    async fn expunge_first(&mut self, account: usize, mailbox: &MailboxStatus) {
        let Some(uid) = self.uids(account, mailbox).await.and_then(|uids| uids.first().copied()) else {
            return;
        };
        if let Some(kept) = self.shared.arranged().kept(mailbox.id) {
            // Now it may be there or not.
            kept.doubtful += usize::from(kept.entries.remove(&uid).is_some());
        }
        let expunged = self.store.expunge(mailbox.id, &[uid]).await;
        if self.carried_out(account, expunged).is_some()
            && let Some(kept) = self.shared.arranged().kept(mailbox.id)
        {
            kept.expunged.insert(uid);
        }
    }

    /// Moves messages to the mailbox from which nobody takes anything.
    async fn move_away(&mut self, inbox: &Inbox) {
        let (account, name) =
            (Reader::account(inbox.account), MailboxName::new(MOVED).expect("a valid name"));
        let target = match self.store.mailbox(&account, &name).await {
            Err(Error::NoSuchMailbox(_)) => self.store.create_mailbox(&account, &name, None).await,
            found => found,
        };
        let Some(target) = self.carried_out(inbox.account, target) else { return };
        let mut uids = Vec::new();
        for entry in inbox.entries.iter().take(1 + self.random.below(4) as usize) {
            // The ledger has to know what it was.
            if self.read(inbox, entry.uid).await.is_some() {
                uids.push(entry.uid);
            }
        }
        uids.iter().for_each(|uid| self.shared.ledger().moving(inbox.account, uid.0));
        let moved = self.store.copy(inbox.id, &uids, target.id, Originals::Go).await;
        if self.carried_out(inbox.account, moved).is_some() {
            uids.iter().for_each(|uid| self.shared.ledger().is_expunged(inbox.account, uid.0));
        }
    }

    async fn uids(&self, account: usize, mailbox: &MailboxStatus) -> Option<Vec<Uid>> {
        let entries = self.store.entries(mailbox.id, Uid(0), usize::MAX).await;
        let entries = self.answered(account, entries)?;
        Some(entries.iter().map(|entry| entry.uid).collect())
    }

    /// What was answered to a request; a name may be taken.
    fn carried_out<T>(&self, account: usize, answer: store::Result<T>) -> Option<T> {
        if let Err(Error::Exists(what)) = &answer {
            self.shared.history.event(0, &format!("not arranged: {what}"), b"");
            return None;
        }
        let answer = self.answered(account, answer)?;
        self.shared.history.event(0, "arranged", b"");
        self.shared.arranged().requests += 1;
        Some(answer)
    }
}

/// How the names of its mailboxes begin.
const OWN: &str = "Box ";

fn keyword() -> Keyword {
    Keyword::new("$Arranged").expect("an atom")
}
