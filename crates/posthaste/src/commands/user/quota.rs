//! `user quota`: how much an account may hold.

use super::accounts::details;
use crate::exit::Exit;
use crate::mail::Mail;
use crate::output::{self, Format};
use crate::units;
use serde::Serialize;
use server::admin::DirectoryRequest;
use server::settings::Size;
use std::str::FromStr;
use store::{Quota, Usage};

pub(super) const EXAMPLES: &str = "\
Examples:
  posthaste user quota alice@example.org
  posthaste user quota alice@example.org '10 GiB' --messages 100000
  posthaste user quota alice@example.org none
      No bound, whatever the settings give to others.
  posthaste user quota alice@example.org default
      What the settings give to everybody.";

/// A number of bytes; `None` is what the settings give to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SizeBound(pub(super) Option<u64>);

/// A number, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound(Option<u64>);

/// What is to be changed.
pub(super) struct Change {
    pub(super) size: Option<SizeBound>,
    pub(super) messages: Option<Bound>,
}

impl FromStr for SizeBound {
    type Err = String;

    fn from_str(text: &str) -> Result<SizeBound, String> {
        match text {
            NONE => Ok(SizeBound(Some(Quota::NO_BOUND))),
            DEFAULT => Ok(SizeBound(None)),
            _ => {
                let size = text.parse().map_err(|error| format!("{error}, {NONE} or {DEFAULT}"));
                size.map(|Size(bytes)| SizeBound(Some(bytes)))
            }
        }
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Bound, String> {
        if text == NONE {
            return Ok(Bound(None));
        }
        text.parse().map(|number| Bound(Some(number))).map_err(|_| "write a number, or none".to_owned())
    }
}

pub(super) async fn run(
    mail: Mail<'_>,
    address: &str,
    change: Change,
    format: Format,
) -> anyhow::Result<Exit> {
    let now = details(mail, address).await?;
    let bytes = change.size.map_or(now.quota.bytes, |SizeBound(bytes)| bytes);
    let messages = change.messages.map_or(now.quota.messages, |Bound(messages)| messages);
    let quota = Quota { bytes, messages };
    if quota != now.quota {
        mail.directory(DirectoryRequest::SetQuota { address: address.to_owned(), quota }).await?;
    }
    let account = now.account.name.as_str();
    let given = Given { set: quota, default: now.default_quota };
    match format {
        Format::Json => output::json(&Held { account, quota: given.into(), usage: now.usage })?,
        Format::Text => {
            let (size, messages) =
                (units::size(now.usage.bytes), units::counted(now.usage.messages, "message"));
            let full = if given.in_force().allows(now.usage) { "" } else { ", and it is over that" };
            let text = format!("{account} holds {messages}, {size}; its quota is {}{full}.", shown(given));
            output::text(&message::terminal::one_line(&text))?;
        }
    }
    Ok(Exit::Done)
}

/// How much an account may hold: what is set for it, and what counts where nothing is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) set: Quota,
    /// Only a running server knows.
    pub(super) default: Option<Quota>,
}

impl Given {
    fn in_force(self) -> Quota {
        self.set.or(self.default.unwrap_or_default())
    }
}

/// A quota for people.
pub(super) fn shown(given: Given) -> String {
    let Given { set, default } = given;
    let bytes = match (set.bytes, default) {
        (Some(bytes), _) => size(bytes),
        (None, Some(default)) => format!("{} (default)", default.bytes.map_or(NONE.to_owned(), size)),
        (None, None) => DEFAULT.to_owned(),
    };
    match given.in_force().messages {
        Some(messages) => format!("{bytes}, {}", units::counted(messages, "message")),
        None => bytes,
    }
}

fn size(bytes: u64) -> String {
    if bytes == Quota::NO_BOUND { NONE.to_owned() } else { units::size(bytes) }
}

/// What is written for no bound.
const NONE: &str = "none";
/// What is written for what the settings give to everybody.
const DEFAULT: &str = "default";

/// A quota for programs: what is in force; `null` is no bound, as far as it is known.
#[derive(Serialize)]
pub(super) struct ShownQuota {
    bytes: Option<u64>,
    messages: Option<u64>,
    /// Whether the number of bytes is the account's own or the default.
    is_default: bool,
}

impl From<Given> for ShownQuota {
    fn from(given: Given) -> ShownQuota {
        let Quota { bytes, messages } = given.in_force();
        ShownQuota {
            bytes: bytes.filter(|bytes| *bytes != Quota::NO_BOUND),
            messages,
            is_default: given.set.bytes.is_none(),
        }
    }
}

/// How an account stands, for programs. Sizes are in bytes.
#[derive(Serialize)]
struct Held<'a> {
    account: &'a str,
    quota: ShownQuota,
    usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_shown_with_where_it_comes_from() {
        let bytes = |bytes| Quota { bytes, messages: None };
        let (one, two) = (Some(1 << 30), Some(2 << 30));
        for (set, default, expected) in [
            (bytes(two), Some(bytes(one)), "2.0 GiB"),
            (bytes(None), Some(bytes(one)), "1.0 GiB (default)"),
            (bytes(None), Some(bytes(None)), "none (default)"),
            (bytes("none".parse::<SizeBound>().expect("a quota").0), Some(bytes(one)), "none"),
            (bytes("default".parse::<SizeBound>().expect("a quota").0), None, "default"),
            (Quota { bytes: None, messages: Some(5) }, Some(bytes(one)), "1.0 GiB (default), 5 messages"),
        ] {
            assert_eq!(shown(Given { set, default }), expected);
        }
        let error = "lots".parse::<SizeBound>().expect_err("no size");
        assert!(error.ends_with(", none or default"), "{error}");
    }
}
