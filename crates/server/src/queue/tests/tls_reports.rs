//! Reports on TLS: what is counted of sessions, and who gets it when.

use super::certificates::Certificate;
use super::lab::{Lab, SENDER, Via};
use crate::tls::Tlsa;
use crate::tls_reports::{Terms, TlsReports};
use data_encoding::BASE64;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// The laboratory's clock begins at a quarter past ten in the evening. Reports on example.com go to tls@reports.example, at hop 5.
fn lab() -> Lab {
    let terms =
        Terms { organization: "Example".to_owned(), contact: "tls@example.org".parse().expect("an address") };
    let lab = Lab::with("", |outbound| {
        outbound.tls_reports = Some(Arc::new(TlsReports::open(None, terms)));
    });
    lab.domain("example.com", &[(10, "mx", 1)]);
    lab.domain("reports.example", &[(10, "mx", 5)]);
    lab.text("_smtp._tls.example.com", "v=TLSRPTv1; rua=mailto:tls@reports.example");
    lab
}

fn unpacked(packed: &[u8]) -> Value {
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("gzip");
    serde_json::from_str(&text).expect("JSON")
}

/// The only report that hop 5 has.
async fn report(lab: &Lab) -> Value {
    lab.wait(7 * HOUR).await;
    let taken: Vec<_> = lab.taken().into_iter().filter(|taken| taken.hop == 5).collect();
    assert_eq!(taken.len(), 1, "one report for one day");
    let (_, packed) = taken[0].content.split_once(".json.gz\"\r\n\r\n").expect("a file");
    let packed: String = packed.lines().take_while(|line| !line.is_empty()).collect();
    let report = unpacked(&BASE64.decode(packed.as_bytes()).expect("base64"));
    check(&report);
    report
}

/// The names of an object's members, which must be these, and may be those of `optional`.
fn members(object: &Value, required: &[&str], optional: &[&str]) {
    let names: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    assert!(required.iter().all(|name| names.contains(name)), "{required:?} are missing in {object}");
    let known = |name: &&str| required.contains(name) || optional.contains(name);
    assert!(names.iter().all(known), "unknown members in {object}");
}

/// A report has the form of RFC 8460 §4.4, with the results of §4.3 and figures that agree.
fn check(report: &Value) {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    members(report, &["organization-name", "date-range", "contact-info", "report-id", "policies"], &[]);
    members(&report["date-range"], &["start-datetime", "end-datetime"], &[]);
    for policy in list(&report["policies"]) {
        members(&policy, &["policy", "summary"], &["failure-details"]);
        members(&policy["policy"], &["policy-type", "policy-domain"], &["policy-string", "mx-host"]);
        let kind = policy["policy"]["policy-type"].as_str().expect("a text");
        assert!(["tlsa", "sts", "no-policy-found"].contains(&kind), "{kind}");
        members(&policy["summary"], &["total-successful-session-count", "total-failure-session-count"], &[]);
        let details = policy.get("failure-details").map(list).unwrap_or_default();
        let mut failed = 0;
        for detail in &details {
            members(
                detail,
                &["result-type", "failed-session-count"],
                &[
                    "sending-mta-ip",
                    "receiving-mx-hostname",
                    "receiving-mx-helo",
                    "receiving-ip",
                    "additional-information",
                    "failure-reason-code",
                ],
            );
            assert!(RESULTS.contains(&detail["result-type"].as_str().expect("a text")), "{detail}");
            failed += detail["failed-session-count"].as_u64().expect("a number");
        }
        assert_eq!(policy["summary"]["total-failure-session-count"], failed, "{policy}");
    }
}

/// RFC 8460 §4.3.
const RESULTS: [&str; 11] = [
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
];

fn policy_file(mode: &str, host: &str) -> String {
    let policy = format!("version: STSv1\nmode: {mode}\nmx: {host}\nmax_age: 86400\n");
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{policy}", policy.len())
}

fn publish(lab: &Lab, mode: &str, host: &str) {
    lab.policy("example.com", "1", (9, Certificate::Signed("mta-sts.example.com")), &policy_file(mode, host));
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_wants_to_know_is_told_the_day_after() {
    let lab = lab();
    publish(&lab, "enforce", "mx.example.com");
    lab.tls(1, Certificate::Signed("mx.example.com"));
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    let report = report(&lab).await;
    assert_eq!(report["organization-name"], "Example");
    assert_eq!(report["contact-info"], "tls@example.org");
    assert_eq!(
        report["date-range"],
        json!({"start-datetime": "2023-11-14T00:00:00Z", "end-datetime": "2023-11-14T23:59:59Z"})
    );
    assert_eq!(
        report["policies"],
        json!([{
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: enforce", "mx: mx.example.com", "max_age: 86400"],
                "policy-domain": "example.com",
                "mx-host": ["mx.example.com"],
            },
            "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0},
        }])
    );
    let mail = lab.taken().into_iter().find(|taken| taken.hop == 5).expect("the report");
    assert_eq!((mail.from.as_str(), mail.to[0].as_str()), ("<>", "<tls@reports.example>"));
    for part in [
        "From: <tls@example.org>\r\n",
        "TLS-Report-Domain: example.com\r\nTLS-Report-Submitter: mail.example.org\r\nTLS-Required: No\r\n",
        "report-type=\"tlsrpt\"",
        "filename=\"mail.example.org!example.com!1699920000!1700006399!",
    ] {
        assert!(mail.content.contains(part), "{part:?} in {}", mail.content);
    }
    lab.wait(24 * HOUR).await;
    let all = lab.taken().iter().filter(|taken| taken.hop == 5).count();
    assert_eq!(all, 1, "reports.example wants none, and nothing else was sent to example.com");
}

#[tokio::test(start_paused = true)]
async fn each_failure_is_told_by_its_kind() {
    let named = "mx.example.com";
    let signed = Some(Certificate::Signed(named));
    for (mode, host, certificate, kind, via) in [
        ("enforce", named, Some(Certificate::Signed("other.example.com")), "certificate-host-mismatch", None),
        ("enforce", named, Some(Certificate::Expired(named)), "certificate-expired", None),
        ("enforce", named, Some(Certificate::SelfSigned(named)), "certificate-not-trusted", None),
        ("enforce", named, Some(Certificate::Broken), "validation-failure", None),
        ("enforce", named, None, "starttls-not-supported", None),
        ("enforce", "elsewhere.example.com", signed, "validation-failure", None),
        ("testing", named, Some(Certificate::SelfSigned(named)), "certificate-not-trusted", Some(Via::Tls)),
        ("testing", "elsewhere.example.com", signed, "validation-failure", Some(Via::Tls)),
        ("testing", named, None, "starttls-not-supported", Some(Via::Clear)),
    ] {
        let lab = lab();
        publish(&lab, mode, host);
        if let Some(certificate) = certificate {
            lab.tls(1, certificate);
        }
        lab.send(SENDER, &["a@example.com"]).await;
        lab.wait(Duration::from_secs(60)).await;
        assert_eq!(lab.taken().first().map(|taken| taken.via), via, "{mode} {certificate:?}");
        let report = report(&lab).await;
        let policy = &report["policies"][0];
        assert_eq!(policy["policy"]["policy-type"], "sts", "{report}");
        assert_eq!(policy["summary"]["total-successful-session-count"], 0, "{report}");
        let detail = &policy["failure-details"][0];
        assert_eq!(detail["result-type"], kind, "{mode} {certificate:?}: {report}");
        assert_eq!(detail["receiving-mx-hostname"], "mx.example.com", "{report}");
        assert_eq!(detail["receiving-ip"], "192.0.32.1", "{report}");
        let failed = &policy["summary"]["total-failure-session-count"];
        assert_eq!(&detail["failed-session-count"], failed, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_be_had_is_told_beside_what_was_done_without_it() {
    let good = policy_file("enforce", "mx.example.com");
    for (certificate, answer, kind) in [
        (Certificate::Signed("other.example"), good.clone(), "sts-webpki-invalid"),
        (
            Certificate::Signed("mta-sts.example.com"),
            good.replace("200 OK", "404 Not Found"),
            "sts-policy-fetch-error",
        ),
        (
            Certificate::Signed("mta-sts.example.com"),
            policy_file("strict", "mx.example.com"),
            "sts-policy-invalid",
        ),
    ] {
        let lab = lab();
        lab.policy("example.com", "1", (9, certificate), &answer);
        lab.tls(1, Certificate::SelfSigned("nobody.example"));
        lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
        let report = report(&lab).await;
        let policies = report["policies"].as_array().expect("a list");
        assert_eq!(policies[0]["policy"]["policy-type"], "no-policy-found", "{report}");
        assert_eq!(policies[0]["summary"]["total-successful-session-count"], 1, "{report}");
        assert_eq!(policies[1]["policy"]["policy-type"], "sts", "{report}");
        assert_eq!(policies[1]["failure-details"][0]["result-type"], kind, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn dane_is_told_for_the_host_that_has_the_records() {
    let lab = lab();
    let data = lab.tls(1, Certificate::SelfSigned("nobody.example"));
    lab.associate("mx.example.com", vec![Tlsa { usage: 3, selector: 0, matching: 1, data }]);
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    // Another key, and another connection.
    lab.tls(1, Certificate::SelfSigned("nobody.example"));
    lab.wait(Duration::from_secs(301)).await;
    lab.send(SENDER, &["a@example.com"]).await;
    lab.wait(Duration::from_secs(10)).await;
    let report = report(&lab).await;
    let policy = &report["policies"][0];
    assert_eq!(policy["policy"]["policy-type"], "tlsa", "{report}");
    assert_eq!(policy["policy"]["policy-domain"], "mx.example.com", "{report}");
    let record = policy["policy"]["policy-string"][0].as_str().expect("a record");
    assert!(record.starts_with("3 0 1 ") && record.len() == 6 + 64, "{record}");
    assert_eq!(policy["summary"]["total-successful-session-count"], 1, "{report}");
    assert_eq!(policy["failure-details"][0]["result-type"], "validation-failure", "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_report_goes_by_https_where_that_is_wanted_and_again_when_it_failed() {
    let lab = lab();
    lab.text("_smtp._tls.example.com", "v=TLSRPTv1; rua=https://tls.reports.example/v1?d=x");
    lab.web("tls.reports.example", 8, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    lab.until_empty(lab.send(SENDER, &["a@example.com"])).await;
    lab.wait(6 * HOUR).await;
    let first = lab.posted().len();
    assert!((1..=6).contains(&first), "once an hour: {first}");
    lab.web("tls.reports.example", 8, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    lab.wait(24 * HOUR).await;
    let posted = lab.posted();
    assert_eq!(posted.len(), first + 1, "and then no more");
    let (head, body) = posted.last().expect("one");
    assert!(head.starts_with("POST /v1?d=x HTTP/1.1\n"), "{head}");
    assert!(head.contains("content-type: application/tlsrpt+gzip"), "{head}");
    let report = unpacked(body);
    check(&report);
    let policy = &report["policies"][0];
    assert_eq!(policy["policy"]["policy-type"], "no-policy-found", "{report}");
    let detail = &policy["failure-details"][0];
    assert_eq!(detail["result-type"], "starttls-not-supported", "{report}");
    assert_eq!(detail["sending-mta-ip"], "192.0.32.250", "{report}");
}
