//! POP3 (RFC 1939) with its extensions: CAPA, response codes, PIPELINING, EXPIRE and LOGIN-DELAY (RFC 2449), STLS (RFC 2595),
//! SYS/ and AUTH codes (RFC 3206), AUTH (RFC 5034), UTF8 (RFC 6856).
//!
//! [`server::Server`] is the server's side of a connection, without a socket and without a mailbox: it owns syntax, states,
//! limits, the numbering of messages, the marks of DELE, dot-stuffing and the encoding of replies. Whoever runs it decides who
//! may log in, and brings what is in the maildrop.

#![forbid(unsafe_code)]

mod command;
pub mod replies;
mod reply;
pub mod server;

pub use command::{Command, Fault, Verb};
pub use reply::{Code, Indicator, Reply};
