//! Who may come in, and how those are turned away who may not.
//!
//! An attack is mostly turned away, so that must cost next to nothing: no task, no TLS, a reply of one packet, and after a few a line in
//! the log for many. Whoever is banned or comes too often hears of it a moment later ([`Door::keep`] says it then): a program that opens one
//! connection after the other gets nowhere meanwhile. So many wait at most, and the others hear it at once. The listeners come here for each
//! connection.

use crate::abuse::Refusal;
use crate::abuse::connections::{Excess, Permit};
use crate::imap;
use crate::inbound::{Context, now};
use crate::pop3;
use crate::settings::{Listener, ListenerTls, Service};
use bytes::BytesMut;
use rustix::net::{SendFlags, send};
use smtp::{Reply, replies};
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Turns connections away; shared by all listeners.
#[derive(Debug)]
pub(crate) struct Door {
    places: usize,
    wait: Duration,
    state: Mutex<State>,
    /// Tells [`Door::keep`] that there is something to do at some time.
    changed: Notify,
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// For what its peer did.
    Refused(Refusal),
    /// There is no room.
    Full(Excess),
}

/// Who is turned away from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    pub(crate) listener: Listener,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they are let go.
    waiting: VecDeque<Waiting>,
    tally: Tally,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    stream: TcpStream,
    reply: BytesMut,
}

/// Counts what is not logged one by one.
#[derive(Debug, Default)]
struct Tally {
    /// The end of the window in which is counted.
    until: Option<Instant>,
    logged: u32,
    more: u64,
    last: Option<(IpAddr, Denied)>,
}

/// How long those wait who are banned or come too often. Long enough to slow a program that does one thing after the other, and shorter than
/// anybody's patience.
const WAIT: Duration = Duration::from_secs(1);
/// Connections that wait at most; each is an open file.
const PLACES: usize = 512;
/// So many lines are logged in each window; the rest is one line.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

impl Door {
    /// A door for a server with so many connections, where nobody waits for longer than `longest`.
    pub(crate) fn new(connections: usize, longest: Duration) -> Door {
        Door {
            places: (connections / 8).min(PLACES),
            wait: WAIT.min(longest),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Says why and closes, now or in a moment.
    pub(crate) fn turn_away(&self, stream: TcpStream, caller: Caller, denied: Denied) {
        let now = Instant::now();
        let reply = denied.said_by(caller.listener);
        let mut state = self.state();
        let (waited, counted) = (state.waiting.len(), state.tally.more);
        if state.tally.note(caller.address, denied, now) {
            tracing::info!(peer = %caller.address, "client turned away: {denied}");
        }
        let is_waiting = matches!(denied, Denied::Refused(_)) && state.waiting.len() < self.places;
        if is_waiting && !self.wait.is_zero() {
            state.waiting.push_back(Waiting { until: now + self.wait, stream, reply });
        } else {
            say(&stream, &reply);
        }
        // The first of either kind may be due before what `keep` sleeps for.
        if (waited == 0 && !state.waiting.is_empty()) || (counted == 0 && state.tally.more > 0) {
            self.changed.notify_one();
        }
    }

    /// Lets those go who wait, and logs what was counted, until the server stops.
    pub(crate) async fn keep(&self, stopped: impl Future<Output = ()>) {
        let mut stopped = std::pin::pin!(stopped);
        loop {
            let next = self.let_go(Instant::now());
            tokio::select! {
                biased;
                () = stopped.as_mut() => break,
                () = self.changed.notified() => {}
                () = async {
                    match next {
                        Some(next) => tokio::time::sleep_until(next).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
        self.let_go(Instant::now() + self.wait + WINDOW);
    }

    /// Does what is to be done by now; returns when there is more to do.
    fn let_go(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        while let Some(first) = state.waiting.pop_front_if(|first| first.until <= now) {
            say(&first.stream, &first.reply);
        }
        if let Some((more, (peer, denied))) = state.tally.ended(now) {
            let seconds = WINDOW.as_secs();
            tracing::info!(%peer, more, "clients turned away, more in {seconds} s; this was the last: {denied}");
        }
        let waiting = state.waiting.front().map(|first| first.until);
        let counted = state.tally.until.filter(|_| state.tally.more > 0);
        waiting.into_iter().chain(counted).min()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for a connection from there, or why there is none. A proxy has places for all of its clients: what is too much is said of them,
/// when it has named them ([`permit_client`]).
pub(crate) fn permit(context: &Context, address: IpAddr, service: Service) -> Result<Permit, Denied> {
    let has_xclient = matches!(service, Service::Smtp | Service::Submission | Service::Lmtp);
    if has_xclient && context.proxies.says_xclient(address) {
        return context.connections.admit_proxy().map_err(Denied::Full);
    }
    context.abuse.connection(address, now()).map_err(Denied::Refused)?;
    context.connections.admit(address).map_err(Denied::Full)
}

/// A place for the client that a proxy names in its connection, or why there is none.
pub(crate) fn permit_client(context: &Context, client: IpAddr) -> Result<Permit, Denied> {
    context.abuse.connection(client, now()).map_err(Denied::Refused)?;
    context.connections.admit_client(client).map_err(Denied::Full)
}

impl Tally {
    /// Takes note of one; whether it is to be logged by itself.
    fn note(&mut self, peer: IpAddr, denied: Denied, now: Instant) -> bool {
        // What a window has counted is logged when it ends, so there is nothing left of it to be lost here.
        if self.more == 0 && self.until.is_none_or(|until| until <= now) {
            *self = Tally { until: Some(now + WINDOW), ..Tally::default() };
        }
        let is_logged = self.logged < LINES;
        if is_logged {
            self.logged += 1;
        } else {
            self.more += 1;
            self.last = Some((peer, denied));
        }
        is_logged
    }

    /// What was counted in a window that is over.
    fn ended(&mut self, now: Instant) -> Option<(u64, (IpAddr, Denied))> {
        self.until.filter(|until| *until <= now)?;
        let Tally { more, last, .. } = std::mem::take(self);
        Some((more, last?))
    }
}

impl Denied {
    /// What the peer is told: nothing where it would have to be encrypted to be understood, for that costs too much.
    fn said_by(&self, listener: Listener) -> BytesMut {
        let mut bytes = BytesMut::new();
        if listener.tls == ListenerTls::Implicit {
            return bytes;
        }
        match listener.service {
            Service::Smtp | Service::Submission | Service::Lmtp => self.reply().encode(&mut bytes),
            Service::Pop3 => pop3::not_now(&self.reply()).encode(&mut bytes),
            Service::Imap => bytes.extend_from_slice(&imap::not_now(&self.reply())),
            Service::Classroom => bytes.extend_from_slice(b"500 SERVER ERROR\r\n"),
        }
        bytes
    }

    /// What is said in the middle of a session; it ends with that.
    pub(crate) fn closing(&self) -> Reply {
        match self {
            Denied::Refused(refusal) => refusal.closing(),
            Denied::Full(_) => self.reply(),
        }
    }

    fn reply(&self) -> Reply {
        match self {
            Denied::Refused(refusal) => refusal.greeting(),
            Denied::Full(Excess::Total) => replies::TOO_MANY_CONNECTIONS,
            Denied::Full(Excess::Address) => {
                replies::TOO_MANY_CONNECTIONS.with_text("Error: too many connections from your address")
            }
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Refused(refusal) => refusal.fmt(f),
            Denied::Full(excess) => excess.fmt(f),
        }
    }
}

/// The last words on a connection that nothing was sent on before: there is room for them, and if not they are not worth a wait.
fn say(stream: &TcpStream, reply: &[u8]) {
    if !reply.is_empty()
        && let Err(error) = send(stream, reply, SendFlags::DONTWAIT)
    {
        tracing::debug!(%error, "a client that was turned away was gone at once");
    }
}

#[cfg(test)]
mod tests;
