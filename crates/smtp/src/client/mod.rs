//! The client's side of an SMTP or LMTP connection: the mirror of [`crate::server`].
//!
//! [`Client`] greets, then delivers any number of messages: it is given an envelope, asks for the content
//! when the server wants it, and reports one reply for each recipient. It sends the whole envelope in one go
//! where PIPELINING is offered, and refuses by itself what the server could not take.
//!
//! The caller normalises content: each line ends in CRLF. Content with a bare CR or LF, or a NUL, is never
//! sent (but as BODY=BINARYMIME), because a receiver might see in it an end that is none.
//!
//! STARTTLS and AUTH come before [`Event::Ready`], as the configuration wants them. TLS itself is the driver's, SASL the
//! application's: the endpoint discards what came in clear, and carries the messages of the exchange. A mechanism that
//! shows a password or token to whoever listens is not used in clear unless [`Config::in_clear`] allows it.
//!
//! Timeouts are kept by [`wire::Step::Wait`]. While a [`wire::Step::Send`] is being written the endpoint has
//! no say: whoever drives it bounds that by [`Timeouts::block`].

mod config;
mod delivery;
mod endpoint;
mod output;
mod security;

pub use config::{Authentication, Chunking, Config, Hello, Security, Timeouts};

use crate::{Envelope, Extensions, Reply, ReplyParser, SaslMessage, Verb};
use bytes::Bytes;
use delivery::Delivery;
use output::Output;
use std::collections::VecDeque;
use std::time::Instant;
use wire::Flaw;

/// What the application must know or give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Asks for credentials: call [`Client::authenticate`] with one of these mechanisms, which the server offers and
    /// which may be used now.
    Authenticate(Vec<String>),
    /// Asks for the response to a challenge: call [`Client::respond`] or [`Client::cancel`].
    Challenge(SaslMessage),
    /// The server has greeted and been greeted, TLS and AUTH are done where they were wanted. A mechanism in which the
    /// server proves itself must be done, too: that is for the application to see. Call [`Client::deliver`] or [`Client::quit`].
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
    /// Waiting for the reply to STARTTLS, or for TLS.
    StartTls,
    /// Between AUTH and its last reply.
    Auth,
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
    /// TLS is required, and the server does not offer STARTTLS.
    #[error("the server does not offer STARTTLS")]
    NoTls,
    /// TLS is required, and the server refused STARTTLS.
    #[error("the server refused STARTTLS: {0}")]
    TlsRefused(Reply),
    /// AUTH is wanted, and the server offers no mechanism that may be used.
    #[error("the server offers no mechanism of AUTH that may be used{}", if *.secured { "" } else { " without TLS" })]
    NoMechanism {
        /// Whether TLS was on.
        secured: bool,
    },
    /// AUTH failed, or was given up by [`Client::cancel`].
    #[error("the server refused the authentication: {0}")]
    Authentication(Reply),
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
    /// The content given has a flaw; the piece that has it was not sent, and the message not ended.
    #[error("the content has a bare CR or LF, or a NUL")]
    Content(Flaw),
    /// [`Client::abandon`] was called.
    #[error("given up")]
    Abandoned,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Greeting => "waiting for the greeting",
            Stage::Hello => "waiting for the reply to the hello",
            Stage::StartTls => "starting TLS",
            Stage::Auth => "authenticating",
            Stage::Ready => "between deliveries",
            Stage::Envelope => "sending the envelope",
            Stage::Data => "waiting to send the content",
            Stage::Content => "sending the content",
            Stage::End => "waiting for the reply to the content",
            Stage::Quit => "after QUIT",
        })
    }
}

impl Failure {
    /// Whether a message may have been delivered although no reply says so: the content was sent whole. To
    /// try again may deliver it twice, not to try again may lose it (RFC 1047).
    pub fn leaves_outcome_unknown(&self) -> bool {
        match self {
            Failure::ClosedByPeer { stage }
            | Failure::TimedOut { stage }
            | Failure::Protocol { stage, .. } => *stage == Stage::End,
            Failure::Greeting(_) | Failure::Hello(_) | Failure::ServiceClosing(_) => false,
            Failure::NoTls | Failure::TlsRefused(_) => false,
            Failure::NoMechanism { .. } | Failure::Authentication(_) => false,
            Failure::Content(_) | Failure::Abandoned => false,
        }
    }
}

/// The endpoint.
#[derive(Debug)]
pub struct Client {
    config: Config,
    extensions: Extensions,
    replies: ReplyParser,
    output: Output,
    phase: Phase,
    /// The replies that the server owes, in order.
    awaited: VecDeque<Awaited>,
    delivery: Option<Box<Delivery>>,
    events: VecDeque<Event>,
    /// When the reply awaited first is late; `None`: to be reckoned anew from now.
    deadline: Option<Instant>,
    /// The last transaction was left open.
    needs_reset: bool,
    /// The server has answered the MAIL of the latest delivery.
    mail_answered: bool,
    peer_gone: bool,
    /// TLS protects the connection.
    secured: bool,
    authenticated: bool,
    /// An initial response that is too long for the AUTH command, until the server asks for it.
    initial: Option<SaslMessage>,
}

/// What the endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Greeting,
    Hello(Verb),
    /// Waiting for the reply to STARTTLS.
    StartTls,
    /// To have TLS started.
    TlsDue,
    /// Waiting until TLS is on.
    Handshake,
    Auth(Exchange),
    Ready,
    Envelope,
    Content(Asked),
    End,
    Quit,
    Closed,
}

/// Who is to speak in an AUTH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// The application, to choose a mechanism.
    Chosen,
    /// The server.
    Sent,
    /// The application, to respond to a challenge.
    Challenged,
    /// The server, to say that it is over.
    Cancelled,
}

/// Whether the application owes content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Yes,
    No,
}

/// What a reply will be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Reset,
    Mail,
    /// The recipient with this index in the envelope.
    Rcpt(usize),
    Data,
    /// The dot after a 354 that came although no recipient was accepted.
    LoneDot,
    Chunk,
    /// The content, for all accepted recipients.
    Content,
    /// The content, for the recipient with this index in the envelope (LMTP).
    ContentFor(usize),
}

impl Client {
    /// A connection that waits for the greeting.
    pub fn new(config: Config) -> Client {
        Client {
            config,
            extensions: Extensions::default(),
            replies: ReplyParser::new(),
            output: Output::default(),
            phase: Phase::Greeting,
            awaited: VecDeque::new(),
            delivery: None,
            events: VecDeque::new(),
            deadline: None,
            needs_reset: false,
            mail_answered: false,
            peer_gone: false,
            secured: false,
            authenticated: false,
            initial: None,
        }
    }

    /// Begins a delivery; only after [`Event::Ready`] or [`Event::Done`], else nothing happens. `size` is the
    /// content's size in octets, if known.
    ///
    /// More recipients than the server's LIMITS allow get a 452 of our own, to be delivered in another
    /// transaction.
    pub fn deliver(&mut self, envelope: Envelope, size: Option<u64>) {
        debug_assert!(self.phase == Phase::Ready || self.phase == Phase::Closed, "one delivery at a time");
        if self.phase == Phase::Ready {
            self.deadline = None;
            self.mail_answered = false;
            self.phase = Phase::Envelope;
            self.delivery = Some(Box::new(Delivery::new(envelope, size, &self.extensions, &self.config)));
        }
    }

    /// The next bytes of the content; only after [`Event::WantContent`].
    pub fn content(&mut self, bytes: Bytes) {
        if self.takes_content()
            && !bytes.is_empty()
            && let Err(flaw) = self.send_content(bytes)
        {
            self.output.clear();
            self.fail(Failure::Content(flaw));
        }
    }

    /// The content is whole; only after [`Event::WantContent`]. A last line without CRLF is given one.
    pub fn end_of_content(&mut self) {
        if self.takes_content()
            && let Err(flaw) = self.send_end_of_content()
        {
            self.output.clear();
            self.fail(Failure::Content(flaw));
        }
    }

    /// Gives up: the connection closes at once. A message whose content is not whole is not delivered.
    pub fn abandon(&mut self) {
        if self.phase != Phase::Closed {
            self.output.clear();
            self.fail(Failure::Abandoned);
        }
    }

    /// Ends the connection politely; only after [`Event::Ready`] or [`Event::Done`], else nothing happens.
    pub fn quit(&mut self) {
        debug_assert!(self.phase == Phase::Ready || self.phase == Phase::Closed, "a delivery is in hand");
        if self.phase == Phase::Ready {
            self.output.line(&Verb::Quit);
            self.deadline = None;
            self.phase = Phase::Quit;
        }
    }

    /// What the server offers; empty before [`Event::Ready`] and after HELO.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Whether the connection can carry no more deliveries.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether the server has answered the MAIL of the latest delivery, with anything but 421. A connection that was left alone for a while and
    /// ends before that was closed meanwhile: it says nothing of the message.
    pub fn has_answered_mail(&self) -> bool {
        self.mail_answered
    }

    /// Takes note that the application answered; says whether it was asked.
    fn takes_content(&mut self) -> bool {
        let asked = self.phase == Phase::Content(Asked::Yes);
        debug_assert!(asked || self.phase == Phase::Closed, "content was not asked for");
        if asked {
            self.phase = Phase::Content(Asked::No);
        }
        asked
    }

    /// How far the connection has come.
    fn stage(&self) -> Stage {
        match self.phase {
            Phase::Greeting => Stage::Greeting,
            Phase::Hello(_) => Stage::Hello,
            Phase::StartTls | Phase::TlsDue | Phase::Handshake => Stage::StartTls,
            Phase::Auth(_) => Stage::Auth,
            Phase::Ready => Stage::Ready,
            Phase::Envelope => match self.awaited.front() {
                Some(Awaited::Data | Awaited::LoneDot) => Stage::Data,
                _ => Stage::Envelope,
            },
            Phase::Content(_) => Stage::Content,
            Phase::End => Stage::End,
            Phase::Quit | Phase::Closed => Stage::Quit,
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.delivery = None;
        self.events.push_back(Event::Failed(failure));
        self.close();
    }

    /// Says QUIT without waiting for its reply, and fails.
    fn leave(&mut self, failure: Failure) {
        self.output.line(&Verb::Quit);
        self.fail(failure);
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.awaited.clear();
    }
}
