//! [`Directory`] for [`Local`].

use crate::job::Job;
use crate::local::Local;
use async_trait::async_trait;
use store::{Account, AccountName, Directory, Origin, Result};
use tokio::sync::oneshot;

#[async_trait]
impl Directory for Local {
    async fn create_account(&self, name: &AccountName, origin: Origin) -> Result<Account> {
        let (answer, answered) = oneshot::channel();
        let now = self.engine.now();
        self.engine.writer.submit(Job::CreateAccount { name: name.clone(), origin, now, answer });
        self.engine.answer(answered).await
    }

    async fn remove_account(&self, name: &AccountName) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.engine.writer.submit(Job::RemoveAccount { name: name.clone(), answer });
        self.engine.answer(answered).await
    }

    async fn account(&self, name: &AccountName) -> Result<Option<Account>> {
        self.engine.status.check_open()?;
        Ok(self.engine.roster.account(name))
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        self.engine.status.check_open()?;
        Ok(self.engine.roster.accounts())
    }
}
