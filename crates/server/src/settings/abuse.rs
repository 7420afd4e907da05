//! `[abuse]`: how much is too much, and what follows.

use super::file::Text;
use super::values::{RateText, Span};
use super::{At, SettingsError};
use crate::abuse::{AccountRates, Policy, Rate, Rates};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;
use toml::Spanned;

/// `[abuse]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// New connections from one host.
    connections: Option<Text<RateText>>,
    /// Commands from one host.
    commands: Option<Text<RateText>>,
    /// Messages from one host.
    messages: Option<Text<RateText>>,
    /// Recipients from one host.
    recipients: Option<Text<RateText>>,
    /// Content from one host.
    content: Option<Text<RateText>>,
    /// Sessions that log in to one account.
    account_connections: Option<Text<RateText>>,
    /// Commands in submissions of one account.
    account_commands: Option<Text<RateText>>,
    /// Messages from one account.
    account_messages: Option<Text<RateText>>,
    /// Recipients from one account.
    account_recipients: Option<Text<RateText>>,
    /// Content from one account.
    account_content: Option<Text<RateText>>,
    /// Errors in sessions of one account before it is put off.
    account_errors: Option<Text<RateText>>,
    /// Errors of one host before it is banned.
    errors: Option<Text<RateText>>,
    /// Recipients of one host that do not exist here, before it is banned.
    unknown_recipients: Option<Text<RateText>>,
    /// Failed logins of one host before it is banned.
    failed_logins: Option<Text<RateText>>,
    /// The length of the first ban.
    ban: Option<Spanned<Text<Span>>>,
    /// The length of the longest ban.
    ban_max: Option<Spanned<Text<Span>>>,
    /// The longest delay of a reply to a session with errors.
    tarpit: Option<Spanned<Text<Span>>>,
    /// The delay of the greeting on SMTP ports.
    greeting_delay: Option<Spanned<Text<Span>>>,
}

/// Longer delays would meet the clients' own timeouts (RFC 5321 §4.5.3.2 gives the greeting 5 minutes).
const DELAY_MAX: Duration = Duration::from_secs(60);

impl File {
    /// What it means, with the defaults for what is not written. The exempt networks are those of the limits.
    pub(super) fn resolve(&self, wrong: At<'_>) -> Result<Policy, SettingsError> {
        let default = Policy::default();
        let rate =
            |value: &Option<Text<RateText>>, default| value.as_ref().map_or(default, |value| value.0.0);
        let span = |value: &Option<Spanned<Text<Span>>>, default, longest: Option<Duration>| match value {
            Some(value) if longest.is_some_and(|longest| value.get_ref().0.0 > longest) => {
                let message =
                    format!("too long: at most \"{}\"; clients do not wait for ever", Span(DELAY_MAX));
                Err(wrong(value.span(), message))
            }
            Some(value) => Ok(value.get_ref().0.0),
            None => Ok(default),
        };
        let rates = Rates {
            connections: rate(&self.connections, default.rates.connections),
            commands: rate(&self.commands, default.rates.commands),
            messages: rate(&self.messages, default.rates.messages),
            recipients: rate(&self.recipients, default.rates.recipients),
            octets: rate(&self.content, default.rates.octets),
            errors: rate(&self.errors, default.rates.errors),
            unknown_recipients: rate(&self.unknown_recipients, default.rates.unknown_recipients),
            failed_logins: rate(&self.failed_logins, default.rates.failed_logins),
        };
        let policy = Policy {
            rates,
            accounts: AccountRates {
                connections: rate(&self.account_connections, default.accounts.connections),
                commands: rate(&self.account_commands, rates.commands),
                messages: rate(&self.account_messages, rates.messages),
                recipients: rate(&self.account_recipients, rates.recipients),
                octets: rate(&self.account_content, rates.octets),
                errors: rate(&self.account_errors, rates.errors),
            },
            ban: span(&self.ban, default.ban, None)?,
            ban_max: span(&self.ban_max, default.ban_max, None)?,
            tarpit: span(&self.tarpit, default.tarpit, Some(DELAY_MAX))?,
            greeting_delay: span(&self.greeting_delay, default.greeting_delay, Some(DELAY_MAX))?,
            exempt: default.exempt,
        };
        match &self.ban {
            Some(written) if policy.ban > policy.ban_max => {
                let message = format!("longer than `ban_max`, which is \"{}\"", Span(policy.ban_max));
                Err(wrong(written.span(), message))
            }
            _ => Ok(policy),
        }
    }
}

/// The policy as a person reads it.
pub(super) fn show(policy: &Policy, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rate = |rate: Option<Rate>| RateText(rate).to_string();
    let rates = &policy.rates;
    writeln!(f, "from one host            {} connections", rate(rates.connections))?;
    writeln!(f, "                         {} commands", rate(rates.commands))?;
    writeln!(f, "                         {} messages", rate(rates.messages))?;
    writeln!(f, "                         {} recipients", rate(rates.recipients))?;
    writeln!(f, "                         {} of content", rate(rates.octets))?;
    let accounts = &policy.accounts;
    writeln!(f, "from one account         {} sessions", rate(accounts.connections))?;
    writeln!(f, "                         {} commands", rate(accounts.commands))?;
    writeln!(f, "                         {} messages", rate(accounts.messages))?;
    writeln!(f, "                         {} recipients", rate(accounts.recipients))?;
    writeln!(f, "                         {} of content", rate(accounts.octets))?;
    writeln!(f, "                         {} errors", rate(accounts.errors))?;
    writeln!(f, "banned beyond            {} errors", rate(rates.errors))?;
    writeln!(f, "                         {} unknown recipients", rate(rates.unknown_recipients))?;
    writeln!(f, "                         {} failed logins", rate(rates.failed_logins))?;
    writeln!(f, "  for                    {}, at most {}", Span(policy.ban), Span(policy.ban_max))?;
    writeln!(f, "errors delay replies by  {} at most", Span(policy.tarpit))?;
    writeln!(f, "greeting on SMTP after   {}", Span(policy.greeting_delay))
}
