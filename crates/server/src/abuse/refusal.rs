//! Why somebody is refused: exactly, for the log, and in general words, for the peer.
//!
//! A peer that means well learns what was too much and roughly how long to wait; one that does not learns no limit that it could stay
//! just below.

use super::Measure;
use crate::settings::Network;
use smtp::{Reply, replies};
use std::fmt;
use std::time::Duration;

/// Too much came, or a ban is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// From whom it came.
    pub scope: Scope,
    /// When it is worth trying again; `None` for a ban without an end.
    pub wait: Option<Duration>,
}

/// Why somebody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// More than the rate for this.
    TooMuch(Measure),
    /// A ban for doing this too often.
    Banned(Measure),
    /// A ban by the operator.
    BannedByHand,
}

/// Whose deeds were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A host's, or a network's.
    Source(Network),
    /// An account's, from wherever.
    Account,
}

impl Refusal {
    /// What the peer is told in place of a greeting (RFC 5321 §3.1).
    pub fn greeting(&self) -> Reply {
        match (self.cause, self.wait) {
            (Cause::BannedByHand, None) => replies::NOT_WELCOME,
            _ => self.closing(),
        }
    }

    /// What the peer is told in the middle of a session: the connection closes (RFC 5321 §3.8).
    pub fn closing(&self) -> Reply {
        replies::TOO_MANY_CONNECTIONS.with_text(self.text())
    }

    /// What the peer is told about one command: it may go on with others.
    pub fn putting_off(&self) -> Reply {
        replies::TOO_MUCH.with_text(self.text())
    }

    /// What a client is told that would log in (RFC 4954 §6: 454 is temporary). A ban ends the session.
    pub fn login(&self) -> Reply {
        match self.cause {
            Cause::TooMuch(_) => replies::LOGIN_LATER.with_text(self.text()),
            Cause::Banned(_) | Cause::BannedByHand => self.closing(),
        }
    }

    fn text(&self) -> String {
        format!("Error: {}", self.in_words())
    }

    /// What the peer is told in any protocol.
    pub(crate) fn in_words(&self) -> String {
        let whose = match self.scope {
            Scope::Source(_) => "your network address",
            Scope::Account => "this account",
        };
        let what = match self.cause {
            Cause::TooMuch(measure) | Cause::Banned(measure) => measure.in_general(),
            Cause::BannedByHand => return "your network address is not welcome here".to_owned(),
        };
        let when = self.wait.map_or("later", roughly);
        format!("too many {what} from {whose}, try again {when}")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::TooMuch(measure) => write!(f, "over the limit of {measure}")?,
            Cause::Banned(measure) => write!(f, "banned for {measure}")?,
            Cause::BannedByHand => f.write_str("banned by hand")?,
        }
        match self.scope {
            Scope::Source(network) => write!(f, ", {network}")?,
            Scope::Account => f.write_str(", the account")?,
        }
        match self.wait {
            Some(wait) => write!(f, ", for {} s more", whole_seconds(wait)),
            None => f.write_str(", without end"),
        }
    }
}

/// Rounded up: nobody is told to come back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// A length of time in words that tell nothing of the limit.
fn roughly(wait: Duration) -> &'static str {
    match wait.as_secs() {
        0..60 => "in a minute",
        60..900 => "in some minutes",
        900..3600 => "in an hour",
        3600..43_200 => "in some hours",
        _ => "in a day",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_learns_the_kind_and_the_log_the_number() {
        let refusal = Refusal {
            cause: Cause::Banned(Measure::FailedLogins),
            scope: Scope::Source("192.0.2.7/32".parse().expect("a network")),
            wait: Some(Duration::from_millis(599_001)),
        };
        assert_eq!(
            refusal.closing().to_string(),
            "421 4.7.0 Error: too many failed logins from your network address, try again in some minutes"
        );
        assert_eq!(refusal.to_string(), "banned for failed logins, 192.0.2.7/32, for 600 s more");
        let whole = Refusal { wait: Some(Duration::from_secs(600)), ..refusal };
        assert!(whole.to_string().ends_with("for 600 s more"), "{whole}");
        let by_hand = Refusal { cause: Cause::BannedByHand, wait: None, ..refusal };
        assert_eq!(
            by_hand.greeting().to_string(),
            "554 5.7.1 Error: your network address is not welcome here"
        );
        assert_eq!(
            by_hand.closing().to_string(),
            "421 4.7.0 Error: your network address is not welcome here"
        );
        assert_eq!(by_hand.to_string(), "banned by hand, 192.0.2.7/32, without end");
    }
}
