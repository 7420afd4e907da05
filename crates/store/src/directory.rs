//! Who has mail here: accounts, and the names under which they are found. No credentials and no aliases yet.

use crate::{AccountId, Error, Result, Timestamp};
use async_trait::async_trait;
use std::fmt;

/// The canonical name of an account: an address with its local part in lower case and its domain as lower-case A-labels.
///
/// Local parts are compared without case here because the domain is ours (RFC 5321 §2.4); foreign addresses never become account names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AccountName(String);

/// How an account came to be; a later variant is the stronger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// By mail to an address that nobody had named, in a server that catches everything.
    Caught,
    /// Named by a users file or by the settings when the server started.
    Declared,
    /// By `posthaste user add` or the like: it stays until it is removed.
    Added,
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
    /// Creates an account with an empty INBOX, durably. When there is one of that name it is [`crate::Error::Exists`], unless
    /// `origin` is a stronger one (Added > Declared > Caught): then the account's origin is raised, durably, and it is returned.
    async fn create_account(&self, name: &AccountName, origin: Origin) -> Result<Account>;

    /// Removes an account with all its mail, durably. An account of the same name may be created again; it has nothing to do with
    /// this one. Queued deliveries stay.
    async fn remove_account(&self, name: &AccountName) -> Result<()>;

    /// The account of that name.
    async fn account(&self, name: &AccountName) -> Result<Option<Account>>;

    /// All accounts, by name.
    async fn accounts(&self) -> Result<Vec<Account>>;
}

impl AccountName {
    /// The name under which mail for this address is kept.
    pub fn of(mailbox: &smtp::Mailbox) -> AccountName {
        let local_part = mailbox.local_part().to_string().to_lowercase();
        let host = match mailbox.host() {
            smtp::Host::Domain(domain) => domain.ascii().to_owned(),
            smtp::Host::Literal(literal) => literal.to_string().to_lowercase(),
        };
        AccountName(format!("{local_part}@{host}"))
    }

    /// The name that this text means: an address as a person writes it.
    pub fn parse(text: &str) -> Result<AccountName> {
        let mailbox: smtp::Mailbox =
            text.parse().map_err(|error| Error::Invalid(format!("{text:?} is not an address: {error}")))?;
        Ok(AccountName::of(&mailbox))
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
