//! Who gets the mail for a recipient, or why nobody does.

use super::Verdict;
use crate::settings::Acceptance;
use smtp::{AddressLiteral, Domain, ForwardPath, Host, LocalPart, Mailbox, replies};
use std::net::IpAddr;
use store::{AccountName, IfMissing, Origin};

/// What a verdict on recipients depends on, for a whole server.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whose mail is taken.
    pub acceptance: Acceptance,
    /// The server's own name: the domain of a postmaster that is named without one.
    pub host_name: Domain,
}

/// The account names that a recipient may mean, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The address as given (a missing domain, or an address literal of ours, replaced by our domain).
    pub exact: AccountName,
    /// The address without its tag: `user` for `user+tag`.
    pub untagged: Option<AccountName>,
    /// Whether the domain is one that this server has accounts in.
    pub place: Place,
    /// Whether it is the postmaster of a domain of ours (RFC 5321 §4.5.1), in any case of letters.
    pub postmaster: Postmaster,
}

/// Whether a domain is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is.
    Here,
    /// It is not.
    Elsewhere,
}

/// Whether an address is a postmaster's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postmaster {
    /// It is: mail for it must be taken.
    Yes,
    /// It is not.
    No,
}

/// Which of a recipient's names are accounts, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// [`Names::exact`].
    pub exact: Option<Origin>,
    /// [`Names::untagged`].
    pub untagged: Option<Origin>,
}

/// Where the mail goes: into the INBOX of this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose.
    pub account: AccountName,
    /// Whether the account is made when it is not there.
    pub if_missing: IfMissing,
}

/// The names that must be looked up before [`recipient`] can be asked. `local` is the address at which the server was reached.
pub fn names(rules: &Rules, path: &ForwardPath, local: IpAddr) -> Names {
    let mailbox = match path {
        ForwardPath::Postmaster => postmaster_at(main_domain(rules)),
        ForwardPath::Mailbox(mailbox) => match mailbox.host() {
            Host::Literal(literal) if is_address(literal, local) => {
                Mailbox::new(mailbox.local_part().clone(), Host::Domain(main_domain(rules).clone()))
            }
            _ => mailbox.clone(),
        },
    };
    let place = match &rules.acceptance {
        Acceptance::Domains { domains, .. }
            if !mailbox.domain().is_some_and(|domain| domains.contains(domain)) =>
        {
            Place::Elsewhere
        }
        _ => Place::Here,
    };
    let postmaster = match mailbox.local_part().as_str().eq_ignore_ascii_case("postmaster") {
        true if has_postmaster(rules, &mailbox) => Postmaster::Yes,
        _ => Postmaster::No,
    };
    Names { exact: AccountName::of(&mailbox), untagged: untagged(&mailbox), place, postmaster }
}

/// Decides on one recipient.
pub fn recipient(rules: &Rules, names: &Names, known: Known) -> Verdict<Route> {
    let route =
        |account: &AccountName, if_missing| Verdict::Accept(Route { account: account.clone(), if_missing });
    if names.place == Place::Elsewhere {
        return Verdict::Reject(replies::RELAY_DENIED);
    }
    let accounts = [(Some(&names.exact), known.exact), (names.untagged.as_ref(), known.untagged)];
    let ours = accounts
        .into_iter()
        .find_map(|(name, origin)| name.filter(|name| is_open(&rules.acceptance, name, origin)));
    match (&rules.acceptance, ours) {
        (Acceptance::Everyone, Some(account)) => route(account, IfMissing::Create),
        // One that is removed before the content has come stays removed.
        (_, Some(account)) => route(account, IfMissing::Fail),
        (Acceptance::Everyone, None) => {
            route(names.untagged.as_ref().unwrap_or(&names.exact), IfMissing::Create)
        }
        (Acceptance::Domains { postmaster: Some(account), .. }, None)
            if names.postmaster == Postmaster::Yes =>
        {
            route(account, IfMissing::Create)
        }
        (_, None) if names.postmaster == Postmaster::Yes => route(&names.exact, IfMissing::Create),
        (_, None) => Verdict::Reject(replies::NO_SUCH_MAILBOX),
    }
}

/// Whether an account of that name gets mail under these rules.
fn is_open(acceptance: &Acceptance, name: &AccountName, origin: Option<Origin>) -> bool {
    match acceptance {
        // An account that was caught or declared in an earlier run does not widen the list of this one.
        Acceptance::Named(names) => names.contains(name) || origin == Some(Origin::Added),
        Acceptance::Everyone | Acceptance::Domains { .. } => origin.is_some(),
    }
}

/// Whether the address's domain is one that must have a postmaster here (RFC 5321 §4.5.1): with a list of addresses, our own name and the
/// domains of the list.
fn has_postmaster(rules: &Rules, mailbox: &Mailbox) -> bool {
    let Some(domain) = mailbox.domain() else { return false };
    match &rules.acceptance {
        Acceptance::Everyone | Acceptance::Domains { .. } => true,
        Acceptance::Named(names) => {
            *domain == rules.host_name
                || names.iter().any(|name| name.as_str().rsplit('@').next() == Some(domain.ascii()))
        }
    }
}

fn main_domain(rules: &Rules) -> &Domain {
    match &rules.acceptance {
        Acceptance::Domains { domains, .. } => domains.first().unwrap_or(&rules.host_name),
        Acceptance::Everyone | Acceptance::Named(_) => &rules.host_name,
    }
}

fn is_address(literal: &AddressLiteral, local: IpAddr) -> bool {
    match (literal, local.to_canonical()) {
        (AddressLiteral::V4(literal), IpAddr::V4(local)) => *literal == local,
        (AddressLiteral::V6(literal), IpAddr::V6(local)) => *literal == local,
        _ => false,
    }
}

fn postmaster_at(domain: &Domain) -> Mailbox {
    let local_part = LocalPart::from_unquoted("postmaster").expect("postmaster is a local part");
    Mailbox::new(local_part, Host::Domain(domain.clone()))
}

fn untagged(mailbox: &Mailbox) -> Option<AccountName> {
    let (user, _tag) = mailbox.local_part().as_str().split_once('+')?;
    if user.is_empty() {
        return None;
    }
    let user = LocalPart::from_unquoted(user).ok()?;
    Some(AccountName::of(&Mailbox::new(user, mailbox.host().clone())))
}

#[cfg(test)]
mod tests;
