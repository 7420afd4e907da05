//! What is remembered of other hosts' addresses: how quickly they answer, and whether they did.
//!
//! Preference is DNS's word and comes first. Among hosts of equal preference the healthy ones come before those that failed a moment
//! ago, and the quick ones before the slow; who is about as quick shares the load by chance. What is not known yet is tried early,
//! so that it becomes known. All of it is in memory, and bounded.

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
    /// Until when it counts as ill.
    ill_until: Timestamp,
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
    /// It failed a moment ago.
    Ill,
}

impl Health {
    /// Takes note of a connection that took this long.
    pub fn answered(&self, address: &Address, took: Duration, now: Timestamp) {
        let mut known = self.known();
        make_room(&mut known);
        let before = known.get(address).and_then(|known| known.connect);
        let connect = before.map_or(took, |before| (before * 3 + took) / 4);
        known.insert(address.clone(), Known { connect: Some(connect), ill_until: Timestamp(0), at: now });
    }

    /// Takes note of a host that could not be reached, or would not serve.
    pub fn failed(&self, address: &Address, now: Timestamp) {
        let mut known = self.known();
        make_room(&mut known);
        let connect = known.get(address).and_then(|known| known.connect);
        let ill_until = Timestamp(now.0.saturating_add(ILL_FOR));
        known.insert(address.clone(), Known { connect, ill_until, at: now });
    }

    /// What is known of an address at this moment.
    pub fn standing(&self, address: &Address, now: Timestamp) -> Standing {
        match self.known().get(address) {
            Some(known) if known.ill_until > now => Standing::Ill,
            Some(Known { connect: Some(connect), .. }) => Standing::Answers(*connect),
            Some(_) | None => Standing::Unknown,
        }
    }

    /// Puts targets in the order in which they are to be tried. `random` gives any number, each as likely.
    pub fn order(&self, targets: &mut [Target], now: Timestamp, random: &dyn Fn() -> u64) {
        shuffle(targets, random);
        let known = self.known();
        targets.sort_by_key(|target| {
            let (ill, speed) = match known.get(&target.address) {
                Some(known) => (known.ill_until > now, known.connect.map_or(0, speed)),
                None => (false, 0),
            };
            (target.preference, ill, speed)
        });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Address, Known>> {
        self.known.lock().expect("no holder of this lock panics")
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
/// How long a host that failed comes after the others, in milliseconds.
const ILL_FOR: i64 = 5 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::secure::Security;
    use std::cell::Cell;
    use std::net::SocketAddr;

    fn target(preference: u16, octet: u8) -> Target {
        let address = SocketAddr::from(([192, 0, 2, octet], 25)).into();
        Target {
            host: format!("mx{octet}.example").into(),
            preference,
            address,
            security: Security::default(),
            hop: None,
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
    fn preference_comes_before_speed_and_health() {
        let health = Health::default();
        let targets = [target(20, 1), target(10, 2), target(10, 3)];
        health.answered(&targets[0].address, Duration::from_millis(1), Timestamp(0));
        health.answered(&targets[1].address, Duration::from_millis(900), Timestamp(0));
        health.answered(&targets[2].address, Duration::from_millis(90), Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 1), [3, 2, 1]);
        health.failed(&targets[2].address, Timestamp(0));
        assert_eq!(order(&health, &targets, 1, 1), [2, 3, 1]);
        assert_eq!(order(&health, &targets, ILL_FOR, 1), [3, 2, 1], "it may have got well");
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
