//! Accepts connections and runs a session on each.

use crate::abuse::connections::{Excess, Permit};
use crate::classroom;
use crate::drive::{Application, drive, drive_secured};
use crate::imap;
use crate::inbound::{Context, Inbound, Peer, now};
use crate::pop3;
use crate::proxied;
use crate::settings::{Listener, ListenerTls, Proxied, Service};
use crate::tls::Stream;
use bytes::BytesMut;
use smtp::{Reply, replies};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use wire::Endpoint;

/// How long to wait after accept failed for want of something (descriptors, memory): others must end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Serves one listener until the server stops, then waits for its sessions. When dropped, sessions end at once.
pub(crate) async fn serve(socket: TcpListener, listener: Listener, context: Arc<Context>) {
    let mut sessions = JoinSet::new();
    let mut stopped = pin!(context.stopped());
    loop {
        tokio::select! {
            biased;
            () = stopped.as_mut() => break,
            Some(ended) = sessions.join_next() => report(ended),
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, listener, &context, &mut sessions),
                Err(error) if is_peers(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again shortly");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(socket);
    while let Some(ended) = sessions.join_next().await {
        report(ended);
    }
}

fn admit(
    stream: TcpStream,
    address: SocketAddr,
    listener: Listener,
    context: &Arc<Context>,
    sessions: &mut JoinSet<()>,
) {
    let local = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
        Ok(local) => local,
        Err(error) => {
            tracing::debug!(peer = %address.ip(), %error, "the client was gone at once");
            return;
        }
    };
    let peer = Peer { security: listener.tls, ..Peer::new(address, local, listener.service) };
    let context = Arc::clone(context);
    if listener.proxied == Proxied::Yes && context.proxies.sends_header(address.ip()) {
        sessions.spawn(through_proxy(stream, peer, context));
    } else if let Some(permit) = permitted(&stream, &peer, &context) {
        sessions.spawn(async move {
            session(stream, peer, context).await;
            drop(permit);
        });
    }
}

/// A place for the connection; `None` when its peer may have none, and was told so.
fn permitted(stream: &TcpStream, peer: &Peer, context: &Context) -> Option<Permit> {
    let address = peer.address.ip();
    if let Err(refusal) = context.abuse.connection(address, now()) {
        turn_away(stream, peer, &refusal.greeting(), &refusal);
        return None;
    }
    match context.connections.admit(address) {
        Ok(permit) => Some(permit),
        Err(excess) => {
            turn_away(stream, peer, &too_many(excess), &excess);
            None
        }
    }
}

/// Learns from the proxy's header who the client is, and serves that.
async fn through_proxy(mut stream: TcpStream, mut peer: Peer, context: Arc<Context>) {
    let waiting = match context.connections.admit_proxy() {
        Ok(permit) => permit,
        Err(excess) => return turn_away(&stream, &peer, &too_many(excess), &excess),
    };
    let proxy = peer.address.ip();
    match proxied::header(&mut stream, proxy).await {
        Ok(Some(ends)) => (peer.address, peer.local) = (ends.source, ends.destination),
        // It speaks for itself, perhaps to see whether the server is well.
        Ok(None) => {}
        Err(error) => return tracing::warn!(%proxy, "connection refused: {error}"),
    }
    tracing::debug!(%proxy, peer = %peer.address, "connection through a proxy");
    drop(waiting);
    let Some(_permit) = permitted(&stream, &peer, &context) else { return };
    session(stream, peer, context).await;
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

fn too_many(excess: Excess) -> Reply {
    match excess {
        Excess::Total => replies::TOO_MANY_CONNECTIONS,
        Excess::Address => {
            replies::TOO_MANY_CONNECTIONS.with_text("Error: too many connections from your address")
        }
    }
}

/// Says why in one packet and closes: this may be an attack, so it must cost next to nothing.
fn turn_away(stream: &TcpStream, peer: &Peer, reply: &Reply, why: &dyn std::fmt::Display) {
    let address = peer.address.ip();
    tracing::info!(peer = %address, "client turned away: {why}");
    if peer.security == ListenerTls::Implicit {
        // It would have to be encrypted to be understood, and that costs too much.
        return;
    }
    let mut bytes = BytesMut::new();
    match peer.service {
        Service::Smtp | Service::Submission | Service::Lmtp => reply.encode(&mut bytes),
        Service::Pop3 => pop3::not_now(reply).encode(&mut bytes),
        Service::Imap => bytes.extend_from_slice(&imap::not_now(reply)),
        Service::Classroom => bytes.extend_from_slice(b"500 SERVER ERROR\r\n"),
    }
    if let Err(error) = stream.try_write(&bytes) {
        tracing::debug!(peer = %address, %error, "the client was gone at once");
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
