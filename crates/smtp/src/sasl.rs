//! SASL as SMTP needs it: the messages are the same for all protocols ([`wire::sasl`]); which mechanisms a client may use is
//! decided here.

pub use wire::sasl::{AUTH_LINE_MAX, InClear, SaslMessage};
pub(crate) use wire::sasl::{binds_channel, may_use};

/// Whether a mechanism, named in upper case, keeps passwords and tokens from whoever listens. Only those that are known
/// to do so count.
pub(crate) fn hides_secrets(mechanism: &str) -> bool {
    mechanism.starts_with("SCRAM-")
}
