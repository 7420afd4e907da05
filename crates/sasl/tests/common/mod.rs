//! What the tests share: terms, credentials, and an application that knows one user.

// Each test binary uses its own part of it.
#![allow(dead_code)]

use sasl::client::Credentials;
use sasl::server::{OAuthHints, Terms};
use sasl::{DecoyKey, Iterations, Secret, TlsExporter};

pub(crate) const CLIENT_NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
pub(crate) const SERVER_NONCE: &str = "3rfcNHYJY1ZVvWVs7j";
pub(crate) const EXPORTER: TlsExporter = TlsExporter([7; 32]);
pub(crate) const TOKEN: &str = "mF_9.B5f-4.1JqM";

/// A channel that can be bound.
pub(crate) fn terms() -> Terms {
    Terms {
        nonce: SERVER_NONCE.to_owned(),
        channel_binding: Some(EXPORTER),
        decoy: DecoyKey::new([1; 32]),
        iterations: Iterations::new(Iterations::MIN).expect("the bound"),
        hints: OAuthHints::default(),
    }
}

pub(crate) fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password { user: user.to_owned(), password: Secret::new(password), authorization: None }
}

pub(crate) fn token(user: &str) -> Credentials {
    Credentials::Token {
        user: user.to_owned(),
        token: Secret::new(TOKEN),
        host: "mail.example".to_owned(),
        port: 587,
    }
}

/// The account that a certificate without a name belongs to, or the one named.
pub(crate) fn account(user: Option<&str>) -> String {
    user.unwrap_or("fred").to_owned()
}
