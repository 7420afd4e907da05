//! Measures the queue with very much in it: what it takes in memory and at the start, how fast it drains, and whether a dead destination
//! slows the others.
//!
//!     cargo run --release -p posthaste-server --example queue -- DIRECTORY [DELIVERIES] [DESTINATIONS] [DEAD]
//!
//! The store is the real one, in DIRECTORY, which must not exist; the messages have 1 KiB and a recipient each, and their senders take turns. DNS is
//! in this process and gives each destination a mail host of its own, at one address of loopback. The sink there is a process of its own
//! that takes everything and forgets it. The dead destination's host never answers a connection; its mail is paused for the first
//! seconds of a drain and then let go, all of it due at once.

#![forbid(unsafe_code)]

use async_trait::async_trait;
use bytes::Bytes;
use posthaste_server::deliver::dial::{Connection, Dialer, Tcp};
use posthaste_server::open::Open;
use posthaste_server::policy::recipient::Rules;
use posthaste_server::queue::{self, Bounds, Outbound, PausedHosts, Sites};
use posthaste_server::resolve::{Answer, Dns, Exchange, Lookup, Ours, Private, Terms};
use posthaste_server::route::Routes;
use posthaste_server::schedule::Schedule;
use posthaste_server::settings::Acceptance;
use posthaste_server::tls::{Authorities, Tlsa};
use smtp::{Domain, Envelope, ForwardPath, Recipient, ReversePath};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Accepted, Destination, FateLimits, NewDelivery, Pause, PauseScope, SharedStore, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const DEAD: &str = "dead.example";
/// The dead destination's host.
const SILENT: [u8; 4] = [127, 0, 0, 9];
/// How long the others are measured before the dead destination's mail is let go.
const BEFORE: Duration = Duration::from_secs(10);
/// Messages on their way into the store at the same time.
const AT_ONCE: usize = 256;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "sink") {
        return sink().await;
    }
    let directory = PathBuf::from(arguments.first().ok_or("a directory is missing")?);
    let number = |place: usize, default: usize| -> Result<usize> {
        Ok(arguments.get(place).map_or(Ok(default), |text| text.parse())?)
    };
    let (deliveries, destinations, dead) = (number(1, 1_000_000)?, number(2, 10_000)?, number(3, 100_000)?);
    let (mut child, address) = start_sink()?;
    let result = measure(&directory, (deliveries, destinations, dead), address).await;
    child.kill()?;
    child.wait()?;
    result
}

async fn measure(
    directory: &Path,
    (deliveries, destinations, dead): (usize, usize, usize),
    sink: SocketAddr,
) -> Result<()> {
    let open = open(directory).await?;
    let started = Instant::now();
    fill(&open.store(), deliveries, |number| format!("d{}.example", number % destinations)).await?;
    println!("filled: {deliveries} deliveries to {destinations} destinations in {:.1} s", seconds(started));
    println!("memory with them in the queue, after filling: {} MiB", resident()?);
    open.close().await?;

    let (empty, started) = (resident()?, Instant::now());
    let open = self::open(directory).await?;
    println!("opened with {deliveries} in {:.2} s", seconds(started));
    println!("memory before and after opening: {empty} MiB, {} MiB", resident()?);
    let took = drain(&open.store(), sink).await?;
    println!("drained in {took:.1} s: {:.0} a second; memory {} MiB", deliveries as f64 / took, resident()?);
    open.close().await?;

    let open = self::open(directory).await?;
    let store = open.store();
    let live = deliveries / 2;
    fill(&store, live, |number| format!("d{}.example", number % destinations)).await?;
    fill(&store, dead, |_| DEAD.to_owned()).await?;
    beside_the_dead(&store, sink).await?;
    Ok(open.close().await?)
}

async fn open(directory: &Path) -> Result<Open> {
    Ok(Open::for_server(directory, 0, FateLimits::default()).await?)
}

/// Queues messages, all due at once.
async fn fill(store: &SharedStore, count: usize, to: impl Fn(usize) -> String) -> Result<()> {
    let content = Bytes::from(format!("Subject: hello\r\n\r\n{}\r\n", "x".repeat(1_000)));
    let mut commits = JoinSet::new();
    for number in 0..count {
        let recipient: ForwardPath = format!("<user{number}@{}>", to(number)).parse()?;
        let reverse_path: ReversePath = format!("<sender{}@example.org>", number % 100).parse()?;
        let envelope = Envelope::new(reverse_path, vec![Recipient::new(recipient)]);
        let due = now();
        let deliveries = vec![NewDelivery { recipient: 0, destination: Destination::Queue { due } }];
        let trace = Bytes::from_static(
            b"Received: from client.example.org ([192.0.2.7]) by mx.example.org with ESMTP\r\n",
        );
        let accepted = Accepted { received: due, envelope, trace, deliveries };
        let (mut stage, content) = (store.stage()?, content.clone());
        commits.spawn(async move {
            stage.append(content).await?;
            stage.commit(accepted).await
        });
        while commits.len() >= AT_ONCE {
            commits.join_next().await.ok_or("nothing is on its way")???;
        }
    }
    while let Some(committed) = commits.join_next().await {
        committed??;
    }
    Ok(())
}

/// Runs the queue until nothing is left; says how many seconds that took.
async fn drain(store: &SharedStore, sink: SocketAddr) -> Result<f64> {
    let (stop, stopped) = watch::channel(false);
    let started = Instant::now();
    let running = tokio::spawn(queue::run(outbound(store, sink)?, stopped));
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    // Counting what is left would take as long as sending some thousands of them.
    while store.next_due().await?.is_some() {
        tick.tick().await;
    }
    let took = seconds(started);
    stop.send(true)?;
    running.await?;
    Ok(took)
}

/// Measures how fast the others are before the dead destination's mail is due, and then.
async fn beside_the_dead(store: &SharedStore, sink: SocketAddr) -> Result<()> {
    let scope = PauseScope::Destination(DEAD.to_owned());
    store.pause(Pause { scope: scope.clone(), since: now(), reason: String::new() }).await?;
    let (stop, stopped) = watch::channel(false);
    let outbound = outbound(store, sink)?;
    let running = tokio::spawn(queue::run(Arc::clone(&outbound), stopped));
    let rate = async |time: Duration| -> Result<f64> {
        let (before, started) = (others(store).await?, Instant::now());
        tokio::time::sleep(time).await;
        Ok((before - others(store).await?) as f64 / seconds(started))
    };
    println!("others before: {:.0} a second", rate(BEFORE).await?);
    store.resume(&scope).await?;
    outbound.reconsider().await?;
    println!("others during: {:.0} a second", rate(BEFORE).await?);
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while store.waiting(now(), None, usize::MAX).await?.iter().any(|one| one.queue.as_str() == DEAD) {
        tick.tick().await;
    }
    println!(
        "the dead destination's mail was put off {:.1} s later; memory {} MiB",
        seconds(started),
        resident()?
    );
    stop.send(true)?;
    running.await?;
    Ok(())
}

async fn others(store: &SharedStore) -> Result<u64> {
    let all = store.destinations(usize::MAX).await?;
    Ok(all.iter().filter(|one| one.queue.as_str() != DEAD).map(|one| one.deliveries).sum())
}

fn outbound(store: &SharedStore, sink: SocketAddr) -> Result<Arc<Outbound>> {
    let own_name = Domain::parse("mx.example.org")?;
    Ok(Arc::new(Outbound {
        store: Arc::clone(store),
        rules: Rules {
            acceptance: Acceptance::Domains { domains: vec![own_name.clone()], postmaster: None },
            host_name: own_name.clone(),
            onwards: None,
        },
        host_name: own_name.clone(),
        schedule: Schedule::default(),
        postmaster_copies: posthaste_server::confine::Switch::Off,
        report_rate: Arc::new(queue::ReportRate::new(None)),
        sites: Sites::new(&Bounds::default()),
        bounds: Bounds::default(),
        routes: Routes::default(),
        terms: Terms {
            own_name,
            ours: Ours::default(),
            port: sink.port(),
            private: Private { allowed: vec!["127.0.0.0/8".parse()?] },
        },
        dns: Arc::new(Names),
        dialer: Arc::new(Wires),
        authorities: Authorities::system(),
        policies: None,
        tls_reports: None,
        own_authorities: HashMap::new(),
        clock: Arc::new(now),
        random: queue::random(),
        secrets: posthaste_server::auth::system_random(),
        wake: Arc::new(Notify::new()),
        paused_hosts: PausedHosts::default(),
    }))
}

/// Every destination has a mail host of its own; all but one are the sink.
struct Names;

#[async_trait]
impl Dns for Names {
    async fn exchanges(&self, domain: &Domain) -> Answer<Vec<Exchange>> {
        Lookup::Found(vec![Exchange { preference: 10, name: format!("mx.{}", domain.ascii()) }]).into()
    }

    async fn addresses(&self, name: &str) -> Answer<Vec<IpAddr>> {
        let dead = name.strip_prefix("mx.") == Some(DEAD);
        Lookup::Found(vec![IpAddr::from(if dead { SILENT } else { [127, 0, 0, 1] })]).into()
    }

    async fn associations(&self, _: &str) -> Answer<Vec<Tlsa>> {
        Lookup::NoName.into()
    }

    async fn texts(&self, _: &str) -> Answer<Vec<String>> {
        Lookup::NoName.into()
    }
}

/// TCP, but for one host that never answers.
struct Wires;

#[async_trait]
impl Dialer for Wires {
    async fn dial(&self, address: SocketAddr, from: Option<IpAddr>) -> io::Result<Connection> {
        if address.ip() == IpAddr::from(SILENT) {
            std::future::pending::<()>().await;
        }
        Tcp.dial(address, from).await
    }
}

/// Takes all mail, and says so.
async fn sink() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // Whoever goes away in between is no concern of a sink.
            take(stream).await.unwrap_or_else(|error| eprintln!("sink: {error}"));
        });
    }
}

async fn take(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    let (mut line, mut answers, mut in_content) = (Vec::new(), Vec::new(), false);
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        match (in_content, line.to_ascii_uppercase().as_slice()) {
            (true, b".\r\n") => {
                in_content = false;
                answers.extend_from_slice(b"250 2.0.0 taken\r\n");
            }
            (true, _) => {}
            (false, b"DATA\r\n") => {
                in_content = true;
                answers.extend_from_slice(b"354 go\r\n");
            }
            (false, command) if command.starts_with(b"EHLO") => {
                answers.extend_from_slice(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
            }
            (false, b"QUIT\r\n") => return stream.write_all(b"221 bye\r\n").await,
            (false, _) => answers.extend_from_slice(b"250 ok\r\n"),
        }
        // What came together is answered together.
        if stream.buffer().is_empty() && !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
    }
}

fn start_sink() -> Result<(Child, SocketAddr)> {
    let program = std::env::current_exe()?;
    let mut child = Command::new(program).arg("sink").stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or("the sink has no output")?;
    let mut line = String::new();
    std::io::BufReader::new(out).read_line(&mut line)?;
    Ok((child, line.trim().parse()?))
}

fn now() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since_1970.map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// This process's memory, in MiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}
