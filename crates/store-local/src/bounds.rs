//! Numbers that no store gives and names that are none, in records whose checksums are right.
//!
//! Such a record was written by something else than this program, or by this one gone wrong. It counts as damaged where it is read
//! ([`crate::effect`], [`crate::repair`]), so that nobody behind that has to fear that counting on from a number overflows.

use crate::body::{
    AccountChange, Copied, CopiedEntry, Counters, LayoutChange, MailboxChange, Place, QueueChange, Remains,
    Settlement,
};
use crate::effect::{Arrival, Effect};
use store::{Error, Keyword, MailboxName, ModSeq, QueueName, Result, Uid};

impl Effect {
    /// Fails with [`Error::Damaged`] when a number in it is beyond all that are ever given, or a destination is none.
    pub(crate) fn check(&self) -> Result<()> {
        let given = match self {
            Effect::Opening(opening) => counters(&opening.counters),
            Effect::Accepted(arrival) => self::arrival(arrival),
            Effect::Mailbox(change) => mailbox(change),
            Effect::Layout(change) => layout(change),
            Effect::Account(change) => account(change),
            Effect::Remains(Remains(places)) => places.iter().all(place),
            Effect::Settled(Settlement::Done { spool, .. } | Settlement::Deferred { spool, .. }) => {
                *spool < SPOOL_MAX
            }
            Effect::Queue(QueueChange::Ended { number, forgotten, fate }, _) => {
                *number < NUMBER_MAX && forgotten <= number && fate.spool < SPOOL_MAX
            }
            Effect::Queue(QueueChange::Rerouted { queue, .. }, _) => queue.parse::<QueueName>().is_ok(),
            Effect::Queue(..) | Effect::Directory(_) => true,
        };
        if given { Ok(()) } else { Err(Error::Damaged("it says what no store ever writes".to_owned())) }
    }
}

fn counters(counters: &Counters) -> bool {
    let Counters { spool, account, mailbox, validity: _, modseq } = *counters;
    spool < SPOOL_MAX && account < NUMBER_MAX && mailbox < NUMBER_MAX && is_given(modseq)
}

fn arrival(arrival: &Arrival) -> bool {
    let entries = arrival.entries.iter();
    arrival.spool < SPOOL_MAX
        && entries.clone().all(|entry| {
            is_uid(entry.uid)
                && is_given(entry.modseq)
                && entry.mailbox.0 < NUMBER_MAX
                && entry.size < SIZE_MAX
        })
}

fn mailbox(change: &MailboxChange) -> bool {
    let copies = match change {
        MailboxChange::Copied(copied) => copies(copied),
        MailboxChange::Flags { .. } | MailboxChange::Expunged { .. } | MailboxChange::Marked { .. } => true,
    };
    copies && is_given(change.modseqs().0)
}

fn copies(copied: &Copied) -> bool {
    let last = u64::from(copied.first.0) + copied.entries.len() as u64;
    let is_possible = |entry: &CopiedEntry| entry.spool < SPOOL_MAX && entry.size < SIZE_MAX;
    is_uid(copied.first) && last < u64::from(UID_MAX.0) && copied.entries.iter().all(is_possible)
}

fn layout(change: &LayoutChange) -> bool {
    match change {
        LayoutChange::Renamed { name, .. }
        | LayoutChange::Subscribed { name, .. }
        | LayoutChange::Unsubscribed { name, .. } => is_name(name),
        LayoutChange::Keyword { keyword, .. } => Keyword::new(keyword.as_str()).is_ok(),
        LayoutChange::Removed { .. } | LayoutChange::SpecialUse { .. } => true,
    }
}

fn account(change: &AccountChange) -> bool {
    match change {
        AccountChange::Created { id, .. } => id.0 < NUMBER_MAX,
        AccountChange::Raised { .. } | AccountChange::Removed { .. } => true,
        AccountChange::MailboxCreated { id, account, name, modseq, .. } => {
            id.0 < NUMBER_MAX && account.0 < NUMBER_MAX && is_given(*modseq) && is_name(name)
        }
        AccountChange::Restored { counters, .. } => self::counters(counters),
    }
}

fn place(place: &Place) -> bool {
    // A mailbox from which nothing is known to be gone has a place of number 0.
    place.uid < UID_MAX && is_given(place.modseq)
}

fn is_name(name: &MailboxName) -> bool {
    MailboxName::new(name.as_str()).is_ok_and(|valid| valid == *name)
}

fn is_uid(uid: Uid) -> bool {
    (Uid(1)..UID_MAX).contains(&uid)
}

/// IMAP has 63 bits for them (RFC 7162 §3.1).
fn is_given(modseq: ModSeq) -> bool {
    modseq.0 < NUMBER_MAX
}

/// The last UID is not given, so that there is always a next one to tell (RFC 9051 §2.3.1.1).
const UID_MAX: Uid = Uid(u32::MAX);

/// Spool ids have 63 bits.
const SPOOL_MAX: u64 = 1 << 63;

/// Of accounts, mailboxes, ModSeqs and fates. What a repair or a restoration skips is far less.
const NUMBER_MAX: u64 = 1 << 62;

/// In bytes, for one message.
const SIZE_MAX: u64 = 1 << 40;
