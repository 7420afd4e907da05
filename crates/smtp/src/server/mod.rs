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
//!
//! TLS and SASL themselves are the application's. The endpoint knows when STARTTLS and AUTH may come, discards what
//! came in clear, and carries the messages of the exchange as opaque octets ([`Event::Auth`],
//! [`Server::challenge`]).

mod auth;
mod command;
mod config;
mod content;
mod endpoint;
mod text;

pub use config::{AuthOffer, COMMAND_LINE_MAX, Config, LineEndings, MailNeeds, RequireTls, StartTls};

use crate::xclient::Attribute;
use crate::{
    Body, Extension, Extensions, Limits, MailParameters, Protocol, Recipient, Reply, ReversePath,
    SaslMessage, Severity, Verb,
};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use wire::{Channel, LineBuffer};

/// How many octets of content give a transfer one more second. Postfix asks for as many
/// (`smtpd_min_data_rate`).
pub const MIN_CONTENT_RATE: u64 = 500;

/// What the application must know or decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Asks: the peer says who it is. A positive reply's text becomes the first line; the list of extensions
    /// is added.
    Hello(Hello),
    /// Tells: TLS was started by STARTTLS, and the session begins anew with EHLO (RFC 3207 §4.2).
    Secured,
    /// Asks: the peer wants to authenticate itself. Answered with [`Server::challenge`], or with a reply: a positive
    /// one, 235, makes the session an authenticated one.
    Auth(Auth),
    /// Asks: the response to the last challenge. Answered as [`Event::Auth`] is.
    AuthResponse(SaslMessage),
    /// Tells: the exchange is over without a decision; the peer gave it up, or its response could not be read. The
    /// reply is what was answered.
    AuthCancelled(Reply),
    /// Asks: a proxy says for whom it speaks. A positive answer is said as a new greeting, and the session begins
    /// anew; who the client is by then is what the attributes say.
    XClient(Vec<Attribute>),
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
        /// What the peer sent, without its line end, at most 512 octets of it. Of an AUTH only the verb is
        /// shown, and nothing of what may be a password after a failed one.
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

/// AUTH (RFC 4954 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The name of the mechanism, in upper case: one of those offered.
    pub mechanism: String,
    /// The initial response, which may be empty; `None` when there was none.
    pub initial: Option<SaslMessage>,
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
    /// It spoke before it was greeted.
    EarlyTalker,
    /// Too many errors.
    TooManyErrors,
    /// [`Server::shut_down`] or [`Server::cut`].
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
    channel: Channel,
    login: Login,
    /// What this peer is offered beyond the configuration; for most, nothing.
    favours: Option<Box<Favours>>,
    /// An AUTH failed, so what is no command may be a password.
    after_auth: bool,
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

/// Whether the peer has authenticated itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    None,
    Done,
}

/// What one peer is offered beyond the configuration.
#[derive(Debug, Default)]
struct Favours {
    /// The greeting comes at once.
    at_once: bool,
    xclient: bool,
    mechanisms: Vec<String>,
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
    /// To read the response to a challenge.
    Challenged,
    /// To send what is to be sent, and then to have TLS started.
    StartTls,
    /// To wait until TLS is on.
    Handshake,
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
    Auth,
    XClient,
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
    /// What looks at the chunks, once BDAT has begun, unless they are binary.
    text: Option<text::Text>,
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
            channel: Channel::Clear,
            login: Login::None,
            favours: None,
            after_auth: false,
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

    /// Stops at once: `reply`, a 421, is said and the connection closes, whatever is in flight; the peer keeps what was not
    /// acknowledged (RFC 5321 §3.8). Not while an event waits for its answer.
    pub fn cut(&mut self, reply: Reply) {
        debug_assert!(!matches!(self.phase, Phase::Asked(_)), "the event in hand is answered first");
        if !matches!(self.phase, Phase::Closed) {
            self.say(&reply);
            self.abort(Abort::Refused(reply));
            self.close(Closing::ShutDown);
        }
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
    /// [`wire::Step::Wait`] less than a command line, or than a line of AUTH where that may come.
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
        if matches!(question, Question::Mail(_) | Question::Rcpt | Question::Auth)
            && replies.iter().any(|reply| reply.severity() == Severity::Permanent)
        {
            // Addresses that do not exist and wrong passwords may be guesses: a list of them must not be tried in one
            // session.
            self.errors += 1;
            if self.errors > self.config.max_errors {
                return self.too_many_errors();
            }
        }
        match question {
            Question::Hello(hello) => return self.hello_answered(hello, &replies[0]),
            Question::XClient if positive => return self.speak_for_another(),
            Question::XClient => {}
            Question::Auth if positive => self.login = Login::Done,
            Question::Auth => self.after_auth = true,
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

    /// What EHLO and LHLO offer at this moment.
    fn extensions(&self) -> Extensions {
        let size = Some(self.config.max_message_size).filter(|size| *size > 0);
        let limits = Limits { recipients: Some(self.config.max_recipients as u64), ..Limits::default() };
        let mut offer = vec![
            Extension::Pipelining,
            Extension::Size(size),
            Extension::EightBitMime,
            Extension::BinaryMime,
            Extension::SmtpUtf8,
            Extension::Chunking,
            Extension::Dsn,
            Extension::EnhancedStatusCodes,
            Extension::Limits(limits),
        ];
        if self.channel == Channel::Clear && self.config.starttls == StartTls::Offered {
            offer.push(Extension::StartTls);
        }
        if self.offers_require_tls() {
            offer.push(Extension::RequireTls);
        }
        let mechanisms: Vec<_> = self.mechanisms().map(str::to_owned).collect();
        if !mechanisms.is_empty() {
            offer.push(Extension::Auth(mechanisms));
        }
        if self.may_speak_for_others() {
            offer.push(Extension::XClient(Attribute::NAMES.map(str::to_owned).to_vec()));
        }
        offer.into_iter().collect()
    }

    /// RFC 8689 §4.1: never in clear.
    fn offers_require_tls(&self) -> bool {
        self.channel == Channel::Tls && self.config.require_tls == RequireTls::UnderTls
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
