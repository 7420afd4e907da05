//! Measures logins: whether an unknown user can be told from a wrong password by time, and what a flood of wrong logins does to
//! a session that submits mail.
//!
//!     cargo run --release -p posthaste-server --example logins -- [--mechanism PLAIN|LOGIN|SCRAM-SHA-256] [--rounds N] [--flood N]
//!
//! Every reply of an exchange is timed for itself: SCRAM's challenge could tell an account from none before any password was tried.
//!
//! The server runs in this process, over loopback and the store in memory, so that nothing but the login is measured. The limits on failed logins
//! and on mail are off: what is measured is the worst that they would have to hold back.

#![forbid(unsafe_code)]

use data_encoding::BASE64;
use posthaste_server::Server;
use posthaste_server::auth::{self, Costs, WithScram};
use posthaste_server::settings::{Acceptance, Catcher, InClear, ListenerTls, Service, Settings};
use sasl::client::{ChannelBinding, Credentials, Exchange};
use sasl::{Mechanism, Secret};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use store::memory::Memory;
use store::{AccountName, SharedStore, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A session may give only so many commands without a message.
const PER_SESSION: usize = 40;

/// How many sessions guess at the same time.
const GUESSERS: usize = 8;

#[tokio::main]
async fn main() -> Result<()> {
    let (mut mechanism, mut rounds, mut flood) = (Mechanism::Plain, 300, 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} wants a value"))?;
        match argument.as_str() {
            "--mechanism" => mechanism = password_mechanism(&value)?,
            "--rounds" => rounds = value.parse()?,
            "--flood" => flood = value.parse()?,
            other => return Err(format!("{other} is not known").into()),
        }
    }
    let data = tempfile::tempdir()?;
    let server = start(data.path()).await?;
    let address = server.listeners()[0].address;
    compare(address, mechanism, rounds).await?;
    if flood > 0 {
        hold_out(address, flood).await?;
    }
    server.stop().await;
    Ok(())
}

fn password_mechanism(name: &str) -> Result<Mechanism> {
    match Mechanism::parse(name) {
        Some(mechanism @ (Mechanism::Plain | Mechanism::Login | Mechanism::ScramSha256)) => Ok(mechanism),
        _ => Err(format!("{name} is none of PLAIN, LOGIN, SCRAM-SHA-256").into()),
    }
}

async fn start(data: &std::path::Path) -> Result<Server> {
    let catcher = Catcher {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        data: data.to_owned(),
        ..Catcher::default()
    };
    let mut settings = Settings::catcher(catcher, smtp::Domain::parse("mx.example")?);
    settings.listeners[0].service = Service::Submission;
    settings.listeners[0].tls = ListenerTls::None;
    settings.auth.in_clear = InClear::Loopback;
    settings.limits.errors = u32::MAX;
    settings.abuse.tarpit = Duration::ZERO;
    for rate in [
        &mut settings.abuse.rates.failed_logins,
        &mut settings.abuse.rates.messages,
        &mut settings.abuse.rates.recipients,
        &mut settings.abuse.rates.octets,
    ] {
        *rate = None;
    }
    settings.acceptance =
        Acceptance::Domains { domains: vec![smtp::Domain::parse("b.example")?], postmaster: None };
    let bob = AccountName::parse("bob@b.example")?;
    settings.accounts = vec![bob.clone()];
    let clock = || Timestamp(1_767_323_045_000);
    let store: SharedStore = Arc::new(Memory::new(clock));
    let server = Server::start(&settings, Arc::clone(&store), Arc::new(clock)).await?;
    let kept =
        auth::keep(&Secret::new("correct horse"), Costs::default(), WithScram::Yes, &auth::system_random());
    store.set_password(&bob, kept.password, kept.scram).await?;
    Ok(server)
}

/// Times refusals of an unknown user and of a wrong password, in turn.
async fn compare(address: SocketAddr, mechanism: Mechanism, rounds: usize) -> Result<()> {
    let mut session = Session::open(address).await?;
    // For each reply of the exchange, those of the unknown user and those of the wrong password.
    let mut replies: Vec<[Vec<Duration>; 2]> = Vec::new();
    for round in 0..rounds {
        if round % PER_SESSION == 0 {
            session = Session::open(address).await?;
        }
        // Whoever comes first in a round may be favoured: they take turns.
        for which in [round % 2, (round + 1) % 2] {
            let user = ["nobody@b.example", "bob@b.example"][which];
            let times = refused(&mut session, mechanism, user).await?;
            replies.resize_with(times.len().max(replies.len()), Default::default);
            for (reply, time) in replies.iter_mut().zip(times) {
                reply[which].push(time);
            }
        }
    }
    println!("{mechanism}, {rounds} of each\n");
    println!("| reply | refused | p10 ms | median ms | p90 ms | a guess at which by one time is right in |");
    println!("|---|---|---|---|---|---|");
    for (number, times) in replies.iter_mut().enumerate() {
        times.iter_mut().for_each(|times| times.sort_unstable());
        let right = guess(times) * 100.0;
        for (name, times) in ["unknown user", "wrong password"].iter().zip(times) {
            let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
            println!(
                "| {} | {name} | {:.3} | {:.3} | {:.3} | {right:.1} % |",
                number + 1,
                at(10),
                at(50),
                at(90)
            );
        }
    }
    Ok(())
}

/// A login that is refused: how long each reply took.
async fn refused(session: &mut Session, mechanism: Mechanism, user: &str) -> Result<Vec<Duration>> {
    let credentials =
        Credentials::Password { user: user.to_owned(), password: Secret::new("wrong"), authorization: None };
    let mut nonce = [0; 18];
    auth::system_random()(&mut nonce);
    let nonce = BASE64.encode(&nonce);
    let mut exchange = Exchange::new(mechanism, credentials, &nonce, ChannelBinding::Unsupported)?;
    let mut line = match exchange.initial() {
        Some(first) => format!("AUTH {mechanism} {}", BASE64.encode(first.expose().as_bytes())),
        None => format!("AUTH {mechanism}"),
    };
    let mut times = Vec::new();
    loop {
        let before = Instant::now();
        let reply = session.say(&line).await?;
        times.push(before.elapsed());
        let Some(challenge) = reply.strip_prefix("334 ") else {
            assert!(reply.starts_with("535 "), "{reply}");
            return Ok(times);
        };
        let response = exchange.respond(&BASE64.decode(challenge.trim_end().as_bytes())?)?;
        line = BASE64.encode(response.expose().as_bytes());
    }
}

/// How often the larger of two times, one of each kind, is that of the wrong password; a half is nothing (Mann and Whitney's U).
fn guess([unknown, wrong]: &[Vec<Duration>; 2]) -> f64 {
    let wins: usize = wrong.iter().map(|time| unknown.partition_point(|other| other < time)).sum();
    wins as f64 / (unknown.len() * wrong.len()) as f64
}

/// Times messages of a session, alone and beside sessions that guess passwords.
async fn hold_out(address: SocketAddr, flood: usize) -> Result<()> {
    let mut session = Session::open(address).await?;
    assert!(session.say(&plain("bob", "correct horse")).await?.starts_with("235 "));
    let alone = submit_for(&mut session, Duration::from_secs(3), &AtomicUsize::new(usize::MAX)).await?;
    let left = Arc::new(AtomicUsize::new(flood));
    let guessers: Vec<_> =
        (0..GUESSERS).map(|_| tokio::spawn(guess_until(address, Arc::clone(&left)))).collect();
    let before = Instant::now();
    let beside = submit_for(&mut session, Duration::from_secs(600), &left).await?;
    let mut refused = [0; 2];
    for guesser in guessers {
        let [wrong, put_off] = guesser.await??;
        refused = [refused[0] + wrong, refused[1] + put_off];
    }
    println!("\n| messages of one session | median ms | p90 ms |\n|---|---|---|");
    for (name, mut times) in [("alone", alone), ("beside the flood", beside)] {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        println!("| {name} | {:.3} | {:.3} |", at(50), at(90));
    }
    let [wrong, put_off] = refused;
    println!("\n{wrong} wrong logins refused, {put_off} put off, in {:.1} s", before.elapsed().as_secs_f64());
    Ok(())
}

/// Submits until the time is over or nobody guesses any more; how long each message took.
async fn submit_for(session: &mut Session, time: Duration, left: &AtomicUsize) -> Result<Vec<Duration>> {
    let end = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < end && left.load(Ordering::Relaxed) > 0 {
        let before = Instant::now();
        for (line, code) in [
            ("MAIL FROM:<bob@b.example>", "250"),
            ("RCPT TO:<bob@b.example>", "250"),
            ("DATA", "354"),
            ("From: bob@b.example\r\n\r\nhello\r\n.", "250"),
        ] {
            let reply = session.say(line).await?;
            assert!(reply.starts_with(code), "{reply}");
        }
        times.push(before.elapsed());
    }
    Ok(times)
}

/// Guesses as long as there are guesses left: how many were refused, and how many were put off.
async fn guess_until(address: SocketAddr, left: Arc<AtomicUsize>) -> Result<[usize; 2]> {
    let mut session = Session::open(address).await?;
    let mut counts = [0; 2];
    let one_less = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
        if (counts[0] + counts[1]) % PER_SESSION == 0 {
            session = Session::open(address).await?;
        }
        let reply = session.say(&plain("bob", "guess")).await?;
        counts[usize::from(reply.starts_with("454 "))] += 1;
    }
    Ok(counts)
}

fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", BASE64.encode(format!("\0{user}\0{password}").as_bytes()))
}

struct Session(BufReader<TcpStream>);

impl Session {
    async fn open(address: SocketAddr) -> Result<Session> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut session = Session(BufReader::new(stream));
        session.reply().await?;
        session.say("EHLO client.example").await?;
        Ok(session)
    }

    async fn say(&mut self, line: &str) -> Result<String> {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<String> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err("the server closed".into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }
}
