use super::*;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::time::Duration;

const DAY: u64 = 24 * 3600;

/// 2026-11-22.
fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(20_779 * DAY))
}

/// A chain of three, the host's own first: it is for `mx.example` and counts in 2026.
struct Chain {
    own: Certificate,
    middle: Certificate,
    root: Certificate,
}

impl Chain {
    fn new(name: &str, year_of_end: i32) -> Chain {
        let authority = |name: &str| {
            let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(DnType::CommonName, name);
            (parameters, KeyPair::generate().expect("randomness"))
        };
        let (root, root_key) = authority("root");
        let (middle, middle_key) = authority("middle");
        let key = KeyPair::generate().expect("randomness");
        let mut own = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        own.not_before = date_time_ymd(2020, 1, 1);
        own.not_after = date_time_ymd(year_of_end, 1, 1);
        let root_certificate = root.self_signed(&root_key).expect("a certificate");
        let root_issuer = Issuer::new(root, root_key);
        let middle_certificate = middle.signed_by(&middle_key, &root_issuer).expect("a certificate");
        let middle_issuer = Issuer::new(middle, middle_key);
        Chain {
            own: own.signed_by(&key, &middle_issuer).expect("a certificate"),
            middle: middle_certificate,
            root: root_certificate,
        }
    }

    fn verify(&self, records: Vec<Tlsa>) -> Result<String, String> {
        let dane = Dane { records, names: vec!["mx.example".to_owned(), "domain.example".to_owned()] };
        dane.verify(&[self.own.der(), self.middle.der(), self.root.der()], now())
            .map_err(|error| error.to_string())
    }
}

fn record(usage: u8, selector: u8, matching: u8, certificate: &Certificate) -> Tlsa {
    let selected = match selector {
        0 => certificate.der().to_vec(),
        _ => public_key(certificate.der()).expect("it has one"),
    };
    let data = match matching {
        0 => selected,
        1 => digest(&SHA256, &selected).as_ref().to_vec(),
        _ => digest(&SHA512, &selected).as_ref().to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

#[test]
fn a_certificate_is_named_in_every_way_there_is() {
    let chain = Chain::new("mx.example", 2030);
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            for (usage, certificate) in [(3, &chain.own), (2, &chain.middle), (2, &chain.root)] {
                let record = record(usage, selector, matching, certificate);
                assert!(record.is_usable(), "{record}");
                assert_eq!(chain.verify(vec![record.clone()]), Ok(format!("DANE ({record})")));
            }
        }
    }
}

#[test]
fn another_certificate_is_refused_however_it_is_named() {
    let (chain, other) = (Chain::new("mx.example", 2030), Chain::new("mx.example", 2030));
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            for (usage, certificate) in
                [(3, &other.own), (2, &other.middle), (2, &other.root), (3, &chain.middle), (2, &chain.own)]
            {
                let record = record(usage, selector, matching, certificate);
                assert!(chain.verify(vec![record.clone()]).is_err(), "{record}");
            }
        }
    }
    let good = record(3, 1, 1, &chain.own);
    assert!(chain.verify(vec![record(3, 1, 1, &other.own), good]).is_ok(), "one of several is enough");
}

#[test]
fn names_and_time_matter_with_an_authority_alone() {
    let stranger = Chain::new("stranger.example", 2030);
    let expired = Chain::new("mx.example", 2025);
    for chain in [&stranger, &expired] {
        assert!(chain.verify(vec![record(3, 1, 1, &chain.own)]).is_ok(), "RFC 7672 §3.1.1");
        assert!(chain.verify(vec![record(2, 1, 1, &chain.middle)]).is_err(), "RFC 7672 §3.1.2");
    }
    let domain = Chain::new("domain.example", 2030);
    assert!(
        domain.verify(vec![record(2, 1, 1, &domain.middle)]).is_ok(),
        "RFC 7672 §3.2.2: the domain's name will do"
    );
}

#[test]
fn an_authority_that_is_not_sent_counts_when_dns_has_it_whole() {
    let chain = Chain::new("mx.example", 2030);
    let sent = [chain.own.der(), chain.middle.der()];
    for (matching, good) in [(0, true), (1, false), (2, false)] {
        let dane =
            Dane { records: vec![record(2, 0, matching, &chain.root)], names: vec!["mx.example".to_owned()] };
        assert_eq!(dane.verify(&sent, now()).is_ok(), good, "{matching}");
    }
}

#[test]
fn what_cannot_be_met_is_not_usable() {
    let usable = |usage, selector, matching, length| {
        Tlsa { usage, selector, matching, data: vec![0; length] }.is_usable()
    };
    assert!(usable(3, 1, 1, 32) && usable(2, 0, 2, 64) && usable(3, 0, 0, 900));
    for (usage, selector, matching, length) in [
        (0, 1, 1, 32),
        (1, 1, 1, 32),
        (4, 1, 1, 32),
        (255, 1, 1, 32),
        (3, 2, 1, 32),
        (3, 1, 3, 32),
        (3, 1, 1, 31),
        (2, 0, 2, 32),
        (3, 0, 0, 0),
    ] {
        assert!(!usable(usage, selector, matching, length), "{usage} {selector} {matching} {length}");
    }
}
