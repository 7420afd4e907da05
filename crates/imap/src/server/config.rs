//! What a server is and what it allows: the settings of a listener, shared by all its connections.

use std::time::Duration;
use wire::sasl::InClear;

/// What a server is and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name in the greeting.
    pub host_name: String,
    /// What ID answers: names and values (RFC 2971).
    pub id: Vec<(String, String)>,
    /// Whether STARTTLS is offered while the connection is in clear.
    pub start_tls: StartTls,
    /// The names of the SASL mechanisms, in upper case, the preferred one first. Those that bind a channel (`-PLUS`) are offered
    /// under TLS only. With PLAIN among them LOGIN is offered, too: it says the same.
    pub mechanisms: Vec<String>,
    /// Whether a peer may log in without TLS.
    pub in_clear: InClear,
    /// The largest message that APPEND takes, in octets (RFC 7889).
    pub append_limit: u64,
    /// How many errors in a row get their answer; the next one closes the connection.
    pub max_errors: u32,
    /// How long to wait for a command of who is not logged in.
    pub login_timeout: Duration,
    /// How long to wait for a command, or for the end of IDLE; RFC 9051 §5.4 asks for 30 minutes at least.
    pub idle_timeout: Duration,
    /// How long an IDLE may be silent: then something is said, so that what stands between does not forget the connection.
    pub still_here: Duration,
}

/// Whether STARTTLS is offered (RFC 9051 §6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartTls {
    /// No: there is no certificate, or TLS comes before the protocol.
    #[default]
    NotOffered,
    /// Yes, while the connection is in clear.
    Offered,
}

impl Config {
    /// A configuration with the defaults: neither STARTTLS nor mechanisms, messages up to 25 MiB, 20 errors, 3 minutes to log in, 30 to be
    /// idle.
    pub fn new(host_name: impl Into<String>) -> Config {
        Config {
            host_name: host_name.into(),
            id: vec![("name".to_owned(), "Posthaste".to_owned())],
            start_tls: StartTls::NotOffered,
            mechanisms: Vec::new(),
            in_clear: InClear::Refuse,
            append_limit: 25 * 1024 * 1024,
            max_errors: 20,
            login_timeout: Duration::from_secs(180),
            idle_timeout: Duration::from_secs(1860),
            still_here: Duration::from_secs(120),
        }
    }
}
