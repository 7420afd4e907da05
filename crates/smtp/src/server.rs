//! The server's side of an SMTP or LMTP connection.
//!
//! [`Server`] owns syntax, sequence, limits, extensions, dot-unstuffing and the refusal of dangerous content; the
//! application owns decisions. It is driven as every [`wire::Endpoint`]; events that ask are answered with
//! [`Server::reply`]. DATA and BDAT look the same from outside.

use crate::{MailParameters, Protocol, Recipient, Reply, ReversePath, Verb};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

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
    /// How many errors get their reply; the next one closes the connection.
    pub max_errors: u32,
    /// How long to wait for a command; RFC 5321 §4.5.3.2.7 asks for 5 minutes.
    pub idle_timeout: Duration,
    /// The longest command line, in octets with its CRLF.
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

/// The default of [`Config::command_line_max`].
pub const COMMAND_LINE_MAX: usize = 2048;

/// What the application must know or decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Asks: the peer says who it is. A positive reply's text becomes the first line; the list of extensions is added.
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
    /// Tells, once, before [`Step::Close`]: the connection is over.
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
}

impl Server {
    /// A connection that begins with the greeting.
    pub fn new(config: Arc<Config>) -> Server {
        Server { config }
    }

    /// A connection that is refused: `reply`, 421 or 554, takes the place of the greeting, and it closes.
    pub fn refuse(config: Arc<Config>, reply: Reply) -> Server {
        drop(reply);
        Server { config }
    }

    /// Answers the event in hand. Exactly one answer for each event that asks.
    pub fn reply(&mut self, reply: Reply) {
        drop(reply);
    }

    /// Answers [`Event::End`] in LMTP: one reply for each accepted recipient, in order.
    pub fn reply_each(&mut self, replies: Vec<Reply>) {
        drop(replies);
    }

    /// Stops gracefully: outside a transaction `reply`, a 421, is sent and the connection closes; a transaction in flight is finished first.
    pub fn shut_down(&mut self, reply: Reply) {
        drop(reply);
    }

    /// Whether a transaction is in flight: from MAIL accepted until its end.
    pub fn in_transaction(&self) -> bool {
        false
    }

    /// What the peer calls itself, once it was accepted.
    pub fn hello_name(&self) -> Option<&str> {
        None
    }

    /// Whether the peer greeted with EHLO or LHLO.
    pub fn is_esmtp(&self) -> bool {
        false
    }
}

impl Endpoint for Server {
    type Event = Event;

    fn receive(&mut self, _bytes: &[u8]) {}

    fn receive_end(&mut self) {}

    fn step(&mut self, now: Instant) -> Step<Event> {
        Step::Wait(now + self.config.idle_timeout)
    }
}
