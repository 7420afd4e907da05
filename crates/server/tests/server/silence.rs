//! Peers that stop talking or listening, under virtual time.

use crate::common::NOW;
use posthaste_server::drive::drive;
use posthaste_server::inbound::{Context, Inbound, Peer};
use posthaste_server::settings::{Catcher, Service, Settings};
use posthaste_server::tls::Stream;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;
use store::memory::Memory;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::Instant;

fn inbound() -> Inbound {
    of(&context(&[127, 0, 0, 1]))
}

/// A server where nobody is exempt from limits but this address.
fn context(exempt: &[u8; 4]) -> Arc<Context> {
    let mut settings =
        Settings::catcher(Catcher::default(), smtp::Domain::parse("mx.example").expect("a domain"));
    let [a, b, c, d] = exempt;
    settings.abuse.greeting_delay = Duration::ZERO;
    settings.limits.exempt = vec![format!("{a}.{b}.{c}.{d}").parse().expect("a network")];
    Arc::new(Context::new(&settings, Arc::new(Memory::new(|| NOW)), Arc::new(|| NOW)))
}

fn of(context: &Arc<Context>) -> Inbound {
    let address = SocketAddr::from(([127, 0, 0, 1], 25));
    Inbound::new(Arc::clone(context), Peer::new(address, address, Service::Smtp))
}

/// A session on a pipe that holds `room` bytes each way.
fn session(room: usize) -> (DuplexStream, JoinHandle<std::io::Result<()>>) {
    let (client, stream) = tokio::io::duplex(room);
    let mut stream = Stream::clear(stream);
    let driven = tokio::spawn(async move {
        let mut inbound = inbound();
        let mut endpoint = inbound.endpoint();
        drive(&mut endpoint, &mut stream, &mut inbound).await
    });
    (client, driven)
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_told_after_five_minutes() {
    let (mut client, driven) = session(4096);
    let start = Instant::now();
    client.write_all(b"EHLO client.example\r\n").await.expect("room");
    let mut said = String::new();
    client.read_to_string(&mut said).await.expect("text");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("421 4.4.2 ")), "{said}");
    assert_eq!(start.elapsed().as_secs(), 300);
    driven.await.expect("no panic").expect("an orderly end");
}

/// How long the reply to each of some wrong commands takes, in milliseconds, and to QUIT after them.
async fn delays(context: Arc<Context>) -> Vec<u128> {
    let (client, stream) = tokio::io::duplex(4096);
    let driven = tokio::spawn(async move {
        let mut inbound = of(&context);
        let mut endpoint = inbound.endpoint();
        drive(&mut endpoint, &mut Stream::clear(stream), &mut inbound).await
    });
    let mut client = BufReader::new(client);
    let mut line = String::new();
    client.read_line(&mut line).await.expect("a greeting");
    let mut delays = Vec::new();
    for command in ["NONSENSE"; 14].into_iter().chain(["QUIT"]) {
        let start = Instant::now();
        client.write_all(format!("{command}\r\n").as_bytes()).await.expect("room");
        line.clear();
        client.read_line(&mut line).await.expect("a reply");
        assert!(line.starts_with(if command == "QUIT" { "221 " } else { "500 " }), "{line}");
        delays.push(start.elapsed().as_millis());
    }
    driven.await.expect("no panic").expect("an orderly end");
    delays
}

#[tokio::test(start_paused = true)]
async fn errors_make_replies_late_but_not_for_who_is_exempt() {
    let growing = (0..=10).map(|errors| errors * 500);
    let expected: Vec<u128> = [0, 0].into_iter().chain(growing.skip(1)).chain([5000, 5000, 0]).collect();
    assert_eq!(delays(context(&[192, 0, 2, 1])).await, expected);
    assert_eq!(delays(context(&[127, 0, 0, 1])).await, vec![0; 15]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_who_is_held_up() {
    let context = context(&[192, 0, 2, 1]);
    let (mut client, stream) = tokio::io::duplex(4096);
    let mut inbound = of(&context);
    let driven = tokio::spawn(async move {
        let mut endpoint = inbound.endpoint();
        drive(&mut endpoint, &mut Stream::clear(stream), &mut inbound).await
    });
    client.write_all(&b"NONSENSE\r\n".repeat(9)).await.expect("room");
    // The ninth error alone costs three and a half seconds, all of them more than ten.
    tokio::time::advance(Duration::from_millis(600)).await;
    let start = Instant::now();
    context.shut_down();
    let mut said = String::new();
    client.read_to_string(&mut said).await.expect("text");
    assert!(said.ends_with("421 4.3.2 Service shutting down, try again later\r\n"), "{said}");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    driven.await.expect("no panic").expect("an orderly end");
}

/// Gives nothing but the end of a TLS session that lacks its goodbye.
struct Abrupt;

impl AsyncRead for Abrupt {
    fn poll_read(self: Pin<&mut Self>, _: &mut Task<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(std::io::ErrorKind::UnexpectedEof.into()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_without_a_goodbye_is_gone_and_no_more() {
    let mut stream = Stream::clear(tokio::io::join(Abrupt, tokio::io::sink()));
    let mut inbound = inbound();
    let mut endpoint = inbound.endpoint();
    drive(&mut endpoint, &mut stream, &mut inbound).await.expect("an orderly end");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_does_not_hold_its_session_for_ever() {
    let (mut client, driven) = session(64);
    let writer = tokio::spawn(async move {
        // More replies than the pipe holds; the server stops reading before it has them all.
        let result = client.write_all(&b"NOOP\r\n".repeat(100_000)).await;
        (client, result)
    });
    let start = Instant::now();
    let error = driven.await.expect("no panic").expect_err("a broken connection");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(start.elapsed() >= Duration::from_secs(300));
    let (_client, written) = writer.await.expect("no panic");
    assert!(written.is_err(), "the server has closed");
}
