//! NOTIFY (RFC 5465 §8).

use super::cursor::Cursor;
use super::{Parsed, Problem, fetch};
use crate::{Body, EventGroup, Mailbox, MailboxFilter, Notify, NotifyEvent};

/// As many groups are taken in one command.
const GROUPS_MAX: usize = 100;

/// As many names of mailboxes are taken in a group.
const NAMES_MAX: usize = 1000;

pub(super) fn notify(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space()?;
    if cursor.take_keyword("NONE") {
        return Ok(Body::Notify(Notify::None));
    }
    if !cursor.take_keyword("SET") {
        return Err(cursor.fault(Problem::Expected("SET or NONE")));
    }
    cursor.space()?;
    let status = cursor.take_keyword("STATUS");
    if status {
        cursor.space()?;
    }
    let mut groups = vec![group(cursor)?];
    while cursor.take(b' ') {
        if groups.len() == GROUPS_MAX {
            return Err(cursor.fault(Problem::TooMany("groups of events")));
        }
        groups.push(group(cursor)?);
    }
    Ok(Body::Notify(Notify::Set { status, groups }))
}

fn group(cursor: &mut Cursor<'_>) -> Parsed<EventGroup> {
    cursor.expect(b'(', "`(`")?;
    let filter = filter(cursor)?;
    cursor.space()?;
    let events = if cursor.take_keyword("NONE") { Vec::new() } else { cursor.list(event)? };
    cursor.expect(b')', "`)`")?;
    Ok(EventGroup { filter, events })
}

fn filter(cursor: &mut Cursor<'_>) -> Parsed<MailboxFilter> {
    let fault = cursor.fault(Problem::Expected("which mailboxes"));
    Ok(match cursor.name().as_str() {
        "SELECTED" => MailboxFilter::Selected,
        "SELECTED-DELAYED" => MailboxFilter::SelectedDelayed,
        "INBOXES" => MailboxFilter::Inboxes,
        "PERSONAL" => MailboxFilter::Personal,
        "SUBSCRIBED" => MailboxFilter::Subscribed,
        "SUBTREE" => MailboxFilter::Subtree(names(cursor)?),
        "MAILBOXES" => MailboxFilter::Mailboxes(names(cursor)?),
        _ => return Err(fault),
    })
}

fn names(cursor: &mut Cursor<'_>) -> Parsed<Vec<Mailbox>> {
    cursor.space()?;
    let fault = cursor.fault(Problem::TooMany("names of mailboxes"));
    let names = match cursor.peek() {
        Some(b'(') => cursor.list(name)?,
        _ => vec![name(cursor)?],
    };
    if names.len() > NAMES_MAX { Err(fault) } else { Ok(names) }
}

fn name(cursor: &mut Cursor<'_>) -> Parsed<Mailbox> {
    Ok(Mailbox::new(cursor.astring_text()?))
}

fn event(cursor: &mut Cursor<'_>) -> Parsed<NotifyEvent> {
    let name = cursor.atom()?;
    Ok(match name.to_ascii_uppercase().as_str() {
        "MESSAGENEW" => {
            let mut ahead = cursor.clone();
            let has_items = ahead.take(b' ') && ahead.peek() == Some(b'(');
            NotifyEvent::MessageNew(match has_items {
                true => {
                    cursor.space()?;
                    fetch::distinct(cursor)?
                }
                false => Vec::new(),
            })
        }
        "MESSAGEEXPUNGE" => NotifyEvent::MessageExpunge,
        "FLAGCHANGE" => NotifyEvent::FlagChange,
        "MAILBOXNAME" => NotifyEvent::MailboxName,
        "SUBSCRIPTIONCHANGE" => NotifyEvent::SubscriptionChange,
        _ => NotifyEvent::Other(name.to_owned()),
    })
}
