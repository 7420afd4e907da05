//! Flags and keywords: as the store keeps them, as clients say them, and STORE (RFC 9051 §2.3.2, §6.4.6, RFC 7162 §3.1.3).

use super::Session;
use imap::answer::{Code, FetchData, Status};
use imap::server::{Server, Store};
use imap::{Flag, Numbers, StoreKind};
use store::{Entry, Error, Flags, Keyword, KeywordSet, Mark, Marking, Marks, ModSeq, Uid};

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

impl Session {
    /// STORE: the marks are changed durably, then they are told.
    pub(super) async fn store(&mut self, endpoint: &mut Server, store: Store) -> Result<Status, Error> {
        let Some(id) = self.open.as_ref().map(|open| open.id) else {
            return Ok(Status::ok("Nothing to store"));
        };
        let marks = marks(&store.flags)?;
        let has_keywords = !marks.keywords.is_empty();
        let marking = match store.kind {
            StoreKind::Add => Marking::add(marks),
            StoreKind::Remove => Marking::remove(marks),
            StoreKind::Replace => Marking::replace(marks),
        };
        let marking = match store.unchanged_since {
            Some(since) => marking.unchanged_since(ModSeq(since)),
            None => marking,
        };
        let uids: Vec<Uid> = store.uids.iter().map(Uid).collect();
        let marked = self.visit.context.store.mark(id, &uids, marking).await?;
        if has_keywords {
            self.learn_keywords(endpoint).await?;
        }
        let Some(open) = &mut self.open else { return Ok(Status::ok("Stored")) };
        // The marks of these are told, and not only that they are now what the client made them.
        let mut told: Vec<(Mark, bool)> = Vec::with_capacity(marked.changed.len());
        for (mark, former) in marked.changed.into_iter().zip(marked.former) {
            // Somebody else has changed it, and the client does not know that yet (RFC 7162 §3.1.3).
            let is_news = former > open.seen && open.told.get(&mark.uid.0) != Some(&former);
            told.push((mark, is_news || !store.silent));
        }
        open.told.extend(told.iter().map(|(mark, _)| (mark.uid.0, mark.modseq)));
        if !store.silent {
            told.extend(marked.same.into_iter().map(|mark| (mark, true)));
            told.sort_unstable_by_key(|(mark, _)| mark.uid);
        }
        for (mark, with_flags) in &told {
            if *with_flags {
                self.tell_mark(endpoint, mark);
            } else if endpoint.wants_mod_seqs() {
                // RFC 7162 §3.1.3: the client must know the mod-sequence all the same.
                self.tell_mod_seq(endpoint, mark);
            }
        }
        if marked.failed.is_empty() {
            return Ok(Status::ok("Store completed"));
        }
        let failed: Numbers = marked.failed.iter().map(|uid| uid.0).collect();
        let failed = endpoint.as_named(&failed);
        Ok(Status::ok("Some were changed meanwhile").with(Code::Modified(failed)))
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
        let most = entries.iter().filter_map(|entry| entry.keywords.numbers().last()).max();
        let known = self.open.as_ref().map_or(0, |open| open.keywords.len());
        if most.is_some_and(|most| most >= known) { self.learn_keywords(endpoint).await } else { Ok(()) }
    }

    /// Asks which keywords the mailbox knows, and tells of new ones.
    pub(super) async fn learn_keywords(&mut self, endpoint: &mut Server) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let status = self.visit.context.store.status(open.id).await?;
        if status.keywords.len() != open.keywords.len() {
            open.keywords = status.keywords;
            endpoint.tell_flags(&all_flags(&open.keywords));
        }
        Ok(())
    }
}
