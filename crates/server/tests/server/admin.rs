//! Administration of a running server over its socket.

use crate::common::{Talk, start};
use posthaste_server::admin::{AdminError, Client, Frame, Item, MailboxPath, Mark, Request};
use std::os::unix::fs::PermissionsExt;

async fn deliver(address: std::net::SocketAddr, recipient: &str, subject: &str) {
    let mut talk = Talk::hello(address).await;
    talk.say("MAIL FROM:<alice@a.example>").await;
    talk.say(&format!("RCPT TO:<{recipient}>")).await;
    talk.say("DATA").await;
    talk.send(
        format!("From: Alice <alice@a.example>\r\nSubject: {subject}\r\n\r\nhello\r\n.\r\n").as_bytes(),
    )
    .await;
    assert!(talk.reply().await.starts_with("250 "));
}

#[tokio::test]
async fn messages_are_listed_read_marked_and_removed() {
    let running = start(|_| {}).await;
    deliver(running.address, "bob@b.example", "one").await;
    deliver(running.address, "bob@b.example", "=?utf-8?q?zwei_=E2=9C=93?=").await;
    let client = Client::open(running.data.path()).await.expect("the server answers");
    assert!(client.has_server());
    let mailbox = MailboxPath::inbox("Bob@b.example");
    let items = client.ask(Request::List { mailbox: mailbox.clone() }).await.expect("a list");
    let [Item::Message(one), Item::Message(two)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((one.uid, one.subject.as_str(), one.from.as_str()), (1, "one", "Alice <alice@a.example>"));
    assert_eq!((two.uid, two.subject.as_str()), (2, "zwei ✓"));

    let fetch = Request::Fetch { mailbox: mailbox.clone(), uid: 2, mark: Mark::Seen };
    let mut responses = client.request(fetch).await.expect("an answer");
    let mut text = Vec::new();
    while let Some(frame) = responses.next().await.expect("a whole answer") {
        if let Frame::Content(bytes) = frame {
            text.extend_from_slice(&bytes);
        }
    }
    assert_eq!(text.len() as u64, two.size);
    assert!(text.ends_with(b"\r\n\r\nhello\r\n"));

    let items = client.ask(Request::Accounts).await.expect("accounts");
    let [Item::Account(bob)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((bob.account.name.as_str(), bob.messages, bob.unseen), ("bob@b.example", 2, 1));

    let items =
        client.ask(Request::Remove { mailbox: mailbox.clone(), uids: vec![1, 7] }).await.expect("removed");
    assert_eq!(items, [Item::Removed { count: 1 }]);
    let items = client.ask(Request::List { mailbox }).await.expect("a list");
    assert!(matches!(items.as_slice(), [Item::Message(message)] if message.uid == 2), "{items:?}");
}

#[tokio::test]
async fn a_watcher_sees_what_comes_and_nothing_else() {
    let running = start(|_| {}).await;
    deliver(running.address, "bob@b.example", "before").await;
    let client = Client::open(running.data.path()).await.expect("the server answers");
    let mut watch = client.request(Request::Watch { account: None }).await.expect("an answer");
    assert_eq!(watch.next().await.expect("the start"), Some(Frame::Item(Item::Watching)));
    for (recipient, subject) in [("bob@b.example", "after"), ("new@b.example", "first")] {
        deliver(running.address, recipient, subject).await;
        match watch.next().await.expect("a message") {
            Some(Frame::Item(Item::Message(message))) => {
                assert_eq!((message.account.as_str(), message.subject.as_str()), (recipient, subject));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_explained() {
    let running = start(|_| {}).await;
    let client = Client::open(running.data.path()).await.expect("the server answers");
    for (request, part) in [
        (Request::List { mailbox: MailboxPath::inbox("nobody@b.example") }, "nobody@b.example"),
        (Request::List { mailbox: MailboxPath::inbox("nobody") }, "\"nobody\" is not an address"),
        (Request::RemoveAccount { address: "nobody@b.example".to_owned() }, "nobody@b.example"),
    ] {
        match client.ask(request).await {
            Err(AdminError::Failed(message)) => assert!(message.contains(part), "{message}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_socket_is_the_owners_and_goes_with_the_server() {
    let running = start(|_| {}).await;
    let path = posthaste_server::admin::socket_path(running.data.path());
    let mode = std::fs::metadata(&path).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let client = Client::open(running.data.path()).await.expect("the server answers");
    let items = client.ask(Request::Status).await.expect("a status");
    let [Item::Status(status)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(status.listeners, [format!("smtp {}", running.address)]);
    running.server.stop().await;
    assert!(!path.exists());
}
