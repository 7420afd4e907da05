//! Which sender addresses an account may use when it submits mail (RFC 6409 §6.1).
//!
//! The null reverse-path is everybody's: receipts and automatic answers need it (RFC 8098 §3, RFC 3834 §3.3), and who sent them
//! shows in the From field, which is checked like any other.

use super::Verdict;
use super::recipient::{self, EXPANSION_MAX, Known};
use crate::settings::Acceptance;
use message::Address;
use message::submission::{Authors, Findings};
use serde::Deserialize;
use smtp::{Host, Mailbox, Reply, ReversePath, replies};
use std::collections::{HashSet, VecDeque};
use std::str::FromStr;
use store::{AccountName, Addressee, Resolution};

/// What a verdict on senders depends on, for a whole server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Which addresses an account may use.
    pub senders: Senders,
    /// Whether the From field is held to that, too.
    pub from: HeaderFrom,
    /// Whether HELO must name the sender's domain.
    pub hello: HelloName,
}

/// Which addresses an account may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Senders {
    /// Those that lead to it: its name, with or without a tag, and the aliases that reach it.
    #[default]
    Own,
    /// Any address in a domain of ours.
    Domains,
    /// Any address at all.
    Any,
}

/// Whether the From field is held to the same rule as the reverse-path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderFrom {
    /// It is. From is what people see, so that the other check is worth little without this one.
    #[default]
    Checked,
    /// It is not; a message that names somebody else there gets a Sender field with the account (RFC 6409 §8.1).
    Unchecked,
}

/// What HELO and EHLO must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelloName {
    /// Anything: a program at home has no name that means something.
    #[default]
    Any,
    /// The domain of the reverse-path. It proves nothing, but catches programs that are set up wrong.
    SendersDomain,
}

/// How an address stands to the account that wants to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Mail for it reaches the account.
    Own,
    /// It is in a domain of ours.
    Ours,
    /// It is somebody else's.
    Foreign,
}

/// What came of a question about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These must be looked up first.
    LookUp(Vec<Mailbox>),
    /// Decided.
    Ownership(Ownership),
}

/// Whether a submission has whose name on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorship {
    /// From names the account, or somebody whom it may name.
    Clear,
    /// From names somebody else, which is not forbidden: a Sender field is to say who it was (RFC 6409 §8.1).
    OnBehalf,
}

/// How an address stands to an account: follows it to everybody whom its mail reaches, over what is [`Known`].
pub fn ownership(rules: &recipient::Rules, account: &AccountName, address: &Mailbox, known: &Known) -> Step {
    let mut unknown = Vec::new();
    let mut to_visit = VecDeque::from([address]);
    let mut visited = HashSet::new();
    while let Some(next) = to_visit.pop_front() {
        if !visited.insert(next) || visited.len() > EXPANSION_MAX {
            continue;
        }
        let Some(resolution) = known.get(next) else {
            unknown.push(next.clone());
            continue;
        };
        match reached(rules, next, resolution) {
            Some(Reached::Account(name)) if name == *account => return Step::Ownership(Ownership::Own),
            Some(Reached::Others(targets)) => to_visit.extend(targets),
            Some(Reached::Account(_)) | None => {}
        }
    }
    if !unknown.is_empty() {
        return Step::LookUp(unknown);
    }
    let is_ours = match &rules.acceptance {
        Acceptance::Everyone | Acceptance::Named(_) => true,
        Acceptance::Domains { .. } => known.get(address).is_some_and(|known| known.domain.is_some()),
    };
    Step::Ownership(if is_ours { Ownership::Ours } else { Ownership::Foreign })
}

/// The addresses that From names and that must be looked up, or why it cannot be taken.
pub fn authors(rules: &Rules, findings: &Findings) -> Result<Vec<Mailbox>, Reply> {
    let parsed = |address: &Address| address.address.parse().ok();
    match &findings.from {
        // One is added, with the account's own address.
        Authors::Missing => Ok(Vec::new()),
        Authors::Known(addresses) if rules.from == HeaderFrom::Unchecked => {
            Ok(addresses.iter().filter_map(parsed).collect())
        }
        Authors::Known(addresses) if !addresses.is_empty() => {
            addresses.iter().map(|address| parsed(address).ok_or(replies::NO_CLEAR_AUTHOR)).collect()
        }
        _ if rules.from == HeaderFrom::Unchecked => Ok(Vec::new()),
        Authors::Known(_) | Authors::SeveralFields | Authors::TooLong => Err(replies::NO_CLEAR_AUTHOR),
    }
}

/// Decides on the From field of a submission, whose addresses stand to the account like this.
pub fn header_from(
    rules: &Rules,
    authors: &[(Mailbox, Ownership)],
    account: &AccountName,
) -> Verdict<Authorship> {
    let foreign = authors.iter().find(|(_, ownership)| !may_use(rules.senders, *ownership));
    match (foreign, rules.from) {
        (Some((mailbox, _)), HeaderFrom::Checked) => {
            Verdict::Reject(replies::author_not_owned(&mailbox.to_string(), account.as_str()))
        }
        _ if authors.iter().all(|(_, ownership)| *ownership == Ownership::Own) => {
            Verdict::Accept(Authorship::Clear)
        }
        _ => Verdict::Accept(Authorship::OnBehalf),
    }
}

/// Decides on the reverse-path of a submission; `ownership` is that of its mailbox.
pub fn reverse_path(
    rules: &Rules,
    path: &ReversePath,
    ownership: Ownership,
    account: &AccountName,
    hello: &str,
) -> Verdict<()> {
    let Some(mailbox) = path.as_mailbox() else { return Verdict::Accept(()) };
    if !may_use(rules.senders, ownership) {
        return Verdict::Reject(replies::sender_not_owned(mailbox, account.as_str()));
    }
    if rules.hello == HelloName::SendersDomain && !names_domain_of(hello, mailbox) {
        return Verdict::Reject(replies::hello_not_of_sender(mailbox.host()));
    }
    Verdict::Accept(())
}

/// Whether an address of that standing may be used.
pub fn may_use(senders: Senders, ownership: Ownership) -> bool {
    match senders {
        Senders::Own => ownership == Ownership::Own,
        Senders::Domains => ownership != Ownership::Foreign,
        Senders::Any => true,
    }
}

/// Where the mail for an address goes first.
enum Reached<'a> {
    Account(AccountName),
    Others(&'a [Mailbox]),
}

fn reached<'a>(
    rules: &recipient::Rules,
    address: &Mailbox,
    resolution: &'a Resolution,
) -> Option<Reached<'a>> {
    let of = |addressee: &'a Addressee| match addressee {
        Addressee::Account(standing) => Reached::Account(standing.account.name.clone()),
        Addressee::Alias(alias) => Reached::Others(&alias.targets),
    };
    let found = resolution.exact.as_ref().or(resolution.untagged.as_ref()).map(of);
    match (found, &rules.acceptance, &resolution.catch_all) {
        (Some(found), ..) => Some(found),
        (None, Acceptance::Domains { postmaster: Some(account), .. }, _)
            if recipient::is_postmaster(rules, address) && resolution.domain.is_some() =>
        {
            Some(Reached::Account(account.clone()))
        }
        (None, _, catch_all) => catch_all.as_ref().map(|alias| Reached::Others(&alias.targets)),
    }
}

fn names_domain_of(hello: &str, mailbox: &Mailbox) -> bool {
    Host::from_str(hello).is_ok_and(|host| host == *mailbox.host())
}

#[cfg(test)]
mod tests;
