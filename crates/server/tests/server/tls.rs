//! TLS over TCP: STARTTLS, TLS from the first byte, what comes in clear where it must not, and handshakes that come to nothing.

use crate::common::{NOW, Running, Talk, only_message, start};
use posthaste_server::drive::drive_secured;
use posthaste_server::inbound::{Context, Inbound, Peer};
use posthaste_server::settings::{Catcher, ListenerTls, Service, Settings};
use posthaste_server::tls::{Connector, Stream, Tls, Transport, Trust};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::memory::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A client that can turn to TLS, and trusts the server's own certificate.
async fn connect(running: &Running) -> Stream<TcpStream> {
    let trust = Trust::File(running.data.path().join("tls/self-signed.crt"));
    let connector = Connector::new("mx.example", &trust).expect("a name");
    let stream = TcpStream::connect(running.address).await.expect("a connection");
    Stream::connected(stream, Some(connector))
}

/// Writes, and reads until the last line of a reply; what there is when the server closes.
async fn say(stream: &mut Stream<TcpStream>, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.expect("the server reads");
    stream.flush().await.expect("the server reads");
    hear(stream).await
}

async fn hear(stream: &mut Stream<TcpStream>) -> String {
    let mut said = Vec::new();
    loop {
        let last = said.split(|&byte| byte == b'\n').rfind(|line: &&[u8]| !line.is_empty());
        if said.ends_with(b"\r\n") && last.is_some_and(|line| line.get(3) != Some(&b'-')) {
            break;
        }
        match stream.read_u8().await {
            Ok(byte) => said.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(said).expect("text")
}

async fn implicit(change: impl FnOnce(&mut Settings)) -> Running {
    start(|settings| {
        settings.listeners[0].tls = ListenerTls::Implicit;
        change(settings);
    })
    .await
}

#[tokio::test]
async fn a_message_by_starttls_says_so_in_its_trace() {
    let running = start(|_| {}).await;
    let mut client = connect(&running).await;
    hear(&mut client).await;
    assert!(say(&mut client, "EHLO client.example\r\n").await.contains("STARTTLS\r\n"));
    assert_eq!(say(&mut client, "STARTTLS\r\n").await.get(..4), Some("220 "));
    let session = client.secure().await.expect("TLS");
    assert!(
        say(&mut client, "MAIL FROM:<a@a.example>\r\n").await.starts_with("503 "),
        "what was said in clear is forgotten"
    );
    let offered = say(&mut client, "EHLO client.example\r\n").await;
    assert!(offered.starts_with("250-") && !offered.contains("STARTTLS"), "{offered}");
    assert!(say(&mut client, "STARTTLS\r\n").await.starts_with("503 "));
    for (command, reply) in [
        ("MAIL FROM:<a@a.example>", "250 "),
        ("RCPT TO:<bob@b.example>", "250 "),
        ("DATA", "354 "),
        ("Subject: x\r\n\r\nx\r\n.", "250 "),
    ] {
        let said = say(&mut client, &format!("{command}\r\n")).await;
        assert!(said.starts_with(reply), "{said}");
    }
    let text = only_message(&running.store, "bob@b.example").await;
    let trace = text.replace("\r\n\t", " ");
    assert!(trace.contains(" with ESMTPS "), "{trace}");
    assert!(trace.contains(&format!(" tls {} (TLSv1.3); ", session.cipher)), "{trace}");
    assert!(say(&mut client, "QUIT\r\n").await.starts_with("221 "));
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("the server says goodbye in TLS before it closes");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn commands_behind_starttls_are_never_carried_out() {
    let running = start(|_| {}).await;
    let mut client = connect(&running).await;
    hear(&mut client).await;
    say(&mut client, "EHLO client.example\r\n").await;
    let message = "MAIL FROM:<a@a.example>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\nx\r\n.\r\n";
    // In one segment with STARTTLS: refused, and the connection is over (CVE-2011-0411).
    let said = say(&mut client, &format!("STARTTLS\r\n{message}")).await;
    assert!(said.starts_with("554 5.5."), "{said}");
    assert_eq!(hear(&mut client).await, "", "the server closes");
    assert!(running.store.accounts().await.expect("accounts").is_empty());

    // After the 220, before the handshake: it is no TLS, so there is none.
    let mut client = connect(&running).await;
    hear(&mut client).await;
    say(&mut client, "EHLO client.example\r\n").await;
    assert!(say(&mut client, "STARTTLS\r\n").await.starts_with("220 "));
    client.write_all(message.as_bytes()).await.expect("room");
    assert!(client.secure().await.is_err());
    assert!(running.store.accounts().await.expect("accounts").is_empty());
}

#[tokio::test]
async fn where_tls_comes_first_nothing_is_said_in_clear() {
    let running = implicit(|settings| settings.listeners[0].service = Service::Submission).await;
    let mut client = connect(&running).await;
    client.secure().await.expect("TLS");
    assert!(hear(&mut client).await.starts_with("220 mx.example "));
    let offered = say(&mut client, "EHLO client.example\r\n").await;
    assert!(!offered.contains("STARTTLS"), "{offered}");
    let said = say(&mut client, "MAIL FROM:<a@a.example>\r\n").await;
    assert!(said.starts_with("530 5.7.0 "), "those who submit must say who they are: {said}");

    let mut clear = TcpStream::connect(running.address).await.expect("a connection");
    clear.write_all(b"EHLO client.example\r\n").await.expect("room");
    let mut said = Vec::new();
    clear.read_to_end(&mut said).await.expect("the server closes");
    assert!(matches!(said.as_slice(), [] | [21, 3, _, 0, 2, 2, _]), "an alert at most: {said:?}");
}

#[tokio::test]
async fn a_handshake_that_fails_gives_its_place_back() {
    let running = implicit(|settings| settings.limits.connections = 1).await;
    for _ in 0..20 {
        let mut broken = TcpStream::connect(running.address).await.expect("a connection");
        broken.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
        let mut said = Vec::new();
        // Turned away because the one before is still there, or answered with an alert.
        let _closed = broken.read_to_end(&mut said).await;
    }
    let mut greeted = false;
    for _ in 0..1000 {
        let mut client = connect(&running).await;
        if client.secure().await.is_ok() {
            greeted = hear(&mut client).await.starts_with("220 ");
            break;
        }
    }
    assert!(greeted, "there is a place again");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_handshake() {
    let running = implicit(|settings| settings.limits.stop = Duration::from_secs(20)).await;
    let mut half = TcpStream::connect(running.address).await.expect("a connection");
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("room");
    // The server has it when it has answered somebody who came later.
    let mut client = connect(&running).await;
    client.secure().await.expect("TLS");
    let began = std::time::Instant::now();
    assert_eq!(running.server.stop().await, posthaste_server::Stopped::Clean);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn half_a_handshake_ends_in_time() {
    let data = tempfile::tempdir().expect("a directory");
    let catcher = Catcher { tls: ListenerTls::Implicit, data: data.path().to_owned(), ..Catcher::default() };
    let settings = Settings::catcher(catcher, smtp::Domain::parse("mx.example").expect("a domain"));
    let tls = Tls::open(&settings, NOW).expect("TLS can be had").map(Arc::new);
    let context = Context::new(&settings, Arc::new(Memory::new(|| NOW)), Arc::new(|| NOW));
    let context = Arc::new(context.with_tls(tls.clone()));
    let address = SocketAddr::from(([127, 0, 0, 1], 465));
    let peer = Peer { security: ListenerTls::Implicit, ..Peer::new(address, address, Service::Smtp) };
    let (mut client, stream) = tokio::io::duplex(4096);
    let acceptor = tls.expect("a listener wants it").acceptor(Service::Smtp);
    let start = Instant::now();
    let driven = tokio::spawn(async move {
        let mut stream = Stream::accepted(stream, Some(acceptor));
        let mut inbound = Inbound::new(context, peer);
        let mut endpoint = inbound.endpoint();
        drive_secured(&mut endpoint, &mut stream, &mut inbound).await
    });
    client.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.expect("room");
    let error = driven.await.expect("no panic").expect_err("no TLS came of it");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn without_tls_none_is_offered() {
    let running = start(|settings| settings.listeners[0].tls = ListenerTls::None).await;
    let mut talk = Talk::to(running.address).await;
    talk.reply().await;
    assert!(!talk.say("EHLO client.example").await.contains("STARTTLS"));
    assert!(talk.say("STARTTLS").await.starts_with("502 "));
    assert!(running.server.certificates().is_empty());
}

#[tokio::test]
async fn changed_certificates_come_into_force_while_the_server_runs() {
    let place = tempfile::tempdir().expect("a directory");
    let files = posthaste_server::settings::CertificateFiles {
        chain: place.path().join("mail.crt"),
        key: place.path().join("mail.key"),
    };
    let write = || {
        let made = rcgen::generate_simple_self_signed(["mx.example".to_owned()]).expect("a certificate");
        std::fs::write(&files.chain, made.cert.pem()).expect("room");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("room");
    };
    write();
    let running = start(|settings| settings.tls.certificates = vec![files.clone()]).await;
    let before = running.server.certificates();
    let mut old = Talk::hello(running.address).await;
    write();
    running.server.reload();
    let taken = async {
        while running.server.certificates() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken).await.expect("they come into force");
    let connector = Connector::new("mx.example", &Trust::File(files.chain.clone())).expect("a name");
    let stream = TcpStream::connect(running.address).await.expect("a connection");
    let mut client = Stream::connected(stream, Some(connector));
    hear(&mut client).await;
    say(&mut client, "EHLO client.example\r\n").await;
    say(&mut client, "STARTTLS\r\n").await;
    client.secure().await.expect("it trusts the new one only");
    assert!(old.say("NOOP").await.starts_with("250 "), "nobody was interrupted");
}
