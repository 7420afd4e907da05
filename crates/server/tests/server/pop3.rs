//! POP3 over TCP: what comes by SMTP is fetched and removed, once, by whoever has the password.

use crate::common::{PASSWORD, Running, Talk, name, start};
use posthaste_server::auth::{self, WithScram};
use posthaste_server::settings::{Acceptance, InClear, Listener, ListenerTls, Proxied, Service, Settings};
use sasl::Secret;
use std::net::SocketAddr;
use std::time::Duration;
use store::{Flags, MailboxName, Uid};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A POP3 client.
pub(crate) struct Reader(BufReader<TcpStream>);

impl Reader {
    /// Connects and hears the greeting.
    pub(crate) async fn to(address: SocketAddr) -> Reader {
        let mut reader = Reader(BufReader::new(TcpStream::connect(address).await.expect("a connection")));
        assert_eq!(reader.line().await, "+OK mx.example POP3 ready");
        reader
    }

    /// The same, logged in as bob.
    pub(crate) async fn bob(address: SocketAddr) -> Reader {
        let mut reader = Reader::to(address).await;
        assert_eq!(reader.say("USER bob@b.example").await, "+OK send the password");
        assert!(reader.say(&format!("PASS {PASSWORD}")).await.starts_with("+OK maildrop has "));
        reader
    }

    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.expect("the server reads");
        self.line().await
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("the server answers");
        line.trim_end_matches("\r\n").to_owned()
    }

    /// The lines up to the one with the dot, without their added dots.
    async fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.line().await {
                end if end == "." => return lines,
                line => lines.push(line.strip_prefix('.').unwrap_or(&line).to_owned()),
            }
        }
    }

    pub(crate) async fn closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.expect("an orderly end");
        rest.is_empty()
    }
}

/// A server where mail comes by SMTP and goes by POP3; returns where the latter is.
pub(crate) async fn start_pop3() -> (Running, SocketAddr) {
    start_pop3_with(|_| {}).await
}

/// The same, after `change` had its say.
async fn start_pop3_with(change: impl FnOnce(&mut Settings)) -> (Running, SocketAddr) {
    let running = start(|settings| {
        change(settings);
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
        settings.accounts = vec![name("bob@b.example")];
    })
    .await;
    let kept =
        auth::keep(&Secret::new(PASSWORD), auth::Costs::default(), WithScram::Yes, &auth::system_random());
    let set = running.store.set_password(&name("bob@b.example"), kept.password, kept.scram).await;
    set.expect("bob has an account");
    let address = running.server.listeners()[1].address;
    (running, address)
}

async fn deliver(running: &Running, content: &str) {
    let mut talk = Talk::hello(running.address).await;
    assert!(talk.say("MAIL FROM:<a@a.example>").await.starts_with("250 "));
    assert!(talk.say("RCPT TO:<bob@b.example>").await.starts_with("250 "));
    assert!(talk.say("DATA").await.starts_with("354 "));
    assert!(talk.say(&format!("{content}\r\n.")).await.starts_with("250 "));
}

#[tokio::test]
async fn mail_is_fetched_as_it_came_and_removed_at_quit() {
    let (running, address) = start_pop3().await;
    deliver(&running, "Subject: one\r\n\r\n..hidden\r\n...\r\nend").await;
    deliver(&running, "Subject: two\r\n\r\n2").await;
    let mut reader = Reader::bob(address).await;
    assert!(reader.say("STAT").await.starts_with("+OK 2 "));
    assert_eq!(reader.say("UIDL").await.split(' ').next(), Some("+OK"));
    let ids = reader.lines().await;
    let size = reader.say("LIST 1").await.rsplit(' ').next().expect("a size").to_owned();
    assert_eq!(reader.say("RETR 1").await, format!("+OK {size} octets"));
    let text = reader.lines().await;
    assert!(text[0].starts_with("Return-Path: <a@a.example>"), "{text:?}");
    assert!(text.ends_with(&["Subject: one", "", ".hidden", "..", "end"].map(str::to_owned)), "{text:?}");
    assert_eq!(text.iter().map(|line| line.len() + 2).sum::<usize>().to_string(), size);
    assert_eq!(reader.say("DELE 1").await, "+OK it will be removed at QUIT");
    let inbox = running.store.mailbox(&name("bob@b.example"), &MailboxName::inbox()).await.expect("an INBOX");
    assert_eq!(inbox.messages, 2, "nothing is removed before QUIT");
    assert_eq!(reader.say("QUIT").await, "+OK the marked messages are removed; goodbye");
    assert!(reader.closed().await);
    let inbox = running.store.mailbox(&name("bob@b.example"), &MailboxName::inbox()).await.expect("an INBOX");
    assert_eq!(inbox.messages, 1);
    let mut reader = Reader::bob(address).await;
    assert_eq!(
        reader.say("UIDL 1").await,
        format!("+OK {}", ids[1].replacen("2 ", "1 ", 1)),
        "its unique id stays"
    );
}

#[tokio::test]
async fn what_was_read_is_marked_as_seen_and_a_lost_connection_changes_nothing() {
    let (running, address) = start_pop3().await;
    deliver(&running, "Subject: one\r\n\r\n1").await;
    let mut reader = Reader::bob(address).await;
    reader.say("RETR 1").await;
    reader.lines().await;
    reader.say("DELE 1").await;
    drop(reader);
    // The lock goes with the session.
    let mut reader = loop {
        let mut reader = Reader::to(address).await;
        reader.say("USER bob").await;
        let said = reader.say(&format!("PASS {PASSWORD}")).await;
        if said.starts_with("+OK ") {
            break reader;
        }
        assert!(said.starts_with("-ERR [IN-USE] "), "{said}");
    };
    assert!(reader.say("STAT").await.starts_with("+OK 1 "));
    reader.say("RETR 1").await;
    reader.lines().await;
    assert_eq!(reader.say("QUIT").await, "+OK goodbye");
    let inbox = running.store.mailbox(&name("bob@b.example"), &MailboxName::inbox()).await.expect("an INBOX");
    let entries = running.store.entries(inbox.id, Uid(0), 9).await.expect("entries");
    assert_eq!(entries[0].flags, Flags::SEEN);
}

#[tokio::test]
async fn one_session_at_a_time() {
    let (_running, address) = start_pop3().await;
    let mut first = Reader::bob(address).await;
    let mut second = Reader::to(address).await;
    second.say("USER bob@b.example").await;
    assert_eq!(
        second.say(&format!("PASS {PASSWORD}")).await,
        "-ERR [IN-USE] another session has this maildrop; try again when it has ended"
    );
    assert_eq!(first.say("QUIT").await, "+OK goodbye");
    assert!(first.closed().await);
    second.say("USER bob@b.example").await;
    assert_eq!(second.say(&format!("PASS {PASSWORD}")).await, "+OK maildrop has 0 messages (0 octets)");
}

#[tokio::test]
async fn who_comes_back_too_soon_is_told_so() {
    let (_running, address) =
        start_pop3_with(|settings| settings.limits.login_delay = Duration::from_secs(90)).await;
    let mut reader = Reader::bob(address).await;
    assert!(reader.say("CAPA").await.starts_with("+OK"));
    assert!(reader.lines().await.contains(&"LOGIN-DELAY 90".to_owned()));
    assert_eq!(reader.say("QUIT").await, "+OK goodbye");
    assert!(reader.closed().await);
    let mut reader = Reader::to(address).await;
    reader.say("USER bob@b.example").await;
    assert_eq!(
        reader.say(&format!("PASS {PASSWORD}")).await,
        "-ERR [LOGIN-DELAY] the last login was just now; wait a while"
    );

    // Where there is no such setting nothing is said of it.
    let (_running, address) = start_pop3().await;
    let mut reader = Reader::to(address).await;
    assert!(reader.say("CAPA").await.starts_with("+OK"));
    let offer = reader.lines().await;
    assert!(!offer.iter().any(|line| line.starts_with("LOGIN-DELAY")), "{offer:?}");
}

#[tokio::test]
async fn mail_that_comes_or_goes_meanwhile_does_not_shift_numbers() {
    let (running, address) = start_pop3().await;
    deliver(&running, "Subject: one\r\n\r\n1").await;
    deliver(&running, "Subject: two\r\n\r\n2").await;
    let mut reader = Reader::bob(address).await;
    let inbox = running.store.mailbox(&name("bob@b.example"), &MailboxName::inbox()).await.expect("an INBOX");
    running.store.expunge(inbox.id, &[Uid(1)]).await.expect("it is removed");
    deliver(&running, "Subject: three\r\n\r\n3").await;
    assert_eq!(reader.say("RETR 1").await, "-ERR that message was removed by somebody else");
    assert!(reader.say("RETR 2").await.starts_with("+OK "));
    assert!(reader.lines().await.contains(&"Subject: two".to_owned()));
    assert_eq!(reader.say("RETR 3").await, "-ERR there is no such message");
}

#[tokio::test]
async fn who_has_no_account_hears_what_a_wrong_password_hears() {
    let (_running, address) = start_pop3().await;
    let mut heard = Vec::new();
    for (user, password) in [("bob@b.example", "wrong"), ("nobody@b.example", PASSWORD), ("@", PASSWORD)] {
        let mut reader = Reader::to(address).await;
        heard
            .push((reader.say(&format!("USER {user}")).await, reader.say(&format!("PASS {password}")).await));
    }
    let refused =
        ("+OK send the password".to_owned(), "-ERR [AUTH] the credentials are not right".to_owned());
    assert_eq!(heard, vec![refused; 3]);
}

#[tokio::test]
async fn a_stop_tells_idle_sessions_and_removes_nothing() {
    let (running, address) = start_pop3().await;
    deliver(&running, "Subject: one\r\n\r\n1").await;
    let mut reader = Reader::bob(address).await;
    assert_eq!(reader.say("DELE 1").await, "+OK it will be removed at QUIT");
    let store = running.store.clone();
    let stop = tokio::spawn(running.server.stop());
    assert_eq!(reader.line().await, "-ERR [SYS/TEMP] the server stops; nothing was removed");
    assert!(reader.closed().await);
    stop.await.expect("it stops");
    let inbox = store.mailbox(&name("bob@b.example"), &MailboxName::inbox()).await.expect("an INBOX");
    assert_eq!(inbox.messages, 1);
}
