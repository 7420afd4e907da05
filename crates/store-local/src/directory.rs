//! [`Directory`] for [`Local`].

use crate::job::{DirectoryRequest, ForAccount, Job};
use crate::local::Local;
use async_trait::async_trait;
use smtp::{Domain, Mailbox};
use store::directory::{check_full_name, check_secrets};
use store::{
    Account, AccountName, Alias, ApplicationPassword, Credentials, Directory, DomainRecord, Error,
    NewAccount, Origin, Quota, Resolution, Result, Secret, Standing, Timestamp,
};
use tokio::sync::oneshot;

#[async_trait]
impl Directory for Local {
    async fn create_account_with(&self, new: NewAccount) -> Result<Account> {
        new.check()?;
        let (answer, answered) = oneshot::channel();
        let now = self.engine.now();
        self.engine.writer.submit(Job::CreateAccount { new: Box::new(new), now, answer });
        self.engine.answer(answered).await
    }

    async fn remove_account(&self, name: &AccountName) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.engine.writer.submit(Job::RemoveAccount { name: name.clone(), answer });
        self.engine.answer(answered).await?;
        // The account is gone, whether or not the index can be asked at the moment.
        if self.engine.catch_up().await.is_ok() {
            self.engine.forget_sieves();
        }
        Ok(())
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        self.engine.status.check_open()?;
        Ok(self.engine.roster.account(name))
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        self.engine.status.check_open()?;
        Ok(self.engine.roster.accounts())
    }

    async fn standing(&self, name: &AccountName) -> Result<Option<Standing>> {
        self.engine.status.check_open()?;
        Ok(self.engine.roster.standing(name))
    }

    async fn set_full_name(&self, name: &AccountName, full_name: Option<String>) -> Result<()> {
        check_full_name(full_name.as_deref())?;
        self.change_account(name, ForAccount::FullName(full_name)).await
    }

    async fn set_quota(&self, name: &AccountName, quota: Quota) -> Result<()> {
        self.change_account(name, ForAccount::Quota(quota)).await
    }

    fn set_default_quota(&self, quota: Quota) {
        self.engine.roster.set_default_quota(quota);
    }

    async fn credentials(&self, name: &AccountName) -> Result<Credentials> {
        self.engine.status.check_open()?;
        self.engine.roster.credentials(name).ok_or_else(|| Error::NoSuchAccount(name.to_string()))
    }

    async fn set_password(&self, name: &AccountName, password: Secret, scram: Option<Secret>) -> Result<()> {
        check_secrets(&password, scram.as_ref())?;
        self.change_account(name, ForAccount::Password { before: None, password, scram }).await
    }

    async fn replace_password(
        &self,
        name: &AccountName,
        before: Secret,
        password: Secret,
        scram: Option<Secret>,
    ) -> Result<()> {
        check_secrets(&password, scram.as_ref())?;
        self.change_account(name, ForAccount::Password { before: Some(before), password, scram }).await
    }

    async fn add_application_password(
        &self,
        name: &AccountName,
        password: ApplicationPassword,
    ) -> Result<()> {
        password.check()?;
        self.change_account(name, ForAccount::AddApplicationPassword(password)).await
    }

    async fn remove_application_password(&self, name: &AccountName, password: &str) -> Result<()> {
        self.change_account(name, ForAccount::RemoveApplicationPassword(password.to_owned())).await
    }

    async fn note_use(&self, name: &AccountName, password: &str, at: Timestamp) -> Result<()> {
        self.change_account(name, ForAccount::Used { name: password.to_owned(), at }).await
    }

    async fn set_alias(&self, name: &AccountName, targets: &[Mailbox], origin: Origin) -> Result<()> {
        Alias::check_targets(targets)?;
        let (name, targets) = (name.clone(), targets.to_vec());
        self.change_directory(DirectoryRequest::SetAlias { name, targets, origin }).await
    }

    async fn remove_alias(&self, name: &AccountName) -> Result<()> {
        self.change_directory(DirectoryRequest::RemoveAlias { name: name.clone() }).await
    }

    async fn aliases(&self) -> Result<Vec<Alias>> {
        self.engine.status.check_open()?;
        Ok(self.engine.roster.aliases())
    }

    async fn create_domain(&self, name: &Domain, origin: Origin) -> Result<()> {
        self.change_directory(DirectoryRequest::CreateDomain { name: name.clone(), origin }).await
    }

    async fn remove_domain(&self, name: &Domain) -> Result<()> {
        self.change_directory(DirectoryRequest::RemoveDomain { name: name.clone() }).await
    }

    async fn domains(&self) -> Result<Vec<DomainRecord>> {
        self.engine.status.check_open()?;
        Ok(self.engine.roster.domains())
    }

    async fn resolve(&self, address: &Mailbox) -> Result<Resolution> {
        self.engine.status.check_open()?;
        Ok(self.engine.roster.resolve(address))
    }
}

impl Local {
    async fn change_account(&self, name: &AccountName, change: ForAccount) -> Result<()> {
        self.change_directory(DirectoryRequest::Account(name.clone(), change)).await
    }

    async fn change_directory(&self, request: DirectoryRequest) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let now = self.engine.now();
        self.engine.writer.submit(Job::Directory { request: Box::new(request), now, answer });
        self.engine.answer(answered).await
    }
}
