//! Fetching a policy (RFC 8461 §3.3): one HTTPS request, from a host of the domain with a certificate for its name, answered with a short text. Nothing
//! else is followed, and all of it takes at most a minute.

use super::policy::Policy;
use crate::deliver::dial::{Dialer, reach};
use crate::deliver::secure::{Level, Security};
use crate::resolve::{Dns, Lookup, Private, Target};
use crate::tls::{Authorities, Connector, Demand, Stream, Transport};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What fetching needs of the outside.
pub(super) struct Web<'a> {
    pub(super) dns: &'a dyn Dns,
    pub(super) dialer: &'a Arc<dyn Dialer>,
    pub(super) authorities: &'a Authorities,
    pub(super) private: &'a Private,
}

/// Fetches the policy of a domain, or says why there is none.
pub(super) async fn policy(web: &Web<'_>, domain: &str) -> Result<Policy, String> {
    match tokio::time::timeout(TIMEOUT, fetch(web, domain)).await {
        Ok(fetched) => Policy::parse(&fetched?).map_err(str::to_owned),
        Err(_) => Err("it takes too long".to_owned()),
    }
}

async fn fetch(web: &Web<'_>, domain: &str) -> Result<String, String> {
    let host = format!("mta-sts.{domain}");
    let addresses = match web.dns.addresses(&host).await.lookup {
        Lookup::Found(addresses) => addresses,
        Lookup::NoRecords | Lookup::NoName => return Err(format!("{host} has no address")),
        Lookup::Failed(why) => return Err(format!("{host} cannot be found: {why}")),
    };
    // Whoever writes a domain's DNS must not make this server speak with hosts that only it can reach.
    let usable = addresses.into_iter().filter(|address| web.private.allows(*address));
    let targets: Vec<Target> = usable
        .take(ADDRESSES_MAX)
        .map(|address| Target {
            host: host.as_str().into(),
            preference: 0,
            address: SocketAddr::new(address, PORT).into(),
            security: Security { level: Level::Verified, ..Security::default() },
            hop: None,
        })
        .collect();
    if targets.is_empty() {
        return Err(format!("{host} has private addresses only"));
    }
    let (reached, unreached) = reach(web.dialer, targets).await;
    let Some(reached) = reached else {
        let why = unreached.first().map_or("no answer".to_owned(), |failed| failed.cause.to_string());
        return Err(format!("no connection to {host}: {why}"));
    };
    let address = reached.target.address.ip().ok_or_else(|| format!("{host} has no IP address"))?;
    let connector = Connector::to_next_hop(&host, address.ip(), &Demand::Authority, web.authorities);
    let mut stream = Stream::connected(reached.connection.stream, Some(connector));
    stream.secure().await.map_err(|error| format!("no TLS with {host}: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let request = Request::get("/.well-known/mta-sts.txt")
        .header(HOST, &host)
        .header(USER_AGENT, "posthaste")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answered = async move {
        let response = sender.send_request(request).await.map_err(|error| format!("{host}: {error}"))?;
        // A redirection is no answer (§3.3).
        if response.status() != StatusCode::OK {
            return Err(format!("{host} answers {}", response.status()));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain")) {
            return Err(format!("{host} answers with {kind:?} instead of text/plain"));
        }
        let body = Limited::new(response.into_body(), POLICY_MAX).collect().await;
        let body = body.map_err(|error| format!("{host}: {error}"))?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|_| format!("{host} answers with what is no text"))
    };
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        // What came before the connection ended is still to be read. Why it ended the answer says, if there is none.
        _ = connection => answered.await,
    }
}

/// RFC 8461 §3.3.
const TIMEOUT: Duration = Duration::from_secs(60);
/// RFC 8461 §3.3.
const POLICY_MAX: usize = 64 * 1024;
/// HTTPS.
const PORT: u16 = 443;
/// How many addresses are tried.
const ADDRESSES_MAX: usize = 4;
