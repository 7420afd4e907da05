//! What callers ask of the writer, and how they are answered.

use crate::body::{Accepted, Settlement};
use bytes::Bytes;
use store::{
    Account, AccountName, Error, Flags, MailboxId, NewDelivery, Origin, Result, SpoolId, Timestamp, Uid,
};
use tokio::sync::oneshot;

/// One act to be made durable.
#[derive(Debug)]
pub(crate) enum Job {
    /// A message.
    Commit { message: Box<Message>, now: Timestamp, answer: Answer<SpoolId> },
    /// A change of entries, answered when it is readable, with the number of entries that there were.
    Entries { change: EntryChange, answer: Answer<u64> },
    /// The outcome of a delivery.
    Settle { settlement: Settlement, answer: Answer<()> },
    /// A new account, or a stronger origin for one.
    CreateAccount { name: AccountName, origin: Origin, now: Timestamp, answer: Answer<Account> },
    /// An account's end.
    RemoveAccount { name: AccountName, answer: Answer<()> },
}

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// A message ready to be written.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) content: ContentBytes,
    /// The acceptance without its places, and its encoding.
    pub(crate) accepted: Accepted,
    pub(crate) encoded: Vec<u8>,
    /// Which accounts and mailboxes it goes to.
    pub(crate) deliveries: Vec<NewDelivery>,
}

/// A message's content.
#[derive(Debug)]
pub(crate) enum ContentBytes {
    /// To be written to the log: in pieces of any size, with the CRC32C of a content record's whole body.
    Here { chunks: Vec<Bytes>, length: u64, body_crc: u32 },
    /// In a file of its own, durable already.
    Large { length: u64, crc: u32, file: crate::large::Unclaimed },
}

/// A change of entries of one mailbox. The UIDs ascend.
#[derive(Debug)]
pub(crate) enum EntryChange {
    /// Flags are added, then removed.
    Flags { mailbox: MailboxId, uids: Vec<Uid>, add: Flags, remove: Flags },
    /// Entries are removed.
    Expunge { mailbox: MailboxId, uids: Vec<Uid> },
}

impl Job {
    /// Answers with an error.
    pub(crate) fn fail(self, error: Error) {
        match self {
            Job::Commit { answer, .. } => send(answer, Err(error)),
            Job::Entries { answer, .. } => send(answer, Err(error)),
            Job::Settle { answer, .. } => send(answer, Err(error)),
            Job::CreateAccount { answer, .. } => send(answer, Err(error)),
            Job::RemoveAccount { answer, .. } => send(answer, Err(error)),
        }
    }

    /// How much of a segment it takes at most, whatever numbers it is given.
    pub(crate) fn space_max(&self) -> u64 {
        RECORD_MAX
            + match self {
                Job::Commit { message, .. } => message.space_max(),
                Job::Entries { change, .. } => {
                    let (EntryChange::Flags { uids, .. } | EntryChange::Expunge { uids, .. }) = change;
                    uids.len() as u64 * NUMBER_MAX
                }
                Job::Settle { settlement: Settlement::Deferred { reply, .. }, .. } => reply.len() as u64,
                Job::Settle { .. } => 0,
                Job::CreateAccount { name, .. } | Job::RemoveAccount { name, .. } => {
                    RECORD_MAX + name.as_str().len() as u64
                }
            }
    }
}

impl Message {
    fn space_max(&self) -> u64 {
        let content = match &self.content {
            ContentBytes::Here { length, .. } => *length,
            ContentBytes::Large { .. } => 0,
        };
        let place = |delivery: &NewDelivery| match &delivery.destination {
            store::Destination::Queue { .. } => 0,
            // Its place in the acceptance, and at worst an account and two mailboxes that are created for it.
            store::Destination::Mailbox { account, mailbox, .. } => {
                let names = account.as_str().len() + mailbox.as_str().len();
                3 * NUMBER_MAX + 3 * RECORD_MAX + names as u64
            }
        };
        let places: u64 = self.deliveries.iter().map(place).sum();
        2 * RECORD_MAX + content + self.encoded.len() as u64 + places
    }
}

/// Gives an answer. Nobody may be waiting for it any more: a connection can go away at any time, and what was done stays done.
pub(crate) fn send<T>(answer: Answer<T>, result: Result<T>) {
    drop(answer.send(result));
}

/// The most that a number takes in a body: ten bytes of seven bits each.
const NUMBER_MAX: u64 = 10;

/// The most that a record takes besides texts and lists: header, padding, and up to eight numbers.
const RECORD_MAX: u64 = 24 + 8 + 8 * NUMBER_MAX;
