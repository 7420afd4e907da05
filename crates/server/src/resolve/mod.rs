//! Which hosts take a destination's mail (RFC 5321 §5.1, RFC 7505): the decisions, over what DNS says.
//!
//! DNS itself is behind [`Dns`]; [`hickory`] asks real servers, tests and the simulation have their own. The decisions are pure
//! functions of the answers, and each failure is a reply, transient or permanent, that can be shown to a sender.
//!
//! Not here: which of several equal hosts is tried first ([`crate::deliver::health`]), and the connection.

mod addresses;
mod hickory;

pub use addresses::{Private, is_private};
pub use hickory::Resolver;

use crate::deliver::secure::Security;
use async_trait::async_trait;
use smtp::{AddressLiteral, Domain, Host, Reply, Status};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
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

/// Where questions go.
#[async_trait]
pub trait Dns: Send + Sync {
    /// The MX records of a domain.
    async fn exchanges(&self, domain: &Domain) -> Lookup<Vec<Exchange>>;

    /// The A and AAAA records of a name, as it stands in an MX record. An address of one family counts as found although the
    /// question for the other failed.
    async fn addresses(&self, name: &str) -> Lookup<Vec<IpAddr>>;
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
    pub address: SocketAddr,
    /// How the connection is to be secured.
    pub security: Security,
}

/// What a decision depends on beside DNS.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Our own name: a host of that name is us.
    pub own_name: Domain,
    /// The port of MX hosts: 25, but in a laboratory.
    pub port: u16,
    /// Which private addresses may be used.
    pub private: Private,
}

/// Finds where mail for this destination may be delivered, best preference first; within one preference the families take turns, and
/// the order of hosts is DNS's. The error is for every recipient of the destination.
pub async fn targets(dns: &dyn Dns, host: &Host, terms: &Terms) -> Result<Vec<Target>, Reply> {
    let domain = match host {
        Host::Literal(literal) => return literal_target(literal, terms),
        Host::Domain(domain) => domain,
    };
    let exchanges = exchanges(domain, dns.exchanges(domain).await, &terms.own_name)?;
    let mut hosts = Vec::new();
    for exchange in exchanges {
        let addresses = dns.addresses(&exchange.name).await;
        hosts.push((exchange, addresses));
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

/// The addresses of these hosts that may be used.
fn reachable(
    domain: &Domain,
    hosts: Vec<(Exchange, Lookup<Vec<IpAddr>>)>,
    terms: &Terms,
) -> Result<Vec<Target>, Reply> {
    let (mut targets, mut failed, mut private) = (Vec::new(), None, None);
    let mut seen = BTreeSet::new();
    for (exchange, addresses) in hosts {
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
                let address = SocketAddr::new(address, terms.port);
                targets.push(Target {
                    host: Arc::clone(&host),
                    preference: exchange.preference,
                    address,
                    security: Security::default(),
                });
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
    if !terms.private.allows(address) {
        let text = format!("The address {literal} is private, and no mail is sent there");
        return Err(NO_ROUTE.with_text(text));
    }
    let address = SocketAddr::new(address, terms.port);
    let security = Security::default();
    Ok(vec![Target { host: literal.to_string().into(), preference: 0, address, security }])
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
