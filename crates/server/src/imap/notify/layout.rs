//! What LIST says when names mean something else than they did: of mailboxes that came, went or have other names now, and of subscriptions
//! (RFC 5465 §5.4, §5.5).
//!
//! It compares what the client knows with how mailboxes are now, and asks nobody. [`super`] calls it when the layout has changed.

use super::{Watching, parent};
use crate::imap::list::attributes;
use imap::answer::{Attribute, ListEntry, Untagged};
use std::collections::{BTreeMap, BTreeSet};
use store::{MailboxId, MailboxName, MailboxStatus, SEPARATOR};

/// A mailbox that has another name now: this one, and the one that it had.
type Renamed<'a> = (&'a MailboxName, &'a MailboxName);

impl Watching {
    /// What LIST says of names that mean something else now than they did.
    pub(super) fn layout_changes(
        &self,
        all: &[MailboxStatus],
        subscriptions: &BTreeSet<MailboxName>,
    ) -> Vec<Untagged> {
        let wanted = |name: &MailboxName| {
            self.wanted(name, subscriptions.contains(name) || self.subscriptions.contains(name))
        };
        let mut affected: BTreeMap<MailboxName, Option<MailboxName>> = BTreeMap::new();
        for name in self.came_and_went(all) {
            let names = parent(name).into_iter().chain([name.clone()]);
            affected.extend(names.filter(|name| wanted(name).names).map(|name| (name, None)));
        }
        let (heard, left) = self.renamed(all, |name| wanted(name).names);
        // Who does not hear of the new name learns that the old one is no more.
        affected.extend(left.into_iter().map(|(_, old)| (old.clone(), None)));
        affected.extend(heard.into_iter().map(|(new, old)| (new.clone(), Some(old.clone()))));
        affected.retain(|name, _| !self.own.contains(name));
        for name in subscriptions.symmetric_difference(&self.subscriptions) {
            if wanted(name).subscriptions {
                affected.entry(name.clone()).or_default();
            }
        }
        let there: BTreeMap<&MailboxName, &MailboxStatus> =
            all.iter().map(|status| (&status.name, status)).collect();
        let entries = affected.into_iter().map(|(name, old_name)| {
            let entry = list_entry(&name, all, there.get(&name).copied(), subscriptions);
            match old_name {
                Some(old_name) => Untagged::Renamed { entry, old_name: old_name.as_str().to_owned() },
                None => Untagged::List(entry),
            }
        });
        entries.collect()
    }

    /// The names of mailboxes that are new, and of those that are no more.
    fn came_and_went<'a>(&'a self, all: &'a [MailboxStatus]) -> impl Iterator<Item = &'a MailboxName> {
        let came = all.iter().filter(|status| !self.known.contains_key(&status.id));
        let ids: BTreeSet<MailboxId> = all.iter().map(|status| status.id).collect();
        let went = self.known.iter().filter(move |(id, _)| !ids.contains(id));
        came.map(|status| &status.name).chain(went.map(|(_, known)| &known.name))
    }

    /// The mailboxes that others gave other names: first those of whose new names the client wants to hear, then those of whose old ones alone.
    fn renamed<'a>(
        &'a self,
        all: &'a [MailboxStatus],
        is_wanted: impl Fn(&MailboxName) -> bool,
    ) -> (Vec<Renamed<'a>>, Vec<Renamed<'a>>) {
        let old_name = |status: &MailboxStatus| self.known.get(&status.id).map(|known| &known.name);
        let pairs = all.iter().filter_map(|status| old_name(status).map(|old| (&status.name, old)));
        let pairs = pairs.filter(|(new, old)| new != old);
        let (own, others): (Vec<Renamed>, Vec<Renamed>) = pairs.partition(|(new, _)| self.own.contains(new));
        let (heard, others): (Vec<Renamed>, Vec<Renamed>) =
            others.into_iter().partition(|(new, _)| is_wanted(new));
        let left = others.into_iter().filter(|(_, old)| is_wanted(old)).collect();
        (uncovered(heard, &own), uncovered(left, &own))
    }
}

/// Those whose names did not change only because that of a mailbox above did, which is one of these too, or of what the client did itself.
fn uncovered<'a>(renamed: Vec<Renamed<'a>>, own: &[Renamed<'a>]) -> Vec<Renamed<'a>> {
    let names: BTreeMap<&str, &str> =
        renamed.iter().chain(own).map(|(new, old)| (new.as_str(), old.as_str())).collect();
    renamed.into_iter().filter(|(new, old)| !is_covered(&names, new.as_str(), old.as_str())).collect()
}

/// Whether a name changed only because that of a mailbox above it did: of that alone is told.
fn is_covered<'a>(renamed: &BTreeMap<&str, &str>, mut new: &'a str, mut old: &'a str) -> bool {
    while let (Some((new_above, new_last)), Some((old_above, old_last))) =
        (new.rsplit_once(SEPARATOR), old.rsplit_once(SEPARATOR))
    {
        if new_last != old_last {
            return false;
        }
        (new, old) = (new_above, old_above);
        if renamed.get(new) == Some(&old) {
            return true;
        }
    }
    false
}

/// What LIST says of a name.
fn list_entry(
    name: &MailboxName,
    all: &[MailboxStatus],
    status: Option<&MailboxStatus>,
    subscriptions: &BTreeSet<MailboxName>,
) -> ListEntry {
    let attributes = match status {
        Some(status) => attributes(status, all),
        None => {
            let has_children = all.iter().any(|other| other.name.below(name).is_some());
            let children = if has_children { Attribute::HasChildren } else { Attribute::HasNoChildren };
            let subscribed = subscriptions.contains(name).then_some(Attribute::Subscribed);
            [Attribute::NonExistent, Attribute::NoSelect, children].into_iter().chain(subscribed).collect()
        }
    };
    ListEntry { name: name.as_str().to_owned(), attributes, has_subscribed_children: false }
}
