//! Who the peer is and what protects the connection: STARTTLS, AUTH and XCLIENT.

use super::{Auth, Closing, Config, Event, Favours, Login, Phase, Question, Server, StartTls};
use crate::sasl::may_use;
use crate::xclient::Attribute;
use crate::{AUTH_LINE_MAX, Reply, SaslMessage, Verb, replies};
use bytes::{BufMut, Bytes};
use std::sync::Arc;
use std::time::Instant;
use wire::{Channel, Line};

impl Server {
    /// Answers [`Event::Auth`] or [`Event::AuthResponse`] with a challenge, which may be empty; the peer's response
    /// comes as [`Event::AuthResponse`]. Its base64 must fit into a line of [`AUTH_LINE_MAX`] octets.
    pub fn challenge(&mut self, octets: &[u8]) {
        if !matches!(self.phase, Phase::Asked(Question::Auth)) {
            debug_assert!(false, "a challenge without an AUTH");
            return;
        }
        // RFC 4954 §4: the space stands before an empty challenge as well. It is no ordinary reply: it is not wrapped
        // at 512 octets.
        let challenge = SaslMessage::from(octets).to_base64();
        debug_assert!(challenge.len() + 6 <= AUTH_LINE_MAX, "a challenge that is too long");
        self.output.put_slice(b"334 ");
        self.output.put_slice(challenge.as_bytes());
        self.output.put_slice(b"\r\n");
        self.phase = Phase::Challenged;
        self.deadline = None;
    }

    /// Offers a mechanism to this peer alone, beyond the configuration: EXTERNAL to one that showed a certificate.
    /// What was offered so is forgotten when a proxy begins to speak for another.
    pub fn offer_mechanism(&mut self, name: &str) {
        let mechanisms = &mut self.favours.get_or_insert_default().mechanisms;
        if !mechanisms.iter().any(|known| known == name) {
            mechanisms.push(name.to_owned());
        }
    }

    /// Greets this peer without [`Config::greeting_delay`](super::Config::greeting_delay): it is known.
    pub fn greet_at_once(&mut self) {
        self.favours.get_or_insert_default().at_once = true;
    }

    /// Offers XCLIENT to this peer: it is a proxy that is trusted to say for whom it speaks.
    pub fn offer_xclient(&mut self) {
        self.favours.get_or_insert_default().xclient = true;
    }

    /// Goes by this configuration from here on: what holds for the client that a proxy names need not be what holds for the proxy. To be called
    /// before the answer to [`Event::XClient`].
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// Counts the peer as authenticated without AUTH, because a proxy that is trusted says so (XCLIENT LOGIN). To be
    /// called after the answer to [`Event::XClient`], which begins the session anew.
    pub fn trust_login(&mut self) {
        self.login = Login::Done;
    }

    /// Whether the peer is authenticated.
    pub fn is_authenticated(&self) -> bool {
        self.login == Login::Done
    }

    /// Whether TLS protects the connection.
    pub fn is_secured(&self) -> bool {
        self.channel == Channel::Tls
    }

    pub(super) fn may_speak_for_others(&self) -> bool {
        self.favours.as_ref().is_some_and(|favours| favours.xclient)
    }

    /// The mechanisms that there are for this peer, now or under TLS.
    fn all_mechanisms(&self) -> impl Iterator<Item = &str> {
        let own = self.favours.as_ref().map_or(&[][..], |favours| &favours.mechanisms);
        self.config.auth.mechanisms.iter().chain(own).map(String::as_str)
    }

    /// The mechanisms that may be used now.
    pub(super) fn mechanisms(&self) -> impl Iterator<Item = &str> {
        let may_begin = self.login == Login::None;
        let in_clear = self.config.auth.in_clear;
        self.all_mechanisms().filter(move |name| may_begin && may_use(name, self.channel, in_clear))
    }

    /// Whether the peer may authenticate itself at some time.
    pub(super) fn knows_auth(&self) -> bool {
        self.all_mechanisms().next().is_some()
    }

    /// STARTTLS (RFC 3207 §4).
    pub(super) fn start_tls(&mut self) -> Result<(), Reply> {
        if self.channel == Channel::Tls {
            return Err(replies::TLS_IS_ON);
        }
        if self.config.starttls == StartTls::NotOffered {
            return Err(replies::NO_STARTTLS);
        }
        // Not need_hello(): some clients begin with STARTTLS (GNU SASL's gsasl), and what a hello said would be forgotten.
        self.need_no_transaction()?;
        if !self.input.is_empty() {
            // Whoever put this here wants it to be taken for something that came under TLS.
            let line = Bytes::from_static(b"STARTTLS");
            self.events.push_back(Event::Refused { line, reply: replies::PIPELINED_STARTTLS });
            self.say(&replies::PIPELINED_STARTTLS);
            self.close(Closing::Refused);
            return Ok(());
        }
        self.say(&replies::READY_FOR_TLS);
        self.phase = Phase::StartTls;
        Ok(())
    }

    /// TLS is on: forgets what was learnt in clear (RFC 3207 §4.2).
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
        self.login = Login::None;
        self.peer = None;
        self.input.clear();
        self.excused = 0;
        self.after_auth = false;
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

    /// AUTH (RFC 4954 §4).
    pub(super) fn auth(&mut self, mechanism: String, initial: Option<SaslMessage>) -> Result<(), Reply> {
        if !self.knows_auth() {
            return Err(replies::NO_AUTH);
        }
        self.need_hello()?;
        if !self.is_esmtp() {
            return Err(replies::EHLO_FIRST);
        }
        if self.login == Login::Done {
            return Err(replies::ALREADY_AUTHENTICATED);
        }
        self.need_no_transaction()?;
        if !self.mechanisms().any(|name| name == mechanism) {
            let only_under_tls =
                self.channel == Channel::Clear && self.all_mechanisms().any(|name| name == mechanism);
            let none_in_clear = self.mechanisms().next().is_none();
            return Err(match only_under_tls || none_in_clear {
                true => replies::TLS_NEEDED_FOR_AUTH,
                false => replies::unknown_mechanism(&self.mechanisms().collect::<Vec<_>>()),
            });
        }
        self.ask(Event::Auth(Auth { mechanism, initial }), Question::Auth);
        Ok(())
    }

    /// Reads the response to a challenge.
    pub(super) fn auth_response(&mut self, now: Instant) -> bool {
        let Some(line) = self.input.next_line(AUTH_LINE_MAX) else {
            return self.starve(now);
        };
        self.deadline = Some(now + self.config.idle_timeout);
        let refusal = match line {
            Line::TooLong(_) => replies::AUTH_LINE_TOO_LONG,
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
        self.after_auth = true;
        if self.is_one_too_many(&refusal) {
            self.events.push_back(Event::AuthCancelled(replies::TOO_MANY_ERRORS));
            self.too_many_errors();
        } else {
            self.say(&refusal);
            self.events.push_back(Event::AuthCancelled(refusal));
        }
        true
    }

    /// XCLIENT.
    pub(super) fn xclient(&mut self, attributes: Vec<Attribute>) -> Result<(), Reply> {
        if !self.may_speak_for_others() {
            return Err(replies::NO_XCLIENT);
        }
        self.need_no_transaction()?;
        self.ask(Event::XClient(attributes), Question::XClient);
        Ok(())
    }

    /// A proxy speaks for another client from here on: what is known of the one before, or of the proxy, is not that
    /// client's. The session begins with its greeting.
    pub(super) fn speak_for_another(&mut self) {
        self.favours = Some(Box::new(Favours { xclient: true, ..Favours::default() }));
        self.peer = None;
        self.login = Login::None;
        self.deadline = None;
        self.say_greeting();
    }

    /// Whether a line is an AUTH that may be obeyed, so that it may be longer than others.
    pub(super) fn is_long_auth(&mut self) -> bool {
        let start = self.input.start();
        let is_auth =
            start.get(..5).is_some_and(|word| word[..4].eq_ignore_ascii_case(b"AUTH") && word[4] == b' ');
        is_auth && self.mechanisms().next().is_some()
    }

    /// A refused line as a log may show it: AUTH carries passwords, and after a failed one so may anything that is no
    /// command.
    pub(super) fn loggable(&self, line: Bytes) -> Bytes {
        // However the verb is set off: a typing error must not show what follows it.
        let begin = line.len() - line.trim_ascii_start().len();
        let length = line[begin..].iter().position(|octet| !octet.is_ascii_alphanumeric());
        let end = length.map_or(line.len(), |length| begin + length);
        let word = std::str::from_utf8(&line[begin..end]).unwrap_or_default();
        match Verb::parse(word) {
            Some(Verb::Auth) => line.slice(..end),
            Some(_) => line,
            None if Verb::nearest(word) == Some(Verb::Auth) => line.slice(..end),
            None if self.after_auth => Bytes::from_static(b"(not shown)"),
            None => line,
        }
    }

    fn need_no_transaction(&self) -> Result<(), Reply> {
        if self.transaction.is_some() { Err(replies::NOT_IN_TRANSACTION) } else { Ok(()) }
    }
}
