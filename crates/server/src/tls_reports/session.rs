//! What a session with a next hop means for the report to its domain: which policy it was held under, and which failure it showed.

use super::{Failure, Policy, PolicyType, ResultType};
use crate::deliver::secure::Level;
use crate::mta_sts::{self, FetchError};
use crate::queue::Outbound;
use crate::resolve::Target;
use crate::tls::{Flaw, Tlsa};
use smtp::{Domain, Host};
use std::net::IpAddr;

/// How TLS went with a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tls {
    /// There was some; perhaps with a certificate that proved nothing.
    Secured(Option<Flaw>),
    /// There was none: it is not offered.
    NotOffered,
    /// It failed, for this reason.
    Failed(Flaw, String),
}

/// Counts a new connection to a host that DNS names for this destination, from this address of ours.
pub(crate) fn observe(
    outbound: &Outbound,
    (destination, target): (&Host, &Target),
    sender: Option<IpAddr>,
    tls: &Tls,
) {
    let (Some(reports), Host::Domain(domain), None) = (&outbound.tls_reports, destination, &target.hop)
    else {
        return;
    };
    let now = (outbound.clock)();
    let (known, unfetched) = match &outbound.policies {
        Some(policies) => (policies.current(domain, now), policies.failure(domain, now)),
        None => (None, None),
    };
    let failure = |(result_type, reason): (ResultType, String)| Failure {
        result_type,
        sending_mta_ip: sender,
        receiving_mx_hostname: Some(target.host.to_string()),
        receiving_ip: target.address.ip().map(|address| address.ip()),
        failure_reason_code: reason,
    };
    let policy = policy(domain, target, known.as_ref());
    let trouble = match tls {
        // Where a policy is kept to, there is no session without a proof; where it is being tested, there is.
        Tls::Secured(Some(flaw)) if policy.policy_type == PolicyType::Sts => {
            Some((result(*flaw), String::new()))
        }
        Tls::Secured(_) => match &known {
            Some(known) if policy.policy_type == PolicyType::Sts && !known.allows(&target.host) => {
                Some((ResultType::ValidationFailure, NOT_NAMED.to_owned()))
            }
            _ => None,
        },
        Tls::NotOffered => Some((ResultType::StarttlsNotSupported, String::new())),
        Tls::Failed(flaw, why) => Some((result(*flaw), why.clone())),
    };
    reports.count(now, domain.ascii(), policy, trouble.map(failure));
    if let Some(error) = unfetched {
        let policy = Policy { policy_type: PolicyType::Sts, ..without(domain) };
        reports.count(now, domain.ascii(), policy, Some(failure((fetching(&error), error.to_string()))));
    }
}

/// Counts hosts that a domain's MTA-STS policy does not name, and that get no mail for it.
pub(crate) fn left_out(outbound: &Outbound, domain: &Domain, hosts: &[Target]) {
    let (Some(reports), Some(policies)) = (&outbound.tls_reports, &outbound.policies) else { return };
    let now = (outbound.clock)();
    let Some(known) = policies.current(domain, now) else { return };
    for target in hosts {
        let failure = Failure {
            result_type: ResultType::ValidationFailure,
            sending_mta_ip: None,
            receiving_mx_hostname: Some(target.host.to_string()),
            receiving_ip: target.address.ip().map(|address| address.ip()),
            failure_reason_code: NOT_NAMED.to_owned(),
        };
        reports.count(now, domain.ascii(), policy(domain, target, Some(&known)), Some(failure));
    }
}

fn without(domain: &Domain) -> Policy {
    Policy {
        policy_type: PolicyType::NoPolicyFound,
        policy_string: Vec::new(),
        policy_domain: domain.ascii().to_owned(),
        mx_host: Vec::new(),
    }
}

/// DANE comes first (RFC 8461 §2).
fn policy(domain: &Domain, target: &Target, known: Option<&mta_sts::Policy>) -> Policy {
    match (&target.security.level, known) {
        (Level::Dane(dane), _) => Policy {
            policy_type: PolicyType::Tlsa,
            policy_string: dane.records.iter().map(record).collect(),
            policy_domain: dane.names.first().cloned().unwrap_or_else(|| target.host.to_string()),
            mx_host: Vec::new(),
        },
        // Its records cannot be used, and still ask for TLS.
        (Level::Encrypted, _) => Policy {
            policy_type: PolicyType::Tlsa,
            policy_domain: target.host.to_string(),
            ..without(domain)
        },
        (_, Some(known)) => Policy {
            policy_type: PolicyType::Sts,
            policy_string: known.lines(),
            mx_host: known.hosts.clone(),
            ..without(domain)
        },
        (_, None) => without(domain),
    }
}

fn record(record: &Tlsa) -> String {
    format!("{record} {}", data_encoding::HEXLOWER.encode(&record.data))
}

fn result(flaw: Flaw) -> ResultType {
    match flaw {
        Flaw::NotOffered => ResultType::StarttlsNotSupported,
        Flaw::OtherName => ResultType::CertificateHostMismatch,
        Flaw::Expired => ResultType::CertificateExpired,
        Flaw::NotTrusted => ResultType::CertificateNotTrusted,
        Flaw::Other => ResultType::ValidationFailure,
    }
}

fn fetching(error: &FetchError) -> ResultType {
    match error {
        FetchError::Web(crate::https::HttpsError::Untrusted(_)) => ResultType::StsWebpkiInvalid,
        FetchError::Web(crate::https::HttpsError::Unreachable(_)) | FetchError::Answer(_) => {
            ResultType::StsPolicyFetchError
        }
        FetchError::Invalid(_) => ResultType::StsPolicyInvalid,
    }
}

const NOT_NAMED: &str = "the policy does not name this host";
