//! Who has mail here: accounts, the names under which they are found, what their holders prove themselves with, and how much they
//! may hold.

mod addresses;
mod credentials;
mod quota;

pub use addresses::{ALIAS_TARGETS_MAX, Addressee, Alias, DomainRecord, Resolution, check_loop};
pub use credentials::{
    APPLICATION_PASSWORDS_MAX, ApplicationPassword, Credentials, LABEL_MAX, LAST_USED_GRAIN, SECRET_MAX,
    Secret,
};
pub use quota::{Quota, Usage};

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

/// An account to be created, with what it has from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its name.
    pub name: AccountName,
    /// How it comes to be.
    pub origin: Origin,
    /// The full name of who has it.
    pub full_name: Option<String>,
    /// The hash of its password.
    pub password: Option<Secret>,
    /// The SCRAM verifier of its password.
    pub scram: Option<Secret>,
    /// How much it may hold.
    pub quota: Quota,
}

/// How an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The account.
    pub account: Account,
    /// The full name of who has it.
    pub full_name: Option<String>,
    /// How much it may hold, as far as that was set for it.
    pub quota: Quota,
    /// How much an account may hold for which nothing is set; `None` when nobody has said it.
    pub default_quota: Option<Quota>,
    /// How much it holds: everything acknowledged before is counted.
    pub usage: Usage,
}

impl Standing {
    /// How much it may hold, all in all.
    pub fn allowance(&self) -> Quota {
        self.quota.or(self.default_quota.unwrap_or_default())
    }
}

/// Domains, accounts and aliases. Every change is durable when it returns, and seen by every look-up after that.
///
/// No name is both an account and an alias. Changes of an account that is not there are [`crate::Error::NoSuchAccount`].
#[async_trait]
pub trait Directory: Send + Sync {
    /// Creates an account with an empty INBOX and all that is given, in one act. When there is one of that name it is
    /// [`crate::Error::Exists`], unless `origin` is a stronger one (Added > Declared > Caught): then the account's origin is raised,
    /// what is given is set, and it is returned. An alias of that name is [`crate::Error::Exists`] too.
    async fn create_account_with(&self, new: NewAccount) -> Result<Account>;

    /// The same with nothing given.
    async fn create_account(&self, name: &AccountName, origin: Origin) -> Result<Account> {
        self.create_account_with(NewAccount::bare(name.clone(), origin)).await
    }

    /// Removes an account with all its mail and all that belongs to it. An account of the same name may be created again; it has
    /// nothing to do with this one. Queued deliveries stay, and so do aliases that lead to it.
    async fn remove_account(&self, name: &AccountName) -> Result<()>;

    /// The account of that name.
    async fn account(&self, name: &AccountName) -> Result<Option<Account>>;

    /// All accounts, by name.
    async fn accounts(&self) -> Result<Vec<Account>>;

    /// How the account of that name stands.
    async fn standing(&self, name: &AccountName) -> Result<Option<Standing>>;

    /// Sets or takes away the full name of who has an account.
    async fn set_full_name(&self, name: &AccountName, full_name: Option<String>) -> Result<()>;

    /// Sets how much an account may hold. What it holds already stays, also when that is more.
    async fn set_quota(&self, name: &AccountName, quota: Quota) -> Result<()>;

    /// Says how much an account may hold for which nothing is set. It is not kept: whoever opens a store says it again.
    fn set_default_quota(&self, quota: Quota);

    /// What is kept of an account's passwords.
    async fn credentials(&self, name: &AccountName) -> Result<Credentials>;

    /// Sets an account's main password: its hash, and its SCRAM verifier if there is one. The application passwords stay.
    async fn set_password(&self, name: &AccountName, password: Secret, scram: Option<Secret>) -> Result<()>;

    /// The same, if the hash that is kept is still `before`; [`crate::Error::Changed`] when it is not. Whoever makes anew what is kept of
    /// a password must not bring back one that was changed meanwhile.
    async fn replace_password(
        &self,
        name: &AccountName,
        before: Secret,
        password: Secret,
        scram: Option<Secret>,
    ) -> Result<()>;

    /// Adds an application password; [`crate::Error::Exists`] when the account has one of that name.
    async fn add_application_password(&self, name: &AccountName, password: ApplicationPassword)
    -> Result<()>;

    /// Removes an application password; [`crate::Error::NoSuchPassword`] when there is none of that name.
    async fn remove_application_password(&self, name: &AccountName, password: &str) -> Result<()>;

    /// Keeps that an application password was used, unless a use less than [`LAST_USED_GRAIN`] before is kept.
    async fn note_use(&self, name: &AccountName, password: &str, at: Timestamp) -> Result<()>;

    /// Creates an alias, or sets its targets anew. [`crate::Error::Exists`] when there is an account of that name,
    /// [`crate::Error::Invalid`] when it would lead back to itself.
    async fn set_alias(&self, name: &AccountName, targets: &[smtp::Mailbox], origin: Origin) -> Result<()>;

    /// Removes an alias; [`crate::Error::NoSuchAlias`] when there is none of that name.
    async fn remove_alias(&self, name: &AccountName) -> Result<()>;

    /// All aliases, by name.
    async fn aliases(&self) -> Result<Vec<Alias>>;

    /// Creates a domain. When there is one of that name it is [`crate::Error::Exists`], unless `origin` is a stronger one: then that
    /// is raised.
    async fn create_domain(&self, name: &smtp::Domain, origin: Origin) -> Result<()>;

    /// Removes a domain; [`crate::Error::NoSuchDomain`] when there is none of that name. Its accounts and aliases stay.
    async fn remove_domain(&self, name: &smtp::Domain) -> Result<()>;

    /// All domains, by name.
    async fn domains(&self) -> Result<Vec<DomainRecord>>;

    /// What is known of an address, in one look.
    async fn resolve(&self, address: &smtp::Mailbox) -> Result<Resolution>;
}

impl NewAccount {
    /// An account with nothing.
    pub fn bare(name: AccountName, origin: Origin) -> NewAccount {
        NewAccount { name, origin, full_name: None, password: None, scram: None, quota: Quota::default() }
    }

    /// Refuses what cannot be kept.
    pub fn check(&self) -> Result<()> {
        check_full_name(self.full_name.as_deref())?;
        [&self.password, &self.scram].into_iter().flatten().try_for_each(Secret::check)
    }
}

/// Refuses a full name that cannot be kept.
pub fn check_full_name(full_name: Option<&str>) -> Result<()> {
    full_name.map_or(Ok(()), |text| credentials::check_label("a full name", text))
}

/// Refuses secrets that cannot be kept.
pub fn check_secrets(password: &Secret, scram: Option<&Secret>) -> Result<()> {
    password.check()?;
    scram.map_or(Ok(()), Secret::check)
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
