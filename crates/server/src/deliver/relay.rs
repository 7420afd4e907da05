//! One connection to a next hop: sends message after message over it until there is no more, or it ends.
//!
//! [`session`] runs the client endpoint on the connection. Which messages there are and what becomes of them is asked from, and told
//! to, a [`Supply`]; nothing is decided here but what the protocol decides. A message whose content was never begun comes back
//! unsettled when the connection fails, to be tried elsewhere at once; one whose content was begun does not, because it may have been
//! taken (RFC 1047).

use super::login::{self, Login};
use super::prepare::prepared;
use super::secure::{Begin, Security};
use crate::drive::{Application, WhenUnheard, drive, drive_secured};
use crate::tls::{Connector, HandshakeError, Stream, TlsSession};
use smtp::client::{Authentication, Client, Config, Event, Failure, Stage};
use smtp::{Envelope, Protocol, Reply, Status};
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

    /// Every recipient of a letter has its final reply.
    fn done(&mut self, letter: Letter, replies: Vec<Reply>, next_hop: NextHop);

    /// The connection failed before the content of this letter was begun.
    fn put_back(&mut self, letter: Letter);

    /// TLS is on.
    fn secured(&mut self, session: TlsSession);
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
#[derive(Debug)]
pub struct Ended {
    /// How far it came.
    pub reached: Progress,
    /// How many transactions were ended on it.
    pub transactions: u32,
    /// What was wrong with it, as a reply that could be shown to a sender; `None` when it was closed in order.
    pub trouble: Option<Reply>,
    /// What may work better on another connection to the same host.
    pub obstacle: Option<Obstacle>,
}

/// What kept a host from coming so far that mail could be sent, and can be done without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// TLS, for this reason.
    Tls(String),
    /// EHLO: the host closed the connection at it.
    Extensions,
}

/// How far a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nobody there would speak SMTP with us.
    Nowhere,
    /// Mail could be sent.
    Greeted,
}

/// Runs one connection.
pub async fn session<S: Supply>(
    stream: Box<dyn super::dial::Stream>,
    terms: Terms,
    store: SharedStore,
    supply: &mut S,
) -> Ended {
    let Terms { mut config, security, connector, login } = terms;
    config.security = security.starttls();
    if login.is_some() {
        config.authentication = Authentication::Yes;
    }
    // An LMTP server says of each recipient that it has the mail, and that is the end of it.
    let next_hop = match config.protocol {
        Protocol::Smtp => NextHop::WithoutReports,
        Protocol::Lmtp => NextHop::Mailboxes,
    };
    let send_timeout = config.timeouts.block;
    let mut courier = Courier {
        store,
        supply,
        letter: None,
        failure: None,
        obstacle: None,
        protection: Protection::None,
        trust: if security.is_verified() { Trust::Verified } else { Trust::None },
        greeted: false,
        next_hop,
        login: login.map(login::Attempt::new),
        transactions: 0,
        opened: Instant::now(),
        send_timeout,
    };
    let mut client = Client::new(config);
    let mut stream = Stream::connected(stream, connector);
    let driven = match security.begin {
        Begin::StartTls => drive(&mut client, &mut stream, &mut courier).await,
        Begin::AtOnce => drive_secured(&mut client, &mut stream, &mut courier).await,
    };
    let handshake = driven.as_ref().err().filter(|error| is_handshake(error)).map(ToString::to_string);
    let trouble = match handshake {
        Some(why) => {
            let reply = NO_HANDSHAKE.with_text(format!("There is no TLS with this host: {why}"));
            courier.obstacle = Some(Obstacle::Tls(why));
            Some(reply)
        }
        None => courier.failure.take().or_else(|| {
            let error = driven.err().filter(|_| courier.letter.is_some())?;
            Some(CONNECTION_BROKE.with_text(format!("The connection broke: {error}")))
        }),
    };
    courier.end(trouble)
}

fn is_handshake(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<HandshakeError>())
}

/// Decides for the client endpoint.
struct Courier<'a, S> {
    store: SharedStore,
    supply: &'a mut S,
    letter: Option<Current>,
    /// What was wrong with the connection.
    failure: Option<Reply>,
    obstacle: Option<Obstacle>,
    protection: Protection,
    trust: Trust,
    greeted: bool,
    next_hop: NextHop,
    login: Option<login::Attempt>,
    transactions: u32,
    opened: Instant,
    send_timeout: Duration,
}

/// The letter in hand.
struct Current {
    letter: Letter,
    reader: Reader,
    begun: Begun,
}

/// Whether the host is known to be the one that was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Verified,
    None,
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    Tls,
    None,
}

/// Whether the server has been sent any of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Yes,
    No,
}

impl<S: Supply> Courier<'_, S> {
    /// Begins with the next letter, or ends the connection.
    async fn go_on(&mut self, client: &mut Client) {
        let retired = self.transactions >= TRANSACTIONS_MAX || self.opened.elapsed() >= AGE_MAX;
        if client.is_closed() || retired {
            return client.quit();
        }
        while let Some(letter) = self.supply.next().await {
            if letter.envelope.require_tls && self.trust == Trust::None {
                let replies = vec![smtp::replies::PEER_LACKS_REQUIRETLS; letter.deliveries.len()];
                self.supply.done(letter, replies, NextHop::WithoutReports);
                continue;
            }
            match prepared(&self.store, client.extensions(), &letter).await {
                Ok((envelope, reader)) => {
                    let size = reader.len;
                    self.letter = Some(Current { letter, reader, begun: Begun::No });
                    return client.deliver(envelope, Some(size));
                }
                Err(error) => {
                    tracing::error!(id = %letter.spool, %error, "a queued message cannot be read");
                    let reply = UNREADABLE.with_text(format!("The message cannot be read here: {error}"));
                    let replies = vec![reply; letter.deliveries.len()];
                    self.supply.done(letter, replies, NextHop::WithoutReports);
                }
            }
        }
        client.quit();
    }

    async fn content(&mut self, client: &mut Client) {
        let Some(current) = &mut self.letter else { return client.abandon() };
        current.begun = Begun::Yes;
        match current.reader.content.next().await {
            Ok(Some(bytes)) => client.content(bytes),
            Ok(None) => client.end_of_content(),
            Err(error) => {
                tracing::error!(id = %current.letter.spool, %error, "a queued message cannot be read");
                let text = format!("The message cannot be read here: {error}");
                self.failure = Some(UNREADABLE.with_text(text));
                client.abandon();
            }
        }
    }

    /// The server has said its last word on each recipient, or none of them can be sent there.
    fn done(&mut self, replies: Vec<Reply>, closed: bool) {
        let Some(Current { mut letter, begun, .. }) = self.letter.take() else { return };
        let closing = replies.iter().all(|reply| reply.code().number() == 421);
        if closed && closing && begun == Begun::No {
            // It was not about this message.
            self.failure = replies.into_iter().next();
            letter.failures += 1;
            return self.supply.put_back(letter);
        }
        self.transactions += 1;
        // Those who were too many for one transaction get another, if others did get through (RFC 5321 §4.5.3.1.10).
        if replies.iter().any(is_too_many) && !replies.iter().all(is_too_many) {
            let (left, now) = split(&letter, &replies);
            self.supply.done(now.0, now.1, self.next_hop);
            return self.supply.put_back(left);
        }
        self.supply.done(letter, replies, self.next_hop);
    }

    /// What is left to be done when the connection is over.
    fn end(self, trouble: Option<Reply>) -> Ended {
        if let Some(Current { mut letter, begun, .. }) = self.letter {
            match begun {
                Begun::No => {
                    letter.failures += 1;
                    self.supply.put_back(letter);
                }
                Begun::Yes => {
                    let reply = trouble.clone().unwrap_or(CONNECTION_BROKE.with_text("The connection broke"));
                    let replies = vec![reply; letter.deliveries.len()];
                    self.supply.done(letter, replies, NextHop::WithoutReports);
                }
            }
        }
        let reached = if self.greeted { Progress::Greeted } else { Progress::Nowhere };
        let obstacle = self.obstacle.filter(|_| !self.greeted);
        Ended { reached, transactions: self.transactions, trouble, obstacle }
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
            Failure::ServiceClosing(reply) if self.protection == Protection::None => {
                Some(Obstacle::Tls(format!("STARTTLS was answered with {reply}")))
            }
            // In TLS 1.3 the server may find fault with the handshake when ours is done.
            Failure::ClosedByPeer { .. } | Failure::TimedOut { .. } if self.protection == Protection::Tls => {
                Some(Obstacle::Tls(format!("after the handshake {failure}")))
            }
            Failure::ClosedByPeer { stage: Stage::Hello } => Some(Obstacle::Extensions),
            _ => None,
        }
    }
}

impl<S: Supply> Application<Client> for Courier<'_, S> {
    fn send_timeout(&self) -> Duration {
        self.send_timeout
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
                if client.extensions().dsn() {
                    self.next_hop = NextHop::WithReports;
                }
                self.go_on(client).await;
            }
            Event::WantContent => self.content(client).await,
            Event::Done(outcome) => {
                self.done(outcome.recipients, client.is_closed());
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
        self.protection = Protection::Tls;
        if let Some(login) = &mut self.login {
            login.secured(&session);
        }
        self.supply.secured(session);
    }
}

/// A failed connection, as a reply: always transient, but for a host that says that it takes no mail at all.
fn trouble(failure: &Failure) -> Reply {
    match failure {
        // RFC 7504 §3: 521 is for good. Others greet with 5yz when they are busy, or dislike our address today.
        Failure::Greeting(reply) if reply.code().number() == 521 => reply.clone(),
        Failure::ServiceClosing(reply) => reply.clone(),
        Failure::Content(_) => {
            FLAWED.with_text("The message has a bare CR or LF, or a NUL, and cannot be sent by SMTP")
        }
        Failure::NoMechanism { .. } | Failure::Authentication(_) => NO_LOGIN.with_text(sentence(failure)),
        Failure::NoTls | Failure::TlsRefused(_) => NO_STARTTLS.with_text(sentence(failure)),
        Failure::Greeting(_) | Failure::Hello(_) => NOT_SERVING.with_text(sentence(failure)),
        _ => CONNECTION_BROKE.with_text(sentence(failure)),
    }
}

fn sentence(failure: &Failure) -> String {
    let text = failure.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `452 4.5.3`: too many recipients for one transaction.
fn is_too_many(reply: &Reply) -> bool {
    reply.code().number() == 452 && reply.status() == Some(Status { subject: 5, detail: 3 })
}

/// The part of a letter that was too much for one transaction, and the rest with its replies.
fn split(letter: &Letter, replies: &[Reply]) -> (Letter, (Letter, Vec<Reply>)) {
    let part = |keep: &dyn Fn(&Reply) -> bool| {
        let mut part = letter.clone();
        let kept: Vec<usize> = (0..replies.len()).filter(|&place| keep(&replies[place])).collect();
        part.deliveries = kept.iter().map(|&place| letter.deliveries[place].clone()).collect();
        part.envelope.recipients =
            kept.iter().map(|&place| letter.envelope.recipients[place].clone()).collect();
        (part, kept.into_iter().map(|place| replies[place].clone()).collect())
    };
    let (left, _) = part(&is_too_many);
    (left, part(&|reply| !is_too_many(reply)))
}

const fn status(subject: u16, detail: u16) -> Option<Status> {
    Some(Status { subject, detail })
}

/// X.4.2 bad connection.
const CONNECTION_BROKE: Reply = Reply::new(451, status(4, 2), "");
/// X.7.0 other or undefined security status: in class 4 whatever the host says, for the mail is not to blame.
const NO_LOGIN: Reply = Reply::new(451, status(7, 0), "");
/// The same, where the host is to be doubted.
const NOT_BELIEVED: Reply = Reply::new(451, status(7, 0), "");
/// X.7.4 security features not supported.
const NO_STARTTLS: Reply = Reply::new(451, status(7, 4), "");
/// X.7.5 cryptographic failure.
const NO_HANDSHAKE: Reply = Reply::new(451, status(7, 5), "");
/// X.3.2 system not accepting network messages.
const NOT_SERVING: Reply = Reply::new(451, status(3, 2), "");
/// X.3.0 other mail system status.
const UNREADABLE: Reply = Reply::new(451, status(3, 0), "");
/// X.6.0 other media error.
const FLAWED: Reply = Reply::new(554, status(6, 0), "");

/// After so many transactions a connection is closed, and another one made if need be: no host is held on to for ever.
const TRANSACTIONS_MAX: u32 = 100;
/// The same by time (Postfix: `smtp_connection_reuse_time_limit`).
const AGE_MAX: Duration = Duration::from_secs(300);
