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
  posthaste user quota alice@example.org none";

/// A number of bytes, or none.
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
        if text == NONE {
            return Ok(SizeBound(None));
        }
        let Size(bytes) = text.parse::<Size>().map_err(|error| format!("{error}, or none"))?;
        Ok(SizeBound(Some(bytes)))
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
    match format {
        Format::Json => output::json(&Held { account, quota, usage: now.usage })?,
        Format::Text => {
            let (size, messages) =
                (units::size(now.usage.bytes), units::counted(now.usage.messages, "message"));
            let full = if quota.allows(now.usage) { "" } else { ", and it is over that" };
            let text = format!("{account} holds {messages}, {size}; its quota is {}{full}.", shown(quota));
            output::text(&message::terminal::one_line(&text))?;
        }
    }
    Ok(Exit::Done)
}

/// A quota for people.
pub(super) fn shown(quota: Quota) -> String {
    let bytes = quota.bytes.map(units::size);
    let messages = quota.messages.map(|messages| units::counted(messages, "message"));
    match (bytes, messages) {
        (None, None) => NONE.to_owned(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(bytes), Some(messages)) => format!("{bytes}, {messages}"),
    }
}

/// What is written for no bound.
const NONE: &str = "none";

/// How an account stands, for programs. Sizes are in bytes.
#[derive(Serialize)]
struct Held<'a> {
    account: &'a str,
    quota: Quota,
    usage: Usage,
}
