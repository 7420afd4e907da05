//! Connections to name servers that may be believed when they say that an answer is authentic.
//!
//! A validating name server on this machine says so in the AD bit (RFC 6840 §5.7, §5.8), and over loopback nobody can forge that. The records of
//! such an answer are marked as hickory marks those that it has validated itself. From anywhere else the bit means nothing.

use futures_util::{Stream, StreamExt};
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::{DnsRequest, DnsResponse};
use hickory_resolver::{ConnectionProvider, PoolContext};
use std::net::IpAddr;
use std::pin::Pin;

/// Makes connections to name servers.
#[derive(Clone)]
pub(super) struct Provider {
    inner: TokioRuntimeProvider,
    belief: Belief,
}

/// Whether a name server on this machine is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    Local,
    Nobody,
}

impl Provider {
    pub(super) fn new(belief: Belief) -> Provider {
        Provider { inner: TokioRuntimeProvider::default(), belief }
    }
}

impl ConnectionProvider for Provider {
    type Conn = Connection;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Connection, NetError>> + Send>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        server: IpAddr,
        config: &ConnectionConfig,
        context: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let connecting = self.inner.new_connection(server, config, context)?;
        let believed = self.belief == Belief::Local && server.is_loopback();
        Ok(Box::pin(async move {
            let exchange = connecting.await?;
            Ok(if believed { Connection::Believed(exchange) } else { Connection::Doubted(exchange) })
        }))
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.inner
    }
}

/// A connection to a name server.
#[derive(Clone)]
pub(super) enum Connection {
    Believed(DnsExchange<TokioRuntimeProvider>),
    Doubted(DnsExchange<TokioRuntimeProvider>),
}

impl DnsHandle for Connection {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        match self {
            Connection::Doubted(exchange) => Box::pin(exchange.send(request)),
            Connection::Believed(exchange) => {
                // Without DO: the signatures are not wanted, and some servers would pass on what they have not looked at.
                request.metadata.authentic_data = true;
                Box::pin(exchange.send(request).map(|response| response.map(believe)))
            }
        }
    }
}

fn believe(mut response: DnsResponse) -> DnsResponse {
    if response.metadata.authentic_data {
        for record in &mut response.answers {
            record.proof = Proof::Secure;
        }
    }
    response
}
