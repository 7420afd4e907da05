//! STORE, APPEND, and the parameters of SELECT: flags, dates, mod-sequences.

use super::cursor::Cursor;
use super::{Parsed, Problem};
use crate::{Append, Behind, Body, Flag, LiteralHeader, Mailbox, QResync, SelectParameter, StoreKind};

/// RFC 9051 §6.4.6, RFC 7162 §3.1.3.
pub(super) fn store(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Body> {
    cursor.space()?;
    let set = cursor.sequence_set()?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.take(b'(') {
        if !cursor.take_keyword("UNCHANGEDSINCE") {
            return Err(cursor.fault(Problem::Expected("UNCHANGEDSINCE")));
        }
        cursor.space()?;
        unchanged_since = Some(cursor.number64()?);
        cursor.expect(b')', "`)`")?;
        cursor.space()?;
    }
    let kind = match cursor.peek() {
        Some(b'+') => StoreKind::Add,
        Some(b'-') => StoreKind::Remove,
        _ => StoreKind::Replace,
    };
    if kind != StoreKind::Replace {
        cursor.skip_one();
    }
    let fault = cursor.fault(Problem::Expected("FLAGS"));
    let silent = match cursor.name().as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return Err(fault),
    };
    cursor.space()?;
    let flags = match cursor.peek() {
        Some(b'(') => cursor.list_or_empty(flag)?,
        _ => {
            let mut flags = vec![flag(cursor)?];
            while cursor.take(b' ') {
                flags.push(flag(cursor)?);
            }
            flags
        }
    };
    Ok(Body::Store { uid, set, unchanged_since, kind, silent, flags })
}

fn flag(cursor: &mut Cursor<'_>) -> Parsed<Flag> {
    if cursor.take(b'\\') {
        Ok(Flag::system(cursor.atom()?))
    } else {
        Ok(Flag::Keyword(cursor.atom()?.to_owned()))
    }
}

/// RFC 7162 §3.1.8 and §3.2.5.
pub(super) fn select_parameter(cursor: &mut Cursor<'_>) -> Parsed<SelectParameter> {
    let fault = cursor.fault(Problem::Expected("a parameter"));
    match cursor.name().as_str() {
        "CONDSTORE" => Ok(SelectParameter::CondStore),
        "QRESYNC" => {
            cursor.space()?;
            cursor.expect(b'(', "`(`")?;
            let uid_validity = cursor.positive()?.get();
            cursor.space()?;
            let fault = cursor.fault(Problem::Expected("a mod-sequence from 1 on"));
            let mod_seq = cursor.number64()?;
            if mod_seq == 0 {
                return Err(fault);
            }
            let (mut known, mut matches) = (None, None);
            if cursor.take(b' ') {
                if cursor.peek() != Some(b'(') {
                    known = Some(cursor.sequence_set()?);
                }
                if known.is_none() || cursor.take(b' ') {
                    cursor.expect(b'(', "`(`")?;
                    let numbers = cursor.sequence_set()?;
                    cursor.space()?;
                    matches = Some((numbers, cursor.sequence_set()?));
                    cursor.expect(b')', "`)`")?;
                }
            }
            cursor.expect(b')', "`)`")?;
            Ok(SelectParameter::QResync(QResync { uid_validity, mod_seq, known, matches }))
        }
        _ => Err(fault),
    }
}

impl Cursor<'_> {
    /// What comes before the octets of a message in APPEND.
    pub(super) fn append_message(&mut self, mailbox: Option<Mailbox>) -> Parsed<Append> {
        let mut flags = Vec::new();
        if self.peek() == Some(b'(') {
            flags = self.list_or_empty(flag)?;
            self.space()?;
        }
        let mut date = None;
        if self.peek() == Some(b'"') {
            date = Some(self.date_time()?);
            self.space()?;
        }
        // RFC 9755 has this no more; Python's imaplib sends it once UTF8=ACCEPT is enabled.
        let behind = if self.take_keyword("UTF8") {
            self.space()?;
            self.expect(b'(', "`(`")?;
            if self.peek() != Some(b'~') {
                return Err(self.fault(Problem::Expected("a binary literal")));
            }
            Behind::Parenthesis
        } else {
            Behind::Nothing
        };
        let literal = LiteralHeader { behind, ..self.literal_header()? };
        Ok(Append { mailbox, flags, date, literal })
    }

    /// `"17-Jul-1996 02:44:25 -0700"`, as milliseconds since 1970 (RFC 9051 §9, `date-time`).
    fn date_time(&mut self) -> Parsed<i64> {
        let fault = self.fault(Problem::Expected("a date and a time"));
        let text = self.string_text()?;
        moment(&text).ok_or(fault)
    }

    /// Goes past an octet that was looked at.
    fn skip_one(&mut self) {
        let octet = self.peek();
        octet.map(|octet| self.take(octet));
    }
}

fn moment(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(11)?;
    let day: i64 = date.get(..2)?.trim_start_matches(' ').parse().ok()?;
    let month = i64::from(super::search::month(date.get(3..6)?)?);
    let year: i64 = number(date.get(7..)?)?;
    let is_shaped = date.as_bytes()[2] == b'-' && date.as_bytes()[6] == b'-' && rest.len() == 15;
    let (time, zone) = rest.strip_prefix(' ')?.split_once(' ')?;
    let mut parts = time.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (zone_hours, zone_minutes) = (number(zone.get(1..3)?)?, number(zone.get(3..5)?)?);
    let is_possible = (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61 && zone_minutes < 60;
    if !is_shaped || !is_possible || parts.next().is_some() {
        return None;
    }
    let minutes =
        (days(year, month, day) * 24 + hour) * 60 + minute - sign * (zone_hours * 60 + zone_minutes);
    Some((minutes * 60 + second) * 1000)
}

/// Digits and nothing else.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The days since 1970-01-01 in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year begins with March, so that the day that may be missing is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (century, of_century) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    century * 146_097 + of_century * 365 + of_century / 4 - of_century / 100 + of_year - 719_468
}
