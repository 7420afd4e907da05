//! Who the peer is and what protects the connection: STLS, USER, PASS and AUTH.

use super::{Auth, Closing, Event, Phase, Question, Server, State, Stls};
use crate::{Reply, replies};
use bytes::Bytes;
use std::time::Instant;
use wire::sasl::{AUTH_LINE_MAX, InClear, SaslMessage, may_use};
use wire::{Channel, Line};

/// The mechanism that USER and PASS stand for.
const PLAIN: &str = "PLAIN";

impl Server {
    /// Answers [`Event::Auth`] or [`Event::AuthResponse`] with a challenge, which may be empty; the peer's response comes as
    /// [`Event::AuthResponse`]. Its base64 must fit into a line of [`AUTH_LINE_MAX`] octets.
    pub fn challenge(&mut self, octets: &[u8]) {
        if !matches!(self.phase, Phase::Asked(Question::Auth)) {
            debug_assert!(false, "a challenge without an AUTH");
            return;
        }
        // RFC 5034 §4: the space stands before an empty challenge as well.
        self.output.extend_from_slice(b"+ ");
        self.output.extend_from_slice(SaslMessage::from(octets).to_base64().as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.phase = Phase::Challenged;
        self.deadline = None;
    }

    /// Offers a mechanism to this peer alone, beyond the configuration: EXTERNAL to one that showed a certificate.
    pub fn offer_mechanism(&mut self, name: &str) {
        if !self.own_mechanisms.iter().any(|known| known == name) {
            self.own_mechanisms.push(name.to_owned());
        }
    }

    /// The mechanisms that may be used now.
    pub(super) fn mechanisms(&self) -> impl Iterator<Item = &str> {
        let all = self.config.mechanisms.iter().chain(&self.own_mechanisms).map(String::as_str);
        all.filter(|name| may_use(name, self.channel, self.config.in_clear))
    }

    /// Whether USER and PASS may be used now.
    pub(super) fn takes_passwords(&self) -> bool {
        self.mechanisms().any(|name| name == PLAIN)
    }

    /// Why there is no way to log in like this.
    fn no_login(&self, otherwise: Reply) -> Reply {
        let knows_some = !self.config.mechanisms.is_empty();
        let needs_tls = self.channel == Channel::Clear && self.config.in_clear == InClear::Refuse;
        if knows_some && needs_tls { replies::TLS_FIRST } else { otherwise }
    }

    /// STLS (RFC 2595 §4): in the AUTHORIZATION state only.
    pub(super) fn start_tls(&mut self) -> Result<(), Reply> {
        if self.channel == Channel::Tls {
            return Err(replies::TLS_IS_ON);
        }
        if self.config.stls == Stls::NotOffered {
            return Err(replies::NO_STLS);
        }
        self.need_no_login()?;
        if !self.input.is_empty() {
            // Whoever put this here wants it to be taken for something that came under TLS.
            let line = Bytes::from_static(b"STLS");
            self.events.push_back(Event::Refused { line, reply: replies::PIPELINED_STLS });
            self.say(&replies::PIPELINED_STLS);
            self.close(Closing::Refused);
            return Ok(());
        }
        self.say(&replies::READY_FOR_TLS);
        self.phase = Phase::StartTls;
        Ok(())
    }

    /// TLS is on: forgets what was learnt in clear (RFC 2595 §4).
    pub(super) fn tls_is_on(&mut self) {
        match self.phase {
            Phase::Handshake => {
                self.phase = Phase::Command;
                self.events.push_back(Event::Secured);
            }
            Phase::Start(_) => {}
            // It may have been shut down meanwhile.
            Phase::Closed => return,
            _ => debug_assert!(false, "TLS that nobody asked for"),
        }
        self.channel = Channel::Tls;
        self.state = State::Authorization { user: None };
        self.input.clear();
        self.deadline = None;
    }

    /// Waits for the driver to say that TLS is on; in clear nothing more is said.
    pub(super) fn handshake(&mut self, now: Instant) -> bool {
        let closing = match self.deadline {
            _ if self.peer_gone => Closing::Disconnected,
            Some(deadline) if now >= deadline => Closing::TimedOut,
            _ => return false,
        };
        self.close(closing);
        true
    }

    /// USER: always answered alike (RFC 1939 §7 lets it).
    pub(super) fn user(&mut self, name: String) -> Result<(), Reply> {
        self.need_no_login()?;
        if !self.takes_passwords() {
            return Err(self.no_login(replies::NO_PASSWORDS));
        }
        self.state = State::Authorization { user: Some(name) };
        self.say(&replies::SEND_PASSWORD);
        Ok(())
    }

    /// PASS: what PLAIN would say (RFC 4616 §2).
    pub(super) fn pass(&mut self, password: &SaslMessage) -> Result<(), Reply> {
        self.need_no_login()?;
        if !self.takes_passwords() {
            return Err(self.no_login(replies::NO_PASSWORDS));
        }
        let State::Authorization { user } = &mut self.state else { return Err(replies::LOGGED_IN) };
        let user = user.take().ok_or(replies::USER_FIRST)?;
        let message = SaslMessage::plain(user.as_bytes(), password.as_bytes());
        let auth = Auth { mechanism: PLAIN.to_owned(), initial: Some(message) };
        self.ask(Event::Auth(auth), Question::Auth);
        Ok(())
    }

    /// AUTH (RFC 5034 §4).
    pub(super) fn auth(&mut self, mechanism: String, initial: Option<SaslMessage>) -> Result<(), Reply> {
        self.need_no_login()?;
        if !self.mechanisms().any(|name| name == mechanism) {
            return Err(self.no_login(replies::NO_SUCH_MECHANISM));
        }
        self.ask(Event::Auth(Auth { mechanism, initial }), Question::Auth);
        Ok(())
    }

    /// AUTH without arguments: the mechanisms, one a line.
    pub(super) fn list_mechanisms(&mut self) -> Result<(), Reply> {
        self.need_no_login()?;
        let names: String = self.mechanisms().map(|name| format!("{name}\r\n")).collect();
        self.say(&replies::OK.with_text("the mechanisms are"));
        self.output.extend_from_slice(names.as_bytes());
        self.output.extend_from_slice(b".\r\n");
        Ok(())
    }

    /// Reads the response to a challenge.
    pub(super) fn auth_response(&mut self, now: Instant) -> bool {
        let Some(line) = self.input.next_line(AUTH_LINE_MAX) else {
            return self.starve(now);
        };
        self.deadline = Some(now + self.config.idle_timeout);
        let refusal = match line {
            Line::TooLong(_) => replies::LINE_TOO_LONG,
            Line::BareEnding(_) => replies::BARE_LINE_ENDING,
            Line::Complete(line) => match line.trim_ascii_end() {
                b"*" => replies::AUTH_CANCELLED,
                text => match SaslMessage::from_base64(text) {
                    Some(message) => {
                        self.ask(Event::AuthResponse(message), Question::Auth);
                        return true;
                    }
                    None => replies::BAD_BASE64,
                },
            },
        };
        self.phase = Phase::Command;
        self.events.push_back(Event::AuthCancelled(refusal.clone()));
        self.refused(&refusal);
        true
    }

    /// Whether a line is an AUTH that may be obeyed, so that it may be longer than others.
    pub(super) fn is_long_auth(&mut self) -> bool {
        let start = self.input.start();
        let is_auth = start.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH "));
        is_auth && !self.is_logged_in() && self.mechanisms().next().is_some()
    }

    fn need_no_login(&self) -> Result<(), Reply> {
        if self.is_logged_in() { Err(replies::LOGGED_IN) } else { Ok(()) }
    }
}
