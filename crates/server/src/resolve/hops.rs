//! The addresses of hosts that the operator has named.
//!
//! They may be private, for nobody but the operator chose them. That one cannot be found is the operator's trouble and no fault of the mail,
//! which waits until that is mended.

use super::{Address, DNS_FAILED, Dns, Lookup, Target, Terms, addresses, targets};
use crate::deliver::secure::Level;
use crate::route::{Hop, Place};
use smtp::{AddressLiteral, Host, Reply};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where mail may be handed over on this way: the first hop is preferred to the second, and so on.
pub async fn hops(dns: &dyn Dns, hops: &[Arc<Hop>], terms: &Terms) -> Result<Vec<Target>, Reply> {
    let mut found = Vec::new();
    let mut trouble = None;
    let mut preference = 0;
    for hop in hops {
        match of(dns, hop, terms).await {
            Ok(mut targets) => {
                // What DNS prefers among the hosts of one hop stays; the next hop comes after all of them.
                let (mut before, mut rank) = (None, preference);
                for target in &mut targets {
                    rank += u16::from(before.is_some_and(|before| before != target.preference));
                    before = Some(target.preference);
                    target.preference = rank;
                    target.hop = Some(Arc::clone(hop));
                }
                preference = rank + 1;
                found.extend(targets);
            }
            Err(why) => {
                tracing::warn!(%hop, "the next hop of a route cannot be found: {why}");
                trouble.get_or_insert(
                    DNS_FAILED.with_text(format!("The next hop {hop} cannot be found now: {why}")),
                );
            }
        }
    }
    match (found.is_empty(), trouble) {
        (false, _) => Ok(found),
        (true, trouble) => Err(trouble.unwrap_or(DNS_FAILED.with_text("The route names no next hop"))),
    }
}

/// The addresses of one hop, best first, or why there are none.
async fn of(dns: &dyn Dns, hop: &Hop, terms: &Terms) -> Result<Vec<Target>, String> {
    let at = |host: Arc<str>, address: Address| Target {
        host,
        preference: 0,
        address,
        security: hop.security.clone(),
        hop: None,
        origin: Arc::default(),
    };
    match &hop.place {
        Place::Socket(path) => Ok(vec![at(hop.to_string().into(), Address::Socket(path.as_path().into()))]),
        Place::Host { host: Host::Literal(literal), port } => {
            let address = match literal {
                AddressLiteral::V4(address) => IpAddr::V4(*address),
                AddressLiteral::V6(address) => IpAddr::V6(*address),
                AddressLiteral::General(_) => return Err("it is no address that can be reached".to_owned()),
            };
            Ok(vec![at(literal.to_string().into(), SocketAddr::new(address, *port).into())])
        }
        Place::Host { host: Host::Domain(name), port } => match dns.addresses(name.ascii()).await.lookup {
            Lookup::Found(found) => {
                let host: Arc<str> = name.ascii().into();
                let found = addresses::take_turns(found).into_iter().take(super::ADDRESSES_MAX);
                Ok(found.map(|ip| at(Arc::clone(&host), SocketAddr::new(ip, *port).into())).collect())
            }
            Lookup::NoRecords => Err("it has no address".to_owned()),
            Lookup::NoName => Err("there is no such name".to_owned()),
            Lookup::Failed(why) => Err(why),
        },
        Place::Exchanges { domain, port } => {
            let terms = Terms { port: port.unwrap_or(terms.port), ..terms.clone() };
            let host = Host::Domain(domain.clone());
            let mut found = targets(dns, &host, &terms).await.map_err(|reply| reply.text().to_owned())?;
            for target in &mut found {
                // What the domain itself asks for is never less than the operator does, unless that is to be in clear.
                let policy = match target.security.level {
                    Level::Dane(_) => true,
                    // TLSA records that cannot be used ask for TLS all the same (RFC 7672 §2.2).
                    Level::Encrypted => hop.security.level == Level::Opportunistic,
                    _ => false,
                };
                if !policy || hop.security.level == Level::Clear {
                    target.security = hop.security.clone();
                }
            }
            Ok(found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Table, terms};
    use super::*;
    use crate::deliver::secure::Security;
    use smtp::{Domain, Protocol};
    use std::path::PathBuf;

    fn hop(place: Place) -> Arc<Hop> {
        let security = Security::default();
        Arc::new(Hop { place, protocol: Protocol::Smtp, security, authorities: None, credentials: None })
    }

    fn host(text: &str, port: u16) -> Arc<Hop> {
        hop(Place::Host { host: Host::parse(text).expect(text), port })
    }

    const NAMES: Table = Table(&[
        ("one", &["A 10.0.0.1", "A 2600::1"]),
        ("two", &["A 203.0.113.2"]),
        ("mx1", &["A 203.0.113.11"]),
        ("mx2", &["A 203.0.113.12"]),
        ("provider.example", &["MX 20 mx2", "MX 10 mx1"]),
        ("broken", &["SERVFAIL"]),
    ]);

    async fn decide(list: &[Arc<Hop>]) -> Result<Vec<String>, String> {
        let shown = |target: &Target| format!("{} {} {}", target.preference, target.host, target.address);
        match hops(&NAMES, list, &terms(&[])).await {
            Ok(targets) => {
                assert!(targets.iter().all(|target| target.hop.is_some()));
                Ok(targets.iter().map(shown).collect())
            }
            Err(reply) => Err(reply.to_string()),
        }
    }

    #[tokio::test]
    async fn hops_come_in_their_order_and_may_be_private() {
        let provider = hop(Place::Exchanges {
            domain: Domain::parse("provider.example").expect("a domain"),
            port: None,
        });
        let socket = hop(Place::Socket(PathBuf::from("/run/lmtp")));
        let list = [host("one", 587), provider, host("[192.168.0.1]", 26), host("two", 25), socket];
        let expected = [
            "0 one [2600::1]:587",
            "0 one 10.0.0.1:587",
            "1 mx1 203.0.113.11:25",
            "2 mx2 203.0.113.12:25",
            "3 [192.168.0.1] 192.168.0.1:26",
            "4 two 203.0.113.2:25",
            "5 smtp /run/lmtp",
        ];
        let got = decide(&list).await.expect("all are found");
        assert_eq!(got[..6], expected[..6]);
        assert!(got[6].ends_with(" /run/lmtp"), "{}", got[6]);
    }

    #[tokio::test]
    async fn one_that_cannot_be_found_makes_mail_wait_or_gives_way_to_the_next() {
        assert_eq!(
            decide(&[host("gone", 25), host("two", 25)]).await,
            Ok(vec!["0 two 203.0.113.2:25".to_owned()])
        );
        for (name, why) in [("gone", "there is no such name"), ("broken", "SERVFAIL")] {
            let expected = format!("451 4.4.3 The next hop smtp://{name}:25 cannot be found now: {why}");
            assert_eq!(decide(&[host(name, 25)]).await, Err(expected), "it is the operator's to mend");
        }
    }
}
