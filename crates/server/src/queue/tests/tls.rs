//! TLS to next hops: used where it is offered, done without where it is broken and nobody asked for it.

use super::certificates::Certificate;
use super::lab::{Lab, SENDER, Say, Via};
use crate::tls::Tlsa;
use std::time::Duration;
use store::{Identity, Tls};

const HOUR: Duration = Duration::from_secs(3600);

fn lab() -> Lab {
    let lab = Lab::without_reuse();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab
}

/// What is kept of the last attempt of the only delivery.
async fn attempt(lab: &Lab) -> (Option<Tls>, String) {
    let queued = lab.queued().await;
    let last = queued[0].history.last().expect("it was tried");
    (last.tls.clone(), last.reply.clone())
}

#[tokio::test(start_paused = true)]
async fn starttls_is_used_where_it_is_offered_whatever_the_certificate() {
    for certificate in [
        Certificate::Signed("mx.example.com"),
        Certificate::Signed("other.example.com"),
        Certificate::SelfSigned("mx.example.com"),
        Certificate::Expired("mx.example.com"),
    ] {
        let lab = lab();
        lab.tls(1, certificate);
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        let taken = lab.taken();
        assert_eq!((taken.len(), taken[0].via), (1, Via::Tls), "{certificate:?}");
        assert_eq!(lab.connections(1), 1, "{certificate:?}");
        let hellos = lab.said(1).iter().filter(|line| line.starts_with("EHLO")).count();
        let handshakes = lab.said(1).iter().filter(|line| *line == "STARTTLS").count();
        assert_eq!((hellos, handshakes), (2, 1), "RFC 3207 §4.2: greeted anew, and secured once");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_says_how_its_connection_was_protected() {
    for (certificate, expected) in [
        (Certificate::Signed("mx.example.com"), Identity::Proven("an authority".to_owned())),
        (
            Certificate::Signed("other.example.com"),
            Identity::Unproven(
                "the certificate of the server is not for mx.example.com, but for DnsName(\"other.example.com\")"
                    .to_owned(),
            ),
        ),
        (
            Certificate::SelfSigned("mx.example.com"),
            Identity::Unproven(
                "the certificate of the server is signed by nobody who is trusted here; it may be self-signed".to_owned(),
            ),
        ),
        (
            Certificate::Expired("mx.example.com"),
            Identity::Unproven("the certificate of the server has expired".to_owned()),
        ),
    ] {
        let lab = lab();
        lab.tls(1, certificate);
        lab.says(1, "RCPT", &[Say::Reply("450 4.2.1 later")]);
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(Duration::from_secs(1)).await;
        let (tls, reply) = attempt(&lab).await;
        let tls = tls.expect("there was TLS");
        assert_eq!((tls.version.as_str(), tls.identity), ("TLSv1.3", expected), "{certificate:?}");
        assert!(tls.cipher.starts_with("TLS_"), "{}", tls.cipher);
        assert_eq!(reply, "450 4.2.1 later");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_in_clear_says_so() {
    let lab = lab();
    lab.says(1, "RCPT", &[Say::Reply("450 4.2.1 later")]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    assert_eq!(attempt(&lab).await.0, None);
}

#[tokio::test(start_paused = true)]
async fn broken_tls_is_done_without_and_remembered_for_an_hour() {
    let lab = lab();
    lab.tls(1, Certificate::Broken);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!((lab.taken().len(), lab.taken()[0].via, lab.connections(1)), (1, Via::Clear, 2));
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.connections(1), 3, "its TLS is not tried again at once");
    lab.tls(1, Certificate::Signed("mx.example.com"));
    lab.wait(HOUR).await;
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!((lab.taken()[2].via, lab.connections(1)), (Via::Tls, 4), "but later it is");
}

#[tokio::test(start_paused = true)]
async fn a_refused_or_unanswered_starttls_costs_nothing_but_tls() {
    for (answer, connections) in [
        (Say::Reply("454 4.7.0 not now"), 1),
        (Say::Reply("502 5.5.1 what?"), 1),
        (Say::Close("421 4.7.0 no TLS for you"), 2),
        (Say::Hangup, 2),
        (Say::Reply("nonsense"), 2),
    ] {
        let lab = lab();
        lab.tls(1, Certificate::Signed("mx.example.com"));
        lab.says(1, "STARTTLS", &[answer]);
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(took < Duration::from_secs(2), "{answer:?}: {took:?}");
        assert_eq!((lab.taken()[0].via, lab.connections(1)), (Via::Clear, connections), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_tls_worked_gets_nothing_in_clear_for_some_hours() {
    let lab = lab();
    lab.tls(1, Certificate::SelfSigned("mx.example.com"));
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    lab.no_tls(1);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(1)).await;
    assert_eq!(attempt(&lab).await.1, "451 4.7.4 The server does not offer STARTTLS");
    let took = lab.until_empty(std::future::ready(())).await;
    assert!(
        (2 * HOUR..4 * HOUR).contains(&took),
        "it is not for ever, nor so long that senders hear of it: {took:?}"
    );
    assert_eq!(lab.taken()[1].via, Via::Clear);
    assert!(lab.reports().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_said_in_clear_after_starttls_is_not_believed() {
    let lab = lab();
    lab.tls(1, Certificate::Signed("mx.example.com"));
    // Replies to what is only to be asked in TLS, put in by somebody on the way.
    lab.says(1, "STARTTLS", &[Say::Reply("220 2.0.0 go\r\n250 forged\r\n250 forged\r\n250 forged")]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken().len(), 1);
    let said = lab.said(1);
    assert!(
        said.iter().any(|line| line == "DATA"),
        "nothing was taken for an answer that was none: {said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_up_at_ehlo_is_greeted_with_helo() {
    let lab = lab();
    lab.says(1, "EHLO", &[Say::Hangup]);
    let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(lab.connections(1), 2);
    assert!(lab.said(1).iter().any(|line| line.starts_with("HELO ")), "{:?}", lab.said(1));

    let lab = self::lab();
    lab.says(1, "EHLO", &[Say::Close("500 5.5.1 what?")]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!((lab.taken().len(), lab.connections(1)), (1, 2));
}

fn dane(matching: u8, data: Vec<u8>) -> Tlsa {
    Tlsa { usage: 3, selector: 0, matching, data }
}

#[tokio::test(start_paused = true)]
async fn the_certificate_that_dns_names_is_enough_and_nothing_else_is() {
    for certificate in [Certificate::SelfSigned("nobody.example"), Certificate::Expired("nobody.example")] {
        let lab = lab();
        let fingerprint = lab.tls(1, certificate);
        lab.associate("mx.example.com", vec![dane(1, fingerprint)]);
        lab.says(1, "RCPT", &[Say::Reply("450 4.2.1 later")]);
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(Duration::from_secs(1)).await;
        let (tls, _) = attempt(&lab).await;
        assert_eq!(tls.expect("there was TLS").identity, Identity::Proven("DANE (3 0 1)".to_owned()));
        lab.until_empty(std::future::ready(())).await;
        assert_eq!(lab.taken()[0].via, Via::Tls);
    }
    let lab = lab();
    lab.tls(1, Certificate::Signed("mx.example.com"));
    lab.associate("mx.example.com", vec![dane(1, vec![7; 32])]);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(HOUR).await;
    assert!(lab.taken().is_empty(), "there is no way around what DNS says");
    assert_eq!(
        attempt(&lab).await.1,
        "451 4.7.5 There is no TLS with this host: the certificate of the server is not the one that DNS names (TLSA, RFC 7672)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_with_tlsa_records_gets_nothing_in_clear() {
    // Both with records that can be used and with some that cannot (RFC 7672 §2.2).
    for (record, broken) in [
        (dane(1, vec![7; 32]), None),
        (dane(9, vec![7; 32]), None),
        (dane(1, vec![7; 32]), Some(Certificate::Broken)),
        (dane(9, vec![7; 32]), Some(Certificate::Broken)),
    ] {
        let lab = lab();
        if let Some(broken) = broken {
            lab.tls(1, broken);
        }
        lab.associate("mx.example.com", vec![record.clone()]);
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(HOUR).await;
        assert!(lab.taken().is_empty(), "{record} {broken:?}");
        assert!(
            !lab.said(1).iter().any(|line| line.starts_with("MAIL")),
            "nobody who listens learns of the mail"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_used_ask_for_tls_with_anybody() {
    let lab = lab();
    lab.tls(1, Certificate::SelfSigned("nobody.example"));
    lab.associate("mx.example.com", vec![dane(9, vec![7; 32])]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken()[0].via, Via::Tls);
}

#[tokio::test(start_paused = true)]
async fn another_host_of_the_domain_may_take_what_the_best_may_not() {
    let lab = Lab::without_reuse();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.tls(1, Certificate::Signed("mx.example.com"));
    lab.associate("mx.example.com", vec![dane(1, vec![7; 32])]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken()[0].hop, 2);
}

#[tokio::test(start_paused = true)]
async fn what_requires_tls_goes_to_verified_hosts_that_offer_to_keep_to_it() {
    // Verified by DANE.
    let lab = lab();
    let fingerprint = lab.tls(1, Certificate::SelfSigned("mx.example.com"));
    lab.associate("mx.example.com", vec![dane(1, fingerprint.clone())]);
    let require = |envelope: &mut smtp::Envelope| envelope.require_tls = true;
    lab.until_empty(lab.send_with(&["a@example.com"], require)).await;
    assert_eq!(lab.taken()[0].via, Via::Tls);
    assert!(
        lab.said(1).iter().any(|line| line == "MAIL FROM:<alice@example.org> REQUIRETLS"),
        "{:?}",
        lab.said(1)
    );

    // The same host, which does not offer it.
    lab.says(1, "EHLO", &[Say::Default, Say::Reply("250-mx\r\n250 PIPELINING")]);
    lab.until_empty(lab.send_with(&["b@example.com"], require)).await;
    // A host that shows a good certificate, but may have been put in by whoever forges DNS; and one without TLS.
    for certificate in [Some(Certificate::Signed("mx.example.com")), None] {
        let lab = self::lab();
        if let Some(certificate) = certificate {
            lab.tls(1, certificate);
        }
        lab.until_empty(lab.send_with(&["c@example.com"], |envelope| {
            envelope.require_tls = true;
            envelope.ret = Some(smtp::Return::Full);
        }))
        .await;
        assert!(lab.taken().is_empty());
        assert!(!lab.said(1).iter().any(|line| line.starts_with("MAIL")), "not even its sender is told");
        let report = lab.reports().await.concat();
        assert!(report.contains("Status: 5.7.30\r\n"), "{report}");
        assert!(
            report.contains("text/rfc822-headers") && !report.contains("\r\n.dots"),
            "RFC 8689 §5: {report}"
        );
    }
    assert_eq!(lab.taken().len(), 1);
    assert!(lab.reports().await.concat().contains("Status: 5.7.30\r\n"));
}
