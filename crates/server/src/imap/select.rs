//! The selected mailbox: how it was when it was selected, and what others changed since.

use super::Session;
use super::list::attributes;
use super::marks;
use imap::answer::{Code, FetchData, Status, Untagged};
use imap::server::{Access, Selection, Server};
use imap::{Flag, Numbers, QResync, View};
use std::collections::HashMap;
use store::{ChangeKind, Entry, Error, Flags, MailboxId, MailboxName, MailboxStatus, ModSeq, Uid};

/// A mailbox that is selected.
pub(super) struct Open {
    pub(super) id: MailboxId,
    pub(super) access: Access,
    /// Up to where its history was told.
    pub(super) seen: ModSeq,
    /// Changes that the client knows already, because they are its own: UIDs and when.
    pub(super) told: HashMap<u32, ModSeq>,
}

impl Open {
    /// The flags of an entry.
    pub(super) fn flags_of(&self, entry: &Entry) -> Vec<Flag> {
        marks::flags(entry.flags)
    }
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
        let store = &self.visit.context.store;
        let status = store.mailbox(self.account()?, &name).await?;
        let (mut view, mut first_unseen, mut after) = (View::new(), None, Uid(0));
        loop {
            let page = store.entries(status.id, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.uid;
            for entry in &page {
                view.push(entry.uid.0);
                if first_unseen.is_none() && !entry.flags.contains(Flags::SEEN) {
                    first_unseen = Some(entry.uid.0);
                }
            }
        }
        let seen = status.highest_modseq;
        self.open = Some(Box::new(Open { id: status.id, access, seen, told: HashMap::new() }));
        let uid_validity = status.uid_validity.0;
        endpoint.select(self.selection(&status, view, first_unseen).await?);
        if let Some(known) = qresync.filter(|known| known.uid_validity == uid_validity) {
            self.resynchronise(endpoint, &known).await?;
        }
        Ok(match access {
            Access::ReadWrite => Status::ok("Selected").with(Code::ReadWrite),
            Access::ReadOnly => Status::ok("Selected to be read only").with(Code::ReadOnly),
        })
    }

    async fn selection(
        &mut self,
        status: &MailboxStatus,
        view: View,
        first_unseen: Option<u32>,
    ) -> Result<Selection, Error> {
        let all = self.visit.context.store.mailboxes(self.account()?).await?;
        Ok(Selection {
            name: status.name.as_str().to_owned(),
            attributes: attributes(status, &all),
            mailbox_id: mailbox_id(status.id),
            view,
            flags: marks::all_flags(),
            uid_validity: status.uid_validity.0,
            uid_next: status.uid_next.0,
            highest_mod_seq: status.highest_modseq.0,
            first_unseen,
        })
    }

    /// Tells a client that comes back what happened since (RFC 7162 §3.2.5).
    async fn resynchronise(&mut self, endpoint: &mut Server, known: &QResync) -> Result<(), Error> {
        let since = ModSeq(known.mod_seq);
        let mut gone = self.vanished_since(since).await?;
        if let Some(imap::SequenceSet::Ranges(ranges)) = &known.known {
            let all = Numbers::of_ranges(ranges.iter().map(|range| range.bounds(u32::MAX)));
            gone = gone.intersection(&all);
        }
        if !gone.is_empty() {
            endpoint.tell(&Untagged::Vanished { earlier: true, uids: gone });
        }
        let changed = self.history(since).await?;
        self.tell_flags_of(endpoint, &changed.present).await
    }

    /// Tells what happened in the selected mailbox since it was told last.
    pub(super) async fn sync(&mut self, endpoint: &mut Server) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (seen, told) = (open.seen, std::mem::take(&mut open.told));
        let history = self.history(seen).await?;
        let Some(open) = &mut self.open else { return Ok(()) };
        open.seen = history.last;
        let (known, came): (Vec<_>, Vec<_>) =
            history.present.iter().copied().partition(|(uid, _)| endpoint.knows(*uid));
        let mut came: Vec<u32> = came.into_iter().map(|(uid, _)| uid).collect();
        came.sort_unstable();
        let changed: Vec<_> =
            known.into_iter().filter(|(uid, modseq)| told.get(uid) != Some(modseq)).collect();
        self.tell_flags_of(endpoint, &changed).await?;
        endpoint.changed(&came, &history.gone);
        Ok(())
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

    /// Tells the flags of these messages as they are now.
    async fn tell_flags_of(&mut self, endpoint: &mut Server, changed: &[(u32, ModSeq)]) -> Result<(), Error> {
        let mut uids: Vec<u32> = changed.iter().map(|(uid, _)| *uid).collect();
        uids.sort_unstable();
        for entry in self.entries_of(&uids.into_iter().collect()).await? {
            self.tell_flags(endpoint, &entry);
        }
        Ok(())
    }

    /// Tells the flags of a message, if the client knows it.
    pub(super) fn tell_flags(&self, endpoint: &mut Server, entry: &Entry) {
        let Some(open) = &self.open else { return };
        if endpoint.begin_message(entry.uid.0) {
            endpoint.item(&FetchData::Flags(&open.flags_of(entry)));
            if endpoint.wants_mod_seqs() {
                endpoint.item(&FetchData::ModSeq(entry.modseq.0));
            }
            endpoint.end_message();
        }
    }

    /// The entries with these UIDs.
    pub(super) async fn entries_of(&mut self, uids: &Numbers) -> Result<Vec<Entry>, Error> {
        let Some(open) = &self.open else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for &(first, last) in uids.ranges() {
            let mut after = first - 1;
            while after < last {
                let most = PAGE.min((last - after) as usize);
                let page = self.visit.context.store.entries(open.id, Uid(after), most).await?;
                let Some(end) = page.last() else { break };
                after = end.uid.0;
                found.extend(page.into_iter().filter(|entry| entry.uid.0 <= last));
            }
        }
        Ok(found)
    }

    /// CLOSE: what is marked as deleted goes, and nothing is told of it.
    pub(super) async fn close_mailbox(&mut self) -> Result<Status, Error> {
        let result = self.expunge(None).await;
        self.open = None;
        result.map(|_| Status::ok("Closed"))
    }

    /// EXPUNGE, of all or of those among these.
    pub(super) async fn expunge(&mut self, uids: Option<&Numbers>) -> Result<Status, Error> {
        let Some(id) = self.open.as_ref().map(|open| open.id) else {
            return Ok(Status::ok("Nothing to expunge"));
        };
        let everything = Numbers::range(1, u32::MAX);
        let entries = self.entries_of(uids.unwrap_or(&everything)).await?;
        let deleted: Vec<Uid> = entries
            .iter()
            .filter(|entry| entry.flags.contains(Flags::DELETED))
            .map(|entry| entry.uid)
            .collect();
        if !deleted.is_empty() {
            self.visit.context.store.expunge(id, &deleted).await?;
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

/// MAILBOXID (RFC 8474): a letter first, for it must not look like NIL or a number.
pub(super) fn mailbox_id(id: MailboxId) -> String {
    format!("F{:x}", id.0)
}
