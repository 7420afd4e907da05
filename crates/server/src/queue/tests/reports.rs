//! What senders are told: in whose words, and how much.

use super::lab::{Lab, SENDER, Say};
use crate::abuse::Rate;
use crate::confine::Switch;
use crate::queue::ReportRate;
use smtp::Notify;
use std::sync::Arc;
use std::time::Duration;
use store::{AccountName, Quota, Told};

const OUTSIDER: &str = "<s@sender.example>";

/// A host that refuses b@example.com, and one that takes mail for somebody elsewhere.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.domain("sender.example", &[(10, "mx", 3)]);
    lab
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_mailbox_is_full_is_told_all_the_same() {
    let lab = lab();
    lab.until_empty(lab.send(SENDER, &["x@example.com"])).await;
    let alice = AccountName::parse("alice@example.org").expect("an account");
    let full = Quota { bytes: Some(1), messages: Some(0) };
    lab.store().set_quota(&alice, full).await.expect("she has an account");
    lab.says(1, "RCPT", &[Say::Reply("550 5.1.1 no such user")]);
    lab.until_empty(lab.send(SENDER, &["b@example.com"])).await;
    assert!(lab.reports().await.concat().contains("550 5.1.1 no such user"));
}

#[tokio::test(start_paused = true)]
async fn what_the_sender_heard_is_kept_with_the_attempt_and_a_report_names_its_message() {
    let lab = lab();
    lab.says(1, "RCPT", &[Say::Reply("550 5.1.1 no such user"), Say::Reply("550 5.1.1 nor this one")]);
    let never = |envelope: &mut smtp::Envelope| envelope.recipients[1].notify = Some(Notify::Never);
    lab.until_empty(lab.send_with(&["b@example.com", "c@example.com"], never)).await;
    let fates = lab.store().fates(None, 10).await.expect("the store is well");
    let told = |place: usize| fates[place].delivery.history.last().and_then(|attempt| attempt.told.clone());
    let Some(Told::Report(report)) = told(0) else { panic!("{fates:?}") };
    let unwanted = "the sender did not want to be told (NOTIFY)";
    assert_eq!(told(1), Some(Told::Nothing(unwanted.to_owned())));
    let kept = lab.store().acceptance(report).await.expect("it is in her mailbox");
    let expected = format!("X-Posthaste-Report-On: {}\r\n", fates[0].delivery.id.spool);
    assert_eq!(kept.trace, expected.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn an_address_elsewhere_gets_so_many_reports_and_no_more() {
    let rate = Rate { amount: 2, window: Duration::from_secs(3600) };
    let lab = Lab::with("", |outbound| outbound.report_rate = Arc::new(ReportRate::new(Some(rate))));
    lab.domain("sender.example", &[(10, "mx", 3)]);
    for sender in [OUTSIDER, SENDER] {
        for _ in 0..4 {
            lab.until_empty(lab.send(sender, &["a@nowhere.example"])).await;
        }
    }
    assert_eq!((lab.taken().len(), lab.reports().await.len()), (2, 4), "who has a mailbox here gets all");
    let fates = lab.store().fates(None, usize::MAX).await.expect("the store is well");
    let untold = fates.iter().filter(|fate| {
        let last = fate.delivery.history.last().and_then(|attempt| attempt.told.as_ref());
        matches!(last, Some(Told::Nothing(why)) if why.contains("reports_per_sender"))
    });
    assert_eq!(untold.count(), 2, "nobody loses sight of the others");
    lab.wait(rate.window).await;
    lab.until_empty(lab.send(OUTSIDER, &["a@nowhere.example"])).await;
    assert_eq!(lab.taken().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn only_what_a_host_said_is_shown_as_its_words() {
    let lab = lab();
    lab.says(1, "RCPT", &[Say::Reply("550-5.1.1 no\r\n550 5.1.1 such user")]);
    lab.until_empty(lab.send(SENDER, &["b@example.com"])).await;
    let report = lab.reports().await.concat();
    for part in [
        "      mx.example.com said: 550 5.1.1 no / such user\r\n",
        "Remote-MTA: dns; mx.example.com\r\nDiagnostic-Code: smtp; 550 5.1.1 no / such user\r\n",
    ] {
        assert!(report.contains(part), "{part:?} in {report}");
    }
    // A host that was never reached has said nothing, and one that could not take it was not asked.
    for (hop, body) in [(66, smtp::Body::SevenBit), (2, smtp::Body::BinaryMime)] {
        let lab = Lab::new();
        lab.domain("example.com", &[(10, "mx", hop)]);
        lab.content("Subject: \u{e9}\r\n\r\nx\r\n");
        lab.until_empty(lab.send_with(&["b@example.com"], |envelope| envelope.body = body)).await;
        let report = lab.reports().await.pop().expect("she is told");
        assert!(report.contains("\r\nDiagnostic-Code: X-Posthaste; "), "{report}");
        assert!(!report.contains("said:") && !report.contains("Remote-MTA"), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn odd_words_of_a_host_make_no_odd_report() {
    let lab = lab();
    let odd = "550-5.7.1 nul \0 and\rbare\r\n550-5.7.1 gr\u{fc}n \u{202e}drehen\n550 5.7.1 \u{1b}[31mrot";
    lab.says(1, "RCPT", &[Say::Reply(odd)]);
    lab.until_empty(lab.send(OUTSIDER, &["b@example.com"])).await;
    let report = lab.taken()[0].content.clone();
    assert!(report.is_ascii(), "whoever takes 7 bits takes it: {report}");
    assert!(
        report.contains(
            "Diagnostic-Code: smtp; 550 5.7.1 nul   and bare / gr\\x{FC}n \\x{202E}drehen /  [31mrot\r\n"
        ),
        "{report}"
    );
    let alone = report.replace("\r\n", "");
    assert!(!alone.contains(|c: char| c.is_control() && c != '\t'), "{report}");
    assert!(
        report.contains("Content-Transfer-Encoding: quoted-printable\r\n") && report.contains("gr=C3=BCn")
    );
}

#[tokio::test(start_paused = true)]
async fn strangers_learn_nothing_of_the_operators_own_hosts_and_files() {
    let route = |rest: &str| {
        format!("[[route]]\ndomain = \"example.com\"\nvia = \"smtp://inside.secret.example\"\n{rest}")
    };
    for (sender, rest, words, name) in [
        (OUTSIDER, "", "The next server said: 550 5.1.1 no such user", false),
        (SENDER, "", "inside.secret.example said: 550 5.1.1 no such user", true),
        (OUTSIDER, "tls = \"verified\"\n", "The way that this server sends such mail is out of order", false),
        (SENDER, "tls = \"verified\"\n", "The server does not offer STARTTLS", false),
    ] {
        let lab = Lab::with_routes(&route(rest));
        lab.address("inside.secret.example", "192.0.32.1");
        lab.domain("sender.example", &[(10, "mx", 3)]);
        lab.says(1, "RCPT", &[Say::Reply("550 5.1.1 no such user"); 99]);
        lab.until_empty(lab.send(sender, &["b@example.com"])).await;
        let reports = match sender {
            OUTSIDER => lab.taken().into_iter().map(|taken| taken.content).collect(),
            _ => lab.reports().await,
        };
        assert!(!reports.is_empty(), "{sender} {rest}");
        for report in reports {
            assert!(report.contains(words), "{words:?} in {report}");
            assert_eq!(report.contains("secret.example"), name, "{report}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_postmaster_hears_of_failures_where_that_is_wanted() {
    for (copies, expected) in [(Switch::On, 1), (Switch::Off, 0)] {
        let lab = Lab::with("", |outbound| outbound.postmaster_copies = copies);
        lab.domain("example.com", &[(10, "mx", 1)]);
        lab.says(1, "RCPT", &[Say::Reply("550 5.1.1 no such user"), Say::Reply("550 5.1.1 no such user")]);
        let full = |envelope: &mut smtp::Envelope| {
            envelope.ret = Some(smtp::Return::Full);
            envelope.recipients[0].notify = Some(smtp::Notify::Never);
        };
        lab.until_empty(lab.send_with(&["b@example.com"], full)).await;
        lab.until_empty(lab.send("<>", &["c@example.com"])).await;
        assert!(lab.reports().await.is_empty(), "she did not want to be told");
        let accounts = lab.store().accounts().await.expect("readable");
        if !accounts.iter().any(|account| account.name.as_str() == "postmaster@example.org") {
            assert_eq!(expected, 0);
            continue;
        }
        let copies = lab.mail_of("postmaster@example.org").await;
        assert_eq!(copies.len(), expected, "of a message without a sender there is none");
        for part in [
            "To: <postmaster@example.org>\r\n",
            "from alice@example.org could not be delivered to:\r\n\r\n  b@example.com\r\n",
            "Content-Type: text/rfc822-headers\r\n",
        ] {
            assert!(copies[0].contains(part), "{part:?} in {}", copies[0]);
        }
        assert!(!copies[0].contains(".dots"), "headers only");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_says_what_can_be_done_about_it() {
    for (reply, advice) in [
        ("550 5.1.1 no", "There is no such mailbox. Check the address,"),
        ("552 5.2.2 no", "The mailbox is full. Send the message again"),
        ("552 5.3.4 no", "The message is too large. Send less at once,"),
        ("550 5.7.1 no", "The other server's rules do not allow the message."),
        ("550 5.7.26 no", "The other server doubts that the message is yours."),
        // So Exchange says that it knows no such recipient.
        ("550 5.4.1 no", "There is no such mailbox. Check the address,"),
        ("554 5.4.14 no", "The message went in a circle between servers."),
        ("550 no", "Check the address, or ask the recipient in another way."),
    ] {
        let lab = lab();
        lab.says(1, "RCPT", &[Say::Reply(reply)]);
        lab.until_empty(lab.send(SENDER, &["b@example.com"])).await;
        let report = lab.reports().await.concat();
        let words = format!("said: {reply}\r\n      {advice}");
        assert!(report.contains(&words), "{words:?} in {report}");
        assert!(!report.contains("given up"), "it was not for want of time");
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_said_with_its_times() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "mx", 66)]);
    lab.until_empty(lab.send(SENDER, &["b@example.com"])).await;
    let reports = lab.reports().await;
    // It came on 14 November 2023 at 22:13:20.
    for (report, parts) in reports.iter().zip([
        ["It has been tried for 4 hours.", "it is tried again until Sun, 19 Nov 2023 22:13:20 +0000,"],
        [
            "It was tried for 5 days, and is given up. The last time:",
            "The other server could not be reached.",
        ],
    ]) {
        for part in parts {
            assert!(report.contains(part), "{part:?} in {report}");
        }
    }
    assert_eq!(reports.len(), 2);
}
