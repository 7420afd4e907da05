//! What people read: mailboxes, their entries, and one history of changes.
//!
//! Entries come through [`crate::Stage::commit`], where mail is delivered, and through [`Mailboxes::append`] and [`Mailboxes::copy`], where
//! their reader puts them. The accounts that own mailboxes are in [`crate::Directory`].

mod events;
mod flags;
mod name;

pub use events::{Event, Events, News};
pub use flags::{
    Flags, KEYWORD_MAX, KEYWORDS_MAX, Keyword, KeywordSet, Mark, Marked, Marking, Marks, Masks, Others,
};
pub use name::{INBOX, MailboxName, SEPARATOR, SpecialUse, renames};

use crate::{
    AccountId, AccountName, Error, MailboxId, ModSeq, Reader, Result, SpoolId, Stage, Timestamp, Uid,
    UidValidity,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A mailbox as a whole, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxStatus {
    /// Its identifier: it stays the same when the mailbox is renamed (MAILBOXID).
    pub id: MailboxId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name.
    pub name: MailboxName,
    /// Its incarnation.
    pub uid_validity: UidValidity,
    /// The next message's UID, at least.
    pub uid_next: Uid,
    /// How many entries.
    pub messages: u64,
    /// How many of them are not seen.
    pub unseen: u64,
    /// How many of them are marked as deleted.
    pub deleted: u64,
    /// The size of all entries, in bytes as read.
    pub bytes: u64,
    /// The latest change; the mailbox's creation counts as one. It never goes back.
    pub highest_modseq: ModSeq,
    /// What [`Mailboxes::changes`] tells since this moment, or a later one, is all that happened. Expunges before it may be forgotten.
    pub history_from: ModSeq,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Whether its name is among the account's subscriptions.
    pub subscribed: bool,
    /// The keywords that were ever used in it, by their numbers. The list only grows.
    pub keywords: Vec<Keyword>,
}

/// One message in one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: Uid,
    /// Its last change.
    pub modseq: ModSeq,
    /// Its flags.
    pub flags: Flags,
    /// Its keywords.
    pub keywords: KeywordSet,
    /// When it came into the store, or what whoever appended it said (INTERNALDATE). A copy has that of its original.
    pub received: Timestamp,
    /// When it came into this mailbox (SAVEDATE, RFC 8514).
    pub saved: Timestamp,
    /// Its size in bytes as read: trace fields and content.
    pub size: u64,
    /// The accepted message that it came from.
    pub spool: SpoolId,
    /// Which of that message's mailbox deliveries it is, or is a copy of: each may have trace fields of its own.
    pub delivery: u32,
}

/// The marks of all entries of a mailbox at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roll {
    /// The mailbox.
    pub status: MailboxStatus,
    /// Its entries, ascending by UID.
    pub marks: Vec<Mark>,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came, or its marks changed, since the moment asked about.
    Present,
    /// It is gone.
    Expunged,
}

/// One step of the history of a mailbox. Only an entry's last change is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When, in the order of all changes.
    pub modseq: ModSeq,
    /// Which entry.
    pub uid: Uid,
    /// What.
    pub kind: ChangeKind,
}

/// A message that its reader puts into a mailbox.
pub struct NewMessage {
    /// Its content, from the same store.
    pub stage: Box<dyn Stage>,
    /// Its internal date.
    pub received: Timestamp,
    /// What it is marked with from the beginning.
    pub marks: Marks,
}

/// Where messages were put (APPENDUID, RFC 9051 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's incarnation.
    pub uid_validity: UidValidity,
    /// One for each message, in their order, ascending.
    pub uids: Vec<Uid>,
}

/// What became of the entries that a copy was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Originals {
    /// They stay where they are (COPY).
    Stay,
    /// They are expunged in the same act (MOVE).
    Go,
}

/// Where copies were put (COPYUID, RFC 9051 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The incarnation of the mailbox that they are in.
    pub uid_validity: UidValidity,
    /// Of each entry that there was: its UID, and that of its copy. Both ascend.
    pub pairs: Vec<(Uid, Uid)>,
}

/// Mailboxes. A read sees every change that was acknowledged before it began, and every change is durable when it returns.
///
/// A change of entries passes over those that do not exist (any more). [`crate::Error::NoSuchAccount`] and
/// [`crate::Error::NoSuchMailbox`] say that what was named is not there.
#[async_trait]
pub trait Mailboxes: Send + Sync {
    /// The mailboxes of an account, by name.
    async fn mailboxes(&self, account: &AccountName) -> Result<Vec<MailboxStatus>>;

    /// One mailbox.
    async fn mailbox(&self, account: &AccountName, name: &MailboxName) -> Result<MailboxStatus>;

    /// One mailbox, whatever its name is now.
    async fn status(&self, mailbox: MailboxId) -> Result<MailboxStatus>;

    /// Makes a mailbox. [`crate::Error::Exists`] when there is one of that name, or one for that use (RFC 8621 §2 allows one for each);
    /// [`crate::Error::Limit`] when the account has [`MAILBOXES_MAX`].
    async fn create_mailbox(
        &self,
        account: &AccountName,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxStatus>;

    /// Renames a mailbox and all that are below it in one act; subscriptions stay as they are. A name that is no mailbox but has some
    /// below it can be renamed too. [`crate::Error::Exists`] when one of the new names is taken, [`crate::Error::Invalid`] when the new
    /// one is below the old one, or too long.
    ///
    /// INBOX stays, with what is below it: its messages move into a new mailbox of that name (RFC 9051 §6.3.6).
    async fn rename_mailbox(&self, account: &AccountName, from: &MailboxName, to: &MailboxName)
    -> Result<()>;

    /// Removes a mailbox with all its entries. Those below it stay. INBOX cannot be removed: [`crate::Error::Invalid`].
    async fn delete_mailbox(&self, account: &AccountName, name: &MailboxName) -> Result<()>;

    /// Says what a mailbox is for; [`crate::Error::Exists`] when another one is for that.
    async fn set_special_use(
        &self,
        account: &AccountName,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<()>;

    /// Subscribes to a name, which need not be that of a mailbox (RFC 9051 §6.3.7). [`crate::Error::Limit`] when the account has
    /// [`SUBSCRIPTIONS_MAX`].
    async fn subscribe(&self, account: &AccountName, name: &MailboxName) -> Result<()>;

    /// Ends a subscription; that there is none is no error.
    async fn unsubscribe(&self, account: &AccountName, name: &MailboxName) -> Result<()>;

    /// The names that an account has subscribed to, in order.
    async fn subscriptions(&self, account: &AccountName) -> Result<Vec<MailboxName>>;

    /// The entries with `after < uid`, ascending, at most `limit`.
    async fn entries(&self, mailbox: MailboxId, after: Uid, limit: usize) -> Result<Vec<Entry>>;

    /// The entries within these ranges, which ascend and do not overlap; ascending, at most `limit`.
    async fn entries_in(
        &self,
        mailbox: MailboxId,
        ranges: &[RangeInclusive<Uid>],
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// The marks of all entries.
    async fn roll(&self, mailbox: MailboxId) -> Result<Arc<Roll>>;

    /// One entry and its whole text: the entry's own trace fields, the message's, then the content.
    async fn fetch(&self, mailbox: MailboxId, uid: Uid) -> Result<(Entry, Reader)>;

    /// The same for several entries, in the order of these UIDs and without those that are gone. It may end before one whose text cannot be
    /// read: that is an error only where it is the first. What is short is read at once, so the caller bounds how many it asks for.
    async fn fetch_several(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<Vec<(Entry, Reader)>> {
        let mut several = Vec::with_capacity(uids.len());
        for uid in uids {
            match self.fetch(mailbox, *uid).await {
                Ok(found) => several.push(found),
                Err(Error::NoSuchMessage(_)) => {}
                Err(error) if several.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(several)
    }

    /// Puts messages into a mailbox, all or none. Their UIDs ascend in their order. They count towards the account's quota:
    /// [`crate::Error::OverQuota`]. [`crate::Error::Limit`] with more than [`APPEND_MAX`] messages, or keywords as in
    /// [`mark`](Mailboxes::mark); [`crate::Error::Invalid`] without any, or when a stage is another store's.
    async fn append(&self, mailbox: MailboxId, messages: Vec<NewMessage>) -> Result<Appended>;

    /// Copies entries into a mailbox of the same account, or into the same one again, in one act: with marks and internal date; the text is
    /// shared. Copies count towards the quota unless the originals go. [`crate::Error::Invalid`] when the other mailbox is another account's,
    /// [`crate::Error::Limit`] when it cannot take the keywords.
    async fn copy(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        target: MailboxId,
        originals: Originals,
    ) -> Result<Copied>;

    /// Changes the marks of entries. An entry whose marks stay as they are does not count as changed. [`crate::Error::Limit`] when the
    /// mailbox would know more than [`KEYWORDS_MAX`] keywords; then nothing changes.
    async fn mark(&self, mailbox: MailboxId, uids: &[Uid], marking: Marking) -> Result<Marked>;

    /// Adds and then removes flags of these entries; returns how many of the entries there were.
    async fn update_flags(&self, mailbox: MailboxId, uids: &[Uid], add: Flags, remove: Flags) -> Result<u64> {
        let marking = Marking { remove: remove.into(), ..Marking::add(add) };
        Ok(self.mark(mailbox, uids, marking).await?.found())
    }

    /// Removes these entries, all of those that exist in one act; returns how many there were. The text of a message
    /// goes with its last entry, unless it is queued as well.
    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<u64>;

    /// Removes the entries within these ranges, which ascend and do not overlap, that are marked as deleted at that moment; returns how
    /// many there were.
    async fn expunge_deleted(&self, mailbox: MailboxId, ranges: &[RangeInclusive<Uid>]) -> Result<u64>;

    /// The changes of a mailbox after `since`, ascending, at most `limit`. No two have the same [`ModSeq`], so the last one's can be the
    /// next call's `since`. How far back they are complete: [`MailboxStatus::history_from`].
    async fn changes(&self, mailbox: MailboxId, since: ModSeq, limit: usize) -> Result<Vec<Change>>;

    /// Which messages can have all of these in their text at all, as UIDs that ascend: a search need not read any other. They are in lower
    /// case; what counts as text is whoever searches to say where the store is opened. Those named are not all there, nor do all have it.
    async fn sift(&self, mailbox: MailboxId, _needles: &[Vec<u8>]) -> Result<Vec<RangeInclusive<Uid>>> {
        Ok(vec![Uid(1)..=Uid(self.status(mailbox).await?.uid_next.0)])
    }

    /// The gists of the messages within these ranges, which ascend and do not overlap; ascending. A gist is what is kept of a text so that a
    /// search need not read it: whoever opens the store says what that is. Not every message has one, and none that would be longer than
    /// [`GIST_MAX`].
    async fn gists(&self, _mailbox: MailboxId, _ranges: &[RangeInclusive<Uid>]) -> Result<Vec<(Uid, Bytes)>> {
        Ok(Vec::new())
    }

    /// Follows the highest [`ModSeq`] of the store: it changes after each commit that touched a mailbox, when that is readable.
    fn watch(&self) -> tokio::sync::watch::Receiver<ModSeq>;

    /// Follows what happens in an account's mailboxes from now on.
    fn follow(&self, account: AccountId) -> Events;
}

impl Entry {
    /// What stays the same in all copies of a text, and differs for another one (EMAILID, RFC 8474 §5.1).
    pub fn email_id(&self) -> String {
        match self.delivery {
            0 => self.spool.to_string(),
            other => format!("{}-{other}", self.spool),
        }
    }

    /// Its marks alone.
    pub fn mark(&self) -> Mark {
        Mark { uid: self.uid, modseq: self.modseq, flags: self.flags, keywords: self.keywords }
    }
}

/// Refuses what cannot be appended.
pub fn check_append(messages: &[NewMessage]) -> Result<()> {
    match messages.len() {
        0 => Err(Error::Invalid("no message".to_owned())),
        1..=APPEND_MAX => Ok(()),
        more => Err(Error::Limit(format!("{more} messages at once"))),
    }
}

/// How many mailboxes an account has at most.
pub const MAILBOXES_MAX: usize = 10_000;

/// How many names an account subscribes to at most.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;

/// How many messages are appended in one act at most.
pub const APPEND_MAX: usize = 256;

/// How many expunges of each mailbox are remembered, the latest.
pub const VANISHED_MAX: usize = 10_000;

/// The most octets that a gist has.
pub const GIST_MAX: usize = 2048;
