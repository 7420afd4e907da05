//! What a damaged log says of mailboxes as such, against what the old index knows of them: their names, what they are for, which are gone,
//! and what accounts have subscribed to.
//!
//! Where the log says anything that the index has not seen, the log has the last word.

use super::told::Put;
use crate::body::{AccountChange, LayoutChange, MailboxChange};
use crate::effect::Effect;
use crate::index::Snapshot;
use std::collections::{BTreeMap, HashSet};
use store::{AccountId, MailboxId, MailboxName, Result, Uid};

/// What the log says of mailboxes.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Of which it says something that the index has not seen.
    unseen: HashSet<MailboxId>,
    unseen_subscriptions: HashSet<(AccountId, MailboxName)>,
    /// Copies that the index has not seen.
    pub(super) unseen_copies: HashSet<(MailboxId, Uid)>,
    /// Which it removes.
    pub(super) removed: HashSet<MailboxId>,
    /// For mailboxes that entries were copied to, one from which they came: of the same account.
    pub(super) copied_from: BTreeMap<MailboxId, MailboxId>,
}

impl Layout {
    /// Takes note of an effect.
    pub(super) fn see(&mut self, effect: &Effect, is_seen: bool) {
        match effect {
            Effect::Account(AccountChange::MailboxCreated { id, .. }) if !is_seen => {
                self.unseen.insert(*id);
            }
            Effect::Mailbox(MailboxChange::Copied(copied)) => {
                self.copied_from.entry(copied.target).or_insert(copied.source);
                if !is_seen {
                    self.unseen_copies.extend(copied.uids().into_iter().map(|uid| (copied.target, uid)));
                }
            }
            Effect::Layout(change) => self.change(change, is_seen),
            _ => {}
        }
    }

    fn change(&mut self, change: &LayoutChange, is_seen: bool) {
        match change {
            LayoutChange::Removed { mailbox } => {
                self.removed.insert(*mailbox);
            }
            LayoutChange::Renamed { mailbox, .. } | LayoutChange::SpecialUse { mailbox, .. } if !is_seen => {
                self.unseen.insert(*mailbox);
            }
            LayoutChange::Subscribed { account, name } | LayoutChange::Unsubscribed { account, name }
                if !is_seen =>
            {
                self.unseen_subscriptions.insert((*account, name.clone()));
            }
            _ => {}
        }
    }

    /// Makes what is alive in the log what the index knows.
    pub(super) fn reconcile(&self, (index, alive): (&Snapshot, &Snapshot), put: Put<'_>) -> Result<()> {
        for mailbox in alive.all_mailboxes()?.into_iter().filter(|mailbox| !self.unseen.contains(&mailbox.id))
        {
            let id = mailbox.id;
            if !index.has_mailbox(id)? {
                put(Effect::Layout(LayoutChange::Removed { mailbox: id }))?;
                continue;
            }
            let known = index.mailbox(id)?;
            if known.name != mailbox.name {
                put(Effect::Layout(LayoutChange::Renamed { mailbox: id, name: known.name }))?;
            }
            if known.special_use != mailbox.special_use {
                let special_use = known.special_use;
                put(Effect::Layout(LayoutChange::SpecialUse { mailbox: id, special_use }))?;
            }
        }
        for account in index.accounts()?.into_iter().map(|account| account.id) {
            let (known, there) = (index.subscriptions(account)?, alive.subscriptions(account)?);
            let is_open =
                |name: &&MailboxName| !self.unseen_subscriptions.contains(&(account, (*name).clone()));
            for name in known.iter().filter(|name| !there.contains(name)).filter(is_open).cloned() {
                put(Effect::Layout(LayoutChange::Subscribed { account, name }))?;
            }
            for name in there.iter().filter(|name| !known.contains(name)).filter(is_open).cloned() {
                put(Effect::Layout(LayoutChange::Unsubscribed { account, name }))?;
            }
        }
        Ok(())
    }
}

/// Mailboxes whose names are others' by now, because the records of their renaming are lost: without a name nobody could read them.
pub(super) fn name_the_nameless((index, alive): (Option<&Snapshot>, &Snapshot), put: Put<'_>) -> Result<()> {
    for mailbox in alive.all_mailboxes()? {
        let named = alive.mailbox_named(mailbox.account, &mailbox.name)?;
        let is_known = index.map_or(Ok(false), |index| index.has_mailbox(mailbox.id))?;
        if named.is_some_and(|named| named.id != mailbox.id) && !is_known {
            let name = recovered(mailbox.id)?;
            put(Effect::Layout(LayoutChange::Renamed { mailbox: mailbox.id, name }))?;
        }
    }
    Ok(())
}

/// What a mailbox is called whose name is lost.
pub(super) fn recovered(mailbox: MailboxId) -> Result<MailboxName> {
    MailboxName::new(&format!("Recovered {}", mailbox.0))
}
