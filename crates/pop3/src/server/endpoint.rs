//! Input, time and output: the [`Endpoint`] itself.

use super::{Closing, Event, Extent, List, Phase, Question, Server, State};
use crate::replies;
use std::fmt::Write;
use std::time::Instant;
use wire::{Endpoint, Step};

impl Endpoint for Server {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        // What comes in clear between the +OK and TLS is none of ours (RFC 2595 §4).
        if !matches!(self.phase, Phase::Closed | Phase::StartTls | Phase::Handshake) {
            self.input.receive(bytes);
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
            if let Some(event) = self.events.pop_front() {
                return Step::Event(event);
            }
            if self.output.len() >= OUTPUT_MAX || !self.advance(now) {
                if !self.output.is_empty() {
                    return Step::Send(std::mem::take(&mut self.output).freeze());
                }
                if let Phase::Retrieving(_, piece) = &mut self.phase {
                    return Step::Send(std::mem::take(piece));
                }
                return self.rest(now);
            }
        }
    }
}

impl Server {
    /// Does one thing more; says whether there was any.
    fn advance(&mut self, now: Instant) -> bool {
        match &self.phase {
            Phase::Start(_) => self.start(),
            Phase::Command | Phase::Challenged if self.shutting_down.is_some() => {
                if let Some(reply) = self.shutting_down.take() {
                    self.say(&reply);
                    self.close(Closing::ShutDown);
                }
                true
            }
            Phase::Command => self.command(now),
            Phase::Challenged => self.auth_response(now),
            Phase::Handshake => self.handshake(now),
            Phase::Listing(list, index) => {
                let (list, index) = (*list, *index);
                self.list_from(list, index);
                true
            }
            Phase::Retrieving(..) => self.go_on_sending(),
            Phase::Asked(_) | Phase::StartTls | Phase::Closed => false,
        }
    }

    fn start(&mut self) -> bool {
        let Phase::Start(refusal) = &mut self.phase else { return false };
        if let Some(reply) = refusal.take() {
            self.say(&reply);
            self.close(Closing::Refused);
            return true;
        }
        self.phase = Phase::Command;
        // Who stops before it greeted says so instead.
        if self.shutting_down.is_none() {
            self.say(&replies::greeting(&self.config.host_name));
        }
        true
    }

    /// Writes some lines of a list.
    fn list_from(&mut self, list: List, index: usize) {
        let State::Transaction(maildrop) = &self.state else { return };
        match maildrop.from(index) {
            None => {
                self.output.extend_from_slice(b".\r\n");
                self.phase = Phase::Command;
            }
            Some((number, message)) => {
                match list {
                    List::Sizes => write!(self.output, "{number} {}\r\n", message.octets),
                    List::UniqueIds => write!(self.output, "{number} {:016x}\r\n", message.unique),
                }
                .expect("a buffer takes everything");
                self.phase = Phase::Listing(list, number as usize);
            }
        }
    }

    /// Asks for the next piece of a text when the one before is on its way, or in the output.
    fn go_on_sending(&mut self) -> bool {
        if self.peer_gone {
            self.output.clear();
            self.close(Closing::Disconnected);
            return true;
        }
        match &self.phase {
            Phase::Retrieving(_, piece) if piece.is_empty() => {}
            _ => return false,
        }
        if let Phase::Retrieving(retrieval, _) = std::mem::replace(&mut self.phase, Phase::Command) {
            self.ask(Event::More, Question::More(retrieval));
        }
        true
    }

    /// Nothing can be done without more input: says whether the lack of it ends the connection.
    pub(super) fn starve(&mut self, now: Instant) -> bool {
        self.input.release();
        if self.peer_gone {
            self.close(Closing::Disconnected);
            return true;
        }
        let idle_timeout = self.config.idle_timeout;
        if now < *self.deadline.get_or_insert(now + idle_timeout) {
            return false;
        }
        // RFC 1939 §3: without a word, and without removing anything.
        self.close(Closing::TimedOut);
        true
    }

    fn rest(&mut self, now: Instant) -> Step<Event> {
        match self.phase {
            Phase::Closed => Step::Close,
            Phase::StartTls => {
                self.phase = Phase::Handshake;
                Step::StartTls
            }
            // The application owes an answer, so the peer cannot be late.
            Phase::Asked(_) => Step::Wait(now + self.config.idle_timeout),
            _ => Step::Wait(self.deadline.unwrap_or(now + self.config.idle_timeout)),
        }
    }
}

impl Extent {
    /// That of a text of which so many lines are wanted.
    pub(super) fn of(lines: Option<u32>) -> Extent {
        if lines.is_some() { Extent::Top } else { Extent::Whole }
    }
}

/// Replies are sent when they have become this long, in octets, even if more could be said.
const OUTPUT_MAX: usize = 32 * 1024;
