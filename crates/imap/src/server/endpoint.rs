//! Input, time and output: the [`Endpoint`] itself.

use super::{Closing, Event, Phase, Question, Server, State, replies};
use crate::Assembled;
use crate::answer::Status;
use bytes::Bytes;
use std::time::{Duration, Instant};
use wire::{Endpoint, Step};

impl Endpoint for Server {
    type Event = Event;

    fn receive(&mut self, bytes: &[u8]) {
        // What comes in clear between the OK and TLS is none of ours.
        match (&self.phase, &mut self.deflate) {
            (Phase::Closed | Phase::StartTls | Phase::Handshake, _) => {}
            (_, Some(deflate)) => deflate.receive(bytes),
            (_, None) => self.input.receive(bytes),
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
            if !self.has_room() || !self.advance(now) {
                if let Some(octets) = self.send() {
                    return Step::Send(octets);
                }
                if let Some(step) = self.rest(now) {
                    return step;
                }
            }
        }
    }
}

impl Server {
    /// Does one thing more; says whether there was any.
    fn advance(&mut self, now: Instant) -> bool {
        match &self.phase {
            Phase::Start(_) => self.start(),
            Phase::Command | Phase::Challenged(_) | Phase::Idle(_) if self.shutting_down.is_some() => {
                if let Some(status) = self.shutting_down.take() {
                    self.untagged_status(&status);
                    self.close(Closing::ShutDown);
                }
                true
            }
            Phase::Command => self.command(now),
            Phase::Challenged(_) => self.auth_response(now),
            Phase::Handshake => self.handshake(now),
            Phase::Idle(_) => self.idle(now),
            Phase::Appending(_) => self.appending(now),
            Phase::Expunging(_) => {
                if let Phase::Expunging(expunging) = std::mem::replace(&mut self.phase, Phase::Command) {
                    self.go_on_expunging(*expunging);
                }
                true
            }
            Phase::Asked(_) | Phase::Telling(_) | Phase::StartTls | Phase::Compress | Phase::Closed => false,
        }
    }

    fn start(&mut self) -> bool {
        let Phase::Start(refusal) = &mut self.phase else { return false };
        if let Some(status) = refusal.take() {
            self.untagged_status(&status);
            self.close(Closing::Refused);
            return true;
        }
        self.phase = Phase::Command;
        // Who stops before it greeted says so instead.
        if self.shutting_down.is_none() {
            let text = format!("{} Posthaste ready", self.config.host_name);
            let status = Status::ok("").saying(text).with(self.capability_code());
            self.untagged_status(&status);
        }
        true
    }

    /// In IDLE: ends it at DONE, asks what is new, says something now and then.
    fn idle(&mut self, now: Instant) -> bool {
        if let Some(found) = self.input.next_command() {
            let Phase::Idle(tag) = std::mem::replace(&mut self.phase, Phase::Command) else { return false };
            self.still_here = None;
            self.deadline = Some(now + self.config.idle_timeout);
            match found {
                Assembled::Command(line) if line.trim_ascii_end().eq_ignore_ascii_case(b"DONE") => {
                    self.ask_done(tag);
                }
                _ => {
                    self.tagged(&tag, &replies::EXPECTED_DONE);
                    self.count_error();
                }
            }
            return true;
        }
        if std::mem::take(&mut self.woken) {
            if let Phase::Idle(tag) = std::mem::replace(&mut self.phase, Phase::Command) {
                self.ask(Event::Look, Question::Idle(tag));
            }
            return true;
        }
        let still_here = self.config.still_here;
        if now >= *self.still_here.get_or_insert(now + still_here) {
            self.still_here = Some(now + still_here);
            self.untagged_status(&replies::STILL_HERE);
            return true;
        }
        self.starve(now)
    }

    /// Nothing can be done without more input: says whether the lack of it ends the connection.
    pub(super) fn starve(&mut self, now: Instant) -> bool {
        if let Some(inflated) = self.deflate.as_mut().and_then(|deflate| deflate.inflate()) {
            match inflated {
                Ok(octets) => self.input.receive(&octets),
                Err(_) => self.close(Closing::Disconnected),
            }
            return true;
        }
        self.input.release();
        if self.peer_gone {
            if matches!(self.phase, Phase::Appending(_)) {
                self.events.push_back(Event::AppendAborted);
            }
            self.close(Closing::Disconnected);
            return true;
        }
        let timeout = self.patience();
        if now < *self.deadline.get_or_insert(now + timeout) {
            return false;
        }
        let status = if self.is_logged_in() { replies::IDLE_TOO_LONG } else { replies::NO_LOGIN };
        self.untagged_status(&status);
        self.close(Closing::TimedOut);
        true
    }

    /// How long the peer may say nothing.
    fn patience(&self) -> Duration {
        match self.state {
            State::NotAuthenticated => self.config.login_timeout,
            State::Authenticated | State::Selected(_) => self.config.idle_timeout,
        }
    }

    /// What to do when everything was sent and nothing is to be said; `None` when there is something to do after all.
    fn rest(&mut self, now: Instant) -> Option<Step<Event>> {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            Phase::Closed => Some(Step::Close),
            Phase::StartTls => {
                self.phase = Phase::Handshake;
                Some(Step::StartTls)
            }
            Phase::Compress => {
                self.begin_compression();
                self.phase = Phase::Command;
                None
            }
            Phase::Telling(question) => {
                self.phase = Phase::Asked(question);
                if self.peer_gone {
                    // Nobody reads any more.
                    self.close(Closing::Disconnected);
                } else {
                    self.events.push_back(Event::More);
                }
                None
            }
            phase => {
                let is_idle = matches!(phase, Phase::Idle(_));
                // The application owes an answer, so the peer cannot be late.
                let is_asked = matches!(phase, Phase::Asked(_));
                self.phase = phase;
                let until = self.deadline.filter(|_| !is_asked).unwrap_or(now + self.patience());
                let until = self.still_here.filter(|_| is_idle).map_or(until, |still| still.min(until));
                Some(Step::Wait(until))
            }
        }
    }

    /// A line for the log: before a login anything that is no command may be a password.
    pub(super) fn loggable(&self, line: &Bytes) -> Bytes {
        let line = line.slice(..line.len().min(SHOWN_MAX));
        let line = line.slice(..line.trim_ascii_end().len());
        let mut words = line.splitn(3, |octet| *octet == b' ');
        let verb = words.nth(1).unwrap_or_default();
        let secret = [b"LOGIN".as_slice(), b"AUTHENTICATE"];
        if secret.iter().any(|secret| verb.eq_ignore_ascii_case(secret)) {
            let end = words.next().map_or(line.len(), |rest| line.len() - rest.len() - 1);
            return line.slice(..end);
        }
        if self.is_logged_in() || verb.eq_ignore_ascii_case(b"STARTTLS") {
            return line;
        }
        Bytes::from_static(b"(not shown)")
    }
}

/// As much of a refused line is shown.
const SHOWN_MAX: usize = 512;
