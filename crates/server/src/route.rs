//! Which way mail for a destination goes: to the hosts that DNS names, or where the operator's routes say.
//!
//! [`Routes::of`] is a pure function from a destination to a [`Route`]. The closest route counts: one for the domain itself, then one for
//! the longest domain above it, then the one for everything. [`crate::queue`] asks it before each attempt; [`crate::settings`] makes the
//! routes and refuses what makes no sense. Which addresses a hop's name has is [`crate::resolve`]'s affair.

use crate::deliver::secure::{Begin, Security};
use smtp::{Domain, Host, Protocol};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// The way to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the hosts that DNS names for it.
    Mx,
    /// To these, the first that takes it.
    Hops(Vec<Arc<Hop>>),
    /// Nowhere: it is taken and thrown away.
    Discard,
}

/// A host that the operator has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Where it is.
    pub place: Place,
    /// What is spoken there.
    pub protocol: Protocol,
    /// How the connection is secured.
    pub security: Security,
    /// Who has signed its certificate, in a PEM file; whoever this system trusts when `None`.
    pub authorities: Option<PathBuf>,
    /// What we prove ourselves with.
    pub credentials: Option<Credentials>,
}

/// Where a hop is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// At the addresses of this name, or at this address.
    Host {
        /// The name or the address.
        host: Host,
        /// The port.
        port: u16,
    },
    /// At the hosts that DNS names as those for this domain's mail.
    Exchanges {
        /// The domain.
        domain: Domain,
        /// Their port; that of all MX hosts when `None`.
        port: Option<u16>,
    },
    /// At a socket in the file system.
    Socket(PathBuf),
}

/// What we prove ourselves with to a hop. The secret stays in its file, and is read anew for each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// Where the secret is.
    pub secret: SecretFile,
}

/// A file with a secret and nothing else in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFile {
    /// A password.
    Password(PathBuf),
    /// A bearer token; somebody else renews it.
    Token(PathBuf),
}

impl SecretFile {
    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            SecretFile::Password(path) | SecretFile::Token(path) => path,
        }
    }
}

/// How this server appears to the hosts that it connects with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address that connections over IPv4 come from; which one the system takes when `None`.
    pub v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub v6: Option<Ipv6Addr>,
    /// The name in EHLO (RFC 5321 §4.1.1.1); that of the server when `None`.
    pub hello: Option<Domain>,
}

impl Origin {
    /// The address that a connection to this one comes from.
    pub fn source(&self, to: SocketAddr) -> Option<IpAddr> {
        match to {
            SocketAddr::V4(_) => self.v4.map(IpAddr::V4),
            SocketAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }
}

/// The destinations that a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// All.
    Any,
    /// This domain.
    Domain(Domain),
    /// The domains below this one, at any depth.
    Below(Domain),
}

/// All routes of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// None has the pattern of another.
    list: Vec<(Pattern, Route)>,
    /// How we appear where a route says nothing else.
    origin: Arc<Origin>,
    /// How we appear on routes that say so.
    origins: HashMap<Pattern, Arc<Origin>>,
}

impl Routes {
    /// These routes; the first counts where two have one pattern.
    pub fn new(list: Vec<(Pattern, Route)>) -> Routes {
        Routes { list, ..Routes::default() }
    }

    /// The same, with how we appear on them, in general and on routes of their own.
    pub fn with_origins(self, general: Origin, own: HashMap<Pattern, Arc<Origin>>) -> Routes {
        Routes { origin: Arc::new(general), origins: own, ..self }
    }

    /// The way to a destination.
    pub fn of(&self, destination: &Host) -> Route {
        self.closest(destination).map_or(Route::Mx, |(_, route)| route.clone())
    }

    /// How we appear to the hosts of a destination: as its route says, or as in general.
    pub fn origin(&self, destination: &Host) -> Arc<Origin> {
        let own = self.closest(destination).and_then(|(pattern, _)| self.origins.get(pattern));
        Arc::clone(own.unwrap_or(&self.origin))
    }

    /// How we appear on the route with this pattern, if that is not as in general.
    pub(crate) fn own_origin(&self, pattern: &Pattern) -> Option<&Origin> {
        self.origins.get(pattern).map(|origin| &**origin)
    }

    /// How we appear in general.
    pub(crate) fn general_origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether any connection comes from an address that was chosen.
    pub fn have_sources(&self) -> bool {
        let mut all = self.origins.values().chain([&self.origin]);
        all.any(|origin| origin.v4.is_some() || origin.v6.is_some())
    }

    fn closest(&self, destination: &Host) -> Option<&(Pattern, Route)> {
        let fitting = self.list.iter().filter_map(|entry| Some((entry.0.closeness(destination)?, entry)));
        // The first of equals: `max_by_key` alone would take the last.
        fitting.rev().max_by_key(|(closeness, _)| *closeness).map(|(_, entry)| entry)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &(Pattern, Route)> {
        self.list.iter()
    }

    /// Every hop of every route.
    pub fn hops(&self) -> impl Iterator<Item = &Arc<Hop>> {
        self.list.iter().flat_map(|(_, route)| match route {
            Route::Hops(hops) => hops.as_slice(),
            Route::Mx | Route::Discard => &[],
        })
    }
}

impl Pattern {
    /// Whether a destination is meant, and how closely: more is closer.
    pub(crate) fn closeness(&self, destination: &Host) -> Option<usize> {
        match (self, destination) {
            (Pattern::Any, _) => Some(0),
            (Pattern::Domain(_) | Pattern::Below(_), Host::Literal(_)) => None,
            (Pattern::Domain(named), Host::Domain(domain)) => (named == domain).then_some(usize::MAX),
            (Pattern::Below(above), Host::Domain(domain)) => {
                let rest = domain.ascii().strip_suffix(above.ascii())?;
                rest.ends_with('.').then_some(above.ascii().len())
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = smtp::AddressError;

    fn from_str(text: &str) -> Result<Pattern, smtp::AddressError> {
        Ok(match (text, text.strip_prefix('.')) {
            ("*", _) => Pattern::Any,
            (_, Some(above)) => Pattern::Below(Domain::parse(above)?),
            (domain, None) => Pattern::Domain(Domain::parse(domain)?),
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Any => f.write_str("*"),
            Pattern::Domain(domain) => f.write_str(domain.as_str()),
            Pattern::Below(domain) => write!(f, ".{}", domain.as_str()),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Mx => f.write_str("mx"),
            Route::Discard => f.write_str("discard"),
            Route::Hops(hops) => {
                for (number, hop) in hops.iter().enumerate() {
                    let between = if number == 0 { "" } else { ", then " };
                    write!(f, "{between}{hop}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Hop {
    /// As it is written in the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.protocol, self.security.begin) {
            (Place::Socket(path), ..) => write!(f, "lmtp+unix:{}", path.display()),
            (Place::Exchanges { domain, port: Some(port) }, ..) => {
                write!(f, "mx://{}:{port}", domain.as_str())
            }
            (Place::Exchanges { domain, port: None }, ..) => write!(f, "mx://{}", domain.as_str()),
            (Place::Host { host, port }, Protocol::Lmtp, _) => write!(f, "lmtp://{}:{port}", bare(host)),
            (Place::Host { host, port }, Protocol::Smtp, Begin::AtOnce) => {
                write!(f, "smtps://{}:{port}", bare(host))
            }
            (Place::Host { host, port }, Protocol::Smtp, _) => write!(f, "smtp://{}:{port}", bare(host)),
        }
    }
}

/// A host as URLs have it: an IPv6 address in brackets, an IPv4 address without.
fn bare(host: &Host) -> String {
    match host {
        Host::Literal(smtp::AddressLiteral::V4(address)) => address.to_string(),
        Host::Literal(smtp::AddressLiteral::V6(address)) => format!("[{address}]"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(name: &str) -> Route {
        let host = Host::parse(name).expect(name);
        Route::Hops(vec![Arc::new(Hop {
            place: Place::Host { host, port: 25 },
            protocol: Protocol::Smtp,
            security: Security::default(),
            authorities: None,
            credentials: None,
        })])
    }

    #[test]
    fn the_closest_route_counts() {
        let routes = [
            ("*", hop("any")),
            (".example.com", hop("below")),
            ("a.example.com", Route::Discard),
            (".b.example.com", hop("deeper")),
            ("direct.example.com", Route::Mx),
            ("a.example.com", hop("second")),
        ];
        let routes = routes.map(|(pattern, route)| (pattern.parse().expect(pattern), route));
        let routes = Routes::new(routes.to_vec());
        for (destination, expected) in [
            ("elsewhere.example", "smtp://any:25"),
            ("example.com", "smtp://any:25"),
            ("notexample.com", "smtp://any:25"),
            ("x.example.com", "smtp://below:25"),
            ("x.y.Example.COM", "smtp://below:25"),
            ("A.example.com", "discard"),
            ("b.example.com", "smtp://below:25"),
            ("x.b.example.com", "smtp://deeper:25"),
            ("direct.example.com", "mx"),
            ("[192.0.2.1]", "smtp://any:25"),
        ] {
            let destination = Host::parse(destination).expect(destination);
            assert_eq!(routes.of(&destination).to_string(), expected, "{destination}");
        }
        assert_eq!(Routes::default().of(&Host::parse("example.com").expect("a domain")), Route::Mx);
    }

    #[test]
    fn patterns_read_and_print() {
        for (text, pattern) in [
            ("*", Pattern::Any),
            ("example.com", Pattern::Domain(Domain::parse("example.com").expect("a domain"))),
            (".example.com", Pattern::Below(Domain::parse("example.com").expect("a domain"))),
        ] {
            assert_eq!(text.parse(), Ok(pattern.clone()));
            assert_eq!(pattern.to_string(), text);
        }
        for text in ["", ".", "*.example.com", "example.com.", "[192.0.2.1]", "a@example.com"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }
}
