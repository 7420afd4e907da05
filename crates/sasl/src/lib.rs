//! SASL mechanisms (RFC 4422) as state machines: PLAIN, LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, OAUTHBEARER, XOAUTH2, EXTERNAL.
//!
//! An exchange takes the decoded octets of the other side and says what comes next; base64, `AUTH`, `334` and `235` are the
//! protocol's affair (SMTP today, POP3 and IMAP likewise). [`server::Exchange`] asks the application about users and
//! never learns where they are kept; [`client::Exchange`] is its mirror. [`ScramVerifier`] is what a server keeps of a password for
//! SCRAM.
//!
//! No socket, clock, file or randomness is used here: nonces, salts and the channel binding are arguments. Whatever
//! is secret is compared in constant time, overwritten when dropped, and never shown by `Debug`.

#![forbid(unsafe_code)]

pub mod client;
mod failure;
mod gs2;
mod mechanism;
mod oauth;
mod prepare;
mod scram;
mod secret;
pub mod server;

pub use failure::Failure;
pub use mechanism::Mechanism;
pub use prepare::prepare;
pub use scram::{DecoyKey, Iterations, ScramVerifier};
pub use secret::Secret;

/// The TLS exporter value that channel binding `tls-exporter` uses (RFC 9266 §4.2): label `EXPORTER-Channel-Binding`, no
/// context, 32 octets. It must not come from TLS 1.2 without the extended master secret (RFC 9266 §3).
///
/// It is a secret of the channel, and not shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TlsExporter(pub [u8; 32]);

impl std::fmt::Debug for TlsExporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsExporter(..)")
    }
}

/// The longest message of an exchange that is read, in octets: what an AUTH line of 12,288 octets holds decoded (RFC 4954 §4).
pub const MESSAGE_MAX: usize = 9216;

/// The longest name or password, in octets; RFC 4616 §2 asks for 255 at least.
pub const NAME_MAX: usize = 1024;
