//! The selected mailbox: how it was when it was selected, and what others changed since.

use super::Session;
use super::list::attributes;
use super::marks;
use imap::answer::{Code, Status, Untagged};
use imap::server::{Access, Selection, Server};
use imap::{Numbers, QResync, SequenceSet, View};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use store::{
    AccountId, ChangeKind, Entry, Error, Flags, Keyword, MailboxId, MailboxName, MailboxStatus, ModSeq, Uid,
};

/// A mailbox that is selected.
pub(super) struct Open {
    pub(super) id: MailboxId,
    pub(super) account: AccountId,
    pub(super) access: Access,
    /// Up to where its history was told.
    pub(super) seen: ModSeq,
    /// Changes that the client knows already, because they are its own: UIDs and when.
    pub(super) told: HashMap<u32, ModSeq>,
    /// The keywords that it knows, by their numbers.
    pub(super) keywords: Vec<Keyword>,
}

/// How many changes or entries are asked for at once.
const PAGE: usize = 1000;

impl Session {
    /// SELECT and EXAMINE.
    pub(super) async fn select(
        &mut self,
        endpoint: &mut Server,
        mailbox: &str,
        access: Access,
        qresync: Option<QResync>,
    ) -> Result<Status, Error> {
        let name = MailboxName::new(mailbox)?;
        let account = self.account()?.clone();
        let store = &self.visit.context.store;
        let id = store.mailbox(&account, &name).await?.id;
        let roll = store.roll(id).await?;
        let all = store.mailboxes(&account).await?;
        let status = &roll.status;
        let unseen = roll.marks.iter().find(|mark| !mark.flags.contains(Flags::SEEN));
        self.open = Some(Box::new(Open {
            id,
            account: status.account,
            access,
            seen: status.highest_modseq,
            told: HashMap::new(),
            keywords: status.keywords.clone(),
        }));
        endpoint.select(Selection {
            name: status.name.as_str().to_owned(),
            attributes: attributes(status, &all),
            mailbox_id: mailbox_id(id),
            view: roll.marks.iter().map(|mark| mark.uid.0).collect::<View>(),
            flags: marks::all_flags(&status.keywords),
            uid_validity: status.uid_validity.0,
            uid_next: status.uid_next.0,
            highest_mod_seq: status.highest_modseq.0,
            first_unseen: unseen.map(|mark| mark.uid.0),
        });
        if let Some(known) = qresync.filter(|known| known.uid_validity == status.uid_validity.0) {
            self.resynchronise(endpoint, status, &known).await?;
        }
        Ok(match access {
            Access::ReadWrite => Status::ok("Selected").with(Code::ReadWrite),
            Access::ReadOnly => Status::ok("Selected to be read only").with(Code::ReadOnly),
        })
    }

    /// Tells a client that comes back what happened since (RFC 7162 §3.2.5).
    async fn resynchronise(
        &mut self,
        endpoint: &mut Server,
        status: &MailboxStatus,
        known: &QResync,
    ) -> Result<(), Error> {
        let since = ModSeq(known.mod_seq);
        let mut gone = self.vanished_since(endpoint, status, since).await?;
        if let Some(SequenceSet::Ranges(ranges)) = &known.known {
            let all = Numbers::of_ranges(ranges.iter().map(|range| range.bounds(u32::MAX)));
            gone = gone.intersection(&all);
        }
        if !gone.is_empty() {
            endpoint.tell(&Untagged::Vanished { earlier: true, uids: gone });
        }
        let history = self.history(since).await?;
        let uids: Numbers = history.present.iter().map(|(uid, _)| *uid).collect();
        for entry in self.entries_of(&uids).await? {
            self.tell_mark(endpoint, &entry.mark());
        }
        Ok(())
    }

    /// Those that went since a moment: where that is no longer known, all that could be there and are not.
    pub(super) async fn vanished_since(
        &mut self,
        endpoint: &Server,
        status: &MailboxStatus,
        since: ModSeq,
    ) -> Result<Numbers, Error> {
        if since < status.history_from {
            // What came since the view was told is not there for the client, and is not gone.
            let roll = self.visit.context.store.roll(status.id).await?;
            let there: Numbers = roll.marks.iter().map(|mark| mark.uid.0).collect();
            return Ok(endpoint.unknown_below(roll.status.uid_next.0).difference(&there));
        }
        Ok(self.history(since).await?.gone)
    }

    /// Tells what happened in the selected mailbox since it was told last.
    pub(super) async fn sync(&mut self, endpoint: &mut Server) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (seen, told) = (open.seen, std::mem::take(&mut open.told));
        let history = match self.news(seen).await {
            Err(Error::NoSuchMailbox(_)) => {
                // Somebody has removed it.
                endpoint.mailbox_is_gone();
                return Ok(());
            }
            news => news?,
        };
        let Some(open) = &mut self.open else { return Ok(()) };
        open.seen = history.last;
        let (known, came): (Vec<_>, Vec<_>) =
            history.present.iter().copied().partition(|(uid, _)| endpoint.knows(*uid));
        let mut came: Vec<u32> = came.into_iter().map(|(uid, _)| uid).collect();
        came.sort_unstable();
        let changed: Numbers = known
            .into_iter()
            .filter(|(uid, modseq)| told.get(uid) != Some(modseq))
            .map(|(uid, _)| uid)
            .collect();
        let entries = self.entries_of(&changed).await?;
        self.learn_keywords_of(endpoint, &entries).await?;
        for entry in &entries {
            self.tell_mark(endpoint, &entry.mark());
        }
        endpoint.changed(&came, &history.gone);
        endpoint.noted_up_to(history.last.0);
        Ok(())
    }

    /// What happened since the client was told last. Where the store does not remember all that went, everything is gone that is not there.
    async fn news(&mut self, seen: ModSeq) -> Result<History, Error> {
        let mut history = self.history(seen).await?;
        let Some(open) = &self.open else { return Ok(history) };
        let store = &self.visit.context.store;
        // Something that went is always remembered, if anything was forgotten.
        if !history.gone.is_empty() && store.status(open.id).await?.history_from > seen {
            let roll = store.roll(open.id).await?;
            let there: Numbers = roll.marks.iter().map(|mark| mark.uid.0).collect();
            history.gone = Numbers::range(1, u32::MAX).difference(&there);
        }
        Ok(history)
    }

    /// What happened since a moment.
    async fn history(&mut self, since: ModSeq) -> Result<History, Error> {
        let mut history = History { last: since, ..History::default() };
        let Some(open) = &self.open else { return Ok(history) };
        let mut gone = Vec::new();
        loop {
            let page = self.visit.context.store.changes(open.id, history.last, PAGE).await?;
            let Some(last) = page.last() else { break };
            history.last = last.modseq;
            for change in &page {
                match change.kind {
                    ChangeKind::Present => history.present.push((change.uid.0, change.modseq)),
                    ChangeKind::Expunged => gone.push(change.uid.0),
                }
            }
        }
        history.gone = gone.into_iter().collect();
        Ok(history)
    }

    /// The entries with these UIDs.
    pub(super) async fn entries_of(&mut self, uids: &Numbers) -> Result<Vec<Entry>, Error> {
        match &self.open {
            Some(open) if !uids.is_empty() => {
                self.visit.context.store.entries_in(open.id, &ranges(uids), usize::MAX).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// CLOSE: what is marked as deleted goes, and nothing is told of it.
    pub(super) async fn close_mailbox(&mut self) -> Result<Status, Error> {
        let result = self.expunge(None).await;
        self.open = None;
        result.map(|_| Status::ok("Closed"))
    }

    /// EXPUNGE, of all or of those among these.
    pub(super) async fn expunge(&mut self, uids: Option<&Numbers>) -> Result<Status, Error> {
        let everything = Numbers::range(1, u32::MAX);
        if let Some(open) = &self.open {
            let ranges = ranges(uids.unwrap_or(&everything));
            self.visit.context.store.expunge_deleted(open.id, &ranges).await?;
        }
        Ok(Status::ok("Expunge completed"))
    }
}

/// What happened in a mailbox.
#[derive(Default)]
struct History {
    /// Up to when.
    last: ModSeq,
    /// What came or was changed, and when.
    present: Vec<(u32, ModSeq)>,
    gone: Numbers,
}

/// UIDs as the store takes them.
pub(super) fn ranges(uids: &Numbers) -> Vec<RangeInclusive<Uid>> {
    uids.ranges().iter().map(|(first, last)| Uid(*first)..=Uid(*last)).collect()
}

/// MAILBOXID (RFC 8474): a letter first, for it must not look like NIL or a number.
pub(super) fn mailbox_id(id: MailboxId) -> String {
    format!("F{:x}", id.0)
}
