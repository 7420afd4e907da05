//! The mechanisms by name.

use std::fmt;
use std::str::FromStr;

/// A mechanism that this crate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// SCRAM-SHA-256 bound to the TLS channel (RFC 5802, 7677, 9266).
    ScramSha256Plus,
    /// SCRAM-SHA-256 (RFC 5802, 7677): the password never crosses the wire.
    ScramSha256,
    /// The channel itself says who it is: a TLS client certificate (RFC 4422 Appendix A).
    External,
    /// An OAuth 2.0 bearer token (RFC 7628).
    OAuthBearer,
    /// Google's older form of it.
    XOAuth2,
    /// User name and password in one message (RFC 4616).
    Plain,
    /// User name and password in two messages; obsolete, never a standard, still asked for.
    Login,
}

/// The name is none of a mechanism that this crate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, OAUTHBEARER, XOAUTH2, EXTERNAL")]
pub struct UnknownMechanism;

impl Mechanism {
    /// All of them, in the order in which a client should prefer them.
    pub const ALL: [Mechanism; 7] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::External,
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
        Mechanism::Plain,
        Mechanism::Login,
    ];

    /// The mechanism of this name; case does not matter. `None` for others.
    pub fn parse(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.as_str().eq_ignore_ascii_case(name))
    }

    /// Its registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::External => "EXTERNAL",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// Whether the client speaks first, so that a response can come with the command itself.
    pub fn is_client_first(self) -> bool {
        self != Mechanism::Login
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Mechanism, UnknownMechanism> {
        Mechanism::parse(name).ok_or(UnknownMechanism)
    }
}
