//! What is remembered of other hosts' addresses: how quickly they answer, and whether they did.
//!
//! Hosts that could not be spoken with a moment ago come after all others: a dead host is not waited for again and again while another one serves.
//! Among the rest preference is DNS's word and comes first; among hosts of equal preference come those that would serve before those that
//! would not a moment ago, the quick ones before the slow, and the
//! address families in turn (RFC 8305 §4). Who is about as quick shares the load by chance. What is not known yet is tried early, so that it becomes known, and
//! what others overtook counts as slow for a while. All of it is in memory, and bounded.

use crate::resolve::{Address, Target};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use store::Timestamp;

/// What is known of addresses.
#[derive(Debug, Default)]
pub struct Health {
    known: Mutex<HashMap<Address, Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// How long connecting takes, the latest times weighing most; `None` when it never worked.
    connect: Option<Duration>,
    /// How long it had not answered when another host was quicker, and until when that is believed.
    overtaken: Option<(Duration, Timestamp)>,
    /// Until when it counts as ill.
    ill_until: Timestamp,
    /// Until when it counts as unwilling.
    unwilling_until: Timestamp,
    /// When it was heard of last.
    at: Timestamp,
}

/// What is known of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Unknown,
    /// It answers after about this time.
    Answers(Duration),
    /// It had not answered after this time lately, and another one had.
    Slower(Duration),
    /// It answered a moment ago and would not serve.
    Unwilling,
    /// It could not be spoken with a moment ago.
    Ill,
}

impl Health {
    /// Takes note of a connection that took this long.
    pub fn answered(&self, address: &Address, took: Duration, now: Timestamp) {
        let mut known = self.known();
        make_room(&mut known);
        let before = known.get(address).and_then(|known| known.connect);
        let connect = before.map_or(took, |before| (before * 3 + took) / 4);
        // That it answers says nothing of whether it will serve.
        let unwilling_until = known.get(address).map_or(Timestamp(0), |known| known.unwilling_until);
        let ill_until = Timestamp(0);
        let known_now =
            Known { connect: Some(connect), overtaken: None, ill_until, unwilling_until, at: now };
        known.insert(address.clone(), known_now);
    }

    /// Takes note of a host that had not answered after this time, when another one did: it may be slow or silent.
    pub fn overtaken(&self, address: &Address, waited: Duration, now: Timestamp) {
        let overtaken = Some((waited, Timestamp(now.0.saturating_add(OVERTAKEN_FOR))));
        self.change(address, now, |before| Known { overtaken, ..before });
    }

    /// Takes note that a host that failed before is about to be tried again: others need not do so meanwhile.
    pub fn trying(&self, address: &Address, now: Timestamp) {
        if let Some(known) = self.known().get_mut(address).filter(|known| known.ill_until > Timestamp(0)) {
            known.ill_until = known.ill_until.max(Timestamp(now.0.saturating_add(TRIED_FOR)));
        }
    }

    /// Takes note of a host that could not be reached, or did not speak.
    pub fn failed(&self, address: &Address, now: Timestamp) {
        let ill_until = Timestamp(now.0.saturating_add(ILL_FOR));
        self.change(address, now, |before| Known { overtaken: None, ill_until, ..before });
    }

    /// Takes note of a host that answered and would not serve: it has no time for us, or is not as somebody's policy wants it. Others of its
    /// preference come first for a while; a worse preference is not taken for that (RFC 5321 §5.1).
    pub fn would_not(&self, address: &Address, now: Timestamp) {
        let unwilling_until = Timestamp(now.0.saturating_add(ILL_FOR));
        self.change(address, now, |before| Known { unwilling_until, ..before });
    }

    fn change(&self, address: &Address, now: Timestamp, change: impl FnOnce(Known) -> Known) {
        let mut known = self.known();
        make_room(&mut known);
        let before = known.get(address).copied().unwrap_or(Known::nothing(now));
        known.insert(address.clone(), Known { at: now, ..change(before) });
    }

    /// What is known of an address at this moment.
    pub fn standing(&self, address: &Address, now: Timestamp) -> Standing {
        match self.known().get(address) {
            Some(known) => known.standing(now),
            None => Standing::Unknown,
        }
    }

    /// Puts targets in the order in which they are to be tried. `random` gives any number, each as likely.
    pub fn order(&self, targets: &mut Vec<Target>, now: Timestamp, random: &dyn Fn() -> u64) {
        shuffle(targets, random);
        let mut ranked: Vec<(Target, Standing)> = {
            let known = self.known();
            let standing = |target: Target| {
                let standing =
                    known.get(&target.address).map_or(Standing::Unknown, |known| known.standing(now));
                (target, standing)
            };
            targets.drain(..).map(standing).collect()
        };
        ranked.sort_by_key(|(target, standing)| {
            (standing.is_ill(), target.preference, standing.rank(), standing.speed())
        });
        for equals in
            ranked.chunk_by(|(a, one), (b, other)| a.preference == b.preference && one.rank() == other.rank())
        {
            take_turns(equals.iter().map(|(target, _)| target.clone()), targets);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Address, Known>> {
        self.known.lock().expect("no holder of this lock panics")
    }
}

impl Known {
    /// What is known of a host before anything is.
    fn nothing(at: Timestamp) -> Known {
        let never = Timestamp(0);
        Known { connect: None, overtaken: None, ill_until: never, unwilling_until: never, at }
    }

    fn standing(&self, now: Timestamp) -> Standing {
        match (self.overtaken, self.connect) {
            _ if self.ill_until > now => Standing::Ill,
            _ if self.unwilling_until > now => Standing::Unwilling,
            (Some((waited, until)), connect) if until > now => {
                Standing::Slower(waited.max(connect.unwrap_or_default()))
            }
            (_, Some(connect)) => Standing::Answers(connect),
            (_, None) => Standing::Unknown,
        }
    }
}

impl Standing {
    /// Whether it could not be spoken with a moment ago.
    pub fn is_ill(self) -> bool {
        self == Standing::Ill
    }

    /// What comes first among hosts of one preference: those that may serve, those that would not, those that did not answer.
    pub fn rank(self) -> u8 {
        match self {
            Standing::Unknown | Standing::Answers(_) | Standing::Slower(_) => 0,
            Standing::Unwilling => 1,
            Standing::Ill => 2,
        }
    }

    fn speed(self) -> u32 {
        match self {
            Standing::Answers(time) | Standing::Slower(time) => speed(time),
            Standing::Unknown | Standing::Unwilling | Standing::Ill => 0,
        }
    }
}

/// Appends targets so that the address families alternate as long as there are several; within each the order stays, and the first stays first.
fn take_turns(targets: impl Iterator<Item = Target>, into: &mut Vec<Target>) {
    let is_six = |target: &Target| target.address.ip().is_some_and(|address| address.is_ipv6());
    let mut targets = targets.peekable();
    let first = targets.peek().is_some_and(is_six);
    let (these, those): (Vec<Target>, Vec<Target>) = targets.partition(|target| is_six(target) == first);
    let (mut these, mut those) = (these.into_iter(), those.into_iter());
    loop {
        let pair = [these.next(), those.next()];
        if pair == [None, None] {
            return;
        }
        into.extend(pair.into_iter().flatten());
    }
}

/// Times within a factor of two count as the same.
fn speed(connect: Duration) -> u32 {
    u64::try_from(connect.as_millis()).unwrap_or(u64::MAX).saturating_add(1).ilog2()
}

/// Fisher and Yates.
fn shuffle<T>(list: &mut [T], random: &dyn Fn() -> u64) {
    for last in (1..list.len()).rev() {
        list.swap(last, (random() % (last as u64 + 1)) as usize);
    }
}

/// Forgets the half that was not heard of for longest when there is too much.
fn make_room(known: &mut HashMap<Address, Known>) {
    if known.len() < KNOWN_MAX {
        return;
    }
    let mut ages: Vec<Timestamp> = known.values().map(|known| known.at).collect();
    let (_, median, _) = ages.select_nth_unstable(KNOWN_MAX / 2);
    let median = *median;
    known.retain(|_, known| known.at > median);
}

/// The most addresses that are remembered: some hundred kilobytes.
const KNOWN_MAX: usize = 8192;
/// How long a host that failed comes after the others, in milliseconds: what it put off by failing goes to it first when it is tried again.
const ILL_FOR: i64 = 4 * 60 * 1000;

/// How long it is believed that a host is slower than another, in milliseconds: RFC 8305 §9.2 has about this for what a race has told.
const OVERTAKEN_FOR: i64 = 10 * 60 * 1000;
/// How long others stay away from a host that is being tried again after it failed, in milliseconds: longer than connecting may take.
const TRIED_FOR: i64 = 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::secure::Security;
    use std::cell::Cell;
    use std::net::SocketAddr;
    use std::sync::Arc;

    fn target(preference: u16, octet: u8) -> Target {
        let address = SocketAddr::from(([192, 0, 2, octet], 25)).into();
        Target {
            host: format!("mx{octet}.example").into(),
            preference,
            address,
            security: Security::default(),
            hop: None,
            origin: Arc::default(),
        }
    }

    fn order(health: &Health, targets: &[Target], now: i64, seed: u64) -> Vec<u8> {
        let state = Cell::new(seed);
        let random = || {
            state.set(
                state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407),
            );
            state.get() >> 33
        };
        let mut targets = targets.to_vec();
        health.order(&mut targets, Timestamp(now), &random);
        targets.iter().map(|target| target.host.as_bytes()[2] - b'0').collect()
    }

    #[test]
    fn who_would_not_serve_comes_after_its_equals_only() {
        let health = Health::default();
        let targets = [target(20, 1), target(10, 2), target(10, 3)];
        for target in &targets {
            health.answered(&target.address, Duration::from_millis(9), Timestamp(0));
        }
        health.would_not(&targets[1].address, Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 1), [3, 2, 1]);
        health.would_not(&targets[2].address, Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 1)[2], 1, "a backup is for those that cannot be spoken with");
        health.answered(&targets[1].address, Duration::from_millis(9), Timestamp(2));
        assert_eq!(health.standing(&targets[1].address, Timestamp(3)), Standing::Unwilling);
        assert_eq!(
            health.standing(&targets[1].address, Timestamp(ILL_FOR)),
            Standing::Answers(Duration::from_millis(9))
        );
    }

    #[test]
    fn health_comes_before_preference_and_that_before_speed() {
        let health = Health::default();
        let targets = [target(20, 1), target(10, 2), target(10, 3)];
        health.answered(&targets[0].address, Duration::from_millis(1), Timestamp(0));
        health.answered(&targets[1].address, Duration::from_millis(900), Timestamp(0));
        health.answered(&targets[2].address, Duration::from_millis(90), Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 1), [3, 2, 1]);
        health.failed(&targets[2].address, Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 1), [2, 1, 3]);
        assert_eq!(order(&health, &targets, ILL_FOR, 1), [3, 2, 1], "it may have got well");
        health.failed(&targets[1].address, Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 1)[0], 1, "the backup serves while both are ill");
        health.trying(&targets[1].address, Timestamp(ILL_FOR));
        assert_eq!(
            order(&health, &targets, ILL_FOR + 1, 1),
            [3, 1, 2],
            "one tries whether it is well, the others do not"
        );
    }

    #[test]
    fn who_was_overtaken_comes_later_for_a_while() {
        let health = Health::default();
        let targets = [target(10, 1), target(10, 2)];
        health.answered(&targets[0].address, Duration::from_millis(30), Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 1), [2, 1], "not known yet");
        health.overtaken(&targets[1].address, Duration::from_millis(280), Timestamp(1));
        assert_eq!(
            health.standing(&targets[1].address, Timestamp(2)),
            Standing::Slower(Duration::from_millis(280))
        );
        assert_eq!(order(&health, &targets, 2, 1), [1, 2]);
        assert_eq!(order(&health, &targets, OVERTAKEN_FOR + 2, 1), [2, 1], "it may have become quicker");
        health.answered(&targets[1].address, Duration::from_millis(5), Timestamp(3));
        assert_eq!(order(&health, &targets, 4, 1), [2, 1]);
    }

    #[test]
    fn families_alternate_among_equals() {
        let health = Health::default();
        let six = |last: u16| {
            let ip = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
            let host = format!("mx{last}.example").into();
            Target { host, address: SocketAddr::from((ip, 25)).into(), ..target(10, 1) }
        };
        let targets = [six(1), six(2), six(3), six(4), six(5), target(10, 9)];
        for seed in 0..20 {
            let place = order(&health, &targets, 1, seed).iter().position(|one| *one == 9);
            assert!(place < Some(2), "{place:?}");
        }
    }

    #[test]
    fn equals_share_and_the_unknown_are_tried() {
        let health = Health::default();
        let targets = [target(10, 1), target(10, 2), target(10, 3)];
        health.answered(&targets[0].address, Duration::from_millis(40), Timestamp(0));
        health.answered(&targets[1].address, Duration::from_millis(50), Timestamp(0));
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let order = order(&health, &targets, 1, seed);
            assert_eq!(order[0], 3, "not known yet");
            firsts.insert(order[1]);
        }
        assert_eq!(firsts.into_iter().collect::<Vec<_>>(), [1, 2], "both come first at times");
    }

    #[test]
    fn speed_follows_the_latest_times() {
        let health = Health::default();
        let targets = [target(10, 1), target(10, 2)];
        health.answered(&targets[0].address, Duration::from_millis(10), Timestamp(0));
        health.answered(&targets[1].address, Duration::from_millis(60), Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 7), [1, 2]);
        for _ in 0..5 {
            health.answered(&targets[0].address, Duration::from_millis(800), Timestamp(0));
        }
        assert_eq!(order(&health, &targets, 1, 7), [2, 1]);
    }

    #[test]
    fn memory_is_bounded() {
        let health = Health::default();
        for number in 0..3 * KNOWN_MAX as u32 {
            let address = SocketAddr::from((number.to_be_bytes(), 25)).into();
            health.failed(&address, Timestamp(i64::from(number)));
        }
        let known = health.known();
        assert!(known.len() <= KNOWN_MAX);
        let newest: Address = SocketAddr::from(((3 * KNOWN_MAX as u32 - 1).to_be_bytes(), 25)).into();
        assert!(known.contains_key(&newest));
    }
}
