//! Accepts connections and runs a session on each.

use crate::classroom;
use crate::door::{self, Caller, Denied};
use crate::drive::{Application, drive, drive_secured};
use crate::imap;
use crate::inbound::{Context, Inbound, Peer};
use crate::pop3;
use crate::proxied;
use crate::settings::{Listener, ListenerTls, Proxied, Service};
use crate::tls::Stream;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wire::Endpoint;

/// How long to wait after accept failed for want of something (descriptors, memory): others must end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// How many connections are taken before sessions have their turn again.
const AT_ONCE: usize = 32;

/// Serves one listener until the server stops, then waits for its sessions. When dropped, sessions end at once.
pub(crate) async fn serve(socket: TcpListener, listener: Listener, context: Arc<Context>) {
    let mut sessions = JoinSet::new();
    let mut stopped = pin!(context.stopped());
    let mut arrived = Vec::with_capacity(AT_ONCE);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped.as_mut() => break,
            Some(ended) = sessions.join_next() => {
                report(ended);
                continue;
            }
            accepted = std::future::poll_fn(|task| poll_accept(task, &socket, &mut arrived)) => accepted,
        };
        for (stream, peer) in arrived.drain(..) {
            admit(stream, peer, listener, &context, &mut sessions);
        }
        if let Err(error) = accepted {
            tracing::warn!(%error, "cannot accept connections; trying again shortly");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
    drop(socket);
    while let Some(ended) = sessions.join_next().await {
        report(ended);
    }
}

/// Takes what connections there are, but not so many that sessions have to wait for it.
fn poll_accept(
    task: &mut task::Context<'_>,
    socket: &TcpListener,
    arrived: &mut Vec<(TcpStream, SocketAddr)>,
) -> Poll<io::Result<()>> {
    while arrived.len() < AT_ONCE {
        match socket.poll_accept(task) {
            Poll::Ready(Ok(connection)) => arrived.push(connection),
            Poll::Ready(Err(error)) if is_peers(&error) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if arrived.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(()))
}

fn admit(
    stream: TcpStream,
    address: SocketAddr,
    listener: Listener,
    context: &Arc<Context>,
    sessions: &mut JoinSet<()>,
) {
    if listener.proxied == Proxied::Yes && context.proxies.sends_header(address.ip()) {
        if let Some(peer) = peer_of(&stream, address, listener) {
            sessions.spawn(through_proxy(stream, peer, listener, Arc::clone(context)));
        }
        return;
    }
    match door::permit(context, address.ip(), listener.service) {
        Ok(permit) => {
            let Some(peer) = peer_of(&stream, address, listener) else { return };
            let context = Arc::clone(context);
            sessions.spawn(async move {
                session(stream, peer, context).await;
                drop(permit);
            });
        }
        Err(denied) => turn_away(stream, Caller { address: address.ip(), listener }, denied, context),
    }
}

/// Both ends of a connection that is to be served; `None` when the client is gone already.
fn peer_of(stream: &TcpStream, address: SocketAddr, listener: Listener) -> Option<Peer> {
    match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
        Ok(local) => Some(Peer { security: listener.tls, ..Peer::new(address, local, listener.service) }),
        Err(error) => {
            tracing::debug!(peer = %address.ip(), %error, "the client was gone at once");
            None
        }
    }
}

/// Learns from the proxy's header who the client is, and serves that.
async fn through_proxy(mut stream: TcpStream, mut peer: Peer, listener: Listener, context: Arc<Context>) {
    let proxy = peer.address.ip();
    let waiting = match context.connections.admit_proxy() {
        Ok(permit) => permit,
        Err(excess) => {
            return turn_away(stream, Caller { address: proxy, listener }, Denied::Full(excess), &context);
        }
    };
    match proxied::header(&mut stream, proxy).await {
        Ok(Some(ends)) => (peer.address, peer.local) = (ends.source, ends.destination),
        // It speaks for itself, perhaps to see whether the server is well.
        Ok(None) => {}
        Err(error) => return tracing::warn!(%proxy, "connection refused: {error}"),
    }
    tracing::debug!(%proxy, peer = %peer.address, "connection through a proxy");
    drop(waiting);
    let address = peer.address.ip();
    match door::permit(&context, address, listener.service) {
        Ok(_permit) => session(stream, peer, context).await,
        Err(denied) => turn_away(stream, Caller { address, listener }, denied, &context),
    }
}

/// Turns a connection away; the runtime has nothing more to do with it.
fn turn_away(stream: TcpStream, caller: Caller, denied: Denied, context: &Context) {
    match stream.into_std() {
        Ok(stream) => context.door.turn_away(stream, caller, denied),
        Err(error) => tracing::debug!(peer = %caller.address, %error, "the client was gone at once"),
    }
}

/// Runs one session on a stream of any kind.
pub async fn session<S>(stream: S, peer: Peer, context: Arc<Context>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let stream = Stream::accepted(stream, context.acceptor(&peer));
    let security = peer.security;
    match peer.service {
        Service::Smtp | Service::Submission | Service::Lmtp => {
            let mut inbound = Inbound::new(context, peer);
            let mut endpoint = inbound.endpoint();
            let result = run(stream, security, &mut endpoint, &mut inbound).await;
            inbound.ended(result);
        }
        Service::Pop3 => {
            let mut session = pop3::Session::new(context, peer);
            let mut endpoint = session.endpoint();
            let result = run(stream, security, &mut endpoint, &mut session).await;
            session.ended(result);
        }
        Service::Imap => {
            let mut session = imap::Session::new(context, peer);
            let mut endpoint = session.endpoint();
            let result = run(stream, security, &mut endpoint, &mut session).await;
            session.ended(result);
        }
        Service::Classroom => {
            let mut session = classroom::Session::new(context, peer);
            let mut endpoint = session.endpoint();
            let result = run(stream, security, &mut endpoint, &mut session).await;
            session.ended(result);
        }
    }
}

/// Drives an endpoint, after a handshake where TLS comes first.
async fn run<S, E, A>(
    mut stream: Stream<S>,
    security: ListenerTls,
    endpoint: &mut E,
    application: &mut A,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    E: Endpoint + Send,
    E::Event: Send,
    A: Application<E>,
{
    match security {
        ListenerTls::Implicit => drive_secured(endpoint, &mut stream, application).await,
        ListenerTls::StartTls | ListenerTls::None => drive(endpoint, &mut stream, application).await,
    }
}

/// Failures of accept that belong to the connection, not to us.
fn is_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock)
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a session ended by a fault of ours; its connection is closed, the others go on");
    }
}
