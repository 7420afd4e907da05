//! The queue against next hops in memory, under virtual time: each behaviour of another host with its right outcome.

mod certificates;
mod connections;
mod fairness;
mod fenced;
mod forwarding;
mod lab;
mod mta_sts;
mod mta_sts_sockets;
mod orders;
mod replies;
mod reports;
mod required;
mod routes;
mod sites;
mod tls;
mod tls_reports;

use lab::{Lab, SENDER, Say, exchange, report_text};
use smtp::{Body, Notify};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn mail_goes_at_once_to_the_best_host_in_one_transaction() {
    let lab = Lab::new();
    lab.domain("example.com", &[(20, "backup", 2), (10, "best", 1)]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com", "b@Example.COM"])).await;
    assert!(took < Duration::from_millis(100), "{took:?}");
    let taken = lab.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].hop, taken[0].from.as_str()), (1, "<alice@example.org>"));
    assert_eq!(taken[0].to, ["<a@example.com>", "<b@Example.COM>"]);
    assert_eq!(
        taken[0].content, "Received: by lab\r\nSubject: hello\r\n\r\n.dots\r\n",
        "trace, then content"
    );
    assert!(lab.reports().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_greylisted_recipient_is_tried_again_soon() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "RCPT", &[Say::Reply("451 4.7.1 greylisted")]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!((270..=331).contains(&took.as_secs()), "{took:?}");
    assert_eq!(lab.taken().len(), 1);
    assert!(lab.reports().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_refused_recipient_of_three_is_reported_and_the_others_get_their_mail() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "RCPT", &[Say::Default, Say::Reply("550 5.1.1 no such user")]);
    lab.until_empty(lab.send(SENDER, &["a@example.com", "b@example.com", "c@example.com"])).await;
    assert_eq!(lab.taken()[0].to, ["<a@example.com>", "<c@example.com>"]);
    let reports = lab.reports().await;
    assert_eq!(reports.len(), 1);
    for part in [
        "Return-Path: <>\r\nDelivered-To: alice@example.org\r\n",
        "Final-Recipient: rfc822; b@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Remote-MTA: dns; mx.example.com\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
        "mx.example.com said: 550 5.1.1 no such user",
        "Received: by lab\r\nSubject: hello\r\n",
    ] {
        assert!(reports[0].contains(part), "{part:?} in {}", reports[0]);
    }
    assert!(!reports[0].contains("a@example.com"), "only the one that failed");
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_after_the_dot_is_no_reason_to_try_elsewhere_at_once() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.says(1, ".", &[Say::Hangup]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!(took > Duration::from_secs(270), "RFC 1047: the message may have been taken, {took:?}");
    assert_eq!(lab.taken().iter().map(|taken| taken.hop).collect::<Vec<_>>(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_best_host_costs_nothing_but_a_connection() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "dead", 66), (20, "backup", 2)]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(lab.taken()[0].hop, 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_tells_of_all_hosts_that_it_was_made_at() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 66), (15, "rude", 3), (20, "backup", 77)]);
    lab.says(3, "", &[Say::Reply("554 5.3.2 not today"); 9]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(60)).await;
    let queued = lab.queued().await;
    let attempt = queued[0].history.last().expect("it was tried");
    assert_eq!(attempt.host.as_deref(), Some("backup.example.com"));
    let choice = attempt.choice.as_deref().expect("there were others");
    for part in [
        "mx.example.com (192.0.32.66:2525: connection refused)",
        "rude.example.com (192.0.32.3:2525: 451 4.3.2 The server greeted with: 554 5.3.2 not today)",
        " did not take it",
    ] {
        assert!(choice.contains(part), "{part:?} in {choice}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_host_put_off_goes_to_another_that_took_the_rest() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.says(1, "RCPT", &[Say::Reply("451 4.3.0 trouble here")]);
    lab.says(1, "MAIL", &[Say::Default, Say::Hangup]);
    lab.says(1, "", &[Say::Default, Say::Hangup, Say::Hangup]);
    lab.send_later(SENDER, &["a@example.com"]).await;
    let took = lab.until_empty(lab.send(SENDER, &["b@example.com"])).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(lab.taken().iter().map(|taken| taken.hop).collect::<Vec<_>>(), [2, 2]);
    for fate in lab.store().fates(None, 10).await.expect("the store is well") {
        let choice = fate.delivery.history.last().and_then(|attempt| attempt.choice.clone());
        assert!(
            choice.iter().all(|choice| !choice.contains("backup.example.com (")),
            "it took all: {choice:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_greets_badly_is_passed_over() {
    for greeting in ["554 5.7.1 go away", "421 4.3.2 busy", "nonsense"] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
        lab.says(1, "", &[Say::Reply(greeting); 9]);
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert_eq!(lab.taken()[0].hop, 2, "{greeting}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_before_the_content_is_tried_elsewhere_at_once() {
    for command in ["", "MAIL", "RCPT", "DATA"] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
        lab.says(1, command, &[Say::Hangup; 9]);
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(took < Duration::from_secs(1), "{command}: {took:?}");
        assert_eq!(lab.taken()[0].hop, 2, "{command}");
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_are_one_too_many_are_not_taken_for_others() {
    // Who counts replies only would take the second one to RCPT for the one to DATA, and so on to the end.
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.says(1, "RCPT", &[Say::Reply("250 2.1.5 ok\r\n250 2.1.5 ok"); 9]);
    lab.says(1, ".", &[Say::Reply("554 5.6.0 refused"); 9]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken().iter().map(|taken| taken.hop).collect::<Vec<_>>(), [2]);
    assert!(lab.reports().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_taken_before_it_was_sent_is_sent_again() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "DATA", &[Say::Reply("354 go\r\n250 2.0.0 taken")]);
    lab.says(1, ".", &[Say::Reply("554 5.6.0 refused")]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken().len(), 1, "the first 250 was not about it");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_loses_pipelined_commands_is_left_for_another() {
    // It answers MAIL, throws away what stood behind it, and waits for more.
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.says(1, "RCPT", &[Say::After(Duration::from_secs(3600), "250 2.1.5 ok"); 9]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken().iter().map(|taken| taken.hop).collect::<Vec<_>>(), [2]);
    assert!(
        took < Duration::from_secs(700),
        "RFC 5321 §4.5.3.2.3: five minutes for a reply to RCPT, {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn many_messages_share_a_connection_and_421_only_interrupts() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "MAIL", &[Say::Default, Say::Default, Say::Default, Say::Close("421 4.7.0 enough for now")]);
    let all: Vec<_> = (0..10).map(|_| lab.send_later(SENDER, &["a@example.com"])).collect();
    for one in all {
        one.await;
    }
    let took = lab.until_empty(lab.nudge()).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(lab.taken().len(), 10);
    assert_eq!(
        (lab.connections(1), lab.told(1, "MAIL")),
        (4, 11),
        "it bears three, and is asked for no more again"
    );
}

#[tokio::test(start_paused = true)]
async fn what_dns_says_for_good_goes_back_at_once() {
    for (domain, part) in [
        ("nowhere.example", "550 5.1.2 The domain nowhere.example does not exist"),
        ("null.example", "556 5.1.10 The domain null.example accepts no mail"),
        ("us.example", "554 5.4.6 Mail for us.example loops back to this host"),
        ("private.example", "550 5.4.4 The mail hosts of private.example have private addresses only"),
        ("literal.example", "550 5.4.4 The 1 MX records of literal.example name no host"),
    ] {
        let lab = Lab::new();
        lab.exchanges("null.example", vec![exchange(0, "")]);
        lab.exchanges("us.example", vec![exchange(10, "Mail.Example.Org")]);
        lab.exchanges("private.example", vec![exchange(10, "mx.private.example")]);
        lab.address("mx.private.example", "192.168.1.1");
        lab.exchanges("literal.example", vec![exchange(10, "192.0.32.1")]);
        lab.until_empty(lab.send(SENDER, &[&format!("a@{domain}")])).await;
        let reports = lab.reports().await;
        assert_eq!(reports.len(), 1, "{domain}");
        assert!(reports[0].contains(part), "{part:?} in {}", reports[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_domain_without_an_answer_waits_is_told_of_and_is_given_up() {
    let lab = Lab::new();
    lab.failing("slow.example");
    let took = lab.until_empty(lab.send(SENDER, &["a@slow.example"])).await;
    assert_eq!(took.as_secs() / 3600, 5 * 24, "five days: {took:?}");
    let reports = lab.reports().await;
    assert_eq!(reports.len(), 2);
    for (report, parts) in reports.iter().zip([
        ["Subject: Your message is delayed\r\n", "Action: delayed\r\nStatus: 4.4.3\r\n", "Will-Retry-Until:"],
        [
            "Subject: Your message could not be delivered\r\n",
            "Action: failed\r\nStatus: 5.4.7\r\n",
            "SERVFAIL",
        ],
    ]) {
        for part in parts {
            assert!(report.contains(part), "{part:?} in {report}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bounce_is_never_bounced() {
    let lab = Lab::new();
    lab.until_empty(lab.send("<>", &["a@nowhere.example"])).await;
    assert!(lab.reports().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sender_elsewhere_gets_the_report_by_mail() {
    let lab = Lab::new();
    lab.domain("sender.example", &[(10, "mx", 3)]);
    lab.until_empty(lab.send("<s@sender.example>", &["a@nowhere.example"])).await;
    let taken = lab.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].from.as_str(), taken[0].to[0].as_str()), ("<>", "<s@sender.example>"));
    assert!(taken[0].content.contains("does not exist"));
}

#[tokio::test(start_paused = true)]
async fn notify_decides_who_hears_of_what() {
    let on = |success, failure, delay| Some(Notify::On { success, failure, delay });
    for (notify, domain, subject) in [
        (Some(Notify::Never), "nowhere.example", None),
        (on(true, false, false), "nowhere.example", None),
        (on(false, true, false), "nowhere.example", Some("could not be delivered")),
        (on(true, false, false), "example.com", Some("was passed on")),
        (on(false, true, true), "example.com", None),
        (None, "example.com", None),
    ] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", 1)]);
        let to = format!("a@{domain}");
        lab.until_empty(lab.send_with(&[&to], |envelope| envelope.recipients[0].notify = notify)).await;
        let reports = lab.reports().await;
        assert_eq!(reports.len(), usize::from(subject.is_some()), "{notify:?} {domain}");
        assert!(subject.is_none_or(|subject| report_text(&reports).contains(subject)), "{notify:?} {domain}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_reports_is_asked_to() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "EHLO", &[Say::Reply("250-mx\r\n250 DSN")]);
    let all = Some(Notify::On { success: true, failure: true, delay: true });
    lab.until_empty(lab.send_with(&["a@example.com"], |envelope| {
        envelope.recipients[0].notify = all;
        envelope.envelope_id = smtp::EnvelopeId::new("QQ 1");
    }))
    .await;
    assert!(lab.reports().await.is_empty(), "the next hop promised to");
    let said = lab.said(1).join("\n");
    assert!(said.contains(" ENVID=QQ+201") && said.contains(" NOTIFY=SUCCESS,FAILURE,DELAY"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn eight_bits_are_never_cut_off_in_silence() {
    let signed = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nGrüße\r\n--b--\r\n";
    let large = format!("Subject: x\r\n\r\n{}", "Grüße\r\n".repeat(1_000_000));
    let plain = "Subject: x\r\n\r\nplain\r\n";
    // Whether it was declared or not.
    for body in [Body::EightBitMime, Body::SevenBit] {
        for (content, expected) in [
            (plain, Some(plain)),
            (
                "Content-Type: text/plain; charset=utf-8\r\n\r\nGrüße aus Bonn\r\n",
                Some(
                    "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n\r\nGr=C3=BC=C3=9Fe aus Bonn\r\n",
                ),
            ),
            (signed, None),
            ("Subject: Grüße\r\n\r\nplain\r\n", None),
            (&large, None),
        ] {
            let lab = Lab::new();
            lab.domain("example.com", &[(10, "mx", 1)]);
            lab.says(1, "EHLO", &[Say::Reply("250 mx"); 2]);
            lab.content(content);
            let sent = lab.send_with(&["a@example.com"], |envelope| envelope.body = body);
            lab.until_empty(sent).await;
            let taken = lab.taken();
            assert_eq!(taken.len(), usize::from(expected.is_some()), "{body:?} {content:.80}");
            if let Some(expected) = expected {
                assert!(taken[0].content.ends_with(expected), "{}", taken[0].content);
            }
            let report = report_text(&lab.reports().await);
            assert_eq!(report.contains("554 5.6.3"), expected.is_none(), "{report}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_banner_is_waited_for() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "", &[Say::After(Duration::from_secs(200), "220 mx at last")]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(took.as_secs(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_dead_destination_holds_nobody_up() {
    let lab = Lab::new();
    lab.domain("dead.example", &[(10, "silent", 77)]);
    lab.domain("example.com", &[(10, "mx", 1)]);
    for _ in 0..300 {
        lab.send(SENDER, &["a@dead.example"]).await;
    }
    lab.send(SENDER, &["b@example.com"]).await;
    let took = lab.until_taken(1).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    lab.wait(Duration::from_secs(60)).await;
    assert!(lab.connections(77) <= 4, "one attempt stands for all: {}", lab.connections(77));
    let left = lab.queued().await;
    assert_eq!(left.len(), 300);
    for delivery in &left {
        let reply = delivery.last_reply().expect("each was tried");
        assert!(reply.starts_with("451 4.4.1 No connection to silent.dead.example"), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_to_us_is_a_loop() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", lab::OURSELVES)]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!(report_text(&lab.reports().await).contains("554 5.4.6 Mail for example.com loops back"));
    assert!(lab.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_host_at_an_address_of_ours_is_never_connected_with() {
    let lab = Lab::with("", |outbound| outbound.terms.ours.addresses = vec![[192, 0, 32, 1].into()]);
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.domain("example.net", &[(5, "best", 3), (10, "mx", 1), (20, "backup", 2)]);
    lab.until_empty(lab.send(SENDER, &["a@example.com", "b@example.net"])).await;
    let report = report_text(&lab.reports().await);
    assert!(
        report.contains("554 5.4.6 Mail for example.com loops back") && !report.contains("b@example.net"),
        "{report}"
    );
    assert_eq!(lab.taken().iter().map(|taken| taken.hop).collect::<Vec<_>>(), [3]);
    assert_eq!((lab.connections(1), lab.connections(2)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn too_many_recipients_for_one_transaction_get_another() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.says(1, "RCPT", &[Say::Default, Say::Reply("452 4.5.3 too many"), Say::Reply("452 4.5.3 too many")]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com", "b@example.com", "c@example.com"])).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let to: Vec<_> = lab.taken().into_iter().map(|taken| taken.to).collect();
    assert_eq!(to, [vec!["<a@example.com>"], vec!["<b@example.com>", "<c@example.com>"]]);
}
