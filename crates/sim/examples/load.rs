//! A light load generator: so many sessions send so many messages, each reply is read and checked.
//!
//! `cargo run --release --example load -- address=127.0.0.1:2525 sessions=20 messages=10000 bytes=4096`
//!
//! Further settings: `recipients=N` (addresses user0 to userN-1 at `domain=`), `pipelining=yes` (MAIL, RCPT and DATA in
//! one write, RFC 2920), `sources=N` (that many addresses of the loopback network, for servers that limit connections
//! per address). Prints one line of JSON: messages, seconds, messages a second, and how long the reply to the content
//! took (milliseconds, median and 99th percentile). The first unexpected reply ends the run with an error.

#![forbid(unsafe_code)]

use memchr::memmem;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{self, JoinSet};

/// What the command line asked for.
struct Settings {
    address: SocketAddr,
    sessions: usize,
    messages: usize,
    bytes: usize,
    recipients: usize,
    sources: usize,
    domain: String,
    pipelining: Pipelining,
}

#[derive(Clone, Copy, PartialEq)]
enum Pipelining {
    Used,
    Unused,
}

/// What all sessions share.
struct Run {
    settings: Settings,
    content: Vec<u8>,
    next: Cell<usize>,
    waits: RefCell<Vec<Duration>>,
}

fn main() -> io::Result<()> {
    let settings = Settings::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    task::LocalSet::new().block_on(&runtime, run(settings))
}

async fn run(settings: Settings) -> io::Result<()> {
    let content = content(settings.bytes);
    let run = Rc::new(Run {
        settings,
        content,
        next: Cell::new(0),
        waits: RefCell::new(Vec::with_capacity(100_000)),
    });
    let began = Instant::now();
    let mut sessions = JoinSet::new();
    for number in 0..run.settings.sessions {
        let run = Rc::clone(&run);
        sessions.spawn_local(async move { session(number, &run).await });
    }
    while let Some(ended) = sessions.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    report(&mut run.waits.borrow_mut(), began.elapsed());
    Ok(())
}

/// One connection that sends messages until all have been sent.
async fn session(number: usize, run: &Run) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if run.settings.sources > 1 {
        let host = u8::try_from(1 + number % run.settings.sources.min(250)).expect("at most 250");
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
    }
    let stream = socket.connect(run.settings.address).await?;
    stream.set_nodelay(true)?;
    let mut peer = Peer { stream, input: Vec::new() };
    peer.expect("220").await?;
    peer.command("EHLO load.example\r\n", "250").await?;
    loop {
        let message = run.next.get();
        if message >= run.settings.messages {
            return peer.command("QUIT\r\n", "221").await;
        }
        run.next.set(message + 1);
        let mail = "MAIL FROM:<load@load.example>\r\n";
        let rcpt = format!("RCPT TO:<user{}@{}>\r\n", message % run.settings.recipients, run.settings.domain);
        if run.settings.pipelining == Pipelining::Used {
            peer.stream.write_all(format!("{mail}{rcpt}DATA\r\n").as_bytes()).await?;
            for code in ["250", "250", "354"] {
                peer.expect(code).await?;
            }
        } else {
            peer.command(mail, "250").await?;
            peer.command(&rcpt, "250").await?;
            peer.command("DATA\r\n", "354").await?;
        }
        peer.stream.write_all(&run.content).await?;
        let sent = Instant::now();
        peer.expect("250").await?;
        run.waits.borrow_mut().push(sent.elapsed());
    }
}

/// The server at the other end.
struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Peer {
    async fn command(&mut self, line: &str, code: &str) -> io::Result<()> {
        self.stream.write_all(line.as_bytes()).await?;
        self.expect(code).await
    }

    /// Reads one reply, of any number of lines, and compares its code.
    async fn expect(&mut self, code: &str) -> io::Result<()> {
        loop {
            while let Some(end) = memmem::find(&self.input, b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).collect();
                if line.get(3) == Some(&b'-') {
                    continue;
                }
                return if line.starts_with(code.as_bytes()) {
                    Ok(())
                } else {
                    let line = String::from_utf8_lossy(&line);
                    Err(io::Error::other(format!("expected {code}, got {}", line.trim_end())))
                };
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("expected {code}, the server closed the connection"),
                ));
            }
        }
    }
}

/// A message of about `bytes` bytes, ready for DATA.
fn content(bytes: usize) -> Vec<u8> {
    let mut content = b"From: <load@load.example>\r\nSubject: load\r\n\r\n".to_vec();
    let line = [b'x'; 76];
    while content.len() < bytes {
        content.extend_from_slice(&line[..line.len().min(bytes - content.len())]);
        content.extend_from_slice(b"\r\n");
    }
    content.extend_from_slice(b".\r\n");
    content
}

fn report(waits: &mut [Duration], elapsed: Duration) {
    waits.sort_unstable();
    let at = |share: f64| -> f64 {
        let place = ((waits.len() as f64 * share) as usize).min(waits.len().saturating_sub(1));
        waits.get(place).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
    };
    let (messages, seconds) = (waits.len(), elapsed.as_secs_f64());
    println!(
        "{{\"messages\": {messages}, \"seconds\": {seconds:.3}, \"per_second\": {:.1}, \"p50_ms\": {:.3}, \"p99_ms\": {:.3}}}",
        messages as f64 / seconds,
        at(0.50),
        at(0.99)
    );
}

impl Settings {
    /// Reads `name=value` words; what is not given has a default.
    fn parse(words: impl Iterator<Item = String>) -> io::Result<Settings> {
        let mut settings = Settings {
            address: (Ipv4Addr::LOCALHOST, 2525).into(),
            sessions: 20,
            messages: 10_000,
            bytes: 4096,
            recipients: 100,
            sources: 1,
            domain: "example.org".to_owned(),
            pipelining: Pipelining::Unused,
        };
        for word in words {
            let wrong = || io::Error::other(format!("{word:?} is not a setting; see the head of load.rs"));
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            let number = || value.parse::<usize>().ok().filter(|&number| number > 0).ok_or_else(wrong);
            match name {
                "address" => settings.address = value.parse().map_err(|_| wrong())?,
                "sessions" => settings.sessions = number()?,
                "messages" => settings.messages = number()?,
                "bytes" => settings.bytes = number()?,
                "recipients" => settings.recipients = number()?,
                "sources" => settings.sources = number()?,
                "domain" => settings.domain = value.to_owned(),
                "pipelining" if value == "yes" => settings.pipelining = Pipelining::Used,
                "pipelining" if value == "no" => settings.pipelining = Pipelining::Unused,
                _ => return Err(wrong()),
            }
        }
        Ok(settings)
    }
}
