//! What a client is told before it connects: which protocol, under which name, how long it waits, and what it insists on.

use crate::{InClear, Protocol};
use std::time::Duration;

/// What a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// What it calls itself in EHLO: a domain or an address literal in brackets.
    pub hello_name: String,
    /// How an SMTP server is greeted first.
    pub hello: Hello,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// When content is sent with BDAT.
    pub chunking: Chunking,
    /// Whether STARTTLS is used; of no account where TLS came before the protocol.
    pub security: Security,
    /// Whether the application has credentials for this server.
    pub authentication: Authentication,
    /// Whether mechanisms that show a password or token may be used without TLS.
    pub in_clear: InClear,
}

impl Config {
    /// SMTP, the timeouts of RFC 5321, BDAT only where it must be, neither STARTTLS nor AUTH.
    pub fn new(hello_name: impl Into<String>) -> Config {
        Config {
            protocol: Protocol::Smtp,
            hello_name: hello_name.into(),
            hello: Hello::Extended,
            timeouts: Timeouts::default(),
            chunking: Chunking::OnlyForBinary,
            security: Security::None,
            authentication: Authentication::No,
            in_clear: InClear::Refuse,
        }
    }
}

/// How a client greets an SMTP server first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hello {
    /// With EHLO, and with HELO when the server says that it does not know that (RFC 5321 §3.2).
    #[default]
    Extended,
    /// With HELO at once: for a server that closed the connection at EHLO before. It has no extensions, STARTTLS among them.
    Basic,
}

/// When content is sent with BDAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chunking {
    /// Only for BODY=BINARYMIME, which needs it.
    #[default]
    OnlyForBinary,
    /// Whenever CHUNKING is offered.
    WhenOffered,
}

/// Whether a client uses STARTTLS (RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Never.
    #[default]
    None,
    /// If it is offered and not refused; else the session goes on in clear. Whoever sits between can force that.
    IfOffered,
    /// Always: without it the connection fails.
    Required,
}

/// Whether a client authenticates itself (RFC 4954).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authentication {
    /// No.
    #[default]
    No,
    /// Yes: the application is asked ([`super::Event::Authenticate`]), and without success the connection fails.
    Yes,
}

/// How long a client waits (RFC 5321 §4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the greeting: 5 minutes.
    pub greeting: Duration,
    /// For the reply to EHLO, HELO, LHLO, STARTTLS and each line of AUTH, and for the TLS handshake: 5 minutes.
    pub hello: Duration,
    /// For the reply to MAIL: 5 minutes.
    pub mail: Duration,
    /// For the reply to RCPT: 5 minutes.
    pub rcpt: Duration,
    /// For the 354 after DATA: 2 minutes.
    pub data: Duration,
    /// For each write of content: 3 minutes.
    pub block: Duration,
    /// For the reply to the content: 10 minutes.
    pub end: Duration,
    /// For the reply to QUIT; the RFC names none, and nothing depends on it: 5 seconds.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Timeouts {
            greeting: minutes(5),
            hello: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            end: minutes(10),
            quit: Duration::from_secs(5),
        }
    }
}
