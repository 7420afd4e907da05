//! A connection to a next hop that is ready for mail: what is true of it from one use to the next.

use super::NextHop;
use crate::drive::{Application, drive};
use crate::tls::Stream;
use smtp::client::{Client, Event};
use smtp::{Envelope, Limits, Recipient};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

/// How much one connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wear {
    /// After so many transactions it is closed, and another one made if need be: no host is held on to for ever.
    pub messages: u32,
    /// The same by time.
    pub age: Duration,
}

impl Default for Wear {
    fn default() -> Wear {
        // Postfix: `smtp_connection_reuse_time_limit`.
        Wear { messages: 100, age: Duration::from_secs(300) }
    }
}

/// An open connection to a host that has greeted, is greeted, and will take mail over it: with TLS and AUTH done where they were wanted.
pub struct Session {
    pub(super) client: Client,
    pub(super) stream: Stream<Box<dyn crate::deliver::dial::Stream>>,
    pub(super) facts: Facts,
    pub(super) served: Served,
}

/// The domains of the recipients so far, where the host limits their number (RFC 9422, RCPTDOMAINMAX).
#[derive(Debug, Default)]
pub(super) struct Served(BTreeSet<String>);

impl Served {
    /// Counts those of an envelope. `false` if they would be too many together with those before; a connection's first envelope never is, for no
    /// other connection would take it.
    pub(super) fn admits(&mut self, envelope: &Envelope, limits: Limits) -> bool {
        let Some(most) = limits.recipient_domains else { return true };
        let name = |recipient: &Recipient| {
            recipient.forward_path.as_mailbox().map(|mailbox| mailbox.host().to_string())
        };
        let names = envelope.recipients.iter().filter_map(name).map(|name| name.to_ascii_lowercase());
        let new: BTreeSet<String> = names.filter(|name| !self.0.contains(name)).collect();
        let fits = self.0.is_empty() || (self.0.len() + new.len()) as u64 <= most;
        if fits {
            self.0.extend(new);
        }
        fits
    }
}

/// What stays true of a connection from one use to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) next_hop: NextHop,
    pub(super) trust: Trust,
    pub(super) protection: Protection,
    /// Ended on it so far.
    pub(super) transactions: u32,
    /// What the host says that it bears (RFC 9422).
    pub(super) limits: Limits,
    pub(super) opened: Instant,
    pub(super) send_timeout: Duration,
}

impl Facts {
    pub(super) fn is_spent(&self, wear: Wear) -> bool {
        let most = u64::from(wear.messages).min(self.limits.transactions.unwrap_or(u64::MAX));
        u64::from(self.transactions) >= most || self.opened.elapsed() >= wear.age
    }
}

impl Session {
    /// Whether it has been used so much that it is not to be used again.
    pub fn is_spent(&self, wear: Wear) -> bool {
        self.facts.is_spent(wear)
    }

    /// Whether TLS protects it.
    pub fn is_encrypted(&self) -> bool {
        self.facts.protection == Protection::Tls
    }

    /// Whether the server has neither closed it nor said anything since it was used: whatever it says now, mostly 421, ends it.
    pub fn is_alive(&mut self) -> bool {
        let mut octet = [0; 1];
        let read = Pin::new(&mut self.stream)
            .poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut octet));
        read.is_pending()
    }

    /// Says QUIT, and waits a little for the answer.
    pub async fn close(mut self) {
        self.client.quit();
        if let Err(error) = drive(&mut self.client, &mut self.stream, &mut Leaving).await {
            tracing::debug!(%error, "an idle connection was gone already");
        }
    }
}

/// Ends a connection: there is nothing to decide.
struct Leaving;

impl Application<Client> for Leaving {
    async fn event(&mut self, _: &mut Client, event: Event) {
        tracing::debug!(?event, "while closing an idle connection");
    }
}

/// Whether the host is known to be the one that was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Verified,
    None,
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    Tls,
    None,
}
