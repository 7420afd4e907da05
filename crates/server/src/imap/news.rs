//! Answers that are told page by page, as far as there is room: what a command tells itself, then what happened in the selected mailbox.
//!
//! What others change is learnt from the store's history of changes, before each command ends and in IDLE. Of a page of it the marks are told at
//! once; what came and went is kept as UIDs until its end, for numbers are told in their order. So the memory for it does not grow with what is
//! told. FETCH has a way of its own ([`super::fetch`]), and ends with this one.

use super::Session;
use super::marks::Storing;
use super::notify::Tells;
use imap::Numbers;
use imap::answer::Status;
use imap::server::{Server, replies};
use std::collections::BTreeMap;
use store::{ChangeKind, Entry, Error, MailboxId, ModSeq};
use tracing::warn;

/// An answer under way.
pub(super) struct Answering {
    own: Option<Own>,
    news: Option<News>,
    /// What came, if something of it is to be told (RFC 5465 §5.2).
    arrivals: Numbers,
    end: End,
}

/// What a command tells itself.
pub(super) enum Own {
    /// STORE.
    Store(Storing),
    /// SELECT with QRESYNC: the marks of what changed after this.
    Changes(ModSeq),
    /// NOOP and CHECK: what is new. When that cannot be told, they have not done what they are for.
    News,
}

/// What happened in the selected mailbox since the client was told last.
pub(super) struct News {
    /// Up to here it was looked at.
    at: ModSeq,
    tells: Tells,
    /// UIDs that the client does not know, in the order of their last change.
    came: Vec<u32>,
    gone: Vec<u32>,
}

/// How an answer ends.
pub(super) enum End {
    Finish(Status),
    /// In IDLE.
    Looked,
}

/// How far it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Some,
    /// There is no more.
    All,
}

/// How many changes are asked for at once.
const PAGE: usize = 1000;

/// Of what happened in the selected mailbox a command tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hears {
    /// Of what the client wants to hear.
    AsWanted,
    /// Of all: the command has made it happen.
    Everything,
}

impl End {
    pub(super) fn say(self, endpoint: &mut Server) {
        match self {
            End::Finish(status) => endpoint.finish(status),
            End::Looked => endpoint.looked(),
        }
    }
}

impl Answering {
    /// A command tells this, and nothing else before it ends.
    pub(super) fn only(own: Option<Own>, status: Status) -> Answering {
        Answering { own, news: None, arrivals: Numbers::new(), end: End::Finish(status) }
    }

    /// The command itself cannot go on: that is what it ends with.
    fn fail(&mut self, status: Status) {
        self.own = None;
        if let End::Finish(said) = &mut self.end {
            *said = status;
        }
    }
}

impl Session {
    /// Tells what is new in the selected mailbox, and ends the command.
    pub(super) async fn finish(&mut self, endpoint: &mut Server, result: Result<Status, Error>) {
        let status = result.unwrap_or_else(|error| self.said(&error));
        self.answer_with_news(endpoint, None, End::Finish(status)).await;
    }

    /// The same for a command that has removed messages: of those the client hears whatever it wants to hear of.
    pub(super) async fn finish_expunge(&mut self, endpoint: &mut Server, result: Result<Status, Error>) {
        let end = End::Finish(result.unwrap_or_else(|error| self.said(&error)));
        let news = self.news_for(Hears::Everything);
        self.answer(endpoint, Answering { own: None, news, arrivals: Numbers::new(), end }).await;
    }

    /// Tells what a command tells itself, then what is new in the selected mailbox, and ends.
    pub(super) async fn answer_with_news(&mut self, endpoint: &mut Server, own: Option<Own>, end: End) {
        let news = self.news_for(Hears::AsWanted);
        self.answer(endpoint, Answering { own, news, arrivals: Numbers::new(), end }).await;
    }

    /// What is to be told of the selected mailbox, if anything is.
    fn news_for(&self, hears: Hears) -> Option<News> {
        let open = self.open.as_ref()?;
        let (at, tells) = match (self.notification.of_selected(), hears) {
            (Tells::All, _) => (open.marks_seen, Tells::All),
            (Tells::Nothing, Hears::AsWanted) => return None,
            (Tells::Messages | Tells::Nothing, _) => (open.seen, Tells::Messages),
        };
        Some(News { at, tells, came: Vec::new(), gone: Vec::new() })
    }

    /// Tells this as far as there is room.
    pub(super) async fn answer(&mut self, endpoint: &mut Server, answering: Answering) {
        self.answering = Some(Box::new(answering));
        self.go_on_answering(endpoint).await;
    }

    /// Goes on with what was being told.
    pub(super) async fn go_on_answering(&mut self, endpoint: &mut Server) {
        let Some(mut answering) = self.answering.take() else { return endpoint.content_lost() };
        loop {
            if !endpoint.has_room() {
                endpoint.more();
                self.answering = Some(answering);
                return;
            }
            match self.tell_page(endpoint, &mut answering).await {
                Ok(Told::Some) => {}
                Ok(Told::All) => break,
                Err(error) if answering.own.is_some() => answering.fail(self.said(&error)),
                Err(error) => {
                    // It will be told later. What the command itself did is done: who heard NO would do it again.
                    warn!(session = %self.visit.id, %error, "what is new cannot be told now");
                    answering.news = None;
                }
            }
        }
        match answering.arrivals.is_empty() {
            true => answering.end.say(endpoint),
            false => self.tell_arrivals(endpoint, answering.arrivals, answering.end).await,
        }
    }

    async fn tell_page(&mut self, endpoint: &mut Server, answering: &mut Answering) -> Result<Told, Error> {
        let told = match (&mut answering.own, &mut answering.news) {
            (Some(Own::Store(storing)), _) => self.go_on_storing(endpoint, storing).await?,
            (Some(Own::Changes(since)), _) => self.tell_changes(endpoint, since).await?,
            (Some(Own::News) | None, Some(news)) => {
                self.tell_news(endpoint, (news, &mut answering.arrivals)).await?
            }
            (Some(Own::News), None) => Told::All,
            (None, None) => return Ok(Told::All),
        };
        if told == Told::All {
            match answering.own.take() {
                Some(Own::Store(storing)) => answering.end = End::Finish(storing.status(endpoint)),
                Some(Own::Changes(_)) => {}
                Some(Own::News) | None => answering.news = None,
            }
        }
        Ok(Told::Some)
    }

    /// Tells the marks of what changed since a moment.
    async fn tell_changes(&mut self, endpoint: &mut Server, since: &mut ModSeq) -> Result<Told, Error> {
        let Some(open) = &self.open else { return Ok(Told::All) };
        let page = self.visit.context.store.changes(open.id, *since, PAGE).await?;
        *since = page.last().map_or(*since, |last| last.modseq);
        let present = page.iter().filter(|change| change.kind == ChangeKind::Present);
        self.tell_marks(endpoint, &present.map(|change| change.uid.0).collect()).await?;
        Ok(if page.len() < PAGE { Told::All } else { Told::Some })
    }

    /// Tells what happened since the client was told last, or the next page of it.
    async fn tell_news(
        &mut self,
        endpoint: &mut Server,
        (news, arrivals): (&mut News, &mut Numbers),
    ) -> Result<Told, Error> {
        let Some(open) = &self.open else { return Ok(Told::All) };
        let page = match self.visit.context.store.changes(open.id, news.at, PAGE).await {
            Err(Error::NoSuchMailbox(_)) => {
                // RFC 2180 §3.3: the numbers of its messages mean nothing any more, and nothing else says that to every client.
                endpoint.shut_down(replies::MAILBOX_REMOVED);
                self.open = None;
                return Ok(Told::All);
            }
            page => page?,
        };
        let mut changed = Vec::new();
        for change in &page {
            news.at = change.modseq;
            match change.kind {
                ChangeKind::Expunged => news.gone.push(change.uid.0),
                ChangeKind::Present if !endpoint.knows(change.uid.0) => news.came.push(change.uid.0),
                ChangeKind::Present if open.told.contains(change.modseq) => {}
                ChangeKind::Present => changed.push(change.uid.0),
            }
        }
        if news.tells == Tells::All {
            self.tell_marks(endpoint, &changed.into_iter().collect()).await?;
        }
        if page.len() == PAGE {
            return Ok(Told::Some);
        }
        self.end_news(endpoint, news).await?;
        let own = self.open.as_mut().map(|open| std::mem::take(&mut open.own)).unwrap_or_default();
        if !self.notification.of_new().is_empty() {
            *arrivals = news.came.iter().copied().collect::<Numbers>().difference(&own);
        }
        Ok(Told::All)
    }

    /// All changes were looked at: tells what came and went.
    async fn end_news(&mut self, endpoint: &mut Server, news: &mut News) -> Result<(), Error> {
        let mut gone: Numbers = std::mem::take(&mut news.gone).into_iter().collect();
        let Some(open) = &mut self.open else { return Ok(()) };
        let store = &self.visit.context.store;
        // The store does not remember all that went: everything is gone that is not there. Something that went is always remembered, if
        // anything was forgotten.
        if !gone.is_empty() && store.status(open.id).await?.history_from > open.seen {
            let roll = store.roll(open.id).await?;
            let there: Numbers = roll.marks.iter().map(|mark| mark.uid.0).collect();
            gone = Numbers::range(1, u32::MAX).difference(&there);
        }
        open.seen = news.at;
        if news.tells == Tells::All {
            (open.marks_seen, open.told) = (news.at, Moments::default());
        }
        let told_up_to = open.marks_seen;
        news.came.sort_unstable();
        endpoint.changed(&news.came, &gone);
        endpoint.noted_up_to(told_up_to.0);
        Ok(())
    }

    /// Tells the marks of these messages, at most a page of them, as far as the client knows them.
    async fn tell_marks(&mut self, endpoint: &mut Server, uids: &Numbers) -> Result<(), Error> {
        let entries: Vec<Entry> = match &self.open {
            Some(open) if !uids.is_empty() => {
                self.visit.context.store.entries_in(open.id, &super::select::ranges(uids), PAGE).await?
            }
            _ => return Ok(()),
        };
        self.learn_keywords_of(endpoint, &entries).await?;
        for entry in &entries {
            self.tell_mark(endpoint, &entry.mark());
        }
        Ok(())
    }

    /// The session itself has put these into a mailbox: of those it knows.
    pub(super) fn note_own(&mut self, mailbox: MailboxId, uids: &Numbers) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == mailbox) {
            open.own = open.own.union(uids);
        }
    }

    /// Those that went since a moment, as far as the store remembers.
    pub(super) async fn gone_since(&mut self, since: ModSeq) -> Result<Numbers, Error> {
        let (mut gone, mut at) = (Vec::new(), since);
        let Some(open) = &self.open else { return Ok(Numbers::new()) };
        loop {
            let page = self.visit.context.store.changes(open.id, at, PAGE).await?;
            let expunged = page.iter().filter(|change| change.kind == ChangeKind::Expunged);
            gone.extend(expunged.map(|change| change.uid.0));
            match page.last() {
                Some(last) if page.len() == PAGE => at = last.modseq,
                _ => return Ok(gone.into_iter().collect()),
            }
        }
    }
}

/// Moments of changes. Those that follow each other take no more room than one: a client's own changes mostly do. When there are too many all
/// are forgotten.
#[derive(Debug, Default)]
pub(super) struct Moments(BTreeMap<u64, u64>);

/// So many that do not follow each other are kept at most. Who does not want to hear of marks (RFC 5465) adds to them as long as a mailbox is
/// selected; what is forgotten is only told again.
const MOMENTS_MAX: usize = 4096;

impl Moments {
    pub(super) fn add(&mut self, moment: ModSeq) {
        match self.0.range_mut(..=moment.0).next_back() {
            Some((_, last)) if moment.0 <= last.saturating_add(1) => *last = moment.0.max(*last),
            _ => {
                if self.0.len() >= MOMENTS_MAX {
                    self.0.clear();
                }
                self.0.insert(moment.0, moment.0);
            }
        }
    }

    pub(super) fn contains(&self, moment: ModSeq) -> bool {
        self.0.range(..=moment.0).next_back().is_some_and(|(_, last)| moment.0 <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOMENTS_MAX, ModSeq, Moments};

    #[test]
    fn moments_that_follow_each_other_are_one() {
        let mut moments = Moments::default();
        for moment in [5, 6, 7, 6, 9, 1, 10] {
            moments.add(ModSeq(moment));
        }
        let within = (0..12).filter(|moment| moments.contains(ModSeq(*moment))).collect::<Vec<_>>();
        assert_eq!(within, [1, 5, 6, 7, 9, 10]);
        assert_eq!(moments.0.len(), 3);
    }

    #[test]
    fn too_many_moments_are_forgotten() {
        let mut moments = Moments::default();
        let each = || (0..=MOMENTS_MAX as u64).map(|number| ModSeq(2 * number));
        each().take(MOMENTS_MAX).for_each(|moment| moments.add(moment));
        assert!(each().take(MOMENTS_MAX).all(|moment| moments.contains(moment)));
        each().skip(MOMENTS_MAX).for_each(|moment| moments.add(moment));
        assert_eq!(each().filter(|moment| moments.contains(*moment)).count(), 1, "the last one alone");
    }
}
