//! What hosts say that is not what one would expect, each with what becomes of the mail.

use super::lab::{Lab, SENDER, Say};
use std::time::Duration;

const TWO: [&str; 2] = ["a@example.com", "b@example.com"];

fn lab() -> Lab {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab
}

#[tokio::test(start_paused = true)]
async fn odd_forms_of_good_replies_are_good() {
    for (command, answer) in [
        ("", "220-many\r\n220-lines\r\n220 mx"),
        ("", "220"),
        ("EHLO", "250-mx\n250-PIPELINING\n250 SIZE"),
        ("EHLO", "250 mx only"),
        ("MAIL", "250"),
        ("MAIL", "250-x\r\n250-y\r\n250"),
        // RFC 5321 \u{a7}4.2.1 forbids it: the last code counts.
        ("RCPT", "550-5.1.1 no\r\n250 2.1.5 but yes"),
        // \u{a7}4.3.2: what is not known by its last digits is known by the first.
        ("MAIL", "299 2.9.9 well"),
        ("RCPT", "251 2.1.5 it will be forwarded"),
        ("RCPT", "252 2.1.5 I will try"),
        (".", "250-2.0.0 taken\r\n250 2.0.0 really"),
        ("QUIT", "500 5.5.1 never heard of it"),
    ] {
        let lab = lab();
        lab.says(1, command, &[Say::Reply(answer)]);
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(took < Duration::from_secs(2), "{command} {answer:?}: {took:?}");
        assert_eq!(lab.taken().len(), 1, "{command} {answer:?}");
        assert!(lab.reports().await.is_empty(), "{command} {answer:?}");
    }
    let long: &'static str = Box::leak(format!("250-{}\r\n250 2.1.0 ok", "x".repeat(5000)).into_boxed_str());
    let lab = lab();
    lab.says(1, "MAIL", &[Say::Reply(long)]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken().len(), 1, "a line that is longer than any may be");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_for_whom_it_was_about() {
    // Command, answers, who gets the mail, who comes back, and whether somebody waits.
    for (command, answers, taken, failed, waits) in [
        ("MAIL", &[Say::Reply("550 5.7.1 not you")][..], &[][..], &["a@", "b@"][..], false),
        ("MAIL", &[Say::Reply("599 5.9.9 no")], &[], &["a@", "b@"], false),
        ("MAIL", &[Say::Reply("451 4.7.1 later")], &["a@", "b@"], &[], true),
        ("RCPT", &[Say::Reply("550 5.1.1 no"), Say::Reply("550 5.1.1 no")], &[], &["a@", "b@"], false),
        ("RCPT", &[Say::Reply("550 5.1.1 no"), Say::Reply("450 4.2.1 later")], &["b@"], &["a@"], true),
        ("RCPT", &[Say::Default, Say::Reply("499 4.9.9 later")], &["a@", "b@"], &[], true),
        // For one that is full and comes first it is a refusal; after others were taken it is the old code for too many.
        ("RCPT", &[Say::Reply("552 5.2.2 full")], &["b@"], &["a@"], false),
        ("RCPT", &[Say::Default, Say::Reply("552 too many")], &["a@", "b@"], &[], false),
        ("DATA", &[Say::Reply("554 5.7.1 not that")], &[], &["a@", "b@"], false),
        ("DATA", &[Say::Reply("451 4.3.0 not now")], &["a@", "b@"], &[], true),
        (".", &[Say::Reply("554 5.6.0 not that")], &[], &["a@", "b@"], false),
        (".", &[Say::Reply("452 4.3.1 no room")], &["a@", "b@"], &[], true),
        (".", &[Say::Close("421 4.3.2 going down")], &["a@", "b@"], &[], true),
    ] {
        let lab = lab();
        lab.says(1, command, answers);
        let took = lab.until_empty(lab.send(SENDER, &TWO)).await;
        assert_eq!(took > Duration::from_secs(200), waits, "{command} {answers:?}: {took:?}");
        // A host that refused MAIL and wants content all the same gets a lone dot.
        let whole = lab.taken().into_iter().filter(|taken| !taken.content.is_empty());
        let to = whole.flat_map(|taken| taken.to).collect::<Vec<_>>().concat();
        let reports = lab.reports().await.concat();
        for who in ["a@", "b@"] {
            assert_eq!(
                to.matches(who).count(),
                usize::from(taken.contains(&who)),
                "{command} {answers:?}: {to}"
            );
            let told = reports.contains(&format!("Final-Recipient: rfc822; {who}"));
            assert_eq!(told, failed.contains(&who), "{command} {answers:?}: {reports}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_accepted_no_content_is_sent() {
    let lab = lab();
    lab.says(1, "RCPT", &[Say::Reply("550 5.1.1 no"), Say::Reply("550 5.1.1 no")]);
    // RFC 2920 \u{a7}3.1: a host that wants it all the same gets a lone dot.
    lab.says(1, "DATA", &[Say::Reply("354 go ahead")]);
    lab.until_empty(lab.send(SENDER, &TWO)).await;
    assert!(lab.taken().is_empty());
    assert!(!lab.said(1).iter().any(|line| line.starts_with("Subject:")), "{:?}", lab.said(1));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_takes_no_mail_at_all_is_final_and_others_are_asked_first() {
    // RFC 7504 \u{a7}3.
    let lab = lab();
    lab.says(1, "", &[Say::Close("521 5.3.2 no mail here"); 3]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(lab.reports().await.concat().contains("mx.example.com said: 521 5.3.2 no mail here"));
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.says(1, "", &[Say::Close("521 5.3.2 no mail here"); 3]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken()[0].hop, 2);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_says_nothing_is_waited_for_as_long_as_the_rfc_wants_and_no_longer() {
    // RFC 5321 \u{a7}4.5.3.2, in minutes.
    for (command, minutes) in [("", 5), ("MAIL", 5), ("RCPT", 5), ("DATA", 2), (".", 10)] {
        let just = Duration::from_secs(60 * minutes - 5);
        let lab = lab();
        lab.says(
            1,
            command,
            &[Say::After(
                just,
                if command == "DATA" {
                    "354 go"
                } else if command.is_empty() {
                    "220 mx"
                } else {
                    "250 2.0.0 ok"
                },
            )],
        );
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert_eq!(
            (took.as_secs() / 10, lab.taken().len()),
            (just.as_secs() / 10, 1),
            "{command:?}: {took:?}"
        );
        let lab = self::lab();
        lab.says(1, command, &[Say::After(just + Duration::from_secs(60), "250 2.0.0 ok"); 3]);
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(just + Duration::from_secs(30)).await;
        let queued = lab.queued().await;
        assert_eq!((queued.len(), queued[0].attempts), (1, 1), "{command:?}");
        assert!(queued[0].due > queued[0].received, "{command:?}: it is tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_are_sent_again_after_a_lost_answer() {
    let lab = lab();
    lab.content("Message-ID: <1@example.org>\r\n\r\nx\r\n");
    lab.says(1, ".", &[Say::After(Duration::from_secs(3600), "250 2.0.0 too late")]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    let taken = lab.taken();
    assert!(!taken.is_empty());
    assert!(
        taken.iter().all(|one| one.content == taken[0].content),
        "RFC 1047: whoever has it twice can see that"
    );
    assert!(taken[0].content.contains("Message-ID: <1@example.org>\r\n"));
}
