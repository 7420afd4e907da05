//! The classroom's protocol over TCP, over the mailboxes of everybody else.

use crate::common::{NOW, Talk, name, only_message, start};
use posthaste_server::settings::{Acceptance, Listener, Service, Settings};
use std::net::SocketAddr;
use store::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn listener(settings: &mut Settings) {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.listeners.push(Listener::usual(address, Some(Service::Classroom), None));
}

/// Says all of it, and returns all that comes.
async fn said(address: SocketAddr, lines: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(lines.as_bytes()).await.expect("the server reads");
    let mut all = String::new();
    stream.read_to_string(&mut all).await.expect("an orderly end");
    all
}

#[tokio::test]
async fn the_dialogue_over_the_mailboxes_of_all() {
    let running = start(listener).await;
    let address = running.server.listeners()[1].address;
    let dialogue = "HELO test.com\nMAIL FROM: john@test.com\nRCPT TO: david@test.com\nDATA\nHello David,\n\
                    Hope you are doing well.\n.\nLIST david@test.com\nGET_MAIL david@test.com 1\n\
                    LIST nobody@test.com\nQUIT\n";
    assert_eq!(
        said(address, dialogue).await,
        "200 OK\r\n200 OK\r\n200 OK\r\nEnter your message (end with a single dot '.'):\r\n\
         200 Message stored successfully\r\n200 OK\r\n1: Email from john@test.com (02-01-2026)\r\n200 OK\r\n\
         From: john@test.com\r\nDate: 02-01-2026\r\nHello David,\r\nHope you are doing well.\r\n\
         401 NOT FOUND\r\n200 Goodbye\r\n"
    );
    assert_eq!(NOW.0 / 86_400_000, 20_455, "the day above");
    let text = only_message(&running.store, "david@test.com").await;
    assert!(text.contains("\r\nFrom: john@test.com\r\nTo: david@test.com\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nHello David,\r\nHope you are doing well.\r\n"), "{text}");
}

#[tokio::test]
async fn mail_of_any_kind_is_shown_as_text() {
    let running = start(listener).await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<bounce@elsewhere.example>").await;
    talk.say("RCPT TO:<david@test.com>").await;
    talk.say("DATA").await;
    let content = "From: =?utf-8?Q?J=C3=BCrgen?= <j@elsewhere.example>\r\nContent-Type: text/html\r\n\r\n<p>a<br>\u{1b}b</p>\r\n.";
    assert!(talk.say(content).await.starts_with("250 "));
    let address = running.server.listeners()[1].address;
    let shown = said(address, "HELO test.com\nLIST david@test.com\nGET_MAIL david@test.com 1\nQUIT\n").await;
    assert!(shown.contains("1: Email from j@elsewhere.example (02-01-2026)\r\n"), "{shown}");
    assert!(shown.contains("Date: 02-01-2026\r\na\r\n"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "nothing that changes a terminal");
}

#[tokio::test]
async fn with_accounts_only_what_is_allowed_is_shown() {
    let running = start(|settings| {
        listener(settings);
        settings.acceptance = Acceptance::Domains {
            domains: vec![smtp::Domain::parse("test.com").expect("a domain")],
            postmaster: None,
        };
        settings.accounts = vec![name("david@test.com"), name("teacher@test.com")];
        settings.classroom = [name("david@test.com")].into();
    })
    .await;
    let address = running.server.listeners()[1].address;
    let dialogue = "HELO test.com\nMAIL FROM: john@test.com\nRCPT TO: nobody@test.com\nRCPT TO: teacher@test.com\nDATA\n\
                    Good morning\n.\nLIST teacher@test.com\nGET_MAIL teacher@test.com 1\nLIST nobody@test.com\n\
                    LIST david@test.com\nQUIT\n";
    assert_eq!(
        said(address, dialogue).await,
        "200 OK\r\n200 OK\r\n401 NOT FOUND\r\n200 OK\r\nEnter your message (end with a single dot '.'):\r\n\
         200 Message stored successfully\r\n403 FORBIDDEN\r\n403 FORBIDDEN\r\n403 FORBIDDEN\r\n200 OK\r\n200 Goodbye\r\n"
    );
    assert!(only_message(&running.store, "teacher@test.com").await.ends_with("Good morning\r\n"));
}

#[tokio::test]
async fn what_is_caught_is_shown_but_not_the_mail_of_an_account_that_somebody_added() {
    let running = start(listener).await;
    let account = name("teacher@test.com");
    running.store.create_account(&account, Origin::Added).await.expect("a free name");
    let address = running.server.listeners()[1].address;
    let dialogue = "HELO test.com\nMAIL FROM: john@test.com\nRCPT TO: teacher@test.com\nRCPT TO: david@test.com\nDATA\n\
                    Good morning\n.\nLIST teacher@test.com\nGET_MAIL teacher@test.com 1\nGET_MAIL david@test.com 1\nQUIT\n";
    let all = said(address, dialogue).await;
    let (_, shown) = all.split_once("stored successfully\r\n").expect("it is stored");
    assert_eq!(
        shown,
        "403 FORBIDDEN\r\n403 FORBIDDEN\r\n200 OK\r\nFrom: john@test.com\r\nDate: 02-01-2026\r\nGood morning\r\n200 Goodbye\r\n"
    );
}
