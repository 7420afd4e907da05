//! How many reports one address elsewhere gets within a time. Who writes somebody else's address into MAIL, again and again, has the reports sent to
//! them (backscatter): beyond this bound they are not. Failures have the bound to themselves, so that no number of other reports silences them.
//! Addresses with a mailbox here have no bound, for who writes there was checked.
//!
//! What is left out is said in the log and kept with the delivery, for `posthaste explain`. In memory, and bounded.

use super::Kind;
use crate::abuse::{Meter, Moment, Rate};
use crate::settings::RateText;
use smtp::Mailbox;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use store::Timestamp;

/// The bound, and how much of it is used by whom.
#[derive(Debug)]
pub struct ReportRate {
    rate: Option<Rate>,
    used: Mutex<HashMap<String, Used>>,
}

/// What one address was sent.
#[derive(Debug, Default)]
struct Used {
    failures: Meter,
    others: Meter,
}

impl Used {
    /// What counts a report of this kind, and when all is forgotten.
    fn meter(&mut self, kind: Kind) -> &mut Meter {
        match kind {
            Kind::Failed => &mut self.failures,
            Kind::Delayed | Kind::Relayed | Kind::Delivered | Kind::Expanded => &mut self.others,
        }
    }
}

impl ReportRate {
    /// So many about failures to one address, and as many others; any number when `None`.
    pub fn new(rate: Option<Rate>) -> ReportRate {
        ReportRate { rate, used: Mutex::default() }
    }

    /// Counts a report to this address, or says why there must be none.
    pub(super) fn take(&self, to: &Mailbox, kind: Kind, now: Timestamp) -> Result<(), String> {
        let Some(rate) = self.rate else { return Ok(()) };
        let now = Moment::default().after(Duration::from_millis(now.0.unsigned_abs()));
        let mut used = self.used.lock().expect("no holder of this lock panics");
        if used.len() >= KNOWN_MAX {
            used.retain(|_, used| used.failures.empty_at().max(used.others.empty_at()) > now);
        }
        if used.len() >= KNOWN_MAX {
            // So many at a time are not one victim: forgetting what they had is better than keeping who came first.
            used.clear();
        }
        used.entry(name(to)).or_default().meter(kind).take(rate, 1, now).map_err(|_| {
            let rate = RateText(Some(rate));
            format!("that address was sent {rate} reports of that sort already, and no address elsewhere gets more (`reports_per_sender`)")
        })
    }

    /// A report that was counted did not come to be.
    pub(super) fn give_back(&self, to: &Mailbox, kind: Kind) {
        let Some(rate) = self.rate else { return };
        if let Some(used) = self.used.lock().expect("no holder of this lock panics").get_mut(&name(to)) {
            used.meter(kind).give_back(rate, 1);
        }
    }
}

fn name(to: &Mailbox) -> String {
    to.to_string().to_ascii_lowercase()
}

/// The most addresses that are remembered: about a megabyte.
const KNOWN_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn to(address: &str) -> Mailbox {
        Mailbox::parse(address).expect("an address")
    }

    #[test]
    fn each_address_has_a_bound_of_its_own_that_comes_free_again() {
        let bound = ReportRate::new(Some(Rate { amount: 2, window: Duration::from_secs(60) }));
        let take =
            |address: &str, seconds: i64| bound.take(&to(address), Kind::Failed, Timestamp(seconds * 1000));
        assert_eq!((take("a@b.example", 1), take("A@B.example", 1)), (Ok(()), Ok(())));
        let why = take("a@b.example", 1).expect_err("it is the third");
        assert!(why.contains("2/m"), "{why}");
        assert_eq!(take("c@b.example", 1), Ok(()));
        assert_eq!(take("a@b.example", 31), Ok(()));
        let free = ReportRate::new(None);
        assert!((0..10_000).all(|_| free.take(&to("a@b.example"), Kind::Failed, Timestamp(0)).is_ok()));
    }

    #[test]
    fn other_reports_take_nothing_from_failures_nor_does_what_never_came_to_be() {
        let bound = ReportRate::new(Some(Rate { amount: 2, window: Duration::from_secs(60) }));
        let take = |kind| bound.take(&to("a@b.example"), kind, Timestamp(0)).is_ok();
        assert_eq!([Kind::Delayed, Kind::Relayed, Kind::Delivered].map(take), [true, true, false]);
        assert_eq!([Kind::Failed; 3].map(take), [true, true, false]);
        bound.give_back(&to("A@b.example"), Kind::Failed);
        assert_eq!([Kind::Failed, Kind::Failed, Kind::Delayed].map(take), [true, false, false]);
    }

    #[test]
    fn memory_is_bounded() {
        let bound = ReportRate::new(Some(Rate { amount: 1, window: Duration::from_secs(60) }));
        for number in 0..3 * KNOWN_MAX {
            assert_eq!(bound.take(&to(&format!("a{number}@b.example")), Kind::Failed, Timestamp(0)), Ok(()));
        }
        assert!(bound.used.lock().expect("not poisoned").len() <= KNOWN_MAX);
    }
}
