//! When a delivery is tried again, and when that ends: pure arithmetic over moments.
//!
//! Each wait is twice as long as the one before, up to a longest, and a tenth longer or shorter by chance, so that what failed
//! together does not come back together. The clock is the caller's, and so is the chance.

use std::time::Duration;
use store::Timestamp;

/// How long to wait and when to stop (RFC 5321 §4.5.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The wait after the first attempt.
    pub first_retry: Duration,
    /// No wait is longer.
    pub longest_retry: Duration,
    /// How old a message may become before it goes back to its sender.
    pub give_up: Duration,
    /// The same for mail without a sender to go back to (reports, mostly): it is not worth as much patience.
    pub give_up_bounce: Duration,
    /// After what time a sender is told that a message is late; zero for never.
    pub delay_notice: Duration,
}

/// Whether anybody can be told of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mail {
    /// It has a sender.
    Ordinary,
    /// It has the null reverse-path.
    Bounce,
}

/// What follows an attempt that failed for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another one, then.
    Retry(Timestamp),
    /// Nothing: the message is too old.
    GiveUp,
}

impl Default for Schedule {
    fn default() -> Schedule {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Schedule {
            first_retry: minutes(5),
            longest_retry: minutes(4 * 60),
            give_up: minutes(5 * 24 * 60),
            give_up_bounce: minutes(2 * 24 * 60),
            delay_notice: minutes(4 * 60),
        }
    }
}

impl Schedule {
    /// What follows the attempt number `attempts` (from 1), which ended at `now`. `chance` is any number, each as likely.
    ///
    /// The last attempt comes when the time is up and not a whole wait earlier.
    pub fn next(&self, mail: Mail, received: Timestamp, attempts: u32, now: Timestamp, chance: u64) -> Next {
        let end = self.end(mail, received);
        if now >= end {
            return Next::GiveUp;
        }
        Next::Retry(after(now, self.wait(attempts, chance)).min(end))
    }

    /// When something is tried again that went wrong here, and not at another host.
    pub fn soon(&self, now: Timestamp) -> Timestamp {
        after(now, self.first_retry)
    }

    /// When a message that came at `received` goes back to its sender.
    pub fn end(&self, mail: Mail, received: Timestamp) -> Timestamp {
        after(
            received,
            match mail {
                Mail::Ordinary => self.give_up,
                Mail::Bounce => self.give_up_bounce,
            },
        )
    }

    /// Whether the sender is to be told now that the message is late: this attempt is the first one after the time for that.
    pub fn is_newly_late(&self, received: Timestamp, previous: Option<Timestamp>, now: Timestamp) -> bool {
        let late = after(received, self.delay_notice);
        !self.delay_notice.is_zero() && now >= late && previous.is_none_or(|previous| previous < late)
    }

    fn wait(&self, attempts: u32, chance: u64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(20);
        let wait = self.first_retry.saturating_mul(1 << doublings).min(self.longest_retry);
        // From nine to eleven tenths.
        let per_mille = 900 + chance % 201;
        wait.saturating_mul(per_mille as u32) / 1000
    }
}

fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    Timestamp(moment.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 24 * 60 * MINUTE;
    /// A chance that changes nothing.
    const EVEN: u64 = 100;

    #[test]
    fn waits_double_up_to_the_longest() {
        let schedule = Schedule::default();
        for (attempts, minutes) in
            [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 240), (8, 240), (u32::MAX, 240)]
        {
            let next = schedule.next(Mail::Ordinary, Timestamp(0), attempts, Timestamp(MINUTE), EVEN);
            assert_eq!(next, Next::Retry(Timestamp((minutes + 1) * MINUTE)), "after attempt {attempts}");
        }
    }

    #[test]
    fn chance_moves_a_wait_by_a_tenth_at_most() {
        let schedule = Schedule::default();
        for chance in [0, 1, 99, 200, 201, u64::MAX] {
            let next = schedule.next(Mail::Ordinary, Timestamp(0), 1, Timestamp(0), chance);
            let Next::Retry(due) = next else { panic!("{next:?}") };
            assert!((270_000..=330_000).contains(&due.0), "{due:?}");
        }
        let due = |chance| schedule.next(Mail::Ordinary, Timestamp(0), 1, Timestamp(0), chance);
        assert_ne!(due(0), due(200));
    }

    #[test]
    fn the_last_attempt_is_at_the_end_and_bounces_end_sooner() {
        let schedule = Schedule::default();
        let next = |mail, now| schedule.next(mail, Timestamp(0), 9, Timestamp(now), EVEN);
        assert_eq!(next(Mail::Ordinary, 5 * DAY - MINUTE), Next::Retry(Timestamp(5 * DAY)));
        assert_eq!(next(Mail::Ordinary, 5 * DAY), Next::GiveUp);
        assert_eq!(next(Mail::Bounce, 2 * DAY), Next::GiveUp);
        assert_eq!(next(Mail::Bounce, 2 * DAY - MINUTE), Next::Retry(Timestamp(2 * DAY)));
    }

    #[test]
    fn a_clock_that_jumps_back_ends_nothing() {
        let next = Schedule::default().next(Mail::Ordinary, Timestamp(9 * DAY), 1, Timestamp(0), EVEN);
        assert_eq!(next, Next::Retry(Timestamp(5 * MINUTE)));
        let far = Schedule::default().next(Mail::Ordinary, Timestamp(i64::MAX), 1, Timestamp(0), EVEN);
        assert_eq!(far, Next::Retry(Timestamp(5 * MINUTE)));
    }

    #[test]
    fn a_sender_is_told_once_that_a_message_is_late() {
        let schedule = Schedule::default();
        let late = |previous, now: i64| {
            schedule.is_newly_late(Timestamp(0), Option::map(previous, Timestamp), Timestamp(now * MINUTE))
        };
        assert!(!late(None, 239));
        assert!(late(None, 240), "the server was down until now");
        assert!(late(Some(200 * MINUTE), 250));
        assert!(!late(Some(240 * MINUTE), 480));
        let never = Schedule { delay_notice: Duration::ZERO, ..schedule };
        assert!(!never.is_newly_late(Timestamp(0), None, Timestamp(DAY)));
    }
}
