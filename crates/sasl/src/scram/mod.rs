//! SCRAM-SHA-256 (RFC 5802, RFC 7677): what both sides compute and write. The order of messages is in `server` and `client`.

mod message;
mod verifier;

pub(crate) use message::{ClientFinal, ClientFirst, ServerFinal, ServerFirst, is_nonce};
pub(crate) use verifier::ClientKeys;
pub use verifier::{DecoyKey, Iterations, ScramVerifier};

/// The only channel binding type that is spoken (RFC 9266); `tls-unique` is not safe in TLS 1.2 and not defined in 1.3.
pub(crate) const TLS_EXPORTER: &str = "tls-exporter";

/// What both sides sign: `client-first-message-bare "," server-first-message "," client-final-message-without-proof`.
pub(crate) fn auth_message(client_first_bare: &str, server_first: &str, without_proof: &str) -> String {
    format!("{client_first_bare},{server_first},{without_proof}")
}
