//! One HTTPS request to a host of the world: with our own resolver, dialer and verifier, so that private addresses can be refused and tests
//! need no network. No redirection is followed, and all of it is bounded in time and size.
//!
//! Who looks for MTA-STS policies calls it, and who sends reports on TLS.

use crate::deliver::dial::{Dialer, Race, reach};
use crate::deliver::secure::{Level, Security};
use crate::resolve::{Dns, Lookup, Private, Target};
use crate::tls::{Authorities, Connector, Demand, Stream, Transport};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a request needs of the outside.
pub(crate) struct Web<'a> {
    pub(crate) dns: &'a dyn Dns,
    pub(crate) dialer: &'a Arc<dyn Dialer>,
    pub(crate) authorities: &'a Authorities,
    pub(crate) private: &'a Private,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpsError {
    /// No host answers, or not in HTTP.
    #[error("{0}")]
    Unreachable(String),
    /// The host does not prove that it is the one that was meant.
    #[error("{0}")]
    Untrusted(String),
}

impl Web<'_> {
    /// Asks the host at port 443. The answer has a body of `most` octets at most, and takes a minute at most.
    pub(crate) async fn ask(
        &self,
        host: &str,
        request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response<Bytes>, HttpsError> {
        let unreachable = HttpsError::Unreachable;
        match tokio::time::timeout(TIMEOUT, self.exchange(host, request, most)).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(format!("{host} takes too long"))),
        }
    }

    async fn exchange(
        &self,
        host: &str,
        mut request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response<Bytes>, HttpsError> {
        let unreachable = |why: String| HttpsError::Unreachable(format!("{host}: {why}"));
        let Race { reached, unreached, .. } = reach(self.dialer, self.targets(host).await?, &|_| {}).await;
        let Some(reached) = reached else {
            let why = unreached.first().map_or("no answer".to_owned(), |failed| failed.cause.to_string());
            return Err(HttpsError::Unreachable(format!("no connection to {host}: {why}")));
        };
        let address = reached.target.address.ip().ok_or_else(|| unreachable("no IP address".to_owned()))?;
        let connector = Connector::to_next_hop(host, address.ip(), &Demand::Authority, self.authorities);
        let mut stream = Stream::connected(reached.connection.stream, Some(connector));
        let secured = stream.secure().await;
        secured.map_err(|error| HttpsError::Untrusted(format!("no TLS with {host}: {error}")))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let named = host.parse().map_err(|_| unreachable("it is no name for HTTP".to_owned()))?;
        request.headers_mut().insert(HOST, named);
        request.headers_mut().insert(USER_AGENT, hyper::header::HeaderValue::from_static("posthaste"));
        let answered = async move {
            let (head, body) =
                sender.send_request(request).await.map_err(|error| error.to_string())?.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| error.to_string())?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        let mut answered = std::pin::pin!(answered);
        let answer: Result<_, String> = tokio::select! {
            biased;
            answer = &mut answered => answer,
            // What came before the connection ended is still to be read. Why it ended the answer says, if there is none.
            _ = connection => answered.await,
        };
        answer.map_err(unreachable)
    }

    async fn targets(&self, host: &str) -> Result<Vec<Target>, HttpsError> {
        let addresses = match self.dns.addresses(host).await.lookup {
            Lookup::Found(addresses) => addresses,
            Lookup::NoRecords | Lookup::NoName => {
                return Err(HttpsError::Unreachable(format!("{host} has no address")));
            }
            Lookup::Failed(why) => {
                return Err(HttpsError::Unreachable(format!("{host} cannot be found: {why}")));
            }
        };
        // Whoever writes a domain's DNS must not make this server speak with hosts that only it can reach.
        let usable = addresses.into_iter().filter(|address| self.private.allows(*address));
        let targets: Vec<Target> = usable
            .take(ADDRESSES_MAX)
            .map(|address| Target {
                host: host.into(),
                preference: 0,
                address: SocketAddr::new(address, PORT).into(),
                security: Security { level: Level::Verified, ..Security::default() },
                hop: None,
                origin: Arc::default(),
            })
            .collect();
        match targets.is_empty() {
            true => Err(HttpsError::Unreachable(format!("{host} has private addresses only"))),
            false => Ok(targets),
        }
    }
}

/// RFC 8461 §3.3 asks for it, for policies.
const TIMEOUT: Duration = Duration::from_secs(60);
/// HTTPS.
const PORT: u16 = 443;
/// How many addresses are tried.
const ADDRESSES_MAX: usize = 4;
