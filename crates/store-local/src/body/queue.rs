//! The body of a queue record: what became of a delivery, or what an operator ordered.
//!
//! A fate says all that is remembered of a delivery, because the message itself may be gone. Its number counts the fates; `forgotten` says
//! up to which number they are to be remembered no longer. So what is remembered follows from the log alone: the last fate is always
//! there, and it says what is not.

use super::{Envelope, Recipient};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use store::{Attempt, DeliveryId, Ending, Hold, Pause, PauseScope, Result, SpoolId, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum QueueChange {
    /// A delivery is done with.
    Ended { number: u64, forgotten: u64, fate: Box<Fate> },
    /// A delivery is not tried until it is released.
    Held { spool: u64, recipient: u32, hold: Hold },
    /// A delivery is tried again.
    Released { spool: u64, recipient: u32 },
    /// A delivery is due then.
    Due { spool: u64, recipient: u32, due: Timestamp },
    /// A delivery goes where mail for this destination goes.
    Rerouted { spool: u64, recipient: u32, queue: String },
    /// Mail waits.
    Paused(Pause),
    /// It waits no longer.
    Resumed(PauseScope),
}

/// What is remembered of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fate {
    pub(crate) spool: u64,
    /// Which of the envelope's recipients.
    pub(crate) number: u32,
    pub(crate) received: Timestamp,
    /// `<mailbox>` or `<>`.
    pub(crate) reverse_path: String,
    pub(crate) recipient: Recipient,
    /// The length of the content.
    pub(crate) size: u64,
    pub(crate) queue: String,
    /// When it was due last.
    pub(crate) due: Timestamp,
    pub(crate) trace: Bytes,
    pub(crate) attempts: u32,
    pub(crate) history: Vec<AttemptRecord>,
    pub(crate) ended: Timestamp,
    pub(crate) ending: Ending,
}

/// An attempt. What later programs want to say about one goes into `more`, so that earlier fates can still be read, and by earlier programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AttemptRecord {
    pub(crate) at: Timestamp,
    pub(crate) took: u32,
    pub(crate) host: Option<String>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) reply: String,
    /// By number; those that are not known are passed over.
    pub(crate) more: Vec<(u32, Vec<u8>)>,
}

impl QueueChange {
    /// The queued delivery that it adjusts.
    pub(crate) fn adjusted(&self) -> Option<DeliveryId> {
        match self {
            QueueChange::Held { spool, recipient, .. }
            | QueueChange::Released { spool, recipient }
            | QueueChange::Due { spool, recipient, .. }
            | QueueChange::Rerouted { spool, recipient, .. } => {
                Some(DeliveryId { spool: SpoolId(*spool), recipient: *recipient })
            }
            QueueChange::Ended { .. } | QueueChange::Paused(_) | QueueChange::Resumed(_) => None,
        }
    }

    /// How long its texts are at most.
    pub(crate) fn texts(&self) -> usize {
        match self {
            QueueChange::Ended { fate, .. } => super::encode(fate).len(),
            QueueChange::Held { hold, .. } => hold.reason.len(),
            QueueChange::Rerouted { queue, .. } => queue.len(),
            QueueChange::Paused(pause) => pause.scope.name().len() + pause.reason.len(),
            QueueChange::Resumed(scope) => scope.name().len(),
            QueueChange::Released { .. } | QueueChange::Due { .. } => 0,
        }
    }
}

impl Fate {
    /// The fate as the domain knows it.
    pub(crate) fn value(&self) -> Result<store::Fate> {
        let queue =
            self.queue.parse().map_err(|_| super::unreadable_as("fate's destination", &self.queue))?;
        let delivery = store::Delivery {
            id: DeliveryId { spool: SpoolId(self.spool), recipient: self.number },
            received: self.received,
            reverse_path: Envelope::path(&self.reverse_path)?,
            recipient: self.recipient.value()?,
            forward: None,
            size: self.size,
            queue,
            due: self.due,
            held: None,
            attempts: self.attempts,
            history: self.history.iter().map(Attempt::from).collect(),
        };
        Ok(store::Fate { delivery, trace: self.trace.clone(), ended: self.ended, ending: self.ending })
    }
}

impl From<&Attempt> for AttemptRecord {
    fn from(attempt: &Attempt) -> AttemptRecord {
        // By name, so that a new field cannot be forgotten here.
        let Attempt { at, took, host, address, tls, choice, reply, told } = attempt;
        let tls = tls.as_ref().map(|tls| (TLS, super::encode(tls)));
        let choice = choice.as_ref().map(|choice| (CHOICE, choice.clone().into_bytes()));
        let told = told.as_ref().map(|told| (TOLD, super::encode(told)));
        AttemptRecord {
            at: *at,
            took: *took,
            host: host.clone(),
            address: *address,
            reply: reply.clone(),
            more: tls.into_iter().chain(choice).chain(told).collect(),
        }
    }
}

impl From<&AttemptRecord> for Attempt {
    fn from(record: &AttemptRecord) -> Attempt {
        let AttemptRecord { at, took, host, address, reply, more } = record;
        let more =
            |wanted: u32| more.iter().find(|(number, _)| *number == wanted).map(|(_, bytes)| &bytes[..]);
        Attempt {
            at: *at,
            took: *took,
            host: host.clone(),
            address: *address,
            tls: more(TLS).and_then(|bytes| super::decode(bytes).ok()),
            choice: more(CHOICE).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()),
            reply: reply.clone(),
            told: more(TOLD).and_then(|bytes| super::decode(bytes).ok()),
        }
    }
}

/// What is more to say about an attempt: [`store::Tls`].
const TLS: u32 = 1;
/// Text.
const CHOICE: u32 = 2;
/// [`store::Told`].
const TOLD: u32 = 3;
