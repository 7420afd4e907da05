//! Reading mailboxes and their entries from the index.

use super::Snapshot;
use crate::body;
use crate::error::index_error;
use crate::index::rows::{
    CHANGES, Definition, ENTRIES, EntryRow, MAILBOXES, MailboxRow, NAMES, SUBSCRIPTIONS, VANISHED,
};
use std::ops::RangeInclusive;
use store::{
    AccountId, Change, ChangeKind, Entry, Error, MailboxId, MailboxName, MailboxStatus, Mark, ModSeq, Result,
    SpoolId, Uid, VANISHED_MAX,
};

impl Snapshot {
    /// The mailboxes of an account, by name.
    pub(crate) fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxStatus>> {
        let names = self.transaction.open_table(NAMES).map_err(index_error)?;
        let range = (account.0, "")..(account.0 + 1, "");
        let mut statuses = Vec::new();
        for row in names.range(range).map_err(index_error)? {
            let id = MailboxId(row.map_err(index_error)?.1.value());
            statuses.push(self.mailbox(id)?);
        }
        Ok(statuses)
    }

    /// The mailbox of that name.
    pub(crate) fn mailbox_named(
        &self,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Option<MailboxStatus>> {
        let names = self.transaction.open_table(NAMES).map_err(index_error)?;
        let id = names.get((account.0, name.as_str())).map_err(index_error)?;
        id.map(|id| self.mailbox(MailboxId(id.value()))).transpose()
    }

    /// A mailbox.
    pub(crate) fn mailbox(&self, id: MailboxId) -> Result<MailboxStatus> {
        let row = self.row(MAILBOXES, (id.0, 0))?.ok_or_else(|| no_such_mailbox(id))?;
        self.status(id, row)
    }

    /// Every mailbox.
    pub(crate) fn all_mailboxes(&self) -> Result<Vec<MailboxStatus>> {
        let mut all = Vec::new();
        self.rows(MAILBOXES, (0, 0), |key, row| {
            all.push(self.status(MailboxId(key.0), row)?);
            Ok(true)
        })?;
        Ok(all)
    }

    /// Whether there is such a mailbox.
    pub(crate) fn has_mailbox(&self, id: MailboxId) -> Result<bool> {
        Ok(self.row::<MailboxRow>(MAILBOXES, (id.0, 0))?.is_some())
    }

    /// The names that an account has subscribed to, in order.
    pub(crate) fn subscriptions(&self, account: AccountId) -> Result<Vec<MailboxName>> {
        let table = self.transaction.open_table(SUBSCRIPTIONS).map_err(index_error)?;
        let rows = table.range((account.0, "")..(account.0 + 1, "")).map_err(index_error)?;
        rows.map(|row| MailboxName::new(row.map_err(index_error)?.0.value().1)).collect()
    }

    /// Whether an account has subscribed to a name.
    pub(crate) fn is_subscribed(&self, account: AccountId, name: &MailboxName) -> Result<bool> {
        let table = self.transaction.open_table(SUBSCRIPTIONS).map_err(index_error)?;
        Ok(table.get((account.0, name.as_str())).map_err(index_error)?.is_some())
    }

    /// The entries of a mailbox after a UID.
    pub(crate) fn entries(&self, mailbox: MailboxId, after: Uid, limit: usize) -> Result<Vec<Entry>> {
        self.entries_in(mailbox, &[Uid(after.0.saturating_add(1))..=Uid(u32::MAX)], limit)
    }

    /// The entries of a mailbox within these ranges.
    pub(crate) fn entries_in(
        &self,
        mailbox: MailboxId,
        ranges: &[RangeInclusive<Uid>],
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.check_mailbox(mailbox)?;
        let mut entries = Vec::new();
        for range in ranges {
            if entries.len() >= limit {
                break;
            }
            let (first, last) = (u64::from(range.start().0), u64::from(range.end().0));
            self.rows(ENTRIES, (mailbox.0, first), |key, row: EntryRow| {
                let more = key.0 == mailbox.0 && key.1 <= last && entries.len() < limit;
                if more {
                    entries.push(entry(Uid(key.1 as u32), &row));
                }
                Ok(more)
            })?;
        }
        Ok(entries)
    }

    /// The marks of all entries of a mailbox.
    pub(crate) fn marks(&self, mailbox: &MailboxStatus) -> Result<Vec<Mark>> {
        let mut marks = Vec::with_capacity(mailbox.messages as usize);
        self.rows(ENTRIES, (mailbox.id.0, 0), |key, row: EntryRow| {
            let more = key.0 == mailbox.id.0;
            if more {
                let EntryRow { modseq, flags, keywords, .. } = row;
                marks.push(Mark { uid: Uid(key.1 as u32), modseq, flags, keywords });
            }
            Ok(more)
        })?;
        Ok(marks)
    }

    /// One entry.
    pub(crate) fn entry(&self, mailbox: MailboxId, uid: Uid) -> Result<Entry> {
        self.check_mailbox(mailbox)?;
        let row: Option<EntryRow> = self.row(ENTRIES, (mailbox.0, u64::from(uid.0)))?;
        let row = row.ok_or_else(|| Error::NoSuchMessage(format!("{uid} in mailbox {}", mailbox.0)))?;
        Ok(entry(uid, &row))
    }

    /// Those of these entries that a mailbox has.
    pub(crate) fn present(
        &self,
        mailbox: MailboxId,
        uids: impl IntoIterator<Item = Uid>,
    ) -> Result<Vec<Entry>> {
        self.check_mailbox(mailbox)?;
        let entries = self.transaction.open_table(ENTRIES).map_err(index_error)?;
        let mut present = Vec::new();
        for uid in uids {
            if let Some(row) = entries.get((mailbox.0, u64::from(uid.0))).map_err(index_error)? {
                present.push(entry(uid, &body::decode(row.value())?));
            }
        }
        Ok(present)
    }

    /// Whether a mailbox has any of these entries.
    pub(crate) fn has_any(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<bool> {
        let entries = self.transaction.open_table(ENTRIES).map_err(index_error)?;
        for uid in uids {
            if entries.get((mailbox.0, u64::from(uid.0))).map_err(index_error)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The changes of a mailbox after a ModSeq.
    pub(crate) fn changes(&self, mailbox: MailboxId, since: ModSeq, limit: usize) -> Result<Vec<Change>> {
        self.check_mailbox(mailbox)?;
        let mut changes = self.changes_of(CHANGES, (mailbox, since), limit, ChangeKind::Present)?;
        changes.extend(self.changes_of(VANISHED, (mailbox, since), limit, ChangeKind::Expunged)?);
        changes.sort_by_key(|change| change.modseq);
        changes.truncate(limit);
        Ok(changes)
    }

    fn changes_of(
        &self,
        table: Definition,
        (mailbox, since): (MailboxId, ModSeq),
        limit: usize,
        kind: ChangeKind,
    ) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        self.rows(table, (mailbox.0, since.0.saturating_add(1)), |key, uid: Uid| {
            let more = key.0 == mailbox.0 && changes.len() < limit;
            if more {
                changes.push(Change { modseq: ModSeq(key.1), uid, kind });
            }
            Ok(more)
        })?;
        Ok(changes)
    }

    fn check_mailbox(&self, id: MailboxId) -> Result<()> {
        if self.has_mailbox(id)? { Ok(()) } else { Err(no_such_mailbox(id)) }
    }

    fn status(&self, id: MailboxId, row: MailboxRow) -> Result<MailboxStatus> {
        let oldest = match row.vanished < VANISHED_MAX as u64 {
            true => None,
            false => self.changes_of(VANISHED, (id, ModSeq(0)), 1, ChangeKind::Expunged)?.pop(),
        };
        Ok(MailboxStatus {
            id,
            account: row.account,
            subscribed: self.is_subscribed(row.account, &row.name)?,
            name: row.name,
            uid_validity: row.validity,
            // At the last possible UID there is no next one; then the mailbox takes no more.
            uid_next: Uid(row.last.0.saturating_add(1)),
            messages: row.messages,
            unseen: row.unseen,
            deleted: row.deleted,
            bytes: row.bytes,
            highest_modseq: row.highest,
            history_from: oldest.map_or(ModSeq(0), |oldest| ModSeq(oldest.modseq.0.saturating_sub(1))),
            special_use: row.special_use,
            keywords: row.keywords,
        })
    }
}

fn entry(uid: Uid, row: &EntryRow) -> Entry {
    let EntryRow { modseq, flags, keywords, received, saved, size, spool, delivery } = *row;
    Entry { uid, modseq, flags, keywords, received, saved, size, spool: SpoolId(spool), delivery }
}

fn no_such_mailbox(id: MailboxId) -> Error {
    Error::NoSuchMailbox(format!("number {}", id.0))
}
