//! The server's side of a POP3 connection, without a socket.
//!
//! [`Server`] is an [`wire::Endpoint`]: octets go in, steps come out. It goes through the states of RFC 1939 §3: AUTHORIZATION, TRANSACTION,
//! UPDATE. What needs a decision or a message's text is an [`Event`]; everything else (numbers, marks, lists, encoding) is done here.
//! Nothing is removed but at QUIT: a connection that ends in any other way changes nothing.

mod auth;
mod command;
mod config;
mod endpoint;
mod maildrop;
mod text;

pub use config::{COMMAND_LINE_MAX, Config, Stls};
pub use maildrop::Message;

use crate::{Indicator, Reply, replies};
use bytes::{Bytes, BytesMut};
use maildrop::Maildrop;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use text::{Text, Wanted};
use wire::sasl::SaslMessage;
use wire::{Channel, LineBuffer};

/// What the application must know or decide. Those that ask stop the endpoint until they are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Tells: TLS was started by STLS, and the session begins anew.
    Secured,
    /// Asks: the peer would log in. Answered with [`Server::challenge`], [`Server::open`], [`Server::reply`] (which refuses), or
    /// [`Server::dismiss`]. USER and PASS come as PLAIN with an initial response (RFC 4616), which says the same.
    Auth(Auth),
    /// Asks: the response to the last challenge. Answered as [`Event::Auth`] is.
    AuthResponse(SaslMessage),
    /// Tells: the exchange is over without a decision; the reply is what was answered.
    AuthCancelled(Reply),
    /// Asks for the text of the message with this unique id. Answered with [`Server::begin`], or refused with [`Server::reply`].
    Retrieve(u64),
    /// Asks for the next piece of that text, when the one before is on its way: [`Server::content`], [`Server::end_of_content`] or
    /// [`Server::content_lost`].
    More,
    /// Tells: no more of that text is wanted.
    Retrieved,
    /// Asks at QUIT: are these messages removed, for good? Answered with [`Server::reply`].
    Update {
        /// The unique ids of those to be removed; may be empty.
        deleted: Vec<u64>,
        /// Those of the others that were read to the end by RETR.
        read: Vec<u64>,
    },
    /// Tells: a command was refused without asking (for the log).
    Refused {
        /// What the peer sent, as far as a log may show it.
        line: Bytes,
        /// What was answered.
        reply: Reply,
    },
    /// Tells, once, before [`wire::Step::Close`]: the connection is over.
    Closing(Closing),
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The name of the mechanism, in upper case: one of those offered.
    pub mechanism: String,
    /// The initial response, which may be empty; `None` when there was none.
    pub initial: Option<SaslMessage>,
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
    /// The connection was refused from the start, or [`Server::dismiss`].
    Refused,
    /// The text of a message broke off.
    ContentLost,
}

/// The endpoint.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    input: LineBuffer,
    output: BytesMut,
    phase: Phase,
    events: VecDeque<Event>,
    state: State,
    channel: Channel,
    /// What this peer is offered beyond the configuration: EXTERNAL to one with a certificate.
    own_mechanisms: Vec<String>,
    shutting_down: Option<Box<Reply>>,
    errors: u32,
    /// When the connection ends if nothing comes; `None`: to be reckoned anew from now.
    deadline: Option<Instant>,
    peer_gone: bool,
}

/// The states of RFC 1939 §3. UPDATE is [`Question::Update`].
#[derive(Debug)]
enum State {
    /// With the name that USER gave.
    Authorization {
        user: Option<String>,
    },
    Transaction(Box<Maildrop>),
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
    /// To write a list, from this index on.
    Listing(List, usize),
    /// To send a piece of a text and then to ask for the next.
    Retrieving(Box<Retrieval>, Bytes),
    /// Nothing: the connection is over.
    Closed,
}

/// The event in hand.
#[derive(Debug)]
enum Question {
    Auth,
    Retrieve(Box<Retrieval>),
    More(Box<Retrieval>),
    Update,
}

/// A list of all messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Sizes,
    UniqueIds,
}

/// A message under way to the client.
#[derive(Debug)]
struct Retrieval {
    number: u32,
    octets: u64,
    extent: Extent,
    text: Text,
}

/// How much of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// RETR.
    Whole,
    /// TOP.
    Top,
}

impl Server {
    /// A connection that begins with the greeting.
    pub fn new(config: Arc<Config>) -> Server {
        Server::starting(config, None)
    }

    /// A connection that is refused: `reply` takes the place of the greeting, and it closes.
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
            state: State::Authorization { user: None },
            channel: Channel::Clear,
            own_mechanisms: Vec::new(),
            shutting_down: None,
            errors: 0,
            deadline: None,
            peer_gone: false,
        }
    }

    /// Answers the event in hand with one line: refuses a login or a message, or ends the session after [`Event::Update`].
    pub fn reply(&mut self, reply: Reply) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(Question::Update) => {
                self.say(&reply);
                self.close(Closing::Quit);
            }
            Phase::Asked(Question::Auth | Question::Retrieve(_)) => {
                debug_assert_eq!(reply.indicator(), Indicator::Err, "it is granted otherwise");
                self.refused(&reply);
            }
            other => self.unasked(other),
        }
        self.deadline = None;
    }

    /// Answers the event in hand with `reply` and closes the connection.
    pub fn dismiss(&mut self, reply: Reply) {
        self.say(&reply);
        self.close(Closing::Refused);
    }

    /// Answers [`Event::Auth`] or [`Event::AuthResponse`]: the peer is logged in, and this is its maildrop, at most `u32::MAX` messages.
    pub fn open(&mut self, messages: Vec<Message>) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(Question::Auth) => {
                let maildrop = Maildrop::new(messages);
                let (count, octets) = maildrop.totals();
                self.say(&replies::OK.with_text(format!("maildrop has {count} messages ({octets} octets)")));
                self.state = State::Transaction(Box::new(maildrop));
                self.errors = 0;
            }
            other => self.unasked(other),
        }
        self.deadline = None;
    }

    /// Answers [`Event::Retrieve`]: the text is there, and [`Event::More`] will ask for it.
    pub fn begin(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(Question::Retrieve(retrieval)) => {
                self.say(&replies::OK.with_text(match retrieval.extent {
                    Extent::Whole => format!("{} octets", retrieval.octets),
                    Extent::Top => "top of the message follows".to_owned(),
                }));
                self.phase = Phase::Retrieving(retrieval, Bytes::new());
            }
            other => self.unasked(other),
        }
    }

    /// The message that [`Event::Retrieve`] asks for.
    pub fn wanted(&self) -> Option<Message> {
        match (&self.phase, &self.state) {
            (Phase::Asked(Question::Retrieve(retrieval)), State::Transaction(maildrop)) => {
                maildrop.message(retrieval.number).ok()
            }
            _ => None,
        }
    }

    /// The messages behind the one that [`Event::Retrieve`] asks for, without those marked as deleted: a client that reads one after the
    /// other asks for them next.
    pub fn following(&self) -> impl Iterator<Item = Message> {
        let at = match (&self.phase, &self.state) {
            (Phase::Asked(Question::Retrieve(retrieval)), State::Transaction(maildrop)) => {
                Some((maildrop, retrieval.number as usize))
            }
            _ => None,
        };
        at.into_iter().flat_map(|(maildrop, number)| maildrop.all_from(number))
    }

    /// Answers [`Event::More`] with a piece of the text.
    pub fn content(&mut self, piece: Bytes) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(Question::More(mut retrieval)) => match retrieval.text.encode(piece) {
                (piece, Wanted::More) if piece.len() < PIECE_MIN => {
                    self.output.extend_from_slice(&piece);
                    self.phase = Phase::Retrieving(retrieval, Bytes::new());
                }
                (piece, Wanted::More) => self.phase = Phase::Retrieving(retrieval, piece),
                (piece, Wanted::Enough) => {
                    self.output.extend_from_slice(&piece);
                    self.retrieved(*retrieval);
                }
            },
            other => self.unasked(other),
        }
    }

    /// Answers [`Event::More`]: there is no more.
    pub fn end_of_content(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(Question::More(retrieval)) => self.retrieved(*retrieval),
            other => self.unasked(other),
        }
    }

    /// Answers [`Event::More`]: the rest of the text cannot be read. Nothing can be said in the middle of a text, so the
    /// connection ends, and the client sees that the message is not whole.
    pub fn content_lost(&mut self) {
        self.close(Closing::ContentLost);
    }

    /// Stops gracefully: what is being sent is sent to its end, then `reply` is said and the connection closes. Nothing is removed.
    pub fn shut_down(&mut self, reply: Reply) {
        self.shutting_down = Some(Box::new(reply));
    }

    /// Whether TLS protects the connection.
    pub fn is_secured(&self) -> bool {
        self.channel == Channel::Tls
    }

    /// Whether the peer is logged in.
    pub fn is_logged_in(&self) -> bool {
        matches!(self.state, State::Transaction(_))
    }

    /// How many octets are held: input that was not yet read, and replies that were not yet sent, but for the piece of a text that
    /// was given last.
    pub fn buffered(&self) -> usize {
        self.input.len() + self.output.len()
    }

    fn retrieved(&mut self, mut retrieval: Retrieval) {
        self.output.extend_from_slice(retrieval.text.finish());
        if let (Extent::Whole, State::Transaction(maildrop)) = (retrieval.extent, &mut self.state) {
            maildrop.note_read(retrieval.number);
        }
        self.events.push_back(Event::Retrieved);
        self.deadline = None;
    }

    fn unasked(&mut self, phase: Phase) {
        debug_assert!(false, "an answer without a question");
        self.phase = phase;
    }

    fn ask(&mut self, event: Event, question: Question) {
        self.phase = Phase::Asked(question);
        self.events.push_back(event);
    }

    fn say(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
    }

    /// Says a refusal and counts it; one too many is the last thing said. Says whether the session goes on.
    fn refused(&mut self, reply: &Reply) -> bool {
        self.errors += 1;
        if self.errors > self.config.max_errors {
            self.say(&replies::TOO_MANY_ERRORS);
            self.close(Closing::TooManyErrors);
            return false;
        }
        self.say(reply);
        true
    }

    fn close(&mut self, closing: Closing) {
        self.phase = Phase::Closed;
        self.input.clear();
        self.state = State::Authorization { user: None };
        self.events.push_back(Event::Closing(closing));
    }
}

/// A piece of a text that is at least so long, in octets, is sent as it is, without being copied. A shorter one is copied to what it is sent
/// with: one call of the system more takes longer.
const PIECE_MIN: usize = 16 * 1024;
