//! What the writer does with mailboxes and entries that their reader changes: numbers them, and refuses what cannot be.

use super::{Created, KnownMailbox, State};
use crate::body::{self, Copied, CopiedEntry, LayoutChange, MailboxChange};
use crate::job::{Copying, EntryChange, LayoutRequest, Target};
use std::collections::BTreeSet;
use store::{
    AccountName, Entry, Error, KEYWORDS_MAX, Keyword, KeywordSet, MAILBOXES_MAX, MailboxId, MailboxName,
    ModSeq, Originals, Result, SUBSCRIPTIONS_MAX, SpecialUse, Uid, UidValidity, Usage, renames,
};

/// What a request comes to.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Changes, in order; mailboxes that are made come before.
    pub(crate) changes: Vec<LayoutChange>,
    /// The mailbox that was made.
    pub(crate) made: Option<MailboxId>,
}

impl State {
    /// Gives a change of entries its numbers. The keywords that it is the first to use come before it.
    pub(crate) fn entries(&mut self, change: EntryChange) -> Result<(Vec<LayoutChange>, MailboxChange)> {
        let (mailbox, count, seen) = match &change {
            EntryChange::Mark { mailbox, uids, seen, .. } => (*mailbox, uids.len(), *seen),
            EntryChange::Expunge { mailbox, uids, seen } => (*mailbox, uids.len(), *seen),
        };
        self.check_seen(mailbox, seen)?;
        Ok(match change {
            EntryChange::Mark { mailbox, uids, marking, .. } => {
                let defined = self.define(mailbox, &marking.add.keywords)?;
                let masks = marking.masks(&self.known(mailbox)?.keywords);
                let modseq = self.touch(mailbox, count)?;
                (defined, MailboxChange::Marked { mailbox, uids, masks, modseq })
            }
            EntryChange::Expunge { mailbox, uids, .. } => {
                let modseq = self.touch(mailbox, count)?;
                (Vec::new(), MailboxChange::Expunged { mailbox, uids, modseq })
            }
        })
    }

    /// Places copies. The mailbox that they go to may be made for them.
    pub(crate) fn copy(
        &mut self,
        copying: &Copying,
        created: &mut Created,
    ) -> Result<(Vec<LayoutChange>, Copied, UidValidity)> {
        let Copying { source, entries, originals, seen, .. } = copying;
        self.check_seen(*source, Some(*seen))?;
        let target = match &copying.target {
            Target::Mailbox(target) => *target,
            Target::New(name) => {
                let owner = self.known(*source)?.owner.clone();
                self.create(&owner, (name, None), created)?
            }
        };
        let (from, to) = (self.known(*source)?, self.known(target)?);
        if from.owner != to.owner {
            return Err(Error::Invalid("the mailboxes are of two accounts".to_owned()));
        }
        let owner = to.owner.clone();
        let names = from.keywords.clone();
        let used = entries.iter().fold(KeywordSet::default(), |used, entry| used.with(entry.keywords));
        let used: Vec<Keyword> = used.numbers().filter_map(|number| names.get(number).cloned()).collect();
        if *originals == Originals::Stay {
            let bytes = entries.iter().map(|entry| entry.size).sum();
            self.check_room(&owner, Usage { bytes, messages: entries.len() as u64 })?;
        }
        let first = self.check_uids(target, entries.len())?;
        let defined = self.define(target, &used)?;
        if *originals == Originals::Stay {
            entries.iter().for_each(|entry| self.admit(&owner, Usage { bytes: entry.size, messages: 1 }));
        }
        let known = self.mailboxes.get_mut(&target).expect("found above");
        known.last = Uid(known.last.0 + entries.len() as u32);
        let (validity, keywords) = (known.validity, known.keywords.clone());
        let modseq = self.take_modseqs(entries.len() as u64);
        let originals = match originals {
            Originals::Stay => body::Originals::Stay,
            Originals::Go => {
                self.touch(*source, entries.len())?;
                body::Originals::Go
            }
        };
        let copy = |entry: &Entry| copied_entry(entry, &names, &keywords);
        let entries = entries.iter().map(copy).collect();
        let (source, saved) = (*source, created.now);
        Ok((defined, Copied { source, target, originals, saved, first, modseq, entries }, validity))
    }

    /// Carries out a request about mailboxes as such.
    pub(crate) fn layout(&mut self, request: &LayoutRequest, created: &mut Created) -> Result<Layout> {
        let mut layout = Layout::default();
        match request {
            LayoutRequest::Create { account, name, special_use } => {
                let mailbox = self.create(account, (name, *special_use), created)?;
                layout.made = Some(mailbox);
                let special_use = special_use.map(Some);
                layout
                    .changes
                    .extend(special_use.map(|special_use| LayoutChange::SpecialUse { mailbox, special_use }));
            }
            LayoutRequest::Rename { account, from, to } => layout.changes = self.rename(account, from, to)?,
            LayoutRequest::Delete { account, name } => {
                let mailbox = self.mailbox_named(account, name)?;
                self.mailboxes.remove(&mailbox);
                let known = self.accounts.get_mut(account).expect("it has mailboxes");
                known.mailboxes.remove(name);
                layout.changes.push(LayoutChange::Removed { mailbox });
            }
            LayoutRequest::SpecialUse { account, name, special_use } => {
                let mailbox = self.mailbox_named(account, name)?;
                self.check_special_use(account, *special_use, Some(mailbox))?;
                let known = self.mailboxes.get_mut(&mailbox).expect("found above");
                if std::mem::replace(&mut known.special_use, *special_use) != *special_use {
                    let special_use = *special_use;
                    layout.changes.push(LayoutChange::SpecialUse { mailbox, special_use });
                }
            }
            LayoutRequest::Subscribe { account, name } => layout.changes = self.subscribe(account, name)?,
            LayoutRequest::Unsubscribe { account, name } => {
                let no_such = || Error::NoSuchAccount(account.to_string());
                let known = self.accounts.get_mut(account).ok_or_else(no_such)?;
                if known.subscriptions.remove(name) {
                    let (account, name) = (known.account.id, name.clone());
                    layout.changes.push(LayoutChange::Unsubscribed { account, name });
                }
            }
        }
        Ok(layout)
    }

    /// Refuses what does not fit into an account's quota.
    pub(crate) fn check_room(&self, account: &AccountName, more: Usage) -> Result<()> {
        let Some(known) = self.accounts.get(account).filter(|_| more.messages > 0) else { return Ok(()) };
        let quota = known.quota.or(self.usages.default_quota().unwrap_or_default());
        match !quota.is_set() || quota.allows(self.usages.of(known.account.id).with(more)) {
            true => Ok(()),
            false => Err(Error::OverQuota(account.to_string())),
        }
    }

    /// The first UID of so many more entries.
    pub(crate) fn check_uids(&self, mailbox: MailboxId, count: usize) -> Result<Uid> {
        let last = self.known(mailbox)?.last;
        // The last one is never given: then there would be none to tell as the next.
        let room = u32::try_from(count).is_ok_and(|count| count < u32::MAX - last.0);
        let first = Uid(last.0.saturating_add(1));
        if room { Ok(first) } else { Err(Error::Limit(format!("UIDs in mailbox {}", mailbox.0))) }
    }

    /// Numbers the keywords that a mailbox does not know yet; or refuses all.
    pub(crate) fn define(&mut self, mailbox: MailboxId, keywords: &[Keyword]) -> Result<Vec<LayoutChange>> {
        let known = self.mailboxes.get_mut(&mailbox).ok_or_else(|| no_such_mailbox(mailbox))?;
        let (before, mut changes) = (known.keywords.len(), Vec::new());
        for keyword in keywords {
            if !known.keywords.contains(keyword) {
                let (number, keyword) = (known.keywords.len() as u32, keyword.clone());
                known.keywords.push(keyword.clone());
                changes.push(LayoutChange::Keyword { mailbox, number, keyword });
            }
        }
        if known.keywords.len() > KEYWORDS_MAX {
            known.keywords.truncate(before);
            return Err(Error::Limit(format!("keywords in mailbox {}", mailbox.0)));
        }
        Ok(changes)
    }

    /// Takes back the last numbers of keywords: what they were for was refused.
    pub(crate) fn undefine(&mut self, mailbox: MailboxId, count: usize) {
        if let Some(known) = self.mailboxes.get_mut(&mailbox) {
            known.keywords.truncate(known.keywords.len() - count);
        }
    }

    /// What is known of a mailbox.
    pub(crate) fn known(&self, mailbox: MailboxId) -> Result<&KnownMailbox> {
        self.mailboxes.get(&mailbox).ok_or_else(|| no_such_mailbox(mailbox))
    }

    /// Takes in that an account has subscribed to a name.
    pub(crate) fn add_subscription(&mut self, account: &AccountName, name: MailboxName) {
        if let Some(known) = self.accounts.get_mut(account) {
            known.subscriptions.insert(name);
        }
    }

    /// Reserves ModSeqs for entries that are about to change; from here on nobody can act on what was read before.
    fn touch(&mut self, mailbox: MailboxId, entries: usize) -> Result<ModSeq> {
        self.known(mailbox)?;
        let first = self.take_modseqs(entries as u64);
        let last = self.counters.modseq;
        self.mailboxes.get_mut(&mailbox).expect("found above").touched = last;
        Ok(first)
    }

    /// Refuses a change that was made for entries as they were at a moment, when they were changed since.
    fn check_seen(&self, mailbox: MailboxId, seen: Option<ModSeq>) -> Result<()> {
        match self.known(mailbox)?.touched > seen.unwrap_or(ModSeq(u64::MAX)) {
            true => Err(Error::Changed(format!("mailbox {}", mailbox.0))),
            false => Ok(()),
        }
    }

    fn create(
        &mut self,
        account: &AccountName,
        (name, special_use): (&MailboxName, Option<SpecialUse>),
        created: &mut Created,
    ) -> Result<MailboxId> {
        let known = self.accounts.get(account).ok_or_else(|| Error::NoSuchAccount(account.to_string()))?;
        if known.mailboxes.contains_key(name) {
            return Err(Error::Exists(format!("mailbox {name}")));
        }
        let (id, count) = (known.account.id, known.mailboxes.len());
        self.check_special_use(account, special_use, None)?;
        if count >= MAILBOXES_MAX {
            return Err(Error::Limit("mailboxes".to_owned()));
        }
        let mailbox = self.create_mailbox(account, id, name.clone(), created);
        self.mailboxes.get_mut(&mailbox).expect("just created").special_use = special_use;
        Ok(mailbox)
    }

    fn rename(
        &mut self,
        account: &AccountName,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Vec<LayoutChange>> {
        let no_such = || Error::NoSuchAccount(account.to_string());
        let known = self.accounts.get_mut(account).ok_or_else(no_such)?;
        let names: BTreeSet<&MailboxName> = known.mailboxes.keys().collect();
        let renames = renames(&names, from, to)?;
        let ids: Vec<Option<MailboxId>> =
            renames.iter().map(|(old, _)| known.mailboxes.remove(old)).collect();
        let mut changes = Vec::new();
        for ((_, name), mailbox) in renames.into_iter().zip(ids) {
            if let Some(mailbox) = mailbox {
                known.mailboxes.insert(name.clone(), mailbox);
                changes.push(LayoutChange::Renamed { mailbox, name });
            }
        }
        Ok(changes)
    }

    fn subscribe(&mut self, account: &AccountName, name: &MailboxName) -> Result<Vec<LayoutChange>> {
        let no_such = || Error::NoSuchAccount(account.to_string());
        let known = self.accounts.get_mut(account).ok_or_else(no_such)?;
        if known.subscriptions.contains(name) {
            return Ok(Vec::new());
        }
        if known.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(Error::Limit("subscriptions".to_owned()));
        }
        known.subscriptions.insert(name.clone());
        Ok(vec![LayoutChange::Subscribed { account: known.account.id, name: name.clone() }])
    }

    fn mailbox_named(&self, account: &AccountName, name: &MailboxName) -> Result<MailboxId> {
        let known = self.accounts.get(account).ok_or_else(|| Error::NoSuchAccount(account.to_string()))?;
        let mailbox = known.mailboxes.get(name);
        mailbox.copied().ok_or_else(|| Error::NoSuchMailbox(format!("{name} of {account}")))
    }

    /// Refuses a second mailbox for the same use.
    fn check_special_use(
        &self,
        account: &AccountName,
        special_use: Option<SpecialUse>,
        except: Option<MailboxId>,
    ) -> Result<()> {
        let Some(known) = self.accounts.get(account).filter(|_| special_use.is_some()) else { return Ok(()) };
        let is_taken =
            |id: &MailboxId| self.mailboxes.get(id).is_some_and(|other| other.special_use == special_use);
        let taken = known.mailboxes.iter().find(|(_, id)| Some(**id) != except && is_taken(id));
        taken.map_or(Ok(()), |(name, _)| Err(Error::Exists(format!("a mailbox for that, {name},"))))
    }
}

fn copied_entry(entry: &Entry, from: &[Keyword], to: &[Keyword]) -> CopiedEntry {
    // Most entries have none.
    let keywords = match entry.keywords.is_empty() {
        true => KeywordSet::default(),
        false => {
            let names: Vec<Keyword> =
                entry.keywords.numbers().filter_map(|number| from.get(number).cloned()).collect();
            KeywordSet::of(&names, to)
        }
    };
    CopiedEntry {
        uid: entry.uid,
        spool: entry.spool.0,
        delivery: entry.delivery,
        flags: entry.flags,
        keywords,
        received: entry.received,
        size: entry.size,
    }
}

fn no_such_mailbox(id: MailboxId) -> Error {
    Error::NoSuchMailbox(format!("number {}", id.0))
}
