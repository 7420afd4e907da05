//! Accepted messages and what is to become of them.
//!
//! One message has one content, one envelope, and for each recipient a delivery: into a mailbox, within the commit itself, or into
//! the queue. The queue's workers, their schedule and their concurrency are the server's affair.

use crate::{
    Acceptance, AccountName, Adjustment, Backlog, End, Error, Fate, Hold, MailboxName, Pause, PauseScope,
    QueueName, Result, SpoolId, Timestamp,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::net::SocketAddr;

/// Everything about an accepted message but its content.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// When it was accepted.
    pub received: Timestamp,
    /// Who sent it and what was asked of the transport; its recipients are those accepted, in order.
    pub envelope: smtp::Envelope,
    /// The header fields that we put before the content for every reader (Received, …), each ended by CRLF.
    pub trace: Bytes,
    /// What is to become of it: at least one.
    pub deliveries: Vec<NewDelivery>,
}

/// One recipient's part of an accepted message.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Which of the envelope's recipients, counted from 0. A recipient may have several mailbox deliveries but one queue entry.
    pub recipient: u32,
    /// Where to.
    pub destination: Destination,
}

/// Where a delivery goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Into a mailbox, within the commit itself.
    Mailbox {
        /// Whose.
        account: AccountName,
        /// Which; it is created when it does not exist.
        mailbox: MailboxName,
        /// What to do when there is no such account.
        if_missing: IfMissing,
        /// What to do when it does not fit into the account's quota.
        if_full: IfFull,
        /// Header fields for this reader alone (Return-Path, Delivered-To), each ended by CRLF; they come before `trace`.
        trace: Bytes,
    },
    /// Into the queue, to be claimed from `due` on.
    Queue {
        /// When it is first due.
        due: Timestamp,
    },
    /// Into the queue as well, because an address here leads elsewhere.
    Forward {
        /// When it is first due.
        due: Timestamp,
        /// How it is sent on.
        forward: Forward,
    },
}

/// How mail is sent on that came for an address here and goes elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// What is said in MAIL, in place of the envelope's reverse-path: reports that other hosts make come back here.
    pub reverse_path: smtp::ReversePath,
    /// Header fields for this recipient alone (Delivered-To), each ended by CRLF; they come before [`Accepted::trace`].
    pub trace: Bytes,
}

/// What to do when mail comes for an account that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Create it within the commit, as [`crate::Origin::Caught`].
    Create,
    /// Fail the commit with [`crate::Error::NoSuchAccount`]; nothing is kept.
    Fail,
}

/// What to do with mail that does not fit into the quota of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfFull {
    /// Fail the commit with [`crate::Error::OverQuota`]; nothing is kept.
    #[default]
    Fail,
    /// Take it all the same, up to a bound ([`crate::Quota::with_reserve`]): it tells the account's owner of something that is lost otherwise.
    UseReserve,
}

/// Content on its way in. Dropped without a commit it is forgotten. Any, so that its engine knows its own again
/// ([`crate::Mailboxes::append`]).
#[async_trait]
pub trait Stage: Send + std::any::Any {
    /// The identifier that the message will have.
    fn id(&self) -> SpoolId;

    /// The bytes taken so far.
    fn len(&self) -> u64;

    /// Whether nothing came yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next bytes. Memory stays bounded whatever the length: what is large goes to disk meanwhile.
    async fn append(&mut self, chunk: Bytes) -> Result<()>;

    /// Makes the message exist: content, trace, every queue entry and every mailbox entry, in one act.
    /// `Ok` is the promise behind `250`: all of it is on stable storage. On an error nothing of it is visible, unless the error is
    /// [`crate::Error::Fenced`]: then nobody can know before the store is opened anew.
    async fn commit(self: Box<Self>, accepted: Accepted) -> Result<SpoolId>;
}

/// One part of a queued message, named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The message.
    pub spool: SpoolId,
    /// Which of its envelope's recipients.
    pub recipient: u32,
}

impl DeliveryId {
    /// Comes before all others.
    pub const FIRST: DeliveryId = DeliveryId { spool: SpoolId(0), recipient: 0 };
}

/// A queued delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// When the message was accepted.
    pub received: Timestamp,
    /// From.
    pub reverse_path: smtp::ReversePath,
    /// To.
    pub recipient: smtp::Recipient,
    /// How it is sent on, when that differs from what the envelope says.
    pub forward: Option<Forward>,
    /// The length of the message's content.
    pub size: u64,
    /// The destination that it is queued for: that of the recipient, or where an operator has sent it.
    pub queue: QueueName,
    /// When it is due.
    pub due: Timestamp,
    /// Why it is not tried, whatever is due.
    pub held: Option<Hold>,
    /// How often it was tried.
    pub attempts: u32,
    /// The attempts that are remembered, oldest first: see [`remember`].
    pub history: Vec<Attempt>,
}

/// One try to deliver.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took: u32,
    /// The name of the host that was spoken with; `None` when it did not come so far.
    pub host: Option<String>,
    /// Its address.
    pub address: Option<SocketAddr>,
    /// The TLS of the connection; `None` when it was in clear, or there was none.
    pub tls: Option<Tls>,
    /// Why that host and no other, with the numbers that decided it.
    pub choice: Option<String>,
    /// What that host said, or what stood in the way, as a reply: code, enhanced status, text.
    pub reply: String,
    /// What the message's sender heard of it; `None` where there was nothing to tell, or it is not known.
    pub told: Option<Told>,
}

/// What the sender of a message heard of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Told {
    /// This report was sent.
    Report(SpoolId),
    /// Nothing, for this reason.
    Nothing(String),
}

/// The TLS of a connection to another host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite by its name in IANA's registry.
    pub cipher: String,
    /// Whether the host proved that it is the one that was meant.
    pub identity: Identity,
}

/// Whether a host proved that it is the one that was meant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Identity {
    /// It did, by this: an authority, or DANE.
    Proven(String),
    /// It did not, for this reason: its connection was encrypted, with whomever.
    Unproven(String),
}

impl std::fmt::Display for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tls { version, cipher, identity } = self;
        match identity {
            Identity::Proven(means) => write!(f, "{version} {cipher}, verified by {means}"),
            Identity::Unproven(why) => write!(f, "{version} {cipher}, not verified: {why}"),
        }
    }
}

impl Attempt {
    /// When it ended.
    pub fn ended(&self) -> Timestamp {
        Timestamp(self.at.0.saturating_add(i64::from(self.took)))
    }
}

/// Queued deliveries with the same destination, some of them due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Where to.
    pub queue: QueueName,
    /// Since when the first of those that nobody holds is due.
    pub due: Timestamp,
}

/// A delivery that a worker holds until `lease`; then it is free again. Not written anywhere: after a restart all are free.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What is held.
    pub delivery: Delivery,
    /// Until when.
    pub lease: Timestamp,
}

/// What a worker gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done with, and that is remembered as a [`Fate`].
    Done(End),
    /// To be tried again.
    Deferred {
        /// From when on.
        due: Timestamp,
        /// What was tried, and what stood in the way.
        attempt: Attempt,
    },
}

/// A source of bytes, in order.
#[async_trait]
pub trait Content: Send {
    /// The next bytes; `None` at the end. Checked: bytes that do not match their checksum are an error, never returned.
    async fn next(&mut self) -> Result<Option<Bytes>>;
}

/// Text to be read once, from the front.
pub struct Reader {
    /// How many bytes it has in all.
    pub len: u64,
    /// The bytes.
    pub content: Box<dyn Content>,
}

/// Accepted messages and the queue.
#[async_trait]
pub trait Spool: Send + Sync {
    /// Begins a message. Fails as [`health`](Spool::health) does.
    fn stage(&self) -> Result<Box<dyn Stage>>;

    /// The destinations that have deliveries which are due at `now` and not held by anybody (a lease that ends at `now` has ended),
    /// those due first first and then by name; at most `limit`, and only what comes after `after` in that order.
    async fn waiting(&self, now: Timestamp, after: Option<&Waiting>, limit: usize) -> Result<Vec<Waiting>>;

    /// The same destinations in the opposite order: those whose first delivery became due last come first; at most `limit`.
    async fn latest(&self, now: Timestamp, limit: usize) -> Result<Vec<Waiting>>;

    /// Takes up to `limit` deliveries for one destination that are due at `now` and not held by anybody, and holds them until `lease`.
    /// Fails as [`can_settle`](Spool::can_settle) does: what is taken is about to be tried.
    ///
    /// The senders ([`crate::sender_group`]) take turns: the delivery due first of each comes before the second of any, and among those
    /// that stand equal the one due first comes first.
    async fn claim(
        &self,
        queue: &QueueName,
        now: Timestamp,
        limit: usize,
        lease: Timestamp,
    ) -> Result<Vec<Claim>>;

    /// Settles a delivery, durably. [`crate::Error::NoSuchMessage`] when it is not queued (any more). A lease that has ended
    /// meanwhile does not matter: what was tried was tried.
    async fn settle(&self, id: DeliveryId, outcome: Outcome) -> Result<()>;

    /// Gives back what was claimed and not tried: it is free at once.
    async fn let_go(&self, ids: &[DeliveryId]) -> Result<()>;

    /// Carries out an order about queued deliveries, durably; says how many of them were queued.
    async fn adjust(&self, ids: &[DeliveryId], adjustment: Adjustment) -> Result<u64>;

    /// Pauses mail, durably; another pause of the same scope takes the place of the one before. [`crate::Error::Invalid`] when the scope
    /// names no destination or host.
    async fn pause(&self, pause: Pause) -> Result<()>;

    /// Ends a pause, durably; says whether there was one.
    async fn resume(&self, scope: &PauseScope) -> Result<bool>;

    /// The pauses in force, by scope.
    async fn pauses(&self) -> Result<Vec<Pause>>;

    /// The fates that are remembered of messages before this one (or of all), the latest message first and its recipients in order; at
    /// most `limit`, but always all of a message. How many are remembered is the engine's setting.
    async fn fates(&self, before: Option<SpoolId>, limit: usize) -> Result<Vec<Fate>>;

    /// The fates that are remembered of one message, by recipient.
    async fn fates_of(&self, id: SpoolId) -> Result<Vec<Fate>>;

    /// How a message was accepted that is still queued or in a mailbox.
    async fn acceptance(&self, id: SpoolId) -> Result<Acceptance>;

    /// The trace fields and the content of a message that is still queued or in a mailbox: what a relay sends.
    async fn content(&self, id: SpoolId) -> Result<Reader>;

    /// The envelope of a message that still has queued deliveries.
    async fn envelope(&self, id: SpoolId) -> Result<smtp::Envelope>;

    /// The earliest moment at which [`waiting`](Spool::waiting) could name something: the due time of a delivery that nobody holds, or
    /// the end of a lease, whichever comes first. `None` when nothing is queued.
    async fn next_due(&self) -> Result<Option<Timestamp>>;

    /// The destinations with queued deliveries: those with the most first, then by name; at most `limit`.
    async fn destinations(&self, limit: usize) -> Result<Vec<Backlog>>;

    /// The queued deliveries after this one, by id, so in the order in which their messages came; at most `limit`.
    /// Fewer may be given although there are more (one was settled meanwhile, or cannot be read): only an empty answer is the end.
    async fn deliveries(&self, after: Option<DeliveryId>, limit: usize) -> Result<Vec<Delivery>>;

    /// The queued deliveries that could not be read when that was last tried: those that [`deliveries`](Spool::deliveries) and
    /// [`claim`](Spool::claim) have left out. They can be adjusted and settled like others.
    async fn unreadable(&self) -> Result<Vec<Unreadable>>;

    /// Whether messages can be accepted now, and if not, why. Cheap enough to ask at each MAIL.
    fn health(&self) -> Result<()>;

    /// Whether what becomes of deliveries can be kept now, and if not, why. To be asked before anything is sent: what cannot be settled
    /// afterwards would be sent again. A disk that is too full to accept mail is no reason, since mail that leaves makes room; one that is so full that not even a
    /// settlement fits is not foreseen here. As cheap as [`health`](Spool::health).
    fn can_settle(&self) -> Result<()>;

    /// Finishes what was begun, writes out what is written late, and lets go of everything. Whatever comes later fails with
    /// [`crate::Error::Closed`]; what was acknowledged is safe without this call as well.
    async fn close(&self) -> Result<()>;
}

impl Accepted {
    /// What is kept of a message that the holder of an account put into a mailbox: it came from nobody.
    pub fn appended(account: &AccountName, mailbox: &MailboxName, received: Timestamp) -> Accepted {
        // A name that is no address any more would be a fault of ours, and none of the message's.
        let path = format!("<{account}>").parse().unwrap_or(smtp::ForwardPath::Postmaster);
        let destination = Destination::Mailbox {
            account: account.clone(),
            mailbox: mailbox.clone(),
            if_missing: IfMissing::Fail,
            if_full: IfFull::Fail,
            trace: Bytes::new(),
        };
        Accepted {
            received,
            envelope: smtp::Envelope::new(smtp::ReversePath::Null, vec![smtp::Recipient::new(path)]),
            trace: Bytes::new(),
            deliveries: vec![NewDelivery { recipient: 0, destination }],
        }
    }

    /// How the queue entry of a recipient is sent on, when that differs from what the envelope says.
    pub fn forward(&self, recipient: u32) -> Option<&Forward> {
        self.deliveries.iter().find_map(|delivery| match &delivery.destination {
            Destination::Forward { forward, .. } if delivery.recipient == recipient => Some(forward),
            _ => None,
        })
    }

    /// Refuses what cannot be kept: no deliveries, a recipient that the envelope does not have, two queue entries for one, and one for
    /// a postmaster of no domain.
    pub fn check(&self) -> Result<()> {
        let mut queued = std::collections::HashSet::new();
        for delivery in &self.deliveries {
            let Some(recipient) = self.envelope.recipients.get(delivery.recipient as usize) else {
                return Err(Error::Invalid(format!("the envelope has no recipient {}", delivery.recipient)));
            };
            let into_queue =
                matches!(delivery.destination, Destination::Queue { .. } | Destination::Forward { .. });
            if into_queue && QueueName::of(&recipient.forward_path).is_none() {
                return Err(Error::Invalid("a postmaster without a domain has no queue".to_owned()));
            }
            let again = into_queue && !queued.insert(delivery.recipient);
            if again {
                return Err(Error::Invalid(format!(
                    "two queue entries for recipient {}",
                    delivery.recipient
                )));
            }
        }
        if self.deliveries.is_empty() {
            return Err(Error::Invalid("a message without deliveries".to_owned()));
        }
        Ok(())
    }
}

impl Outcome {
    /// The next hop has it; nothing is said about how.
    pub fn delivered(at: Timestamp) -> Outcome {
        Outcome::Done(End { at, ending: crate::Ending::Delivered, attempt: None })
    }
}

impl Waiting {
    /// The order of [`Spool::waiting`].
    pub fn order(&self, other: &Waiting) -> std::cmp::Ordering {
        (self.due, &self.queue).cmp(&(other.due, &other.queue))
    }
}

impl Delivery {
    /// What came of the last attempt.
    pub fn last_reply(&self) -> Option<&str> {
        self.history.last().map(|attempt| attempt.reply.as_str())
    }
}

/// A queued delivery of which nothing can be read but what the queue itself knows: its message's records are damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Which.
    pub id: DeliveryId,
    /// Where it goes.
    pub queue: QueueName,
    /// When it is due.
    pub due: Timestamp,
    /// Why it is not tried, if an operator said so.
    pub held: Option<Hold>,
    /// How often it was tried.
    pub attempts: u32,
    /// The attempts that are remembered.
    pub history: Vec<Attempt>,
}

/// The most attempts that a delivery remembers: more than the usual schedule makes in its five days.
pub const HISTORY_MAX: usize = 64;

/// Adds an attempt to what a delivery remembers: the first one, which says what was wrong to begin with, and the latest.
pub fn remember(history: &mut Vec<Attempt>, attempt: Attempt) {
    if history.len() >= HISTORY_MAX {
        history.remove(1);
    }
    history.push(attempt);
}

impl Reader {
    /// All of it, refused with [`crate::Error::Invalid`] above `max` bytes.
    pub async fn read_all(mut self, max: u64) -> Result<Vec<u8>> {
        if self.len > max {
            return Err(Error::Invalid(format!("{} bytes, more than {max}", self.len)));
        }
        let mut all = Vec::with_capacity(self.len as usize);
        while let Some(chunk) = self.content.next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}
