//! SEARCH and SORT: which messages are meant (RFC 9051 §6.4.4).
//!
//! A search is first decided as far as flags, numbers, dates and sizes go, by what the store says about which messages can have a text at
//! all ([`store::Mailboxes::sift`]), and by what it keeps of their headers ([`store::Mailboxes::gists`]). A text is read only of those
//! messages where that is still open.

pub(super) mod criteria;
mod gist;
mod sifted;
mod words;

use super::select::ranges;
use super::{Session, text};
use crate::reading::{Ahead, Room, Wanted};
use bytes::Bytes;
use criteria::{Criteria, Needs, Verdict};
use imap::answer::{Found, FoundModSeqs, Status};
use imap::server::Server;
use imap::{Numbers, SearchKey};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use store::{Entry, Error, Uid};

pub use gist::gist;
pub use words::searchable;

/// Whether a search means a message, by its gist and by its text; the gist may leave it open.
pub(super) fn decided(key: &SearchKey, text: &[u8], entry: &Entry) -> (Option<bool>, bool) {
    let key = criteria::prepared(key);
    let criteria = Criteria { keywords: Vec::new(), now: 0, possible: HashMap::new() };
    let by_gist = match criteria.by_entry(&key, entry, Some(&gist::Gist::of(&gist(text)))) {
        Verdict::Yes => Some(true),
        Verdict::No => Some(false),
        Verdict::Open(_) => None,
    };
    (by_gist, criteria.by_text(&key, entry, &words::Text::of(text)))
}

/// How many messages are looked up at once. Gists come by 512.
const PAGE: usize = 1024;

/// The gists of a page are asked for where as many of its messages are open as one in these: they come in blocks, and a few messages are
/// read faster than the gists of all.
const SPARSE: usize = 64;

/// What the gists of a page take in memory, about. In octets.
const GISTS: u64 = 1024 * 1024;

impl Session {
    /// SEARCH.
    pub(super) async fn search(&mut self, endpoint: &mut Server, key: SearchKey) -> Result<Status, Error> {
        let about_changes = criteria::mentions_changes(&key);
        let mut found = Found::default();
        let each = &mut |entry: &Entry| {
            found.uids.push(entry.uid.0);
            found.mod_seqs = Some(FoundModSeqs::with(found.mod_seqs, entry.modseq.0));
        };
        self.each_match(endpoint, &key, each).await?;
        found.mod_seqs = found.mod_seqs.filter(|_| about_changes);
        endpoint.found(&found);
        Ok(Status::ok("Search completed"))
    }

    /// The entries that a search means, by UID.
    pub(super) async fn matching(&mut self, endpoint: &Server, key: &SearchKey) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        self.each_match(endpoint, key, &mut |entry: &Entry| found.push(entry.clone())).await?;
        Ok(found)
    }

    /// Hands over each entry that a search means, by UID. Only such as the client knows.
    async fn each_match(
        &mut self,
        endpoint: &Server,
        key: &SearchKey,
        each: &mut (dyn FnMut(&Entry) + Send),
    ) -> Result<(), Error> {
        let Some(open) = &self.open else { return Ok(()) };
        let (mailbox, store) = (open.id, Arc::clone(&self.visit.context.store));
        let key = criteria::prepared(key);
        let possible = sifted::possible(&store, mailbox, &key).await?;
        let mut left = match sifted::candidates(&key, &possible) {
            None => vec![Uid(1)..=Uid(u32::MAX)],
            Some(some) => ranges(&some),
        };
        let criteria =
            Criteria { now: (self.visit.context.clock)().0, keywords: open.keywords.clone(), possible };
        let mut ahead = Ahead::default();
        loop {
            let page = store.entries_in(mailbox, &left, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            behind(&mut left, last.uid);
            let known = page.into_iter().filter(|entry| endpoint.knows(entry.uid.0));
            let mut judged: Vec<(Verdict, Entry)> =
                known.map(|entry| (criteria.by_entry(&key, &entry, None), entry)).collect();
            self.judge_by_gists(&criteria, &key, &mut judged).await?;
            for (at, (verdict, entry)) in judged.iter().enumerate() {
                let is_meant = match verdict {
                    Verdict::Open(_) => match self.looked_into(&mut ahead, &judged[at..]).await? {
                        Some((text, _room)) => criteria.by_text(&key, entry, &words::Text::of(&text)),
                        None => false,
                    },
                    Verdict::Yes => true,
                    Verdict::No => false,
                };
                if is_meant {
                    each(entry);
                }
            }
        }
    }

    /// Decides what can be decided by gists, where that is less work than to read the messages.
    async fn judge_by_gists(
        &mut self,
        criteria: &Criteria,
        key: &SearchKey,
        judged: &mut [(Verdict, Entry)],
    ) -> Result<(), Error> {
        let is_open = |(verdict, _): &&(Verdict, Entry)| matches!(verdict, Verdict::Open(_));
        let uids: Numbers = judged.iter().filter(is_open).map(|(_, entry)| entry.uid.0).collect();
        let (Some(open), Some((first, last))) = (&self.open, uids.first().zip(uids.last())) else {
            return Ok(());
        };
        if uids.len() < (last - first) as usize / SPARSE || !gist::can_decide(key) {
            return Ok(());
        }
        let context = &self.visit.context;
        let _room = context.reading.room(GISTS).await.ok_or_else(busy)?;
        let mut gists = context.store.gists(open.id, &ranges(&uids)).await?.into_iter().peekable();
        for (verdict, entry) in judged {
            while gists.next_if(|(uid, _)| *uid < entry.uid).is_some() {}
            if let Some((_, kept)) = gists.next_if(|(uid, _)| *uid == entry.uid) {
                *verdict = criteria.by_entry(key, entry, Some(&gist::Gist::of(&kept)));
            }
        }
        Ok(())
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

/// What is left of ranges behind a UID.
fn behind(ranges: &mut Vec<RangeInclusive<Uid>>, uid: Uid) {
    ranges.retain(|range| *range.end() > uid);
    if let Some(first) = ranges.first_mut().filter(|first| *first.start() <= uid) {
        *first = Uid(uid.0 + 1)..=*first.end();
    }
}

#[cfg(test)]
mod tests;
