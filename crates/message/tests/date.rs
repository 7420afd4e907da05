//! Dates: what mailers write, read; what we write, read back.

use posthaste_message::Date;
use proptest::prelude::*;

fn millis(text: &str) -> Option<i64> {
    Date::parse(text).map(|date| date.millis)
}

/// 2026-11-21T08:51:12Z
const AT: i64 = 1_795_251_072_000;

#[test]
fn one_moment_in_many_forms() {
    for text in [
        "Sat, 21 Nov 2026 08:51:12 +0000",
        "Sat, 21 Nov 2026 09:51:12 +0100",
        "Sat, 21 Nov 2026 09:51:12 +01:00",
        "21 Nov 2026 08:51:12 -0000",
        "21 Nov 2026 08:51:12",
        "21 Nov 26 08:51:12 GMT",
        "Sat,  21  Nov  2026 08:51:12 UT",
        "Sat, 21 Nov 2026 03:51:12 EST",
        "Sat, 21 Nov 2026 00:51:12 PST",
        "Sat, 21 Nov 2026 10:51:12 GMT+0200",
        "Sat, 21 Nov 2026 09:51:12 +0100 (CET)",
        "Sat, (a (nested) comment) 21 Nov 2026 (with) 09:51:12 +0100",
        "Sat Nov 21 08:51:12 2026",
        "Sat Nov 21 08:51:12 UTC 2026",
        "Saturday, November 21, 2026 08:51:12 +0000",
        "Sun, 21 Nov 2026 08:51:12 +0000",
        "21-Nov-2026 08:51:12 +0000",
        "2026-11-21 08:51:12 +0000",
        "Sat, 21 Nov 2026 08:51:12.345 Z",
    ] {
        assert_eq!(millis(text), Some(AT), "{text}");
    }
    assert_eq!(millis("Sat, 21 Nov 2026 08:51 +0000"), Some(AT - 12_000));
    assert_eq!(millis("1 Jan 70 00:00:00 +0000"), Some(0));
    assert_eq!(millis("31 Dec 1998 23:59:60 +0000"), millis("31 Dec 1998 23:59:59 +0000"));
}

#[test]
fn the_zone_is_kept() {
    assert_eq!(
        Date::parse("Sat, 21 Nov 2026 05:21:12 -0330"),
        Some(Date { millis: AT, offset_minutes: -210 })
    );
}

#[test]
fn what_is_no_date() {
    for text in [
        "",
        "yesterday",
        "21 Nov 2026",
        "31 Feb 2026 10:00:00",
        "21 Nov 2026 25:00:00",
        "Nov 2026 10:00:00",
        "99 Nov 9999999 1:1:1",
    ] {
        assert_eq!(Date::parse(text), None, "{text}");
    }
}

#[test]
fn written_as_rfc_5322_wants_it() {
    assert_eq!(
        Date { millis: AT + 999, offset_minutes: -210 }.to_string(),
        "Sat, 21 Nov 2026 05:21:12 -0330"
    );
    assert_eq!(Date::utc(1_000_000_000_000).to_string(), "Sun, 9 Sep 2001 01:46:40 +0000");
    assert_eq!(
        Date { millis: i64::MAX, offset_minutes: i16::MAX }.to_string(),
        "Thu, 31 Dec 9998 00:00:00 +0000"
    );
    assert_eq!(
        Date { millis: i64::MIN, offset_minutes: -1439 }.to_string(),
        "Mon, 1 Jan 0001 00:01:00 -2359"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(seconds in -30_000_000_000i64..250_000_000_000, offset_minutes in -1439i16..1440) {
        let date = Date { millis: seconds * 1000, offset_minutes };
        prop_assert_eq!(Date::parse(&date.to_string()), Some(date), "{}", date);
    }

    #[test]
    fn what_others_read_is_the_same(seconds in 0i64..250_000_000_000, offset_minutes in -719i16..720) {
        let date = Date { millis: seconds * 1000, offset_minutes };
        prop_assert_eq!(mailparse::dateparse(&date.to_string()).ok(), Some(seconds));
        let jiff = jiff::fmt::rfc2822::parse(&date.to_string()).unwrap();
        prop_assert_eq!(jiff.timestamp().as_second(), seconds);
    }

    #[test]
    fn what_is_read_can_be_written(pieces in prop::collection::vec("[0-9:+-]{1,6}|Nov|Z|,|\\(|\\)|\\PC", 0..8)) {
        if let Some(date) = Date::parse(&pieces.join(" ")) {
            prop_assert_eq!(Date::parse(&date.to_string()).map(|date| date.millis / 1000), Some(date.millis / 1000));
        }
    }
}
