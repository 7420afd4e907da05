//! The client's side of an SMTP or LMTP connection: the mirror of [`crate::server`].
//!
//! [`Client`] greets, then delivers any number of messages: it is given an envelope, asks for the content when the server wants
//! it, and reports one reply for each recipient.

use crate::{Envelope, Extensions, Protocol, Reply};
use bytes::Bytes;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// What a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// What it calls itself in EHLO: a domain or an address literal in brackets.
    pub hello_name: String,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// When content is sent with BDAT.
    pub chunking: Chunking,
}

impl Config {
    /// SMTP, the timeouts of RFC 5321, BDAT only where it must be.
    pub fn new(hello_name: impl Into<String>) -> Config {
        Config {
            protocol: Protocol::Smtp,
            hello_name: hello_name.into(),
            timeouts: Timeouts::default(),
            chunking: Chunking::OnlyForBinary,
        }
    }
}

/// When content is sent with BDAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chunking {
    /// Only for BODY=BINARYMIME, which needs it.
    #[default]
    OnlyForBinary,
    /// Whenever CHUNKING is offered.
    WhenOffered,
}

/// How long a client waits (RFC 5321 §4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the greeting: 5 minutes.
    pub greeting: Duration,
    /// For the reply to EHLO, HELO, LHLO and RSET: 5 minutes.
    pub hello: Duration,
    /// For the reply to MAIL: 5 minutes.
    pub mail: Duration,
    /// For the reply to RCPT: 5 minutes.
    pub rcpt: Duration,
    /// For the 354 after DATA: 2 minutes.
    pub data: Duration,
    /// For each write of content: 3 minutes.
    pub block: Duration,
    /// For the reply to the content: 10 minutes.
    pub end: Duration,
    /// For the reply to QUIT; the RFC names none, and nothing depends on it: 5 seconds.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Timeouts {
            greeting: minutes(5),
            hello: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            end: minutes(10),
            quit: Duration::from_secs(5),
        }
    }
}

/// What the application must know or give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server has greeted and been greeted: call [`Client::deliver`] or [`Client::quit`].
    Ready,
    /// Asks for content: call [`Client::content`] or [`Client::end_of_content`].
    WantContent,
    /// The delivery is over: call [`Client::deliver`] or [`Client::quit`].
    Done(Outcome),
    /// The connection is over, and with it the delivery in hand.
    Failed(Failure),
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One final reply for each recipient of the envelope, in the same order.
    pub recipients: Vec<Reply>,
}

/// How far a connection had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for the greeting.
    Greeting,
    /// Waiting for the reply to EHLO, HELO or LHLO.
    Hello,
    /// Between deliveries.
    Ready,
    /// MAIL and RCPT.
    Envelope,
    /// Waiting for the 354.
    Data,
    /// Sending content.
    Content,
    /// The content is sent whole; waiting for the reply.
    End,
    /// After QUIT.
    Quit,
}

/// Why a connection failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server greeted with this instead of 220.
    #[error("the server greeted with: {0}")]
    Greeting(Reply),
    /// The server refused EHLO, HELO or LHLO.
    #[error("the server refused the hello: {0}")]
    Hello(Reply),
    /// The server said 421 while nothing was being delivered.
    #[error("the server closes: {0}")]
    ServiceClosing(Reply),
    /// The server closed the connection.
    #[error("the server closed the connection ({stage})")]
    ClosedByPeer {
        /// When.
        stage: Stage,
    },
    /// No reply came in time.
    #[error("no reply in time ({stage})")]
    TimedOut {
        /// When.
        stage: Stage,
    },
    /// The server did what SMTP does not allow.
    #[error("protocol error ({stage}): {what}")]
    Protocol {
        /// When.
        stage: Stage,
        /// What.
        what: &'static str,
    },
    /// The content given holds a CR or LF that is not part of CRLF; nothing of the chunk was sent.
    #[error("the content has a bare CR or LF")]
    BareLineEnding,
    /// [`Client::abandon`] was called.
    #[error("given up")]
    Abandoned,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Greeting => "waiting for the greeting",
            Stage::Hello => "waiting for the reply to the hello",
            Stage::Ready => "between deliveries",
            Stage::Envelope => "sending the envelope",
            Stage::Data => "waiting to send the content",
            Stage::Content => "sending the content",
            Stage::End => "waiting for the reply to the content",
            Stage::Quit => "after QUIT",
        })
    }
}

/// The endpoint.
#[derive(Debug)]
pub struct Client {
    config: Config,
    extensions: Extensions,
}

impl Client {
    /// A connection that waits for the greeting.
    pub fn new(config: Config) -> Client {
        Client { config, extensions: Extensions::default() }
    }

    /// Begins a delivery; only after [`Event::Ready`] or [`Event::Done`]. `size` is the content's size in octets, if known.
    pub fn deliver(&mut self, envelope: Envelope, size: Option<u64>) {
        drop((envelope, size));
    }

    /// The next bytes of the content; only after [`Event::WantContent`].
    pub fn content(&mut self, bytes: Bytes) {
        drop(bytes);
    }

    /// The content is whole; only after [`Event::WantContent`].
    pub fn end_of_content(&mut self) {}

    /// Gives up: the connection closes at once, and a message whose content is not whole is not delivered.
    pub fn abandon(&mut self) {}

    /// Ends the connection politely; only after [`Event::Ready`] or [`Event::Done`].
    pub fn quit(&mut self) {}

    /// What the server offers; empty before [`Event::Ready`] and after HELO.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

impl Endpoint for Client {
    type Event = Event;

    fn receive(&mut self, _bytes: &[u8]) {}

    fn receive_end(&mut self) {}

    fn step(&mut self, now: Instant) -> Step<Event> {
        Step::Wait(now + self.config.timeouts.greeting)
    }
}
