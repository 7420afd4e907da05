//! DNS over the network: the system's name servers, or those of the settings, with what is known of the authenticity of answers.

mod source;

use super::{Answer, Authenticity, Dns, Dnssec, Exchange, Lookup};
use crate::tls::Tlsa;
use async_trait::async_trait;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use smtp::Domain;
use source::{SYSTEM_FILE, Source};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// Asks name servers, and remembers what they said for as long as they allow.
pub struct Resolver {
    source: Source,
}

impl Resolver {
    /// One that asks these name servers; with none, those that the system is set up with at the moment. As long as that cannot be read every
    /// look-up fails, and says why: mail then waits.
    pub fn new(servers: &[SocketAddr], dnssec: Dnssec) -> Resolver {
        Resolver::anchored(servers, dnssec, TrustAnchors::default())
    }

    /// The same with these keys as the ones that all others are validated by, where that is done here.
    pub(super) fn anchored(servers: &[SocketAddr], dnssec: Dnssec, anchors: TrustAnchors) -> Resolver {
        let source = match servers {
            [] => Source::system(Path::new(SYSTEM_FILE), dnssec, anchors),
            servers => Source::fixed(servers, dnssec, anchors),
        };
        if let Err(error) = source.current() {
            tracing::warn!("mail for other hosts has to wait: no name servers: {error}");
        }
        Resolver { source }
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Answer<Vec<RData>> {
        // With the dot at its end a name stands for itself: the system's search list is for people.
        let Ok(name) = Name::from_ascii(format!("{name}.")) else { return Lookup::NoName.into() };
        let resolver = match self.source.current() {
            Ok(resolver) => resolver,
            Err(error) => return Lookup::Failed(format!("no name servers: {error}")).into(),
        };
        let answer = match resolver.lookup(name.clone(), kind).await {
            Ok(answer) => answer,
            Err(error) => return failure(&error).into(),
        };
        // The chain of CNAMEs is followed already; its records stand among the others, and each must be authentic.
        let records = || answer.answers().iter().filter(|record| record.record_type() != RecordType::RRSIG);
        let authentic = records().all(|record| record.proof == Proof::Secure);
        let found: Vec<_> = records().filter(|record| record.record_type() == kind).collect();
        let canonical = found.first().map(|record| &record.name).filter(|canonical| **canonical != name);
        let canonical = canonical.map(plain);
        let data: Vec<RData> = found.into_iter().map(|record| record.data.clone()).collect();
        Answer {
            lookup: if data.is_empty() { Lookup::NoRecords } else { Lookup::Found(data) },
            authenticity: if authentic { Authenticity::Proven } else { Authenticity::Unknown },
            canonical,
        }
    }
}

/// A name as people write it, without the dot at its end.
fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

#[async_trait]
impl Dns for Resolver {
    async fn exchanges(&self, domain: &Domain) -> Answer<Vec<Exchange>> {
        let exchange = |data| match data {
            RData::MX(mx) => Some(Exchange { preference: mx.preference, name: plain(&mx.exchange) }),
            _ => None,
        };
        self.ask(domain.ascii(), RecordType::MX).await.map(exchange)
    }

    async fn addresses(&self, name: &str) -> Answer<Vec<IpAddr>> {
        let (four, six) = tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA));
        let address = |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        four.and_also(six).map(address)
    }

    async fn associations(&self, name: &str) -> Answer<Vec<Tlsa>> {
        let association = |data| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data,
            }),
            _ => None,
        };
        self.ask(name, RecordType::TLSA).await.map(association)
    }

    async fn texts(&self, name: &str) -> Answer<Vec<String>> {
        // The pieces of one record belong together (RFC 7208 §3.3 and others).
        let text = |data| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        };
        self.ask(name, RecordType::TXT).await.map(text)
    }
}

impl<T> Answer<Vec<T>> {
    fn map<U>(self, change: impl FnMut(T) -> Option<U>) -> Answer<Vec<U>> {
        let Answer { lookup, authenticity, canonical } = self;
        let lookup = match lookup {
            Lookup::Found(found) => Lookup::Found(found.into_iter().filter_map(change).collect()),
            Lookup::NoRecords => Lookup::NoRecords,
            Lookup::NoName => Lookup::NoName,
            Lookup::Failed(why) => Lookup::Failed(why),
        };
        Answer { lookup, authenticity, canonical }
    }

    /// What two questions about one name found together. What was found counts although the other question failed; that nothing
    /// was found counts only when neither did. Authentic is what is so as a whole.
    fn and_also(self, other: Answer<Vec<T>>) -> Answer<Vec<T>> {
        let canonical = self.canonical.or(other.canonical);
        let (lookup, authenticity) = match (self.lookup, other.lookup) {
            (Lookup::Found(mut found), Lookup::Found(more)) => {
                found.extend(more);
                (Lookup::Found(found), self.authenticity.min(other.authenticity))
            }
            (Lookup::Found(found), _) => (Lookup::Found(found), self.authenticity),
            (_, Lookup::Found(found)) => (Lookup::Found(found), other.authenticity),
            (Lookup::Failed(why), _) | (_, Lookup::Failed(why)) => {
                (Lookup::Failed(why), Authenticity::Unknown)
            }
            (Lookup::NoRecords, _) | (_, Lookup::NoRecords) => (Lookup::NoRecords, Authenticity::Unknown),
            (Lookup::NoName, Lookup::NoName) => (Lookup::NoName, Authenticity::Unknown),
        };
        Answer { lookup, authenticity, canonical }
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .collect();
    server
}

fn tune(options: &mut ResolverOpts) {
    options.cache_size = 4096;
    options.positive_max_ttl = Some(Duration::from_secs(24 * 3600));
    // Whoever mends a domain should not have to wait long for mail.
    options.negative_max_ttl = Some(Duration::from_secs(300));
}

fn failure<T>(error: &NetError) -> Lookup<T> {
    let code = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        // The name servers have proven it, or that nothing there is signed. What is bogus is another error.
        NetError::Dns(DnsError::Nsec { response, proof, .. }) if *proof != Proof::Bogus => {
            response.response_code
        }
        other => return Lookup::Failed(other.to_string()),
    };
    match code {
        ResponseCode::NXDomain => Lookup::NoName,
        ResponseCode::NoError => Lookup::NoRecords,
        code => Lookup::Failed(code.to_string()),
    }
}

#[cfg(test)]
mod tests;
