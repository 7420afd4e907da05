//! Applying changes of the entries of mailboxes.

use super::{Work, count};
use crate::body::{Copied, MailboxChange, Place, Remains};
use crate::index::rows::{EntryRow, MailboxRow};
use store::{Flags, KeywordSet, MailboxId, Mark, Marked, Masks, ModSeq, Result, Uid, VANISHED_MAX};

impl Work<'_> {
    /// Applies one change; returns how many entries it found, and what became of marked ones when somebody wants to know.
    pub(super) fn mailbox(&mut self, change: &MailboxChange, told: Option<&mut Marked>) -> Result<u64> {
        self.counters.see_mailbox_change(change);
        match change {
            MailboxChange::Flags { mailbox, uids, add, remove, modseq } => {
                let masks = Masks { add_flags: *add, remove_flags: *remove, ..Masks::default() };
                self.marked((*mailbox, uids, *modseq), masks, told)
            }
            MailboxChange::Marked { mailbox, uids, masks, modseq } => {
                self.marked((*mailbox, uids, *modseq), *masks, told)
            }
            MailboxChange::Expunged { mailbox, uids, modseq } => self.expunged(*mailbox, uids, *modseq),
            MailboxChange::Copied(copied) => self.copied(copied),
        }
    }

    fn marked(
        &mut self,
        (mailbox, uids, first): (MailboxId, &[Uid], ModSeq),
        masks: Masks,
        mut told: Option<&mut Marked>,
    ) -> Result<u64> {
        let mut found = 0;
        for (uid, modseq) in uids.iter().zip(first.0..) {
            let Some(entry) = self.entries.row((mailbox.0, u64::from(uid.0)))? else { continue };
            found += 1;
            let before = (entry.flags, entry.keywords);
            let after = masks.apply(before);
            if after == before {
                if let Some(told) = &mut told {
                    told.same.push(mark(*uid, entry));
                }
                continue;
            }
            let old = std::mem::replace(&mut entry.modseq, ModSeq(modseq));
            (entry.flags, entry.keywords) = after;
            if let Some(told) = &mut told {
                told.changed.push(mark(*uid, entry));
                told.former.push(old);
            }
            self.changes.remove((mailbox.0, old.0));
            self.change(mailbox, ModSeq(modseq), *uid)?;
            if let Some(row) = self.mailboxes.row((mailbox.0, 0))? {
                row.leaves(before.0);
                row.comes(after.0);
            }
        }
        Ok(found)
    }

    fn expunged(&mut self, mailbox: MailboxId, uids: &[Uid], first: ModSeq) -> Result<u64> {
        let mut found = 0;
        for (uid, modseq) in uids.iter().zip(first.0..) {
            // Told even when there is no such entry: the records of the message may have been reclaimed, and this one not.
            if self.mailboxes.row((mailbox.0, 0))?.is_none() {
                continue;
            }
            self.vanished(mailbox, ModSeq(modseq), *uid)?;
            let Some(entry) = self.entries.take((mailbox.0, u64::from(uid.0)))? else { continue };
            found += 1;
            self.changes.remove((mailbox.0, entry.modseq.0));
            if let Some(row) = self.mailboxes.row((mailbox.0, 0))? {
                row.messages = row.messages.saturating_sub(1);
                row.bytes = row.bytes.saturating_sub(entry.size);
                row.leaves(entry.flags);
                count(&mut self.applied.left, row.account, entry.size);
            }
            self.release(entry.spool)?;
        }
        Ok(found)
    }

    fn copied(&mut self, copied: &Copied) -> Result<u64> {
        let (target, mut found) = (copied.target, 0);
        for (uid, modseq, entry) in copied.copies() {
            let Some(row) = self.mailboxes.row((target.0, 0))? else { break };
            row.last = row.last.max(uid);
            row.highest = row.highest.max(modseq);
            let key = (target.0, u64::from(uid.0));
            // Its records may have been reclaimed since the copy went, too.
            let Some(message) = self.messages.row((entry.spool, 0))? else { continue };
            if self.entries.row(key)?.is_some() {
                continue;
            }
            found += 1;
            message.references = message.references.saturating_add(1);
            let copy = EntryRow {
                modseq,
                flags: entry.flags,
                keywords: entry.keywords,
                received: entry.received,
                saved: copied.saved,
                size: entry.size,
                spool: entry.spool,
                delivery: entry.delivery,
            };
            self.arrives(target, (uid, copy))?;
        }
        if let Some(MailboxChange::Expunged { mailbox, uids, modseq }) = copied.expunged() {
            self.expunged(mailbox, &uids, modseq)?;
        }
        Ok(found)
    }

    /// Adds an entry to a mailbox that there is.
    pub(super) fn arrives(&mut self, mailbox: MailboxId, (uid, entry): (Uid, EntryRow)) -> Result<()> {
        if let Some(row) = self.mailboxes.row((mailbox.0, 0))? {
            row.last = row.last.max(uid);
            row.messages += 1;
            row.bytes = row.bytes.saturating_add(entry.size);
            row.comes(entry.flags);
            count(&mut self.applied.arrived, row.account, entry.size);
        }
        let modseq = entry.modseq;
        self.entries.put((mailbox.0, u64::from(uid.0)), entry);
        self.change(mailbox, modseq, uid)
    }

    /// Messages were here; the numbers that they were given must not be given again.
    pub(super) fn remains(&mut self, Remains(places): &Remains) -> Result<()> {
        for &Place { mailbox, uid, modseq } in places {
            self.counters.modseq = self.counters.modseq.max(modseq);
            let Some(row) = self.mailboxes.row((mailbox.0, 0))? else { continue };
            row.last = row.last.max(uid);
            row.highest = row.highest.max(modseq);
        }
        Ok(())
    }

    /// The last change of an entry that is there.
    fn change(&mut self, mailbox: MailboxId, modseq: ModSeq, uid: Uid) -> Result<()> {
        self.changes.put((mailbox.0, modseq.0), uid);
        self.touched(mailbox, modseq)
    }

    /// An entry is gone. Of the expunges of a mailbox the latest are remembered.
    fn vanished(&mut self, mailbox: MailboxId, modseq: ModSeq, uid: Uid) -> Result<()> {
        self.vanished.put((mailbox.0, modseq.0), uid);
        self.touched(mailbox, modseq)?;
        let Some(row) = self.mailboxes.row((mailbox.0, 0))? else { return Ok(()) };
        row.vanished += 1;
        if row.vanished <= VANISHED_MAX as u64 {
            return Ok(());
        }
        row.vanished -= 1;
        // Those before were forgotten in the same transaction: nobody looks at them again.
        let forgotten = self.forgotten.entry(mailbox).or_default();
        let from = (mailbox.0, forgotten.0.saturating_add(1));
        if let Some((_, first)) = self.vanished.first(from..=(mailbox.0, u64::MAX))? {
            self.vanished.remove((mailbox.0, first));
            *forgotten = ModSeq(first);
        }
        Ok(())
    }

    /// A mailbox has a new highest ModSeq.
    fn touched(&mut self, mailbox: MailboxId, modseq: ModSeq) -> Result<()> {
        self.applied.modseq = self.applied.modseq.max(Some(modseq));
        let Some(row) = self.mailboxes.row((mailbox.0, 0))? else { return Ok(()) };
        row.highest = row.highest.max(modseq);
        self.applied.touched.insert(mailbox, (row.account, row.highest));
        Ok(())
    }
}

impl MailboxRow {
    /// Counts an entry with these flags.
    fn comes(&mut self, flags: Flags) {
        self.unseen += u64::from(!flags.contains(Flags::SEEN));
        self.deleted += u64::from(flags.contains(Flags::DELETED));
    }

    /// Counts it no more.
    fn leaves(&mut self, flags: Flags) {
        self.unseen = self.unseen.saturating_sub(u64::from(!flags.contains(Flags::SEEN)));
        self.deleted = self.deleted.saturating_sub(u64::from(flags.contains(Flags::DELETED)));
    }
}

/// An entry that came by mail.
pub(super) fn unmarked(
    (received, saved): (store::Timestamp, store::Timestamp),
    spool: u64,
    entry: &crate::effect::NewEntry,
) -> EntryRow {
    EntryRow {
        modseq: entry.modseq,
        flags: Flags::default(),
        keywords: KeywordSet::default(),
        received,
        saved,
        size: entry.size,
        spool,
        delivery: entry.delivery,
    }
}

fn mark(uid: Uid, entry: &EntryRow) -> Mark {
    Mark { uid, modseq: entry.modseq, flags: entry.flags, keywords: entry.keywords }
}
