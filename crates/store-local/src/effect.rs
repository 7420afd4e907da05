//! What a batch of the log means for the index and the queue.
//!
//! The writer makes effects from what it has just committed, recovery makes them from what it reads; [`crate::index`] and
//! [`crate::queue`] apply both in the same way, so that a rebuilt index equals the old one.

use crate::body::{
    self, Accepted, AccountChange, Destination, DirectoryChange, Large, LayoutChange, MailboxChange, Opening,
    Placed, QueueChange, Remains, Settlement,
};
use crate::record::{BODY_VERSION, Kind};
use crate::scan::{Batch, Record};
use crate::segment;
use serde::{Deserialize, Serialize};
use store::{Error, MailboxId, ModSeq, QueueName, Result, Timestamp, Uid};

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Locator {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// The length of its body.
    pub(crate) length: u32,
}

/// Where a message's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Content {
    /// In a record of the log.
    Log(Locator),
    /// In a file of its own.
    Large {
        /// The record that says so.
        record: Locator,
        /// How long it is, without the file's own header and checksums.
        length: u64,
        /// CRC32C of the content.
        crc: u32,
    },
}

/// What one record, or the records of one message, mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Opening(Opening),
    Accepted(Arrival),
    Mailbox(MailboxChange),
    Layout(LayoutChange),
    Account(AccountChange),
    Directory(DirectoryChange),
    Settled(Settlement),
    /// With where its record is: it takes space as long as it is remembered.
    Queue(QueueChange, Locator),
    Remains(Remains),
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) spool: u64,
    pub(crate) received: Timestamp,
    /// Where its acceptance is.
    pub(crate) record: Locator,
    pub(crate) content: Content,
    pub(crate) entries: Vec<NewEntry>,
    /// Recipients with a queue entry.
    pub(crate) queued: Vec<NewQueued>,
}

/// A message's entry in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewQueued {
    pub(crate) recipient: u32,
    pub(crate) queue: QueueName,
    /// Whose it counts as: see [`store::sender_group`].
    pub(crate) sender: u32,
    /// When it is first due.
    pub(crate) due: Timestamp,
}

/// A message's entry in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewEntry {
    pub(crate) mailbox: MailboxId,
    pub(crate) uid: Uid,
    pub(crate) modseq: ModSeq,
    /// Which of the acceptance's mailbox deliveries.
    pub(crate) delivery: u32,
    /// Own trace, trace and content.
    pub(crate) size: u64,
}

/// A place in the log: the end of a batch. Where that batch began is kept too, so that the place can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A batch that is durable, and what it means.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) position: Position,
    pub(crate) effects: Vec<Effect>,
}

impl Arrival {
    /// The arrival of a message accepted like this, placed there.
    pub(crate) fn of(
        accepted: &Accepted,
        queued: Vec<NewQueued>,
        placed: &Placed,
        (record, content): (Locator, Content),
    ) -> Arrival {
        // What is beyond all bounds is told by Effect::check.
        let common = accepted.length.saturating_add(accepted.trace.len() as u64);
        let entry = |(delivery, (place, trace)): (usize, (&body::Place, &bytes::Bytes))| NewEntry {
            mailbox: place.mailbox,
            uid: place.uid,
            modseq: place.modseq,
            delivery: delivery as u32,
            size: common.saturating_add(trace.len() as u64),
        };
        Arrival {
            spool: accepted.spool,
            received: accepted.received,
            record,
            content,
            entries: placed.0.iter().zip(accepted.own_traces()).enumerate().map(entry).collect(),
            queued,
        }
    }
}

impl NewQueued {
    /// The queue entries of a message accepted like this.
    pub(crate) fn of(accepted: &Accepted) -> Result<Vec<NewQueued>> {
        let queued = accepted.deliveries.iter().filter_map(|delivery| match delivery.destination {
            Destination::Queue { due } | Destination::Forward { due, .. } => Some((delivery.recipient, due)),
            Destination::Mailbox { .. } => None,
        });
        let mut sender = None;
        let named = |(recipient, due)| {
            let queue = accepted.envelope.queue_name(recipient)?;
            let sender = match sender {
                Some(sender) => sender,
                None => *sender.insert(sender_of(&accepted.envelope.reverse_path()?)),
            };
            Ok(NewQueued { recipient, queue, sender, due })
        };
        queued.map(named).collect()
    }
}

impl Committed {
    /// Understands a batch that was read. The error says which record it could not.
    pub(crate) fn read(segment: u64, batch: &Batch) -> Result<Committed> {
        let mut effects = Vec::new();
        let mut unaccepted = None;
        for record in &batch.records {
            let read = effect(segment, record, &mut unaccepted);
            let read = read.map_err(|error| {
                Error::Damaged(format!(
                    "record at {} of segment {}: {error}",
                    record.offset,
                    segment::name(segment)
                ))
            })?;
            effects.extend(read);
        }
        Ok(Committed { position: Position { segment, start: batch.start, end: batch.end }, effects })
    }
}

/// A number that stands for a sender's group. Two groups that share one only share their turns.
fn sender_of(reverse_path: &smtp::ReversePath) -> u32 {
    crc32c::crc32c(store::sender_group(reverse_path).as_bytes())
}

/// A content whose acceptance has not come yet.
struct Unaccepted {
    /// The message that it says it belongs to; unknown when it is damaged.
    spool: Option<u64>,
    content: Content,
}

/// What one record means; that of a content is part of the acceptance that follows it.
fn effect(segment: u64, record: &Record, unaccepted: &mut Option<Unaccepted>) -> Result<Option<Effect>> {
    let header = &record.header;
    let at = Locator { segment, offset: record.offset, length: header.length };
    if header.version != BODY_VERSION {
        let version = header.version;
        return Err(Error::Damaged(format!(
            "its format is version {version}, which this program does not know"
        )));
    }
    let body = match &record.body {
        Some(body) => body,
        // Damaged content is found out when somebody reads it; where it is, is known.
        None if header.kind == Kind::Content => {
            *unaccepted = Some(Unaccepted { spool: None, content: Content::Log(at) });
            return Ok(None);
        }
        None => return Err(Error::Damaged("its checksum does not match".to_owned())),
    };
    let effect = match header.kind {
        Kind::Content => {
            let spool = body.first_chunk().map(|id| u64::from_le_bytes(*id));
            spool.ok_or_else(|| Error::Damaged("a content without a spool id".to_owned()))?;
            *unaccepted = Some(Unaccepted { spool, content: Content::Log(at) });
            None
        }
        Kind::Large => {
            let Large { spool, length, crc } = body::decode(body)?;
            let content = Content::Large { record: at, length, crc };
            *unaccepted = Some(Unaccepted { spool: Some(spool), content });
            None
        }
        Kind::Accepted => {
            let (accepted, placed) = Accepted::decode(body)?;
            let own = unaccepted.take().filter(|own| own.spool.is_none_or(|spool| spool == accepted.spool));
            let own = own.ok_or_else(|| Error::Damaged("a message without its content".to_owned()))?;
            let queued = NewQueued::of(&accepted)?;
            Some(Effect::Accepted(Arrival::of(&accepted, queued, &placed, (at, own.content))))
        }
        Kind::Opening => Some(Effect::Opening(body::decode(body)?)),
        Kind::Mailbox | Kind::Entries => {
            let change: MailboxChange = body::decode(body)?;
            if change.kind() != header.kind {
                return Err(Error::Damaged("a change of entries in a record of another kind".to_owned()));
            }
            Some(Effect::Mailbox(change))
        }
        Kind::Layout => Some(Effect::Layout(body::decode(body)?)),
        Kind::Account => Some(Effect::Account(body::decode(body)?)),
        Kind::Directory => Some(Effect::Directory(body::decode(body)?)),
        Kind::Settlement => Some(Effect::Settled(body::decode(body)?)),
        Kind::Queue => Some(Effect::Queue(body::decode(body)?, at)),
        Kind::Remains => Some(Effect::Remains(body::decode(body)?)),
        kind @ Kind::Unknown(_) => {
            let number = kind.number();
            let what =
                format!("it is of kind {number}, which this program does not know: a later one wrote it");
            return Err(Error::Damaged(what));
        }
    };
    effect.as_ref().map_or(Ok(()), Effect::check)?;
    Ok(effect)
}
