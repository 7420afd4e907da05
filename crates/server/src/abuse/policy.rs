//! What is counted, and how much of it is too much.

use super::meter::Rate;
use crate::settings::Network;
use std::fmt;
use std::time::Duration;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// New connections.
    Connections,
    /// Commands that ask for a decision.
    Commands,
    /// Messages that were begun.
    Messages,
    /// Recipients that were named.
    Recipients,
    /// Octets of content.
    Octets,
    /// Errors.
    Errors,
    /// Recipients that do not exist here.
    UnknownRecipients,
    /// Logins with wrong credentials.
    FailedLogins,
}

/// How much of each may come from one account, wherever it sends from. `None`: as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRates {
    /// Sessions that log in.
    pub connections: Option<Rate>,
    /// Commands that ask for a decision.
    pub commands: Option<Rate>,
    /// Messages.
    pub messages: Option<Rate>,
    /// Recipients.
    pub recipients: Option<Rate>,
    /// Octets of content.
    pub octets: Option<Rate>,
    /// Errors, before it is put off.
    pub errors: Option<Rate>,
}

/// How much of each may come from one host; a network may do eight times as much. `None`: as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// New connections.
    pub connections: Option<Rate>,
    /// Commands that ask for a decision.
    pub commands: Option<Rate>,
    /// Messages.
    pub messages: Option<Rate>,
    /// Recipients.
    pub recipients: Option<Rate>,
    /// Octets of content.
    pub octets: Option<Rate>,
    /// Errors, before a ban.
    pub errors: Option<Rate>,
    /// Recipients that do not exist here, before a ban.
    pub unknown_recipients: Option<Rate>,
    /// Logins with wrong credentials, before a ban; for one account, from anywhere strange, twice as many.
    pub failed_logins: Option<Rate>,
}

/// All that an operator sets about abuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How much is too much.
    pub rates: Rates,
    /// How much is too much for an account.
    pub accounts: AccountRates,
    /// How long the first ban is; each further one is twice as long.
    pub ban: Duration,
    /// How long a ban is at most. After as long without a new one the next is the first again.
    pub ban_max: Duration,
    /// How long a session with errors waits at most before each of its replies; zero: not at all.
    pub tarpit: Duration,
    /// How long a client on the SMTP port waits for the greeting; who speaks before it is sent away. Zero: not at all.
    pub greeting_delay: Duration,
    /// Networks that none of this applies to.
    pub exempt: Vec<Network>,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

impl Default for Rates {
    fn default() -> Rates {
        let rate = |amount, window| Some(Rate { amount, window });
        Rates {
            connections: rate(120, MINUTE),
            commands: rate(6000, MINUTE),
            messages: rate(5000, HOUR),
            recipients: rate(20_000, HOUR),
            octets: rate(10 << 30, HOUR),
            errors: rate(100, HOUR),
            unknown_recipients: rate(50, HOUR),
            failed_logins: rate(20, HOUR),
        }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            rates: Rates::default(),
            accounts: AccountRates::of(Rates::default()),
            ban: 10 * MINUTE,
            ban_max: 24 * HOUR,
            tarpit: Duration::from_secs(5),
            greeting_delay: Duration::from_secs(1),
            exempt: ["127.0.0.0/8", "::1/128"].map(|text| text.parse().expect("a network")).to_vec(),
        }
    }
}

impl AccountRates {
    /// What a host may, where nothing else is said; but five times as many connections.
    pub fn of(rates: Rates) -> AccountRates {
        let Rates { commands, messages, recipients, octets, errors, .. } = rates;
        // Many programs open a session for each message or folder, in several places at once; a host's rate would be one program's.
        let connections = Some(Rate { amount: 600, window: MINUTE });
        AccountRates { connections, commands, messages, recipients, octets, errors }
    }

    /// The rate of one measure; `None` also for those that are not counted for accounts.
    pub(super) fn rate(&self, measure: Measure) -> Option<Rate> {
        match measure {
            Measure::Messages => self.messages,
            Measure::Recipients => self.recipients,
            Measure::Octets => self.octets,
            Measure::Errors => self.errors,
            Measure::Connections => self.connections,
            Measure::Commands => self.commands,
            Measure::UnknownRecipients | Measure::FailedLogins => None,
        }
    }
}

impl Rates {
    /// The rate of one measure.
    pub fn of(&self, measure: Measure) -> Option<Rate> {
        match measure {
            Measure::Connections => self.connections,
            Measure::Commands => self.commands,
            Measure::Messages => self.messages,
            Measure::Recipients => self.recipients,
            Measure::Octets => self.octets,
            Measure::Errors => self.errors,
            Measure::UnknownRecipients => self.unknown_recipients,
            Measure::FailedLogins => self.failed_logins,
        }
    }
}

impl Measure {
    /// How many there are.
    pub(super) const COUNT: usize = 8;

    /// As a peer is told.
    pub(super) fn in_general(self) -> &'static str {
        match self {
            Measure::Octets => "messages",
            Measure::UnknownRecipients => "unknown recipients",
            Measure::FailedLogins => "failed logins",
            Measure::Connections => "connections",
            Measure::Commands => "commands",
            Measure::Messages => "messages",
            Measure::Recipients => "recipients",
            Measure::Errors => "errors",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Measure::Octets => "octets of content",
            other => other.in_general(),
        })
    }
}
