//! The directory of the model: accounts with what belongs to them, aliases, domains.

use super::{Belongings, Kept, Memory, Model};
use crate::directory::{LAST_USED_GRAIN, check_full_name, check_loop, check_secrets};
use crate::{
    Accepted, Account, AccountId, AccountName, Addressee, Alias, ApplicationPassword, Credentials,
    Destination, Directory, DomainRecord, Error, IfFull, NewAccount, Origin, Quota, Resolution, Result,
    Secret, SpoolId, Standing, Timestamp, Usage,
};
use async_trait::async_trait;
use smtp::{Domain, Mailbox};
use std::collections::BTreeMap;

#[async_trait]
impl Directory for Memory {
    async fn create_account_with(&self, new: NewAccount) -> Result<Account> {
        new.check()?;
        let now = self.inner.now();
        self.inner.change(|model| {
            if model.aliases.contains_key(&new.name) {
                return Err(Error::Exists(format!("alias {}", new.name)));
            }
            let account = match model.accounts.get_mut(&new.name) {
                None => model.create_account(now, &new.name, new.origin),
                Some(account) if account.origin < new.origin => {
                    account.origin = new.origin;
                    account.clone()
                }
                Some(_) => return Err(Error::Exists(format!("account {}", new.name))),
            };
            let belongings = model.belongings.get_mut(&account.id).expect("every account has belongings");
            if new.full_name.is_some() {
                belongings.full_name = new.full_name;
            }
            if new.quota.is_set() {
                belongings.quota = new.quota;
            }
            if new.password.is_some() {
                belongings.credentials.password = new.password;
                belongings.credentials.scram = new.scram;
            }
            Ok(account)
        })
    }

    async fn remove_account(&self, name: &AccountName) -> Result<()> {
        self.inner.change(|model| {
            let account =
                model.accounts.remove(name).ok_or_else(|| Error::NoSuchAccount(name.to_string()))?;
            model.belongings.remove(&account.id);
            let theirs = |kept: &Kept| kept.account == account.id;
            let spools: Vec<SpoolId> = model
                .mailboxes
                .values()
                .filter(|kept| theirs(kept))
                .flat_map(|kept| kept.entries.values().map(|(entry, _)| entry.spool))
                .collect();
            model.mailboxes.retain(|_, kept| !theirs(kept));
            model.forget_unused(spools);
            model.happened.push((account.id, None));
            Ok(())
        })
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        Ok(self.inner.model().accounts.get(name).cloned())
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        Ok(self.inner.model().accounts.values().cloned().collect())
    }

    async fn standing(&self, name: &AccountName) -> Result<Option<Standing>> {
        Ok(self.inner.model().standing(name))
    }

    async fn set_full_name(&self, name: &AccountName, full_name: Option<String>) -> Result<()> {
        check_full_name(full_name.as_deref())?;
        self.inner.change(|model| {
            model.belongings(name)?.full_name = full_name;
            Ok(())
        })
    }

    fn set_default_quota(&self, quota: Quota) {
        self.inner.model.lock().expect("no holder of this lock panics").default_quota = Some(quota);
    }

    async fn set_quota(&self, name: &AccountName, quota: Quota) -> Result<()> {
        self.inner.change(|model| {
            model.belongings(name)?.quota = quota;
            Ok(())
        })
    }

    async fn credentials(&self, name: &AccountName) -> Result<Credentials> {
        let model = self.inner.model();
        if let Err(closed @ Error::Closed) = &model.health {
            return Err(closed.clone());
        }
        let account = model.account_id(name)?;
        Ok(model.belongings[&account].credentials.clone())
    }

    async fn set_password(&self, name: &AccountName, password: Secret, scram: Option<Secret>) -> Result<()> {
        check_secrets(&password, scram.as_ref())?;
        self.inner.change(|model| {
            let credentials = &mut model.belongings(name)?.credentials;
            credentials.password = Some(password);
            credentials.scram = scram;
            model.credentials_changed(name)
        })
    }

    async fn replace_password(
        &self,
        name: &AccountName,
        before: Secret,
        password: Secret,
        scram: Option<Secret>,
    ) -> Result<()> {
        check_secrets(&password, scram.as_ref())?;
        self.inner.change(|model| {
            let credentials = &mut model.belongings(name)?.credentials;
            if credentials.password.as_ref() != Some(&before) {
                return Err(Error::Changed(format!("the password of {name}")));
            }
            credentials.password = Some(password);
            credentials.scram = scram;
            model.credentials_changed(name)
        })
    }

    async fn add_application_password(
        &self,
        name: &AccountName,
        password: ApplicationPassword,
    ) -> Result<()> {
        password.check()?;
        self.inner.change(|model| {
            let credentials = &mut model.belongings(name)?.credentials;
            credentials.check_room(&password.name)?;
            credentials.application_passwords.push(password);
            credentials.application_passwords.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(())
        })
    }

    async fn remove_application_password(&self, name: &AccountName, password: &str) -> Result<()> {
        self.inner.change(|model| {
            let credentials = &mut model.belongings(name)?.credentials;
            credentials
                .application_password(password)
                .ok_or_else(|| Error::NoSuchPassword(password.to_owned()))?;
            credentials.application_passwords.retain(|known| known.name != password);
            model.credentials_changed(name)
        })
    }

    async fn note_use(&self, name: &AccountName, password: &str, at: Timestamp) -> Result<()> {
        self.inner.change(|model| {
            let credentials = &mut model.belongings(name)?.credentials;
            let known = credentials.application_passwords.iter_mut().find(|known| known.name == password);
            let known = known.ok_or_else(|| Error::NoSuchPassword(password.to_owned()))?;
            if known.last_used.is_none_or(|last| at.0 >= last.0.saturating_add(LAST_USED_GRAIN)) {
                known.last_used = Some(at);
            }
            Ok(())
        })
    }

    async fn set_alias(&self, name: &AccountName, targets: &[Mailbox], origin: Origin) -> Result<()> {
        Alias::check_targets(targets)?;
        let created = self.inner.now();
        self.inner.change(|model| {
            if model.accounts.contains_key(name) {
                return Err(Error::Exists(format!("account {name}")));
            }
            check_loop(
                name,
                targets,
                |name| model.accounts.contains_key(name),
                |name| model.aliases.get(name).map(|alias| alias.targets.as_slice()),
            )?;
            let alias = Alias { name: name.clone(), targets: targets.to_vec(), origin, created };
            model.aliases.insert(name.clone(), alias);
            Ok(())
        })
    }

    async fn remove_alias(&self, name: &AccountName) -> Result<()> {
        self.inner.change(|model| {
            model.aliases.remove(name).map(drop).ok_or_else(|| Error::NoSuchAlias(name.to_string()))
        })
    }

    async fn aliases(&self) -> Result<Vec<Alias>> {
        Ok(self.inner.model().aliases.values().cloned().collect())
    }

    async fn create_domain(&self, name: &Domain, origin: Origin) -> Result<()> {
        let created = self.inner.now();
        self.inner.change(|model| match model.domains.get_mut(name) {
            None => {
                let record = DomainRecord { name: name.clone(), origin, created };
                model.domains.insert(name.clone(), record);
                Ok(())
            }
            Some(known) if known.origin < origin => {
                known.origin = origin;
                Ok(())
            }
            Some(_) => Err(Error::Exists(format!("domain {name}"))),
        })
    }

    async fn remove_domain(&self, name: &Domain) -> Result<()> {
        self.inner.change(|model| {
            model.domains.remove(name).map(drop).ok_or_else(|| Error::NoSuchDomain(name.to_string()))
        })
    }

    async fn domains(&self) -> Result<Vec<DomainRecord>> {
        Ok(self.inner.model().domains.values().cloned().collect())
    }

    async fn resolve(&self, address: &Mailbox) -> Result<Resolution> {
        let model = self.inner.model();
        let domain = address.domain().and_then(|domain| model.domains.get(domain));
        let catch_all = address.domain().map(AccountName::catch_all);
        Ok(Resolution {
            domain: domain.map(|domain| domain.origin),
            exact: model.addressee(&AccountName::of(address)),
            untagged: AccountName::untagged(address).and_then(|name| model.addressee(&name)),
            catch_all: catch_all.and_then(|name| model.aliases.get(&name).cloned()),
        })
    }
}

impl Model {
    /// Refuses a message that does not fit into the quota of an account that it goes to.
    pub(super) fn check_quotas(&self, accepted: &Accepted, len: u64) -> Result<()> {
        let mut added: BTreeMap<&AccountName, Usage> = BTreeMap::new();
        for delivery in &accepted.deliveries {
            let Destination::Mailbox { account, trace, if_full, .. } = &delivery.destination else {
                continue;
            };
            let bytes = len + (accepted.trace.len() + trace.len()) as u64;
            let usage = added.entry(account).or_default();
            *usage = usage.with(Usage { bytes, messages: 1 });
            let Some(standing) = self.standing(account) else { continue };
            let quota = match if_full {
                IfFull::Fail => standing.allowance(),
                IfFull::UseReserve => standing.allowance().with_reserve(),
            };
            if !quota.allows(standing.usage.with(*usage)) {
                return Err(Error::OverQuota(account.to_string()));
            }
        }
        Ok(())
    }

    pub(super) fn belongings(&mut self, name: &AccountName) -> Result<&mut Belongings> {
        let account = self.account_id(name)?;
        Ok(self.belongings.get_mut(&account).expect("every account has belongings"))
    }

    pub(super) fn standing(&self, name: &AccountName) -> Option<Standing> {
        let account = self.accounts.get(name)?.clone();
        let Belongings { full_name, quota, .. } = &self.belongings[&account.id];
        let usage = self.usage(account.id);
        let (full_name, default_quota) = (full_name.clone(), self.default_quota);
        Some(Standing { account, full_name, quota: *quota, default_quota, usage })
    }

    fn usage(&self, account: AccountId) -> Usage {
        let theirs = self.mailboxes.values().filter(|kept| kept.account == account);
        theirs
            .flat_map(|kept| kept.entries.values())
            .fold(Usage::default(), |usage, (entry, _)| usage.with(Usage { bytes: entry.size, messages: 1 }))
    }

    fn addressee(&self, name: &AccountName) -> Option<Addressee> {
        let account = self.standing(name).map(|standing| Addressee::Account(Box::new(standing)));
        account.or_else(|| self.aliases.get(name).cloned().map(Addressee::Alias))
    }
}
