//! When a certificate is renewed, and when a failed attempt is made again. Pure: times and chance are arguments.

use std::time::Duration;

/// When a certificate that counts from and until these seconds is to be renewed: when a third of its life is left, or up to a thirtieth
/// earlier, so that those who got one at the same time do not come again at the same time. `chance` is any number.
pub(super) fn renewal(not_before: i64, not_after: i64, chance: u16) -> i64 {
    let life = not_after.saturating_sub(not_before).max(0);
    not_after - life / 3 - life / 30 * i64::from(chance) / i64::from(u16::MAX)
}

/// How long to wait after so many failures in a row: two minutes, then twice as long each time up to half a day, a quarter more or less.
/// That is five attempts in the first hour, as many as Let's Encrypt allows for one name.
pub(super) fn pause(failures: u32, chance: u16) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST);
    whole.mul_f64(0.75 + 0.5 * f64::from(chance) / f64::from(u16::MAX))
}

const FIRST: Duration = Duration::from_secs(120);
const LONGEST: Duration = Duration::from_secs(12 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_third_is_left_or_a_little_more() {
        assert_eq!(renewal(0, 90 * DAY, 0), 60 * DAY);
        assert_eq!(renewal(0, 90 * DAY, u16::MAX), 57 * DAY);
        assert_eq!(renewal(1000, 1060, 0), 1040);
        assert_eq!(renewal(10, 5, 7), 5, "one that never counts is due at once");
    }

    #[test]
    fn attempts_grow_rarer() {
        let middle = |failures| pause(failures, u16::MAX / 2).as_secs_f64().round() as u64;
        assert_eq!([1, 2, 3, 4, 5].map(middle), [120, 240, 480, 960, 1920]);
        assert_eq!([20, u32::MAX].map(middle), [43_200, 43_200]);
        assert_eq!(pause(1, 0), Duration::from_secs(90));
        assert_eq!(pause(1, u16::MAX), Duration::from_secs(150));
    }
}
