//! Input, time and output: the [`Endpoint`] itself.

use super::{Abort, Closing, Event, Phase, Server};
use crate::{Protocol, replies};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Instant;
use wire::{Endpoint, Step};

impl Endpoint for Server {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        // What comes in clear between the 220 and TLS is none of ours (RFC 3207 §4.2).
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
                // Replies are sent when nothing more can be done without the peer (RFC 2920 §3.2), or when
                // they are many.
                if !self.output.is_empty() {
                    return Step::Send(self.take_output());
                }
                return self.rest(now);
            }
        }
    }
}

impl Server {
    /// Does one thing more; says whether there was any.
    fn advance(&mut self, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Start(_) => self.start(now),
            Phase::Command | Phase::Challenged
                if self.shutting_down.is_some() && self.transaction.is_none() =>
            {
                if let Some(reply) = self.shutting_down.take() {
                    self.say(&reply);
                    self.close(Closing::ShutDown);
                }
                true
            }
            Phase::Command => self.command(now),
            Phase::Data(_) => self.data(now),
            Phase::Chunk(_) => self.chunk(now),
            Phase::Challenged => self.auth_response(now),
            Phase::Handshake => self.handshake(now),
            Phase::Asked(_) | Phase::StartTls | Phase::Closed => false,
        }
    }

    /// Greets, or refuses to; says whether it is time.
    fn start(&mut self, now: Instant) -> bool {
        let Phase::Start(refusal) = &mut self.phase else { return false };
        if let Some(reply) = refusal.take() {
            self.say(&reply);
            self.close(Closing::Refused);
            return true;
        }
        let delay = self.config.greeting_delay;
        let is_known = self.favours.as_ref().is_some_and(|favours| favours.at_once);
        if !delay.is_zero() && !is_known && self.shutting_down.is_none() {
            // RFC 5321 §3.1: a client waits for the greeting. What does not is no mail server.
            if !self.input.is_empty() {
                self.say(&replies::EARLY_TALKER);
                self.close(Closing::EarlyTalker);
                return true;
            }
            if self.peer_gone {
                self.close(Closing::Disconnected);
                return true;
            }
            if now < *self.deadline.get_or_insert(now + delay) {
                return false;
            }
            self.deadline = None;
        }
        self.phase = Phase::Command;
        // Who stops before it greeted says so instead.
        if self.shutting_down.is_none() {
            self.say_greeting();
        }
        true
    }

    pub(super) fn say_greeting(&mut self) {
        let protocol = match self.config.protocol {
            Protocol::Smtp => "ESMTP",
            Protocol::Lmtp => "LMTP",
        };
        let config = &self.config;
        let greeting = replies::greeting(&config.host_name, protocol, config.banner.as_deref());
        self.say(&greeting);
    }

    /// Nothing can be done without more input: says whether the lack of it ends the connection.
    pub(super) fn starve(&mut self, now: Instant) -> bool {
        self.input.release();
        if self.peer_gone {
            self.abort(Abort::Disconnected);
            self.close(Closing::Disconnected);
            return true;
        }
        let idle_timeout = self.config.idle_timeout;
        if now < *self.deadline.get_or_insert(now + idle_timeout) {
            return false;
        }
        let reply = match &self.phase {
            Phase::Data(data) if data.has_bare_endings() => replies::TIMEOUT_IN_BARE_CONTENT,
            _ => replies::TIMEOUT,
        };
        self.abort(Abort::TimedOut);
        self.say(&reply);
        self.close(Closing::TimedOut);
        true
    }

    fn rest(&mut self, now: Instant) -> Step<Event> {
        // An idle connection keeps no memory for events.
        self.events = VecDeque::new();
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

    fn take_output(&mut self) -> Bytes {
        std::mem::take(&mut self.output).freeze()
    }
}

/// Replies are sent when they have become this long, in octets, even if more commands wait. One command adds
/// at most its own replies to that: in LMTP one for each accepted recipient.
const OUTPUT_MAX: usize = 4096;
