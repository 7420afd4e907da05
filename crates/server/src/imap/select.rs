//! The selected mailbox: how it was when it was selected, and what others changed since.

use super::Session;
use super::list::attributes;
use super::marks;
use super::news::{Answering, Moments, Own};
use imap::answer::{Code, Status, Untagged};
use imap::server::{Access, Selection, Server};
use imap::{Numbers, QResync, SequenceSet, View};
use std::ops::RangeInclusive;
use store::{Error, Flags, Keyword, MailboxId, MailboxName, MailboxStatus, ModSeq, Uid};

/// A mailbox that is selected.
pub(super) struct Open {
    pub(super) id: MailboxId,
    pub(super) access: Access,
    /// Up to where it was told what came and went.
    pub(super) seen: ModSeq,
    /// Up to where changed marks were told; before that where a client does not want to hear of marks.
    pub(super) marks_seen: ModSeq,
    /// What the session itself has put into it since.
    pub(super) own: Numbers,
    /// Changes after that which the client knows already, because they are its own.
    pub(super) told: Moments,
    /// The keywords that it knows, by their numbers.
    pub(super) keywords: Vec<Keyword>,
}

impl Open {
    /// The client hears now what a change made of a message: it need not hear that again.
    pub(super) fn has_told(&mut self, change: ModSeq) {
        if change > self.marks_seen {
            self.told.add(change);
        }
    }
}

impl Session {
    /// SELECT and EXAMINE.
    pub(super) async fn select(
        &mut self,
        endpoint: &mut Server,
        mailbox: &str,
        access: Access,
        qresync: Option<QResync>,
    ) -> Result<Answering, Error> {
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
            access,
            seen: status.highest_modseq,
            marks_seen: status.highest_modseq,
            own: Numbers::new(),
            told: Moments::default(),
            keywords: status.keywords.clone(),
        }));
        endpoint.select(Selection {
            name: status.name.as_str().to_owned(),
            attributes: attributes(status, &all),
            mailbox_id: mailbox_id(id),
            view: roll.marks.iter().map(|mark| mark.uid.0).collect::<View>(),
            flags: marks::all_flags(&status.keywords),
            new_keywords: marks::new_keywords(&status.keywords),
            uid_validity: status.uid_validity.0,
            uid_next: status.uid_next.0,
            highest_mod_seq: status.highest_modseq.0,
            first_unseen: unseen.map(|mark| mark.uid.0),
        });
        let own = match qresync.filter(|known| known.uid_validity == status.uid_validity.0) {
            Some(known) => Some(self.resynchronise(endpoint, status, &known).await?),
            None => None,
        };
        let status = match access {
            Access::ReadWrite => Status::ok("Selected").with(Code::ReadWrite),
            Access::ReadOnly => Status::ok("Selected to be read only").with(Code::ReadOnly),
        };
        Ok(Answering::only(own, status))
    }

    /// Tells a client that comes back what went since (RFC 7162 §3.2.5); the marks of what changed are told after that.
    async fn resynchronise(
        &mut self,
        endpoint: &mut Server,
        status: &MailboxStatus,
        known: &QResync,
    ) -> Result<Own, Error> {
        let since = ModSeq(known.mod_seq);
        let mut gone = self.vanished_since(endpoint, status, since).await?;
        if let Some(SequenceSet::Ranges(ranges)) = &known.known {
            let all = Numbers::of_ranges(ranges.iter().map(|range| range.bounds(u32::MAX)));
            gone = gone.intersection(&all);
        }
        // What went after the mailbox was looked at is in the client's view: that it went is told as news.
        gone = gone.intersection(&endpoint.unknown_below(u32::MAX));
        if !gone.is_empty() {
            endpoint.tell(&Untagged::Vanished { earlier: true, uids: gone });
        }
        Ok(Own::Changes(since))
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
        self.gone_since(since).await
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

/// UIDs as the store takes them.
pub(super) fn ranges(uids: &Numbers) -> Vec<RangeInclusive<Uid>> {
    uids.ranges().iter().map(|(first, last)| Uid(*first)..=Uid(*last)).collect()
}

/// MAILBOXID (RFC 8474): a letter first, for it must not look like NIL or a number.
pub(super) fn mailbox_id(id: MailboxId) -> String {
    format!("F{:x}", id.0)
}
