//! A server whose disk fails under it, seen by those who use it: over TCP, and by its status.

#![forbid(unsafe_code)]

use server::Server;
use server::admin::{Client, Item, Request};
use server::auth::password;
use server::settings::{Acceptance, Catcher, InClear, Listener, ListenerTls, Proxied, Service, Settings};
use sim::disk::{Disk, Fault};
use std::net::SocketAddr;
use std::sync::Arc;
use store::{AccountName, SharedStore, Timestamp};
use store_local::{Local, Options};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const NOW: Timestamp = Timestamp(1_767_323_045_000);
const PASSWORD: &str = "correct horse";

/// A server for b.example whose store lies on `disk`: SMTP, then POP3.
async fn start(disk: &Disk, data: &std::path::Path) -> Server {
    let catcher = Catcher {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        data: data.to_owned(),
        ..Catcher::default()
    };
    let mut settings = Settings::catcher(catcher, smtp::Domain::parse("mx.example").expect("a domain"));
    settings.listeners.push(Listener {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        service: Service::Pop3,
        tls: ListenerTls::None,
        proxied: Proxied::No,
    });
    settings.auth.in_clear = InClear::Loopback;
    settings.acceptance = Acceptance::Domains {
        domains: vec![smtp::Domain::parse("b.example").expect("a domain")],
        postmaster: None,
    };
    settings.accounts = vec![bob()];
    let options = Options {
        files: Arc::new(disk.clone()),
        clock: Arc::new(|| NOW),
        segment_size: 1 << 20,
        reserve: 0,
        ..Options::new("/store")
    };
    let store: SharedStore = Arc::new(Local::open(options).expect("the store opens"));
    let server = Server::start(&settings, Arc::clone(&store), Arc::new(|| NOW)).await;
    // Next to nothing: nobody here guesses.
    let hash = password::hash(PASSWORD, &[7; password::SALT], password::Cost { memory: 8, passes: 1 });
    store.set_password(&bob(), store::Secret::new(hash.expose()), None).await.expect("bob has an account");
    server.expect("the server starts")
}

fn bob() -> AccountName {
    AccountName::parse("bob@b.example").expect("a valid name")
}

/// A client of SMTP or POP3.
struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn to(server: &Server, listener: usize) -> Talk {
        let address = server.listeners()[listener].address;
        let mut talk = Talk(BufReader::new(TcpStream::connect(address).await.expect("a connection")));
        talk.line().await;
        talk
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("the server answers");
        line.trim_end_matches("\r\n").to_owned()
    }

    async fn say(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.expect("the server reads");
        self.line().await
    }

    /// The reply to the end of a message.
    async fn deliver(&mut self, subject: &str) -> String {
        for (line, code) in [("MAIL FROM:<>", "250 "), ("RCPT TO:<bob@b.example>", "250 "), ("DATA", "354 ")]
        {
            let reply = self.say(line).await;
            assert!(reply.starts_with(code), "{reply}");
        }
        self.say(&format!("Subject: {subject}\r\n\r\n.")).await
    }
}

/// Why the server takes no mail, as `posthaste status` has it.
async fn trouble(data: &std::path::Path) -> Option<String> {
    let client = Client::of_server(data).await.expect("the server runs");
    match client.ask(Request::Status).await.expect("it answers").as_slice() {
        [Item::Status(status)] => status.trouble.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failed_sync_is_told_to_the_sender_and_the_operator_and_mail_can_still_be_read() {
    let (disk, data) = (Disk::default(), tempfile::tempdir().expect("a directory"));
    let server = start(&disk, data.path()).await;
    let mut sender = Talk::to(&server, 0).await;
    assert!(sender.say("HELO a.example").await.starts_with("250 "));
    assert!(sender.deliver("kept").await.starts_with("250 "));
    assert_eq!(trouble(data.path()).await, None);

    disk.fault(Some(Fault::Syncs));
    let reply = sender.deliver("not kept").await;
    assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    // The disk is well again, as a kernel says after it has dropped what it could not write. Nobody believes it.
    disk.fault(None);
    let reply = sender.say("MAIL FROM:<>").await;
    assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    let trouble = trouble(data.path()).await.expect("there is trouble");
    assert!(trouble.contains("deliveries have stopped as well"), "{trouble}");

    let mut reader = Talk::to(&server, 1).await;
    assert!(reader.say("USER bob@b.example").await.starts_with("+OK "));
    let said = reader.say(&format!("PASS {PASSWORD}")).await;
    assert!(said.starts_with("+OK maildrop has 1 messages "), "{said}");
    assert!(reader.say("TOP 1 0").await.starts_with("+OK"));
    server.stop().await;
}

#[tokio::test]
async fn a_disk_that_is_full_puts_mail_off_until_there_is_room() {
    let (disk, data) = (Disk::default(), tempfile::tempdir().expect("a directory"));
    let server = start(&disk, data.path()).await;
    let mut sender = Talk::to(&server, 0).await;
    assert!(sender.say("HELO a.example").await.starts_with("250 "));
    disk.fault(Some(Fault::Space));
    let mut accepted = 0;
    let reply = loop {
        let reply = sender.deliver(&"long ".repeat(2_000)).await;
        if !reply.starts_with("250 ") {
            break reply;
        }
        accepted += 1;
        assert!(accepted < 100_000, "a disk without room takes everything");
    };
    assert!(reply.starts_with("452 4.3.1 "), "{reply}");
    disk.fault(None);
    assert!(sender.deliver("there is room").await.starts_with("250 "));
    assert_eq!(trouble(data.path()).await, None);
    server.stop().await;
}
