//! Aliases and quotas, as senders and readers see them.

use super::common::{Running, Talk, only_message, start};
use posthaste_server::settings::{Acceptance, Service};
use store::{AccountName, MailboxName, Origin, Quota};

fn name(address: &str) -> AccountName {
    AccountName::of(&address.parse().expect("an address"))
}

/// A server for b.example with the accounts ann and bob, where team is both.
async fn team(service: Service) -> Running {
    let running = start(|settings| {
        settings.acceptance = Acceptance::Domains {
            domains: vec![smtp::Domain::parse("b.example").expect("a domain")],
            postmaster: None,
        };
        settings.accounts = vec![name("ann@b.example"), name("bob@b.example")];
        settings.listeners[0].service = service;
    })
    .await;
    let targets = ["ann@b.example", "bob@b.example"].map(|target| target.parse().expect("an address"));
    running.store.set_alias(&name("team@b.example"), &targets, Origin::Added).await.expect("an alias");
    running
}

async fn at_most(running: &Running, account: &str, messages: u64) {
    let quota = Quota { bytes: None, messages: Some(messages) };
    running.store.set_quota(&name(account), quota).await.expect("a quota");
}

async fn messages(running: &Running, account: &str) -> u64 {
    let inbox = running.store.mailbox(&name(account), &MailboxName::inbox()).await;
    inbox.expect("an INBOX").messages
}

#[tokio::test]
async fn everybody_gets_one_copy() {
    let running = team(Service::Smtp).await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<eve@a.example>").await;
    for recipient in ["team@b.example", "bob@b.example", "Team+x@b.example", "bob+list@b.example"] {
        assert_eq!(talk.say(&format!("RCPT TO:<{recipient}>")).await, "250 2.1.5 Ok");
    }
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("250 2.0.0 "));
    for account in ["ann@b.example", "bob@b.example"] {
        let text = only_message(&running.store, account).await;
        assert!(text.contains("\r\nDelivered-To: team@b.example\r\n"), "{text}");
    }
}

#[tokio::test]
async fn a_full_mailbox_puts_mail_off_at_rcpt() {
    let running = team(Service::Smtp).await;
    at_most(&running, "bob@b.example", 0).await;
    let quota = Quota { bytes: Some(100_000), messages: None };
    running.store.set_quota(&name("ann@b.example"), quota).await.expect("a quota");
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<eve@a.example>").await;
    assert!(talk.say("RCPT TO:<bob@b.example>").await.starts_with("452 4.2.2 "));
    assert!(talk.say("RCPT TO:<team@b.example>").await.starts_with("452 4.2.2 "), "bob is of the team");
    assert!(talk.say("RCPT TO:<ann@b.example>").await.starts_with("250 "), "others get theirs");
    talk.say("RSET").await;
    talk.say("MAIL FROM:<eve@a.example> SIZE=100000").await;
    assert!(talk.say("RCPT TO:<ann@b.example>").await.starts_with("452 4.2.2 "), "it cannot fit");
}

#[tokio::test]
async fn a_mailbox_that_fills_meanwhile_puts_the_whole_message_off() {
    let running = team(Service::Smtp).await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<eve@a.example>").await;
    talk.say("RCPT TO:<ann@b.example>").await;
    talk.say("RCPT TO:<bob@b.example>").await;
    at_most(&running, "bob@b.example", 0).await;
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("452 4.2.2 "));
    assert_eq!(messages(&running, "ann@b.example").await, 0, "or the next attempt would give it twice");
}

#[tokio::test]
async fn lmtp_says_who_has_no_room() {
    let running = team(Service::Lmtp).await;
    let mut talk = Talk::to(running.address).await;
    talk.reply().await;
    talk.say("LHLO relay.example").await;
    talk.say("MAIL FROM:<eve@a.example>").await;
    for recipient in ["bob@b.example", "ann@b.example", "bob+x@b.example", "ann@b.example"] {
        assert!(talk.say(&format!("RCPT TO:<{recipient}>")).await.starts_with("250 "));
    }
    at_most(&running, "bob@b.example", 0).await;
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    for code in ["452 4.2.2 ", "250 2.0.0 ", "452 4.2.2 ", "250 2.0.0 "] {
        let reply = talk.reply().await;
        assert!(reply.starts_with(code), "{reply}");
    }
    assert_eq!(
        (messages(&running, "ann@b.example").await, messages(&running, "bob@b.example").await),
        (1, 0)
    );

    at_most(&running, "ann@b.example", 9).await;
    talk.say("MAIL FROM:<eve@a.example>").await;
    talk.say("RCPT TO:<ann@b.example>").await;
    at_most(&running, "ann@b.example", 1).await;
    talk.say("DATA").await;
    talk.send(b"x\r\n.\r\n").await;
    assert!(talk.reply().await.starts_with("452 4.2.2 "), "also when nobody is left");
    assert_eq!(messages(&running, "ann@b.example").await, 1);
}
