//! `[submission]`: which sender addresses an account may use.

use crate::policy::sender::{HeaderFrom, HelloName, Rules, Senders};
use serde::Deserialize;
use std::fmt;

/// `[submission]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Which addresses an account may send from.
    senders: Option<Senders>,
    /// Whether the From field is held to that, too.
    from: Option<HeaderFrom>,
    /// Whether HELO must name the sender's domain.
    hello: Option<HelloName>,
}

impl File {
    /// What it means, with the defaults for what is not written.
    pub(super) fn resolve(&self) -> Rules {
        Rules {
            senders: self.senders.unwrap_or_default(),
            from: self.from.unwrap_or_default(),
            hello: self.hello.unwrap_or_default(),
        }
    }
}

/// The lines of `serve --check`.
pub(super) fn show(rules: &Rules, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let senders = match rules.senders {
        Senders::Own => "its own",
        Senders::Domains => "any in the domains here",
        Senders::Any => "any",
    };
    writeln!(f, "an account sends from    {senders}")?;
    let from = match rules.from {
        HeaderFrom::Checked => "the same",
        HeaderFrom::Unchecked => "anything",
    };
    writeln!(f, "  and in From            {from}")?;
    if rules.hello == HelloName::SendersDomain {
        writeln!(f, "  and names in HELO      the sender's domain")?;
    }
    Ok(())
}
