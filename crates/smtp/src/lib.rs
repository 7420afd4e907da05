//! SMTP, ESMTP and LMTP: values and state machines.
//!
//! * values: [`Mailbox`], [`Domain`], [`ReversePath`], [`ForwardPath`], [`Envelope`], [`Reply`], [`Status`],
//!   built only by parsing (or from parts that were), so that one that exists is valid;
//! * [`Command`]: the grammar of RFC 5321 and of the extensions, read and written;
//! * [`server::Server`] and [`client::Client`]: the two sides of a connection as [`wire::Endpoint`]s.
//!
//! No socket, clock, file or randomness is used here.

#![forbid(unsafe_code)]

mod address;
pub mod client;
mod command;
mod envelope;
mod extension;
pub mod replies;
mod reply;
mod sasl;
pub mod server;
pub mod xclient;
mod xtext;

pub use address::{
    AddressError, AddressLiteral, Domain, ForwardPath, GeneralLiteral, Host, LocalPart, Mailbox, ReversePath,
};
pub use command::{Command, Fault, MailParameters, RcptParameters, Syntax, Verb};
pub use envelope::{Body, Envelope, EnvelopeId, Notify, OriginalRecipient, Recipient, Return, Submitter};
pub use extension::{Extension, Extensions, Limits};
pub use reply::{Code, Reply, ReplyError, ReplyParser, ReplySource, Severity, Status};
pub use sasl::{AUTH_LINE_MAX, InClear, SaslMessage};
pub use xtext::Malformed as MalformedXtext;

/// Which dialect a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// SMTP with extensions (RFC 5321).
    #[default]
    Smtp,
    /// LMTP (RFC 2033): LHLO, and one reply for each accepted recipient after the content.
    Lmtp,
}
