//! LIST, LSUB and STATUS.

use super::cursor::Cursor;
use super::{Parsed, Problem};
use crate::{Body, ListOptions, ListReturn, ListSelection, Mailbox, StatusItem};

/// RFC 9051 §6.3.9, with RFC 6154.
pub(super) fn list(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space()?;
    let mut selection = Vec::new();
    if cursor.peek() == Some(b'(') {
        let fault = cursor.fault(Problem::Expected("a selection option beside RECURSIVEMATCH"));
        selection = cursor.list_or_empty(list_selection)?;
        // RFC 9051 §6.3.9.1: it says something of the other options alone.
        let says_nothing =
            |option: &ListSelection| matches!(option, ListSelection::RecursiveMatch | ListSelection::Remote);
        if selection.contains(&ListSelection::RecursiveMatch) && selection.iter().all(says_nothing) {
            return Err(fault);
        }
        cursor.space()?;
    }
    let reference = Mailbox::new(cursor.astring_text()?);
    cursor.space()?;
    let patterns = match cursor.peek() {
        Some(b'(') => cursor.list(pattern)?,
        _ => vec![pattern(cursor)?],
    };
    if patterns.len() > PATTERNS_MAX {
        return Err(cursor.fault(Problem::Patterns));
    }
    let mut returns = Vec::new();
    if cursor.take(b' ') {
        if !cursor.take_keyword("RETURN") {
            return Err(cursor.fault(Problem::Expected("RETURN")));
        }
        cursor.space()?;
        returns = cursor.list_or_empty(list_return)?;
    }
    Ok(Body::List(ListOptions { selection, reference, patterns, returns }))
}

pub(super) fn lsub(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space()?;
    let reference = Mailbox::new(cursor.astring_text()?);
    cursor.space()?;
    Ok(Body::Lsub { reference, pattern: pattern(cursor)? })
}

/// As many patterns are taken in one LIST.
const PATTERNS_MAX: usize = 100;

/// As many octets are taken in a pattern: more than any name has.
const PATTERN_MAX: usize = 1024;

fn pattern(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let fault = cursor.fault(Problem::Patterns);
    let pattern = cursor.pattern()?;
    if pattern.len() > PATTERN_MAX { Err(fault) } else { Ok(pattern) }
}

/// RFC 9051 §6.3.11.
pub(super) fn status(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space()?;
    let mailbox = Mailbox::new(cursor.astring_text()?);
    cursor.space()?;
    Ok(Body::Status { mailbox, items: cursor.list(status_item)? })
}

fn list_selection(cursor: &mut Cursor<'_>) -> Parsed<ListSelection> {
    let fault = cursor.fault(Problem::Expected("a selection option"));
    Ok(match cursor.name().as_str() {
        "SUBSCRIBED" => ListSelection::Subscribed,
        "REMOTE" => ListSelection::Remote,
        "RECURSIVEMATCH" => ListSelection::RecursiveMatch,
        "SPECIAL-USE" => ListSelection::SpecialUse,
        _ => return Err(fault),
    })
}

fn list_return(cursor: &mut Cursor<'_>) -> Parsed<ListReturn> {
    let fault = cursor.fault(Problem::Expected("a return option"));
    Ok(match cursor.name().as_str() {
        "SUBSCRIBED" => ListReturn::Subscribed,
        "CHILDREN" => ListReturn::Children,
        "SPECIAL-USE" => ListReturn::SpecialUse,
        "STATUS" => {
            cursor.space()?;
            ListReturn::Status(cursor.list(status_item)?)
        }
        _ => return Err(fault),
    })
}

fn status_item(cursor: &mut Cursor<'_>) -> Parsed<StatusItem> {
    let fault = cursor.fault(Problem::Expected("a status item"));
    Ok(match cursor.name().as_str() {
        "MESSAGES" => StatusItem::Messages,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        "DELETED" => StatusItem::Deleted,
        "DELETED-STORAGE" => StatusItem::DeletedStorage,
        "SIZE" => StatusItem::Size,
        "RECENT" => StatusItem::Recent,
        "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
        "APPENDLIMIT" => StatusItem::AppendLimit,
        "MAILBOXID" => StatusItem::MailboxId,
        _ => return Err(fault),
    })
}
