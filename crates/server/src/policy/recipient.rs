//! Who gets the mail for a recipient, or why nobody does.
//!
//! An address leads to accounts: by itself, without its tag, as one of the postmaster's, over aliases, or by the catch-all of its domain.
//! [`recipient`] follows all of that over what is [`Known`], and says what must be looked up when that is not enough: the caller looks
//! it up and asks again.

use super::Verdict;
use crate::settings::{Acceptance, Network};
use crate::srs::{Returned, Srs};
use smtp::{AddressLiteral, Domain, ForwardPath, Host, LocalPart, Mailbox, replies};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use store::{
    AccountName, Addressee, Alias, IfFull, IfMissing, Origin, Resolution, Standing, Timestamp, Usage,
};

/// What a verdict on recipients depends on, for a whole server.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whose mail is taken.
    pub acceptance: Acceptance,
    /// The server's own name: the domain of a postmaster that is named without one.
    pub host_name: Domain,
    /// What is sent on to other hosts; `None` when nothing is.
    pub onwards: Option<Onwards>,
}

/// What is sent on to other hosts, beside the mail of accounts.
#[derive(Debug, Clone, Default)]
pub struct Onwards {
    /// All mail of these networks.
    pub networks: Vec<Network>,
    /// Everybody's mail to these domains.
    pub domains: Vec<Domain>,
    /// What gives forwarded mail its reverse-path. Without it nothing is forwarded.
    pub srs: Option<Arc<Srs>>,
}

/// Whether a peer's mail is sent on to other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relaying {
    /// It is.
    Allowed,
    /// Only to the domains whose mail is taken from everybody.
    Listed,
    /// It is not.
    Denied,
}

/// One recipient, as a client named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The address: a missing domain, or an address literal of ours, is replaced by our domain.
    pub address: Mailbox,
    /// How large the client said the message will be, in bytes (RFC 1870 §6).
    pub size: Option<u64>,
    /// Whether it may be in a domain that is not ours.
    pub relaying: Relaying,
    /// What [`returned`] says of it.
    pub returned: Option<Returned>,
    /// Whether a full mailbox stands in the way.
    pub if_full: IfFull,
}

/// What was looked up so far.
pub type Known = HashMap<Mailbox, Resolution>;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These must be looked up first.
    LookUp(Vec<Mailbox>),
    /// Decided.
    Verdict(Verdict<Routes>),
}

/// Where a recipient's mail goes: to accounts and addresses elsewhere, no two times to the same and to one at least, or onward.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    /// Whether it goes to another host.
    pub onward: Onward,
    /// The accounts.
    pub routes: Vec<Route>,
    /// Addresses elsewhere to which it is forwarded: targets of aliases, or who is behind a reverse-path of ours.
    pub forwards: Vec<Mailbox>,
    /// Targets of aliases that lead to nobody.
    pub nowhere: Vec<Mailbox>,
}

/// Whether mail goes to another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Onward {
    /// It stays here.
    #[default]
    No,
    /// It goes into the queue, and from there to the hosts that take the mail of its domain.
    Relayed,
}

/// Who wants to send mail to other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Somebody who has authenticated as an account here.
    Account,
    /// Whoever is at this address.
    Host(IpAddr),
}

/// Whether their mail is sent on.
pub fn relaying(rules: &Rules, who: Who) -> Relaying {
    let Some(onwards) = &rules.onwards else { return Relaying::Denied };
    match who {
        Who::Account => Relaying::Allowed,
        Who::Host(address) if onwards.networks.iter().any(|network| network.contains(address)) => {
            Relaying::Allowed
        }
        Who::Host(_) => Relaying::Listed,
    }
}

/// Into the INBOX of this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose.
    pub account: AccountName,
    /// Whether the account is made when it is not there.
    pub if_missing: IfMissing,
}

/// So many addresses are followed for one recipient: who wants a larger list wants a mailing list.
pub const EXPANSION_MAX: usize = 256;

/// What the header fields that we put before a message take at most, about, in bytes.
pub const TRACE_SIZE: u64 = 1024;

/// What is asked about a path, for somebody who may not relay. `local` is the address at which the server was reached, if it was.
pub fn asked(rules: &Rules, path: &ForwardPath, local: Option<IpAddr>, size: Option<u64>) -> Asked {
    let address = match path {
        ForwardPath::Postmaster => postmaster_at(main_domain(rules)),
        ForwardPath::Mailbox(mailbox) => match mailbox.host() {
            Host::Literal(literal) if local.is_some_and(|local| is_address(literal, local)) => {
                Mailbox::new(mailbox.local_part().clone(), Host::Domain(main_domain(rules).clone()))
            }
            _ => mailbox.clone(),
        },
    };
    Asked { address, size, relaying: Relaying::Denied, returned: None, if_full: IfFull::Fail }
}

/// Who is behind an address that a rewriting has made; `None` when none has.
pub fn returned(rules: &Rules, path: &ForwardPath, now: Timestamp) -> Option<Returned> {
    srs(rules)?.back(path.as_mailbox()?.local_part(), now)
}

/// What gives forwarded mail its reverse-path; `None` when nothing is forwarded.
pub(crate) fn srs(rules: &Rules) -> Option<&Arc<Srs>> {
    rules.onwards.as_ref()?.srs.as_ref()
}

/// Decides on one recipient.
pub fn recipient(rules: &Rules, asked: &Asked, known: &Known) -> Step {
    let mut walk = Walk { rules, asked, found: Routes::default(), full: false, followed: HashSet::new() };
    let mut unknown = Vec::new();
    let postmaster = postmaster_at(main_domain(rules));
    let mut to_visit = VecDeque::from([&asked.address]);
    let mut visited = 0;
    while let Some(address) = to_visit.pop_front() {
        visited += 1;
        if visited > EXPANSION_MAX {
            return Step::Verdict(Verdict::Reject(replies::TOO_MANY_ALIASES));
        }
        let Some(resolution) = known.get(address) else {
            if !unknown.contains(address) {
                unknown.push(address.clone());
            }
            continue;
        };
        let is_target = visited > 1;
        if !is_ours(&rules.acceptance, resolution) {
            if is_postmaster_of_host(rules, address) && !is_listed(rules, address) {
                to_visit.push_back(&postmaster);
                continue;
            }
            match (is_target, asked.relaying) {
                // Its domain may have been removed since the start: that is no reason to send a stranger's mail there.
                (true, _) if *address == postmaster => {
                    return Step::Verdict(Verdict::Reject(replies::RELAY_DENIED));
                }
                (true, _) if srs(rules).is_some() => {
                    walk.forward(address);
                    continue;
                }
                (true, _) => return Step::Verdict(Verdict::Reject(replies::FORWARDING_DENIED)),
                (false, Relaying::Allowed) => return Step::Verdict(relayed()),
                (false, Relaying::Listed) if is_listed(rules, address) => return Step::Verdict(relayed()),
                (false, Relaying::Listed | Relaying::Denied) => {
                    return Step::Verdict(Verdict::Reject(replies::RELAY_DENIED));
                }
            }
        }
        match walk.next(address, resolution) {
            Next::Done => {}
            Next::Follow(alias) => to_visit.extend(&alias.targets),
            // Whoever catches all has no use for what belongs to somebody else.
            Next::CatchAll(alias) => match (&asked.returned, is_target) {
                (Some(Returned::To(sender)), false) => to_visit.push_back(sender),
                _ => to_visit.extend(&alias.targets),
            },
            Next::Nobody if !is_target => match &asked.returned {
                Some(Returned::To(sender)) => to_visit.push_back(sender),
                Some(Returned::Forged | Returned::Expired) => {
                    return Step::Verdict(Verdict::Reject(replies::NO_SUCH_RETURN_PATH));
                }
                None => return Step::Verdict(Verdict::Reject(replies::NO_SUCH_MAILBOX)),
            },
            Next::Nobody => walk.found.nowhere.push(address.clone()),
        }
    }
    if !unknown.is_empty() {
        return Step::LookUp(unknown);
    }
    Step::Verdict(walk.verdict())
}

fn relayed() -> Verdict<Routes> {
    Verdict::Accept(Routes { onward: Onward::Relayed, ..Routes::default() })
}

/// Whether everybody's mail to this address is sent on. Not when its local part names a way further on (`user%there@here`, `there!user@here`,
/// `"user@there"@here`): the host behind us may trust us, and take that way for a stranger.
fn is_listed(rules: &Rules, address: &Mailbox) -> bool {
    let listed = |onwards: &Onwards| address.domain().is_some_and(|domain| onwards.domains.contains(domain));
    let names_a_way = address.local_part().as_str().contains(['@', '%', '!', ':']);
    rules.onwards.as_ref().is_some_and(listed) && !names_a_way
}

/// Whether an account has room for a message; of unknown size, for a small one.
pub fn has_room(standing: &Standing, size: Option<u64>) -> bool {
    let bytes = size.map_or(1, |size| size.saturating_add(TRACE_SIZE));
    standing.allowance().allows(standing.usage.with(Usage { bytes, messages: 1 }))
}

/// A walk from one address to all accounts behind it.
struct Walk<'a> {
    rules: &'a Rules,
    asked: &'a Asked,
    found: Routes,
    /// Whether an account on the way has no room.
    full: bool,
    /// Aliases that were followed: none is followed twice, so that a loop ends.
    followed: HashSet<&'a AccountName>,
}

/// What is behind one address.
enum Next<'a> {
    /// An account, or an alias that was followed before.
    Done,
    /// Whoever this alias names.
    Follow(&'a Alias),
    /// The same, for an address that nobody has for themselves.
    CatchAll(&'a Alias),
    /// Nobody.
    Nobody,
}

impl<'a> Walk<'a> {
    fn next(&mut self, address: &Mailbox, resolution: &'a Resolution) -> Next<'a> {
        let exact = AccountName::of(address);
        let untagged = AccountName::untagged(address);
        let names = [(Some(&exact), &resolution.exact), (untagged.as_ref(), &resolution.untagged)];
        for (name, addressee) in names {
            let Some(name) = name else { continue };
            match addressee {
                Some(Addressee::Account(standing))
                    if is_open(&self.rules.acceptance, name, Some(standing.account.origin)) =>
                {
                    return self.account(name, Some(standing));
                }
                Some(Addressee::Alias(alias)) => return self.follow(alias),
                None if is_open(&self.rules.acceptance, name, None) => return self.account(name, None),
                Some(Addressee::Account(_)) | None => {}
            }
        }
        match (&self.rules.acceptance, &resolution.catch_all) {
            (acceptance, _) if is_postmaster(self.rules, address) && *acceptance != Acceptance::Everyone => {
                self.postmaster(exact)
            }
            (_, Some(alias)) => match self.follow(alias) {
                Next::Follow(alias) => Next::CatchAll(alias),
                next => next,
            },
            (Acceptance::Everyone, None) => self.create(untagged.unwrap_or(exact)),
            (Acceptance::Named(_) | Acceptance::Domains { .. }, None) => Next::Nobody,
        }
    }

    fn account(&mut self, name: &AccountName, standing: Option<&Standing>) -> Next<'a> {
        self.full |= self.asked.if_full == IfFull::Fail
            && standing.is_some_and(|standing| !has_room(standing, self.asked.size));
        let if_missing = match self.rules.acceptance {
            Acceptance::Everyone => IfMissing::Create,
            // One that is removed before the content has come stays removed.
            Acceptance::Named(_) | Acceptance::Domains { .. } => IfMissing::Fail,
        };
        self.add(Route { account: name.clone(), if_missing })
    }

    fn create(&mut self, account: AccountName) -> Next<'a> {
        self.add(Route { account, if_missing: IfMissing::Create })
    }

    /// Mail for a postmaster must be taken (RFC 5321 §4.5.1): by the one of the settings, or by an account that is made.
    fn postmaster(&mut self, exact: AccountName) -> Next<'a> {
        match &self.rules.acceptance {
            Acceptance::Domains { postmaster: Some(account), .. } => self.create(account.clone()),
            _ => self.create(exact),
        }
    }

    fn follow(&mut self, alias: &'a Alias) -> Next<'a> {
        if self.followed.insert(&alias.name) { Next::Follow(alias) } else { Next::Done }
    }

    fn forward(&mut self, target: &Mailbox) {
        if !self.found.forwards.contains(target) {
            self.found.forwards.push(target.clone());
        }
    }

    fn add(&mut self, route: Route) -> Next<'a> {
        if !self.found.routes.iter().any(|known| known.account == route.account) {
            self.found.routes.push(route);
        }
        Next::Done
    }

    fn verdict(self) -> Verdict<Routes> {
        match self {
            Walk { found, .. } if found.routes.is_empty() && found.forwards.is_empty() => {
                Verdict::Reject(replies::NO_SUCH_MAILBOX)
            }
            Walk { full: true, .. } => Verdict::Defer(replies::MAILBOX_FULL),
            Walk { found, .. } => Verdict::Accept(found),
        }
    }
}

/// Whether this server has accounts in the domain of an address.
fn is_ours(acceptance: &Acceptance, resolution: &Resolution) -> bool {
    match acceptance {
        Acceptance::Everyone | Acceptance::Named(_) => true,
        // Those of the settings are in the store as well.
        Acceptance::Domains { .. } => resolution.domain.is_some(),
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

/// Whether it is the postmaster, in any case of letters, of a domain that must have one here (RFC 5321 §4.5.1): with a list of
/// addresses, our own name and the domains of the list.
pub(super) fn is_postmaster(rules: &Rules, mailbox: &Mailbox) -> bool {
    let Some(domain) = mailbox.domain() else { return false };
    let is_ours = match &rules.acceptance {
        Acceptance::Everyone | Acceptance::Domains { .. } => true,
        Acceptance::Named(names) => {
            *domain == rules.host_name
                || names.iter().any(|name| name.as_str().rsplit('@').next() == Some(domain.ascii()))
        }
    };
    is_ours && mailbox.local_part().as_str().eq_ignore_ascii_case("postmaster")
}

/// Whether it is the postmaster at the server's own name, which may be no domain that it has accounts in. Our reports come from there, and what is
/// answered to them must be taken (RFC 5321 §4.5.1): by the postmaster of the main domain.
fn is_postmaster_of_host(rules: &Rules, mailbox: &Mailbox) -> bool {
    mailbox.domain() == Some(&rules.host_name)
        && *main_domain(rules) != rules.host_name
        && is_postmaster(rules, mailbox)
}

pub(crate) fn main_domain(rules: &Rules) -> &Domain {
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

#[cfg(test)]
mod tests;
