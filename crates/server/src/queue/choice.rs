//! Why mail went to one host and not to another, in words: what `posthaste explain` tells of an attempt.

use crate::deliver::health::Standing;
use crate::resolve::{Address, Target};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What stands before a connection is made.
pub(super) struct Choice<'a> {
    /// The addresses of the best preference that is left, in the order in which they are tried, and what was known of them.
    pub(super) group: &'a [(Target, Standing)],
    /// Hosts of better preference that failed a moment ago.
    pub(super) ill: Vec<&'a str>,
    /// How many other addresses there are.
    pub(super) worse: usize,
    /// The hosts that came before, and did not take the mail.
    pub(super) passed: &'a [Passed],
}

/// A host that did not take the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    /// Its name.
    pub(super) host: Arc<str>,
    /// Where.
    pub(super) address: Address,
    /// Why not, in its words or in ours.
    pub(super) why: String,
}

impl Passed {
    pub(super) fn new(target: &Target, why: &str) -> Passed {
        let mut letters = why.chars();
        let mut why: String = letters.by_ref().take(WHY_MAX).collect();
        if letters.next().is_some() {
            why.push_str("...");
        }
        Passed { host: Arc::clone(&target.host), address: target.address.clone(), why }
    }
}

/// What came before the last host that was tried, when no connection could be made; nothing when that was the only one.
pub(super) fn in_vain(passed: &[Passed]) -> Option<String> {
    let (_, before) = passed.split_last().filter(|(_, before)| !before.is_empty())?;
    let choice = Choice { group: &[], ill: Vec::new(), worse: 0, passed: before };
    Some(format!("the last that was tried{}", choice.after()))
}

impl Choice<'_> {
    /// Why a new connection was made with a host, which took this long; from this address, if it was chosen.
    pub(super) fn connected(&self, took: Duration, from: Option<IpAddr>) -> String {
        let preference = self.group.first().map_or(0, |(target, _)| target.preference);
        let why = match (self.group, self.worse) {
            ([_], _) if !self.ill.is_empty() => format!("the best preference that is well, {preference}"),
            ([_], 0) if self.passed.is_empty() => "the only address of this destination".to_owned(),
            ([_], 0) => format!("the last that was left, preference {preference}"),
            ([_], _) => format!("the best preference, {preference}"),
            (group, _) => format!(
                "the first to answer of {} addresses with preference {preference}, tried in this order: {}",
                group.len(),
                order(group)
            ),
        };
        let after = self.after();
        let from = from.map_or(String::new(), |from| format!(" from {from}"));
        format!("{why}{after}; connected in {}{from}", milliseconds(took))
    }

    /// Why an open connection was used.
    pub(super) fn reused(&self) -> String {
        format!("a connection to it was open from mail before{}", self.after())
    }

    fn after(&self) -> String {
        let mut after = String::new();
        if !self.ill.is_empty() {
            after = format!("; {} failed lately", self.ill.join(", "));
        }
        if !self.passed.is_empty() {
            let one = |Passed { host, address, why }: &Passed| format!("{host} ({address}: {why})");
            let mut list: Vec<String> = self.passed.iter().take(SHOWN_MAX).map(one).collect();
            if self.passed.len() > SHOWN_MAX {
                list.push(format!("and {} more", self.passed.len() - SHOWN_MAX));
            }
            after = format!("{after}; {} did not take it", list.join(", "));
        }
        after
    }
}

fn order(group: &[(Target, Standing)]) -> String {
    let one = |(target, standing): &(Target, Standing)| {
        let known = match standing {
            Standing::Unknown => "not known yet".to_owned(),
            Standing::Answers(time) => milliseconds(*time),
            Standing::Slower(time) => format!("no answer within {} lately", milliseconds(*time)),
            Standing::Unwilling => "would not serve lately".to_owned(),
            Standing::Ill => "failed lately".to_owned(),
        };
        format!("{} ({}) {known}", target.host, target.address)
    };
    let mut list: Vec<String> = group.iter().take(SHOWN_MAX).map(one).collect();
    if group.len() > SHOWN_MAX {
        list.push(format!("and {} more", group.len() - SHOWN_MAX));
    }
    list.join(", ")
}

fn milliseconds(time: Duration) -> String {
    match time.as_micros() {
        micros if micros < 10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        micros => format!("{} ms", micros / 1000),
    }
}

/// Reasons are cut here, in characters.
const WHY_MAX: usize = 120;
/// So many addresses are named; of the others only their number is kept.
const SHOWN_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::secure::Security;
    use std::net::SocketAddr;

    fn target(host: &str, octet: u8) -> Target {
        let address = SocketAddr::from(([192, 0, 2, octet], 25)).into();
        Target {
            host: host.into(),
            preference: 10,
            address,
            security: Security::default(),
            hop: None,
            origin: Arc::default(),
        }
    }

    #[test]
    fn it_is_said_in_words() {
        let ms = Duration::from_millis;
        let one = [(target("a", 1), Standing::Unknown)];
        let three = [
            (target("a", 1), Standing::Unknown),
            (target("b", 2), Standing::Answers(ms(12))),
            (target("c", 3), Standing::Ill),
        ];
        for (group, worse, passed, expected) in [
            (&one[..], 0, &[][..], "the only address of this destination; connected in 1.5 ms"),
            (&one, 1, &[], "the best preference, 10; connected in 1.5 ms"),
            (
                &one,
                0,
                &[Passed::new(&target("x", 9), "no answer in time")],
                "the last that was left, preference 10; x (192.0.2.9:25: no answer in time) did not take it; connected in 1.5 ms",
            ),
            (
                &three,
                2,
                &[],
                "the first to answer of 3 addresses with preference 10, tried in this order: \
                 a (192.0.2.1:25) not known yet, b (192.0.2.2:25) 12 ms, c (192.0.2.3:25) failed lately; connected in 1.5 ms",
            ),
        ] {
            let choice = Choice { group, ill: Vec::new(), worse, passed };
            assert_eq!(choice.connected(Duration::from_micros(1500), None), expected);
        }
        let choice = Choice { group: &one, ill: vec!["x"], worse: 0, passed: &[] };
        assert_eq!(
            choice.connected(Duration::from_micros(1500), None),
            "the best preference that is well, 10; x failed lately; connected in 1.5 ms"
        );
        let many = vec![one[0].clone(); 9];
        let choice = Choice { group: &many, ill: Vec::new(), worse: 0, passed: &[] };
        assert!(
            choice
                .connected(ms(20), Some([192, 0, 2, 250].into()))
                .ends_with("not known yet, and 3 more; connected in 20 ms from 192.0.2.250")
        );
        let long = Passed::new(&target("x", 9), &"y".repeat(WHY_MAX + 1));
        assert_eq!(long.why.len(), WHY_MAX + 3, "no reason is without end");
        assert_eq!(choice.reused(), "a connection to it was open from mail before");
    }
}
