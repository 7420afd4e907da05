//! Applying changes of the directory.

use super::Work;
use crate::body::{self, Belongings, DirectoryChange, Subject};
use crate::error::index_error;
use redb::Table;
use store::{AccountId, Result};

impl Work<'_> {
    /// Applies one change.
    pub(super) fn directory(&mut self, change: &DirectoryChange) -> Result<()> {
        match change.subject() {
            Subject::Account(account) => self.belongings(account, change),
            Subject::Alias(name) => set(&mut self.aliases, name.as_str(), change),
            Subject::Domain(name) => set(&mut self.domains, name, change),
        }
    }

    /// There is no row where there is nothing to say, so that a rebuilt index equals this one.
    fn belongings(&mut self, account: AccountId, change: &DirectoryChange) -> Result<()> {
        if let DirectoryChange::Password { .. } | DirectoryChange::ApplicationPasswordRemoved { .. } = change
        {
            self.applied.credentials.insert(account);
        }
        let key = (account.0, 0);
        let mut row = self.belongings.row(key)?.cloned().unwrap_or_default();
        row.apply(change);
        if row == Belongings::default() {
            self.belongings.remove(key);
        } else {
            self.belongings.put(key, row);
        }
        Ok(())
    }
}

/// The row of an alias or a domain is the change that made it what it is.
fn set(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    name: &str,
    change: &DirectoryChange,
) -> Result<()> {
    if change.is_removal() {
        table.remove(name).map_err(index_error)?;
    } else {
        table.insert(name, body::encode(change).as_slice()).map_err(index_error)?;
    }
    Ok(())
}
