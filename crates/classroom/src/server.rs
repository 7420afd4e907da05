//! The server's side of a connection.

use crate::content::{Piece, Text, strip_end};
use crate::{Address, Command, Status};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

/// What a server allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The largest text in octets; 0 is no limit.
    pub max_message_size: u64,
    /// Recipients of one message.
    pub max_recipients: usize,
    /// How long to wait for the client.
    pub idle_timeout: Duration,
}

/// What the application must know or decide. Those that ask stop the endpoint until [`Server::reply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Tells: the client named its domain; a message under way is forgotten.
    Helo(String),
    /// Asks: may this sender send?
    Mail(Address),
    /// Asks: is there this mailbox?
    Rcpt(Address),
    /// Tells: text, never empty.
    Content(Bytes),
    /// Asks: the text is whole; is it kept?
    End,
    /// Tells: the message is over without [`Event::End`]; forget it.
    Abort,
    /// Asks for the list of a mailbox. After [`Status::Ok`] its lines are asked for by [`Event::More`].
    List(Address),
    /// Asks for a message of a mailbox, counted from 1. After [`Status::Ok`] its lines are asked for by [`Event::More`].
    GetMail(Address, u32),
    /// Asks for more of what is shown: [`Server::show`] or [`Server::shown`].
    More,
    /// Tells: a command was refused without asking (for the log).
    Refused {
        /// What the client sent, at most 512 octets of it.
        line: Bytes,
        /// What was answered.
        status: Status,
    },
    /// Tells, once, before [`Step::Close`]: the connection is over.
    Closing(Closing),
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closing {
    /// QUIT.
    Quit,
    /// The client went away.
    Disconnected,
    /// Nothing came for too long.
    TimedOut,
    /// [`Server::shut_down`].
    ShutDown,
}

/// The endpoint.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    input: BytesMut,
    /// The rest of a line that was too long is being skipped.
    skipping: bool,
    output: BytesMut,
    phase: Phase,
    events: VecDeque<Event>,
    domain: Option<String>,
    /// From MAIL to the end of the text: how many recipients there are.
    recipients: Option<usize>,
    deadline: Option<Instant>,
    peer_gone: bool,
    stopping: bool,
}

/// What the endpoint does next.
#[derive(Debug)]
enum Phase {
    /// To read a command.
    Command,
    /// To read a text.
    Data(Text),
    /// To wait for the application.
    Asked(Question),
    /// To send what was shown, and then to ask for more.
    Showing,
    /// Nothing: the connection is over.
    Closed,
}

/// The event in hand.
#[derive(Debug, Clone, Copy)]
enum Question {
    Mail,
    Rcpt,
    End,
    Show,
    More,
}

impl Server {
    /// A connection; nothing is said before the client speaks.
    pub fn new(config: Arc<Config>) -> Server {
        Server {
            config,
            input: BytesMut::new(),
            skipping: false,
            output: BytesMut::new(),
            phase: Phase::Command,
            events: VecDeque::new(),
            domain: None,
            recipients: None,
            deadline: None,
            peer_gone: false,
            stopping: false,
        }
    }

    /// Answers the event in hand.
    pub fn reply(&mut self, status: Status) {
        let Phase::Asked(question) = self.phase else {
            return debug_assert!(false, "an answer without a question");
        };
        self.phase = Phase::Command;
        self.deadline = None;
        match (question, status) {
            (Question::End, Status::Ok) => return self.line("200 Message stored successfully"),
            (Question::Mail, Status::Ok) => self.recipients = Some(0),
            (Question::Rcpt, Status::Ok) => self.recipients = self.recipients.map(|count| count + 1),
            (Question::Show, Status::Ok) => self.phase = Phase::Showing,
            _ => {}
        }
        self.say(status);
    }

    /// Answers [`Event::More`] with text to be shown; its lines end with CRLF.
    pub fn show(&mut self, text: &[u8]) {
        self.output.extend_from_slice(text);
        self.phase = Phase::Showing;
    }

    /// Answers [`Event::More`]: that was all.
    pub fn shown(&mut self) {
        self.phase = Phase::Command;
        self.deadline = None;
    }

    /// Closes the connection when the command in hand is answered.
    pub fn shut_down(&mut self) {
        self.stopping = true;
    }

    /// How many octets are held.
    pub fn buffered(&self) -> usize {
        self.input.len() + self.output.len()
    }

    /// What the client calls its domain.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    fn line(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn say(&mut self, status: Status) {
        self.line(&status.to_string());
    }

    fn ask(&mut self, event: Event, question: Question) {
        self.phase = Phase::Asked(question);
        self.events.push_back(event);
    }

    fn close(&mut self, closing: Closing) {
        self.abort();
        self.phase = Phase::Closed;
        self.input = BytesMut::new();
        self.events.push_back(Event::Closing(closing));
    }

    fn abort(&mut self) {
        if self.recipients.take().is_some() {
            self.events.push_back(Event::Abort);
        }
    }

    /// Does one thing more; says whether there was any.
    fn advance(&mut self, now: Instant) -> bool {
        match &self.phase {
            Phase::Command if self.stopping => {
                self.close(Closing::ShutDown);
                true
            }
            Phase::Command => self.command(now),
            Phase::Data(_) => self.data(now),
            Phase::Showing if self.peer_gone => {
                self.output.clear();
                self.close(Closing::Disconnected);
                true
            }
            Phase::Showing if self.output.is_empty() => {
                self.ask(Event::More, Question::More);
                true
            }
            Phase::Showing | Phase::Asked(_) | Phase::Closed => false,
        }
    }

    fn command(&mut self, now: Instant) -> bool {
        let Some(line) = self.next_line() else { return self.starve(now) };
        self.deadline = Some(now + self.config.idle_timeout);
        let result = match Command::parse(&line) {
            _ if line.len() > COMMAND_LINE_MAX => Err(Status::Syntax),
            Ok(command) => self.obey(command),
            Err(_) => Err(Status::Syntax),
        };
        if let Err(status) = result {
            self.say(status);
            self.events
                .push_back(Event::Refused { line: line.slice(..line.len().min(COMMAND_LINE_MAX)), status });
        }
        true
    }

    fn obey(&mut self, command: Command) -> Result<(), Status> {
        match command {
            Command::Helo(domain) => {
                self.abort();
                self.domain = Some(domain.clone());
                self.events.push_back(Event::Helo(domain));
                self.say(Status::Ok);
            }
            Command::Mail(sender) => {
                self.need_own(&sender)?;
                if self.recipients.is_some() {
                    return Err(Status::Forbidden);
                }
                self.ask(Event::Mail(sender), Question::Mail);
            }
            Command::Rcpt(recipient) => {
                self.need_own(&recipient)?;
                if self.recipients.is_none_or(|count| count >= self.config.max_recipients) {
                    return Err(Status::Forbidden);
                }
                self.ask(Event::Rcpt(recipient), Question::Rcpt);
            }
            Command::Data => {
                if self.recipients.is_none_or(|count| count == 0) {
                    return Err(Status::Forbidden);
                }
                self.line("Enter your message (end with a single dot '.'):");
                self.phase = Phase::Data(Text::default());
            }
            Command::List(mailbox) => {
                self.need_own(&mailbox)?;
                self.ask(Event::List(mailbox), Question::Show);
            }
            Command::GetMail(mailbox, number) => {
                self.need_own(&mailbox)?;
                self.ask(Event::GetMail(mailbox, number), Question::Show);
            }
            Command::Quit => {
                self.line("200 Goodbye");
                self.close(Closing::Quit);
            }
        }
        Ok(())
    }

    /// The address must be in the domain that HELO named.
    fn need_own(&self, address: &Address) -> Result<(), Status> {
        match &self.domain {
            Some(domain) if domain.eq_ignore_ascii_case(address.domain()) => Ok(()),
            _ => Err(Status::Forbidden),
        }
    }

    fn data(&mut self, now: Instant) -> bool {
        let max = self.config.max_message_size;
        let Phase::Data(text) = &mut self.phase else { return false };
        let before = text.size();
        match text.take(&mut self.input) {
            Piece::None => return self.starve(now),
            Piece::Lines(lines) => {
                let is_too_big = max > 0 && text.size() > max;
                self.deadline = Some(now + self.config.idle_timeout);
                if !is_too_big {
                    self.events.push_back(Event::Content(lines));
                } else if before <= max {
                    // What follows is not kept; the client hears of it at the end. Whatever comes of the connection, this is told once.
                    self.abort();
                }
            }
            Piece::End => {
                let (is_too_big, has_nul) = (max > 0 && text.size() > max, text.has_nul());
                self.recipients = None;
                self.phase = Phase::Command;
                match (is_too_big, has_nul) {
                    (false, false) => self.ask(Event::End, Question::End),
                    (false, true) => {
                        self.events.push_back(Event::Abort);
                        self.say(Status::Syntax);
                    }
                    (true, _) => self.say(Status::Forbidden),
                }
            }
        }
        true
    }

    /// The next line without its end; of one that is too long its beginning, and the rest is skipped.
    fn next_line(&mut self) -> Option<Bytes> {
        if self.skipping {
            let Some(at) = memchr::memchr(b'\n', &self.input) else {
                self.input.clear();
                return None;
            };
            drop(self.input.split_to(at + 1));
            self.skipping = false;
        }
        match memchr::memchr(b'\n', &self.input) {
            Some(at) => {
                let line = self.input.split_to(at + 1).freeze();
                let length = strip_end(&line).len();
                Some(line.slice(..length))
            }
            // With its CR and one octet too many.
            None if self.input.len() > COMMAND_LINE_MAX + 1 => {
                self.skipping = true;
                Some(std::mem::take(&mut self.input).freeze())
            }
            None => None,
        }
    }

    /// Nothing can be done without more input: says whether the lack of it ends the connection.
    fn starve(&mut self, now: Instant) -> bool {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        let idle_timeout = self.config.idle_timeout;
        let closing = match self.deadline {
            _ if self.peer_gone => Closing::Disconnected,
            Some(deadline) if now >= deadline => Closing::TimedOut,
            _ => {
                self.deadline.get_or_insert(now + idle_timeout);
                return false;
            }
        };
        self.close(closing);
        true
    }
}

impl Endpoint for Server {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        if !matches!(self.phase, Phase::Closed) {
            self.input.extend_from_slice(bytes);
        }
    }

    fn receive_end(&mut self) {
        self.peer_gone = true;
    }

    /// There is no TLS in this protocol; before it, it changes nothing.
    fn secured(&mut self) {}

    fn step(&mut self, now: Instant) -> Step<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            if self.output.len() >= OUTPUT_MAX || !self.advance(now) {
                if !self.output.is_empty() {
                    return Step::Send(std::mem::take(&mut self.output).freeze());
                }
                return match self.phase {
                    Phase::Closed => Step::Close,
                    // The application owes an answer, so the client cannot be late.
                    Phase::Asked(_) => Step::Wait(now + self.config.idle_timeout),
                    _ => Step::Wait(self.deadline.unwrap_or(now + self.config.idle_timeout)),
                };
            }
        }
    }
}

impl Default for Config {
    /// 64 MiB, 100 recipients, 10 minutes.
    fn default() -> Config {
        Config { max_message_size: 64 << 20, max_recipients: 100, idle_timeout: Duration::from_secs(600) }
    }
}

/// The longest command, in octets without its line end.
const COMMAND_LINE_MAX: usize = 512;
/// What is to be said is sent when it has become this long, in octets.
const OUTPUT_MAX: usize = 4096;
