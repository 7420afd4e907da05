//! MTA-STS over TCP and TLS of this machine: only DNS, the clock and the number of the port are not the real ones.

use super::certificates::{Authority, Certificate, HopTls};
use crate::deliver::dial::{Connection, Dialer, Tcp};
use crate::deliver::secure::{Level, Security};
use crate::mta_sts::{Outside, Policies};
use crate::resolve::{Answer, Dns, Exchange, Lookup, Private, Target};
use crate::tls::{Authorities, Tlsa};
use async_trait::async_trait;
use smtp::Domain;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use store::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// In milliseconds.
const HOUR: i64 = 3_600_000;

/// What the world around says, until it says something else.
struct World {
    /// The identifier in DNS, if there is any.
    id: Mutex<Option<&'static str>>,
    /// The answer of the host with the policy.
    answer: Mutex<String>,
    asked: AtomicUsize,
    now: AtomicI64,
    web: SocketAddr,
}

struct Names(Arc<World>);

#[async_trait]
impl Dns for Names {
    async fn exchanges(&self, _: &Domain) -> Answer<Vec<Exchange>> {
        Lookup::NoRecords.into()
    }

    async fn addresses(&self, name: &str) -> Answer<Vec<IpAddr>> {
        assert_eq!(name, "mta-sts.example.com");
        Lookup::Found(vec![Ipv4Addr::LOCALHOST.into()]).into()
    }

    async fn associations(&self, _: &str) -> Answer<Vec<Tlsa>> {
        Lookup::NoRecords.into()
    }

    async fn texts(&self, name: &str) -> Answer<Vec<String>> {
        assert_eq!(name, "_mta-sts.example.com");
        match *self.0.id.lock().expect("not poisoned") {
            Some(id) => Lookup::Found(vec![format!("v=STSv1; id={id};")]).into(),
            None => Lookup::NoName.into(),
        }
    }
}

/// Nobody may listen at port 443 in a test.
struct ElsewherePort(SocketAddr);

#[async_trait]
impl Dialer for ElsewherePort {
    async fn dial(&self, address: SocketAddr, from: Option<IpAddr>) -> io::Result<Connection> {
        assert_eq!(address, SocketAddr::from((Ipv4Addr::LOCALHOST, 443)));
        Tcp.dial(self.0, from).await
    }
}

/// A host with a policy, with this certificate.
async fn world(tls: HopTls) -> Arc<World> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let world = Arc::new(World {
        id: Mutex::new(Some("1")),
        answer: Mutex::default(),
        asked: AtomicUsize::new(0),
        now: AtomicI64::new(1_700_000_000_000),
        web: listener.local_addr().expect("it is bound"),
    });
    let served = Arc::clone(&world);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, world) = (tls.clone(), Arc::clone(&served));
            // A client that does not trust the certificate leaves in the middle.
            tokio::spawn(async move { serve(stream, tls, &world).await.unwrap_or(()) });
        }
    });
    world
}

async fn serve(stream: tokio::net::TcpStream, tls: HopTls, world: &World) -> io::Result<()> {
    let mut stream = BufReader::new(tls.accept(Box::new(stream)).await?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await? > 0 {}
    assert!(head.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\nhost: mta-sts.example.com\r\n"), "{head}");
    world.asked.fetch_add(1, Ordering::SeqCst);
    let answer = world.answer.lock().expect("not poisoned").clone();
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

impl World {
    fn says(&self, id: Option<&'static str>, mode: &str) {
        let policy = format!("version: STSv1\nmode: {mode}\nmx: mx.example.com\nmax_age: 86400\n");
        let length = policy.len();
        *self.id.lock().expect("not poisoned") = id;
        *self.answer.lock().expect("not poisoned") = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{policy}"
        );
    }

    fn fails(&self, id: Option<&'static str>) {
        *self.id.lock().expect("not poisoned") = id;
        *self.answer.lock().expect("not poisoned") =
            "HTTP/1.1 500 Trouble\r\nContent-Length: 0\r\n\r\n".to_owned();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn pass(&self, time: i64) {
        self.now.fetch_add(time, Ordering::SeqCst);
    }
}

fn policies(world: &Arc<World>, authorities: Authorities, (data, private): (&Path, &str)) -> Policies {
    let clock = Arc::clone(world);
    let allowed = private.split_whitespace().map(|network| network.parse().expect("a network")).collect();
    let outside = Outside {
        dns: Arc::new(Names(Arc::clone(world))),
        dialer: Arc::new(ElsewherePort(world.web)),
        authorities,
        private: Private { allowed },
        clock: Arc::new(move || Timestamp(clock.now.load(Ordering::SeqCst))),
    };
    Policies::open(Some(data), outside)
}

/// Which of two hosts of the domain may have its mail, and whether they must prove who they are.
async fn applied(policies: &Policies) -> Vec<(String, bool)> {
    let target = |host: &str| Target {
        host: host.into(),
        preference: 10,
        address: SocketAddr::from(([192, 0, 2, 1], 25)).into(),
        security: Security::default(),
        hop: None,
        origin: Arc::default(),
    };
    let domain = Domain::parse("example.com").expect("a domain");
    let targets = vec![target("mx.example.com"), target("other.example.com")];
    let targets = policies.apply(&domain, targets).await.expect("one is left");
    targets.into_iter().map(|one| (one.host.to_string(), one.security.level == Level::Verified)).collect()
}

fn enforced() -> Vec<(String, bool)> {
    vec![("mx.example.com".to_owned(), true)]
}

fn free() -> Vec<(String, bool)> {
    vec![("mx.example.com".to_owned(), false), ("other.example.com".to_owned(), false)]
}

#[tokio::test]
async fn a_policy_is_fetched_kept_and_changed() {
    let authority = Authority::new();
    let data = tempfile::tempdir().expect("a directory");
    let world = world(authority.hop(Certificate::Signed("mta-sts.example.com"))).await;
    let policies = policies(&world, authority.trusted(), (data.path(), "127.0.0.0/8"));
    world.says(Some("1"), "enforce");
    assert_eq!((applied(&policies).await, world.asked()), (enforced(), 1));
    assert_eq!((applied(&policies).await, world.asked()), (enforced(), 1), "it is kept");
    world.says(Some("2"), "testing");
    assert_eq!((applied(&policies).await, world.asked()), (free(), 2), "another identifier, another policy");
    world.says(Some("3"), "none");
    assert_eq!((applied(&policies).await, world.asked()), (free(), 3));
    world.says(Some("4"), "enforce");
    assert_eq!((applied(&policies).await, world.asked()), (enforced(), 4));
    // Neither the web nor DNS can take it away before its time.
    world.fails(Some("5"));
    assert_eq!((applied(&policies).await, world.asked()), (enforced(), 5), "what is known counts");
    assert_eq!(
        (applied(&policies).await, world.asked()),
        (enforced(), 5),
        "and it is not asked again at once"
    );
    world.fails(None);
    world.pass(23 * HOUR);
    assert_eq!(applied(&policies).await, enforced());
    // Nor a restart.
    let (_stop, stopped) = watch::channel(true);
    let policies = Arc::new(policies);
    Arc::clone(&policies).run(stopped).await;
    let again = self::policies(&world, authority.trusted(), (data.path(), "127.0.0.0/8"));
    assert_eq!(applied(&again).await, enforced());
    world.pass(HOUR);
    assert_eq!(applied(&again).await, free(), "its day is over");
}

#[tokio::test]
async fn a_policy_of_somebody_else_is_none() {
    let authority = Authority::new();
    let data = tempfile::tempdir().expect("a directory");
    for (certificate, authorities, private) in [
        (Certificate::Signed("mta-sts.example.com"), Authority::new().trusted(), "127.0.0.0/8"),
        (Certificate::Signed("www.example.com"), authority.trusted(), "127.0.0.0/8"),
        (Certificate::SelfSigned("mta-sts.example.com"), authority.trusted(), "127.0.0.0/8"),
        (Certificate::Broken, authority.trusted(), "127.0.0.0/8"),
        // A domain must not make this server speak with hosts that only it can reach.
        (Certificate::Signed("mta-sts.example.com"), authority.trusted(), ""),
    ] {
        let world = world(authority.hop(certificate)).await;
        world.says(Some("1"), "enforce");
        let policies = policies(&world, authorities, (data.path(), private));
        assert_eq!((applied(&policies).await, world.asked()), (free(), 0), "{certificate:?} {private:?}");
    }
}
