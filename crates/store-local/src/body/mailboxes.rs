//! Changes of mailboxes and of what is in them.
//!
//! Everything that a change says is settled when it is written: of a copy what its original was marked with, too. So it means the same
//! whatever a reclamation of space has dropped before it.

use crate::record::Kind;
use serde::{Deserialize, Serialize};
use store::{
    AccountId, Flags, Keyword, KeywordSet, MailboxId, MailboxName, Masks, ModSeq, SpecialUse, Timestamp, Uid,
};

/// Each entry takes a ModSeq of its own, from the one named on, in the order of the UIDs. New variants go to the end: the first two
/// are bodies of [`Kind::Mailbox`], the others of [`Kind::Entries`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MailboxChange {
    /// Not written any more.
    Flags {
        mailbox: MailboxId,
        uids: Vec<Uid>,
        add: Flags,
        remove: Flags,
        modseq: ModSeq,
    },
    Expunged {
        mailbox: MailboxId,
        uids: Vec<Uid>,
        modseq: ModSeq,
    },
    Marked {
        mailbox: MailboxId,
        uids: Vec<Uid>,
        masks: Masks,
        modseq: ModSeq,
    },
    Copied(Copied),
}

/// Entries were copied, and the originals perhaps removed; then those take the ModSeqs after those of the copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copied {
    pub(crate) source: MailboxId,
    pub(crate) target: MailboxId,
    pub(crate) originals: Originals,
    /// When.
    pub(crate) saved: Timestamp,
    /// The UID of the first copy; those of the others follow.
    pub(crate) first: Uid,
    pub(crate) modseq: ModSeq,
    pub(crate) entries: Vec<CopiedEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Originals {
    Stay,
    Go,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopiedEntry {
    /// The original.
    pub(crate) uid: Uid,
    pub(crate) spool: u64,
    /// Which of the acceptance's mailbox deliveries.
    pub(crate) delivery: u32,
    pub(crate) flags: Flags,
    /// In the numbers of the target.
    pub(crate) keywords: KeywordSet,
    pub(crate) received: Timestamp,
    pub(crate) size: u64,
}

/// A change of a mailbox as such, or of an account's subscriptions. New variants need a new kind of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LayoutChange {
    Renamed {
        mailbox: MailboxId,
        name: MailboxName,
    },
    Removed {
        mailbox: MailboxId,
    },
    SpecialUse {
        mailbox: MailboxId,
        special_use: Option<SpecialUse>,
    },
    /// A keyword gets its number.
    Keyword {
        mailbox: MailboxId,
        number: u32,
        keyword: Keyword,
    },
    Subscribed {
        account: AccountId,
        name: MailboxName,
    },
    Unsubscribed {
        account: AccountId,
        name: MailboxName,
    },
}

impl MailboxChange {
    /// The kind of its record.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            MailboxChange::Flags { .. } | MailboxChange::Expunged { .. } => Kind::Mailbox,
            MailboxChange::Marked { .. } | MailboxChange::Copied(_) => Kind::Entries,
        }
    }

    /// The first of the ModSeqs that it takes, and how many these are.
    pub(crate) fn modseqs(&self) -> (ModSeq, u64) {
        match self {
            MailboxChange::Flags { uids, modseq, .. }
            | MailboxChange::Expunged { uids, modseq, .. }
            | MailboxChange::Marked { uids, modseq, .. } => (*modseq, uids.len() as u64),
            MailboxChange::Copied(copied) => (copied.modseq, copied.modseqs()),
        }
    }
}

impl Copied {
    /// How many ModSeqs it takes.
    fn modseqs(&self) -> u64 {
        let entries = self.entries.len() as u64;
        match self.originals {
            Originals::Stay => entries,
            Originals::Go => 2 * entries,
        }
    }

    /// Each copy with its UID and ModSeq. What is beyond all numbers is not there.
    pub(crate) fn copies(&self) -> impl Iterator<Item = (Uid, ModSeq, &CopiedEntry)> {
        let numbered = (self.first.0..).zip(self.modseq.0..).zip(&self.entries);
        numbered.map(|((uid, modseq), entry)| (Uid(uid), ModSeq(modseq), entry))
    }

    /// The UIDs of the copies.
    pub(crate) fn uids(&self) -> Vec<Uid> {
        self.copies().map(|(uid, _, _)| uid).collect()
    }

    /// What becomes of the originals, as a change of its own.
    pub(crate) fn expunged(&self) -> Option<MailboxChange> {
        let uids = self.entries.iter().map(|entry| entry.uid).collect();
        let modseq = ModSeq(self.modseq.0 + self.entries.len() as u64);
        let expunged = MailboxChange::Expunged { mailbox: self.source, uids, modseq };
        (self.originals == Originals::Go).then_some(expunged)
    }
}
