//! What became of deliveries, and what an operator orders about those that are still queued.
//!
//! A queued delivery ends as a [`Fate`], which is kept for a while so that somebody can be told what happened. Until then it can be
//! adjusted ([`Adjustment`]), and all mail for a destination or a host can be paused ([`Pause`]).

use crate::{AccountName, Delivery, DeliveryId, MailboxName, QueueName, Timestamp, Uid};
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// How a queued delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The next hop has it.
    Delivered,
    /// It was refused for good, or tried for too long; its sender was told, unless nobody was to be.
    Failed,
    /// An operator removed it.
    Removed,
    /// A rule said that it is to be dropped.
    Discarded,
}

/// The end of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// How.
    pub ending: Ending,
    /// What was tried last; `None` when nothing was, as when an operator removes it.
    pub attempt: Option<crate::Attempt>,
}

/// A delivery that is done with, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The delivery as it was at its end; its history has the last attempt too.
    pub delivery: Delivery,
    /// The header fields that we put before the content: they say where it came from.
    pub trace: Bytes,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub ending: Ending,
}

/// For how long fates are remembered, and how many: those that ended first are forgotten first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FateLimits {
    /// How many; the latest is always remembered.
    pub number: u64,
    /// For how long. Kept about: what is older goes when others end.
    pub time: Duration,
}

/// A delivery that is not tried until somebody releases it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// Why; may be empty.
    pub reason: String,
}

/// An operator's order about a queued delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adjustment {
    /// It is not tried until it is released.
    Hold(Hold),
    /// It is tried again as its due time says.
    Release,
    /// It is due then.
    Due(Timestamp),
    /// It goes where mail for this destination goes.
    Reroute(QueueName),
}

/// Mail that waits until somebody says otherwise; what comes meanwhile waits too.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pause {
    /// Which mail.
    pub scope: PauseScope,
    /// Since when.
    pub since: Timestamp,
    /// Why; may be empty.
    pub reason: String,
}

/// Which mail a pause is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseScope {
    /// What is queued for a destination. [`crate::Spool::waiting`] does not name it as long as it is paused.
    Destination(String),
    /// What would go to a host of this name, or to one below it. Who knows the hosts must see to it.
    Host(String),
}

/// What is queued for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The destination.
    pub queue: QueueName,
    /// How many deliveries there are.
    pub deliveries: u64,
    /// How many of them an operator has put on hold.
    pub held: u64,
    /// The one whose message came first.
    pub oldest: DeliveryId,
    /// When the first of those that are not on hold is due, or was.
    pub next: Option<Timestamp>,
}

impl Backlog {
    /// The order of [`crate::Spool::destinations`].
    pub fn order(&self, other: &Backlog) -> std::cmp::Ordering {
        other.deliveries.cmp(&self.deliveries).then_with(|| self.queue.cmp(&other.queue))
    }
}

/// An accepted message, as it was accepted, and where it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// When.
    pub received: Timestamp,
    /// Who sent it, and to whom.
    pub envelope: smtp::Envelope,
    /// The header fields that we put before the content.
    pub trace: Bytes,
    /// The length of the content.
    pub size: u64,
    /// The mailbox entries that are still there, in the order of the deliveries.
    pub entries: Vec<Placement>,
}

/// A mailbox entry of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// For which of the envelope's recipients.
    pub recipient: u32,
    /// Whose.
    pub account: AccountName,
    /// In which mailbox.
    pub mailbox: MailboxName,
    /// Its number there.
    pub uid: Uid,
}

impl Default for FateLimits {
    fn default() -> FateLimits {
        FateLimits { number: 100_000, time: Duration::from_secs(7 * 24 * 3600) }
    }
}

impl FateLimits {
    /// Everything, for ever: for who only looks, and must not forget in somebody else's place.
    pub const ALL: FateLimits = FateLimits { number: u64::MAX, time: Duration::MAX };

    /// What ended before this moment is forgotten at `now`.
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        let time = i64::try_from(self.time.as_millis()).unwrap_or(i64::MAX);
        Timestamp(now.0.saturating_sub(time))
    }
}

impl PauseScope {
    /// The scope as it is filed: its name as A-labels and in lower case. [`crate::Error::Invalid`] when that names nothing.
    pub fn canonical(&self) -> crate::Result<PauseScope> {
        let invalid = |name: &str| crate::Error::Invalid(format!("{name:?} is no destination and no host"));
        match self {
            PauseScope::Destination(name) => {
                let name: QueueName = name.parse().map_err(|_| invalid(name))?;
                Ok(PauseScope::Destination(name.as_str().to_owned()))
            }
            PauseScope::Host(name) => {
                let name = smtp::Domain::parse(name).map_err(|_| invalid(name))?;
                Ok(PauseScope::Host(name.ascii().to_ascii_lowercase()))
            }
        }
    }

    /// The scope's name alone.
    pub fn name(&self) -> &str {
        let (PauseScope::Destination(name) | PauseScope::Host(name)) = self;
        name
    }

    /// Whether it is about this host.
    pub fn has_host(&self, host: &str) -> bool {
        let PauseScope::Host(name) = self else { return false };
        let Some(front) = host.len().checked_sub(name.len()) else { return false };
        let matches = host.is_char_boundary(front) && host[front..].eq_ignore_ascii_case(name);
        matches && (front == 0 || host[..front].ends_with('.'))
    }
}

impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PauseScope::Destination(name) => write!(f, "the destination {name}"),
            PauseScope::Host(name) => write!(f, "the host {name}"),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Delivered => "delivered",
            Ending::Failed => "failed",
            Ending::Removed => "removed",
            Ending::Discarded => "discarded",
        })
    }
}

/// Whose mail a delivery counts as when the senders of a destination take turns: the reverse-path without what programs add to it for each
/// recipient or message (`list-bounces+alice=example.com@example.net`).
pub fn sender_group(reverse_path: &smtp::ReversePath) -> String {
    let smtp::ReversePath::Mailbox(mailbox) = reverse_path else { return String::new() };
    let text = mailbox.to_string().to_ascii_lowercase();
    let Some((local, domain)) = text.rsplit_once('@') else { return text };
    let end = local.find(['+', '=']).filter(|end| *end > 0).unwrap_or(local.len());
    format!("{}@{domain}", &local[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_below_a_paused_name_are_paused() {
        let scope = PauseScope::Host("mx.example.com".to_owned());
        for (host, expected) in [
            ("mx.example.com", true),
            ("MX.Example.com", true),
            ("a.mx.example.com", true),
            ("amx.example.com", false),
            ("example.com", false),
            ("ümx.example.com", false),
        ] {
            assert_eq!(scope.has_host(host), expected, "{host}");
        }
        assert!(!PauseScope::Destination("mx.example.com".to_owned()).has_host("mx.example.com"));
    }

    #[test]
    fn what_programs_add_to_a_sender_makes_no_other_sender() {
        let group = |path: &str| sender_group(&path.parse().expect("a path"));
        assert_eq!(group("<list-bounces+alice=example.com@example.net>"), "list-bounces@example.net");
        assert_eq!(group("<Alice@Example.net>"), "alice@example.net");
        assert_eq!(group("<+x@example.net>"), "+x@example.net");
        assert_eq!(group("<>"), "");
    }

    #[test]
    fn a_horizon_never_overflows() {
        let now = Timestamp(1_000_000);
        assert_eq!(FateLimits { number: 1, time: Duration::from_secs(1) }.horizon(now), Timestamp(999_000));
        assert!(FateLimits::ALL.horizon(now).0 < 0);
    }
}
