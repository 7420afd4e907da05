//! Commands: read, obeyed or refused.

use super::maildrop::{Maildrop, Message, Missing};
use super::text::Text;
use super::{
    COMMAND_LINE_MAX, Closing, Event, Extent, List, Phase, Question, Retrieval, Server, State, Stls,
};
use crate::{Command, Fault, Reply, Verb, replies};
use bytes::Bytes;
use std::time::Instant;
use wire::sasl::AUTH_LINE_MAX;
use wire::{Channel, Line};

impl Server {
    /// Reads a command and acts on it; says whether there was any.
    pub(super) fn command(&mut self, now: Instant) -> bool {
        let max = if self.is_long_auth() { AUTH_LINE_MAX } else { COMMAND_LINE_MAX };
        let Some(line) = self.input.next_line(max) else {
            return self.starve(now);
        };
        self.deadline = Some(now + self.config.idle_timeout);
        let (line, result) = match line {
            Line::TooLong(line) => (line, Err(replies::LINE_TOO_LONG)),
            Line::BareEnding(line) => (line, Err(replies::BARE_LINE_ENDING)),
            Line::Complete(line) => {
                let command = Command::parse(&line).map_err(refusal_of);
                let result = command.and_then(|command| self.obey(command));
                (line, result)
            }
        };
        if let Err(reply) = result {
            let line = self.loggable(line);
            if self.refused(&reply) {
                self.events.push_back(Event::Refused { line, reply });
            }
        }
        true
    }

    fn obey(&mut self, command: Command) -> Result<(), Reply> {
        match command {
            Command::User(name) => self.user(name),
            Command::Pass(password) => self.pass(&password),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Mechanisms => self.list_mechanisms(),
            Command::Stls => self.start_tls(),
            Command::Capa => self.capabilities(),
            Command::Utf8 if self.is_logged_in() => Err(replies::LOGGED_IN),
            Command::Utf8 => self.ok(&replies::UTF8_ON),
            Command::Quit => self.quit(),
            other => self.transaction(other),
        }
    }

    /// What is of the TRANSACTION state alone.
    fn transaction(&mut self, command: Command) -> Result<(), Reply> {
        let maildrop = self.maildrop()?;
        match command {
            Command::Stat => {
                let (count, octets) = maildrop.totals();
                self.ok(&replies::OK.with_text(format!("{count} {octets}")))
            }
            Command::List(Some(number)) => {
                let message = maildrop.message(number).map_err(refusal_of_missing)?;
                self.ok(&replies::OK.with_text(format!("{number} {}", message.octets)))
            }
            Command::Uidl(Some(number)) => {
                let message = maildrop.message(number).map_err(refusal_of_missing)?;
                self.ok(&replies::OK.with_text(format!("{number} {:016x}", message.unique)))
            }
            Command::List(None) => self.begin_list(List::Sizes),
            Command::Uidl(None) => self.begin_list(List::UniqueIds),
            Command::Dele(number) => {
                maildrop.delete(number).map_err(refusal_of_missing)?;
                self.ok(&replies::MARKED)
            }
            Command::Rset => {
                maildrop.reset();
                let (count, octets) = maildrop.totals();
                self.ok(&replies::OK.with_text(format!("maildrop has {count} messages ({octets} octets)")))
            }
            Command::Retr(number) => self.retrieve(number, None),
            Command::Top { message, lines } => self.retrieve(message, Some(lines)),
            // NOOP; the others were taken before.
            _ => self.ok(&replies::OK),
        }
    }

    fn begin_list(&mut self, list: List) -> Result<(), Reply> {
        let (count, octets) = self.maildrop()?.totals();
        self.say(&replies::OK.with_text(format!("{count} messages ({octets} octets)")));
        self.phase = Phase::Listing(list, 0);
        Ok(())
    }

    fn retrieve(&mut self, number: u32, lines: Option<u32>) -> Result<(), Reply> {
        let Message { octets, unique } = self.maildrop()?.message(number).map_err(refusal_of_missing)?;
        let retrieval = Retrieval { number, octets, extent: Extent::of(lines), text: Text::new(lines) };
        self.ask(Event::Retrieve(unique), Question::Retrieve(Box::new(retrieval)));
        Ok(())
    }

    /// QUIT: before a login the end, after one the UPDATE state (RFC 1939 §6).
    fn quit(&mut self) -> Result<(), Reply> {
        match &self.state {
            State::Authorization { .. } => {
                self.say(&replies::BYE);
                self.close(Closing::Quit);
            }
            State::Transaction(maildrop) => {
                let (deleted, read) = maildrop.outcome();
                self.ask(Event::Update { deleted, read }, Question::Update);
            }
        }
        Ok(())
    }

    /// CAPA (RFC 2449 §5): what there is at this moment.
    fn capabilities(&mut self) -> Result<(), Reply> {
        let mut offer: Vec<String> =
            ["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "UTF8 USER"]
                .map(str::to_owned)
                .to_vec();
        if !self.config.login_delay.is_zero() {
            // Whole seconds: who waits for so long has waited long enough.
            offer.push(format!("LOGIN-DELAY {}", self.config.login_delay.as_millis().div_ceil(1000)));
        }
        if self.takes_passwords() {
            offer.push("USER".to_owned());
        }
        // RFC 2449 §5 lets what is of one state be named in both.
        let mechanisms: Vec<&str> = self.mechanisms().collect();
        if !mechanisms.is_empty() {
            offer.push(format!("SASL {}", mechanisms.join(" ")));
        }
        if self.channel == Channel::Clear && self.config.stls == Stls::Offered && !self.is_logged_in() {
            offer.push("STLS".to_owned());
        }
        self.say(&replies::OK.with_text("this is what there is"));
        for line in offer {
            self.output.extend_from_slice(line.as_bytes());
            self.output.extend_from_slice(b"\r\n");
        }
        self.output.extend_from_slice(b".\r\n");
        Ok(())
    }

    fn ok(&mut self, reply: &Reply) -> Result<(), Reply> {
        self.say(reply);
        Ok(())
    }

    fn maildrop(&mut self) -> Result<&mut Maildrop, Reply> {
        match &mut self.state {
            State::Transaction(maildrop) => Ok(maildrop),
            State::Authorization { .. } => Err(replies::LOGIN_FIRST),
        }
    }

    /// A refused line as a log may show it: before a login anything that is no command may be a password.
    fn loggable(&self, line: Bytes) -> Bytes {
        let end = line.iter().position(|octet| !octet.is_ascii_alphanumeric()).unwrap_or(line.len());
        match std::str::from_utf8(&line[..end]).ok().and_then(Verb::parse) {
            Some(Verb::User | Verb::Pass | Verb::Apop | Verb::Auth) => line.slice(..end),
            Some(_) => line,
            None if self.is_logged_in() => line,
            None => Bytes::from_static(b"(not shown)"),
        }
    }
}

fn refusal_of(fault: Fault) -> Reply {
    match fault {
        Fault::Verb => replies::UNKNOWN_COMMAND,
        Fault::Arguments(verb) => replies::usage(verb),
        Fault::Base64 => replies::BAD_BASE64,
    }
}

fn refusal_of_missing(missing: Missing) -> Reply {
    match missing {
        Missing::NoSuch => replies::NO_SUCH_MESSAGE,
        Missing::Deleted => replies::DELETED,
    }
}
