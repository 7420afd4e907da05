//! DNS over the network: the system's name servers, or those of the settings.

use super::{Dns, Exchange, Lookup};
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use smtp::Domain;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Asks name servers, and remembers what they said for as long as they allow.
pub struct Resolver {
    /// Or why there is none.
    inner: Result<TokioResolver, String>,
}

impl Resolver {
    /// One that asks these name servers; with none, those that the system is set up with. When that cannot be read every look-up
    /// fails, and says why: mail then waits.
    pub fn new(servers: &[SocketAddr]) -> Resolver {
        let inner = Resolver::build(servers).map_err(|error| format!("no name servers: {error}"));
        if let Err(error) = &inner {
            tracing::warn!("mail for other hosts has to wait: {error}");
        }
        Resolver { inner }
    }

    fn build(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        tune(builder.options_mut());
        builder.build()
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Lookup<Vec<RData>> {
        // With the dot at its end a name stands for itself: the system's search list is for people.
        let Ok(name) = Name::from_ascii(format!("{name}.")) else { return Lookup::NoName };
        let resolver = match &self.inner {
            Ok(resolver) => resolver,
            Err(error) => return Lookup::Failed(error.clone()),
        };
        let answer = match resolver.lookup(name, kind).await {
            Ok(answer) => answer,
            Err(error) => return failure(&error),
        };
        // The chain of CNAMEs is followed already; its records stand among the others.
        let data: Vec<RData> = answer
            .answers()
            .iter()
            .filter(|record| record.record_type() == kind)
            .map(|record| record.data.clone())
            .collect();
        if data.is_empty() { Lookup::NoRecords } else { Lookup::Found(data) }
    }
}

#[async_trait]
impl Dns for Resolver {
    async fn exchanges(&self, domain: &Domain) -> Lookup<Vec<Exchange>> {
        self.ask(domain.ascii(), RecordType::MX).await.map(|data| {
            let exchange = |data| match data {
                RData::MX(mx) => Some(Exchange {
                    preference: mx.preference,
                    name: mx.exchange.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
                }),
                _ => None,
            };
            data.into_iter().filter_map(exchange).collect()
        })
    }

    async fn addresses(&self, name: &str) -> Lookup<Vec<IpAddr>> {
        let (four, six) = tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA));
        let address = |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        four.and_also(six).map(|data| data.into_iter().filter_map(address).collect())
    }
}

impl<T> Lookup<Vec<T>> {
    fn map<U>(self, change: impl FnOnce(Vec<T>) -> Vec<U>) -> Lookup<Vec<U>> {
        match self {
            Lookup::Found(found) => Lookup::Found(change(found)),
            Lookup::NoRecords => Lookup::NoRecords,
            Lookup::NoName => Lookup::NoName,
            Lookup::Failed(why) => Lookup::Failed(why),
        }
    }

    /// What two questions about one name found together. What was found counts although the other question failed; that nothing
    /// was found counts only when neither did.
    fn and_also(self, other: Lookup<Vec<T>>) -> Lookup<Vec<T>> {
        match (self, other) {
            (Lookup::Found(mut found), Lookup::Found(more)) => {
                found.extend(more);
                Lookup::Found(found)
            }
            (Lookup::Found(found), _) | (_, Lookup::Found(found)) => Lookup::Found(found),
            (Lookup::Failed(why), _) | (_, Lookup::Failed(why)) => Lookup::Failed(why),
            (Lookup::NoRecords, _) | (_, Lookup::NoRecords) => Lookup::NoRecords,
            (Lookup::NoName, Lookup::NoName) => Lookup::NoName,
        }
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
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Lookup::NoName,
            ResponseCode::NoError => Lookup::NoRecords,
            code => Lookup::Failed(code.to_string()),
        },
        other => Lookup::Failed(other.to_string()),
    }
}
