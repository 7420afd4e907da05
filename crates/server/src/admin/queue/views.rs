//! What is asked about the queue and what is answered, as values of the admin protocol.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use store::{
    Attempt, Delivery, Ending, Hold, Pause, PauseScope, QueueName, Timestamp, Tls, Told, Unreadable,
};

/// What can be asked about the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "queue", rename_all = "snake_case")]
pub enum QueueRequest {
    /// Queued deliveries, in the order in which their messages came. Answers: [`super::super::Item::Delivery`] each.
    List {
        /// Which.
        filter: QueueFilter,
        /// How many at most.
        limit: usize,
    },
    /// What is queued by destination. Answers: [`super::super::Item::Backlog`] each.
    Summary {
        /// How many destinations at most.
        limit: usize,
    },
    /// The stories of messages: of one by its id, or of the latest from or to an address. Answers: [`super::super::Item::Story`] each.
    Explain {
        /// An id or an address.
        what: String,
        /// How many at most.
        limit: usize,
    },
    /// Does something with queued deliveries. Answers: [`super::super::Item::Ordered`].
    Order {
        /// Which.
        filter: QueueFilter,
        /// What.
        order: QueueOrder,
        /// Whether it is done, or only counted.
        intent: Intent,
    },
    /// Lets mail wait from now on.
    Pause {
        /// Which.
        scope: PauseScope,
        /// Why; may be empty.
        reason: String,
    },
    /// Lets mail wait no longer. Answers: [`super::super::Item::Removed`].
    Resume {
        /// Which.
        scope: PauseScope,
    },
    /// The pauses in force. Answers: [`super::super::Item::Pause`] each.
    Pauses,
}

/// What is done with queued deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum QueueOrder {
    /// They are not tried until they are released.
    Hold {
        /// Why; may be empty.
        reason: String,
    },
    /// They are tried again as they are due.
    Release,
    /// They are due now.
    Retry,
    /// They go where mail for this destination goes.
    Reroute {
        /// A domain or an address literal.
        to: String,
    },
    /// They are done with.
    Remove {
        /// Whether their senders are told.
        report: SenderReport,
    },
}

/// Whether a sender is told that a delivery was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderReport {
    /// It is not.
    Silent,
    /// It gets a report with this reason; may be empty.
    Reason(String),
}

/// Whether an order is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// It is.
    Do,
    /// It is only counted what it is about.
    Count,
}

/// Which queued deliveries: those that fit everything that is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFilter {
    /// Messages by their ids.
    pub ids: Vec<String>,
    /// From this address, or from this domain.
    pub sender: Option<String>,
    /// To this address, or to this domain.
    pub recipient: Option<String>,
    /// Queued for this destination.
    pub domain: Option<String>,
    /// Of the site with a host of this name, or with one below it; as long as the site is not known, tried last at such a host.
    pub site: Option<String>,
    /// Accepted at least so many milliseconds ago.
    pub older: Option<i64>,
    /// Accepted at most so many milliseconds ago.
    pub younger: Option<i64>,
    /// Said about it last, somewhere in the reply; letters of either case.
    pub reason: Option<String>,
    /// On hold, or not.
    pub state: Option<HoldState>,
}

/// Whether a delivery is on hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// It is.
    Held,
    /// It is not.
    Waiting,
}

/// What an order was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedView {
    /// How many deliveries.
    pub deliveries: u64,
    /// Of how many messages.
    pub messages: u64,
    /// To which destinations, the first few.
    pub destinations: Vec<String>,
    /// How many more destinations.
    pub more: u64,
}

/// What is queued for a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogView {
    /// The destination.
    pub destination: String,
    /// How many deliveries.
    pub deliveries: u64,
    /// How many of them are on hold.
    pub held: u64,
    /// When the oldest message came.
    pub oldest: Timestamp,
    /// When the next one is due; in the past when it is under way or waits for its turn.
    pub next: Option<Timestamp>,
    /// Why all of it waits.
    pub paused: Option<Pause>,
    /// The last attempt for the oldest message.
    pub last: Option<AttemptView>,
    /// The site that it belongs to, if a server runs that knows it.
    pub site: Option<SiteView>,
}

/// What a running server knows of the hosts that a destination's mail goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteView {
    /// Their names, or what the settings call them.
    pub site: String,
    /// Connections that carry mail.
    pub connections: usize,
    /// Connections that wait for mail.
    pub idle: usize,
    /// How many connections it is thought to bear now.
    pub limit: usize,
    /// How many messages one connection carries.
    pub messages: u32,
    /// How long nothing is sent there, in milliseconds: it is busy, or its rates are used up.
    pub wait: Option<u64>,
}

impl From<crate::queue::SiteState> for SiteView {
    fn from(state: crate::queue::SiteState) -> SiteView {
        SiteView {
            site: state.site.to_string(),
            connections: state.active,
            idle: state.idle,
            limit: state.limit,
            messages: state.messages,
            wait: state.wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// A delivery, queued or done with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// The message.
    pub id: String,
    /// When it came.
    pub received: Timestamp,
    /// From whom; empty for the null reverse-path.
    pub sender: String,
    /// To whom.
    pub recipient: String,
    /// The length of the content in bytes.
    pub size: u64,
    /// Where mail for this recipient goes.
    pub destination: String,
    /// When it is due; when it was due last, when it is done with.
    pub due: Timestamp,
    /// Why it is not tried.
    pub held: Option<Hold>,
    /// Why nothing is tried for its destination.
    pub paused: Option<Pause>,
    /// How often it was tried.
    pub attempts: u32,
    /// The attempts that are remembered: the first one and the latest.
    pub history: Vec<AttemptView>,
    /// How it ended, and when.
    pub end: Option<EndView>,
    /// Whether its message can be read; if not, sender, recipient and size are empty.
    #[serde(default)]
    pub readable: Readable,
}

/// Whether a queued delivery's message can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readable {
    /// It can.
    #[default]
    Yes,
    /// Its records in the store are damaged.
    No,
}

/// The end of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndView {
    /// When.
    pub at: Timestamp,
    /// How.
    pub ending: Ending,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took: u32,
    /// The host that was spoken with.
    pub host: Option<String>,
    /// Its address.
    pub address: Option<SocketAddr>,
    /// The TLS of the connection.
    pub tls: Option<Tls>,
    /// Why that host.
    pub choice: Option<String>,
    /// What it said, or what stood in the way.
    pub reply: String,
    /// The report that the sender got about it.
    #[serde(default)]
    pub report: Option<String>,
    /// Why the sender got none, where there was one to get.
    #[serde(default)]
    pub untold: Option<String>,
}

/// The story of a message: from its acceptance to what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryView {
    /// The message.
    pub id: String,
    /// When it was accepted.
    pub received: Timestamp,
    /// From whom; empty for the null reverse-path.
    pub sender: String,
    /// The length of its content in bytes.
    pub size: u64,
    /// Where it came from; `None` for what this server made itself.
    pub origin: Option<OriginView>,
    /// The message that it is a report on, if it is one.
    #[serde(default)]
    pub report_on: Option<String>,
    /// Its recipients and what became of each.
    pub recipients: Vec<RecipientView>,
}

/// Where a message came from, as its `Received` field says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginView {
    /// The name that the client gave, and its address.
    pub client: String,
    /// How it spoke, in the words of RFC 3848: `ESMTPSA` and so on.
    pub protocol: String,
    /// TLS: cipher suite and version.
    pub tls: Option<String>,
}

/// A recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientView {
    /// The address as the client gave it.
    pub recipient: String,
    /// The mailbox entries that are there.
    pub entries: Vec<EntryView>,
    /// Its delivery to another host, queued or done with.
    pub delivery: Option<DeliveryView>,
}

/// A mailbox entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    /// Whose.
    pub account: String,
    /// In which mailbox.
    pub mailbox: String,
    /// Its number there.
    pub uid: u32,
}

impl DeliveryView {
    /// A queued delivery, with the pause of its destination.
    pub(super) fn queued(delivery: &Delivery, pauses: &[Pause]) -> DeliveryView {
        let paused = pauses.iter().find(|pause| is_about(pause, &delivery.queue));
        DeliveryView {
            id: delivery.id.spool.to_string(),
            received: delivery.received,
            sender: bare(&delivery.reverse_path),
            recipient: bare(&delivery.recipient.forward_path),
            size: delivery.size,
            destination: delivery.queue.to_string(),
            due: delivery.due,
            held: delivery.held.clone(),
            paused: paused.cloned(),
            attempts: delivery.attempts,
            history: delivery.history.iter().map(AttemptView::from).collect(),
            end: None,
            readable: Readable::Yes,
        }
    }

    /// A queued delivery whose message cannot be read. Its id says when it came.
    pub(super) fn unreadable(delivery: &Unreadable, pauses: &[Pause]) -> DeliveryView {
        let paused = pauses.iter().find(|pause| is_about(pause, &delivery.queue));
        DeliveryView {
            id: delivery.id.spool.to_string(),
            received: delivery.id.spool.time(),
            sender: String::new(),
            recipient: String::new(),
            size: 0,
            destination: delivery.queue.to_string(),
            due: delivery.due,
            held: delivery.held.clone(),
            paused: paused.cloned(),
            attempts: delivery.attempts,
            history: delivery.history.iter().map(AttemptView::from).collect(),
            end: None,
            readable: Readable::No,
        }
    }

    /// A delivery that is done with.
    pub(super) fn ended(fate: &store::Fate) -> DeliveryView {
        let end = EndView { at: fate.ended, ending: fate.ending };
        DeliveryView { end: Some(end), ..DeliveryView::queued(&fate.delivery, &[]) }
    }
}

/// Whether a pause is about this destination.
pub(super) fn is_about(pause: &Pause, queue: &QueueName) -> bool {
    matches!(&pause.scope, PauseScope::Destination(name) if name == queue.as_str())
}

/// A path without its angle brackets.
pub(super) fn bare(path: &impl std::fmt::Display) -> String {
    let text = path.to_string();
    text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).map_or(text.clone(), str::to_owned)
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> AttemptView {
        // By name, so that a new field cannot be forgotten here.
        let Attempt { at, took, host, address, tls, choice, reply, told } = attempt.clone();
        let (report, untold) = match told {
            None => (None, None),
            Some(Told::Report(id)) => (Some(id.to_string()), None),
            Some(Told::Nothing(why)) => (None, Some(why)),
        };
        AttemptView { at, took, host, address, tls, choice, reply, report, untold }
    }
}
