//! The body of a directory record: one change of what belongs to an account, of an alias, or of a domain.
//!
//! Each change says the whole new value of one thing, so that the last record about it counts and those before it can be dropped when
//! their segment is rewritten.

use super::unreadable_as;
use serde::{Deserialize, Serialize};
use store::{
    AccountId, AccountName, Alias, ApplicationPassword, Credentials, DomainRecord, Origin, Quota, Result,
    Secret, Timestamp,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DirectoryChange {
    Password {
        account: AccountId,
        password: Option<Secret>,
        scram: Option<Secret>,
    },
    /// A new application password, never used.
    ApplicationPassword {
        account: AccountId,
        name: String,
        password: Secret,
        scram: Option<Secret>,
        created: Timestamp,
    },
    ApplicationPasswordRemoved {
        account: AccountId,
        name: String,
    },
    ApplicationPasswordUsed {
        account: AccountId,
        name: String,
        at: Timestamp,
    },
    Quota {
        account: AccountId,
        bytes: Option<u64>,
        messages: Option<u64>,
    },
    FullName {
        account: AccountId,
        full_name: Option<String>,
    },
    Alias {
        name: AccountName,
        /// Addresses as SMTP carries them.
        targets: Vec<String>,
        origin: Origin,
        created: Timestamp,
    },
    AliasRemoved {
        name: AccountName,
    },
    Domain {
        /// As A-labels.
        name: String,
        /// As it was written.
        written: String,
        origin: Origin,
        created: Timestamp,
    },
    DomainRemoved {
        name: String,
    },
}

/// What belongs to an account besides its mail; also its row in the index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Belongings {
    pub(crate) full_name: Option<String>,
    pub(crate) quota: Quota,
    pub(crate) credentials: Credentials,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    Account(AccountId),
    Alias(&'a AccountName),
    Domain(&'a str),
}

impl DirectoryChange {
    /// The change that makes an alias what this one is.
    pub(crate) fn alias(alias: &Alias) -> DirectoryChange {
        let Alias { name, targets, origin, created } = alias;
        let targets = targets.iter().map(ToString::to_string).collect();
        DirectoryChange::Alias { name: name.clone(), targets, origin: *origin, created: *created }
    }

    /// The change that makes a domain what this one is.
    pub(crate) fn domain(domain: &DomainRecord) -> DirectoryChange {
        let DomainRecord { name, origin, created } = domain;
        let (name, written) = (name.ascii().to_owned(), name.to_string());
        DirectoryChange::Domain { name, written, origin: *origin, created: *created }
    }

    /// What it is about.
    pub(crate) fn subject(&self) -> Subject<'_> {
        match self {
            DirectoryChange::Password { account, .. }
            | DirectoryChange::ApplicationPassword { account, .. }
            | DirectoryChange::ApplicationPasswordRemoved { account, .. }
            | DirectoryChange::ApplicationPasswordUsed { account, .. }
            | DirectoryChange::Quota { account, .. }
            | DirectoryChange::FullName { account, .. } => Subject::Account(*account),
            DirectoryChange::Alias { name, .. } | DirectoryChange::AliasRemoved { name } => {
                Subject::Alias(name)
            }
            DirectoryChange::Domain { name, .. } | DirectoryChange::DomainRemoved { name } => {
                Subject::Domain(name)
            }
        }
    }

    /// The alias that it sets; `None` when it is no such change.
    pub(crate) fn as_alias(&self) -> Result<Option<Alias>> {
        let DirectoryChange::Alias { name, targets, origin, created } = self else { return Ok(None) };
        let parsed =
            targets.iter().map(|target| target.parse().map_err(|_| unreadable_as("alias's target", target)));
        let targets = parsed.collect::<Result<_>>()?;
        Ok(Some(Alias { name: name.clone(), targets, origin: *origin, created: *created }))
    }

    /// The domain that it sets; `None` when it is no such change.
    pub(crate) fn as_domain(&self) -> Result<Option<DomainRecord>> {
        let DirectoryChange::Domain { written, origin, created, .. } = self else { return Ok(None) };
        let parsed = smtp::Domain::parse(written).map_err(|_| unreadable_as("own domain", written))?;
        Ok(Some(DomainRecord { name: parsed, origin: *origin, created: *created }))
    }
}

impl Belongings {
    /// Takes in a change; those that are about something else change nothing.
    pub(crate) fn apply(&mut self, change: &DirectoryChange) {
        let passwords = &mut self.credentials.application_passwords;
        match change {
            DirectoryChange::Password { password, scram, .. } => {
                self.credentials.password.clone_from(password);
                self.credentials.scram.clone_from(scram);
            }
            DirectoryChange::ApplicationPassword { name, password, scram, created, .. } => {
                passwords.retain(|known| known.name != *name);
                passwords.push(ApplicationPassword {
                    name: name.clone(),
                    password: password.clone(),
                    scram: scram.clone(),
                    created: *created,
                    last_used: None,
                });
                passwords.sort_by(|one, other| one.name.cmp(&other.name));
            }
            DirectoryChange::ApplicationPasswordRemoved { name, .. } => {
                passwords.retain(|known| known.name != *name);
            }
            DirectoryChange::ApplicationPasswordUsed { name, at, .. } => {
                if let Some(known) = passwords.iter_mut().find(|known| known.name == *name) {
                    known.last_used = Some(*at);
                }
            }
            DirectoryChange::Quota { bytes, messages, .. } => {
                self.quota = Quota { bytes: *bytes, messages: *messages };
            }
            DirectoryChange::FullName { full_name, .. } => self.full_name.clone_from(full_name),
            DirectoryChange::Alias { .. }
            | DirectoryChange::AliasRemoved { .. }
            | DirectoryChange::Domain { .. }
            | DirectoryChange::DomainRemoved { .. } => {}
        }
    }

    /// What a change set is still so.
    pub(crate) fn shows(&self, change: &DirectoryChange) -> bool {
        match change {
            // When it was last used is another change's affair.
            DirectoryChange::ApplicationPassword { name, password, scram, created, .. } => {
                self.credentials.application_password(name).is_some_and(|known| {
                    known.password == *password && known.scram == *scram && known.created == *created
                })
            }
            DirectoryChange::ApplicationPasswordUsed { name, at, .. } => {
                let known = self.credentials.application_password(name);
                known.is_some_and(|known| known.last_used == Some(*at))
            }
            change => {
                let mut changed = self.clone();
                changed.apply(change);
                *self == changed
            }
        }
    }
}

impl DirectoryChange {
    /// Whether it only takes something away: it says nothing where there is nothing before it.
    pub(crate) fn is_removal(&self) -> bool {
        match self {
            DirectoryChange::Password { password, scram, .. } => password.is_none() && scram.is_none(),
            DirectoryChange::Quota { bytes, messages, .. } => bytes.is_none() && messages.is_none(),
            DirectoryChange::FullName { full_name, .. } => full_name.is_none(),
            DirectoryChange::ApplicationPasswordRemoved { .. }
            | DirectoryChange::AliasRemoved { .. }
            | DirectoryChange::DomainRemoved { .. } => true,
            DirectoryChange::ApplicationPassword { .. }
            | DirectoryChange::ApplicationPasswordUsed { .. }
            | DirectoryChange::Alias { .. }
            | DirectoryChange::Domain { .. } => false,
        }
    }
}
