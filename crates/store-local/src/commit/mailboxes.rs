//! Admitting what readers do with mailboxes: marks, copies, appended messages, mailboxes as such.

use super::{Committer, Pending, Waiting};
use crate::body::{LayoutChange, MailboxChange, Place, Placed};
use crate::effect::Effect;
use crate::job::{Answer, Copying, EntryChange, LayoutRequest, Message, Told, send};
use crate::record::Kind;
use crate::state::Created;
use store::{Appended, Copied, Keyword, MailboxId, Marking, Marks, Result, Timestamp, UidValidity, Usage};

impl Committer {
    pub(super) fn admit_change(&mut self, change: EntryChange, answer: Told, pending: &mut Pending) {
        match self.state.entries(change) {
            Ok((defined, change)) => {
                self.push_layout(pending, defined);
                self.push_entries(pending, change);
                pending.told.push((pending.batch.effects() - 1, answer));
            }
            Err(error) => answer.fail(error),
        }
    }

    pub(super) fn admit_copy(
        &mut self,
        copying: &Copying,
        now: Timestamp,
        answer: Answer<Copied>,
        pending: &mut Pending,
    ) {
        let mut created = Created { now, changes: Vec::new() };
        match self.state.copy(copying, &mut created) {
            Ok((defined, copied, uid_validity)) => {
                let originals = copying.entries.iter().map(|entry| entry.uid);
                let pairs = originals.zip(copied.uids()).collect();
                self.push_changes(pending, created.changes);
                self.push_layout(pending, defined);
                if !copied.entries.is_empty() {
                    self.push_entries(pending, MailboxChange::Copied(copied));
                }
                pending.waiting.push(Waiting::Copy(answer, Copied { uid_validity, pairs }));
            }
            Err(error) => send(answer, Err(error)),
        }
    }

    pub(super) fn admit_layout(
        &mut self,
        request: &LayoutRequest,
        now: Timestamp,
        answer: Answer<Option<MailboxId>>,
        pending: &mut Pending,
    ) {
        let mut created = Created { now, changes: Vec::new() };
        match self.state.layout(request, &mut created) {
            // All is so already.
            Ok(layout) if layout.changes.is_empty() && layout.made.is_none() => send(answer, Ok(None)),
            Ok(layout) => {
                self.push_changes(pending, created.changes);
                self.push_layout(pending, layout.changes);
                pending.waiting.push(Waiting::Layout(answer, layout.made));
            }
            Err(error) => send(answer, Err(error)),
        }
    }

    pub(super) fn admit_append(
        &mut self,
        mailbox: MailboxId,
        messages: Vec<(Message, Marks)>,
        answer: Answer<Appended>,
        pending: &mut Pending,
    ) {
        let (defined, uid_validity) = match self.check_append(mailbox, &messages) {
            Ok(checked) => checked,
            Err(error) => return send(answer, Err(error)),
        };
        self.push_layout(pending, defined);
        let (mut files, mut uids) = (Vec::new(), Vec::new());
        for (message, marks) in messages {
            let spool = message.accepted.spool;
            self.state.counters.spool = self.state.counters.spool.max(spool);
            let place = self.state.place_in(mailbox);
            uids.push(place.uid);
            files.extend(self.push_message(message, &Placed(vec![place]), pending));
            self.mark_appended(place, marks, pending);
        }
        let appended = Appended { uid_validity, uids };
        pending.waiting.push(Waiting::Append(answer, appended, files));
    }

    /// Refuses messages that cannot all be appended; counts them otherwise.
    fn check_append(
        &mut self,
        mailbox: MailboxId,
        messages: &[(Message, Marks)],
    ) -> Result<(Vec<LayoutChange>, UidValidity)> {
        let known = self.state.known(mailbox)?;
        let (owner, validity) = (known.owner.clone(), known.validity);
        self.state.check_uids(mailbox, messages.len())?;
        let usage = |(message, _): &(Message, Marks)| Usage { bytes: message.accepted.length, messages: 1 };
        let all = messages.iter().map(usage).fold(Usage::default(), Usage::with);
        let keywords: Vec<Keyword> =
            messages.iter().flat_map(|(_, marks)| marks.keywords.iter().cloned()).collect();
        let defined = self.state.define(mailbox, &keywords)?;
        match self.state.check_room(&owner, all) {
            Ok(()) => {
                messages.iter().for_each(|message| self.state.admit(&owner, usage(message)));
                Ok((defined, validity))
            }
            Err(error) => {
                self.state.undefine(mailbox, defined.len());
                Err(error)
            }
        }
    }

    /// What a message is marked with from the beginning is a change of its own in the same batch.
    fn mark_appended(&mut self, place: Place, marks: Marks, pending: &mut Pending) {
        if marks == Marks::default() {
            return;
        }
        let Place { mailbox, uid, .. } = place;
        let marking = Box::new(Marking::add(marks));
        let change = EntryChange::Mark { mailbox, uids: vec![uid], marking, seen: None };
        let (_, change) = self.state.entries(change).expect("the mailbox and its keywords were checked");
        self.push_entries(pending, change);
    }

    fn push_entries(&mut self, pending: &mut Pending, change: MailboxChange) {
        self.push(pending, change.kind(), Effect::Mailbox(change));
    }

    fn push_layout(&mut self, pending: &mut Pending, changes: Vec<LayoutChange>) {
        for change in changes {
            self.push(pending, Kind::Layout, Effect::Layout(change));
        }
    }
}
