//! Input, time and output: the [`Endpoint`] itself.

use super::delivery::{Content, Next};
use super::{Asked, Awaited, Client, Event, Exchange, Failure, Hello, Outcome, Phase, Stage};
use crate::{Command, Extensions, Protocol, Reply, Severity, Verb, replies};
use bytes::Bytes;
use std::time::{Duration, Instant};
use wire::{Endpoint, Flaw, Step};

impl Endpoint for Client {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        // What comes in clear between the 220 and TLS is none of the server's (RFC 3207 §4.2).
        if !matches!(self.phase, Phase::Closed | Phase::TlsDue | Phase::Handshake) {
            self.replies.receive(bytes);
        }
    }

    fn receive_end(&mut self) {
        self.peer_gone = true;
    }

    fn secured(&mut self) {
        self.tls_is_on();
    }

    fn step(&mut self, now: Instant) -> Step<Event> {
        loop {
            // Content is gathered until a write is worth its cost.
            let gathers = matches!(self.phase, Phase::Content(_)) && !self.output.is_much();
            if !gathers && let Some(bytes) = self.output.take() {
                return Step::Send(bytes);
            }
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            if !self.advance(now) {
                if let Some(bytes) = self.output.take() {
                    return Step::Send(bytes);
                }
                return match self.phase {
                    Phase::Closed => Step::Close,
                    Phase::TlsDue => {
                        self.phase = Phase::Handshake;
                        Step::StartTls
                    }
                    _ => Step::Wait(self.deadline.unwrap_or(now + IDLE)),
                };
            }
        }
    }
}

impl Client {
    /// Does one thing more; says whether there was any.
    fn advance(&mut self, now: Instant) -> bool {
        if matches!(self.phase, Phase::Closed | Phase::TlsDue) {
            return false;
        }
        match self.replies.next_reply() {
            Err(error) => {
                let what = match error {
                    crate::ReplyError::Malformed => "a line that is no reply",
                    crate::ReplyError::TooLong => "a reply that is too long",
                };
                self.protocol_error(self.stage(), what);
                true
            }
            Ok(Some(reply)) => {
                self.deadline = None;
                self.take_reply(reply);
                true
            }
            Ok(None) => {
                let went_on = match self.phase {
                    // What was sent from now on would reach nobody.
                    _ if self.peer_gone => false,
                    Phase::Envelope => self.send_envelope(),
                    Phase::Content(asked) => self.go_on_with_content(asked),
                    _ => false,
                };
                went_on || self.starve(now)
            }
        }
    }

    /// Nothing can be done without the server: says whether the lack of it ends the connection.
    fn starve(&mut self, now: Instant) -> bool {
        let late = match self.timeout() {
            None => false,
            Some(timeout) => now >= *self.deadline.get_or_insert(now + timeout),
        };
        if !self.peer_gone && !late {
            return false;
        }
        let stage = self.stage();
        match &mut self.delivery {
            _ if self.phase == Phase::Quit => self.close(),
            // Everybody has a reply already, so what else the server would have said does not matter. In LMTP
            // some may have theirs: those stand, and only for the others is nothing known.
            Some(delivery)
                if delivery.all_settled() || self.phase == Phase::End && delivery.any_delivered() =>
            {
                delivery.settle_rest(&replies::CONNECTION_LOST);
                self.finish();
                self.close();
            }
            _ if self.peer_gone => self.fail(Failure::ClosedByPeer { stage }),
            _ => self.fail(Failure::TimedOut { stage }),
        }
        true
    }

    /// How long to wait for the reply awaited first (RFC 5321 §4.5.3.2); `None` when none is.
    fn timeout(&self) -> Option<Duration> {
        let timeouts = &self.config.timeouts;
        match self.phase {
            Phase::Greeting => Some(timeouts.greeting),
            Phase::Hello(_) | Phase::StartTls | Phase::Handshake => Some(timeouts.hello),
            Phase::Auth(Exchange::Sent | Exchange::Cancelled) => Some(timeouts.hello),
            Phase::Auth(Exchange::Chosen | Exchange::Challenged) | Phase::TlsDue => None,
            Phase::Quit => Some(timeouts.quit),
            Phase::Ready | Phase::Closed => None,
            Phase::Envelope | Phase::Content(_) | Phase::End => match self.awaited.front()? {
                Awaited::Reset | Awaited::Mail => Some(timeouts.mail),
                Awaited::Rcpt(_) => Some(timeouts.rcpt),
                Awaited::Data => Some(timeouts.data),
                Awaited::LoneDot | Awaited::Chunk | Awaited::Content | Awaited::ContentFor(_) => {
                    Some(timeouts.end)
                }
            },
        }
    }

    fn take_reply(&mut self, reply: Reply) {
        let stage = self.stage();
        match self.phase {
            Phase::Greeting => self.greeted(reply),
            Phase::Hello(verb) => self.hello_answered(verb, reply),
            Phase::Quit => self.close(),
            Phase::Closed | Phase::TlsDue | Phase::Handshake => {}
            Phase::StartTls | Phase::Auth(_) if is_421(&reply) => self.fail(Failure::ServiceClosing(reply)),
            Phase::StartTls => self.starttls_answered(reply),
            Phase::Auth(exchange) => self.auth_answered(exchange, reply),
            Phase::Ready if is_421(&reply) => self.fail(Failure::ServiceClosing(reply)),
            Phase::Ready => self.protocol_error(stage, "a reply to nothing"),
            Phase::Envelope | Phase::Content(_) | Phase::End => match self.awaited.pop_front() {
                _ if is_421(&reply) => self.give_up(&reply),
                Some(awaited) => self.answered(awaited, reply, stage),
                // The server refuses the content before it is whole: there is no way to tell it where the
                // next command begins.
                None if is_negative(&reply) => self.give_up(&reply),
                None => self.protocol_error(stage, "a reply to nothing"),
            },
        }
    }

    fn greeted(&mut self, reply: Reply) {
        match reply.severity() {
            Severity::Positive => {
                self.say_hello();
            }
            Severity::Intermediate => self.protocol_error(Stage::Greeting, "the greeting is no greeting"),
            Severity::Transient | Severity::Permanent => {
                self.leave(Failure::Greeting(reply));
            }
        }
    }

    pub(super) fn say_hello(&mut self) {
        self.send_hello(match (self.config.protocol, self.config.hello) {
            (Protocol::Smtp, Hello::Extended) => Verb::Ehlo,
            (Protocol::Smtp, Hello::Basic) => Verb::Helo,
            (Protocol::Lmtp, _) => Verb::Lhlo,
        });
    }

    fn send_hello(&mut self, verb: Verb) {
        let name = self.config.hello_name.clone();
        self.output.line(&match verb {
            Verb::Lhlo => Command::Lhlo(name),
            Verb::Helo => Command::Helo(name),
            _ => Command::Ehlo(name),
        });
        self.phase = Phase::Hello(verb);
    }

    fn hello_answered(&mut self, verb: Verb, reply: Reply) {
        match reply.severity() {
            Severity::Positive => {
                if verb != Verb::Helo {
                    self.extensions = Extensions::from_reply(&reply);
                }
                self.secure();
            }
            // RFC 5321 §3.2: a server without extensions is greeted with HELO. Old ones use other codes than
            // 500 and 502.
            Severity::Permanent
                if verb == Verb::Ehlo && [500, 502, 504, 550, 554].contains(&reply.code().number()) =>
            {
                self.send_hello(Verb::Helo);
            }
            Severity::Intermediate => self.protocol_error(Stage::Hello, "the reply to the hello is none"),
            Severity::Transient | Severity::Permanent => {
                self.leave(Failure::Hello(reply));
            }
        }
    }

    /// Takes the reply that was awaited.
    fn answered(&mut self, awaited: Awaited, reply: Reply, stage: Stage) {
        self.mail_answered |= awaited == Awaited::Mail;
        let Some(delivery) = &mut self.delivery else { return };
        let positive = reply.severity() == Severity::Positive;
        match awaited {
            Awaited::LoneDot => {}
            Awaited::Data if reply.severity() == Severity::Intermediate => {
                if delivery.accepted.is_empty() {
                    // RFC 2920 §3.1: the server wants content for nobody. It gets none.
                    self.output.bytes(b".\r\n");
                    self.awaited.push_back(Awaited::LoneDot);
                } else {
                    self.phase = Phase::Content(Asked::No);
                }
            }
            _ if reply.severity() == Severity::Intermediate => {
                self.protocol_error(stage, "an unexpected 3yz reply")
            }
            Awaited::Data if positive => self.protocol_error(stage, "DATA was answered with a 2yz reply"),
            Awaited::Data => delivery.settle_rest(&reply),
            Awaited::Reset if positive => {}
            Awaited::Reset => self.protocol_error(stage, "RSET was refused"),
            Awaited::Mail if positive => delivery.open = true,
            Awaited::Mail => {
                delivery.settle_rest(&reply);
                delivery.next = Next::Nothing;
            }
            Awaited::Rcpt(index) => delivery.rcpt_answered(index, reply),
            Awaited::Chunk if positive => {}
            Awaited::Chunk => delivery.settle_rest(&reply),
            Awaited::Content => {
                delivery.open = false;
                delivery.settle_rest(&reply);
                self.finish();
            }
            Awaited::ContentFor(index) => {
                delivery.open = false;
                delivery.settle(index, reply);
                if self.awaited.is_empty() {
                    self.finish();
                }
            }
        }
    }

    /// Sends as much of the envelope as may be sent now; says whether anything was done.
    fn send_envelope(&mut self) -> bool {
        // More unanswered commands could fill both directions, so that neither side can write (RFC 2920
        // §3.1).
        let window = if self.extensions.pipelining() { WINDOW } else { 1 };
        let mut went_on = false;
        while self.awaited.len() < window && self.send_command() {
            went_on = true;
        }
        if went_on {
            return true;
        }
        let over = self.delivery.as_ref().is_some_and(|delivery| delivery.next == Next::Nothing);
        if over && self.awaited.is_empty() && self.phase == Phase::Envelope {
            self.finish();
            return true;
        }
        false
    }

    /// Sends one command of the envelope, if there is one to send now.
    fn send_command(&mut self) -> bool {
        let Some(delivery) = &mut self.delivery else { return false };
        match delivery.next {
            Next::Nothing => return false,
            Next::Mail if self.needs_reset => {
                self.needs_reset = false;
                self.output.line(&Verb::Rset);
                self.awaited.push_back(Awaited::Reset);
            }
            Next::Mail => {
                self.output.line(&delivery.mail(&self.extensions));
                self.awaited.push_back(Awaited::Mail);
                delivery.next = Next::Rcpt(0);
            }
            Next::Rcpt(from) => match delivery.rcpt(from, &self.extensions) {
                Some((index, command)) => {
                    self.output.line(&command);
                    self.awaited.push_back(Awaited::Rcpt(index));
                    delivery.next = Next::Rcpt(index + 1);
                }
                None => delivery.next = Next::Content,
            },
            Next::Content if self.awaited.is_empty() && delivery.accepted.is_empty() => {
                delivery.next = Next::Nothing;
            }
            Next::Content => match delivery.content {
                Content::Dots(_) => {
                    self.output.line(&Verb::Data);
                    self.awaited.push_back(Awaited::Data);
                    delivery.next = Next::Nothing;
                }
                Content::Chunks { .. } if self.awaited.is_empty() => {
                    delivery.next = Next::Nothing;
                    self.phase = Phase::Content(Asked::No);
                }
                Content::Chunks { .. } => return false,
            },
        }
        self.deadline = None;
        true
    }

    /// Asks for more content when more can be sent; says whether anything was done.
    fn go_on_with_content(&mut self, asked: Asked) -> bool {
        let Some(delivery) = &self.delivery else { return false };
        let window = if self.extensions.pipelining() { CHUNK_WINDOW } else { 1 };
        let failed = delivery.accepted.first().is_some_and(|index| delivery.is_settled(*index));
        match delivery.content {
            // A chunk was refused: the rest is not sent.
            Content::Chunks { .. } if failed => {
                if !self.awaited.is_empty() || asked == Asked::Yes {
                    return false;
                }
                self.finish();
                true
            }
            Content::Chunks { whole: true, .. } => {
                if !self.awaited.is_empty() {
                    return false;
                }
                self.send_last_chunk();
                true
            }
            Content::Chunks { .. } if self.awaited.len() >= window => false,
            _ if asked == Asked::Yes => false,
            _ => {
                self.phase = Phase::Content(Asked::Yes);
                self.events.push_back(Event::WantContent);
                true
            }
        }
    }

    pub(super) fn send_content(&mut self, bytes: Bytes) -> Result<(), Flaw> {
        let Some(delivery) = &mut self.delivery else { return Ok(()) };
        match &mut delivery.content {
            Content::Dots(encoder) => {
                let bytes = encoder.encode(bytes)?;
                self.output.content(bytes);
            }
            Content::Chunks { flaws, last_octet, .. } => {
                if let Some(flaw) = flaws.as_mut().and_then(|flaws| flaws.read(&bytes)) {
                    return Err(flaw);
                }
                *last_octet = bytes.last().copied();
                self.output.line(&Command::Bdat { size: bytes.len() as u64, last: false });
                self.output.content(bytes);
                self.awaited.push_back(Awaited::Chunk);
            }
        }
        self.deadline = None;
        Ok(())
    }

    pub(super) fn send_end_of_content(&mut self) -> Result<(), Flaw> {
        let Some(delivery) = &mut self.delivery else { return Ok(()) };
        match &mut delivery.content {
            Content::Dots(encoder) => {
                let end = encoder.finish()?;
                self.output.bytes(end);
                self.await_end();
            }
            Content::Chunks { flaws, whole, .. } => {
                if let Some(flaw) = flaws.as_ref().and_then(wire::FlawFinder::finish) {
                    return Err(flaw);
                }
                *whole = true;
            }
        }
        Ok(())
    }

    /// Sends the chunk that ends the message, once all others were taken. In LMTP the number of replies would
    /// be uncertain otherwise.
    fn send_last_chunk(&mut self) {
        let Some(delivery) = &self.delivery else { return };
        let ending: &[u8] = match &delivery.content {
            Content::Chunks { flaws: Some(_), last_octet: Some(octet), .. } if *octet != b'\n' => b"\r\n",
            _ => b"",
        };
        self.output.line(&Command::Bdat { size: ending.len() as u64, last: true });
        self.output.bytes(ending);
        self.await_end();
    }

    /// The content is sent whole: awaits the reply, in LMTP one for each accepted recipient.
    fn await_end(&mut self) {
        let Some(delivery) = &self.delivery else { return };
        match self.config.protocol {
            Protocol::Smtp => self.awaited.push_back(Awaited::Content),
            Protocol::Lmtp => self.awaited.extend(delivery.accepted.iter().copied().map(Awaited::ContentFor)),
        }
        self.deadline = None;
        self.phase = Phase::End;
    }

    /// The delivery is over.
    fn finish(&mut self) {
        let Some(delivery) = self.delivery.take() else { return };
        self.needs_reset = delivery.open;
        self.phase = Phase::Ready;
        self.deadline = None;
        self.events.push_back(Event::Done(Outcome { recipients: delivery.into_outcome() }));
    }

    /// The server closes, or cannot be followed any more: whoever has no final reply gets this one.
    fn give_up(&mut self, reply: &Reply) {
        if let Some(delivery) = &mut self.delivery {
            delivery.settle_rest(reply);
        }
        self.finish();
        self.output.clear();
        self.close();
    }

    pub(super) fn protocol_error(&mut self, stage: Stage, what: &'static str) {
        // In LMTP some may have their reply already, and with it the message.
        let some_have_it = self.delivery.as_ref().is_some_and(|delivery| delivery.any_delivered());
        if self.phase == Phase::End && some_have_it {
            return self.give_up(&replies::CONNECTION_LOST);
        }
        self.fail(Failure::Protocol { stage, what });
    }
}

/// The server says that it closes the connection (RFC 5321 §3.8).
fn is_421(reply: &Reply) -> bool {
    reply.code().number() == 421
}

fn is_negative(reply: &Reply) -> bool {
    matches!(reply.severity(), Severity::Transient | Severity::Permanent)
}

/// The most commands without a reply.
const WINDOW: usize = 64;
/// The most chunks without a reply.
const CHUNK_WINDOW: usize = 4;
/// When to look again at a connection on which nothing is awaited.
const IDLE: Duration = Duration::from_secs(300);
