//! Whether a message is meant by a search: first by what is known without its text, then by its text.

use super::gist::Gist;
use super::words::Text;
use imap::{Date, Numbers, SearchKey};
use std::collections::HashMap;
use store::{Entry, Flags, Keyword};

/// Whether it is about mod-sequences, so that the answer has one (RFC 7162 §3.1.5).
pub(in crate::imap) fn mentions_changes(key: &SearchKey) -> bool {
    match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::Not(key) => mentions_changes(key),
        SearchKey::Or(first, second) => mentions_changes(first) || mentions_changes(second),
        SearchKey::And(keys) => keys.iter().any(mentions_changes),
        _ => false,
    }
}

/// The same with strings in lower case, as they are compared.
pub(super) fn prepared(key: &SearchKey) -> SearchKey {
    let lower = |octets: &[u8]| String::from_utf8_lossy(octets).to_lowercase().into_bytes();
    match key {
        SearchKey::Bcc(text) => SearchKey::Bcc(lower(text)),
        SearchKey::Body(text) => SearchKey::Body(lower(text)),
        SearchKey::Cc(text) => SearchKey::Cc(lower(text)),
        SearchKey::From(text) => SearchKey::From(lower(text)),
        SearchKey::Header(name, text) => SearchKey::Header(name.clone(), lower(text)),
        SearchKey::Subject(text) => SearchKey::Subject(lower(text)),
        SearchKey::Text(text) => SearchKey::Text(lower(text)),
        SearchKey::To(text) => SearchKey::To(lower(text)),
        SearchKey::Not(key) => SearchKey::Not(Box::new(prepared(key))),
        SearchKey::Or(first, second) => SearchKey::Or(Box::new(prepared(first)), Box::new(prepared(second))),
        SearchKey::And(keys) => SearchKey::And(keys.iter().map(prepared).collect()),
        other => other.clone(),
    }
}

/// What is known of a message before its text was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    /// It depends on this much of the text.
    Open(Needs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    Header,
    Text,
}

impl From<bool> for Verdict {
    fn from(is_so: bool) -> Verdict {
        if is_so { Verdict::Yes } else { Verdict::No }
    }
}

/// What a search is decided by beside the messages.
pub(super) struct Criteria {
    /// The keywords that the mailbox knows.
    pub(super) keywords: Vec<Keyword>,
    /// Milliseconds since 1970.
    pub(super) now: i64,
    /// The messages that each criterion can mean at all, where the store could say.
    pub(super) possible: HashMap<SearchKey, Numbers>,
}

pub(super) const DAY: i64 = 86_400_000;

impl Criteria {
    /// By all that is known of a message without its text.
    pub(super) fn by_entry(&self, key: &SearchKey, entry: &Entry, gist: Option<&Gist<'_>>) -> Verdict {
        let has = |flag: Flags| Verdict::from(entry.flags.contains(flag));
        let lacks = |flag: Flags| Verdict::from(!entry.flags.contains(flag));
        let day = entry.received.0.div_euclid(DAY);
        match key {
            SearchKey::All | SearchKey::Old => Verdict::Yes,
            // Nothing is recent here.
            SearchKey::New | SearchKey::Recent => Verdict::No,
            SearchKey::Answered => has(Flags::ANSWERED),
            SearchKey::Deleted => has(Flags::DELETED),
            SearchKey::Draft => has(Flags::DRAFT),
            SearchKey::Flagged => has(Flags::FLAGGED),
            SearchKey::Seen => has(Flags::SEEN),
            SearchKey::Unanswered => lacks(Flags::ANSWERED),
            SearchKey::Undeleted => lacks(Flags::DELETED),
            SearchKey::Undraft => lacks(Flags::DRAFT),
            SearchKey::Unflagged => lacks(Flags::FLAGGED),
            SearchKey::Unseen => lacks(Flags::SEEN),
            SearchKey::Keyword(name) => self.has_keyword(entry, name).into(),
            SearchKey::Unkeyword(name) => (!self.has_keyword(entry, name)).into(),
            SearchKey::Before(date) => (day < days(*date)).into(),
            SearchKey::On(date) => (day == days(*date)).into(),
            SearchKey::Since(date) => (day >= days(*date)).into(),
            SearchKey::Larger(size) => (entry.size > *size).into(),
            SearchKey::Smaller(size) => (entry.size < *size).into(),
            SearchKey::Younger(seconds) => (self.now - entry.received.0 <= i64::from(*seconds) * 1000).into(),
            SearchKey::Older(seconds) => (self.now - entry.received.0 >= i64::from(*seconds) * 1000).into(),
            SearchKey::Among(uids) => uids.contains(entry.uid.0).into(),
            // The session has made UIDs of them.
            SearchKey::Uid(_) | SearchKey::Numbers(_) => Verdict::No,
            SearchKey::ModSeq(value) => (entry.modseq.0 >= *value).into(),
            SearchKey::EmailId(id) => (entry.email_id() == *id).into(),
            SearchKey::ThreadId(_) => Verdict::No,
            SearchKey::Not(key) => match self.by_entry(key, entry, gist) {
                Verdict::Yes => Verdict::No,
                Verdict::No => Verdict::Yes,
                open => open,
            },
            SearchKey::Or(first, second) => {
                match (self.by_entry(first, entry, gist), self.by_entry(second, entry, gist)) {
                    (Verdict::Yes, _) | (_, Verdict::Yes) => Verdict::Yes,
                    (Verdict::Open(one), Verdict::Open(other)) => Verdict::Open(one.max(other)),
                    (Verdict::No, other) | (other, Verdict::No) => other,
                }
            }
            SearchKey::And(keys) => self.all_by_entry(keys, entry, gist),
            SearchKey::Bcc(_)
            | SearchKey::Cc(_)
            | SearchKey::From(_)
            | SearchKey::Header(..)
            | SearchKey::SentBefore(_)
            | SearchKey::SentOn(_)
            | SearchKey::SentSince(_)
            | SearchKey::Subject(_)
            | SearchKey::To(_) => self.by_gist(key, entry, gist, Needs::Header),
            SearchKey::Body(_) | SearchKey::Text(_) => self.by_gist(key, entry, gist, Needs::Text),
        }
    }

    /// The same for a criterion of which the text decides.
    fn by_gist(&self, key: &SearchKey, entry: &Entry, gist: Option<&Gist<'_>>, needs: Needs) -> Verdict {
        if self.possible.get(key).is_some_and(|possible| !possible.contains(entry.uid.0)) {
            return Verdict::No;
        }
        gist.and_then(|gist| gist.decides(key)).map_or(Verdict::Open(needs), Verdict::from)
    }

    fn has_keyword(&self, entry: &Entry, name: &str) -> bool {
        let number = self.keywords.iter().position(|known| known.as_str().eq_ignore_ascii_case(name));
        number.is_some_and(|number| entry.keywords.contains(number))
    }

    fn all_by_entry(&self, keys: &[SearchKey], entry: &Entry, gist: Option<&Gist<'_>>) -> Verdict {
        let mut verdict = Verdict::Yes;
        for key in keys {
            verdict = match (verdict, self.by_entry(key, entry, gist)) {
                (_, Verdict::No) => return Verdict::No,
                (Verdict::Open(one), Verdict::Open(other)) => Verdict::Open(one.max(other)),
                (Verdict::Open(need), _) | (_, Verdict::Open(need)) => Verdict::Open(need),
                _ => Verdict::Yes,
            };
        }
        verdict
    }

    /// By its text.
    pub(super) fn by_text(&self, key: &SearchKey, entry: &Entry, text: &Text<'_>) -> bool {
        match key {
            SearchKey::Not(key) => !self.by_text(key, entry, text),
            SearchKey::Or(first, second) => {
                self.by_text(first, entry, text) || self.by_text(second, entry, text)
            }
            SearchKey::And(keys) => keys.iter().all(|key| self.by_text(key, entry, text)),
            SearchKey::Bcc(wanted) => text.field("Bcc", wanted),
            SearchKey::Cc(wanted) => text.field("Cc", wanted),
            SearchKey::From(wanted) => text.field("From", wanted),
            SearchKey::To(wanted) => text.field("To", wanted),
            SearchKey::Subject(wanted) => text.field("Subject", wanted),
            SearchKey::Header(name, wanted) => text.field(name, wanted),
            SearchKey::SentBefore(date) => text.sent().is_some_and(|sent| sent < days(*date)),
            SearchKey::SentOn(date) => text.sent().is_some_and(|sent| sent == days(*date)),
            SearchKey::SentSince(date) => text.sent().is_some_and(|sent| sent >= days(*date)),
            SearchKey::Body(wanted) => text.body(wanted),
            SearchKey::Text(wanted) => text.any_part_header(wanted) || text.body(wanted),
            other => self.by_entry(other, entry, None) == Verdict::Yes,
        }
    }
}

/// The days since 1970-01-01 in the Gregorian calendar.
pub(super) fn days(date: Date) -> i64 {
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    // The year begins with March, so that the day that may be missing is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}
