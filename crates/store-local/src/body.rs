//! The bodies of the log's records, as postcard structs, and their way from and to the domain's values.
//!
//! These types are a format on disk: a change to one needs a new body version of its kind ([`crate::record`]) and a reader for the old
//! one. Addresses are kept as the text that `smtp` parses and prints, so that the format does not follow that crate's types.

mod directory;
mod mailboxes;
mod queue;
mod settlement;

pub(crate) use directory::{Belongings, DirectoryChange, Subject};
pub(crate) use mailboxes::{Copied, CopiedEntry, LayoutChange, MailboxChange, Originals};
pub(crate) use queue::{AttemptRecord, Fate, QueueChange};
use settlement::SettlementRecord;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{
    AccountId, AccountName, Attempt, Error, MailboxId, MailboxName, ModSeq, Origin, QueueName, Result,
};
use store::{Timestamp, Uid, UidValidity};

/// The highest numbers given so far: what must never be given again, even when the records that show it are reclaimed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) spool: u64,
    pub(crate) account: u64,
    pub(crate) mailbox: u64,
    pub(crate) validity: UidValidity,
    pub(crate) modseq: ModSeq,
}

/// The first record of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// Where the records of the segment before this end; 0 when there is none before.
    pub(crate) previous_end: u64,
    pub(crate) counters: Counters,
}

/// The content of a message is in `large/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Large {
    pub(crate) spool: u64,
    pub(crate) length: u64,
    /// CRC32C of the content.
    pub(crate) crc: u32,
}

/// A message's acceptance, as its connection knows it. In the record a [`Placed`] follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) spool: u64,
    pub(crate) received: Timestamp,
    /// The length of the content.
    pub(crate) length: u64,
    pub(crate) trace: Bytes,
    pub(crate) envelope: Envelope,
    pub(crate) deliveries: Vec<Delivery>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// `<mailbox>` or `<>`.
    pub(crate) reverse_path: String,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) body: Body,
    /// Bits: [`SMTPUTF8`], [`REQUIRETLS`]. The first alone once stood here, as a bool, which is written in the same way.
    pub(crate) marks: u8,
    pub(crate) ret: Option<Return>,
    pub(crate) envelope_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recipient {
    /// `<mailbox>` or `<Postmaster>`.
    pub(crate) forward_path: String,
    pub(crate) notify: Option<Notify>,
    /// As RCPT carries it: type and encoded address.
    pub(crate) original: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    SevenBit,
    EightBitMime,
    BinaryMime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Return {
    Full,
    Headers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Notify {
    Never,
    On { success: bool, failure: bool, delay: bool },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) recipient: u32,
    pub(crate) destination: Destination,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Destination {
    /// Its account and mailbox are in [`Placed`].
    Mailbox {
        trace: Bytes,
    },
    Queue {
        due: Timestamp,
    },
    Forward {
        due: Timestamp,
        /// `<mailbox>` or `<>`.
        reverse_path: String,
        trace: Bytes,
    },
}

/// Where the mailbox deliveries of a message went: one for each, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Placed(pub(crate) Vec<Place>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) mailbox: MailboxId,
    pub(crate) uid: Uid,
    pub(crate) modseq: ModSeq,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AccountChange {
    Created {
        id: AccountId,
        name: AccountName,
        origin: Origin,
        created: Timestamp,
    },
    Raised {
        id: AccountId,
        name: AccountName,
        origin: Origin,
    },
    Removed {
        id: AccountId,
        name: AccountName,
    },
    MailboxCreated {
        id: MailboxId,
        account: AccountId,
        name: MailboxName,
        validity: UidValidity,
        modseq: ModSeq,
    },
    /// The store was made from a backup, and what was given after that is not known: each mailbox has a UIDVALIDITY that is this one plus
    /// its id from here on, and no number up to these is given again.
    Restored {
        validity: UidValidity,
        counters: Counters,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SettlementRecord", into = "SettlementRecord")]
pub(crate) enum Settlement {
    Done {
        spool: u64,
        recipient: u32,
    },
    /// `attempts` is the new count, so that the record alone says where the delivery stands.
    Deferred {
        spool: u64,
        recipient: u32,
        due: Timestamp,
        attempts: u32,
        attempt: Box<Attempt>,
    },
}

/// The UIDVALIDITY of a mailbox after [`AccountChange::Restored`].
pub(crate) fn restored_validity(validity: UidValidity, mailbox: MailboxId) -> UidValidity {
    UidValidity(validity.0.saturating_add(u32::try_from(mailbox.0).unwrap_or(u32::MAX)))
}

/// Of each mailbox, the last UID and ModSeq of messages whose records were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Remains(pub(crate) Vec<Place>);

/// The bytes of a body.
pub(crate) fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    postcard::to_stdvec(body)
        .expect("these types have no maps of unknown length and no custom serializers: nothing can fail")
}

/// Reads a body that is this and nothing more.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((body, [])) => Ok(body),
        Ok((_, rest)) => {
            Err(Error::Damaged(format!("{} bytes too many in a {}", rest.len(), std::any::type_name::<T>())))
        }
        Err(error) => Err(Error::Damaged(format!("not a {}: {error}", std::any::type_name::<T>()))),
    }
}

impl Accepted {
    /// Reads the two parts of an acceptance's body.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Accepted, Placed)> {
        let (accepted, rest): (Accepted, &[u8]) = postcard::take_from_bytes(bytes)
            .map_err(|error| Error::Damaged(format!("not the acceptance of a message: {error}")))?;
        let placed: Placed = decode(rest)?;
        if placed.0.len() != accepted.own_traces().count() {
            return Err(Error::Damaged("an acceptance places more or fewer entries than it has".to_owned()));
        }
        Ok((accepted, placed))
    }

    /// What stays of a message about to be accepted, once its accounts and mailboxes are taken out.
    pub(crate) fn of(spool: u64, length: u64, accepted: &store::Accepted) -> Accepted {
        let delivery = |delivery: &store::NewDelivery| Delivery {
            recipient: delivery.recipient,
            destination: match &delivery.destination {
                store::Destination::Mailbox { trace, .. } => Destination::Mailbox { trace: trace.clone() },
                store::Destination::Queue { due } => Destination::Queue { due: *due },
                store::Destination::Forward { due, forward } => Destination::Forward {
                    due: *due,
                    reverse_path: forward.reverse_path.to_string(),
                    trace: forward.trace.clone(),
                },
            },
        };
        Accepted {
            spool,
            received: accepted.received,
            length,
            trace: accepted.trace.clone(),
            envelope: Envelope::of(&accepted.envelope),
            deliveries: accepted.deliveries.iter().map(delivery).collect(),
        }
    }

    /// The trace fields for each mailbox entry alone, in the order of [`Placed`].
    pub(crate) fn own_traces(&self) -> impl Iterator<Item = &Bytes> {
        self.deliveries.iter().filter_map(|delivery| match &delivery.destination {
            Destination::Mailbox { trace } => Some(trace),
            Destination::Queue { .. } | Destination::Forward { .. } => None,
        })
    }

    /// How the queue entry of a recipient is sent on, when that differs from what the envelope says.
    pub(crate) fn forward(&self, recipient: u32) -> Result<Option<store::Forward>> {
        let forward = self.deliveries.iter().find_map(|delivery| match &delivery.destination {
            Destination::Forward { reverse_path, trace, .. } if delivery.recipient == recipient => {
                Some((reverse_path, trace))
            }
            _ => None,
        });
        let Some((path, trace)) = forward else { return Ok(None) };
        let reverse_path = path.parse().map_err(|_| unreadable("reverse-path", path))?;
        Ok(Some(store::Forward { reverse_path, trace: trace.clone() }))
    }
}

impl Envelope {
    fn of(envelope: &smtp::Envelope) -> Envelope {
        // By name, so that a new field of the envelope cannot be forgotten here.
        let smtp::Envelope { reverse_path, recipients, body, smtputf8, require_tls, ret, envelope_id } =
            envelope;
        Envelope {
            reverse_path: reverse_path.to_string(),
            recipients: recipients.iter().map(Recipient::of).collect(),
            body: match body {
                smtp::Body::SevenBit => Body::SevenBit,
                smtp::Body::EightBitMime => Body::EightBitMime,
                smtp::Body::BinaryMime => Body::BinaryMime,
            },
            marks: if *smtputf8 { SMTPUTF8 } else { 0 } | if *require_tls { REQUIRETLS } else { 0 },
            ret: ret.map(|ret| match ret {
                smtp::Return::Full => Return::Full,
                smtp::Return::Headers => Return::Headers,
            }),
            envelope_id: envelope_id.as_ref().map(|id| id.as_str().to_owned()),
        }
    }

    /// The reverse-path alone.
    pub(crate) fn reverse_path(&self) -> Result<smtp::ReversePath> {
        Envelope::path(&self.reverse_path)
    }

    /// A reverse-path as it is kept.
    fn path(text: &str) -> Result<smtp::ReversePath> {
        text.parse().map_err(|_| unreadable("reverse-path", text))
    }

    /// The whole envelope.
    pub(crate) fn value(&self) -> Result<smtp::Envelope> {
        let recipients = self.recipients.iter().map(Recipient::value).collect::<Result<_>>()?;
        let mut envelope = smtp::Envelope::new(self.reverse_path()?, recipients);
        envelope.body = match self.body {
            Body::SevenBit => smtp::Body::SevenBit,
            Body::EightBitMime => smtp::Body::EightBitMime,
            Body::BinaryMime => smtp::Body::BinaryMime,
        };
        if self.marks & !(SMTPUTF8 | REQUIRETLS) != 0 {
            return Err(Error::Damaged(format!("an envelope asks for something unknown: {:#x}", self.marks)));
        }
        envelope.smtputf8 = self.marks & SMTPUTF8 != 0;
        envelope.require_tls = self.marks & REQUIRETLS != 0;
        envelope.ret = self.ret.map(|ret| match ret {
            Return::Full => smtp::Return::Full,
            Return::Headers => smtp::Return::Headers,
        });
        let id = |id: &String| smtp::EnvelopeId::new(id).ok_or_else(|| unreadable("envelope identifier", id));
        envelope.envelope_id = self.envelope_id.as_ref().map(id).transpose()?;
        Ok(envelope)
    }
}

impl Envelope {
    /// The destination of a recipient's queue entry.
    pub(crate) fn queue_name(&self, recipient: u32) -> Result<QueueName> {
        let missing = || Error::Damaged(format!("an envelope has no recipient {recipient}"));
        let recipient = self.recipients.get(recipient as usize).ok_or_else(missing)?;
        QueueName::of(&recipient.value()?.forward_path)
            .ok_or_else(|| unreadable("forward-path for the queue", &recipient.forward_path))
    }
}

impl Recipient {
    fn of(recipient: &smtp::Recipient) -> Recipient {
        let smtp::Recipient { forward_path, notify, original } = recipient;
        Recipient {
            forward_path: forward_path.to_string(),
            notify: notify.map(|notify| match notify {
                smtp::Notify::Never => Notify::Never,
                smtp::Notify::On { success, failure, delay } => Notify::On { success, failure, delay },
            }),
            original: original.as_ref().map(ToString::to_string),
        }
    }

    /// The recipient as `smtp` knows it.
    pub(crate) fn value(&self) -> Result<smtp::Recipient> {
        let forward_path =
            self.forward_path.parse().map_err(|_| unreadable("forward-path", &self.forward_path))?;
        let mut recipient = smtp::Recipient::new(forward_path);
        recipient.notify = self.notify.map(|notify| match notify {
            Notify::Never => smtp::Notify::Never,
            Notify::On { success, failure, delay } => smtp::Notify::On { success, failure, delay },
        });
        if let Some(original) = &self.original {
            let read = original.parse().map_err(|_| unreadable("original recipient", original))?;
            recipient.original = Some(read);
        }
        Ok(recipient)
    }
}

/// A bit of [`Envelope::marks`].
const SMTPUTF8: u8 = 1;
/// A bit of [`Envelope::marks`].
const REQUIRETLS: u8 = 2;

fn unreadable(what: &str, text: &str) -> Error {
    unreadable_as(&format!("envelope's {what}"), text)
}

fn unreadable_as(what: &str, text: &str) -> Error {
    Error::Damaged(format!("an {what} cannot be read: {text:?}"))
}

#[cfg(test)]
mod tests;
