//! SEARCH, SORT and THREAD.

use super::cursor::Cursor;
use super::{Parsed, Problem};
use crate::{Body, Date, SearchKey, SearchReturn, SortCriterion, SortKey, ThreadAlgorithm};

/// So many criteria are taken, all levels together: each may be looked for in every text.
const KEYS_MAX: usize = 256;

/// RFC 9051 §6.4.4.
pub(super) fn search(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Body> {
    cursor.space()?;
    let returns = returns(cursor)?;
    let mut charset = None;
    if cursor.take_keyword("CHARSET") {
        charset = Some(cursor.text_word()?);
        cursor.space()?;
    }
    Ok(Body::Search { uid, returns, charset, key: keys(cursor)? })
}

/// RFC 5256 §3, RFC 5267 §3.1.
pub(super) fn sort(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Body> {
    cursor.space()?;
    let returns = returns(cursor)?;
    let criteria = cursor.list(criterion)?;
    let charset = cursor.text_word()?;
    cursor.space()?;
    Ok(Body::Sort { uid, returns, criteria, charset, key: keys(cursor)? })
}

/// RFC 5256 §3.
pub(super) fn thread(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Body> {
    cursor.space()?;
    let fault = cursor.fault(Problem::Expected("an algorithm"));
    let algorithm = match cursor.atom()?.to_ascii_uppercase().as_str() {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        _ => return Err(fault),
    };
    let charset = cursor.text_word()?;
    cursor.space()?;
    Ok(Body::Thread { uid, algorithm, charset, key: keys(cursor)? })
}

/// `RETURN (…)` and a space, if that stands here.
fn returns(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<SearchReturn>>> {
    if !cursor.take_keyword("RETURN") {
        return Ok(None);
    }
    cursor.space()?;
    let wanted = cursor.list_or_empty(|cursor| {
        let fault = cursor.fault(Problem::Expected("a return option"));
        Ok(match cursor.name().as_str() {
            "MIN" => SearchReturn::Min,
            "MAX" => SearchReturn::Max,
            "ALL" => SearchReturn::All,
            "COUNT" => SearchReturn::Count,
            "SAVE" => SearchReturn::Save,
            _ => return Err(fault),
        })
    })?;
    cursor.space()?;
    Ok(Some(wanted))
}

fn criterion(cursor: &mut Cursor<'_>) -> Parsed<SortCriterion> {
    let reverse = cursor.take_keyword("REVERSE");
    if reverse {
        cursor.space()?;
    }
    let fault = cursor.fault(Problem::Expected("a sort key"));
    let key = match cursor.atom()?.to_ascii_uppercase().as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        "FROM" => SortKey::From,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        _ => return Err(fault),
    };
    Ok(SortCriterion { key, reverse })
}

/// Criteria beside each other: one alone is itself.
fn keys(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    let fault = cursor.fault(Problem::TooMany("criteria"));
    let mut keys = vec![key(cursor)?];
    while cursor.take(b' ') {
        keys.push(key(cursor)?);
    }
    if keys.iter().map(count).sum::<usize>() > KEYS_MAX {
        return Err(fault);
    }
    Ok(match keys.len() {
        1 => keys.remove(0),
        _ => SearchKey::And(keys),
    })
}

/// How many criteria there are in one.
fn count(key: &SearchKey) -> usize {
    match key {
        SearchKey::And(keys) => keys.iter().map(count).sum(),
        SearchKey::Not(key) => count(key),
        SearchKey::Or(first, second) => count(first) + count(second),
        _ => 1,
    }
}

fn key(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    match cursor.peek() {
        Some(b'(') => cursor.deeper(|cursor| Ok(SearchKey::And(cursor.list(key)?))),
        Some(b'0'..=b'9' | b'*' | b'$') => Ok(SearchKey::Numbers(cursor.sequence_set()?)),
        _ => cursor.deeper(word),
    }
}

fn word(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    let fault = cursor.fault(Problem::Expected("a criterion"));
    let name = cursor.atom()?.to_ascii_uppercase();
    if let Some(plain) = plain(&name) {
        return Ok(plain);
    }
    cursor.space()?;
    Ok(match name.as_str() {
        "BCC" => SearchKey::Bcc(octets(cursor)?),
        "BODY" => SearchKey::Body(octets(cursor)?),
        "CC" => SearchKey::Cc(octets(cursor)?),
        "FROM" => SearchKey::From(octets(cursor)?),
        "SUBJECT" => SearchKey::Subject(octets(cursor)?),
        "TEXT" => SearchKey::Text(octets(cursor)?),
        "TO" => SearchKey::To(octets(cursor)?),
        "HEADER" => {
            let name = cursor.astring_text()?;
            cursor.space()?;
            SearchKey::Header(name, octets(cursor)?)
        }
        "BEFORE" => SearchKey::Before(date(cursor)?),
        "ON" => SearchKey::On(date(cursor)?),
        "SINCE" => SearchKey::Since(date(cursor)?),
        "SENTBEFORE" => SearchKey::SentBefore(date(cursor)?),
        "SENTON" => SearchKey::SentOn(date(cursor)?),
        "SENTSINCE" => SearchKey::SentSince(date(cursor)?),
        "KEYWORD" => SearchKey::Keyword(cursor.atom()?.to_owned()),
        "UNKEYWORD" => SearchKey::Unkeyword(cursor.atom()?.to_owned()),
        "LARGER" => SearchKey::Larger(cursor.number64()?),
        "SMALLER" => SearchKey::Smaller(cursor.number64()?),
        "YOUNGER" => SearchKey::Younger(cursor.positive()?.get()),
        "OLDER" => SearchKey::Older(cursor.positive()?.get()),
        "NOT" => SearchKey::Not(Box::new(key(cursor)?)),
        "OR" => {
            let first = key(cursor)?;
            cursor.space()?;
            SearchKey::Or(Box::new(first), Box::new(key(cursor)?))
        }
        "UID" => SearchKey::Uid(cursor.sequence_set()?),
        "MODSEQ" => mod_seq(cursor)?,
        "EMAILID" => SearchKey::EmailId(cursor.atom()?.to_owned()),
        "THREADID" => SearchKey::ThreadId(cursor.atom()?.to_owned()),
        _ => return Err(fault),
    })
}

/// The criteria without arguments.
fn plain(name: &str) -> Option<SearchKey> {
    Some(match name {
        "ALL" => SearchKey::All,
        "ANSWERED" => SearchKey::Answered,
        "DELETED" => SearchKey::Deleted,
        "DRAFT" => SearchKey::Draft,
        "FLAGGED" => SearchKey::Flagged,
        "NEW" => SearchKey::New,
        "OLD" => SearchKey::Old,
        "RECENT" => SearchKey::Recent,
        "SEEN" => SearchKey::Seen,
        "UNANSWERED" => SearchKey::Unanswered,
        "UNDELETED" => SearchKey::Undeleted,
        "UNDRAFT" => SearchKey::Undraft,
        "UNFLAGGED" => SearchKey::Unflagged,
        "UNSEEN" => SearchKey::Unseen,
        _ => return None,
    })
}

fn octets(cursor: &mut Cursor<'_>) -> Parsed<Vec<u8>> {
    Ok(cursor.astring()?.into_owned())
}

/// RFC 7162 §3.1.5; the name of an entry and its type, which no server of ours tells apart, may stand before the number.
fn mod_seq(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    if cursor.peek() == Some(b'"') {
        cursor.string_text()?;
        let fault = cursor.fault(Problem::Expected("priv, shared or all"));
        if !matches!(cursor.word()?.to_ascii_lowercase().as_str(), "priv" | "shared" | "all") {
            return Err(fault);
        }
        cursor.space()?;
    }
    Ok(SearchKey::ModSeq(cursor.number64()?))
}

/// `1-Feb-1994`, with or without quotes.
fn date(cursor: &mut Cursor<'_>) -> Parsed<Date> {
    let fault = cursor.fault(Problem::Expected("a date"));
    let quoted = cursor.take(b'"');
    let day = cursor.digits()?;
    cursor.expect(b'-', "`-`")?;
    let name = cursor.atom()?;
    let (name, year) = name.split_once('-').ok_or(fault)?;
    let is_shaped = day.len() <= 2 && year.len() == 4 && year.bytes().all(|octet| octet.is_ascii_digit());
    let (Ok(day @ 1..=31), Some(month), Ok(year), true) = (day.parse(), month(name), year.parse(), is_shaped)
    else {
        return Err(fault);
    };
    if quoted {
        cursor.expect(b'"', "the closing quote")?;
    }
    Ok(Date { year, month, day })
}

/// The number of a month, from 1.
pub(super) fn month(name: &str) -> Option<u8> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    (1..).zip(MONTHS).find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(number, _)| number)
}
