//! One connection to a next hop: sends message after message over it until there is no more, or it ends.
//!
//! [`session`] runs the client endpoint on the connection. Which messages there are and what becomes of them is asked from, and told
//! to, a [`Supply`]; nothing is decided here but what the protocol decides. A message whose content was never begun comes back
//! unsettled when the connection fails, to be tried elsewhere at once; one whose content was begun does not, because it may have been
//! taken (RFC 1047). A connection that is still good when there is no more mail comes back as an open [`Session`], for [`super::pool`] to
//! keep and for [`resume`] to go on with.

mod replies;
mod session;

pub use replies::Tally;
pub use session::{Session, Wear};

use super::login::{self, Login};
use super::prepare::prepared;
use super::secure::{Begin, Security};
use crate::drive::{Application, WhenUnheard, drive, drive_secured};
use crate::tls::{Connector, Flaw, HandshakeError, Stream, TlsSession};
pub use replies::split;
use replies::{CONNECTION_BROKE, NO_HANDSHAKE, NO_LOGIN, NOT_BELIEVED, UNREADABLE, is_too_many, trouble};
use session::{Facts, Protection, Served, Trust};
use smtp::client::{Authentication, Client, Config, Event, Failure, Stage};
use smtp::{Envelope, Limits, Protocol, Reply, ReversePath, Severity};
use std::time::Duration;
use store::{Delivery, Forward, Reader, SharedStore, SpoolId, Timestamp};
use tokio::time::Instant;

/// A message on its way to recipients of one destination.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The message.
    pub spool: SpoolId,
    /// Its envelope, with the recipients of `deliveries` in the same order.
    pub envelope: Envelope,
    /// How it is sent on, when that differs from what the envelope says.
    pub forward: Option<Forward>,
    /// What is to be settled: one for each recipient.
    pub deliveries: Vec<Delivery>,
    /// Until when nobody else takes these deliveries.
    pub lease: Timestamp,
    /// How often a connection failed under it in this attempt.
    pub failures: u32,
}

/// Where letters come from, and where word of them goes.
pub trait Supply: Send {
    /// The next letter for this connection; `None` when it is to be closed.
    fn next(&mut self) -> impl Future<Output = Option<Letter>> + Send;

    /// The host has answered for every recipient of a letter.
    fn answered(&mut self, letter: Letter, replies: Vec<Reply>, next_hop: NextHop);

    /// Every recipient of a letter has its final reply, and it is our own: nobody else is to be asked now.
    fn done(&mut self, letter: Letter, replies: Vec<Reply>, next_hop: NextHop);

    /// The connection failed before the content of this letter was begun.
    fn put_back(&mut self, letter: Letter);

    /// TLS is on.
    fn secured(&mut self, session: TlsSession);

    /// What to do with a connection that is good for more, when there is no next letter.
    fn rest(&self) -> Rest;
}

/// What becomes of a connection that has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It stays open, for mail that may come.
    Keep,
    /// It is closed.
    Quit,
}

/// How a connection is to be used.
pub struct Terms {
    /// What the client endpoint does. Its `security` follows from the one below.
    pub config: Config,
    /// How the connection is secured.
    pub security: Security,
    /// Who does the handshake; `None` when none is wanted.
    pub connector: Option<Connector>,
    /// What we prove ourselves with; `None` where nobody asks.
    pub login: Option<Login>,
    /// How much it is used.
    pub wear: Wear,
}

/// Whether a host that takes mail will tell the sender what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// It offers DSN (RFC 3461), and was asked for what the sender wants to know.
    WithReports,
    /// It does not.
    WithoutReports,
    /// It has put the mail into mailboxes: it speaks LMTP, whose word is final (RFC 2033).
    Mailboxes,
    /// There is none: a route throws the mail away.
    Nowhere,
}

/// How a connection went.
pub struct Ended {
    /// How far it came.
    pub reached: Progress,
    /// How many transactions were ended on it this time.
    pub transactions: u32,
    /// How many of these took mail, and how many only put it off.
    pub tally: Tally,
    /// How many were ended since it was opened.
    pub carried: u32,
    /// What was wrong with it, as a reply that could be shown to a sender; `None` when it was closed in order.
    pub trouble: Option<Reply>,
    /// What may work better on another connection to the same host.
    pub obstacle: Option<Obstacle>,
    /// What was wrong with its TLS, when that was tried and came to nothing.
    pub flaw: Option<(Flaw, String)>,
    /// The connection, when it can carry more mail.
    pub left: Option<Session>,
}

/// What kept a host from coming so far that mail could be sent, and can be done without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// TLS, for this reason.
    Tls(String),
    /// EHLO: the host closed the connection at it.
    Extensions,
    /// The connection itself: it had been kept, and was found dead before the host had answered anything (it may close what is idle, by right), or cannot
    /// take the mail of one more domain.
    Stale,
    /// The host has no time for us now: it said 4yz to the connection, or to EHLO.
    Busy,
}

/// How far a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nobody there would speak SMTP with us.
    Nowhere,
    /// Mail could be sent.
    Greeted,
}

/// Runs one connection from its beginning.
pub async fn session<S: Supply>(
    stream: Box<dyn super::dial::Stream>,
    terms: Terms,
    store: SharedStore,
    supply: &mut S,
) -> Ended {
    let Terms { mut config, security, connector, login, wear } = terms;
    config.security = security.starttls();
    if login.is_some() {
        config.authentication = Authentication::Yes;
    }
    let facts = Facts {
        // An LMTP server says of each recipient that it has the mail, and that is the end of it.
        next_hop: match config.protocol {
            Protocol::Smtp => NextHop::WithoutReports,
            Protocol::Lmtp => NextHop::Mailboxes,
        },
        trust: if security.is_verified() { Trust::Verified } else { Trust::None },
        protection: Protection::None,
        transactions: 0,
        limits: Limits::default(),
        opened: Instant::now(),
        send_timeout: config.timeouts.block,
    };
    let mut courier = Courier::new(store, supply, facts, wear);
    courier.login = login.map(login::Attempt::new);
    let mut client = Client::new(config);
    let mut stream = Stream::connected(stream, connector);
    let driven = match security.begin {
        Begin::StartTls => drive(&mut client, &mut stream, &mut courier).await,
        Begin::AtOnce => drive_secured(&mut client, &mut stream, &mut courier).await,
    };
    courier.end(driven, client, stream)
}

/// Goes on with a connection that was left open.
pub async fn resume<S: Supply>(session: Session, wear: Wear, store: SharedStore, supply: &mut S) -> Ended {
    let Session { mut client, mut stream, facts, served } = session;
    let mut courier =
        Courier { greeted: true, usage: Use::Resumed, served, ..Courier::new(store, supply, facts, wear) };
    courier.go_on(&mut client).await;
    let driven = drive(&mut client, &mut stream, &mut courier).await;
    courier.end(driven, client, stream)
}

fn handshake(error: &std::io::Error) -> Option<&HandshakeError> {
    error.get_ref()?.downcast_ref::<HandshakeError>()
}

/// Decides for the client endpoint.
struct Courier<'a, S> {
    store: SharedStore,
    supply: &'a mut S,
    letter: Option<Current>,
    /// What was wrong with the connection.
    failure: Option<Reply>,
    obstacle: Option<Obstacle>,
    flaw: Option<(Flaw, String)>,
    greeted: bool,
    login: Option<login::Attempt>,
    facts: Facts,
    served: Served,
    wear: Wear,
    usage: Use,
    /// Transactions ended in this use of the connection.
    transactions: u32,
    tally: Tally,
    /// Nothing is left to do, and the connection is to stay open.
    leaves: bool,
}

/// Whether a connection has been used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    First,
    Resumed,
}

/// The letter in hand.
struct Current {
    letter: Letter,
    reader: Reader,
    begun: Begun,
}

/// Whether the server has been sent any of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Yes,
    No,
}

impl<'a, S: Supply> Courier<'a, S> {
    fn new(store: SharedStore, supply: &'a mut S, facts: Facts, wear: Wear) -> Courier<'a, S> {
        Courier {
            store,
            supply,
            letter: None,
            failure: None,
            obstacle: None,
            flaw: None,
            greeted: false,
            login: None,
            facts,
            served: Served::default(),
            wear,
            usage: Use::First,
            transactions: 0,
            tally: Tally::default(),
            leaves: false,
        }
    }

    /// Begins with the next letter, or ends the connection, or leaves it open.
    async fn go_on(&mut self, client: &mut Client) {
        if client.is_closed() || self.facts.is_spent(self.wear) {
            return client.quit();
        }
        while let Some(mut letter) = self.supply.next().await {
            let is_safe = self.facts.trust == Trust::Verified && client.extensions().require_tls();
            if letter.envelope.require_tls && !is_safe && letter.envelope.reverse_path == ReversePath::Null {
                // RFC 8689 §5: a report is not lost for it. It gives back little enough.
                letter.envelope.require_tls = false;
            }
            if letter.envelope.require_tls && !is_safe {
                let replies = vec![smtp::replies::PEER_LACKS_REQUIRETLS; letter.deliveries.len()];
                self.supply.answered(letter, replies, NextHop::WithoutReports);
                continue;
            }
            if !self.served.admits(&letter.envelope, self.facts.limits) {
                if self.transactions == 0 {
                    self.obstacle = Some(Obstacle::Stale);
                }
                self.supply.put_back(letter);
                return client.quit();
            }
            match prepared(&self.store, client.extensions(), &letter).await {
                Ok((envelope, reader)) => {
                    let size = reader.len;
                    self.letter = Some(Current { letter, reader, begun: Begun::No });
                    return client.deliver(envelope, Some(size));
                }
                Err(error) => {
                    tracing::error!(id = %letter.spool, %error, "a queued message cannot be read");
                    let reply = UNREADABLE.with_text("The message cannot be read here");
                    let replies = vec![reply; letter.deliveries.len()];
                    self.supply.done(letter, replies, NextHop::WithoutReports);
                }
            }
        }
        match self.supply.rest() {
            Rest::Keep => self.leaves = true,
            Rest::Quit => client.quit(),
        }
    }

    async fn content(&mut self, client: &mut Client) {
        let Some(current) = &mut self.letter else { return client.abandon() };
        current.begun = Begun::Yes;
        match current.reader.content.next().await {
            Ok(Some(bytes)) => client.content(bytes),
            Ok(None) => client.end_of_content(),
            Err(error) => {
                tracing::error!(id = %current.letter.spool, %error, "a queued message cannot be read");
                self.failure = Some(UNREADABLE.with_text("The message cannot be read here"));
                client.abandon();
            }
        }
    }

    /// The server has said its last word on each recipient, or none of them can be sent there.
    fn done(&mut self, replies: Vec<Reply>, client: &Client) {
        let Some(Current { letter, begun, .. }) = self.letter.take() else { return };
        let closing = replies.iter().all(|reply| reply.code().number() == 421);
        if client.is_closed() && closing && begun == Begun::No {
            // It was not about this message.
            self.failure = replies.into_iter().next();
            return self.put_back(letter, client);
        }
        self.transactions += 1;
        self.facts.transactions += 1;
        self.tally.count(&letter, &replies);
        // Those who were too many for one transaction get another, if others did get through (RFC 5321 §4.5.3.1.10).
        if replies.iter().any(is_too_many) && !replies.iter().all(is_too_many) {
            let ((left, _), (now, replies)) = split(&letter, &replies, is_too_many);
            self.supply.answered(now, replies, self.facts.next_hop);
            return self.supply.put_back(left);
        }
        self.supply.answered(letter, replies, self.facts.next_hop);
    }

    /// Gives a letter back whose content was not begun.
    fn put_back(&mut self, mut letter: Letter, client: &Client) {
        match self.usage {
            Use::Resumed if self.transactions == 0 && !client.has_answered_mail() => {
                self.obstacle = Some(Obstacle::Stale)
            }
            Use::First | Use::Resumed => letter.failures += 1,
        }
        self.supply.put_back(letter);
    }

    /// What is left to be done when the connection is over, or left open.
    fn end(
        mut self,
        driven: std::io::Result<()>,
        client: Client,
        stream: Stream<Box<dyn super::dial::Stream>>,
    ) -> Ended {
        let handshake = driven.as_ref().err().and_then(handshake);
        let trouble = match handshake.map(|error| (error.flaw(), error.to_string())) {
            Some((flaw, why)) => {
                self.flaw = Some((flaw, why.clone()));
                let reply = NO_HANDSHAKE.with_text(format!("There is no TLS with this host: {why}"));
                self.obstacle = Some(Obstacle::Tls(why));
                Some(reply)
            }
            None => self.failure.take().or_else(|| {
                let error = driven.err().filter(|_| self.letter.is_some())?;
                Some(CONNECTION_BROKE.with_text(format!("The connection broke: {error}")))
            }),
        };
        if let Some(Current { letter, begun, .. }) = self.letter.take() {
            match begun {
                Begun::No => self.put_back(letter, &client),
                Begun::Yes => {
                    let reply = trouble.clone().unwrap_or(CONNECTION_BROKE.with_text("The connection broke"));
                    let replies = vec![reply; letter.deliveries.len()];
                    self.supply.done(letter, replies, NextHop::WithoutReports);
                }
            }
        }
        let reached = if self.greeted { Progress::Greeted } else { Progress::Nowhere };
        let obstacle = self.obstacle.filter(|obstacle| !self.greeted || *obstacle == Obstacle::Stale);
        let left = (self.leaves && !client.is_closed()).then_some(Session {
            client,
            stream,
            facts: self.facts,
            served: self.served,
        });
        Ended {
            reached,
            transactions: self.transactions,
            tally: self.tally,
            carried: self.facts.transactions,
            trouble,
            obstacle,
            flaw: self.flaw,
            left,
        }
    }

    fn failed(&mut self, failure: &Failure) {
        let ours = self.login.as_mut().and_then(login::Attempt::trouble);
        match (ours, failure) {
            // Mail waits until the operator has mended it.
            (Some(why), _) => {
                self.failure = Some(NO_LOGIN.with_text(format!("There is no login at this host: {why}")))
            }
            (None, Failure::Abandoned) => {}
            (None, failure) => {
                self.obstacle = self.obstacle(failure);
                self.flaw = match (failure, &self.obstacle) {
                    (Failure::NoTls | Failure::TlsRefused(_), _) => {
                        Some((Flaw::NotOffered, failure.to_string()))
                    }
                    (_, Some(Obstacle::Tls(why))) => Some((Flaw::Other, why.clone())),
                    _ => None,
                };
                self.failure = Some(trouble(failure));
            }
        }
    }

    /// What of a failure before any mail could be sent may be done without on another connection.
    fn obstacle(&self, failure: &Failure) -> Option<Obstacle> {
        match failure {
            // Its reason is known once the handshake's is.
            Failure::ClosedByPeer { stage: Stage::StartTls }
            | Failure::TimedOut { stage: Stage::StartTls }
            | Failure::Protocol { stage: Stage::StartTls, .. } => Some(Obstacle::Tls(failure.to_string())),
            // The answer to STARTTLS: nothing else is asked before there is mail to send.
            Failure::ServiceClosing(reply) if self.facts.protection == Protection::None => {
                Some(Obstacle::Tls(format!("STARTTLS was answered with {reply}")))
            }
            // In TLS 1.3 the server may find fault with the handshake when ours is done.
            Failure::ClosedByPeer { .. } | Failure::TimedOut { .. }
                if self.facts.protection == Protection::Tls =>
            {
                Some(Obstacle::Tls(format!("after the handshake {failure}")))
            }
            Failure::ClosedByPeer { stage: Stage::Hello } => Some(Obstacle::Extensions),
            Failure::Greeting(reply) | Failure::Hello(reply) if reply.severity() == Severity::Transient => {
                Some(Obstacle::Busy)
            }
            _ => None,
        }
    }
}

impl<S: Supply> Application<Client> for Courier<'_, S> {
    fn send_timeout(&self) -> Duration {
        self.facts.send_timeout
    }

    fn leaves(&self) -> bool {
        self.leaves
    }

    fn when_unheard(&self) -> WhenUnheard {
        WhenUnheard::Listen
    }

    async fn event(&mut self, client: &mut Client, event: Event) {
        match event {
            Event::Ready => {
                if let Some(Err(why)) = self.login.as_mut().map(|login| login.succeeded()) {
                    self.failure =
                        Some(NOT_BELIEVED.with_text(format!("This host has not proved who it is: {why}")));
                    return client.abandon();
                }
                self.greeted = true;
                self.facts.limits = client.extensions().limits();
                if client.extensions().dsn() {
                    self.facts.next_hop = NextHop::WithReports;
                }
                self.go_on(client).await;
            }
            Event::WantContent => self.content(client).await,
            Event::Done(outcome) => {
                self.done(outcome.recipients, client);
                self.go_on(client).await;
            }
            Event::Authenticate(mechanisms) => match &mut self.login {
                Some(login) => login.begin(client, &mechanisms).await,
                None => client.abandon(),
            },
            Event::Challenge(challenge) => match &mut self.login {
                Some(login) => login.challenged(client, &challenge),
                None => client.abandon(),
            },
            Event::Failed(failure) => self.failed(&failure),
        }
    }

    fn secured(&mut self, _client: &mut Client, session: TlsSession) {
        self.facts.protection = Protection::Tls;
        if let Some(login) = &mut self.login {
            login.secured(&session);
        }
        self.supply.secured(session);
    }
}
