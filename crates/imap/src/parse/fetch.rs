//! FETCH: items, sections, octets of them.

use super::cursor::Cursor;
use super::{Parsed, Problem};
use crate::{Body, FetchItem, FetchModifier, Partial, Section, SectionText};

/// So many different items are taken: each may cost as much as the message is long.
const ITEMS_MAX: usize = 64;

/// RFC 9051 §6.4.5, RFC 7162 §3.1.4.
pub(super) fn fetch(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Body> {
    cursor.space()?;
    let set = cursor.sequence_set()?;
    cursor.space()?;
    let items = match cursor.peek() {
        Some(b'(') => distinct(cursor)?,
        _ => match macro_items(cursor) {
            Some(items) => items,
            None => vec![item(cursor)?],
        },
    };
    let modifiers = if cursor.take(b' ') { cursor.list(modifier)? } else { Vec::new() };
    Ok(Body::Fetch { uid, set, items, modifiers })
}

/// The items in parentheses. Who asks for one twice gets it once: the answer says no more with two.
pub(super) fn distinct(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    let fault = cursor.fault(Problem::TooMany("data items"));
    let mut items = Vec::new();
    for item in cursor.list(item)? {
        if items.contains(&item) {
            continue;
        }
        if items.len() == ITEMS_MAX {
            return Err(fault);
        }
        items.push(item);
    }
    Ok(items)
}

/// ALL, FAST and FULL stand alone.
fn macro_items(cursor: &mut Cursor<'_>) -> Option<Vec<FetchItem>> {
    let mut items = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
    if cursor.take_keyword("FAST") {
        return Some(items);
    }
    items.push(FetchItem::Envelope);
    if cursor.take_keyword("ALL") {
        return Some(items);
    }
    items.push(FetchItem::Body);
    cursor.take_keyword("FULL").then_some(items)
}

fn item(cursor: &mut Cursor<'_>) -> Parsed<FetchItem> {
    let fault = cursor.fault(Problem::Expected("a data item"));
    let name = cursor.name();
    let opens = cursor.peek() == Some(b'[');
    Ok(match (name.as_str(), opens) {
        ("BODY", true) => body_section(cursor, false)?,
        ("BODY.PEEK", true) => body_section(cursor, true)?,
        ("BINARY", true) => binary(cursor, false)?,
        ("BINARY.PEEK", true) => binary(cursor, true)?,
        ("BINARY.SIZE", true) => FetchItem::BinarySize(binary_part(cursor)?),
        (_, true) => return Err(fault),
        ("ENVELOPE", _) => FetchItem::Envelope,
        ("FLAGS", _) => FetchItem::Flags,
        ("INTERNALDATE", _) => FetchItem::InternalDate,
        ("RFC822", _) => FetchItem::Rfc822,
        ("RFC822.HEADER", _) => FetchItem::Rfc822Header,
        ("RFC822.TEXT", _) => FetchItem::Rfc822Text,
        ("RFC822.SIZE", _) => FetchItem::Rfc822Size,
        ("BODY", _) => FetchItem::Body,
        ("BODYSTRUCTURE", _) => FetchItem::BodyStructure,
        ("UID", _) => FetchItem::Uid,
        ("MODSEQ", _) => FetchItem::ModSeq,
        ("EMAILID", _) => FetchItem::EmailId,
        ("THREADID", _) => FetchItem::ThreadId,
        ("PREVIEW", _) => FetchItem::Preview { lazy: lazy(cursor)? },
        _ => return Err(fault),
    })
}

/// RFC 8970 §3.2: `PREVIEW (LAZY)`. A parenthesis after a space may also be the modifiers of FETCH.
fn lazy(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    let mut ahead = cursor.clone();
    let is_lazy = ahead.take(b' ') && ahead.take(b'(') && ahead.take_keyword("LAZY") && ahead.take(b')');
    if is_lazy {
        *cursor = ahead;
    }
    Ok(is_lazy)
}

fn body_section(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<FetchItem> {
    let section = section(cursor)?;
    Ok(FetchItem::BodySection { section, partial: partial(cursor)?, peek })
}

fn binary(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<FetchItem> {
    let part = binary_part(cursor)?;
    Ok(FetchItem::Binary { part, partial: partial(cursor)?, peek })
}

fn binary_part(cursor: &mut Cursor<'_>) -> Parsed<Vec<u32>> {
    cursor.expect(b'[', "`[`")?;
    let mut part = Vec::new();
    if cursor.peek() != Some(b']') {
        part.push(cursor.positive()?.get());
        while cursor.take(b'.') {
            part.push(cursor.positive()?.get());
        }
    }
    cursor.expect(b']', "`]`")?;
    Ok(part)
}

fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    cursor.expect(b'[', "`[`")?;
    let mut section = Section::default();
    if cursor.take(b']') {
        return Ok(section);
    }
    let mut wants_text = true;
    while cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        section.part.push(cursor.positive()?.get());
        wants_text = cursor.take(b'.');
        if !wants_text {
            break;
        }
    }
    if wants_text {
        section.text = Some(section_text(cursor, &section.part)?);
    }
    cursor.expect(b']', "`]`")?;
    Ok(section)
}

fn section_text(cursor: &mut Cursor<'_>, part: &[u32]) -> Parsed<SectionText> {
    let fault = cursor.fault(Problem::Expected("a section"));
    Ok(match cursor.name().as_str() {
        "HEADER" => SectionText::Header,
        "TEXT" => SectionText::Text,
        // Only parts have one (RFC 9051 §6.4.5.1).
        "MIME" if !part.is_empty() => SectionText::Mime,
        "HEADER.FIELDS" => {
            cursor.space()?;
            SectionText::HeaderFields(cursor.list(Cursor::astring_text)?)
        }
        "HEADER.FIELDS.NOT" => {
            cursor.space()?;
            SectionText::HeaderFieldsNot(cursor.list(Cursor::astring_text)?)
        }
        _ => return Err(fault),
    })
}

fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<Partial>> {
    if !cursor.take(b'<') {
        return Ok(None);
    }
    let first = cursor.number64()?;
    cursor.expect(b'.', "`.`")?;
    let fault = cursor.fault(Problem::Expected("a number from 1 on"));
    let count = cursor.number64()?;
    cursor.expect(b'>', "`>`")?;
    if count == 0 { Err(fault) } else { Ok(Some(Partial { first, count })) }
}

fn modifier(cursor: &mut Cursor<'_>) -> Parsed<FetchModifier> {
    let fault = cursor.fault(Problem::Expected("a modifier"));
    Ok(match cursor.name().as_str() {
        "CHANGEDSINCE" => {
            cursor.space()?;
            FetchModifier::ChangedSince(cursor.number64()?)
        }
        "VANISHED" => FetchModifier::Vanished,
        _ => return Err(fault),
    })
}
