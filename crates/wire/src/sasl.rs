//! What SASL exchanges carry (RFC 4422), as SMTP, POP3 and IMAP see it: opaque octets in base64 (RFC 4954 §4, RFC 5034 §4).
//!
//! A protocol knows when a message of an exchange may come and how it is written; what it means is the business of the
//! mechanism, and so of the application.

use crate::Channel;
use data_encoding::BASE64;
use std::fmt;
use std::ops::Deref;

/// One message of a SASL exchange: a challenge, a response or an initial response, decoded.
///
/// It may hold a password, so that its `Debug` shows nothing but its length.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SaslMessage(Vec<u8>);

/// Whether a peer may authenticate itself without TLS by mechanisms that show a password or token to whoever listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InClear {
    /// No (RFC 4954 §4 asks for this default).
    #[default]
    Refuse,
    /// Yes: on loopback, or on a network that is trusted.
    Allow,
}

impl SaslMessage {
    /// What PLAIN says (RFC 4616 §2), for commands that carry a name and a password by themselves.
    pub fn plain(user: &[u8], password: &[u8]) -> SaslMessage {
        SaslMessage([b"\0", user, b"\0", password].concat())
    }

    /// Reads base64 as RFC 4954 §4 wants it: padded, without other characters, whole.
    pub fn from_base64(text: &[u8]) -> Option<SaslMessage> {
        BASE64.decode(text).ok().map(SaslMessage)
    }

    /// Writes base64; nothing for an empty message.
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// Reads the initial response of a command, in which `=` stands for an empty one (RFC 4954 §4).
    pub fn from_initial(text: &str) -> Option<SaslMessage> {
        if text == "=" { Some(SaslMessage::default()) } else { SaslMessage::from_base64(text.as_bytes()) }
    }

    /// Writes the initial response of a command.
    pub fn to_initial(&self) -> String {
        if self.0.is_empty() { "=".to_owned() } else { self.to_base64() }
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for SaslMessage {
    fn from(octets: &[u8]) -> SaslMessage {
        SaslMessage(octets.to_vec())
    }
}

impl From<Vec<u8>> for SaslMessage {
    fn from(octets: Vec<u8>) -> SaslMessage {
        SaslMessage(octets)
    }
}

impl Deref for SaslMessage {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SaslMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaslMessage({} octets)", self.0.len())
    }
}

/// Whether a mechanism, named in upper case, ties the exchange to a TLS connection (RFC 5801 §3.1): without one
/// it cannot be used.
pub fn binds_channel(mechanism: &str) -> bool {
    mechanism.ends_with("-PLUS")
}

/// Whether a mechanism, named in upper case, may be used on such a connection.
pub fn may_use(mechanism: &str, channel: Channel, in_clear: InClear) -> bool {
    match channel {
        Channel::Tls => true,
        Channel::Clear => in_clear == InClear::Allow && !binds_channel(mechanism),
    }
}

/// The longest line of an exchange, in octets with its CRLF: what RFC 4954 §4 holds to be enough for every
/// mechanism in use.
pub const AUTH_LINE_MAX: usize = 12_288;
