//! Sessions over TCP: from a client's bytes to a mailbox, and the bounds of a server.

use crate::common::{Running, Talk, only_message, start};
use posthaste_server::Stopped;
use posthaste_server::settings::{Acceptance, Service};
use std::time::Duration;

#[tokio::test]
async fn a_message_arrives_as_it_was_sent_below_our_trace_fields() {
    let running = start(|_| {}).await;
    let mut talk = Talk::hello(running.address).await;
    assert_eq!(talk.say("MAIL FROM:<alice@a.example>").await, "250 2.1.0 Ok");
    assert_eq!(talk.say("RCPT TO:<Bob+news@b.example>").await, "250 2.1.5 Ok");
    assert!(talk.say("DATA").await.starts_with("354 "));
    talk.send(b"Subject: hello\r\n\r\n..a line with a dot\r\n.\r\n").await;
    let reply = talk.reply().await;
    let id = reply.strip_prefix("250 2.0.0 Ok: queued as ").expect(&reply);
    assert_eq!(
        only_message(&running.store, "bob@b.example").await,
        format!(
            "Return-Path: <alice@a.example>\r\n\
             Delivered-To: Bob+news@b.example\r\n\
             Received: from client.example ([127.0.0.1]) by mx.example with ESMTP\r\n\
             \tid {id} for <Bob+news@b.example>; Fri, 2 Jan 2026 03:04:05 +0000\r\n\
             Subject: hello\r\n\r\n.a line with a dot\r\n"
        )
    );
    assert!(talk.say("QUIT").await.starts_with("221 "));
    assert!(talk.closed().await);
}

#[tokio::test]
async fn a_message_that_has_been_through_too_many_hosts_is_refused() {
    let running = start(|settings| settings.limits.hops = 3).await;
    let mut talk = Talk::hello(running.address).await;
    for (hosts, expected) in [(2, "250 2.0.0 "), (3, "554 5.4.6 "), (50, "554 5.4.6 ")] {
        talk.say("MAIL FROM:<alice@a.example>").await;
        assert_eq!(talk.say("RCPT TO:<bob@b.example>").await, "250 2.1.5 Ok");
        talk.say("DATA").await;
        let field = "Received: from one by another; Fri, 2 Jan 2026 03:04:05 +0000\r\n";
        // Those of a message within are about that one.
        let content = format!("{}Subject: x\r\n\r\n{field}{field}{field}.\r\n", field.repeat(hosts));
        talk.send(content.as_bytes()).await;
        let reply = talk.reply().await;
        assert!(reply.starts_with(expected), "{hosts}: {reply}");
    }
    only_message(&running.store, "bob@b.example").await;
}

#[tokio::test]
async fn several_recipients_are_not_told_of_each_other() {
    let running = start(|_| {}).await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<>").await;
    for name in ["one", "two", "TWO", "three"] {
        assert_eq!(talk.say(&format!("RCPT TO:<{name}@b.example>")).await, "250 2.1.5 Ok");
    }
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("250 "));
    for name in ["one", "two", "three"] {
        let text = only_message(&running.store, &format!("{name}@b.example")).await;
        assert!(
            text.starts_with(&format!("Return-Path: <>\r\nDelivered-To: {name}@b.example\r\n")),
            "{text}"
        );
        assert!(!text.contains("for <"), "{text}");
        assert_eq!(text.matches("@b.example").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_refused() {
    let running = start(|settings| {
        settings.acceptance = Acceptance::Domains {
            domains: vec![smtp::Domain::parse("b.example").expect("a domain")],
            postmaster: None,
        };
        settings.accounts = vec![store::AccountName::of(&"bob@b.example".parse().expect("an address"))];
    })
    .await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<alice@a.example>").await;
    assert!(talk.say("RCPT TO:<eve@elsewhere.example>").await.starts_with("550 5.7.1 "));
    assert!(talk.say("RCPT TO:<nobody@b.example>").await.starts_with("550 5.1.1 "));
    assert!(talk.say("RCPT TO:<bob@b.example>").await.starts_with("250 "));
    assert!(talk.say("RCPT TO:<Postmaster>").await.starts_with("250 "));
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("250 "));
    only_message(&running.store, "bob@b.example").await;
    only_message(&running.store, "postmaster@b.example").await;
}

#[tokio::test]
async fn connections_are_bounded_in_all_and_by_address() {
    let Running { address, server, .. } = start(|settings| {
        settings.limits.connections = 3;
        settings.limits.connections_per_address = 2;
        settings.limits.exempt.clear();
    })
    .await;
    let _first = Talk::hello(address).await;
    let mut second = Talk::hello(address).await;
    let mut third = Talk::to(address).await;
    let reply = third.reply().await;
    assert!(reply.starts_with("421 4.7.0 "), "{reply}");
    assert!(third.closed().await);
    assert!(second.say("QUIT").await.starts_with("221 "));
    drop(second);
    // The place is free once the server has noticed the end.
    let mut again = Talk::to(address).await;
    let mut reply = again.reply().await;
    for _ in 0..1000 {
        if reply.starts_with("220 ") {
            break;
        }
        again = Talk::to(address).await;
        reply = again.reply().await;
    }
    assert!(reply.starts_with("220 "), "{reply}");
    drop(server);
}

#[tokio::test]
async fn a_stop_lets_a_transaction_finish_and_sends_the_others_away() {
    let Running { address, server, store, .. } = start(|_| {}).await;
    let mut idle = Talk::hello(address).await;
    let mut busy = Talk::hello(address).await;
    busy.say("MAIL FROM:<alice@a.example>").await;
    busy.say("RCPT TO:<bob@b.example>").await;
    busy.say("DATA").await;
    busy.send(b"first half\r\n").await;
    let stopping = tokio::spawn(server.stop());
    let reply = idle.reply().await;
    assert!(reply.starts_with("421 4.3.2 "), "{reply}");
    assert!(idle.closed().await);
    busy.send(b"second half\r\n.\r\n").await;
    let reply = busy.reply().await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let reply = busy.reply().await;
    assert!(reply.starts_with("421 4.3.2 "), "{reply}");
    assert_eq!(stopping.await.expect("no panic"), Stopped::Clean);
    assert!(only_message(&store, "bob@b.example").await.ends_with("first half\r\nsecond half\r\n"));
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let Running { address, server, .. } = start(|settings| {
        settings.limits.stop = Duration::from_millis(50);
    })
    .await;
    let mut busy = Talk::hello(address).await;
    busy.say("MAIL FROM:<alice@a.example>").await;
    let mut in_content = Talk::hello(address).await;
    in_content.say("MAIL FROM:<alice@a.example>").await;
    in_content.say("RCPT TO:<bob@b.example>").await;
    in_content.say("DATA").await;
    in_content.send(b"first half\r\n").await;
    let stopping = tokio::spawn(server.stop());
    // Who is cut off hears it (RFC 5321 §3.8).
    for mut session in [busy, in_content] {
        let reply = session.reply().await;
        assert!(reply.starts_with("421 4.3.2 "), "{reply}");
        assert!(session.closed().await);
    }
    assert_eq!(stopping.await.expect("no panic"), Stopped::Cut(2));
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let running = start(|settings| settings.listeners[0].service = Service::Lmtp).await;
    let mut talk = Talk::to(running.address).await;
    assert!(talk.reply().await.starts_with("220 "));
    assert!(talk.say("LHLO client.example").await.starts_with("250-"));
    talk.say("MAIL FROM:<alice@a.example>").await;
    talk.say("RCPT TO:<one@b.example>").await;
    talk.say("RCPT TO:<two@b.example>").await;
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("250 2.0.0 "));
    assert!(talk.reply().await.starts_with("250 2.0.0 "));
    let text = only_message(&running.store, "two@b.example").await;
    assert!(text.contains(" with LMTP\r\n\tid "), "{text}");
}

#[tokio::test]
async fn a_store_that_cannot_take_mail_puts_it_off_and_says_why() {
    let running = start(|_| {}).await;
    let mut talk = Talk::hello(running.address).await;
    for (trouble, reply) in [
        (store::Error::Full("1 MiB left".to_owned()), "452 4.3.1 "),
        (store::Error::Fenced("a sync failed".to_owned()), "451 4.3.0 "),
    ] {
        running.memory.set_health(Err(trouble));
        let said = talk.say("MAIL FROM:<alice@a.example>").await;
        assert!(said.starts_with(reply), "{said}");
        assert!(
            talk.say("RCPT TO:<bob@b.example>").await.starts_with("503 5.5.1 "),
            "there is no transaction"
        );
    }
    running.memory.set_health(Ok(()));
    assert_eq!(talk.say("MAIL FROM:<alice@a.example>").await, "250 2.1.0 Ok");
}

#[tokio::test]
async fn a_message_that_the_store_refuses_at_its_end_is_put_off_and_not_kept() {
    let running = start(|_| {}).await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<alice@a.example>").await;
    talk.say("RCPT TO:<bob@b.example>").await;
    assert!(talk.say("DATA").await.starts_with("354 "));
    running.memory.set_health(Err(store::Error::Fenced("a sync failed".to_owned())));
    talk.send(b"x\r\n.\r\n").await;
    let said = talk.reply().await;
    assert!(said.starts_with("451 4.3.0 "), "{said}");
    assert!(running.store.accounts().await.expect("accounts").is_empty());
}

#[tokio::test]
async fn a_stop_is_heard_by_a_session_that_never_rests() {
    let Running { address, server, .. } = start(|_| {}).await;
    // So much is said at once that the session always has something to read.
    let mut talk = Talk::hello(address).await;
    let message = b"MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\nx\r\n.\r\n";
    let stopping = tokio::spawn(server.stop());
    let mut replies = Vec::new();
    loop {
        talk.send(message).await;
        let reply = talk.reply().await;
        if reply.starts_with("421 ") {
            break;
        }
        replies.push(reply);
        for _ in 0..3 {
            replies.push(talk.reply().await);
        }
        assert!(replies.len() < 4000, "the session goes on as if nothing had happened");
    }
    assert_eq!(stopping.await.expect("no panic"), Stopped::Clean);
    assert!(replies.chunks(4).all(|reply| reply[3].starts_with("250 ")), "what was begun was finished");
}

#[tokio::test]
async fn an_account_that_is_removed_before_the_content_comes_stays_removed() {
    let bob = store::AccountName::of(&"bob@b.example".parse().expect("an address"));
    let running = start(|settings| {
        settings.acceptance = Acceptance::Domains {
            domains: vec![smtp::Domain::parse("b.example").expect("a domain")],
            postmaster: None,
        };
        settings.accounts = vec![bob.clone()];
    })
    .await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<alice@a.example>").await;
    assert!(talk.say("RCPT TO:<bob@b.example>").await.starts_with("250 "));
    running.store.remove_account(&bob).await.expect("he was there");
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    let reply = talk.reply().await;
    assert!(reply.starts_with("451 "), "{reply}");
    assert_eq!(running.store.account(&bob).await.expect("an answer"), None);
}
