//! Applying changes of mailboxes as such: made, renamed, removed, subscribed to.

use super::Work;
use crate::body::{self, Counters, LayoutChange};
use crate::error::index_error;
use crate::index::rows::MailboxRow;
use redb::ReadableTable;
use store::{AccountId, KEYWORDS_MAX, Keyword, MailboxId, MailboxName, ModSeq, Result, Uid, UidValidity};

impl Work<'_> {
    pub(super) fn layout(&mut self, change: &LayoutChange) -> Result<()> {
        match change {
            LayoutChange::Renamed { mailbox, name } => self.renamed(*mailbox, name),
            LayoutChange::Removed { mailbox } => self.removed(*mailbox),
            LayoutChange::SpecialUse { mailbox, special_use } => {
                let Some(row) = self.mailboxes.row((mailbox.0, 0))? else { return Ok(()) };
                row.special_use = *special_use;
                self.applied.rearranged.insert(row.account);
                Ok(())
            }
            LayoutChange::Keyword { mailbox, number, keyword } => self.keyword(*mailbox, *number, keyword),
            LayoutChange::Subscribed { account, name } => {
                self.applied.rearranged.insert(*account);
                self.subscriptions.insert((account.0, name.as_str()), ()).map_err(index_error)?;
                Ok(())
            }
            LayoutChange::Unsubscribed { account, name } => {
                self.applied.rearranged.insert(*account);
                self.subscriptions.remove((account.0, name.as_str())).map_err(index_error)?;
                Ok(())
            }
        }
    }

    pub(super) fn created(
        &mut self,
        id: MailboxId,
        (account, name): (AccountId, &MailboxName),
        (validity, highest): (UidValidity, ModSeq),
    ) -> Result<()> {
        // A mailbox is made once; a record that says otherwise is nonsense and must not cost what is in it.
        if self.mailboxes.row((id.0, 0))?.is_some() {
            return Ok(());
        }
        self.names.insert((account.0, name.as_str()), id.0).map_err(index_error)?;
        let row = MailboxRow {
            account,
            name: name.clone(),
            validity,
            last: Uid(0),
            messages: 0,
            unseen: 0,
            deleted: 0,
            bytes: 0,
            highest,
            vanished: 0,
            special_use: None,
            keywords: Vec::new(),
        };
        self.mailboxes.put((id.0, 0), row);
        self.applied.modseq = self.applied.modseq.max(Some(highest));
        self.applied.rearranged.insert(account);
        Ok(())
    }

    /// All mailboxes begin anew for their readers.
    pub(super) fn restored(&mut self, validity: UidValidity, counters: &Counters) -> Result<()> {
        let mut mailboxes = Vec::new();
        for row in self.names.iter().map_err(index_error)? {
            mailboxes.push(row.map_err(index_error)?.1.value());
        }
        for id in mailboxes {
            if let Some(row) = self.mailboxes.row((id, 0))? {
                row.validity = body::restored_validity(validity, MailboxId(id));
                row.highest = counters.modseq;
            }
        }
        Ok(())
    }

    /// Takes away all that is in a mailbox whose name is gone already.
    pub(super) fn cleared(&mut self, mailbox: u64) -> Result<()> {
        self.mailboxes.remove((mailbox, 0));
        self.changes.take_all(mailbox)?;
        self.vanished.take_all(mailbox)?;
        for entry in self.entries.take_all(mailbox)? {
            self.release(entry.spool)?;
        }
        Ok(())
    }

    fn renamed(&mut self, mailbox: MailboxId, name: &MailboxName) -> Result<()> {
        let Some(row) = self.mailboxes.row((mailbox.0, 0))? else { return Ok(()) };
        let (account, old) = (row.account, std::mem::replace(&mut row.name, name.clone()));
        self.forget_name(account, &old, mailbox)?;
        self.names.insert((account.0, name.as_str()), mailbox.0).map_err(index_error)?;
        self.applied.rearranged.insert(account);
        Ok(())
    }

    fn removed(&mut self, mailbox: MailboxId) -> Result<()> {
        let Some(row) = self.mailboxes.row((mailbox.0, 0))? else { return Ok(()) };
        let (account, name) = (row.account, row.name.clone());
        let held = store::Usage { bytes: row.bytes, messages: row.messages };
        let left = self.applied.left.entry(account).or_default();
        *left = left.with(held);
        self.applied.rearranged.insert(account);
        self.forget_name(account, &name, mailbox)?;
        self.cleared(mailbox.0)
    }

    /// When several mailboxes are renamed at once one may have this name already.
    fn forget_name(&mut self, account: AccountId, name: &MailboxName, mailbox: MailboxId) -> Result<()> {
        let key = (account.0, name.as_str());
        let is_its = self.names.get(key).map_err(index_error)?.is_some_and(|id| id.value() == mailbox.0);
        if is_its {
            self.names.remove(key).map_err(index_error)?;
        }
        Ok(())
    }

    fn keyword(&mut self, mailbox: MailboxId, number: u32, keyword: &Keyword) -> Result<()> {
        let Some(row) = self.mailboxes.row((mailbox.0, 0))? else { return Ok(()) };
        // They are numbered one by one; anything else is nonsense, or a repair has lost one.
        if number as usize >= row.keywords.len() && (number as usize) < KEYWORDS_MAX {
            let lost = |number| Keyword::new(&format!("lost-{number}")).expect("an atom");
            row.keywords.extend((row.keywords.len()..number as usize).map(lost).collect::<Vec<_>>());
            row.keywords.push(keyword.clone());
        }
        Ok(())
    }
}
