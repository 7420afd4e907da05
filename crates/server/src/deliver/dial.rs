//! Connecting to the first of several equal hosts that answers.

use crate::resolve::{Address, Target};
use async_trait::async_trait;
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A connection's bytes.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection to another host.
pub struct Connection {
    /// Its bytes.
    pub stream: Box<dyn Stream>,
    /// Our end; unspecified when it is a socket in the file system.
    pub local: SocketAddr,
}

/// Makes connections.
#[async_trait]
pub trait Dialer: Send + Sync {
    /// Connects, from this address of ours if it is named, or says why not ([`NoSource`] if that address is the reason). How long that may
    /// take is the caller's affair.
    async fn dial(&self, address: SocketAddr, from: Option<IpAddr>) -> io::Result<Connection>;

    /// The same to a socket in the file system. By default there are none.
    async fn dial_socket(&self, _path: &Path) -> io::Result<Connection> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The address that a connection is to come from cannot be used. That is ours to mend, and says nothing of the other host; the system's own word
/// for it (`EADDRNOTAVAIL`) means other things as well: no IPv6 here, no port left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSource(pub String);

impl NoSource {
    /// Whether this is why there is no connection.
    pub fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<NoSource>())
    }
}

impl From<NoSource> for io::Error {
    fn from(why: NoSource) -> io::Error {
        io::Error::new(io::ErrorKind::AddrNotAvailable, why)
    }
}

/// Makes connections over TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

#[async_trait]
impl Dialer for Tcp {
    async fn dial(&self, address: SocketAddr, from: Option<IpAddr>) -> io::Result<Connection> {
        let stream = match from {
            None => TcpStream::connect(address).await?,
            Some(from) => bound(from)?.connect(address).await?,
        };
        stream.set_nodelay(true)?;
        Ok(Connection { local: stream.local_addr()?, stream: Box::new(stream) })
    }

    async fn dial_socket(&self, path: &Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(path).await?;
        Ok(Connection { local: SocketAddr::from(([0; 4], 0)), stream: Box::new(stream) })
    }
}

/// A socket whose connection comes from this address.
fn bound(from: IpAddr) -> io::Result<TcpSocket> {
    let socket = match from {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Without it the port would be taken from all destinations for as long as it is used by one. Every connection works without it, too.
    if let Err(error) = setsockopt(&socket, sockopt::IpBindAddressNoPort, &true) {
        tracing::debug!(%error, "ports are taken for all destinations");
    }
    socket.bind(SocketAddr::new(from, 0)).map_err(|cause| {
        let why = match cause.kind() {
            io::ErrorKind::AddrNotAvailable => {
                format!("the source address {from} is no address of this machine")
            }
            _ => format!("the source address {from} cannot be used: {cause}"),
        };
        NoSource(why)
    })?;
    Ok(socket)
}

/// A host that answered.
pub struct Reached {
    /// Which.
    pub target: Target,
    /// The connection to it.
    pub connection: Connection,
    /// How long it took to connect.
    pub took: Duration,
}

/// A host that did not.
#[derive(Debug)]
pub struct Unreached {
    /// Which.
    pub target: Target,
    /// Why.
    pub cause: io::Error,
}

/// A host that another one was quicker than: it may answer yet, and nobody waits for it.
#[derive(Debug)]
pub struct Overtaken {
    /// Which.
    pub target: Target,
    /// How long it had not answered by then.
    pub waited: Duration,
}

/// What came of connecting to several hosts.
#[derive(Default)]
pub struct Race {
    /// The first that answered.
    pub reached: Option<Reached>,
    /// Those that did not.
    pub unreached: Vec<Unreached>,
    /// Those that had not yet.
    pub overtaken: Vec<Overtaken>,
}

/// Connects to the first of these that answers. They are tried in this order, each a little after the one before or as soon as
/// that one failed, and not given up for it: a slow host or a dead address family costs a moment, not a time-out (RFC 8305 §5).
///
/// What did not answer comes back beside it; what was not tried stays out. `trying` hears of each when its turn comes.
pub async fn reach(
    dialer: &Arc<dyn Dialer>,
    targets: Vec<Target>,
    trying: &(dyn Fn(&Target) + Sync),
) -> Race {
    let mut waiting = VecDeque::from(targets);
    let mut dialing = JoinSet::new();
    let mut race = Race::default();
    let mut running: Vec<(Target, Instant)> = Vec::new();
    loop {
        if let Some(target) = waiting.pop_front() {
            trying(&target);
            running.push((target.clone(), Instant::now()));
            let dialer = Arc::clone(dialer);
            dialing.spawn(async move { attempt(&*dialer, target).await });
        }
        let head_start = async {
            match waiting.is_empty() {
                true => std::future::pending().await,
                false => tokio::time::sleep(HEAD_START).await,
            }
        };
        tokio::select! {
            ended = dialing.join_next() => match ended {
                None => return race,
                Some(Ok(Ok(reached))) => {
                    running.retain(|(target, _)| *target != reached.target);
                    let late = |(target, since): (Target, Instant)| Overtaken { target, waited: since.elapsed() };
                    race.overtaken = running.into_iter().map(late).collect();
                    race.reached = Some(reached);
                    return race;
                }
                Some(Ok(Err(failed))) => {
                    running.retain(|(target, _)| *target != failed.target);
                    race.unreached.push(failed);
                }
                Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
            },
            () = head_start => {}
        }
    }
}

async fn attempt(dialer: &dyn Dialer, target: Target) -> Result<Reached, Unreached> {
    let started = Instant::now();
    let dialing = async {
        match &target.address {
            Address::Ip(address) => dialer.dial(*address, target.origin.source(*address)).await,
            Address::Socket(path) => dialer.dial_socket(path).await,
        }
    };
    let dialed = match tokio::time::timeout(CONNECT_TIMEOUT, dialing).await {
        Ok(dialed) => dialed,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
    };
    match dialed {
        Ok(connection) => Ok(Reached { target, connection, took: started.elapsed() }),
        Err(cause) => Err(Unreached { target, cause }),
    }
}

/// What RFC 8305 §5 recommends.
const HEAD_START: Duration = Duration::from_millis(250);
/// The system alone would try for two minutes and more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::secure::Security;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers after so many milliseconds, by the last octet of the address; 0 refuses at once, 255 never answers.
    struct Lab;

    #[async_trait]
    impl Dialer for Lab {
        async fn dial(&self, address: SocketAddr, _: Option<IpAddr>) -> io::Result<Connection> {
            let IpAddr::V4(v4) = address.ip() else { panic!("IPv4 only here") };
            match v4.octets()[3] {
                0 => return Err(io::ErrorKind::ConnectionRefused.into()),
                255 => std::future::pending().await,
                tens => tokio::time::sleep(Duration::from_millis(u64::from(tens) * 10)).await,
            }
            Ok(Connection { stream: Box::new(tokio::io::empty()), local: address })
        }
    }

    async fn first(answers: &[u8]) -> (Option<u8>, usize, Duration) {
        let target = |answer: &u8| Target {
            host: "mx.example".into(),
            preference: 0,
            address: SocketAddr::from(([192, 0, 2, *answer], 25)).into(),
            security: Security::default(),
            hop: None,
            origin: Arc::default(),
        };
        let dialer: Arc<dyn Dialer> = Arc::new(Lab);
        let started = Instant::now();
        let tried = AtomicUsize::new(0);
        let count = |_: &Target| {
            tried.fetch_add(1, Ordering::Relaxed);
        };
        let targets = answers.iter().map(target).collect();
        let Race { reached, unreached, overtaken } = reach(&dialer, targets, &count).await;
        let known = usize::from(reached.is_some()) + unreached.len() + overtaken.len();
        assert_eq!(tried.into_inner(), known, "who was told of was dialled, and nobody else");
        let octet = |reached: Reached| match reached.target.address.ip().map(|address| address.ip()) {
            Some(IpAddr::V4(v4)) => v4.octets()[3],
            _ => unreachable!("all are IPv4"),
        };
        (reached.map(octet), unreached.len(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_in_order_wins_when_it_answers_soon() {
        assert_eq!(first(&[20, 1]).await, (Some(20), 0, Duration::from_millis(200)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_host_costs_a_moment() {
        assert_eq!(first(&[255, 255, 2]).await, (Some(2), 0, Duration::from_millis(520)));
        assert_eq!(first(&[0, 0, 3]).await, (Some(3), 2, Duration::from_millis(30)));
        assert_eq!(first(&[40, 1]).await, (Some(1), 0, Duration::from_millis(260)), "the second overtakes");
    }

    #[tokio::test]
    async fn a_connection_comes_from_the_address_that_was_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let there = listener.local_addr().expect("it has one");
        for from in [[127, 0, 0, 1], [127, 0, 0, 9]] {
            let socket = bound(from.into()).expect("it is ours");
            assert_eq!(
                socket.local_addr().expect("it has one").port(),
                0,
                "chosen when the destination is known"
            );
            let connection = Tcp.dial(there, Some(from.into())).await.expect("it listens");
            let (_, peer) = listener.accept().await.expect("it comes");
            assert_eq!((peer.ip(), connection.local.ip()), (from.into(), from.into()));
        }
        let error =
            Tcp.dial(there, Some([192, 0, 2, 1].into())).await.err().expect("it is not ours (RFC 5737)");
        assert!(NoSource::is_cause_of(&error));
        assert_eq!(error.to_string(), "the source address 192.0.2.1 is no address of this machine");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_answers() {
        let (reached, unreached, took) = first(&[0, 255]).await;
        assert_eq!((reached, unreached, took), (None, 2, CONNECT_TIMEOUT));
        assert_eq!(first(&[]).await, (None, 0, Duration::ZERO));
    }
}
