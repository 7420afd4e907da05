//! A server on loopback over the in-memory store, and a client that says what it is told.

use data_encoding::BASE64;
use posthaste_server::Server;
use posthaste_server::auth::{self, Costs, WithScram};
use posthaste_server::settings::{Acceptance, Catcher, InClear, Service, Settings};
use sasl::Secret;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use store::memory::Memory;
use store::{AccountName, ApplicationPassword, MailboxName, SharedStore, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A running server and the store behind it.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) memory: Arc<Memory>,
    pub(crate) store: SharedStore,
    pub(crate) address: SocketAddr,
    pub(crate) data: tempfile::TempDir,
}

/// 2026-01-02 03:04:05 UTC, for ever.
pub(crate) const NOW: Timestamp = Timestamp(1_767_323_045_000);

/// The settings of a catcher on a free port of loopback, with its data there.
pub(crate) fn catcher(data: &Path) -> Settings {
    let catcher = Catcher {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        data: data.to_owned(),
        ..Catcher::default()
    };
    Settings::catcher(catcher, smtp::Domain::parse("mx.example").expect("a domain"))
}

/// Starts a catcher, after `change` had its say.
pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Running {
    let data = tempfile::tempdir().expect("a directory");
    let mut settings = catcher(data.path());
    change(&mut settings);
    let memory = Arc::new(Memory::new(|| NOW));
    let store: SharedStore = memory.clone();
    let server =
        Server::start(&settings, Arc::clone(&store), Arc::new(|| NOW)).await.expect("the server starts");
    let address = server.listeners()[0].address;
    Running { server, memory, store, address, data }
}

/// The password of bob@b.example where mail is submitted.
pub(crate) const PASSWORD: &str = "correct horse";

/// An application password of that name: what its owner types, and what is kept of it.
pub(crate) fn application_password(name: &str) -> (Secret, ApplicationPassword) {
    let (shown, kept) =
        auth::new_application_password(Costs::default(), WithScram::Yes, &auth::system_random());
    let kept = ApplicationPassword {
        name: name.to_owned(),
        password: kept.password,
        scram: kept.scram,
        created: NOW,
        last_used: None,
    };
    (shown, kept)
}

/// Starts a server where ann and bob of b.example may submit mail, from this machine in clear, too. Only bob has a password.
pub(crate) async fn start_submission(change: impl FnOnce(&mut Settings)) -> Running {
    let running = start(|settings| {
        settings.listeners[0].service = Service::Submission;
        settings.auth.in_clear = InClear::Loopback;
        settings.acceptance = Acceptance::Domains {
            domains: vec![smtp::Domain::parse("b.example").expect("a domain")],
            postmaster: None,
        };
        settings.accounts = vec![name("ann@b.example"), name("bob@b.example")];
        change(settings);
    })
    .await;
    let kept =
        auth::keep(&Secret::new(PASSWORD), auth::Costs::default(), WithScram::Yes, &auth::system_random());
    let set = running.store.set_password(&name("bob@b.example"), kept.password, kept.scram).await;
    set.expect("bob has an account");
    running
}

pub(crate) fn name(text: &str) -> AccountName {
    AccountName::parse(text).expect(text)
}

/// AUTH PLAIN with its initial response.
pub(crate) fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", BASE64.encode(format!("\0{user}\0{password}").as_bytes()))
}

/// A client.
pub(crate) struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    pub(crate) async fn to(address: SocketAddr) -> Talk {
        Talk { stream: BufReader::new(TcpStream::connect(address).await.expect("a connection")) }
    }

    /// Sends a line (CRLF is added) and returns the reply.
    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// The next reply, its lines joined by `\n`; empty when the server closed.
    pub(crate) async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.expect("the server answers");
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line.trim_end_matches("\r\n").to_owned());
            if last {
                return lines.join("\n");
            }
        }
    }

    /// Greeting and EHLO.
    pub(crate) async fn hello(address: SocketAddr) -> Talk {
        let mut talk = Talk::to(address).await;
        assert!(talk.reply().await.starts_with("220 "));
        assert!(talk.say("EHLO client.example").await.starts_with("250-"));
        talk
    }

    /// Whether the server closed, and nothing was left to read.
    pub(crate) async fn closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.expect("an orderly end");
        rest.is_empty()
    }
}

/// The whole text of the only message in the account's INBOX.
pub(crate) async fn only_message(store: &SharedStore, account: &str) -> String {
    let name = AccountName::of(&account.parse().expect("an address"));
    let inbox = store.mailbox(&name, &MailboxName::inbox()).await.expect("an INBOX");
    let entries = store.entries(inbox.id, store::Uid(0), 10).await.expect("entries");
    assert_eq!(entries.len(), 1, "messages for {account}");
    let (_, reader) = store.fetch(inbox.id, entries[0].uid).await.expect("a message");
    String::from_utf8(reader.read_all(1 << 30).await.expect("its text")).expect("UTF-8")
}
