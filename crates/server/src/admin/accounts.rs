//! What is asked and answered about accounts, aliases and domains.

use serde::{Deserialize, Serialize};
use store::{Account, Origin, Quota, Secret, Timestamp, Usage};

/// What can be asked of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "directory", rename_all = "snake_case")]
pub enum DirectoryRequest {
    /// Adds an account. Answers: [`Item::Account`](super::Item::Account).
    AddAccount {
        /// Its address.
        address: String,
        /// What it has from the beginning.
        given: Given,
    },
    /// One account. Answers: [`Item::Details`](super::Item::Details).
    ShowAccount {
        /// Its address.
        address: String,
    },
    /// Sets an account's password.
    SetPassword {
        /// Its address.
        address: String,
        /// The password itself.
        password: Secret,
    },
    /// Makes an application password. Answers: [`Item::Secret`](super::Item::Secret), the only time that it is told.
    AddApplicationPassword {
        /// The account's address.
        address: String,
        /// What the password is for.
        name: String,
        /// The time.
        created: Timestamp,
    },
    /// Removes an application password.
    RemoveApplicationPassword {
        /// The account's address.
        address: String,
        /// What the password is for.
        name: String,
    },
    /// Sets how much an account may hold.
    SetQuota {
        /// Its address.
        address: String,
        /// So much.
        quota: Quota,
    },
    /// All aliases. Answers: [`Item::Alias`](super::Item::Alias) each.
    Aliases,
    /// Adds targets to an alias; makes it when there is none. Answers: [`Item::Alias`](super::Item::Alias).
    AddAlias {
        /// The alias, or `*@domain` for a catch-all.
        alias: String,
        /// Who gets its mail.
        targets: Vec<String>,
    },
    /// Takes targets from an alias. With none named, or none left, the alias goes.
    RemoveAlias {
        /// The alias.
        alias: String,
        /// Who gets no more of its mail.
        targets: Vec<String>,
    },
    /// All domains. Answers: [`Item::Domain`](super::Item::Domain) each.
    Domains,
    /// Adds a domain. Answers: [`Item::Domain`](super::Item::Domain).
    AddDomain {
        /// Its name.
        domain: String,
    },
    /// Removes a domain; accounts and mail stay.
    RemoveDomain {
        /// Its name.
        domain: String,
    },
}

/// What a new account has from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Given {
    /// The full name of who has it.
    pub full_name: Option<String>,
    /// Its password.
    pub password: Option<GivenPassword>,
    /// How much it may hold; what is not set is the default.
    pub quota: Quota,
}

/// A password, in one form or another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenPassword {
    /// Itself.
    Plain(Secret),
    /// A PHC string of Argon2.
    Hash(Secret),
}

/// All about an account but its mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDetails {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// The full name of who has it.
    pub full_name: Option<String>,
    /// How much it may hold, as far as that was set for it.
    pub quota: Quota,
    /// How much an account may hold for which nothing is set; only a running server knows.
    pub default_quota: Option<Quota>,
    /// How much it holds.
    pub usage: Usage,
    /// How its holder can log in.
    pub login: Login,
    /// Its application passwords, by name.
    pub application_passwords: Vec<ApplicationPasswordView>,
    /// The aliases that name it.
    pub aliases: Vec<String>,
}

/// How the holder of an account can log in with its main password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// Not at all: it has none.
    None,
    /// With the password itself.
    Password,
    /// With the password itself, or with SCRAM.
    PasswordOrScram,
}

/// An application password without the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationPasswordView {
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used, to the hour.
    pub last_used: Option<Timestamp>,
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasView {
    /// The address, or `*@domain`.
    pub alias: String,
    /// Who gets its mail.
    pub targets: Vec<String>,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainView {
    /// Its name.
    pub domain: String,
    /// How it came to be.
    pub origin: Origin,
    /// When it came to be.
    pub created: Timestamp,
    /// How many accounts it has.
    pub accounts: u64,
    /// How many aliases it has.
    pub aliases: u64,
    /// Who gets the mail for whatever there is no account for.
    pub catch_all: Vec<String>,
}
