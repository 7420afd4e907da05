//! Which hosts take a destination's mail (RFC 5321 §5.1, RFC 7505): the decisions, over what DNS says.
//!
//! DNS itself is behind [`Dns`]; [`hickory`] asks real servers, tests and the simulation have their own. The decisions are pure
//! functions of the answers, and each failure is a reply, transient or permanent, that can be shown to a sender.
//!
//! Not here: which of several equal hosts is tried first ([`crate::deliver::health`]), and the connection.

mod addresses;
mod dane;
mod hickory;
mod hops;
mod ours;
mod provider;

pub use addresses::{Private, is_private};
pub use hickory::Resolver;
pub use hops::hops;
pub use ours::{Ours, is_local};

use crate::deliver::secure::Security;
use crate::route::{Hop, Origin};
use crate::tls::Tlsa;
use async_trait::async_trait;
use smtp::{AddressLiteral, Domain, Host, Reply, Status};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// What DNS says about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It has records of the kind asked for: at least one.
    Found(T),
    /// The name exists, without such records.
    NoRecords,
    /// There is no such name (NXDOMAIN).
    NoName,
    /// Nobody could say (time-out, SERVFAIL, a bogus signature).
    Failed(String),
}

/// What DNS says about a name, and whether nobody but its owner can have said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What it says.
    pub lookup: Lookup<T>,
    /// Of what was found; of no account for anything else.
    pub authenticity: Authenticity,
    /// The name that the records belong to, when aliases (CNAME) led from the one that was asked for to it.
    pub canonical: Option<String>,
}

/// Whether DNSSEC (RFC 4033 §5) has shown that an answer is its owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authenticity {
    /// It has not: the domain is not signed, or nobody validates. What is found out to be forged is no answer, but a failure.
    Unknown,
    /// It has, for the aliases on the way, too.
    Proven,
}

impl<T> From<Lookup<T>> for Answer<T> {
    fn from(lookup: Lookup<T>) -> Answer<T> {
        Answer { lookup, authenticity: Authenticity::Unknown, canonical: None }
    }
}

/// Who validates what DNS says (DNSSEC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// Name servers on this machine: what they call authentic is believed, and from other machines nothing is.
    #[default]
    Resolver,
    /// This program, from the keys of the root on. The name servers must pass signatures on.
    Validate,
    /// Nobody: there is no DANE.
    Off,
}

/// Where questions go.
#[async_trait]
pub trait Dns: Send + Sync {
    /// The MX records of a domain.
    async fn exchanges(&self, domain: &Domain) -> Answer<Vec<Exchange>>;

    /// The A and AAAA records of a name, as it stands in an MX record. An address of one family counts as found although the
    /// question for the other failed.
    async fn addresses(&self, name: &str) -> Answer<Vec<IpAddr>>;

    /// The TLSA records of a name like `_25._tcp.mx.example`.
    async fn associations(&self, name: &str) -> Answer<Vec<Tlsa>>;

    /// The TXT records of a name, each in one piece.
    async fn texts(&self, name: &str) -> Answer<Vec<String>>;
}

/// One MX record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange {
    /// Lower is better.
    pub preference: u16,
    /// The host's name, without a dot at the end: empty for the root, `.`.
    pub name: String,
}

/// One address at which a host may take the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The host's name, or an address literal.
    pub host: Arc<str>,
    /// Its preference; lower is better.
    pub preference: u16,
    /// Where.
    pub address: Address,
    /// How the connection is to be secured.
    pub security: Security,
    /// The operator's terms for it; `None` for a host that DNS alone names.
    pub hop: Option<Arc<Hop>>,
    /// How we appear to it.
    pub origin: Arc<Origin>,
}

/// Where a connection is made to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A socket in the file system.
    Socket(Arc<Path>),
}

impl Address {
    /// The IP address and the port, if it is one.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            Address::Socket(_) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Socket(path) => path.display().fmt(f),
        }
    }
}

/// What a decision depends on beside DNS.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Our own name: a host of that name is us.
    pub own_name: Domain,
    /// Our own addresses: a host there is us, too.
    pub ours: Ours,
    /// The port of MX hosts: 25, but in a laboratory.
    pub port: u16,
    /// Which private addresses may be used.
    pub private: Private,
}

impl Terms {
    /// Whether mail that is sent to this address of an MX host would come back to us. Private addresses that may not be used are passed over anyway,
    /// unless the operator has named them.
    fn is_ours(&self, address: IpAddr) -> bool {
        let listens = || self.ours.is_listener(SocketAddr::new(address, self.port));
        self.ours.is_named(address) || self.private.allows(address) && listens()
    }
}

/// Finds where mail for this destination may be delivered, best preference first; within one preference the families take turns, and
/// the order of hosts is DNS's. The error is for every recipient of the destination.
pub async fn targets(dns: &dyn Dns, host: &Host, terms: &Terms) -> Result<Vec<Target>, Reply> {
    let domain = match host {
        Host::Literal(literal) => return literal_target(literal, terms),
        Host::Domain(domain) => domain,
    };
    let answer = dns.exchanges(domain).await;
    // That a domain has no MX records is authentic when its addresses are.
    let authenticity = match &answer.lookup {
        Lookup::Found(_) => answer.authenticity,
        _ => Authenticity::Proven,
    };
    let exchanges = exchanges(domain, answer.lookup, &terms.own_name)?;
    let mut hosts: Vec<Found> = Vec::new();
    for exchange in exchanges {
        let mut addresses = dns.addresses(&exchange.name).await;
        if let Lookup::Found(list) = &addresses.lookup
            && let Some(own) = list.iter().find(|address| terms.is_ours(**address))
        {
            // Others of this preference, and what comes after us, would send it back here (RFC 5321 §5.1).
            hosts.retain(|host| host.exchange.preference < exchange.preference);
            if hosts.is_empty() {
                let name = &exchange.name;
                let text = format!(
                    "Mail for {domain} loops back to this host: DNS names {name} as the best mail host, and {own} is an address of this server"
                );
                return Err(LOOPS_BACK.with_text(text));
            }
            break;
        }
        addresses.authenticity = addresses.authenticity.min(authenticity);
        hosts.push(dane::host(dns, domain, (exchange, addresses), terms.port).await);
    }
    reachable(domain, hosts, terms)
}

/// The hosts that the MX records, or the lack of any, name: ours and worse ones cut off (RFC 5321 §5.1), what is no host's name left out.
fn exchanges(domain: &Domain, found: Lookup<Vec<Exchange>>, own: &Domain) -> Result<Vec<Exchange>, Reply> {
    let mut list = match found {
        Lookup::Found(list) => list,
        // RFC 5321 §5.1: without MX the domain's own addresses count.
        Lookup::NoRecords => vec![Exchange { preference: 0, name: domain.ascii().to_owned() }],
        Lookup::NoName => return Err(NO_DOMAIN.with_text(format!("The domain {domain} does not exist"))),
        Lookup::Failed(why) => {
            return Err(
                DNS_FAILED.with_text(format!("The mail hosts of {domain} cannot be found now: {why}"))
            );
        }
    };
    if let [Exchange { name, .. }] = list.as_slice()
        && name.is_empty()
    {
        return Err(NULL_MX.with_text(format!("The domain {domain} accepts no mail (null MX)")));
    }
    list.sort();
    let before = list.len();
    if let Some(place) = list.iter().position(|one| one.name.eq_ignore_ascii_case(own.ascii())) {
        let preference = list[place].preference;
        list.retain(|one| one.preference < preference);
        if list.is_empty() {
            let text =
                format!("Mail for {domain} loops back to this host: DNS names it as the best mail host");
            return Err(LOOPS_BACK.with_text(text));
        }
    }
    // Labels and hyphens are DNS's business, but a host has a name (RFC 5321 §5.1; RFC 1035 §3.3.9), and the root is no host.
    list.retain(|one| !one.name.is_empty() && one.name.parse::<IpAddr>().is_err());
    list.truncate(HOSTS_MAX);
    if list.is_empty() {
        let text = format!("The {before} MX records of {domain} name no host (an IP address is none)");
        return Err(NO_ROUTE.with_text(text));
    }
    Ok(list)
}

/// One host of a domain.
struct Found {
    exchange: Exchange,
    addresses: Lookup<Vec<IpAddr>>,
    security: Security,
}

/// The addresses of these hosts that may be used.
fn reachable(domain: &Domain, hosts: Vec<Found>, terms: &Terms) -> Result<Vec<Target>, Reply> {
    let (mut targets, mut failed, mut private) = (Vec::new(), None, None);
    let mut seen = BTreeSet::new();
    for Found { exchange, addresses, security } in hosts {
        let addresses = match addresses {
            Lookup::Found(addresses) => addresses,
            Lookup::NoRecords | Lookup::NoName => continue,
            Lookup::Failed(why) => {
                failed.get_or_insert(why);
                continue;
            }
        };
        let host: Arc<str> = exchange.name.as_str().into();
        let (usable, refused): (Vec<IpAddr>, Vec<IpAddr>) =
            addresses.into_iter().partition(|address| terms.private.allows(*address));
        private = private.or(refused.first().copied());
        for address in addresses::take_turns(usable).into_iter().take(ADDRESSES_MAX) {
            if seen.insert(address) {
                let address = Address::Ip(SocketAddr::new(address, terms.port));
                let (host, security) = (Arc::clone(&host), security.clone());
                let (preference, origin) = (exchange.preference, Arc::default());
                targets.push(Target { host, preference, address, security, hop: None, origin });
            }
        }
    }
    match (failed, private) {
        _ if !targets.is_empty() => Ok(targets),
        (Some(why), _) => {
            Err(DNS_FAILED.with_text(format!("The mail hosts of {domain} cannot be found now: {why}")))
        }
        (None, Some(address)) => Err(NO_ROUTE.with_text(format!(
            "The mail hosts of {domain} have private addresses only ({address}), which are not used from public DNS"
        ))),
        (None, None) => Err(NO_ROUTE.with_text(format!("No mail host of {domain} has an address"))),
    }
}

fn literal_target(literal: &AddressLiteral, terms: &Terms) -> Result<Vec<Target>, Reply> {
    let address = match literal {
        AddressLiteral::V4(address) => IpAddr::V4(*address),
        AddressLiteral::V6(address) => IpAddr::V6(*address),
        AddressLiteral::General(_) => {
            return Err(NO_ROUTE.with_text(format!("There is no way to reach the address {literal}")));
        }
    };
    if terms.is_ours(address) {
        let text = format!("Mail for {literal} loops back to this host: it is an address of this server");
        return Err(LOOPS_BACK.with_text(text));
    }
    if !terms.private.allows(address) {
        let text = format!("The address {literal} is private, and no mail is sent there");
        return Err(NO_ROUTE.with_text(text));
    }
    let address = Address::Ip(SocketAddr::new(address, terms.port));
    let (host, security) = (literal.to_string().into(), Security::default());
    Ok(vec![Target { host, preference: 0, address, security, hop: None, origin: Arc::default() }])
}

const fn status(subject: u16, detail: u16) -> Option<Status> {
    Some(Status { subject, detail })
}

/// X.1.2 bad destination system address.
const NO_DOMAIN: Reply = Reply::new(550, status(1, 2), "");
/// X.4.3 directory server failure.
const DNS_FAILED: Reply = Reply::new(451, status(4, 3), "");
/// RFC 7505 §5: X.1.10 recipient address has null MX.
const NULL_MX: Reply = Reply::new(556, status(1, 10), "");
/// X.4.6 routing loop detected.
const LOOPS_BACK: Reply = Reply::new(554, status(4, 6), "");
/// X.4.4 unable to route.
const NO_ROUTE: Reply = Reply::new(550, status(4, 4), "");

/// How many MX hosts of a domain are looked at, the best first.
const HOSTS_MAX: usize = 20;
/// How many addresses of a host are tried.
const ADDRESSES_MAX: usize = 5;

#[cfg(test)]
mod tests;
