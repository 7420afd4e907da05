//! What a server is and what it allows: the settings of a listener, shared by all its connections.

use crate::{InClear, Protocol};
use std::time::Duration;

/// What a server is and what it allows. Shared by all its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// The name in the greeting: the first word after 220 (RFC 5321 §4.2).
    pub host_name: String,
    /// What follows the host's name and the protocol's in the greeting.
    pub banner: Option<String>,
    /// How long the greeting waits. Who speaks before it is refused as an early talker; zero greets at once, and
    /// finds none.
    pub greeting_delay: Duration,
    /// Whether STARTTLS is offered while the connection is in clear.
    pub starttls: StartTls,
    /// Whether REQUIRETLS is offered under TLS: the application then keeps to it.
    pub require_tls: RequireTls,
    /// How a peer may authenticate itself.
    pub auth: AuthOffer,
    /// What must come before MAIL.
    pub mail_needs: MailNeeds,
    /// What becomes of bare CRs and LFs in content.
    pub line_endings: LineEndings,
    /// The longest line of content taken, in octets without its CRLF; `None` means no limit. RFC 5321 §4.5.3.1.6
    /// allows 998 to be sent.
    pub text_line_max: Option<usize>,
    /// The largest content taken, in octets after dot-unstuffing; 0 means no limit (RFC 1870 §4).
    pub max_message_size: u64,
    /// Recipients in one transaction; RFC 5321 §4.5.3.1.8 asks for 100 at least.
    pub max_recipients: usize,
    /// How many errors get their reply; the next one closes the connection. A sender or recipient refused for good
    /// counts as one, and so does a failed AUTH.
    pub max_errors: u32,
    /// How long to wait for a command; RFC 5321 §4.5.3.2.7 asks for 5 minutes.
    pub idle_timeout: Duration,
    /// The longest command line, in octets with its CRLF: 512 at least, and room for the parameters. Where AUTH is
    /// offered its lines may be longer: [`crate::AUTH_LINE_MAX`].
    pub command_line_max: usize,
}

/// Whether STARTTLS is offered (RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartTls {
    /// No: there is no certificate, or TLS comes before the protocol.
    #[default]
    NotOffered,
    /// Yes, while the connection is in clear.
    Offered,
}

/// Whether REQUIRETLS is offered (RFC 8689).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequireTls {
    /// No.
    #[default]
    NotOffered,
    /// Yes, while TLS protects the connection (§4.1).
    UnderTls,
}

/// How a peer may authenticate itself (RFC 4954).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthOffer {
    /// The names of the mechanisms, in upper case, the preferred one first; none means that AUTH is not offered.
    /// Those that bind a channel (`-PLUS`) are offered under TLS only.
    pub mechanisms: Vec<String>,
    /// Whether they may be used without TLS.
    pub in_clear: InClear,
}

/// What must come before MAIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MailNeeds {
    /// Nothing but a hello.
    #[default]
    Nothing,
    /// AUTH (RFC 6409 §4.3).
    Authentication,
}

/// What becomes of bare CRs and LFs in content that is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEndings {
    /// They are refused (RFC 5321 §2.3.8).
    #[default]
    Strict,
    /// Each becomes a CRLF; for submission only (RFC 6409 §8 lets it mend messages). What ends the content, and which
    /// dots were added, is decided before that and as strictly: by CRLF alone.
    Normalise,
}

impl Config {
    /// A configuration with the defaults: SMTP, no banner and no delay, neither STARTTLS nor AUTH, strict line
    /// endings, 50 MiB, 1,000 recipients, 20 errors, 5 minutes.
    pub fn new(host_name: impl Into<String>) -> Config {
        Config {
            protocol: Protocol::Smtp,
            host_name: host_name.into(),
            banner: None,
            greeting_delay: Duration::ZERO,
            starttls: StartTls::NotOffered,
            require_tls: RequireTls::NotOffered,
            auth: AuthOffer::default(),
            mail_needs: MailNeeds::Nothing,
            line_endings: LineEndings::Strict,
            text_line_max: None,
            max_message_size: 50 * 1024 * 1024,
            max_recipients: 1000,
            max_errors: 20,
            idle_timeout: Duration::from_secs(300),
            command_line_max: COMMAND_LINE_MAX,
        }
    }

    /// Whether content of so many octets is over the limit.
    pub(super) fn is_too_big(&self, octets: u64) -> bool {
        self.max_message_size > 0 && octets > self.max_message_size
    }
}

/// The default of [`Config::command_line_max`]: 512 octets (RFC 5321 §4.5.3.1.4) and what the extensions add.
/// The longest command is a RCPT with ORCPT, which alone may have 500 characters (RFC 3461 §4.2), and with an
/// address in UTF-8. Rounded up for parameters yet to come.
pub const COMMAND_LINE_MAX: usize = 2048;
