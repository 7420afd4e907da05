//! What people read: mailboxes, their entries, and one history of changes.
//!
//! Entries come only through [`crate::Stage::commit`]. The accounts that own mailboxes are in [`crate::Directory`].

use crate::{
    AccountId, AccountName, MailboxId, ModSeq, Reader, Result, SpoolId, Timestamp, Uid, UidValidity,
};
use async_trait::async_trait;

/// The mailbox that every account has.
pub const INBOX: &str = "INBOX";

/// The name of a mailbox within an account: UTF-8, no control characters, 1 to 255 bytes; `INBOX` in any case is [`INBOX`]; `/`
/// separates levels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MailboxName(String);

/// System flags of an entry (RFC 9051 §2.3.2). Keywords come with IMAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// Read.
    pub const SEEN: Flags = Flags(1);
    /// Answered.
    pub const ANSWERED: Flags = Flags(2);
    /// Flagged for attention.
    pub const FLAGGED: Flags = Flags(4);
    /// To be removed by a later expunge.
    pub const DELETED: Flags = Flags(8);
    /// Not finished.
    pub const DRAFT: Flags = Flags(16);

    /// Whether all of `other` are set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those.
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These without those.
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

/// A mailbox as a whole, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxStatus {
    /// Its identifier.
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
    /// The size of all entries, in bytes as read.
    pub bytes: u64,
    /// The latest change; the mailbox's creation counts as one.
    pub highest_modseq: ModSeq,
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
    /// When it came into the store (INTERNALDATE).
    pub received: Timestamp,
    /// Its size in bytes as read: trace fields and content.
    pub size: u64,
    /// The accepted message that it came from.
    pub spool: SpoolId,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came, or its flags changed, since the moment asked about.
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

/// Mailboxes. A read sees every change that was acknowledged before it began.
#[async_trait]
pub trait Mailboxes: Send + Sync {
    /// The mailboxes of an account, by name.
    async fn mailboxes(&self, account: &AccountName) -> Result<Vec<MailboxStatus>>;

    /// One mailbox.
    async fn mailbox(&self, account: &AccountName, name: &MailboxName) -> Result<MailboxStatus>;

    /// The entries with `after < uid`, ascending, at most `limit`.
    async fn entries(&self, mailbox: MailboxId, after: Uid, limit: usize) -> Result<Vec<Entry>>;

    /// One entry and its whole text: the entry's own trace fields, the message's, then the content.
    async fn fetch(&self, mailbox: MailboxId, uid: Uid) -> Result<(Entry, Reader)>;

    /// Adds and then removes flags of these entries, durably; returns how many of the entries there were. An entry whose flags
    /// stay as they are does not count as changed.
    async fn update_flags(&self, mailbox: MailboxId, uids: &[Uid], add: Flags, remove: Flags) -> Result<u64>;

    /// Removes these entries, durably, all of those that exist in one act; returns how many there were. The text of a message
    /// goes with its last entry, unless it is queued as well.
    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<u64>;

    /// The changes of a mailbox after `since`, ascending, at most `limit`. No two have the same [`ModSeq`], so the last one's can be the
    /// next call's `since`.
    async fn changes(&self, mailbox: MailboxId, since: ModSeq, limit: usize) -> Result<Vec<Change>>;

    /// Follows the highest [`ModSeq`] of the store: it changes after each commit that touched a mailbox, when that is readable.
    fn watch(&self) -> tokio::sync::watch::Receiver<ModSeq>;
}

impl MailboxName {
    /// The name, if it is one.
    pub fn new(name: &str) -> Result<MailboxName> {
        if name.eq_ignore_ascii_case(INBOX) {
            return Ok(MailboxName(INBOX.to_owned()));
        }
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Err(crate::Error::Invalid(format!(
                "{name:?} is not a mailbox name: 1 to 255 bytes without control characters"
            )));
        }
        Ok(MailboxName(name.to_owned()))
    }

    /// INBOX.
    pub fn inbox() -> MailboxName {
        MailboxName(INBOX.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
