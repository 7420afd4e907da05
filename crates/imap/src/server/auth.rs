//! Who the peer is and what protects the connection: STARTTLS, LOGIN and AUTHENTICATE (RFC 9051 §6.2).

use super::{Auth, Closing, Event, Phase, Question, Server, StartTls, State, replies};
use crate::answer::Status;
use crate::{Assembled, Assembler};
use bytes::Bytes;
use std::time::Instant;
use wire::Channel;
use wire::sasl::{AUTH_LINE_MAX, InClear, SaslMessage, may_use};

/// The mechanism that LOGIN stands for.
const PLAIN: &str = "PLAIN";

impl Server {
    /// Answers [`Event::Auth`] or [`Event::AuthResponse`] with a challenge, which may be empty; the peer's response comes as
    /// [`Event::AuthResponse`]. Its base64 must fit into a line of [`AUTH_LINE_MAX`] octets.
    pub fn challenge(&mut self, octets: &[u8]) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(question) => match *question {
                Question::Auth(tag) => {
                    self.continuation(&SaslMessage::from(octets).to_base64());
                    self.phase = Phase::Challenged(tag);
                    self.deadline = None;
                }
                other => self.unasked(Phase::Asked(Box::new(other))),
            },
            other => self.unasked(other),
        }
    }

    /// Answers [`Event::Auth`] or [`Event::AuthResponse`]: the peer is logged in.
    pub fn grant(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(question) => match *question {
                Question::Auth(tag) => {
                    self.state = State::Authenticated;
                    self.errors = 0;
                    let status = Status::ok("Logged in").with(self.capability_code());
                    self.tagged(&tag, &status);
                }
                other => self.unasked(Phase::Asked(Box::new(other))),
            },
            other => self.unasked(other),
        }
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

    /// Whether LOGIN may be used now.
    pub(super) fn takes_passwords(&self) -> bool {
        self.mechanisms().any(|name| name == PLAIN)
    }

    /// Why there is no way to log in like this.
    fn no_login(&self, otherwise: Status) -> Status {
        let knows_some = !self.config.mechanisms.is_empty();
        let needs_tls = self.channel == Channel::Clear && self.config.in_clear == InClear::Refuse;
        if knows_some && needs_tls { replies::tls_first() } else { otherwise }
    }

    /// STARTTLS (RFC 9051 §6.2.1).
    pub(super) fn start_tls(&mut self, tag: &str) -> Result<(), Status> {
        if self.channel == Channel::Tls {
            return Err(replies::TLS_IS_ON);
        }
        if self.config.start_tls == StartTls::NotOffered {
            return Err(replies::NO_STARTTLS);
        }
        self.need_no_login()?;
        if !self.input.is_empty() {
            // Whoever put this here wants it to be taken for something that came under TLS.
            let line = Bytes::from_static(b"STARTTLS");
            self.events.push_back(Event::Refused { line, status: replies::PIPELINED_STARTTLS });
            self.tagged(tag, &replies::PIPELINED_STARTTLS);
            self.close(Closing::Refused);
            return Ok(());
        }
        self.tagged(tag, &replies::BEGIN_TLS);
        self.phase = Phase::StartTls;
        Ok(())
    }

    /// TLS is on: forgets what was learnt in clear (RFC 9051 §6.2.1).
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
        self.state = State::NotAuthenticated;
        self.input = Assembler::new();
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

    /// LOGIN: what PLAIN would say (RFC 4616 §2).
    pub(super) fn login(&mut self, tag: String, user: &str, password: &SaslMessage) -> Result<(), Status> {
        self.need_no_login()?;
        if !self.takes_passwords() {
            return Err(self.no_login(replies::NO_PASSWORDS));
        }
        let message = SaslMessage::plain(user.as_bytes(), password.as_bytes());
        let auth = Auth { mechanism: PLAIN.to_owned(), initial: Some(message) };
        self.ask(Event::Auth(auth), Question::Auth(tag));
        Ok(())
    }

    /// AUTHENTICATE (RFC 9051 §6.2.2).
    pub(super) fn authenticate(
        &mut self,
        tag: String,
        mechanism: String,
        initial: Option<SaslMessage>,
    ) -> Result<(), Status> {
        self.need_no_login()?;
        if !self.mechanisms().any(|name| name == mechanism) {
            return Err(self.no_login(replies::NO_SUCH_MECHANISM));
        }
        self.ask(Event::Auth(Auth { mechanism, initial }), Question::Auth(tag));
        Ok(())
    }

    /// Reads the response to a challenge.
    pub(super) fn auth_response(&mut self, now: Instant) -> bool {
        let line = match self.input.next_command() {
            None if self.input.len() <= AUTH_LINE_MAX => return self.starve(now),
            Some(Assembled::Command(line)) if line.len() <= AUTH_LINE_MAX => line,
            // A literal is none, and nothing that is longer.
            _ => Bytes::from_static(b"-"),
        };
        self.deadline = Some(now + self.config.login_timeout);
        let Phase::Challenged(tag) = std::mem::replace(&mut self.phase, Phase::Command) else { return false };
        let refusal = match line.trim_ascii_end() {
            b"*" => replies::AUTH_CANCELLED,
            text => match SaslMessage::from_base64(text) {
                Some(message) => {
                    self.ask(Event::AuthResponse(message), Question::Auth(tag));
                    return true;
                }
                None => replies::BAD_BASE64,
            },
        };
        self.events.push_back(Event::AuthCancelled(refusal.clone()));
        self.tagged(&tag, &refusal);
        self.count_error();
        true
    }

    pub(super) fn need_no_login(&self) -> Result<(), Status> {
        if self.is_logged_in() { Err(replies::LOGGED_IN) } else { Ok(()) }
    }
}
