//! Dates as messages write them (RFC 5322 §3.3), read tolerantly and written exactly.
//!
//! A [`Date`] is a moment and the zone in which it is to be written. There is no clock here: "now" is the caller's.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::Offset;
use std::fmt;

/// A moment with the zone to write it in. Displays as RFC 5322 §3.3 wants it: `Sat, 21 Nov 2026 10:11:12 +0100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Date {
    /// Milliseconds since 1970-01-01T00:00:00Z. What lies outside the years 1 to 9998 is written as the nearest moment inside.
    pub millis: i64,
    /// The zone, in minutes east of UTC. What exceeds 24 hours is written as UTC.
    pub offset_minutes: i16,
}

impl Date {
    /// The moment in UTC.
    pub const fn utc(millis: i64) -> Date {
        Date { millis, offset_minutes: 0 }
    }

    /// Reads the value of a `Date:` field: RFC 5322 §3.3 and its obsolete forms (§4.3), and what mailers write instead.
    ///
    /// The day of the week, comments and the order of day and month do not matter, two-digit years mean 1950 to 2049, missing
    /// seconds are zero, and a missing or unknown zone is UTC (RFC 5322 §4.3 says so for `-0000` and the military letters).
    /// `None` when there is no day, month, year or hour in it, or when they make no date.
    pub fn parse(text: &str) -> Option<Date> {
        let mut found = Found::default();
        let without_comments = strip_comments(text.get(..MAX_TEXT).unwrap_or(text));
        for token in without_comments.split(|c: char| c.is_ascii_whitespace() || c == ',') {
            found.take(token);
        }
        found.date()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.millis.div_euclid(1000).clamp(FIRST_SECOND, LAST_SECOND);
        let minutes = if self.offset_minutes.unsigned_abs() < 24 * 60 { self.offset_minutes } else { 0 };
        let offset =
            Offset::from_seconds(i32::from(minutes) * 60).expect("less than a day is a valid offset");
        let timestamp = Timestamp::from_second(seconds).expect("the range was clamped");
        let at = offset.to_datetime(timestamp);
        let weekday = DAYS[usize::from(at.weekday().to_monday_zero_offset().unsigned_abs())];
        let month = MONTHS[usize::from(at.month().unsigned_abs()) - 1];
        write!(f, "{weekday}, {} {month} {:04} ", at.day(), at.year())?;
        write!(f, "{:02}:{:02}:{:02} ", at.hour(), at.minute(), at.second())?;
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}{:02}", minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60)
    }
}

/// What the tokens of a date said so far.
#[derive(Default)]
struct Found {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    time: Option<(i8, i8, i8)>,
    offset_minutes: Option<i16>,
}

impl Found {
    fn take(&mut self, token: &str) {
        if token.is_empty() {
        } else if token.contains(':') && self.time.is_none() {
            self.time = time(token);
        } else if self.time.is_some() && self.offset_minutes.is_none() && zone(token).is_some() {
            self.offset_minutes = zone(token);
        } else if let Some(month) = month(token) {
            self.month = self.month.or(Some(month));
        } else if token.bytes().all(|c| c.is_ascii_digit()) {
            self.number(token);
        } else if token.contains('-') {
            // 21-Nov-2026 and 2026-11-21, as some programs write
            self.dashed(token);
        }
    }

    /// A day comes first or after the month; a year has more than two digits or comes second.
    fn number(&mut self, digits: &str) {
        let Ok(number) = digits.parse::<i16>() else { return };
        if digits.len() <= 2 && self.day.is_none() && (1..=31).contains(&number) {
            self.day = i8::try_from(number).ok();
        } else if self.year.is_none() && number >= 0 {
            self.year = Some(year(number, digits.len()));
        }
    }

    fn dashed(&mut self, token: &str) {
        let pieces: Vec<&str> = token.splitn(4, '-').collect();
        let &[first, middle, last] = &pieces[..] else { return };
        let Some(month) = month(middle).or_else(|| middle.parse().ok()) else { return };
        self.month = Some(month);
        let (day, year) = if first.len() == 4 { (last, first) } else { (first, last) };
        for piece in [day, year] {
            self.number(piece);
        }
    }

    fn date(&self) -> Option<Date> {
        let (hour, minute, second) = self.time?;
        // RFC 5322 §3.3 allows a leap second; no calendar here has one.
        let at =
            civil::DateTime::new(self.year?, self.month?, self.day?, hour, minute, second.min(59), 0).ok()?;
        let offset_minutes = self.offset_minutes.unwrap_or(0);
        let offset = Offset::from_seconds(i32::from(offset_minutes) * 60).ok()?;
        Some(Date { millis: offset.to_timestamp(at).ok()?.as_millisecond(), offset_minutes })
    }
}

/// `10:11:12`, `10:11`, `10:11:12.345`.
fn time(token: &str) -> Option<(i8, i8, i8)> {
    let mut pieces = token.split(':');
    let hour = pieces.next()?.parse().ok()?;
    let minute = pieces.next()?.parse().ok()?;
    let second = match pieces.next() {
        None => 0,
        Some(text) => text.split('.').next()?.parse().ok()?,
    };
    ((0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second))
        .then_some((hour, minute, second))
}

/// `+0100`, `-0330`, `GMT`, `EST`, `GMT+0200`, `Z`: minutes east of UTC (RFC 5322 §4.3). A number without a sign is no zone but a year.
fn zone(token: &str) -> Option<i16> {
    let token = token.strip_prefix("GMT").or_else(|| token.strip_prefix("UTC")).unwrap_or(token);
    let sign = match token.as_bytes().first() {
        None => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return named_zone(token),
    };
    let digits: String = token[1..].chars().filter(|&c| c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let number: i16 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn named_zone(token: &str) -> Option<i16> {
    const HOURS: [(&str, i16); 12] = [
        ("UT", 0),
        ("Z", 0),
        ("EST", -5),
        ("EDT", -4),
        ("CST", -6),
        ("CDT", -5),
        ("MST", -7),
        ("MDT", -6),
        ("PST", -8),
        ("PDT", -7),
        ("CET", 1),
        ("CEST", 2),
    ];
    HOURS.iter().find(|(name, _)| name.eq_ignore_ascii_case(token)).map(|(_, hours)| hours * 60)
}

/// The month that a word begins with: `Nov`, `November`.
fn month(token: &str) -> Option<i8> {
    let start = token.get(..3)?;
    if !token.bytes().all(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    let place = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(start))?;
    i8::try_from(place + 1).ok()
}

/// RFC 5322 §4.3: two digits are 1950 to 2049, three digits count from 1900.
fn year(number: i16, digits: usize) -> i16 {
    match digits {
        0..=2 if number < 50 => number + 2000,
        0..=3 => number + 1900,
        _ => number,
    }
}

/// The text without its (nested) comments.
fn strip_comments(text: &str) -> String {
    let mut depth = 0u32;
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => {
                depth -= 1;
                kept.push(' ');
            }
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// No date is longer, not even with a comment; the rest of the text is not looked at.
const MAX_TEXT: usize = 256;
/// 0001-01-02T00:00:00Z and 9998-12-31T00:00:00Z: in any zone the year has at most four digits.
const FIRST_SECOND: i64 = -62_135_510_400;
const LAST_SECOND: i64 = 253_370_678_400;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
