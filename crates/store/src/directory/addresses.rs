//! Addresses that are no accounts, and domains: what the store knows of an address, one step at a time.
//!
//! Following aliases to their end, and saying what a sender is told, is the server's policy. Only that a new alias would lead back to
//! itself is found here, because it must be decided together with its creation.

use super::{AccountName, Origin, Standing};
use crate::{Error, Result, Timestamp};
use smtp::{Domain, Host, LocalPart, Mailbox};
use std::collections::{HashMap, VecDeque};

/// An address whose mail goes to others. The alias `*@domain` is a domain's catch-all: it gets the mail for whatever there is neither
/// an account nor another alias for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The address; no account has it.
    pub name: AccountName,
    /// Who gets its mail: accounts, other aliases, addresses elsewhere. At least one.
    pub targets: Vec<Mailbox>,
    /// How it came to be.
    pub origin: Origin,
    /// When it came to be as it is.
    pub created: Timestamp,
}

/// A domain that mail is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRecord {
    /// Its name.
    pub name: Domain,
    /// How it came to be.
    pub origin: Origin,
    /// When it came to be.
    pub created: Timestamp,
}

/// What is known of one address, at one moment. Names are tried in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolution {
    /// Whether its domain is one of ours, and how that came.
    pub domain: Option<Origin>,
    /// Who has exactly this address.
    pub exact: Option<Addressee>,
    /// Who has it without its tag ([`AccountName::untagged`]).
    pub untagged: Option<Addressee>,
    /// The catch-all of its domain.
    pub catch_all: Option<Alias>,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// An account.
    Account(Box<Standing>),
    /// An alias.
    Alias(Alias),
}

/// An alias has at most so many targets.
pub const ALIAS_TARGETS_MAX: usize = 100;

impl Alias {
    /// Refuses targets that cannot be kept.
    pub fn check_targets(targets: &[Mailbox]) -> Result<()> {
        match targets.len() {
            1..=ALIAS_TARGETS_MAX => Ok(()),
            count => Err(Error::Invalid(format!(
                "an alias with {count} targets; it may have 1 to {ALIAS_TARGETS_MAX}"
            ))),
        }
    }
}

impl AccountName {
    /// The name of the alias that is this domain's catch-all.
    pub fn catch_all(domain: &Domain) -> AccountName {
        let everything = LocalPart::from_unquoted("*").expect("an asterisk is an atom (RFC 5322 §3.2.3)");
        AccountName::of(&Mailbox::new(everything, Host::Domain(domain.clone())))
    }

    /// Whether it is a catch-all's name.
    pub fn is_catch_all(&self) -> bool {
        self.as_str().starts_with("*@")
    }

    /// The name without its tag: `user` for `user+tag` (RFC 5233 §4); `None` when there is no tag.
    pub fn untagged(mailbox: &Mailbox) -> Option<AccountName> {
        let (user, _tag) = mailbox.local_part().as_str().split_once('+')?;
        if user.is_empty() {
            return None;
        }
        let user = LocalPart::from_unquoted(user).ok()?;
        Some(AccountName::of(&Mailbox::new(user, mailbox.host().clone())))
    }

    /// The names that mail for this address may be kept under, in the order in which they are tried.
    pub fn candidates(mailbox: &Mailbox) -> Vec<AccountName> {
        let catch_all = mailbox.domain().map(AccountName::catch_all);
        [Some(AccountName::of(mailbox)), AccountName::untagged(mailbox), catch_all]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Refuses an alias that would lead back to itself, over whatever aliases there are: the error names the way round.
///
/// `account` says whether there is an account of a name, `alias` where an alias leads.
pub fn check_loop<'a>(
    name: &AccountName,
    targets: &'a [Mailbox],
    account: impl Fn(&AccountName) -> bool,
    alias: impl Fn(&AccountName) -> Option<&'a [Mailbox]>,
) -> Result<()> {
    // From each alias reached, the one that led there.
    let mut reached: HashMap<AccountName, AccountName> = HashMap::new();
    let mut to_follow = VecDeque::from([(name.clone(), targets)]);
    while let Some((from, targets)) = to_follow.pop_front() {
        for target in targets {
            let found = AccountName::candidates(target)
                .into_iter()
                .find(|candidate| candidate == name || account(candidate) || alias(candidate).is_some());
            let Some(next) = found else { continue };
            if next == *name {
                return Err(way_round(name, from, &reached));
            }
            let Some(targets) = alias(&next).filter(|_| !account(&next)) else { continue };
            if !reached.contains_key(&next) {
                reached.insert(next.clone(), from.clone());
                to_follow.push_back((next, targets));
            }
        }
    }
    Ok(())
}

fn way_round(name: &AccountName, last: AccountName, reached: &HashMap<AccountName, AccountName>) -> Error {
    let mut way = vec![name.to_string()];
    let mut at = &last;
    while at != name {
        way.push(at.to_string());
        at = &reached[at];
    }
    way.push(name.to_string());
    way.reverse();
    Error::Invalid(format!("the alias would lead back to itself: {}", way.join(" → ")))
}
