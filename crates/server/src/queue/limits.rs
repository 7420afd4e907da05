//! How much is done at the same time, and what one site is thought to bear: the operator's word, before a site has said anything itself.

use crate::abuse::Rate;
use crate::deliver::pool::Idle;
use crate::deliver::relay::Wear;
use crate::resolve::Target;
use crate::route::Pattern;
use smtp::{Domain, Host};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How much is done at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Connections in all.
    pub connections: usize,
    /// Connections that have nothing to do, and wait for mail.
    pub idle: Idle,
    /// How old a connection may become.
    pub age: Duration,
    /// What a site gets of which nothing else is said.
    pub site: SiteLimits,
    /// Sites of which something else is said. The first that fits counts.
    pub own: Vec<OwnSite>,
}

/// What a site gets: a set of hosts that several destinations may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteLimits {
    /// Connections at the same time.
    pub connections: usize,
    /// Messages over one connection.
    pub messages: u32,
    /// New connections; any number when `None`.
    pub connection_rate: Option<Rate>,
    /// Messages; any number when `None`.
    pub message_rate: Option<Rate>,
    /// How long it is left alone when it has no time for a connection.
    pub pause: Duration,
}

/// Destinations and hosts that share limits of their own: together they are one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSite {
    /// Mail for these.
    pub domains: Vec<Pattern>,
    /// Mail that goes to these hosts, whatever it is for.
    pub hosts: Vec<Pattern>,
    /// The limits.
    pub limits: SiteLimits,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: 200,
            idle: Idle::default(),
            age: Wear::default().age,
            site: SiteLimits::default(),
            own: Vec::new(),
        }
    }
}

impl Default for SiteLimits {
    fn default() -> SiteLimits {
        SiteLimits {
            connections: 20,
            messages: Wear::default().messages,
            connection_rate: None,
            message_rate: None,
            pause: Duration::from_secs(60),
        }
    }
}

impl Bounds {
    /// The site that a destination with these hosts belongs to, by its name, and what it gets.
    ///
    /// The name is that of the table that fits, or else the names of the hosts, in order; for hosts that the operator has named, it also says how we speak with
    /// them and as whom.
    pub fn site(&self, destination: &Host, targets: &[Target]) -> (Arc<str>, &SiteLimits) {
        match self.own.iter().find(|own| own.fits(destination, targets)) {
            Some(own) => (own.to_string().into(), &own.limits),
            None => (hosts(targets), &self.site),
        }
    }
}

impl OwnSite {
    fn fits(&self, destination: &Host, targets: &[Target]) -> bool {
        let host = |name: &str| Domain::parse(name).ok().map(Host::Domain);
        let is_named = |host: &Host| self.hosts.iter().any(|pattern| pattern.closeness(host).is_some());
        self.domains.iter().any(|pattern| pattern.closeness(destination).is_some())
            || targets.iter().filter_map(|target| host(&target.host)).any(|host| is_named(&host))
    }
}

impl fmt::Display for OwnSite {
    /// The patterns, as the operator wrote them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domains = self.domains.iter().map(ToString::to_string);
        let hosts = self.hosts.iter().map(|pattern| format!("mx {pattern}"));
        f.write_str(&domains.chain(hosts).collect::<Vec<_>>().join(", "))
    }
}

fn hosts(targets: &[Target]) -> Arc<str> {
    let name = |target: &Target| match &target.hop {
        None => target.host.to_string(),
        Some(hop) => {
            let user = hop.credentials.as_ref().map_or("", |credentials| &credentials.user);
            format!("{hop} {user} {}", target.host)
        }
    };
    let mut names: Vec<String> = targets.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names.join(" ").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::secure::Security;
    use std::net::SocketAddr;

    fn target(host: &str) -> Target {
        let address = SocketAddr::from(([192, 0, 2, 1], 25)).into();
        Target {
            host: host.into(),
            preference: 0,
            address,
            security: Security::default(),
            hop: None,
            origin: Arc::default(),
        }
    }

    #[test]
    fn the_first_table_that_fits_makes_one_site_of_all_that_it_fits() {
        let pattern = |text: &str| text.parse::<Pattern>().expect("a pattern");
        let own = |domains: &[&str], hosts: &[&str], connections| OwnSite {
            domains: domains.iter().map(|text| pattern(text)).collect(),
            hosts: hosts.iter().map(|text| pattern(text)).collect(),
            limits: SiteLimits { connections, ..SiteLimits::default() },
        };
        let bounds = Bounds {
            own: vec![own(&["one.example"], &[], 1), own(&[], &[".big.example", "mx.other.example"], 2)],
            ..Bounds::default()
        };
        for (destination, hosts, name, connections) in [
            ("one.example", &["mx.big.example"][..], "one.example", 1),
            ("two.example", &["a.mx.big.example"], "mx .big.example, mx mx.other.example", 2),
            (
                "three.example",
                &["mx0.example", "mx.other.example"],
                "mx .big.example, mx mx.other.example",
                2,
            ),
            ("four.example", &["b.example", "a.example", "b.example"], "a.example b.example", 20),
            ("[192.0.2.1]", &["[192.0.2.1]"], "[192.0.2.1]", 20),
        ] {
            let targets: Vec<Target> = hosts.iter().map(|host| target(host)).collect();
            let destination = destination.parse::<store::QueueName>().expect("a destination").host();
            let (site, limits) = bounds.site(&destination, &targets);
            assert_eq!((&*site, limits.connections), (name, connections));
        }
    }
}
