//! Entries that the old index knows and the log does not tell any more: copies whose records are lost. Their messages are whole, and may be
//! named by nothing else: who moved a message has removed the original.
//!
//! Each comes back as soon as its message and its mailbox are there again, which is before anything that could have taken the
//! message away: it was there when it was copied.

use super::survey::Survey;
use crate::body::{AccountChange, Copied, CopiedEntry, LayoutChange, MailboxChange, Originals};
use crate::effect::Effect;
use crate::index::Snapshot;
use std::collections::{HashMap, HashSet};
use store::{Entry, Keyword, MailboxId, Result, Uid};

/// What is to be told again, by what it waits for.
#[derive(Debug, Clone, Default)]
pub(super) struct Retold {
    /// The keywords of mailboxes: the numbers in what is told mean these.
    keywords: HashMap<MailboxId, Vec<Keyword>>,
    by_message: HashMap<u64, Vec<Copied>>,
    /// Of messages that are there, for mailboxes that are not.
    waiting: HashMap<MailboxId, Vec<Copied>>,
    made: HashSet<MailboxId>,
}

impl Retold {
    /// What an index knows of mailboxes, and none of their entries.
    pub(super) fn new(survey: &Survey<'_>) -> Result<Retold> {
        let mut retold = Retold::default();
        if let Some(index) = survey.index.filter(|_| survey.has_losses()) {
            let named = index.all_mailboxes()?.into_iter().filter(|mailbox| !mailbox.keywords.is_empty());
            retold.keywords = named.map(|mailbox| (mailbox.id, mailbox.keywords)).collect();
        }
        Ok(retold)
    }

    /// Adds the entries that are missing in what the log tells; whether there are any.
    pub(super) fn add_missing(&mut self, survey: &Survey<'_>, alive: &Snapshot) -> Result<bool> {
        let Some(index) = survey.index.filter(|_| survey.has_losses()) else { return Ok(false) };
        for mailbox in index.all_mailboxes()? {
            for entry in index.entries(mailbox.id, Uid(0), usize::MAX)? {
                let is_told = alive.has_any(mailbox.id, &[entry.uid])?
                    || survey.expunged.contains(&(mailbox.id, entry.uid));
                if !is_told && survey.accepted.contains(&entry.spool.0) {
                    self.by_message.entry(entry.spool.0).or_default().push(copy_of(mailbox.id, &entry));
                }
            }
        }
        Ok(!self.by_message.is_empty())
    }

    /// What follows on a message, when that is told.
    pub(super) fn after_message(&mut self, spool: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        for copied in self.by_message.remove(&spool).unwrap_or_default() {
            match self.made.contains(&copied.target) {
                true => effects.push(Effect::Mailbox(MailboxChange::Copied(copied))),
                false => self.waiting.entry(copied.target).or_default().push(copied),
            }
        }
        effects
    }

    /// What follows on a change of accounts or mailboxes.
    pub(super) fn after_change(&mut self, change: &AccountChange) -> Vec<Effect> {
        let &AccountChange::MailboxCreated { id: mailbox, .. } = change else { return Vec::new() };
        if !self.made.insert(mailbox) {
            return Vec::new();
        }
        let keywords = self.keywords.remove(&mailbox).unwrap_or_default();
        let keyword = |(number, keyword)| LayoutChange::Keyword { mailbox, number, keyword };
        let keywords = (0..).zip(keywords).map(keyword).map(Effect::Layout);
        let waiting = self.waiting.remove(&mailbox).unwrap_or_default();
        keywords
            .chain(waiting.into_iter().map(|copied| Effect::Mailbox(MailboxChange::Copied(copied))))
            .collect()
    }
}

/// The record that makes an entry what it is. Of what it was copied nobody knows, and nobody asks when the original stays.
fn copy_of(mailbox: MailboxId, entry: &Entry) -> Copied {
    let Entry { uid, modseq, flags, keywords, received, saved, size, spool, delivery } = *entry;
    let entries = vec![CopiedEntry { uid, spool: spool.0, delivery, flags, keywords, received, size }];
    let (source, target, originals) = (mailbox, mailbox, Originals::Stay);
    Copied { source, target, originals, saved, first: uid, modseq, entries }
}
