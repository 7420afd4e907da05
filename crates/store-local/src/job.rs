//! What callers ask of the writer, and how they are answered.

use crate::body::{Accepted, Fate, QueueChange, Settlement};
use crate::effect::NewQueued;
use bytes::Bytes;
use smtp::{Domain, Mailbox};
use store::{
    Account, AccountName, Appended, ApplicationPassword, Copied, Entry, Error, KEYWORD_MAX, KEYWORDS_MAX,
    MAILBOXES_MAX, MailboxId, MailboxName, Marked, Marking, Marks, ModSeq, NewAccount, NewDelivery, Origin,
    Originals, Quota, Result, Secret, SpecialUse, SpoolId, Timestamp, Uid,
};
use tokio::sync::oneshot;

/// One act to be made durable.
#[derive(Debug)]
pub(crate) enum Job {
    /// A message.
    Commit { message: Box<Message>, now: Timestamp, answer: Answer<SpoolId> },
    /// A change of entries, answered when it is readable.
    Entries { change: EntryChange, answer: Told },
    /// Messages that their reader puts into a mailbox.
    Append { mailbox: MailboxId, messages: Vec<(Message, Marks)>, answer: Answer<Appended> },
    /// Copies of entries.
    Copy { copying: Box<Copying>, now: Timestamp, answer: Answer<Copied> },
    /// A change of mailboxes as such; answered with the one that was made.
    Layout { request: LayoutRequest, now: Timestamp, answer: Answer<Option<MailboxId>> },
    /// The outcome of a delivery.
    Settle { settlement: Settlement, answer: Answer<()> },
    /// The end of a delivery, to be remembered: `keep` fates at most, and none up to the number `expired`.
    End { fate: Box<Fate>, expired: u64, keep: u64, answer: Answer<()> },
    /// Another change of the queue.
    Queue { change: QueueChange, answer: Answer<()> },
    /// A new account, or a stronger origin for one.
    CreateAccount { new: Box<NewAccount>, now: Timestamp, answer: Answer<Account> },
    /// What follows on the restoration of a backup.
    Restored { now: Timestamp, answer: Answer<()> },
    /// An account's end.
    RemoveAccount { name: AccountName, answer: Answer<()> },
    /// Another change of the directory.
    Directory { request: Box<DirectoryRequest>, now: Timestamp, answer: Answer<()> },
}

/// A change of the directory; its texts were checked.
#[derive(Debug)]
pub(crate) enum DirectoryRequest {
    /// Of what belongs to an account.
    Account(AccountName, ForAccount),
    SetAlias {
        name: AccountName,
        targets: Vec<Mailbox>,
        origin: Origin,
    },
    RemoveAlias {
        name: AccountName,
    },
    CreateDomain {
        name: Domain,
        origin: Origin,
    },
    RemoveDomain {
        name: Domain,
    },
}

/// A change of what belongs to an account.
#[derive(Debug)]
pub(crate) enum ForAccount {
    Quota(Quota),
    FullName(Option<String>),
    /// The main password; with what must be kept of it until now.
    Password {
        before: Option<Secret>,
        password: Secret,
        scram: Option<Secret>,
    },
    AddApplicationPassword(ApplicationPassword),
    RemoveApplicationPassword(String),
    Used {
        name: String,
        at: Timestamp,
    },
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
    /// Its entries in the queue.
    pub(crate) queued: Vec<NewQueued>,
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

/// A change of entries of one mailbox. The UIDs ascend. With `seen` it was made for the entries as they were at that moment, and is
/// refused with [`Error::Changed`] when any of the mailbox was changed since.
#[derive(Debug)]
pub(crate) enum EntryChange {
    /// Marks are added and removed.
    Mark { mailbox: MailboxId, uids: Vec<Uid>, marking: Box<Marking>, seen: Option<ModSeq> },
    /// Entries are removed.
    Expunge { mailbox: MailboxId, uids: Vec<Uid>, seen: Option<ModSeq> },
}

/// Who wants to know what a change of entries has found.
#[derive(Debug)]
pub(crate) enum Told {
    /// How many entries there were.
    Count(Answer<u64>),
    /// What became of them.
    Marked(Answer<Marked>),
}

/// Entries to be copied, as they were at the moment `seen`.
#[derive(Debug)]
pub(crate) struct Copying {
    pub(crate) source: MailboxId,
    /// Ascending by UID.
    pub(crate) entries: Vec<Entry>,
    pub(crate) seen: ModSeq,
    pub(crate) target: Target,
    pub(crate) originals: Originals,
}

/// Where copies go.
#[derive(Debug)]
pub(crate) enum Target {
    Mailbox(MailboxId),
    /// Into a new mailbox of the same account.
    New(MailboxName),
}

/// A change of mailboxes as such.
#[derive(Debug)]
pub(crate) enum LayoutRequest {
    Create { account: AccountName, name: MailboxName, special_use: Option<SpecialUse> },
    Rename { account: AccountName, from: MailboxName, to: MailboxName },
    Delete { account: AccountName, name: MailboxName },
    SpecialUse { account: AccountName, name: MailboxName, special_use: Option<SpecialUse> },
    Subscribe { account: AccountName, name: MailboxName },
    Unsubscribe { account: AccountName, name: MailboxName },
}

impl Job {
    /// Answers with an error.
    pub(crate) fn fail(self, error: Error) {
        match self {
            Job::Commit { answer, .. } => send(answer, Err(error)),
            Job::Entries { answer, .. } => answer.fail(error),
            Job::Append { answer, .. } => send(answer, Err(error)),
            Job::Copy { answer, .. } => send(answer, Err(error)),
            Job::Layout { answer, .. } => send(answer, Err(error)),
            Job::Settle { answer, .. } | Job::End { answer, .. } | Job::Queue { answer, .. } => {
                send(answer, Err(error));
            }
            Job::CreateAccount { answer, .. } => send(answer, Err(error)),
            Job::Restored { answer, .. }
            | Job::RemoveAccount { answer, .. }
            | Job::Directory { answer, .. } => send(answer, Err(error)),
        }
    }

    /// How much of a segment it takes at most, whatever numbers it is given.
    pub(crate) fn space_max(&self) -> u64 {
        RECORD_MAX
            + match self {
                Job::Commit { message, .. } => message.space_max(),
                Job::Entries { change: EntryChange::Mark { uids, marking, .. }, .. } => {
                    uids.len() as u64 * NUMBER_MAX + keywords_max(marking.add.keywords.len()) + MASKS_MAX
                }
                Job::Entries { change: EntryChange::Expunge { uids, .. }, .. } => {
                    uids.len() as u64 * NUMBER_MAX
                }
                Job::Append { messages, .. } => {
                    let of = |(message, marks): &(Message, Marks)| {
                        message.space_max() + RECORD_MAX + keywords_max(marks.keywords.len()) + MASKS_MAX
                    };
                    messages.iter().map(of).sum()
                }
                Job::Copy { copying, .. } => {
                    let name = match &copying.target {
                        Target::Mailbox(_) => 0,
                        Target::New(name) => RECORD_MAX + name.as_str().len() as u64,
                    };
                    copying.entries.len() as u64 * COPY_MAX + keywords_max(KEYWORDS_MAX) + name
                }
                Job::Layout { request, .. } => request.space_max(),
                Job::Settle { settlement: Settlement::Deferred { attempt, .. }, .. } => {
                    crate::body::encode(&crate::body::AttemptRecord::from(&**attempt)).len() as u64
                        + 4 * NUMBER_MAX
                }
                Job::Settle { .. } | Job::Restored { .. } => 0,
                Job::End { fate, .. } => crate::body::encode(fate).len() as u64,
                Job::Queue { change, .. } => change.texts() as u64,
                Job::CreateAccount { new, .. } => {
                    let secrets = [&new.password, &new.scram].into_iter().flatten();
                    let texts = secrets.map(|secret| secret.reveal().len()).sum::<usize>()
                        + new.full_name.as_ref().map_or(0, String::len)
                        + new.name.as_str().len();
                    4 * RECORD_MAX + texts as u64
                }
                Job::RemoveAccount { name, .. } => RECORD_MAX + name.as_str().len() as u64,
                Job::Directory { request, .. } => RECORD_MAX + request.texts() as u64,
            }
    }
}

impl Told {
    /// Answers with an error.
    pub(crate) fn fail(self, error: Error) {
        match self {
            Told::Count(answer) => send(answer, Err(error)),
            Told::Marked(answer) => send(answer, Err(error)),
        }
    }
}

impl LayoutRequest {
    fn space_max(&self) -> u64 {
        match self {
            // As many as there may be have the longest names.
            LayoutRequest::Rename { .. } => MAILBOXES_MAX as u64 * (RECORD_MAX + NAME_MAX),
            _ => 2 * (RECORD_MAX + NAME_MAX),
        }
    }
}

impl DirectoryRequest {
    /// The account whose passwords it changes.
    pub(crate) fn passwords_of(&self) -> Option<&AccountName> {
        match self {
            DirectoryRequest::Account(name, change) => match change {
                ForAccount::Quota(_) | ForAccount::FullName(_) => None,
                ForAccount::Password { .. }
                | ForAccount::AddApplicationPassword(_)
                | ForAccount::RemoveApplicationPassword(_)
                | ForAccount::Used { .. } => Some(name),
            },
            _ => None,
        }
    }

    /// How long its texts are at most, together, with their lengths.
    fn texts(&self) -> usize {
        let secrets = |password: &Secret, scram: &Option<Secret>| {
            password.reveal().len() + scram.as_ref().map_or(0, |scram| scram.reveal().len())
        };
        match self {
            DirectoryRequest::Account(_, change) => match change {
                ForAccount::Quota(_) => 0,
                ForAccount::FullName(full_name) => full_name.as_ref().map_or(0, String::len),
                ForAccount::Password { password, scram, .. } => secrets(password, scram),
                ForAccount::AddApplicationPassword(new) => {
                    new.name.len() + secrets(&new.password, &new.scram)
                }
                ForAccount::RemoveApplicationPassword(name) | ForAccount::Used { name, .. } => name.len(),
            },
            DirectoryRequest::SetAlias { name, targets, .. } => {
                let text = |target: &Mailbox| target.to_string().len() + NUMBER_MAX as usize;
                name.as_str().len() + targets.iter().map(text).sum::<usize>()
            }
            DirectoryRequest::RemoveAlias { name } => name.as_str().len(),
            DirectoryRequest::CreateDomain { name, .. } | DirectoryRequest::RemoveDomain { name } => {
                name.ascii().len() + name.to_string().len()
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
            store::Destination::Queue { .. } | store::Destination::Forward { .. } => 0,
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

/// The most that the masks of a change of marks take.
const MASKS_MAX: u64 = 64;

/// The most that a copied entry takes.
const COPY_MAX: u64 = 6 * NUMBER_MAX + 19;

/// The longest name of a mailbox, or a bit more.
const NAME_MAX: u64 = 256;

/// The most that it takes to number so many keywords.
fn keywords_max(count: usize) -> u64 {
    count as u64 * (RECORD_MAX + KEYWORD_MAX as u64)
}
