//! MTA-STS: what a domain says over HTTPS is kept, and kept to.

use super::certificates::Certificate;
use super::lab::{Lab, SENDER, Via};
use crate::tls::Tlsa;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// The host with the policy.
const WEB: u8 = 9;
const FOR_WEB: Certificate = Certificate::Signed("mta-sts.example.com");

fn lab() -> Lab {
    let lab = Lab::without_reuse();
    lab.domain("example.com", &[(10, "mx", 1), (20, "backup", 2)]);
    lab
}

/// An answer to the question for the policy.
fn answer(policy: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{policy}",
        policy.len()
    )
}

fn enforced(hosts: &str) -> String {
    answer(&format!("version: STSv1\nmode: enforce\n{hosts}max_age: 86400\n"))
}

async fn reply(lab: &Lab) -> String {
    lab.queued().await[0].last_reply().expect("it was tried").to_owned()
}

#[tokio::test(start_paused = true)]
async fn hosts_of_the_policy_get_mail_if_they_are_verified() {
    let lab = lab();
    lab.policy("example.com", "1", (WEB, FOR_WEB), &enforced("mx: *.example.com\n"));
    lab.tls(1, Certificate::Signed("mx.example.com"));
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!((lab.taken()[0].hop, lab.taken()[0].via), (1, Via::Tls));
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.asked(WEB), 1, "it is kept");
    // The best host no longer is who it should be, the other is.
    lab.tls(1, Certificate::SelfSigned("mx.example.com"));
    lab.tls(2, Certificate::Signed("backup.example.com"));
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!(lab.taken()[2].hop, 2);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_gets_no_mail_and_the_mail_waits() {
    for (hosts, certificate, expected) in [
        (
            "mx: mx.example.com\n",
            Certificate::Signed("other.example.com"),
            "451 4.7.5 There is no TLS with this host: the certificate",
        ),
        (
            "mx: mx.example.com\n",
            Certificate::Expired("mx.example.com"),
            "451 4.7.5 There is no TLS with this host: the certificate",
        ),
        (
            "mx: mx.example.com\n",
            Certificate::SelfSigned("mx.example.com"),
            "451 4.7.5 There is no TLS with this host: the certificate",
        ),
        (
            "mx: mx.example.com\n",
            Certificate::Broken,
            "451 4.7.5 There is no TLS with this host: the peer does not speak TLS",
        ),
        (
            "mx: elsewhere.example.com\n",
            Certificate::Signed("mx.example.com"),
            "451 4.7.0 None of the mail hosts that DNS names for example.com is one of its MTA-STS policy",
        ),
    ] {
        let lab = Lab::without_reuse();
        lab.domain("example.com", &[(10, "mx", 1)]);
        lab.policy("example.com", "1", (WEB, FOR_WEB), &enforced(hosts));
        lab.tls(1, certificate);
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(HOUR).await;
        assert!(lab.taken().is_empty(), "{hosts} {certificate:?}");
        assert!(reply(&lab).await.starts_with(expected), "{}", reply(&lab).await);
    }
    let lab = Lab::without_reuse();
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.policy("example.com", "1", (WEB, FOR_WEB), &enforced("mx: mx.example.com\n"));
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(HOUR).await;
    assert_eq!(reply(&lab).await, "451 4.7.4 The server does not offer STARTTLS");
    assert!(lab.taken().is_empty());
}

/// Whatever a domain demands, others on the same hosts have nothing to do with it.
#[tokio::test(start_paused = true)]
async fn the_policy_of_one_domain_does_not_hold_up_others_on_its_hosts() {
    for (hosts, certificate) in [
        ("mx: elsewhere.example.com\n", Certificate::Signed("mx.example.com")),
        ("mx: mx.example.com\n", Certificate::SelfSigned("mx.example.com")),
    ] {
        let lab = Lab::without_reuse();
        lab.domain("example.com", &[(10, "mx", 1)]);
        lab.exchanges("other.example", vec![super::lab::exchange(10, "mx.example.com")]);
        lab.policy("example.com", "1", (WEB, FOR_WEB), &enforced(hosts));
        lab.tls(1, certificate);
        for _ in 0..3 {
            lab.send(SENDER, &["a@example.com"]).await;
        }
        lab.wait(Duration::from_secs(5)).await;
        assert!(reply(&lab).await.starts_with("451 4.7."), "it is held up");
        lab.send(SENDER, &["b@other.example"]).await;
        lab.wait(Duration::from_secs(5)).await;
        assert_eq!(lab.taken().len(), 1, "{hosts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_was_seen_counts_whatever_is_taken_away() {
    let lab = lab();
    lab.policy("example.com", "1", (WEB, FOR_WEB), &enforced("mx: mx.example.com\n"));
    lab.tls(1, Certificate::Signed("mx.example.com"));
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    lab.no_policy("example.com");
    lab.no_tls(1);
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(HOUR).await;
    assert_eq!(lab.taken().len(), 1, "neither DNS nor STARTTLS can be stripped");
    let kept = std::fs::read_to_string(lab.data().join("mta-sts.json")).expect("it is written down");
    assert!(kept.contains("\"example.com\"") && kept.contains("enforce"), "{kept}");
    lab.until_empty(std::future::ready(())).await;
    assert_eq!(lab.taken()[1].via, Via::Clear, "after a day it has ended");
}

#[tokio::test(start_paused = true)]
async fn another_identifier_means_another_policy() {
    let lab = lab();
    lab.policy("example.com", "1", (WEB, FOR_WEB), &enforced("mx: elsewhere.example.com\n"));
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(10)).await;
    assert!(lab.taken().is_empty());
    let none = answer("version: STSv1\nmode: none\nmax_age: 86400\n");
    lab.policy("example.com", "2", (WEB, FOR_WEB), &none);
    lab.until_empty(std::future::ready(())).await;
    assert_eq!((lab.taken()[0].via, lab.asked(WEB)), (Via::Clear, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_policy_changes_nothing() {
    let huge = "#".repeat(70_000);
    for (certificate, answer) in [
        (Certificate::SelfSigned("mta-sts.example.com"), enforced("mx: none.example.com\n")),
        (Certificate::Signed("example.com"), enforced("mx: none.example.com\n")),
        (Certificate::Expired("mta-sts.example.com"), enforced("mx: none.example.com\n")),
        (FOR_WEB, enforced("mx: none.example.com\n").replace("text/plain", "text/html")),
        (FOR_WEB, enforced("mx: none.example.com\n").replace("200 OK", "404 Not Found")),
        (
            FOR_WEB,
            "HTTP/1.1 301 Moved\r\nLocation: https://mta-sts.example.net/\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
        ),
        (FOR_WEB, answer("version: STSv1\nmode: enforce\nmax_age: 86400\n")),
        (FOR_WEB, enforced(&format!("mx: none.example.com\n{huge}\n"))),
        (FOR_WEB, answer("version: STSv1\nmode: testing\nmx: none.example.com\nmax_age: 86400\n")),
        (FOR_WEB, String::new()),
    ] {
        let lab = lab();
        lab.policy("example.com", "1", (WEB, certificate), &answer);
        let took = lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!((lab.taken()[0].hop, lab.taken()[0].via), (1, Via::Clear), "{certificate:?} {answer:.60}");
    }
}

#[tokio::test(start_paused = true)]
async fn dane_comes_first() {
    let lab = lab();
    lab.policy("example.com", "1", (WEB, FOR_WEB), &enforced("mx: elsewhere.example.com\n"));
    let fingerprint = lab.tls(1, Certificate::SelfSigned("mx.example.com"));
    lab.associate("mx.example.com", vec![Tlsa { usage: 3, selector: 0, matching: 1, data: fingerprint }]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!((lab.taken()[0].hop, lab.taken()[0].via), (1, Via::Tls));
}

/// A route to the hosts of another domain.
fn provider(tls: &str) -> Lab {
    let lab = Lab::with_routes(&format!(
        "[[route]]\ndomain = \"*\"\nvia = [\"mx://provider.example\", \"smtp://192.0.32.7\"]\n{tls}"
    ));
    lab.domain("provider.example", &[(10, "mx", 1), (20, "backup", 2)]);
    lab.policy(
        "provider.example",
        "1",
        (WEB, Certificate::Signed("mta-sts.provider.example")),
        &enforced("mx: backup.provider.example\n"),
    );
    lab
}

#[tokio::test(start_paused = true)]
async fn a_route_by_mx_keeps_to_the_policy_of_its_domain() {
    // The host that the policy does not name gets nothing, the other one must prove itself, and the route goes on with its next hop.
    for (certificate, hop, via) in [
        (Certificate::Signed("backup.provider.example"), 2, Via::Tls),
        (Certificate::SelfSigned("backup.provider.example"), 7, Via::Clear),
    ] {
        let lab = provider("");
        lab.tls(2, certificate);
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        let taken = lab.taken();
        assert_eq!((taken.len(), taken[0].hop, taken[0].via), (1, hop, via), "{certificate:?}");
        assert_eq!((lab.connections(1), lab.asked(WEB)), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_to_be_in_clear_asks_for_no_policy() {
    let lab = provider("tls = \"none\"");
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    assert_eq!((lab.taken()[0].hop, lab.taken()[0].via, lab.asked(WEB)), (1, Via::Clear, 0));
}

#[tokio::test(start_paused = true)]
async fn mail_for_a_route_whose_policy_leaves_no_host_waits() {
    let lab = Lab::with_routes("[[route]]\ndomain = \"*\"\nvia = \"mx://example.com\"");
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.policy("example.com", "1", (WEB, FOR_WEB), &enforced("mx: elsewhere.example.com\n"));
    lab.send(SENDER, &["a@example.net"]).await;
    lab.wait(HOUR).await;
    assert!(lab.taken().is_empty());
    assert!(reply(&lab).await.starts_with("451 4.7.0 None of the mail hosts"), "{}", reply(&lab).await);
}
