//! What a damaged log says last of accounts, aliases and domains, against what the old index knows of them.
//!
//! An account that was removed, or a password that was taken back, must not come back because the record that said so is lost. Where
//! the index has seen all that the log still says of a thing, the index has the last word.

use crate::body::{AccountChange, Belongings, DirectoryChange, Subject};
use crate::effect::Effect;
use crate::index::Snapshot;
use std::collections::{BTreeMap, HashMap, HashSet};
use store::{AccountId, AccountName, ApplicationPassword, Result};

/// A place in the log: segment and offset.
pub(super) type Place = (u64, u64);

/// Where the log says what last.
#[derive(Debug, Default)]
pub(super) struct Told {
    created: BTreeMap<AccountId, (AccountName, Place)>,
    belongings: HashMap<AccountId, Place>,
    aliases: HashMap<AccountName, Place>,
    domains: HashMap<String, Place>,
}

/// Takes the changes that the repaired log needs.
pub(super) type Put<'p> = &'p mut dyn FnMut(Effect) -> Result<()>;

impl Told {
    /// An account is made there.
    pub(super) fn created(&mut self, account: AccountId, name: &AccountName, at: Place) {
        self.created.insert(account, (name.clone(), at));
    }

    /// Something is changed there.
    pub(super) fn change(&mut self, change: &DirectoryChange, at: Place) {
        match change.subject() {
            Subject::Account(account) => drop(self.belongings.insert(account, at)),
            Subject::Alias(name) => drop(self.aliases.insert(name.clone(), at)),
            Subject::Domain(name) => drop(self.domains.insert(name.to_owned(), at)),
        }
    }

    /// Makes what is alive in the log what the index knows, where that has seen the last word of the log.
    pub(super) fn reconcile(
        &self,
        (index, alive): (&Snapshot, &Snapshot),
        has_seen: &dyn Fn(Place) -> bool,
        put: Put<'_>,
    ) -> Result<()> {
        // What the log does not mention at all has lost all of its records.
        let seen = |at: Option<&Place>| at.is_none_or(|at| has_seen(*at));
        let known: HashSet<AccountId> = index.accounts()?.into_iter().map(|account| account.id).collect();
        for (id, (name, at)) in &self.created {
            if !known.contains(id) && has_seen(*at) {
                put(Effect::Account(AccountChange::Removed { id: *id, name: name.clone() }))?;
            }
        }
        for account in alive.accounts()? {
            let (id, name) = (account.id, account.name);
            let known = index.account(&name)?.is_some_and(|known| known.id == id);
            if known && seen(self.belongings.get(&id)) {
                let changes = between(id, &alive.belongings(id)?, &index.belongings(id)?);
                changes.into_iter().try_for_each(|change| put(Effect::Directory(change)))?;
            }
        }
        let mut directory = |change| put(Effect::Directory(change));
        // A name that cannot be read would keep the new store from opening.
        let is_readable = |change: &DirectoryChange| change.as_alias().is_ok() && change.as_domain().is_ok();
        for change in index.aliases()?.into_iter().chain(index.domains()?).filter(is_readable) {
            let (there, at) = match change.subject() {
                Subject::Alias(name) => (alive.alias(name)?, self.aliases.get(name)),
                Subject::Domain(name) => (alive.domain(name)?, self.domains.get(name)),
                Subject::Account(_) => continue,
            };
            if there.as_ref() != Some(&change) && seen(at) {
                directory(change)?;
            }
        }
        for change in alive.aliases()?.into_iter().chain(alive.domains()?) {
            let (known, at, removal) = match change.subject() {
                Subject::Alias(name) => {
                    let removal = DirectoryChange::AliasRemoved { name: name.clone() };
                    (index.alias(name)?, self.aliases.get(name), removal)
                }
                Subject::Domain(name) => {
                    let removal = DirectoryChange::DomainRemoved { name: name.to_owned() };
                    (index.domain(name)?, self.domains.get(name), removal)
                }
                Subject::Account(_) => continue,
            };
            if known.is_none() && seen(at) {
                directory(removal)?;
            }
        }
        Ok(())
    }
}

/// The changes that make what belongs to an account what it is in the index.
fn between(account: AccountId, from: &Belongings, to: &Belongings) -> Vec<DirectoryChange> {
    let mut changes = Vec::new();
    let (old, new) = (&from.credentials, &to.credentials);
    if (&old.password, &old.scram) != (&new.password, &new.scram) {
        let (password, scram) = (new.password.clone(), new.scram.clone());
        changes.push(DirectoryChange::Password { account, password, scram });
    }
    if from.quota != to.quota {
        let (bytes, messages) = (to.quota.bytes, to.quota.messages);
        changes.push(DirectoryChange::Quota { account, bytes, messages });
    }
    if from.full_name != to.full_name {
        changes.push(DirectoryChange::FullName { account, full_name: to.full_name.clone() });
    }
    for gone in &old.application_passwords {
        if new.application_password(&gone.name).is_none() {
            changes.push(DirectoryChange::ApplicationPasswordRemoved { account, name: gone.name.clone() });
        }
    }
    for kept in &new.application_passwords {
        if old.application_password(&kept.name) == Some(kept) {
            continue;
        }
        let ApplicationPassword { name, password, scram, created, last_used } = kept.clone();
        changes.push(DirectoryChange::ApplicationPassword {
            account,
            name: name.clone(),
            password,
            scram,
            created,
        });
        changes.extend(last_used.map(|at| DirectoryChange::ApplicationPasswordUsed { account, name, at }));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Quota, Secret, Timestamp};

    #[test]
    fn the_changes_between_two_states_lead_from_one_to_the_other() {
        let application = |name: &str, hash: &str, last_used: Option<i64>| ApplicationPassword {
            name: name.to_owned(),
            password: Secret::new(hash),
            scram: None,
            created: Timestamp(1),
            last_used: last_used.map(Timestamp),
        };
        let mut one = Belongings::default();
        one.credentials.password = Some(Secret::new("old"));
        one.credentials.application_passwords =
            vec![application("phone", "a", None), application("tv", "b", None)];
        let mut other = Belongings { full_name: Some("Bob".to_owned()), ..Belongings::default() };
        other.quota = Quota { bytes: Some(5), messages: None };
        other.credentials.application_passwords =
            vec![application("phone", "a", Some(9)), application("watch", "c", None)];
        for (from, to) in [(&one, &other), (&other, &one), (&Belongings::default(), &one), (&one, &one)] {
            let mut reached = from.clone();
            between(AccountId(1), from, to).iter().for_each(|change| reached.apply(change));
            assert_eq!(&reached, to);
        }
        assert!(between(AccountId(1), &one, &one).is_empty());
    }
}
