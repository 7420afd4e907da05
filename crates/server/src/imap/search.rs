//! SEARCH and SORT: which messages are meant (RFC 9051 §6.4.4).
//!
//! A search is first decided as far as flags, numbers, dates and sizes go; a text is read only of those messages where that is still open,
//! and of those the store names that can have the text in them at all ([`store::Mailboxes::sift`]).

use super::Session;
use super::text;
use crate::reading::{Ahead, Room, Wanted};
use bytes::Bytes;
use imap::answer::{Found, Status};
use imap::server::Server;
use imap::{Date, SearchKey};
use message::{Content, Limits, Part, PartNumber, Structure, encoded_word, unfold};
use std::cell::OnceCell;
use std::ops::RangeInclusive;
use std::sync::Arc;
use store::{Entry, Error, Flags, Keyword, Uid};

/// How many messages are looked up at once.
const PAGE: usize = 1000;

impl Session {
    /// SEARCH.
    pub(super) async fn search(&mut self, endpoint: &mut Server, key: SearchKey) -> Result<Status, Error> {
        let about_changes = mentions_changes(&key);
        let found = self.matching(endpoint, &key).await?;
        let mod_seq = found.iter().map(|entry| entry.modseq.0).max().filter(|_| about_changes);
        endpoint.found(&Found { uids: found.iter().map(|entry| entry.uid.0).collect(), mod_seq });
        Ok(Status::ok("Search completed"))
    }

    /// The entries that a search means, by UID. Only such as the client knows.
    pub(super) async fn matching(&mut self, endpoint: &Server, key: &SearchKey) -> Result<Vec<Entry>, Error> {
        let Some(open) = &self.open else { return Ok(Vec::new()) };
        let (mailbox, store) = (open.id, Arc::clone(&self.visit.context.store));
        let criteria = Criteria { now: (self.visit.context.clock)().0, keywords: open.keywords.clone() };
        let key = prepared(key);
        let mut wanted = Vec::new();
        needles(&key, &mut wanted);
        let mut ranges = match wanted.is_empty() {
            true => vec![Uid(1)..=Uid(u32::MAX)],
            false => store.sift(mailbox, &wanted).await?,
        };
        let (mut found, mut ahead) = (Vec::new(), Ahead::default());
        loop {
            let page = store.entries_in(mailbox, &ranges, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            behind(&mut ranges, last.uid);
            let known = page.into_iter().filter(|entry| endpoint.knows(entry.uid.0));
            let judged: Vec<_> = known.map(|entry| (criteria.by_entry(&key, &entry), entry)).collect();
            for (at, (verdict, entry)) in judged.iter().enumerate() {
                let is_meant = match verdict {
                    Verdict::Open(_) => match self.looked_into(&mut ahead, &judged[at..]).await? {
                        Some((text, _room)) => criteria.by_text(&key, entry, &Text::of(&text)),
                        None => false,
                    },
                    Verdict::Yes => true,
                    Verdict::No => false,
                };
                if is_meant {
                    found.push(entry.clone());
                }
            }
        }
    }

    /// What is needed of the text of the first of these messages; `None` when it is gone. Those of the others are wanted after it.
    async fn looked_into(
        &mut self,
        ahead: &mut Ahead,
        judged: &[(Verdict, Entry)],
    ) -> Result<Option<(Bytes, Room)>, Error> {
        let (Some(open), Some((Verdict::Open(need), first))) = (&self.open, judged.first()) else {
            return Ok(None);
        };
        let context = &self.visit.context;
        let size = match need {
            Needs::Header => first.size.min(text::HEADER_MAX as u64),
            Needs::Text => first.size,
        };
        let room = context.reading.room(size).await.ok_or_else(busy)?;
        let wanted = judged.iter().filter(|(verdict, _)| matches!(verdict, Verdict::Open(_)));
        let wanted = wanted.map(|(_, entry)| Wanted { uid: entry.uid, size: entry.size });
        let Some(plan) = ahead.plan(&context.reading, wanted) else { return Ok(None) };
        let text = ahead.text(&context.store, open.id, plan).await?;
        Ok(match (text, need) {
            (None, _) => None,
            (Some(reader), Needs::Header) => Some((text::head(reader).await?, room)),
            (Some(reader), Needs::Text) => Some((text::whole(reader).await?, room)),
        })
    }
}

/// Why a text is not read.
fn busy() -> Error {
    Error::Limit("messages are read now; try again in a moment".to_owned())
}

/// What a message has in its text, or it is not meant.
fn needles(key: &SearchKey, wanted: &mut Vec<Vec<u8>>) {
    match key {
        SearchKey::Bcc(text)
        | SearchKey::Body(text)
        | SearchKey::Cc(text)
        | SearchKey::From(text)
        | SearchKey::Header(_, text)
        | SearchKey::Subject(text)
        | SearchKey::Text(text)
        | SearchKey::To(text) => wanted.extend((!text.is_empty()).then(|| text.clone())),
        SearchKey::And(keys) => keys.iter().for_each(|key| needles(key, wanted)),
        _ => {}
    }
}

/// What is left of ranges behind a UID.
fn behind(ranges: &mut Vec<RangeInclusive<Uid>>, uid: Uid) {
    ranges.retain(|range| *range.end() > uid);
    if let Some(first) = ranges.first_mut().filter(|first| *first.start() <= uid) {
        *first = Uid(uid.0 + 1)..=*first.end();
    }
}

/// Each piece of a message's text in which a search may look for something. The store keeps sieves made of it: whoever changes what this says
/// gives them a new version (`SIEVE_VERSION` in `crates/store-local/src/sieve.rs`), or searches miss messages.
pub(crate) fn searchable(octets: &[u8], each: &mut dyn FnMut(&str)) {
    let text = Text::of(octets);
    for part in text.structure.parts() {
        for field in &part.header.fields {
            each(&decoded(field.whole.of(octets)));
            each(&decoded(field.value.of(octets)));
        }
        if part.media_type.kind == "text" {
            each(&text.content(part));
        }
    }
}

/// Whether it is about mod-sequences, so that the answer has one (RFC 7162 §3.1.5).
fn mentions_changes(key: &SearchKey) -> bool {
    match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::Not(key) => mentions_changes(key),
        SearchKey::Or(first, second) => mentions_changes(first) || mentions_changes(second),
        SearchKey::And(keys) => keys.iter().any(mentions_changes),
        _ => false,
    }
}

/// The same with strings in lower case, as they are compared.
fn prepared(key: &SearchKey) -> SearchKey {
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
enum Verdict {
    Yes,
    No,
    /// It depends on this much of the text.
    Open(Needs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Header,
    Text,
}

impl From<bool> for Verdict {
    fn from(is_so: bool) -> Verdict {
        if is_so { Verdict::Yes } else { Verdict::No }
    }
}

struct Criteria {
    /// The keywords that the mailbox knows.
    keywords: Vec<Keyword>,
    /// Milliseconds since 1970.
    now: i64,
}

const DAY: i64 = 86_400_000;

impl Criteria {
    fn by_entry(&self, key: &SearchKey, entry: &Entry) -> Verdict {
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
            SearchKey::Not(key) => match self.by_entry(key, entry) {
                Verdict::Yes => Verdict::No,
                Verdict::No => Verdict::Yes,
                open => open,
            },
            SearchKey::Or(first, second) => match (self.by_entry(first, entry), self.by_entry(second, entry))
            {
                (Verdict::Yes, _) | (_, Verdict::Yes) => Verdict::Yes,
                (Verdict::Open(one), Verdict::Open(other)) => Verdict::Open(one.max(other)),
                (Verdict::No, other) | (other, Verdict::No) => other,
            },
            SearchKey::And(keys) => self.all_by_entry(keys, entry),
            SearchKey::Bcc(_)
            | SearchKey::Cc(_)
            | SearchKey::From(_)
            | SearchKey::Header(..)
            | SearchKey::SentBefore(_)
            | SearchKey::SentOn(_)
            | SearchKey::SentSince(_)
            | SearchKey::Subject(_)
            | SearchKey::To(_) => Verdict::Open(Needs::Header),
            SearchKey::Body(_) | SearchKey::Text(_) => Verdict::Open(Needs::Text),
        }
    }

    fn has_keyword(&self, entry: &Entry, name: &str) -> bool {
        let number = self.keywords.iter().position(|known| known.as_str().eq_ignore_ascii_case(name));
        number.is_some_and(|number| entry.keywords.contains(number))
    }

    fn all_by_entry(&self, keys: &[SearchKey], entry: &Entry) -> Verdict {
        let mut verdict = Verdict::Yes;
        for key in keys {
            verdict = match (verdict, self.by_entry(key, entry)) {
                (_, Verdict::No) => return Verdict::No,
                (Verdict::Open(one), Verdict::Open(other)) => Verdict::Open(one.max(other)),
                (Verdict::Open(need), _) | (_, Verdict::Open(need)) => Verdict::Open(need),
                _ => Verdict::Yes,
            };
        }
        verdict
    }

    fn by_text(&self, key: &SearchKey, entry: &Entry, text: &Text<'_>) -> bool {
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
            other => self.by_entry(other, entry) == Verdict::Yes,
        }
    }
}

/// A message, as far as it was read. What is looked into is decoded once, however many criteria ask for it.
struct Text<'a> {
    octets: &'a [u8],
    structure: Structure,
    /// For each part: its fields and its content, decoded and in lower case.
    lowered: Vec<Lowered>,
}

#[derive(Default)]
struct Lowered {
    /// Each field behind a NUL, which no criterion can have (RFC 9051 §9): nothing is found across two of them.
    header: OnceCell<String>,
    content: OnceCell<String>,
}

impl Text<'_> {
    fn of(octets: &[u8]) -> Text<'_> {
        let structure = Structure::of(octets, &Limits::default());
        let lowered = structure.parts().iter().map(|_| Lowered::default()).collect();
        Text { octets, structure, lowered }
    }

    /// Whether a field of that name has this in it; with nothing wanted, whether there is one (RFC 9051 §6.4.4).
    fn field(&self, name: &str, wanted: &[u8]) -> bool {
        let mut fields = self.structure.root().header.named(self.octets, name);
        fields.any(|field| wanted.is_empty() || contains(&decoded(field.value.of(self.octets)), wanted))
    }

    /// The day in the Date field, whatever its zone (RFC 9051 §6.4.4).
    fn sent(&self) -> Option<i64> {
        let value = self.structure.root().header.value(self.octets, "Date")?;
        let date = message::Date::parse(&String::from_utf8_lossy(&value))?;
        Some((date.millis + i64::from(date.offset_minutes) * 60_000).div_euclid(DAY))
    }

    /// Whether a field of a part has this in it.
    fn any_field(&self, part: PartNumber, wanted: &[u8]) -> bool {
        let lowered = || {
            let fields = &self.structure.parts()[part].header.fields;
            fields
                .iter()
                .map(|field| format!("\0{}", decoded(field.whole.of(self.octets)).to_lowercase()))
                .collect()
        };
        has(self.lowered[part].header.get_or_init(lowered), wanted)
    }

    /// Whether the body of the message has this in it: in its text parts, decoded, or in the headers of messages within. Fields of parts
    /// are none of it (RFC 9051 §6.4.4).
    fn body(&self, wanted: &[u8]) -> bool {
        self.structure.parts().iter().enumerate().any(|(number, part)| match part.content {
            Content::Message(inner) => self.any_field(inner, wanted),
            _ if part.media_type.kind == "text" => {
                let lowered = || self.content(part).to_lowercase();
                has(self.lowered[number].content.get_or_init(lowered), wanted)
            }
            _ => false,
        })
    }

    /// Whether the fields of a part have this in them, or those of the message.
    fn any_part_header(&self, wanted: &[u8]) -> bool {
        (0..self.lowered.len()).any(|part| self.any_field(part, wanted))
    }

    /// What a text part says.
    fn content(&self, part: &Part) -> String {
        let body = part.encoding.decode(part.body.of(self.octets), usize::MAX);
        message::charset::decode(part.media_type.charset(), &body)
    }
}

fn decoded(value: &[u8]) -> String {
    encoded_word::decode(&unfold(value))
}

/// Whether a text has this in it; what is wanted is in lower case.
fn contains(text: &str, wanted: &[u8]) -> bool {
    has(&text.to_lowercase(), wanted)
}

/// The same of a text that is in lower case, too.
fn has(lowered: &str, wanted: &[u8]) -> bool {
    memchr::memmem::find(lowered.as_bytes(), wanted).is_some()
}

/// The days since 1970-01-01 in the Gregorian calendar.
fn days(date: Date) -> i64 {
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    // The year begins with March, so that the day that may be missing is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests;
