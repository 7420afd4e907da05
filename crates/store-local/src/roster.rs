//! Who has an account, in memory: every recipient of every message is looked up here.
//!
//! It follows the log, not the index: the writer brings it up to date when a batch is durable and before anybody is answered. So a
//! look-up waits for nobody and still sees all that was acknowledged before.

use crate::body::AccountChange;
use crate::effect::Effect;
use std::collections::HashMap;
use std::sync::RwLock;
use store::{Account, AccountName};

/// All accounts, by name.
#[derive(Debug, Default)]
pub(crate) struct Roster(RwLock<HashMap<AccountName, Account>>);

impl Roster {
    /// A roster of these accounts.
    pub(crate) fn new(accounts: impl IntoIterator<Item = Account>) -> Roster {
        Roster(RwLock::new(accounts.into_iter().map(|account| (account.name.clone(), account)).collect()))
    }

    /// The account of that name.
    pub(crate) fn account(&self, name: &AccountName) -> Option<Account> {
        self.0.read().expect("no holder of the roster's lock panics").get(name).cloned()
    }

    /// All of them, by name.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let mut accounts: Vec<Account> =
            self.0.read().expect("no holder of the roster's lock panics").values().cloned().collect();
        accounts.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        accounts
    }

    /// Takes in what has become durable.
    pub(crate) fn see(&self, effects: &[Effect]) {
        let mut changes = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Account(change) => Some(change),
                _ => None,
            })
            .peekable();
        // Most batches change no account: they need no lock.
        if changes.peek().is_none() {
            return;
        }
        let mut accounts = self.0.write().expect("no holder of the roster's lock panics");
        for change in changes {
            match change {
                AccountChange::Created { id, name, origin, created } => {
                    let account = Account { id: *id, name: name.clone(), origin: *origin, created: *created };
                    accounts.insert(name.clone(), account);
                }
                AccountChange::Raised { name, origin, .. } => {
                    if let Some(account) = accounts.get_mut(name) {
                        account.origin = *origin;
                    }
                }
                AccountChange::Removed { name, .. } => {
                    accounts.remove(name);
                }
                AccountChange::MailboxCreated { .. } => {}
            }
        }
    }
}
