//! What the writer does with a request to change the directory: checks it against what was admitted before, and says what changes.

use super::State;
use crate::body::DirectoryChange;
use crate::job::{DirectoryRequest, ForAccount};
use crate::roster::Roster;
use smtp::{Domain, Mailbox};
use store::directory::{LAST_USED_GRAIN, check_loop};
use store::{
    AccountId, AccountName, Alias, DomainRecord, Error, NewAccount, Origin, Quota, Result, Timestamp,
};

impl State {
    /// What a request changes; `None` when all is so already. The roster must know all passwords of the account that were admitted.
    pub(crate) fn directory(
        &mut self,
        request: DirectoryRequest,
        now: Timestamp,
        roster: &Roster,
    ) -> Result<Option<DirectoryChange>> {
        match request {
            DirectoryRequest::Account(name, change) => self.change_account(&name, change, roster),
            DirectoryRequest::SetAlias { name, targets, origin } => {
                self.set_alias(Alias { name, targets, origin, created: now }).map(Some)
            }
            DirectoryRequest::RemoveAlias { name } => {
                self.aliases.remove(&name).ok_or_else(|| Error::NoSuchAlias(name.to_string()))?;
                Ok(Some(DirectoryChange::AliasRemoved { name }))
            }
            DirectoryRequest::CreateDomain { name, origin } => {
                self.create_domain(&name, origin, now).map(Some)
            }
            DirectoryRequest::RemoveDomain { name } => {
                self.domains.remove(&name).ok_or_else(|| Error::NoSuchDomain(name.to_string()))?;
                Ok(Some(DirectoryChange::DomainRemoved { name: name.ascii().to_owned() }))
            }
        }
    }

    /// What a new account, or one whose origin was raised, has from the beginning.
    pub(crate) fn give(&mut self, account: AccountId, new: &NewAccount) -> Vec<DirectoryChange> {
        let mut changes = Vec::new();
        if let Some(password) = &new.password {
            let (password, scram) = (Some(password.clone()), new.scram.clone());
            changes.push(DirectoryChange::Password { account, password, scram });
        }
        if new.full_name.is_some() {
            changes.push(DirectoryChange::FullName { account, full_name: new.full_name.clone() });
        }
        if new.quota.is_set() {
            changes.push(quota_change(account, new.quota));
            if let Some(known) = self.accounts.get_mut(&new.name) {
                known.quota = new.quota;
            }
        }
        changes
    }

    fn change_account(
        &mut self,
        name: &AccountName,
        change: ForAccount,
        roster: &Roster,
    ) -> Result<Option<DirectoryChange>> {
        let known = self.accounts.get_mut(name).ok_or_else(|| Error::NoSuchAccount(name.to_string()))?;
        let account = known.account.id;
        // An account that was just created is not in the roster yet, and has no application passwords.
        let credentials = || roster.credentials(name).unwrap_or_default();
        let no_such = |password: &str| Error::NoSuchPassword(password.to_owned());
        Ok(Some(match change {
            ForAccount::Quota(quota) => {
                known.quota = quota;
                quota_change(account, quota)
            }
            ForAccount::FullName(full_name) => DirectoryChange::FullName { account, full_name },
            ForAccount::Password { before, password, scram } => {
                if before.is_some() && credentials().password != before {
                    return Err(Error::Changed(format!("the password of {name}")));
                }
                DirectoryChange::Password { account, password: Some(password), scram }
            }
            ForAccount::AddApplicationPassword(new) => {
                credentials().check_room(&new.name)?;
                let (name, password, scram) = (new.name, new.password, new.scram);
                DirectoryChange::ApplicationPassword { account, name, password, scram, created: new.created }
            }
            ForAccount::RemoveApplicationPassword(name) => {
                credentials().application_password(&name).ok_or_else(|| no_such(&name))?;
                DirectoryChange::ApplicationPasswordRemoved { account, name }
            }
            ForAccount::Used { name, at } => {
                let credentials = credentials();
                let known = credentials.application_password(&name).ok_or_else(|| no_such(&name))?;
                if known.last_used.is_some_and(|last| at.0 < last.0.saturating_add(LAST_USED_GRAIN)) {
                    return Ok(None);
                }
                DirectoryChange::ApplicationPasswordUsed { account, name, at }
            }
        }))
    }

    fn set_alias(&mut self, alias: Alias) -> Result<DirectoryChange> {
        if self.accounts.contains_key(&alias.name) {
            return Err(Error::Exists(format!("account {}", alias.name)));
        }
        check_loop(
            &alias.name,
            &alias.targets,
            |name| self.accounts.contains_key(name),
            |name| self.aliases.get(name).map(Vec::as_slice),
        )?;
        let change = DirectoryChange::alias(&alias);
        self.aliases.insert(alias.name, alias.targets);
        Ok(change)
    }

    fn create_domain(&mut self, name: &Domain, origin: Origin, now: Timestamp) -> Result<DirectoryChange> {
        let record = match self.domains.get_mut(name) {
            Some(known) if known.origin >= origin => return Err(Error::Exists(format!("domain {name}"))),
            Some(known) => {
                known.origin = origin;
                known.clone()
            }
            None => {
                let record = DomainRecord { name: name.clone(), origin, created: now };
                self.domains.insert(name.clone(), record.clone());
                record
            }
        };
        Ok(DirectoryChange::domain(&record))
    }

    /// Takes in an alias that exists.
    pub(crate) fn add_alias(&mut self, name: AccountName, targets: Vec<Mailbox>) {
        self.aliases.insert(name, targets);
    }

    /// Takes in a domain that exists.
    pub(crate) fn add_domain(&mut self, domain: DomainRecord) {
        self.domains.insert(domain.name.clone(), domain);
    }

    /// Takes in the quota of an account that was taken in.
    pub(crate) fn add_quota(&mut self, account: &AccountName, quota: Quota) {
        if let Some(known) = self.accounts.get_mut(account) {
            known.quota = quota;
        }
    }
}

fn quota_change(account: AccountId, quota: Quota) -> DirectoryChange {
    let Quota { bytes, messages } = quota;
    DirectoryChange::Quota { account, bytes, messages }
}
