//! How many reports one address elsewhere gets within a time. Who writes somebody else's address into MAIL, again and again, has the reports sent to
//! them (backscatter): beyond this bound they are not. Addresses with a mailbox here have no bound, for who writes there was checked.
//!
//! What is left out is said in the log and kept with the delivery, for `posthaste explain`. In memory, and bounded.

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
    used: Mutex<HashMap<String, Meter>>,
}

impl ReportRate {
    /// So many to one address; any number when `None`.
    pub fn new(rate: Option<Rate>) -> ReportRate {
        ReportRate { rate, used: Mutex::default() }
    }

    /// Counts a report to this address, or says why there must be none.
    pub(super) fn take(&self, to: &Mailbox, now: Timestamp) -> Result<(), String> {
        let Some(rate) = self.rate else { return Ok(()) };
        let now = Moment::default().after(Duration::from_millis(now.0.unsigned_abs()));
        let mut used = self.used.lock().expect("no holder of this lock panics");
        if used.len() >= KNOWN_MAX {
            used.retain(|_, meter| meter.empty_at() > now);
        }
        if used.len() >= KNOWN_MAX {
            // So many at a time are not one victim: forgetting what they had is better than keeping who came first.
            used.clear();
        }
        let meter = used.entry(to.to_string().to_ascii_lowercase()).or_default();
        meter.take(rate, 1, now).map_err(|_| {
            let rate = RateText(Some(rate));
            format!("that address was sent {rate} reports already, and no address elsewhere gets more (`reports_per_sender`)")
        })
    }
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
        let take = |address: &str, seconds: i64| bound.take(&to(address), Timestamp(seconds * 1000));
        assert_eq!((take("a@b.example", 1), take("A@B.example", 1)), (Ok(()), Ok(())));
        let why = take("a@b.example", 1).expect_err("it is the third");
        assert!(why.contains("2/m"), "{why}");
        assert_eq!(take("c@b.example", 1), Ok(()));
        assert_eq!(take("a@b.example", 31), Ok(()));
        let free = ReportRate::new(None);
        assert!((0..10_000).all(|_| free.take(&to("a@b.example"), Timestamp(0)).is_ok()));
    }

    #[test]
    fn memory_is_bounded() {
        let bound = ReportRate::new(Some(Rate { amount: 1, window: Duration::from_secs(60) }));
        for number in 0..3 * KNOWN_MAX {
            assert_eq!(bound.take(&to(&format!("a{number}@b.example")), Timestamp(0)), Ok(()));
        }
        assert!(bound.used.lock().expect("not poisoned").len() <= KNOWN_MAX);
    }
}
