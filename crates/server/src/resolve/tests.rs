use super::*;
use crate::deliver::secure::Level;

/// What DNS says, and where mail then goes, preference and address each; or the reply.
async fn decide(host: &str, dns: &Table, private: &[&str]) -> Result<Vec<String>, String> {
    let terms = terms(private);
    let shown = |target: Target| format!("{} {} {}", target.preference, target.host, target.address);
    match targets(dns, &host.parse().expect("a host"), &terms).await {
        Ok(targets) => Ok(targets.into_iter().map(shown).collect()),
        Err(reply) => Err(reply.to_string()),
    }
}

/// The usual terms, with these private networks.
pub(super) fn terms(private: &[&str]) -> Terms {
    Terms {
        own_name: Domain::parse("mail.example.org").expect("a domain"),
        ours: Ours::default(),
        port: 25,
        private: Private {
            allowed: private.iter().map(|network| network.parse().expect("a network")).collect(),
        },
    }
}

/// Names with what there is: `MX 10 name`, `A address`, or a failure.
pub(super) struct Table(pub(super) &'static [(&'static str, &'static [&'static str])]);

impl Table {
    fn find<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Answer<Vec<T>> {
        let Some((_, records)) = self.0.iter().find(|(known, _)| *known == name) else {
            return Lookup::NoName.into();
        };
        if records.contains(&"SERVFAIL") {
            return Lookup::Failed("SERVFAIL".to_owned()).into();
        }
        let found: Vec<T> = records.iter().filter_map(|record| read(record)).collect();
        let authenticity = match records.contains(&"signed") {
            true => Authenticity::Proven,
            false => Authenticity::Unknown,
        };
        let canonical = records.iter().find_map(|record| record.strip_prefix("CNAME ")).map(str::to_owned);
        let lookup = if found.is_empty() { Lookup::NoRecords } else { Lookup::Found(found) };
        Answer { lookup, authenticity, canonical }
    }
}

#[async_trait]
impl Dns for Table {
    async fn exchanges(&self, domain: &Domain) -> Answer<Vec<Exchange>> {
        self.find(domain.ascii(), |record| {
            let (preference, name) = record.strip_prefix("MX ")?.split_once(' ')?;
            Some(Exchange { preference: preference.parse().expect("a number"), name: name.to_owned() })
        })
    }

    async fn addresses(&self, name: &str) -> Answer<Vec<IpAddr>> {
        self.find(name, |record| Some(record.strip_prefix("A ")?.parse().expect("an address")))
    }

    async fn associations(&self, name: &str) -> Answer<Vec<Tlsa>> {
        self.find(name, |record| {
            let numbers: Vec<u8> =
                record.strip_prefix("TLSA ")?.split(' ').map(|n| n.parse().expect("a number")).collect();
            Some(Tlsa {
                usage: numbers[0],
                selector: numbers[1],
                matching: numbers[2],
                data: vec![0; numbers[3].into()],
            })
        })
    }

    async fn texts(&self, _name: &str) -> Answer<Vec<String>> {
        Lookup::NoRecords.into()
    }
}

const HOSTS: [(&str, &[&str]); 4] = [
    ("mx1", &["A 203.0.0.1"]),
    ("mx2", &["A 203.0.0.2", "A 2600::2"]),
    ("inside", &["A 10.0.0.1"]),
    ("broken", &["SERVFAIL"]),
];

#[tokio::test]
async fn mail_goes_where_dns_says() {
    for (host, records, expected) in [
        (
            "a.example",
            &["MX 20 mx2", "MX 10 mx1"][..],
            &["10 mx1 203.0.0.1:25", "20 mx2 [2600::2]:25", "20 mx2 203.0.0.2:25"][..],
        ),
        // RFC 5321 §5.1: without MX the domain itself.
        ("a.example", &["A 203.0.0.9"], &["0 a.example 203.0.0.9:25"]),
        // An address is asked about once, though two hosts have it.
        ("a.example", &["MX 10 mx1", "MX 20 mx1"], &["10 mx1 203.0.0.1:25"]),
        // What cannot be used does not hide what can.
        (
            "a.example",
            &["MX 5 inside", "MX 6 broken", "MX 7 gone", "MX 8 192.0.2.1", "MX 9 ", "MX 10 mx1"],
            &["10 mx1 203.0.0.1:25"],
        ),
        // We are one of the hosts: those that are no better than us would send it back (RFC 5321 §5.1).
        (
            "a.example",
            &["MX 10 mx1", "MX 20 Mail.example.org", "MX 20 mx2", "MX 30 mx2"],
            &["10 mx1 203.0.0.1:25"],
        ),
    ] {
        let table: &'static [(&str, &[&str])] =
            Vec::leak(HOSTS.into_iter().chain([(host, records)]).collect());
        let got = decide(host, &Table(table), &[]).await;
        assert_eq!(got.expect("there is a way"), expected, "{records:?}");
    }
}

#[tokio::test]
async fn failures_are_for_now_or_for_good() {
    for (records, expected) in [
        (None, "550 5.1.2 The domain a.example does not exist"),
        (Some(&["SERVFAIL"][..]), "451 4.4.3 The mail hosts of a.example cannot be found now: SERVFAIL"),
        (Some(&["MX 0 "]), "556 5.1.10 The domain a.example accepts no mail (null MX)"),
        (
            Some(&["MX 10 192.0.2.1"]),
            "550 5.4.4 The 1 MX records of a.example name no host (an IP address is none)",
        ),
        (
            Some(&["MX 10 ", "MX 20 "]),
            "550 5.4.4 The 2 MX records of a.example name no host (an IP address is none)",
        ),
        (
            Some(&["MX 10 mail.example.org", "MX 20 mx1"]),
            "554 5.4.6 Mail for a.example loops back to this host: DNS names it as the best mail host",
        ),
        (
            Some(&["MX 10 inside"]),
            "550 5.4.4 The mail hosts of a.example have private addresses only (10.0.0.1), which are not used from public DNS",
        ),
        (Some(&["MX 10 gone"]), "550 5.4.4 No mail host of a.example has an address"),
        (Some(&["TXT"]), "550 5.4.4 No mail host of a.example has an address"),
        (
            Some(&["MX 10 gone", "MX 20 broken"]),
            "451 4.4.3 The mail hosts of a.example cannot be found now: SERVFAIL",
        ),
        (
            Some(&["MX 10 inside", "MX 20 broken"]),
            "451 4.4.3 The mail hosts of a.example cannot be found now: SERVFAIL",
        ),
    ] {
        let domain = records.map(|records| ("a.example", records));
        let table: &'static [(&str, &[&str])] = Vec::leak(HOSTS.into_iter().chain(domain).collect());
        assert_eq!(decide("a.example", &Table(table), &[]).await, Err(expected.to_owned()), "{records:?}");
    }
}

/// The same by a server behind 203.0.0.1, which listens at 2600::2 as well.
async fn decide_at_home(host: &str, records: &'static [&'static str]) -> Result<Vec<String>, String> {
    let ours = Ours {
        addresses: vec!["203.0.0.1".parse().expect("an address")],
        listeners: vec!["[2600::2]:25".parse().expect("an address")],
        ..Ours::default()
    };
    let terms = Terms { ours, ..terms(&[]) };
    let better: (&str, &[&str]) = ("better", &["A 203.0.0.7"]);
    let table: &'static [(&str, &[&str])] =
        Vec::leak(HOSTS.into_iter().chain([better, ("a.example", records)]).collect());
    let shown = |target: Target| format!("{} {} {}", target.preference, target.host, target.address);
    match targets(&Table(table), &host.parse().expect("a host"), &terms).await {
        Ok(targets) => Ok(targets.into_iter().map(shown).collect()),
        Err(reply) => Err(reply.to_string()),
    }
}

#[tokio::test]
async fn hosts_at_our_own_addresses_are_us_under_any_name() {
    let only_better = Ok(vec!["5 better 203.0.0.7:25".to_owned()]);
    let loops = |name: &str, address: &str| {
        Err(format!(
            "554 5.4.6 Mail for a.example loops back to this host: DNS names {name} as the best mail host, and {address} is an address of this server"
        ))
    };
    for (records, expected) in [
        (&["MX 5 better", "MX 10 mx1", "MX 20 mx2"][..], only_better.clone()),
        (&["MX 5 better", "MX 10 mx2", "MX 20 broken"], only_better),
        (&["MX 10 mx1", "MX 20 better"], loops("mx1", "203.0.0.1")),
        (&["MX 10 better", "MX 10 mx1"], loops("mx1", "203.0.0.1")),
        (&["MX 10 mx2"], loops("mx2", "2600::2")),
        (&["A 203.0.0.1"], loops("a.example", "203.0.0.1")),
    ] {
        assert_eq!(decide_at_home("a.example", records).await, expected, "{records:?}");
    }
    let reply = decide_at_home("[203.0.0.1]", &[]).await.expect_err("it is us");
    assert_eq!(
        reply,
        "554 5.4.6 Mail for [203.0.0.1] loops back to this host: it is an address of this server"
    );
}

#[tokio::test]
async fn literals_stand_for_themselves() {
    let dns = Table(&HOSTS);
    assert_eq!(decide("[203.0.0.1]", &dns, &[]).await, Ok(vec!["0 [203.0.0.1] 203.0.0.1:25".to_owned()]));
    assert_eq!(
        decide("[IPv6:2600::1]", &dns, &[]).await,
        Ok(vec!["0 [IPv6:2600::1] [2600::1]:25".to_owned()])
    );
    for literal in ["[127.0.0.1]", "[10.0.0.1]", "[IPv6:::1]", "[x-foo:bar]"] {
        let reply = decide(literal, &dns, &[]).await.expect_err(literal);
        assert!(reply.starts_with("550 5.4.4 "), "{reply}");
    }
}

#[tokio::test]
async fn private_hosts_are_reached_where_that_is_allowed() {
    let table = Table(&[("a.example", &["MX 10 inside"]), ("inside", &["A 10.0.0.1", "A 127.0.0.1"])]);
    assert_eq!(
        decide("a.example", &table, &["10.0.0.0/8"]).await,
        Ok(vec!["10 inside 10.0.0.1:25".to_owned()])
    );
    assert_eq!(decide("[127.0.0.1]", &table, &["127.0.0.0/8"]).await.expect("allowed").len(), 1);
}

/// How the only target is to be secured: the level, and for DANE the number of records and the names.
async fn secured(records: &[(&'static str, &'static [&'static str])]) -> Result<String, String> {
    let table: &'static [(&str, &[&str])] = Vec::leak(records.to_vec());
    let found = targets(&Table(table), &"a.example".parse().expect("a host"), &terms(&[])).await;
    let found = found.map_err(|reply| reply.to_string())?;
    Ok(match &found[0].security.level {
        Level::Dane(dane) => format!("Dane {} {}", dane.records.len(), dane.names.join(" ")),
        level => format!("{level:?}"),
    })
}

#[tokio::test]
async fn dane_needs_proof_all_the_way() {
    let mx: (&str, &[&str]) = ("a.example", &["signed", "MX 10 mx"]);
    let host: (&str, &[&str]) = ("mx", &["signed", "A 203.0.0.1"]);
    let tlsa: (&str, &[&str]) = ("_25._tcp.mx", &["signed", "TLSA 3 1 1 32", "TLSA 1 0 1 32"]);
    for (records, expected) in [
        (&[mx, host, tlsa][..], "Dane 1 mx a.example"),
        // Something on the way is not signed.
        (&[("a.example", &["MX 10 mx"]), host, tlsa], "Opportunistic"),
        (&[mx, ("mx", &["A 203.0.0.1"]), tlsa], "Opportunistic"),
        (&[mx, host, ("_25._tcp.mx", &["TLSA 3 1 1 32"])], "Opportunistic"),
        (&[mx, host], "Opportunistic"),
        // RFC 7672 §2.2: what cannot be used still says that there is TLS.
        (&[mx, host, ("_25._tcp.mx", &["signed", "TLSA 0 0 1 32"])], "Encrypted"),
        (
            &[mx, host, ("_25._tcp.mx", &["signed", "TLSA 3 1 1 31", "TLSA 3 2 1 32", "TLSA 3 1 3 32"])],
            "Encrypted",
        ),
        // Without MX the domain is the host.
        (
            &[
                ("a.example", &["signed", "A 203.0.0.1"]),
                ("_25._tcp.a.example", &["signed", "TLSA 2 0 2 64"]),
            ],
            "Dane 1 a.example",
        ),
        // RFC 7672 §2.2.2: the name behind an alias first, then the alias.
        (
            &[
                mx,
                ("mx", &["signed", "CNAME real", "A 203.0.0.1"]),
                ("_25._tcp.real", &["signed", "TLSA 3 1 1 32"]),
                tlsa,
            ],
            "Dane 1 real mx a.example",
        ),
        (&[mx, ("mx", &["signed", "CNAME real", "A 203.0.0.1"]), tlsa], "Dane 1 mx a.example"),
    ] {
        assert_eq!(secured(records).await.expect("there is a way"), expected, "{records:?}");
    }
}

#[tokio::test]
async fn records_that_cannot_be_known_keep_mail_from_a_host() {
    let mx: (&str, &[&str]) = ("a.example", &["signed", "MX 10 mx", "MX 20 other"]);
    let host: (&str, &[&str]) = ("mx", &["signed", "A 203.0.0.1"]);
    let broken: (&str, &[&str]) = ("_25._tcp.mx", &["SERVFAIL"]);
    let reply = secured(&[mx, host, broken]).await.expect_err("there is no way");
    assert!(reply.starts_with("451 4.4.3 ") && reply.contains("(TLSA) cannot be known: SERVFAIL"), "{reply}");
    let other: (&str, &[&str]) = ("other", &["A 203.0.0.2"]);
    assert_eq!(secured(&[mx, host, broken, other]).await.as_deref(), Ok("Opportunistic"));
}
