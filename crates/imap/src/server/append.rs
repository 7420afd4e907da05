//! APPEND: messages that come as literals and go on piece by piece (RFC 9051 §6.3.12, RFC 3502, RFC 7888).
//!
//! A refused APPEND is answered at once; what the client sends of it without waiting to be asked is skipped.

use super::{Append, Closing, Event, Phase, Question, Server, replies};
use crate::answer::{Code, Status};
use crate::{Behind, Body, Command, LiteralHeader, utf7};
use bytes::{Buf, Bytes};
use std::time::Instant;

/// An APPEND under way.
#[derive(Debug)]
pub(super) struct Appending {
    tag: String,
    literal: LiteralHeader,
    /// Octets of the message in hand that are still to come; then the line goes on.
    left: u64,
}

/// The longest line between two messages of an APPEND.
const LINE_MAX: usize = 8192;

impl Server {
    /// An APPEND up to its first literal.
    pub(super) fn append(&mut self, octets: &Bytes) {
        let refused = |tag: Option<String>, status: Status| (tag, status);
        let parsed = match Command::parse(octets) {
            Ok(Command { tag, body: Body::Append(append) }) => Ok((tag, append)),
            Ok(Command { tag, .. }) => Err(refused(Some(tag), Status::bad("A literal has no place here"))),
            Err(fault) => {
                let status = Status::bad("").saying(format!("APPEND: {fault}"));
                Err(refused(Command::tag_of(octets), status))
            }
        };
        match parsed {
            Ok((tag, append)) => {
                if !self.is_logged_in() {
                    return self.refuse_literal(&tag, append.literal, &replies::LOGIN_FIRST);
                }
                let name =
                    append.mailbox.map(|mailbox| self.name(mailbox.0)).unwrap_or(Err(replies::BAD_NAME));
                match name {
                    Ok(name) => {
                        let wanted =
                            Append { mailbox: Some(name), flags: append.flags, date: append.date, length: 0 };
                        self.begin_append(tag, append.literal, wanted);
                    }
                    Err(status) => self.refuse_literal(&tag, append.literal, &status),
                }
            }
            Err((tag, status)) => {
                let line = Bytes::copy_from_slice(octets.trim_ascii_end());
                match tag {
                    Some(tag) => self.tagged(&tag, &status),
                    None => self.untagged_status(&status),
                }
                self.events.push_back(Event::Refused { line, status });
                // Its octets come next, unless the client waits.
                if let Some(length) = crate::assembler::unasked_literal(octets) {
                    self.input.skip_literal(length);
                }
                self.count_error();
            }
        }
    }

    /// Asks for a place for the next message.
    fn begin_append(&mut self, tag: String, literal: LiteralHeader, wanted: Append) {
        let wanted = Append { length: literal.length, ..wanted };
        let appending = Appending { tag, literal, left: literal.length };
        let refusal = if literal.length == 0 {
            Some(replies::EMPTY_MESSAGE)
        } else if literal.length > self.config.append_limit {
            let text = format!("Messages may have {} octets", self.config.append_limit);
            Some(Status::no("").saying(text).with(Code::TooBig))
        } else {
            None
        };
        match refusal {
            Some(status) => {
                let is_first = wanted.mailbox.is_some();
                self.refuse_append(appending, &status);
                if !is_first {
                    self.events.push_back(Event::AppendAborted);
                }
            }
            None => self.ask(Event::Append(wanted), Question::Append(Box::new(appending))),
        }
    }

    /// Answers [`Event::Append`]: the octets may come.
    pub fn accept(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(question) => match *question {
                Question::Append(appending) => {
                    if appending.literal.waits {
                        self.continuation("Ready for the message");
                    }
                    self.phase = Phase::Appending(appending);
                }
                other => self.unasked(Phase::Asked(Box::new(other))),
            },
            other => self.unasked(other),
        }
        self.deadline = None;
    }

    pub(super) fn refuse_append(&mut self, appending: Appending, status: &Status) {
        self.phase = Phase::Command;
        self.refuse_literal(&appending.tag, appending.literal, status);
    }

    fn refuse_literal(&mut self, tag: &str, literal: LiteralHeader, status: &Status) {
        self.tagged(tag, status);
        if !literal.waits {
            self.input.skip_literal(literal.length);
        }
        self.count_error();
    }

    /// Takes octets of a message, or what stands after them; says whether there was anything to do.
    pub(super) fn appending(&mut self, now: Instant) -> bool {
        let Phase::Appending(appending) = &mut self.phase else { return false };
        if appending.left > 0 {
            let input = self.input.raw();
            if input.is_empty() {
                return self.starve(now);
            }
            let length = appending.left.min(input.len() as u64);
            appending.left -= length;
            let octets = input.split_to(length as usize).freeze();
            self.events.push_back(Event::Content(octets));
            self.deadline = Some(now + self.config.idle_timeout);
            return true;
        }
        let input = self.input.raw();
        let Some(end) = memchr::memchr(b'\n', input) else {
            if input.len() > LINE_MAX {
                return self.append_broken(&replies::TOO_LONG);
            }
            return self.starve(now);
        };
        let mut line = input.split_to(end + 1).freeze();
        let tag = std::mem::take(&mut appending.tag);
        if appending.literal.behind == Behind::Parenthesis && line.starts_with(b")") {
            line.advance(1);
        } else if appending.literal.behind == Behind::Parenthesis {
            return self.append_unfollowed(&tag, &line, "a parenthesis is missing");
        }
        if *line == *b"\r\n" {
            self.ask(Event::AppendEnd, Question::AppendEnd(tag));
            return true;
        }
        match crate::Append::parse_next(&line) {
            Ok(next) => {
                let wanted = Append { mailbox: None, flags: next.flags, date: next.date, length: 0 };
                self.begin_append(tag, next.literal, wanted);
            }
            Err(fault) => return self.append_unfollowed(&tag, &line, &fault.to_string()),
        }
        true
    }

    /// What stands after a message is not what may stand there.
    fn append_unfollowed(&mut self, tag: &str, line: &Bytes, why: &str) -> bool {
        self.phase = Phase::Command;
        let status = Status::bad("").saying(format!("APPEND: after the message {why}"));
        self.events.push_back(Event::AppendAborted);
        self.events
            .push_back(Event::Refused { line: line.slice(..line.len().min(512)), status: status.clone() });
        self.tagged(tag, &status);
        if let Some(length) = crate::assembler::unasked_literal(line) {
            self.input.skip_literal(length);
        }
        self.count_error();
        true
    }

    /// What cannot be followed any further.
    fn append_broken(&mut self, status: &Status) -> bool {
        self.events.push_back(Event::AppendAborted);
        self.untagged_status(&Status::bye("").saying(status.text.clone()));
        self.close(Closing::TooManyErrors);
        true
    }

    /// The name of a mailbox as the client wrote it (RFC 9051 §5.1): UTF-8 where that was enabled, else modified UTF-7. UTF-8 that comes
    /// without being enabled is no UTF-7 and can mean nothing else.
    pub(super) fn name(&self, name: String) -> Result<String, Status> {
        let is_utf8 = self.enabled.rev2 || self.enabled.utf8;
        if is_utf8 || !name.is_ascii() {
            return Ok(name);
        }
        utf7::decode(&name).ok_or(replies::BAD_NAME)
    }
}
