//! Sizes and times as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A number of bytes in at most seven columns: `812 B`, `4.2 KiB`, `64 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = tenths_of(bytes, 0);
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        unit += 1;
        tenths = tenths_of(bytes, unit);
    }
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", (tenths + 5) / 10, UNITS[unit]),
    }
}

/// Tenths of a unit, rounded.
fn tenths_of(bytes: u64, unit: usize) -> u64 {
    let one = 1u128 << (10 * (unit + 1));
    u64::try_from((u128::from(bytes) * 10 + one / 2) / one).unwrap_or(u64::MAX)
}

/// A moment to the minute in a zone: `2026-11-21 09:51`.
pub(crate) fn minute(at: store::Timestamp, zone: &TimeZone) -> String {
    moment(at).to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The same to the second: `2026-11-21 09:51:12`.
pub(crate) fn second(at: store::Timestamp, zone: &TimeZone) -> String {
    moment(at).to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment for programs (RFC 3339): `2026-11-21T08:51:12.345Z`.
pub(crate) fn rfc3339(at: store::Timestamp) -> String {
    moment(at).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Out of the range of dates (year 9999) means a damaged clock; the epoch says so as well as anything.
fn moment(at: store::Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How long it is from one moment to another, in its two largest units: `3 days 4 h`, `5 min 12 s`, `8 s`.
pub(crate) fn duration(from: store::Timestamp, to: store::Timestamp) -> String {
    let seconds = to.0.saturating_sub(from.0).max(0).unsigned_abs() / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{} {hours} h", counted(days, "day")),
    }
}

/// `1 message`, `2 messages`, `2 deliveries`, `2 mailboxes`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    match one.strip_suffix('y') {
        _ if count == 1 => format!("1 {one}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{count} {stem}ies"),
        _ if one.ends_with('x') => format!("{count} {one}es"),
        _ => format!("{count} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (4300, "4.2 KiB"),
            (10_189, "10 KiB"),
            (1_023_400, "999 KiB"),
            (1_024_000, "1.0 MiB"),
            (64 << 20, "64 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times() {
        let at = store::Timestamp(1_795_251_072_345);
        assert_eq!(minute(at, &TimeZone::fixed(jiff::tz::offset(1))), "2026-11-21 09:51");
        assert_eq!(rfc3339(at), "2026-11-21T08:51:12.345Z");
        assert_eq!(rfc3339(store::Timestamp(i64::MAX)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn durations() {
        let text = |seconds: i64| duration(store::Timestamp(5), store::Timestamp(5 + seconds * 1000));
        assert_eq!((text(8), text(312)), ("8 s".to_owned(), "5 min 12 s".to_owned()));
        assert_eq!((text(3661), text(360_000)), ("1 h 1 min".to_owned(), "4 days 4 h".to_owned()));
        assert_eq!(text(-9), "0 s", "a clock that was set back");
    }

    #[test]
    fn counts() {
        assert_eq!(counted(1, "message"), "1 message");
        assert_eq!(counted(0, "message"), "0 messages");
        assert_eq!(
            (counted(2, "delivery"), counted(2, "day")),
            ("2 deliveries".to_owned(), "2 days".to_owned())
        );
    }
}
