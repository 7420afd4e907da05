//! The tables of the index and their rows.

use crate::body::Fate;
use crate::effect::{Content, Locator};
use redb::TableDefinition;
use serde::{Deserialize, Serialize};
use store::{
    AccountId, Attempt, Flags, Hold, Keyword, KeywordSet, MailboxName, ModSeq, SpecialUse, Timestamp, Uid,
    UidValidity,
};

/// Rows by two numbers, encoded with postcard.
pub(super) type Definition = TableDefinition<'static, (u64, u64), &'static [u8]>;

/// Rows by a name, encoded with postcard.
pub(super) type Named = TableDefinition<'static, &'static str, &'static [u8]>;

/// `format`, `position` and `counters`.
pub(super) const META: Named = TableDefinition::new("meta");
/// Account name → [`store::Account`].
pub(super) const ACCOUNTS: Named = TableDefinition::new("accounts");
/// Account, 0 → [`crate::body::Belongings`].
pub(super) const BELONGINGS: Definition = TableDefinition::new("belongings");
/// Alias → the [`crate::body::DirectoryChange`] that made it what it is.
pub(super) const ALIASES: Named = TableDefinition::new("aliases");
/// Domain → the [`crate::body::DirectoryChange`] that made it what it is.
pub(super) const DOMAINS: Named = TableDefinition::new("domains");
/// Account, mailbox name → mailbox.
pub(super) const NAMES: TableDefinition<'static, (u64, &'static str), u64> = TableDefinition::new("names");
/// Mailbox, 0 → [`MailboxRow`].
pub(super) const MAILBOXES: Definition = TableDefinition::new("mailboxes");
/// Mailbox, UID → [`EntryRow`].
pub(super) const ENTRIES: Definition = TableDefinition::new("entries");
/// Mailbox, ModSeq → UID: the last change of each entry that is there.
pub(super) const CHANGES: Definition = TableDefinition::new("changes");
/// Mailbox, ModSeq → UID: the expunges that are remembered.
pub(super) const VANISHED: Definition = TableDefinition::new("vanished");
/// Account, mailbox name → nothing.
pub(super) const SUBSCRIPTIONS: TableDefinition<'static, (u64, &'static str), ()> =
    TableDefinition::new("subscriptions");
/// Spool id, 0 → [`MessageRow`].
pub(super) const MESSAGES: Definition = TableDefinition::new("messages");
/// Spool id, recipient → [`QueueRow`].
pub(super) const QUEUE: Definition = TableDefinition::new("queue");
/// Spool id, recipient → [`FateRow`].
pub(super) const FATES: Definition = TableDefinition::new("fates");
/// Number, 0 → [`OrderRow`]: the fates in the order in which they are forgotten.
pub(super) const FATE_ORDER: Definition = TableDefinition::new("fate order");
/// Scope → [`store::Pause`].
pub(super) const PAUSES: Named = TableDefinition::new("pauses");
/// Segment (see [`crate::segment`]), 0 → [`SegmentRow`].
pub(super) const SEGMENTS: Definition = TableDefinition::new("segments");

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailboxRow {
    pub(crate) account: AccountId,
    pub(crate) name: MailboxName,
    pub(crate) validity: UidValidity,
    /// The last UID given; 0 when none was.
    pub(crate) last: Uid,
    pub(crate) messages: u64,
    pub(crate) unseen: u64,
    pub(crate) deleted: u64,
    pub(crate) bytes: u64,
    pub(crate) highest: ModSeq,
    /// How many expunges are remembered.
    pub(crate) vanished: u64,
    pub(crate) special_use: Option<SpecialUse>,
    /// By their numbers.
    pub(crate) keywords: Vec<Keyword>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRow {
    pub(crate) modseq: ModSeq,
    pub(crate) flags: Flags,
    pub(crate) keywords: KeywordSet,
    pub(crate) received: Timestamp,
    /// When it came into this mailbox.
    pub(crate) saved: Timestamp,
    pub(crate) size: u64,
    pub(crate) spool: u64,
    /// Which of the acceptance's mailbox deliveries.
    pub(crate) delivery: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageRow {
    pub(crate) received: Timestamp,
    /// Where the acceptance is.
    pub(crate) record: Locator,
    pub(crate) content: Content,
    /// How many entries and queued deliveries name it.
    pub(crate) references: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueRow {
    /// The destination, as [`QueueName`] writes it.
    pub(crate) queue: String,
    /// Whose it counts as.
    pub(crate) sender: u32,
    pub(crate) due: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) held: Option<Hold>,
    pub(crate) history: Vec<Attempt>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FateRow {
    /// Its number among the fates.
    pub(crate) number: u64,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderRow {
    pub(crate) spool: u64,
    pub(crate) recipient: u32,
    pub(crate) ended: Timestamp,
    /// Where its record is.
    pub(crate) record: Locator,
}

/// For the reclamation of space: what of a segment is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRow {
    /// Bytes of all its records.
    pub(crate) used: u64,
    /// Bytes of the records of messages that nothing names any more.
    pub(crate) dead: u64,
}
