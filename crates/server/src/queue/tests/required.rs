//! What a message asks of TLS: REQUIRETLS and `TLS-Required: No` (RFC 8689).

use super::certificates::Certificate;
use super::lab::{Lab, SENDER, Say, Via};
use crate::tls::Tlsa;
use std::time::Duration;

const CARELESS: &str = "TLS-Required: No\r\nSubject: x\r\n\r\nx\r\n";

fn require(envelope: &mut smtp::Envelope) {
    envelope.require_tls = true;
}

fn named(fingerprint: Vec<u8>) -> Vec<Tlsa> {
    vec![Tlsa { usage: 3, selector: 0, matching: 1, data: fingerprint }]
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_keep_to_tls_leaves_the_mail_to_one_that_does() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "best", 1), (20, "backup", 2)]);
    for (host, hop) in [("best.example.com", 1), ("backup.example.com", 2)] {
        let fingerprint = lab.tls(hop, Certificate::SelfSigned("nobody.example"));
        lab.associate(host, named(fingerprint));
    }
    lab.says(
        1,
        "EHLO",
        &[
            Say::Default,
            Say::Reply("250-mx\r\n250 PIPELINING"),
            Say::Default,
            Say::Reply("250-mx\r\n250 PIPELINING"),
        ],
    );
    let took = lab.until_empty(lab.send_with(&["a@example.com"], require)).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(lab.taken().iter().map(|taken| taken.hop).collect::<Vec<_>>(), [2]);
    assert!(
        lab.said(2).iter().any(|line| line == "MAIL FROM:<alice@example.org> REQUIRETLS"),
        "{:?}",
        lab.said(2)
    );
    assert!(!lab.said(1).iter().any(|line| line.starts_with("MAIL")), "{:?}", lab.said(1));
    assert!(lab.reports().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_host_without_an_extension_leaves_the_mail_to_one_that_has_it() {
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "best", 1), (20, "backup", 2)]);
    lab.says(2, "EHLO", &[Say::Reply("250-mx\r\n250 SMTPUTF8")]);
    lab.until_empty(lab.send_with(&["gr\u{fc}n@example.com"], |envelope| envelope.smtputf8 = true)).await;
    assert_eq!(lab.taken().iter().map(|taken| taken.hop).collect::<Vec<_>>(), [2]);
    assert!(lab.reports().await.is_empty());
    // When none has it, that is said, and at once.
    let lab = Lab::new();
    lab.domain("example.com", &[(10, "best", 1), (20, "backup", 2)]);
    let sent = lab.send_with(&["gr\u{fc}n@example.com"], |envelope| envelope.smtputf8 = true);
    let took = lab.until_empty(sent).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(lab.reports().await.concat().contains("Status: 5.6.7\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_report_on_what_requires_tls_asks_for_it_and_is_not_lost_without() {
    for safe in [true, false] {
        let lab = Lab::new();
        lab.domain("sender.example", &[(10, "mx", 3)]);
        if safe {
            let fingerprint = lab.tls(3, Certificate::SelfSigned("nobody.example"));
            lab.associate("mx.sender.example", named(fingerprint));
        }
        lab.content("Message-ID: <1@sender.example>\r\nSubject: secret plan\r\n\r\nx\r\n");
        let sent = lab.send_with(&["a@nowhere.example"], |envelope| {
            envelope.reverse_path = "<s@sender.example>".parse().expect("a path");
            envelope.require_tls = true;
            envelope.ret = Some(smtp::Return::Full);
        });
        lab.until_empty(sent).await;
        let taken = lab.taken();
        assert_eq!((taken.len(), taken[0].via == Via::Tls), (1, safe));
        let mail = if safe { "MAIL FROM:<> REQUIRETLS" } else { "MAIL FROM:<>" };
        assert!(lab.said(3).iter().any(|line| line == mail), "{:?}", lab.said(3));
        assert!(taken[0].content.contains("Message-ID: <1@sender.example>"), "{}", taken[0].content);
        assert!(!taken[0].content.contains("secret plan"), "{}", taken[0].content);
    }
}

#[tokio::test(start_paused = true)]
async fn mail_that_may_do_without_tls_goes_where_policies_fail() {
    let fails = |lab: &Lab| {
        lab.domain("example.com", &[(10, "mx", 1)]);
        lab.tls(1, Certificate::SelfSigned("mx.example.com"));
    };
    let dane = |lab: &Lab| lab.associate("mx.example.com", named(vec![7; 32]));
    let sts = |hosts: &'static str| {
        move |lab: &Lab| {
            let policy = format!("version: STSv1\nmode: enforce\nmx: {hosts}\nmax_age: 86400\n");
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{policy}",
                policy.len()
            );
            lab.policy("example.com", "1", (9, Certificate::Signed("mta-sts.example.com")), &answer);
        }
    };
    let policies: [&dyn Fn(&Lab); 3] = [&dane, &sts("mx.example.com"), &sts("elsewhere.example.com")];
    for (number, policy) in policies.into_iter().enumerate() {
        let lab = Lab::new();
        fails(&lab);
        policy(&lab);
        lab.send_later(SENDER, &["careful@example.com"]).await;
        lab.content(CARELESS);
        lab.send_later(SENDER, &["careless@example.com"]).await;
        // REQUIRETLS counts for more (RFC 8689 \u{a7}4.1).
        lab.send_with(&["required@example.com"], require).await;
        lab.wait(Duration::from_secs(60)).await;
        let taken = lab.taken();
        assert_eq!(taken.len(), 1, "policy {number}: {taken:?}");
        assert_eq!((taken[0].to[0].as_str(), taken[0].via), ("<careless@example.com>", Via::Tls), "{number}");
        assert!(lab.queued().await.iter().all(|delivery| delivery.attempts > 0), "the others wait");
    }
}
