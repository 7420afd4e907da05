//! Atoms, strings, literals, lists and dates, written (RFC 9051 §4, §9).

use crate::utf7;
use bytes::{BufMut, BytesMut};
use std::fmt::Write;

/// How text beyond ASCII is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// In names of mailboxes.
    pub names: Names,
}

/// How names of mailboxes beyond ASCII are written, and whether quoted strings may hold UTF-8: that goes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Names {
    /// In modified UTF-7 (RFC 3501 §5.1.3): until the client has enabled something else.
    #[default]
    Utf7,
    /// In UTF-8 (RFC 9051 §5.1, RFC 6855 §3).
    Utf8,
}

/// Strings up to this length are quoted, if they can be.
const QUOTED_MAX: usize = 4096;

/// A `number`.
pub(super) fn number(out: &mut BytesMut, number: u64) {
    write!(out, "{number}").expect("a buffer takes everything");
}

/// A `string`: quoted where that is possible, else a literal. NUL, which neither can hold, is left out.
pub(super) fn string(out: &mut BytesMut, style: Style, octets: &[u8]) {
    if octets.contains(&0) {
        let without: Vec<u8> = octets.iter().copied().filter(|octet| *octet != 0).collect();
        return string(out, style, &without);
    }
    let is_plain = octets.iter().all(|octet| matches!(octet, 1..=127) && !matches!(octet, b'\r' | b'\n'));
    let is_text = || style.names == Names::Utf8 && is_quotable_utf8(octets);
    if octets.len() <= QUOTED_MAX && (is_plain || is_text()) {
        return quoted(out, octets);
    }
    literal_header(out, octets.len() as u64);
    out.put_slice(octets);
}

fn is_quotable_utf8(octets: &[u8]) -> bool {
    !octets.iter().any(|octet| matches!(octet, b'\r' | b'\n')) && std::str::from_utf8(octets).is_ok()
}

fn quoted(out: &mut BytesMut, octets: &[u8]) {
    out.put_u8(b'"');
    let mut rest = octets;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        out.put_slice(&rest[..at]);
        out.put_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

/// `nstring`.
pub(super) fn nstring(out: &mut BytesMut, style: Style, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => string(out, style, octets),
        None => out.put_slice(b"NIL"),
    }
}

/// `astring`: an atom where that is possible.
pub(super) fn astring(out: &mut BytesMut, style: Style, octets: &[u8]) {
    let is_atom = !octets.is_empty()
        && !octets.eq_ignore_ascii_case(b"NIL")
        && octets.iter().all(|octet| {
            octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
        });
    if is_atom { out.put_slice(octets) } else { string(out, style, octets) }
}

/// The name of a mailbox.
pub(super) fn mailbox(out: &mut BytesMut, style: Style, name: &str) {
    match style.names {
        Names::Utf8 => astring(out, style, name.as_bytes()),
        Names::Utf7 => astring(out, style, utf7::encode(name).as_bytes()),
    }
}

/// An atom made of what may be in one; anything else is left out, and what is empty then is a `-`.
pub(crate) fn atom(out: &mut BytesMut, text: &str) {
    let before = out.len();
    let kept = text.bytes().filter(|octet| {
        octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
    });
    out.extend(kept);
    if out.len() == before {
        out.put_u8(b'-');
    }
}

/// `text`: one line, ASCII, whatever was given.
pub(super) fn text(out: &mut BytesMut, text: &str) {
    out.extend(text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c as u8 } else { b'?' }));
}

/// `{length}` and CRLF.
pub(super) fn literal_header(out: &mut BytesMut, length: u64) {
    write!(out, "{{{length}}}\r\n").expect("a buffer takes everything");
}

/// `(…)` with spaces between.
pub(super) fn list<T>(
    out: &mut BytesMut,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut BytesMut, T),
) {
    out.put_u8(b'(');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.put_u8(b' ');
        }
        write(out, item);
    }
    out.put_u8(b')');
}

/// A `date-time` in UTC of milliseconds since 1970.
pub(super) fn date_time(out: &mut BytesMut, milliseconds: i64) {
    let seconds = milliseconds.div_euclid(1000).clamp(YEAR_0, YEAR_9999);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let month = MONTHS[month as usize - 1];
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    write!(out, "\"{day:2}-{month}-{year:04} {hour:02}:{minute:02}:{second:02} +0000\"")
        .expect("a buffer takes everything");
}

/// The first and last second that four digits of a year can say.
const YEAR_0: i64 = -62_167_219_200;
const YEAR_9999: i64 = 253_402_300_799;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month and day of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
