//! Flags and keywords: as the store keeps them, as clients say them, and STORE (RFC 9051 §2.3.2, §6.4.6, RFC 7162 §3.1.3).

use super::Session;
use super::news::{End, Own, Told};
use imap::answer::{Code, FetchData, NewKeywords, Status};
use imap::server::{Server, Store};
use imap::{Flag, Numbers, StoreKind};
use std::collections::VecDeque;
use store::{Entry, Error, Flags, KEYWORDS_MAX, Keyword, KeywordSet, Mark, Marking, Marks, ModSeq, Uid};

const SYSTEM: [(Flags, Flag); 5] = [
    (Flags::ANSWERED, Flag::Answered),
    (Flags::FLAGGED, Flag::Flagged),
    (Flags::DELETED, Flag::Deleted),
    (Flags::SEEN, Flag::Seen),
    (Flags::DRAFT, Flag::Draft),
];

/// The flags and keywords that are set, where a mailbox knows these keywords.
pub(super) fn flags(flags: Flags, keywords: KeywordSet, known: &[Keyword]) -> Vec<Flag> {
    let system = SYSTEM.iter().filter(|(one, _)| flags.contains(*one)).map(|(_, flag)| flag.clone());
    let keywords = keywords.numbers().filter_map(|number| known.get(number)).map(keyword);
    system.chain(keywords).collect()
}

/// All that there are in a mailbox.
pub(super) fn all_flags(known: &[Keyword]) -> Vec<Flag> {
    SYSTEM.iter().map(|(_, flag)| flag.clone()).chain(known.iter().map(keyword)).collect()
}

/// Whether a mailbox with these keywords may get more.
pub(super) fn new_keywords(known: &[Keyword]) -> NewKeywords {
    if known.len() < KEYWORDS_MAX { NewKeywords::MayBeMade } else { NewKeywords::MayNotBeMade }
}

fn keyword(keyword: &Keyword) -> Flag {
    Flag::Keyword(keyword.as_str().to_owned())
}

/// What a client said. Words with a backslash that nobody knows are passed over: among them is \Recent, which nobody can set.
pub(super) fn marks(flags: &[Flag]) -> Result<Marks, Error> {
    let mut marks = Marks::default();
    for flag in flags {
        match flag {
            Flag::Keyword(name) => marks.keywords.push(Keyword::new(name)?),
            system => {
                let known = SYSTEM.iter().filter(|(_, flag)| flag == system);
                marks.flags = known.fold(marks.flags, |set, (one, _)| set.with(*one));
            }
        }
    }
    Ok(marks)
}

/// A STORE under way.
pub(super) struct Storing {
    marking: Marking,
    /// What is told of what the client has changed itself.
    tells: Tells,
    /// Those that were not looked at yet.
    left: Numbers,
    /// Those that were, and not told yet.
    page: VecDeque<(Mark, Tells)>,
    /// Those that others changed too late for UNCHANGEDSINCE.
    failed: Numbers,
    /// How many were gone.
    missing: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    Flags,
    /// With .SILENT.
    ModSeq,
}

/// So many messages are marked in one act: what is told of them is in memory.
const ACT: usize = 10_000;

impl Storing {
    fn of(store: Store) -> Result<Storing, Error> {
        let marks = marks(&store.flags)?;
        let marking = match store.kind {
            StoreKind::Add => Marking::add(marks),
            StoreKind::Remove => Marking::remove(marks),
            StoreKind::Replace => Marking::replace(marks),
        };
        let marking = match store.unchanged_since {
            Some(since) => marking.unchanged_since(ModSeq(since)),
            None => marking,
        };
        Ok(Storing {
            marking,
            tells: if store.silent { Tells::ModSeq } else { Tells::Flags },
            left: store.uids,
            page: VecDeque::new(),
            failed: Numbers::new(),
            missing: 0,
        })
    }

    /// What the command ends with.
    pub(super) fn status(&self, endpoint: &Server) -> Status {
        if !self.failed.is_empty() {
            let failed = endpoint.as_named(&self.failed);
            return Status::ok("Some were changed meanwhile").with(Code::Modified(failed));
        }
        match self.missing {
            0 => Status::ok("Store completed"),
            _ => Status::ok("Some of the messages are gone").with(Code::ExpungeIssued),
        }
    }
}

impl Session {
    /// STORE: the marks are changed durably, then they are told; many messages in several acts.
    pub(super) async fn store(&mut self, endpoint: &mut Server, store: Store) {
        match Storing::of(store) {
            Ok(storing) => {
                let end = End::Finish(Status::ok("Store completed"));
                self.answer_with_news(endpoint, Some(Own::Store(storing)), end).await;
            }
            Err(error) => self.finish(endpoint, Err(error)).await,
        }
    }

    /// Tells the marks that were changed, as far as there is room, or changes more.
    pub(super) async fn go_on_storing(
        &mut self,
        endpoint: &mut Server,
        storing: &mut Storing,
    ) -> Result<Told, Error> {
        while endpoint.has_room()
            && let Some((mark, tells)) = storing.page.pop_front()
        {
            if let Some(open) = &mut self.open {
                open.has_told(mark.modseq);
            }
            match tells {
                Tells::Flags => self.tell_mark(endpoint, &mark),
                // RFC 7162 §3.1.3: the client must know the mod-sequence all the same.
                Tells::ModSeq if endpoint.wants_mod_seqs() => self.tell_mod_seq(endpoint, &mark),
                Tells::ModSeq => {}
            }
        }
        if storing.page.is_empty() {
            if storing.left.is_empty() {
                return Ok(Told::All);
            }
            self.mark_some(endpoint, storing).await?;
        }
        Ok(Told::Some)
    }

    /// Changes the marks of the next messages.
    async fn mark_some(&mut self, endpoint: &mut Server, storing: &mut Storing) -> Result<(), Error> {
        let uids: Vec<Uid> = storing.left.iter().take(ACT).map(Uid).collect();
        let last = uids.last().map_or(u32::MAX, |last| last.0);
        storing.left = storing.left.difference(&Numbers::range(1, last));
        let Some(open) = &self.open else { return Ok(()) };
        let marked = self.visit.context.store.mark(open.id, &uids, storing.marking.clone()).await?;
        storing.missing += uids.len() - marked.found() as usize - marked.failed.len();
        for (mark, former) in marked.changed.into_iter().zip(marked.former) {
            // Somebody else has changed it before, and the client does not know that yet (RFC 7162 §3.1.3).
            let is_news = former > open.marks_seen && !open.told.contains(former);
            let tells = if is_news { Tells::Flags } else { storing.tells };
            storing.page.push_back((mark, tells));
        }
        if storing.tells == Tells::Flags {
            storing.page.extend(marked.same.into_iter().map(|mark| (mark, Tells::Flags)));
            storing.page.make_contiguous().sort_unstable_by_key(|(mark, _)| mark.uid);
        }
        marked.failed.iter().for_each(|uid| storing.failed.push(uid.0));
        // Also those that somebody else has given to these messages: they are told now, and not again.
        let keywords = storing.page.iter().map(|(mark, _)| mark.keywords);
        self.learn_keywords_among(endpoint, keywords).await
    }

    /// Tells the flags of a message, if the client knows it.
    pub(super) fn tell_mark(&self, endpoint: &mut Server, mark: &Mark) {
        let Some(open) = &self.open else { return };
        if endpoint.begin_message(mark.uid.0) {
            endpoint.item(&FetchData::Flags(&flags(mark.flags, mark.keywords, &open.keywords)));
            if endpoint.wants_mod_seqs() {
                endpoint.item(&FetchData::ModSeq(mark.modseq.0));
            }
            endpoint.end_message();
        }
    }

    fn tell_mod_seq(&self, endpoint: &mut Server, mark: &Mark) {
        if endpoint.begin_message(mark.uid.0) {
            endpoint.item(&FetchData::ModSeq(mark.modseq.0));
            endpoint.end_message();
        }
    }

    /// The same, if one of these entries has a keyword that is not known here.
    pub(super) async fn learn_keywords_of(
        &mut self,
        endpoint: &mut Server,
        entries: &[Entry],
    ) -> Result<(), Error> {
        self.learn_keywords_among(endpoint, entries.iter().map(|entry| entry.keywords)).await
    }

    async fn learn_keywords_among(
        &mut self,
        endpoint: &mut Server,
        keywords: impl Iterator<Item = KeywordSet>,
    ) -> Result<(), Error> {
        let most = keywords.filter_map(|keywords| keywords.numbers().last()).max();
        let known = self.open.as_ref().map_or(0, |open| open.keywords.len());
        if most.is_some_and(|most| most >= known) { self.learn_keywords(endpoint).await } else { Ok(()) }
    }

    /// Asks which keywords the mailbox knows, and tells of new ones.
    pub(super) async fn learn_keywords(&mut self, endpoint: &mut Server) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let status = self.visit.context.store.status(open.id).await?;
        if status.keywords.len() != open.keywords.len() {
            open.keywords = status.keywords;
            endpoint.tell_flags(&all_flags(&open.keywords), new_keywords(&open.keywords));
        }
        Ok(())
    }
}
