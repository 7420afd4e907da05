//! The server's side of an SMTP or LMTP connection.
//!
//! [`Server`] owns syntax, sequence, limits, extensions, dot-unstuffing and the refusal of dangerous content;
//! the application owns decisions. It is driven as every [`wire::Endpoint`]; events that ask are answered
//! with [`Server::reply`]. DATA and BDAT look the same from outside.
//!
//! Two clocks bound a connection. A command must come whole within [`Config::idle_timeout`] after the last
//! reply, however its octets drip. Content has as long for a start, and each [`MIN_CONTENT_RATE`] octets give
//! it one second more, but it never has more than the whole timeout before it: a stalled transfer ends as
//! soon as an idle connection does, and a slow one in a time that its size bounds.

mod command;
mod content;
mod endpoint;

use crate::{
    Body, Extension, Extensions, Limits, MailParameters, Protocol, Recipient, Reply, ReversePath, Severity,
    Verb,
};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::LineBuffer;

/// What a server is and what it allows. Shared by all its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// The name in the greeting: the first word after 220 (RFC 5321 §4.2).
    pub host_name: String,
    /// What follows the host's name and the protocol's in the greeting.
    pub banner: Option<String>,
    /// The largest content taken, in octets after dot-unstuffing; 0 means no limit (RFC 1870 §4).
    pub max_message_size: u64,
    /// Recipients in one transaction; RFC 5321 §4.5.3.1.8 asks for 100 at least.
    pub max_recipients: usize,
    /// How many errors get their reply; the next one closes the connection. A sender or recipient refused for good counts as one.
    pub max_errors: u32,
    /// How long to wait for a command; RFC 5321 §4.5.3.2.7 asks for 5 minutes.
    pub idle_timeout: Duration,
    /// The longest command line, in octets with its CRLF: 512 at least, and room for the parameters.
    pub command_line_max: usize,
}

impl Config {
    /// A configuration with the defaults: SMTP, no banner, 50 MiB, 1,000 recipients, 20 errors, 5 minutes.
    pub fn new(host_name: impl Into<String>) -> Config {
        Config {
            protocol: Protocol::Smtp,
            host_name: host_name.into(),
            banner: None,
            max_message_size: 50 * 1024 * 1024,
            max_recipients: 1000,
            max_errors: 20,
            idle_timeout: Duration::from_secs(300),
            command_line_max: COMMAND_LINE_MAX,
        }
    }
}

/// The default of [`Config::command_line_max`]: 512 octets (RFC 5321 §4.5.3.1.4) and what the extensions add.
/// The longest command is a RCPT with ORCPT, which alone may have 500 characters (RFC 3461 §4.2), and with an
/// address in UTF-8. Rounded up for parameters yet to come.
pub const COMMAND_LINE_MAX: usize = 2048;

/// How many octets of content give a transfer one more second. Postfix asks for as many
/// (`smtpd_min_data_rate`).
pub const MIN_CONTENT_RATE: u64 = 500;

/// What the application must know or decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Asks: the peer says who it is. A positive reply's text becomes the first line; the list of extensions
    /// is added.
    Hello(Hello),
    /// Asks: may a transaction begin?
    Mail(Mail),
    /// Asks: is this recipient accepted?
    Rcpt(Recipient),
    /// Tells: content, dot-unstuffed, never empty.
    Content(Bytes),
    /// Asks: the content is whole; is the message accepted? In LMTP for each accepted recipient.
    End,
    /// Tells: the transaction is over without [`Event::End`]; forget it.
    Abort(Abort),
    /// Tells: a command was refused without asking (for the log).
    Refused {
        /// What the peer sent, without its line end, at most 512 octets of it.
        line: Bytes,
        /// What was answered.
        reply: Reply,
    },
    /// Tells, once, before [`wire::Step::Close`]: the connection is over.
    Closing(Closing),
}

/// HELO, EHLO or LHLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// [`Verb::Helo`], [`Verb::Ehlo`] or [`Verb::Lhlo`].
    pub verb: Verb,
    /// What the peer calls itself: printable ASCII, not checked further.
    pub name: String,
}

/// MAIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub reverse_path: ReversePath,
    /// The parameters.
    pub parameters: MailParameters,
}

/// Why a transaction is over without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abort {
    /// RSET.
    Reset,
    /// HELO, EHLO or LHLO in the middle.
    Hello,
    /// The endpoint refused the content, with this reply.
    Refused(Reply),
    /// The connection ended.
    Disconnected,
    /// Nothing came for too long.
    TimedOut,
    /// QUIT in the middle.
    Quit,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closing {
    /// QUIT.
    Quit,
    /// The peer went away.
    Disconnected,
    /// Nothing came for too long.
    TimedOut,
    /// Too many errors.
    TooManyErrors,
    /// [`Server::shut_down`].
    ShutDown,
    /// The connection was refused from the start, or the application's reply was a 421.
    Refused,
}

/// The endpoint.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    input: LineBuffer,
    output: BytesMut,
    phase: Phase,
    /// What the application has not yet taken; at most one of them asks, and that is the last.
    events: VecDeque<Event>,
    /// Who the peer is, once that was accepted.
    peer: Option<Box<Hello>>,
    transaction: Option<Box<Transaction>>,
    /// What to say when the connection is to be closed at the next chance.
    shutting_down: Option<Box<Reply>>,
    errors: u32,
    /// Commands that lead to no message, since the last one that was accepted.
    idle_commands: u32,
    /// How many commands of a pipelined group may still be refused without being counted: their only fault is
    /// that the first was refused.
    excused: usize,
    /// When the connection ends if nothing comes; `None`: to be reckoned anew from now.
    deadline: Option<Instant>,
    peer_gone: bool,
}

/// What the endpoint does next.
#[derive(Debug)]
enum Phase {
    /// To greet, or to say this instead and close.
    Start(Option<Box<Reply>>),
    /// To read a command.
    Command,
    /// To wait for the application.
    Asked(Question),
    /// To read dot-stuffed content.
    Data(Box<content::Data>),
    /// To read a chunk.
    Chunk(Box<content::Chunk>),
    /// Nothing: the connection is over.
    Closed,
}

/// The event in hand, with what becomes true if the answer is positive.
#[derive(Debug)]
enum Question {
    Hello(Box<Hello>),
    Mail(Box<Transaction>),
    Rcpt,
    End,
}

/// From MAIL to the end of the content.
#[derive(Debug, Default)]
struct Transaction {
    body: Body,
    smtputf8: bool,
    accepted: usize,
    refused: usize,
    /// BDAT has begun.
    chunked: bool,
    /// Octets that came by BDAT.
    received: u64,
    flaws: wire::FlawFinder,
}

impl Server {
    /// A connection that begins with the greeting.
    pub fn new(config: Arc<Config>) -> Server {
        Server::starting(config, None)
    }

    /// A connection that is refused: `reply`, 421 or 554, takes the place of the greeting, and it closes.
    pub fn refuse(config: Arc<Config>, reply: Reply) -> Server {
        Server::starting(config, Some(Box::new(reply)))
    }

    fn starting(config: Arc<Config>, refusal: Option<Box<Reply>>) -> Server {
        Server {
            config,
            input: LineBuffer::new(),
            output: BytesMut::new(),
            phase: Phase::Start(refusal),
            events: VecDeque::new(),
            peer: None,
            transaction: None,
            shutting_down: None,
            errors: 0,
            idle_commands: 0,
            excused: 0,
            deadline: None,
            peer_gone: false,
        }
    }

    /// Answers the event in hand: exactly one answer for each event that asks. In LMTP the answer to
    /// [`Event::End`] is said once for each accepted recipient. A 421 closes the connection.
    pub fn reply(&mut self, reply: Reply) {
        let copies = match self.phase {
            Phase::Asked(Question::End) => self.final_replies(),
            _ => 1,
        };
        self.answer(vec![reply; copies]);
    }

    /// Answers [`Event::End`] in LMTP: one reply for each accepted recipient, in order (RFC 2033 §4.2).
    ///
    /// In SMTP, and for any other event, one reply is all there can be. If the number is wrong that is a
    /// mistake of the application: replies too many are not said, and the last one stands for those that
    /// lack.
    pub fn reply_each(&mut self, mut replies: Vec<Reply>) {
        let expected = match self.phase {
            Phase::Asked(Question::End) => self.final_replies(),
            _ => 1,
        };
        debug_assert_eq!(replies.len(), expected, "one reply for each accepted recipient");
        let last = replies.last().cloned().unwrap_or(crate::replies::STORAGE_FAILED);
        replies.resize(expected, last);
        self.answer(replies);
    }

    /// Stops gracefully: outside a transaction `reply`, a 421, is sent and the connection closes; a
    /// transaction in flight may be finished and gets its final reply first (RFC 5321 §3.8).
    pub fn shut_down(&mut self, reply: Reply) {
        self.shutting_down = Some(Box::new(reply));
    }

    /// Whether a transaction is in flight: from MAIL accepted until its end.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// What the peer calls itself, once that was accepted.
    pub fn hello_name(&self) -> Option<&str> {
        self.peer.as_ref().map(|hello| hello.name.as_str())
    }

    /// Whether the peer greeted with EHLO or LHLO.
    pub fn is_esmtp(&self) -> bool {
        self.peer.as_ref().is_some_and(|hello| hello.verb != Verb::Helo)
    }

    /// How many octets are held: input that was not yet read, and replies that were not yet sent. At
    /// [`wire::Step::Wait`] less than a command line.
    pub fn buffered(&self) -> usize {
        self.input.len() + self.output.len()
    }

    /// How many replies follow the content.
    fn final_replies(&self) -> usize {
        match (self.config.protocol, &self.transaction) {
            (Protocol::Lmtp, Some(transaction)) => transaction.accepted,
            _ => 1,
        }
    }

    /// Says the answer to the event in hand and does what follows from it.
    fn answer(&mut self, replies: Vec<Reply>) {
        let question = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(question) => question,
            other => {
                debug_assert!(false, "an answer without a question");
                self.phase = other;
                return;
            }
        };
        let positive = replies.iter().any(|reply| reply.severity() == Severity::Positive);
        if matches!(question, Question::Mail(_) | Question::Rcpt)
            && replies.iter().any(|reply| reply.severity() == Severity::Permanent)
        {
            // Addresses that do not exist may be guesses: a list of them must not be tried in one session.
            self.errors += 1;
            if self.errors > self.config.max_errors {
                return self.too_many_errors();
            }
        }
        match question {
            Question::Hello(hello) => return self.hello_answered(hello, &replies[0]),
            Question::Mail(transaction) if positive => self.transaction = Some(transaction),
            Question::Mail(_) => self.excuse_group(),
            Question::Rcpt => {
                if let Some(transaction) = &mut self.transaction {
                    *(if positive { &mut transaction.accepted } else { &mut transaction.refused }) += 1;
                }
                // The DATA of the same pipelined group may have been sent in vain.
                self.excused = self.excused.max(usize::from(!positive));
            }
            Question::End => {
                self.transaction = None;
                if positive {
                    self.errors = 0;
                    self.idle_commands = 0;
                }
            }
        }
        self.answered(&replies);
    }

    /// HELO, EHLO or LHLO was decided. Only if it is accepted does it end a transaction (RFC 5321 §4.1.4).
    fn hello_answered(&mut self, hello: Box<Hello>, reply: &Reply) {
        // RFC 2034 §4: no enhanced status here.
        let mut reply = reply.without_status();
        if reply.severity() == Severity::Positive {
            self.abort(Abort::Hello);
            self.excused = 0;
            if hello.verb != Verb::Helo {
                let offer: Vec<_> = self.extensions().iter().map(Extension::to_string).collect();
                let first = reply.lines().next().unwrap_or_default();
                reply = reply.with_text(format!("{first}\n{}", offer.join("\n")));
            }
            self.peer = Some(hello);
        }
        self.answered(&[reply]);
    }

    /// Says the replies; a 421 among them is the last thing said (RFC 5321 §3.8).
    fn answered(&mut self, replies: &[Reply]) {
        for reply in replies {
            self.say(reply);
        }
        self.deadline = None;
        if let Some(reply) = replies.iter().find(|reply| reply.code().number() == 421) {
            self.abort(Abort::Refused(reply.clone()));
            self.close(Closing::Refused);
        }
    }

    /// What EHLO and LHLO offer.
    fn extensions(&self) -> Extensions {
        let size = Some(self.config.max_message_size).filter(|size| *size > 0);
        let limits = Limits { recipients: Some(self.config.max_recipients as u64), ..Limits::default() };
        Extensions::from_iter([
            Extension::Pipelining,
            Extension::Size(size),
            Extension::EightBitMime,
            Extension::BinaryMime,
            Extension::SmtpUtf8,
            Extension::Chunking,
            Extension::Dsn,
            Extension::EnhancedStatusCodes,
            Extension::Limits(limits),
        ])
    }

    fn say(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
    }

    /// Ends the transaction, if there is one.
    fn abort(&mut self, abort: Abort) {
        if self.transaction.take().is_some() {
            if matches!(abort, Abort::Refused(_)) {
                self.excuse_group();
            }
            self.events.push_back(Event::Abort(abort));
        }
    }

    /// Sends the peer away.
    fn too_many_errors(&mut self) {
        self.say(&crate::replies::TOO_MANY_ERRORS);
        self.abort(Abort::Refused(crate::replies::TOO_MANY_ERRORS));
        self.close(Closing::TooManyErrors);
    }

    fn close(&mut self, closing: Closing) {
        self.phase = Phase::Closed;
        self.input.clear();
        self.events.push_back(Event::Closing(closing));
    }
}
