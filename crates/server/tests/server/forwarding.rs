//! Forwarding over TCP: what an alias to an address elsewhere queues, under which reverse-path, and what ends loops.

use crate::common::{Running, Talk, name, only_message, start};
use posthaste_server::settings::{Acceptance, Relay};
use smtp::Domain;
use store::{Delivery, Origin};

/// bob has a mailbox; out leads elsewhere, both leads to bob and elsewhere. Nothing is sent: nobody knows a name server.
async fn server() -> Running {
    let running = start(|settings| {
        let domains = vec![Domain::parse("inside.example").expect("a domain")];
        settings.acceptance = Acceptance::Domains { domains, postmaster: None };
        settings.accounts = vec![name("bob@inside.example")];
        let nobody = vec!["127.0.0.1:9".parse().expect("an address")];
        settings.relay = Some(Relay { resolvers: nobody, ..Relay::default() });
    })
    .await;
    for (alias, targets) in [
        ("out@inside.example", &["eve@outside.example"][..]),
        ("both@inside.example", &["bob@inside.example", "eve@outside.example"]),
    ] {
        let targets: Vec<smtp::Mailbox> =
            targets.iter().map(|one| one.parse().expect("an address")).collect();
        running.store.set_alias(&name(alias), &targets, Origin::Added).await.expect("an alias");
    }
    running
}

async fn queued(running: &Running) -> Vec<Delivery> {
    running.store.deliveries(None, 10).await.expect("the queue can be read")
}

async fn send(running: &Running, from: &str, to: &[&str], content: &str) -> String {
    let mut talk = Talk::hello(running.address).await;
    assert!(talk.say(&format!("MAIL FROM:{from}")).await.starts_with("250 "));
    for to in to {
        let reply = talk.say(&format!("RCPT TO:{to}")).await;
        assert!(reply.starts_with("250 "), "{to}: {reply}");
    }
    assert!(talk.say("DATA").await.starts_with("354 "));
    talk.send(format!("{content}\r\n.\r\n").as_bytes()).await;
    talk.reply().await
}

#[tokio::test]
async fn an_alias_to_elsewhere_queues_mail_under_a_reverse_path_of_ours() {
    let running = server().await;
    let reply = send(&running, "<ann@world.example>", &["<Out@inside.example>"], "Subject: x\r\n\r\nx").await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let queued = queued(&running).await;
    assert_eq!(queued.len(), 1);
    assert_eq!(queued[0].recipient.forward_path.to_string(), "<eve@outside.example>");
    let original = queued[0].recipient.original.as_ref().expect("the address that was asked for");
    assert_eq!(original.to_string(), "rfc822;Out@inside.example");
    assert_eq!(queued[0].reverse_path.to_string(), "<ann@world.example>", "who is told of failures");
    let forward = queued[0].forward.as_ref().expect("it is forwarded");
    let path = forward.reverse_path.to_string();
    assert!(path.starts_with("<SRS0=") && path.ends_with("=world.example=ann@inside.example>"), "{path}");
    assert_eq!(&forward.trace[..], b"Delivered-To: Out@inside.example\r\n");
    // Nobody else may write to the sender under that path.
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<eve@outside.example>").await;
    let reply = talk.say(&format!("RCPT TO:{path}")).await;
    assert!(reply.starts_with("550 5.1.1 "), "{reply}");
    // A report of another host comes to that path, and is queued for the real sender.
    let reply = send(&running, "<>", &[&path], "Subject: failed\r\n\r\nx").await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let queued = self::queued(&running).await;
    assert_eq!(queued[1].recipient.forward_path.to_string(), "<ann@world.example>");
    assert_eq!(queued[1].forward.as_ref().expect("it is forwarded").reverse_path.to_string(), "<>");
}

#[tokio::test]
async fn mail_goes_to_those_here_and_those_elsewhere_in_one_commit() {
    let running = server().await;
    let content = "Subject: x\r\n\r\nx";
    let to = ["<both@inside.example>", "<out@inside.example>"];
    let reply = send(&running, "<bob@inside.example>", &to, content).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let text = only_message(&running.store, "bob@inside.example").await;
    assert!(text.contains("Delivered-To: both@inside.example\r\n"), "{text}");
    assert!(!text.contains("eve@outside.example"), "where others get it is nobody's business: {text}");
    let queued = queued(&running).await;
    assert_eq!(queued.len(), 1, "eve gets it once");
    let forward = queued[0].forward.as_ref().expect("it is forwarded");
    assert_eq!(
        forward.reverse_path.to_string(),
        "<bob@inside.example>",
        "our own domain vouches for our own senders"
    );
}

#[tokio::test]
async fn what_was_forwarded_and_comes_back_is_a_loop() {
    let running = server().await;
    let content = "Delivered-To: OUT@inside.example\r\nSubject: x\r\n\r\nx";
    let reply = send(&running, "<ann@world.example>", &["<out@inside.example>"], content).await;
    assert!(reply.starts_with("554 5.4.6 "), "{reply}");
    assert!(queued(&running).await.is_empty());
    // bob's own mailbox forwards nothing, so it may get what it had before.
    let content = "Delivered-To: bob@inside.example\r\nSubject: x\r\n\r\nx";
    let reply = send(&running, "<ann@world.example>", &["<bob@inside.example>"], content).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
}

#[tokio::test]
async fn a_loop_of_one_recipient_is_reported_and_the_others_get_their_mail() {
    let running = server().await;
    let content = "Delivered-To: out@inside.example\r\nSubject: x\r\n\r\nx";
    let to = ["<out@inside.example>", "<bob@inside.example>"];
    let reply = send(&running, "<ann@world.example>", &to, content).await;
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    assert!(only_message(&running.store, "bob@inside.example").await.contains("Subject: x\r\n"));
    let queued = queued(&running).await;
    assert_eq!(queued.len(), 1, "the report, and nothing else");
    assert_eq!(
        (queued[0].reverse_path.to_string(), queued[0].recipient.forward_path.to_string()),
        ("<>".to_owned(), "<ann@world.example>".to_owned())
    );
    let report = running.store.content(queued[0].id.spool).await.expect("readable");
    let report = String::from_utf8(report.read_all(1 << 20).await.expect("readable")).expect("UTF-8");
    for part in [
        "Final-Recipient: rfc822; out@inside.example\r\nAction: failed\r\nStatus: 5.4.6\r\n",
        "Subject: x\r\n",
    ] {
        assert!(report.contains(part), "{part:?} in {report}");
    }
    assert!(!report.contains("bob@"), "{report}");
}

#[tokio::test]
async fn who_wants_to_hear_of_success_does() {
    for (to, action) in [
        ("<bob@inside.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Robert@b.example", Some("delivered")),
        ("<both@inside.example> NOTIFY=SUCCESS", Some("expanded")),
        // The host that takes it is asked to tell, or else the queue tells.
        ("<out@inside.example> NOTIFY=SUCCESS", None),
        ("<bob@inside.example> NOTIFY=FAILURE", None),
        ("<bob@inside.example>", None),
    ] {
        let running = server().await;
        let reply = send(&running, "<ann@world.example> ENVID=QQ1", &[to], "Subject: x\r\n\r\nsecret").await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        let queued = queued(&running).await;
        let report = queued.iter().find(|delivery| delivery.reverse_path.to_string() == "<>");
        assert_eq!(report.is_some(), action.is_some(), "{to}");
        let (Some(report), Some(action)) = (report, action) else { continue };
        assert_eq!(report.recipient.forward_path.to_string(), "<ann@world.example>");
        let report = running.store.content(report.id.spool).await.expect("readable");
        let report = String::from_utf8(report.read_all(1 << 20).await.expect("readable")).expect("UTF-8");
        assert!(report.contains(&format!("Action: {action}\r\nStatus: 2.1.5\r\n")), "{report}");
        assert!(report.contains("Original-Envelope-Id: QQ1\r\n"), "{report}");
        assert_eq!(
            report.contains("Original-Recipient: rfc822; Robert@b.example\r\n"),
            action == "delivered"
        );
        assert!(!report.contains("secret") && !report.contains("eve@"), "{report}");
        for delivery in &queued {
            let success = matches!(delivery.recipient.notify, Some(smtp::Notify::On { success: true, .. }));
            assert!(!success, "an expanded message is not reported twice (RFC 3461 \u{a7}5.2.7.3)");
        }
    }
}

#[tokio::test]
async fn a_return_path_that_was_made_up_makes_it_no_relay() {
    let running = server().await;
    let mut talk = Talk::hello(running.address).await;
    talk.say("MAIL FROM:<>").await;
    for path in [
        "SRS0=AAAAAA=7H=outside.example=eve@inside.example",
        "SRS0=aaaa=7h=outside.example=eve@inside.example",
        "SRS0=AAAAAA==outside.example=eve@inside.example",
        "SRS1=AAAAAA=outside.example==HHHH=TT=x.example=eve@inside.example",
        "srs0+AAAAAA=7H=outside.example=eve@inside.example",
    ] {
        let reply = talk.say(&format!("RCPT TO:<{path}>")).await;
        assert!(reply.starts_with("550 5.1.1 "), "{path}: {reply}");
    }
    let reply = talk.say("RCPT TO:<SRS0=AAAAAA=7H=inside.example=bob@outside.example>").await;
    assert!(reply.starts_with("550 5.7.1 "), "{reply}");
    assert!(queued(&running).await.is_empty());
}

#[tokio::test]
async fn what_is_sent_on_says_of_itself_whether_it_has_8_bit_octets() {
    let running = server().await;
    for (said, content, body) in [
        ("", "Subject: x\r\n\r\nplain", smtp::Body::SevenBit),
        ("", "Subject: x\r\n\r\nGrüße", smtp::Body::EightBitMime),
        (" BODY=7BIT", "Subject: x\r\n\r\nGrüße", smtp::Body::EightBitMime),
        (" BODY=8BITMIME", "Subject: x\r\n\r\nplain", smtp::Body::EightBitMime),
    ] {
        let sender = format!("<ann@world.example>{said}");
        let reply = send(&running, &sender, &["<out@inside.example>"], content).await;
        assert!(reply.starts_with("250 2.0.0 "), "{said}: {reply}");
        let newest = queued(&running).await.iter().map(|delivery| delivery.id.spool).max();
        let envelope = running.store.envelope(newest.expect("it is queued")).await.expect("it is there");
        assert_eq!(envelope.body, body, "{said:?} {content}");
    }
}
