//! What a server is and what it allows: the settings of a listener, shared by all its connections.

use std::time::Duration;
use wire::sasl::InClear;

/// What a server is and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name in the greeting.
    pub host_name: String,
    /// Whether STLS is offered while the connection is in clear.
    pub stls: Stls,
    /// The names of the SASL mechanisms, in upper case, the preferred one first. Those that bind a channel (`-PLUS`) are offered
    /// under TLS only. With PLAIN among them USER and PASS are offered, too: they say the same.
    pub mechanisms: Vec<String>,
    /// Whether a peer may log in without TLS.
    pub in_clear: InClear,
    /// How long must be between two logins to a maildrop; it is announced here and enforced by who answers [`super::Event::Auth`].
    pub login_delay: Duration,
    /// How many errors get their reply; the next one closes the connection.
    pub max_errors: u32,
    /// How long to wait for a command; RFC 1939 §3 asks for 10 minutes at least.
    pub idle_timeout: Duration,
}

/// Whether STLS is offered (RFC 2595 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stls {
    /// No: there is no certificate, or TLS comes before the protocol.
    #[default]
    NotOffered,
    /// Yes, while the connection is in clear.
    Offered,
}

impl Config {
    /// A configuration with the defaults: neither STLS nor mechanisms, no delay between logins, 20 errors, 10 minutes.
    pub fn new(host_name: impl Into<String>) -> Config {
        Config {
            host_name: host_name.into(),
            stls: Stls::NotOffered,
            mechanisms: Vec::new(),
            in_clear: InClear::Refuse,
            login_delay: Duration::ZERO,
            max_errors: 20,
            idle_timeout: Duration::from_secs(600),
        }
    }
}

/// The longest command line taken, in octets with its CRLF. RFC 2449 §4 lets clients send 255; names and passwords in UTF-8 may need more.
/// Lines of AUTH may be longer: [`wire::sasl::AUTH_LINE_MAX`].
pub const COMMAND_LINE_MAX: usize = 512;
