//! Between the hello and the first delivery: STARTTLS and AUTH.

use super::{Authentication, Client, Event, Exchange, Failure, Phase, Security, Stage};
use crate::sasl::{binds_channel, hides_secrets};
use crate::{Command, Extensions, InClear, Reply, ReplyParser, SaslMessage, Severity, Verb};

impl Client {
    /// Begins an AUTH; only after [`Event::Authenticate`], else nothing happens. `mechanism` is one of those that the
    /// event names, in upper case: with any other the connection fails.
    ///
    /// An initial response that does not fit into a command line of 512 octets is kept until the server asks for it
    /// with an empty challenge (RFC 4954 §4).
    pub fn authenticate(&mut self, mechanism: &str, initial: Option<SaslMessage>) {
        if !self.takes_turn(Exchange::Chosen) {
            return;
        }
        if !self.usable_mechanisms().iter().any(|usable| usable == mechanism) {
            debug_assert!(false, "a mechanism that may not be used");
            return self.leave(Failure::NoMechanism { secured: self.secured });
        }
        let mechanism = mechanism.to_owned();
        let whole = Command::Auth { mechanism: mechanism.clone(), initial: initial.clone() };
        if whole.to_string().len() + 2 <= COMMAND_LINE_MAX {
            self.output.line(&whole);
        } else {
            self.output.line(&Command::Auth { mechanism, initial: None });
            self.initial = initial;
        }
    }

    /// Responds to a challenge; only after [`Event::Challenge`], else nothing happens.
    pub fn respond(&mut self, response: &[u8]) {
        if self.takes_turn(Exchange::Challenged) {
            self.send_response(&response.into());
        }
    }

    /// Gives the AUTH up; only after [`Event::Challenge`], else nothing happens. The connection fails with
    /// [`Failure::Authentication`].
    pub fn cancel(&mut self) {
        if self.takes_turn(Exchange::Challenged) {
            self.output.line(&"*");
            self.phase = Phase::Auth(Exchange::Cancelled);
        }
    }

    /// Whether TLS protects the connection.
    pub fn is_secured(&self) -> bool {
        self.secured
    }

    /// Whether the server has accepted an AUTH.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// The server has been greeted: goes on to STARTTLS, if it is wanted.
    pub(super) fn secure(&mut self) {
        match self.config.security {
            _ if self.secured => self.prove(),
            Security::None => self.prove(),
            Security::IfOffered | Security::Required if self.extensions.start_tls() => {
                self.output.line(&Verb::StartTls);
                self.phase = Phase::StartTls;
            }
            Security::IfOffered => self.prove(),
            Security::Required => self.leave(Failure::NoTls),
        }
    }

    pub(super) fn starttls_answered(&mut self, reply: Reply) {
        match reply.severity() {
            Severity::Positive => {
                // RFC 3207 §4.2: whatever came with the reply is in clear, and may be anybody's.
                self.replies = ReplyParser::new();
                self.phase = Phase::TlsDue;
            }
            Severity::Intermediate => self.protocol_error(Stage::StartTls, "an unexpected 3yz reply"),
            Severity::Transient | Severity::Permanent => match self.config.security {
                Security::Required => self.leave(Failure::TlsRefused(reply)),
                Security::None | Security::IfOffered => self.prove(),
            },
        }
    }

    /// TLS is on: what the server said in clear is forgotten, and it is greeted anew (RFC 3207 §4.2).
    pub(super) fn tls_is_on(&mut self) {
        let after_starttls = match self.phase {
            Phase::Handshake => true,
            Phase::Greeting => false,
            // It may have been given up meanwhile.
            Phase::Closed => return,
            _ => {
                debug_assert!(false, "TLS that nobody asked for");
                return;
            }
        };
        self.secured = true;
        self.replies = ReplyParser::new();
        self.extensions = Extensions::default();
        self.deadline = None;
        if after_starttls {
            self.say_hello();
        }
    }

    /// The connection is as safe as it gets: goes on to AUTH, if it is wanted.
    fn prove(&mut self) {
        self.deadline = None;
        if self.config.authentication == Authentication::No {
            self.phase = Phase::Ready;
            self.events.push_back(Event::Ready);
            return;
        }
        let usable = self.usable_mechanisms();
        if usable.is_empty() {
            return self.leave(Failure::NoMechanism { secured: self.secured });
        }
        self.phase = Phase::Auth(Exchange::Chosen);
        self.events.push_back(Event::Authenticate(usable));
    }

    /// What the server offers and may be used now.
    fn usable_mechanisms(&self) -> Vec<String> {
        let in_clear = self.config.in_clear == InClear::Allow;
        let usable = |name: &&str| self.secured || !binds_channel(name) && (in_clear || hides_secrets(name));
        self.extensions.auth().filter(usable).map(str::to_owned).collect()
    }

    pub(super) fn auth_answered(&mut self, exchange: Exchange, reply: Reply) {
        match (exchange, reply.severity()) {
            (Exchange::Chosen | Exchange::Challenged, _) => {
                self.protocol_error(Stage::Auth, "a reply to nothing");
            }
            (_, Severity::Transient | Severity::Permanent) => self.leave(Failure::Authentication(reply)),
            (Exchange::Sent, Severity::Positive) => {
                self.authenticated = true;
                self.initial = None;
                self.phase = Phase::Ready;
                self.events.push_back(Event::Ready);
            }
            (Exchange::Sent, Severity::Intermediate) if reply.code().number() == 334 => {
                self.challenged(&reply);
            }
            (Exchange::Sent | Exchange::Cancelled, _) => {
                self.protocol_error(Stage::Auth, "an unexpected reply");
            }
        }
    }

    fn challenged(&mut self, reply: &Reply) {
        let Some(challenge) = SaslMessage::from_base64(reply.text().trim_end().as_bytes()) else {
            return self.protocol_error(Stage::Auth, "a challenge that is not base64");
        };
        match self.initial.take() {
            Some(initial) => self.send_response(&initial),
            None => {
                self.phase = Phase::Auth(Exchange::Challenged);
                self.events.push_back(Event::Challenge(challenge));
            }
        }
    }

    fn send_response(&mut self, response: &SaslMessage) {
        self.output.line(&response.to_base64());
        self.phase = Phase::Auth(Exchange::Sent);
        self.deadline = None;
    }

    /// Takes note that the application answered; says whether it was asked for this.
    fn takes_turn(&mut self, turn: Exchange) -> bool {
        let asked = self.phase == Phase::Auth(turn);
        debug_assert!(asked || self.phase == Phase::Closed, "it was not asked for");
        if asked {
            self.phase = Phase::Auth(Exchange::Sent);
            self.deadline = None;
        }
        asked
    }
}

/// The longest command line, in octets with its CRLF (RFC 5321 §4.5.3.1.4). RFC 4954 §4 does not extend it for AUTH.
const COMMAND_LINE_MAX: usize = 512;
