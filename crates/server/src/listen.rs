//! Accepts connections and runs a session on each.

use crate::abuse::connections::Excess;
use crate::drive::{drive, drive_secured};
use crate::inbound::{Context, Inbound, Peer, now};
use crate::settings::{Listener, ListenerTls};
use crate::tls::Stream;
use bytes::BytesMut;
use smtp::{Reply, replies};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

/// How long to wait after accept failed for want of something (descriptors, memory): others must end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Opens a listening socket. IPv6 sockets take IPv6 only, so that both families can be listed.
pub(crate) fn bind(listener: &Listener) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(listener.address), Type::STREAM, None)?;
    if listener.address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listener.address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

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
    if let Err(refusal) = context.abuse.connection(address.ip(), now()) {
        return turn_away(&stream, (address, listener.tls), &refusal.greeting(), &refusal);
    }
    let permit = match context.connections.admit(address.ip()) {
        Ok(permit) => permit,
        Err(excess) => return turn_away(&stream, (address, listener.tls), &too_many(excess), &excess),
    };
    let local = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
        Ok(local) => local,
        Err(error) => {
            tracing::debug!(peer = %address.ip(), %error, "the client was gone at once");
            return;
        }
    };
    let context = Arc::clone(context);
    sessions.spawn(async move {
        let peer = Peer { security: listener.tls, ..Peer::new(address, local, listener.service) };
        session(stream, peer, context).await;
        drop(permit);
    });
}

/// Runs one session on a stream of any kind.
pub async fn session<S>(stream: S, peer: Peer, context: Arc<Context>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut stream = Stream::accepted(stream, context.acceptor(&peer));
    let security = peer.security;
    let mut inbound = Inbound::new(context, peer);
    let mut endpoint = inbound.endpoint();
    let result = match security {
        ListenerTls::Implicit => drive_secured(&mut endpoint, &mut stream, &mut inbound).await,
        ListenerTls::StartTls | ListenerTls::None => drive(&mut endpoint, &mut stream, &mut inbound).await,
    };
    inbound.ended(result);
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
fn turn_away(
    stream: &TcpStream,
    (peer, tls): (SocketAddr, ListenerTls),
    reply: &Reply,
    why: &dyn std::fmt::Display,
) {
    tracing::info!(peer = %peer.ip(), "client turned away: {why}");
    if tls == ListenerTls::Implicit {
        // It would have to be encrypted to be understood, and that costs too much.
        return;
    }
    let mut bytes = BytesMut::new();
    reply.encode(&mut bytes);
    if let Err(error) = stream.try_write(&bytes) {
        tracing::debug!(peer = %peer.ip(), %error, "the client was gone at once");
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
