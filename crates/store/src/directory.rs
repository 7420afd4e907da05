//! Who has mail here: accounts.

use crate::{AccountId, Result, Timestamp};
use async_trait::async_trait;
use std::fmt;

/// The canonical name of an account: an address with its local part in lower case and its domain as lower-case A-labels.
///
/// Local parts are compared without case here because the domain is ours (RFC 5321 §2.4); foreign addresses never become account names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AccountName(String);

/// How an account came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// By `posthaste user add` or the like: it stays until it is removed.
    Added,
    /// Named by a users file or by the settings when the server started.
    Declared,
    /// By mail to an address that nobody had named, in a server that catches everything.
    Caught,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Account {
    /// Its identifier.
    pub id: AccountId,
    /// Its name.
    pub name: AccountName,
    /// How it came to be.
    pub origin: Origin,
    /// When it came to be.
    pub created: Timestamp,
}

/// Domains and accounts.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Creates an account with an empty INBOX, durably. [`crate::Error::Exists`] when there is one of that name, unless it was
    /// [`Origin::Caught`] or [`Origin::Declared`] and `origin` is a stronger one (Added > Declared > Caught): then its origin is raised.
    async fn create_account(&self, name: &AccountName, origin: Origin) -> Result<Account>;

    /// Removes an account with all its mail, durably.
    async fn remove_account(&self, name: &AccountName) -> Result<()>;

    /// The account of that name.
    async fn account(&self, name: &AccountName) -> Result<Option<Account>>;

    /// All accounts, by name.
    async fn accounts(&self) -> Result<Vec<Account>>;
}

impl AccountName {
    /// The name under which mail for this address is kept.
    pub fn of(mailbox: &smtp::Mailbox) -> AccountName {
        let _ = mailbox;
        AccountName(String::new())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
