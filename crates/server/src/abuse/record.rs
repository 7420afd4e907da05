//! What one host, network or account did: a meter for each measure, and its bans.

use super::meter::{Meter, Moment, Rate};
use super::policy::{Measure, Policy};
use super::table::Record;
use std::time::Duration;

/// What somebody did lately.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    meters: [Meter; Measure::COUNT],
    bans: Bans,
}

#[derive(Debug, Default)]
struct Bans {
    /// The end of the last one.
    until: Moment,
    /// From when on the next one is as short as the first.
    forgotten_at: Moment,
    /// How many there were since they were forgotten.
    count: u32,
    last: Option<Measure>,
}

/// A ban in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ban {
    pub(super) measure: Measure,
    pub(super) left: Duration,
}

impl Deeds {
    /// The ban that is in force.
    pub(super) fn ban(&self, now: Moment) -> Option<Ban> {
        let measure = self.bans.last.filter(|_| self.bans.until > now)?;
        Some(Ban { measure, left: self.bans.until.since(now) })
    }

    /// Takes one if there is room, or says how long until there is.
    pub(super) fn take(&mut self, measure: Measure, rate: Rate, now: Moment) -> Result<(), Duration> {
        self.meters[measure as usize].take(rate, 1, now)
    }

    /// Adds what came anyway.
    pub(super) fn add(&mut self, measure: Measure, rate: Rate, amount: u64, now: Moment) {
        let _over = self.meters[measure as usize].add(rate, amount, now);
    }

    /// How much there was of something.
    pub(super) fn meter(&self, measure: Measure) -> Meter {
        self.meters[measure as usize]
    }

    /// How long until there is room, when there is none.
    pub(super) fn excess(&self, measure: Measure, rate: Rate, now: Moment) -> Option<Duration> {
        self.meters[measure as usize].excess(rate, now)
    }

    /// Counts an offence; says so if that made a ban. While one is in force nothing is counted: what was under way when it began does not
    /// make it longer.
    pub(super) fn offend(
        &mut self,
        measure: Measure,
        rate: Rate,
        policy: &Policy,
        now: Moment,
    ) -> Option<Ban> {
        if self.bans.until > now {
            return None;
        }
        self.meters[measure as usize].take(rate, 1, now).err()?;
        if self.bans.forgotten_at <= now {
            self.bans.count = 0;
        }
        let length = policy.ban.saturating_mul(1u32.checked_shl(self.bans.count).unwrap_or(u32::MAX));
        let length = length.min(policy.ban_max);
        let until = now.after(length);
        let forgotten_at = until.after(policy.ban_max);
        self.bans = Bans { until, forgotten_at, count: self.bans.count + 1, last: Some(measure) };
        // What led to it is paid for by it.
        self.meters[measure as usize] = Meter::default();
        Some(Ban { measure, left: length })
    }
}

impl Record for Deeds {
    fn forgiven_at(&self) -> Moment {
        // A ban is remembered for the same time beyond its end, whatever its length: so one in force always outlasts one that is over.
        let meters = self.meters.iter().map(|meter| meter.empty_at()).max().unwrap_or_default();
        meters.max(self.bans.forgotten_at)
    }
}
