//! Counts of sessions by day, domain and policy, and what they become: the report of RFC 8460 §4. In memory and in one file, bounded in every
//! direction; what is beyond a bound is not counted.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use store::Timestamp;

/// Counts by day (since 1970, UTC) and domain (in ASCII).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Days(BTreeMap<i64, BTreeMap<String, Vec<Tally>>>);

/// How the sessions under one policy went: an entry of `policies` in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    policy: Policy,
    summary: Summary,
    #[serde(rename = "failure-details", skip_serializing_if = "Vec::is_empty", default)]
    details: Vec<Detail>,
}

/// The policy that sessions were held under (RFC 8460 §4.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Policy {
    /// Its kind.
    pub(crate) policy_type: PolicyType,
    /// Its text: lines of an MTA-STS policy, or TLSA records.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) policy_string: Vec<String>,
    /// The domain that it is for; with DANE the name that the records are for.
    pub(crate) policy_domain: String,
    /// The hosts that an MTA-STS policy names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) mx_host: Vec<String>,
}

/// The kind of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PolicyType {
    /// DANE.
    Tlsa,
    /// MTA-STS.
    Sts,
    /// None.
    NoPolicyFound,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    total_successful_session_count: u64,
    total_failure_session_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    #[serde(flatten)]
    failure: Failure,
    failed_session_count: u64,
}

/// What went wrong in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Failure {
    /// What kind of failure it was.
    pub(crate) result_type: ResultType,
    /// Our address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) sending_mta_ip: Option<IpAddr>,
    /// The host's name in DNS.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) receiving_mx_hostname: Option<String>,
    /// The host's address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) receiving_ip: Option<IpAddr>,
    /// More about it, in words.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(crate) failure_reason_code: String,
}

/// Kinds of failures (RFC 8460 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ResultType {
    /// STARTTLS is not offered, or refused.
    StarttlsNotSupported,
    /// The certificate is for another name.
    CertificateHostMismatch,
    /// The certificate has expired.
    CertificateExpired,
    /// Nobody who is trusted has signed the certificate.
    CertificateNotTrusted,
    /// Anything else.
    ValidationFailure,
    /// What DNS says of a host's certificate cannot be known, or is forged.
    DnssecInvalid,
    /// An MTA-STS policy cannot be fetched.
    StsPolicyFetchError,
    /// What was fetched is no policy.
    StsPolicyInvalid,
    /// The host of the policy has no good certificate.
    StsWebpkiInvalid,
}

/// A report (RFC 8460 §4.4).
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report<'a> {
    pub(super) organization_name: &'a str,
    pub(super) date_range: Range,
    pub(super) contact_info: &'a str,
    pub(super) report_id: &'a str,
    pub(super) policies: &'a [Tally],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Range {
    start_datetime: String,
    end_datetime: String,
}

impl Days {
    /// Counts a session with a host of this domain.
    pub(super) fn count(&mut self, now: Timestamp, domain: &str, policy: Policy, failure: Option<Failure>) {
        let domains = self.0.entry(day(now)).or_default();
        if domains.len() >= DOMAINS_MAX && !domains.contains_key(domain) {
            return;
        }
        let tallies = domains.entry(domain.to_owned()).or_default();
        let place = tallies.iter().position(|tally| tally.policy == policy);
        let tally = match place {
            Some(place) => &mut tallies[place],
            None if tallies.len() >= POLICIES_MAX => return,
            None => {
                tallies.push(Tally { policy, summary: Summary::default(), details: Vec::new() });
                tallies.last_mut().expect("it was just put there")
            }
        };
        let Some(mut failure) = failure else {
            tally.summary.total_successful_session_count += 1;
            return;
        };
        tally.summary.total_failure_session_count += 1;
        failure.failure_reason_code = failure.failure_reason_code.chars().take(REASON_MAX).collect();
        match tally.details.iter().position(|detail| detail.failure == failure) {
            Some(place) => tally.details[place].failed_session_count += 1,
            None if tally.details.len() >= DETAILS_MAX => {}
            None => tally.details.push(Detail { failure, failed_session_count: 1 }),
        }
    }

    /// The first day that is over and has something to report.
    pub(super) fn first_before(&self, now: Timestamp) -> Option<i64> {
        self.0.keys().next().copied().filter(|first| *first < day(now))
    }

    /// The domains with something to report about a day.
    pub(super) fn domains(&self, day: i64) -> Vec<String> {
        self.0.get(&day).map(|domains| domains.keys().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn tallies(&self, day: i64, domain: &str) -> Vec<Tally> {
        self.0.get(&day).and_then(|domains| domains.get(domain)).cloned().unwrap_or_default()
    }

    /// A domain has its report, or wants none.
    pub(super) fn forget(&mut self, day: i64, domain: &str) {
        if let Some(domains) = self.0.get_mut(&day) {
            domains.remove(domain);
            if domains.is_empty() {
                self.0.remove(&day);
            }
        }
    }

    /// Nobody wants to hear of days that are long past.
    pub(super) fn forget_before(&mut self, first: i64) {
        self.0.retain(|day, _| *day >= first);
    }
}

impl Range {
    /// A whole day (RFC 8460 §4.1), as RFC 3339 writes moments.
    pub(super) fn of(day: i64) -> Range {
        let moment =
            |second: i64| jiff::Timestamp::from_second(second).map(|at| at.to_string()).unwrap_or_default();
        let start = day.saturating_mul(DAY / 1000);
        Range { start_datetime: moment(start), end_datetime: moment(start + DAY / 1000 - 1) }
    }
}

impl std::fmt::Display for Range {
    /// The date alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.start_datetime.split('T').next().unwrap_or_default())
    }
}

/// The day of a moment.
pub(super) fn day(now: Timestamp) -> i64 {
    now.0.div_euclid(DAY)
}

/// Milliseconds.
pub(super) const DAY: i64 = 24 * 3600 * 1000;
/// So many domains are counted for each day.
const DOMAINS_MAX: usize = 10_000;
/// So many policies of one domain: it may change them on the way.
const POLICIES_MAX: usize = 8;
/// So many kinds of failures under one policy.
const DETAILS_MAX: usize = 32;
/// In characters.
const REASON_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(domain: &str) -> Policy {
        let (policy_string, mx_host) = (Vec::new(), Vec::new());
        Policy {
            policy_type: PolicyType::NoPolicyFound,
            policy_string,
            policy_domain: domain.to_owned(),
            mx_host,
        }
    }

    fn failure(host: &str) -> Failure {
        Failure {
            result_type: ResultType::StarttlsNotSupported,
            sending_mta_ip: None,
            receiving_mx_hostname: Some(host.to_owned()),
            receiving_ip: None,
            failure_reason_code: "x".repeat(1000),
        }
    }

    #[test]
    fn sessions_are_counted_and_written_as_the_rfc_wants() {
        let mut days = Days::default();
        let sts = Policy {
            policy_type: PolicyType::Sts,
            policy_string: vec!["version: STSv1".to_owned()],
            mx_host: vec!["*.a.example".to_owned()],
            ..policy("a.example")
        };
        for _ in 0..3 {
            days.count(Timestamp(DAY - 1), "a.example", sts.clone(), None);
            days.count(Timestamp(DAY - 1), "a.example", sts.clone(), Some(failure("mx.a.example")));
        }
        days.count(Timestamp(DAY), "a.example", sts, None);
        assert_eq!(
            (days.first_before(Timestamp(DAY - 1)), days.first_before(Timestamp(DAY))),
            (None, Some(0))
        );
        let tallies = days.tallies(0, "a.example");
        let report = Report {
            organization_name: "Example",
            date_range: Range::of(0),
            contact_info: "tls@example.org",
            report_id: "1",
            policies: &tallies,
        };
        let reason = "x".repeat(REASON_MAX);
        assert_eq!(
            serde_json::to_value(&report).expect("JSON"),
            serde_json::json!({
                "organization-name": "Example",
                "date-range": {"start-datetime": "1970-01-01T00:00:00Z", "end-datetime": "1970-01-01T23:59:59Z"},
                "contact-info": "tls@example.org",
                "report-id": "1",
                "policies": [{
                    "policy": {
                        "policy-type": "sts", "policy-string": ["version: STSv1"],
                        "policy-domain": "a.example", "mx-host": ["*.a.example"],
                    },
                    "summary": {"total-successful-session-count": 3, "total-failure-session-count": 3},
                    "failure-details": [{
                        "result-type": "starttls-not-supported", "receiving-mx-hostname": "mx.a.example",
                        "failure-reason-code": reason, "failed-session-count": 3,
                    }],
                }],
            })
        );
    }

    #[test]
    fn the_file_says_the_same_as_memory() {
        let mut days = Days::default();
        days.count(Timestamp(0), "a.example", policy("a.example"), Some(failure("mx")));
        let text = serde_json::to_string(&days).expect("JSON");
        assert_eq!(serde_json::from_str::<Days>(&text).expect("the same"), days);
        days.forget(0, "a.example");
        assert_eq!(days, Days::default());
    }

    #[test]
    fn memory_is_bounded() {
        let mut days = Days::default();
        for number in 0..DOMAINS_MAX + 10 {
            days.count(Timestamp(0), &number.to_string(), policy("x"), None);
        }
        for number in 0..1000 {
            days.count(Timestamp(0), "0", policy(&number.to_string()), None);
            days.count(Timestamp(0), "0", policy("x"), Some(failure(&number.to_string())));
        }
        assert_eq!(days.domains(0).len(), DOMAINS_MAX);
        let tallies = days.tallies(0, "0");
        assert_eq!((tallies.len(), tallies[0].details.len()), (POLICIES_MAX, DETAILS_MAX));
        assert_eq!(tallies[0].summary.total_failure_session_count, 1000, "the sum is right all the same");
        days.forget_before(1);
        assert_eq!(days, Days::default());
    }
}
