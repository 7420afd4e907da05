//! What DNS says about the certificates of a mail host: DANE (RFC 7672 §2, §3.1).
//!
//! Only where the MX records and the host's addresses are authentic are TLSA records asked for, and only authentic ones count. From then on the host gets
//! mail over TLS that fits them or not at all: a question without an answer takes the host out of this attempt.

use super::{Answer, Authenticity, Dns, Exchange, Found, Lookup};
use crate::deliver::secure::{Begin, Level, Security};
use crate::tls::{Dane, Tlsa};
use smtp::Domain;
use std::net::IpAddr;
use std::sync::Arc;

/// The host with how its connection is to be secured.
pub(super) async fn host(
    dns: &dyn Dns,
    domain: &Domain,
    (exchange, addresses): (Exchange, Answer<Vec<IpAddr>>),
    port: u16,
) -> Found {
    let Answer { lookup, authenticity, canonical } = addresses;
    let has_addresses = matches!(lookup, Lookup::Found(_));
    if authenticity == Authenticity::Unknown || !has_addresses {
        return Found { exchange, addresses: lookup, security: Security::default() };
    }
    // RFC 7672 §2.2.2: the name behind the aliases comes first.
    let bases = canonical.into_iter().chain([exchange.name.clone()]);
    for base in bases {
        let question = format!("_{port}._tcp.{base}");
        let answer = dns.associations(&question).await;
        match answer.lookup {
            Lookup::Found(records) if answer.authenticity == Authenticity::Proven => {
                let names = [&base, &exchange.name, domain.ascii()];
                let level = level(records, &names);
                let security = Security { level, begin: Begin::StartTls };
                return Found { exchange, addresses: lookup, security };
            }
            Lookup::Found(_) | Lookup::NoRecords | Lookup::NoName => {}
            Lookup::Failed(why) => {
                let why = format!("what DNS says of the certificate of {base} (TLSA) cannot be known: {why}");
                return Found { exchange, addresses: Lookup::Failed(why), security: Security::default() };
            }
        }
    }
    Found { exchange, addresses: lookup, security: Security::default() }
}

/// RFC 7672 §2.2: records that cannot be used still say that there is TLS.
fn level(records: Vec<Tlsa>, names: &[&str]) -> Level {
    let usable: Vec<Tlsa> = records.into_iter().filter(Tlsa::is_usable).collect();
    if usable.is_empty() {
        return Level::Encrypted;
    }
    let mut reference: Vec<String> = Vec::new();
    for name in names {
        if !reference.iter().any(|known| known == name) {
            reference.push((*name).to_owned());
        }
    }
    Level::Dane(Arc::new(Dane { records: usable, names: reference }))
}
