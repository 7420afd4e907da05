//! How much of something may happen: a rate as an operator sets it, and a meter that holds how much of it is used.
//!
//! A meter is the generic cell rate algorithm (ITU-T I.371, which is a token bucket turned round): it keeps one moment, the one at which
//! all that happened so far will be forgotten. So it is eight bytes, never needs a timer, and a meter whose moment is past is the same
//! as none at all, which is what lets a [`Table`](super::table::Table) drop it without loss.

use std::time::{Duration, Instant};

/// So much within a length of time. The whole of it may come at once; it then becomes free again evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How much; at least 1.
    pub amount: u64,
    /// Within how long.
    pub window: Duration,
}

/// A moment, in nanoseconds since a server's counters began: half the size of an [`Instant`], and with a zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(crate) struct Moment(u64);

/// The moment that [`Moment`]s count from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch(Instant);

/// How much of a rate is used; the default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Meter {
    /// When everything is forgotten.
    empty_at: Moment,
}

impl Rate {
    /// The same window with `factor` times as much in it.
    pub(super) fn times(self, factor: u64) -> Rate {
        Rate { amount: self.amount.saturating_mul(factor), window: self.window }
    }

    /// How long `amount` takes to be forgotten, in nanoseconds.
    fn cost(self, amount: u64) -> u64 {
        let cost = u128::from(amount) * self.window.as_nanos() / u128::from(self.amount.max(1));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }
}

impl Epoch {
    pub(crate) fn new(now: Instant) -> Epoch {
        Epoch(now)
    }

    /// A moment before the first counts as the first.
    pub(crate) fn at(self, now: Instant) -> Moment {
        Moment::default().after(now.saturating_duration_since(self.0))
    }
}

impl Moment {
    pub(crate) fn after(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(nanoseconds(span)))
    }

    /// How long from `earlier` to this; nothing when it is not earlier.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Meter {
    /// Adds `amount` if the rate has room for it, or says how long to wait until it has.
    pub(crate) fn take(&mut self, rate: Rate, amount: u64, now: Moment) -> Result<(), Duration> {
        let mut filled = *self;
        match filled.add(rate, amount, now) {
            Some(over) => Err(over),
            None => {
                *self = filled;
                Ok(())
            }
        }
    }

    /// Adds `amount` whether there is room or not, and says by how long the rate is exceeded, if it is.
    pub(crate) fn add(&mut self, rate: Rate, amount: u64, now: Moment) -> Option<Duration> {
        let empty_at = Moment(self.empty_at.max(now).0.saturating_add(rate.cost(amount)));
        let full = now.after(rate.window);
        // What is beyond twice the rate is not kept: it would be held against somebody for longer than anybody chose.
        self.empty_at = empty_at.min(full.after(rate.window));
        Some(empty_at.since(full)).filter(|over| !over.is_zero())
    }

    /// Takes back what was taken and not used.
    pub(crate) fn give_back(&mut self, rate: Rate, amount: u64) {
        self.empty_at = Moment(self.empty_at.0.saturating_sub(rate.cost(amount)));
    }

    /// How long until there is room again; `None` when there is some.
    pub(super) fn excess(self, rate: Rate, now: Moment) -> Option<Duration> {
        let over = self.empty_at.since(now.after(rate.window));
        Some(over).filter(|over| !over.is_zero())
    }

    /// When all of it is forgotten.
    pub(crate) fn empty_at(self) -> Moment {
        self.empty_at
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { amount: 3, window: Duration::from_secs(60) };

    fn at(seconds: u64) -> Moment {
        Moment::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn the_whole_rate_may_come_at_once_and_comes_back_evenly() {
        let mut meter = Meter::default();
        for _ in 0..3 {
            assert_eq!(meter.take(RATE, 1, at(100)), Ok(()));
        }
        assert_eq!(meter.take(RATE, 1, at(100)), Err(Duration::from_secs(20)), "and nothing is taken then");
        assert_eq!(meter.take(RATE, 1, at(119)), Err(Duration::from_secs(1)));
        let mut unused = meter;
        unused.give_back(RATE, 1);
        assert_eq!(unused.take(RATE, 1, at(100)), Ok(()));
        assert_eq!(meter.take(RATE, 1, at(120)), Ok(()));
        assert_eq!(meter.take(RATE, 2, at(200)), Ok(()));
    }

    #[test]
    fn what_is_added_anyway_is_told_and_bounded() {
        let mut meter = Meter::default();
        assert_eq!(meter.add(RATE, 3, at(0)), None);
        assert_eq!(meter.add(RATE, 1, at(0)), Some(Duration::from_secs(20)));
        assert_eq!(
            meter.add(RATE, u64::MAX, at(0)).map(|over| over > Duration::from_secs(1 << 30)),
            Some(true)
        );
        assert_eq!(meter.excess(RATE, at(0)), Some(Duration::from_secs(60)), "not longer than a window");
        assert_eq!(meter.excess(RATE, at(60)), None);
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_forgives_nothing_and_breaks_nothing() {
        let mut meter = Meter::default();
        assert_eq!(meter.take(RATE, 3, at(100)), Ok(()));
        assert!(meter.take(RATE, 1, at(50)).is_err());
        assert_eq!(meter.take(RATE, 1, at(121)), Ok(()));
        let epoch = Epoch::new(Instant::now() + Duration::from_secs(5));
        assert_eq!(epoch.at(Instant::now()), Moment::default());
    }
}
