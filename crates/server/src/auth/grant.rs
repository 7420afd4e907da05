//! What a session may do because somebody logged in, and whether it still may.
//!
//! A login is proved once, but what proved it can be taken back: a password is changed, an application password or the account is removed.
//! Sessions keep the [`Grant`] of their login and ask [`super::Authenticator::holds`] before they act on it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use store::{Account, AccountId, AccountName, Credentials, Secret};

/// What a login came to.
#[derive(Debug, Clone)]
pub struct Grant {
    account: Account,
    shown: Shown,
}

/// What was shown at a login.
#[derive(Debug, Clone)]
pub enum Shown {
    /// The main password, of which this hash was kept.
    Main(Secret),
    /// The application password of this name, of which this hash was kept.
    Application {
        /// Its name.
        name: String,
        /// Its hash.
        hash: Secret,
    },
    /// A token or a certificate: nothing of it is kept here.
    Elsewhere,
}

/// Hashes that were put in place of others of the same password. Which ones is remembered for the last [`REMADE`] only: a session that
/// is older has to log in again.
#[derive(Debug, Default)]
pub(super) struct Remade(Mutex<VecDeque<[Secret; 2]>>);

/// Some 2 MiB.
const REMADE: usize = 4096;

impl Grant {
    pub(super) fn new(account: Account, shown: Shown) -> Grant {
        Grant { account, shown }
    }

    /// Whose the session is.
    pub fn account(&self) -> &AccountName {
        &self.account.name
    }

    /// The identifier of whose the session is: no other account ever has it.
    pub fn account_id(&self) -> AccountId {
        self.account.id
    }

    /// Whether it still holds when this is what there is now under the account's name.
    pub(super) fn holds(&self, account: &Account, credentials: &Credentials, remade: &Remade) -> bool {
        // Another account may have got the name.
        account.id == self.account.id
            && match &self.shown {
                Shown::Elsewhere => true,
                Shown::Main(hash) => {
                    let kept = credentials.password.as_ref();
                    kept.is_some_and(|kept| kept == hash || remade.holds(hash, kept))
                }
                Shown::Application { name, hash } => {
                    credentials.application_password(name).is_some_and(|kept| kept.password == *hash)
                }
            }
    }
}

impl Shown {
    /// The name of the application password that was shown.
    pub fn application(&self) -> Option<&str> {
        match self {
            Shown::Application { name, .. } => Some(name),
            Shown::Main(_) | Shown::Elsewhere => None,
        }
    }

    /// The password that is named, as it is kept: the main one, or an application password.
    pub(super) fn of(credentials: &Credentials, application: Option<&str>) -> Option<Shown> {
        match application {
            None => credentials.password.clone().map(Shown::Main),
            Some(name) => credentials
                .application_password(name)
                .map(|kept| Shown::Application { name: name.to_owned(), hash: kept.password.clone() }),
        }
    }
}

impl Remade {
    /// `after` is about to be put in place of `before`.
    pub(super) fn note(&self, before: Secret, after: Secret) {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() == REMADE {
            pairs.pop_front();
        }
        pairs.push_back([before, after]);
    }

    fn holds(&self, before: &Secret, after: &Secret) -> bool {
        let pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.iter().any(|[old, new]| (old, new) == (before, after))
    }
}
