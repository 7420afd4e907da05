//! How much each account holds: what the index has applied, and what was admitted to the log since.
//!
//! The writer asks it before it admits a message, so that a quota is decided in the same order in which messages become durable. What
//! goes away counts until the index has applied that: an account can for a moment seem fuller than it is, never emptier.

use crate::index::Applied;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use store::{AccountId, Quota, Usage};

/// The usage of every account that ever held something, and how much those may hold for which nothing is set.
#[derive(Debug, Default)]
pub(crate) struct Usages {
    held: Mutex<HashMap<AccountId, Held>>,
    default_quota: Mutex<Option<Quota>>,
}

#[derive(Debug, Default)]
struct Held {
    applied: Usage,
    /// On its way to the index.
    admitted: Usage,
}

impl Usages {
    /// What accounts hold, mailbox by mailbox.
    pub(crate) fn new(mailboxes: impl IntoIterator<Item = (AccountId, Usage)>) -> Usages {
        let mut all: HashMap<AccountId, Held> = HashMap::new();
        for (account, usage) in mailboxes {
            let held = all.entry(account).or_default();
            held.applied = held.applied.with(usage);
        }
        Usages { held: Mutex::new(all), default_quota: Mutex::default() }
    }

    /// How much an account may hold for which nothing is set; `None` until somebody has said it.
    pub(crate) fn default_quota(&self) -> Option<Quota> {
        *self.default_quota.lock().expect("no holder of this lock panics")
    }

    /// Says it.
    pub(crate) fn set_default_quota(&self, quota: Quota) {
        *self.default_quota.lock().expect("no holder of this lock panics") = Some(quota);
    }

    /// How much an account holds.
    pub(crate) fn of(&self, account: AccountId) -> Usage {
        self.all().get(&account).map(|held| held.applied.with(held.admitted)).unwrap_or_default()
    }

    /// An account gets something more.
    pub(crate) fn admit(&self, account: AccountId, usage: Usage) {
        let mut all = self.all();
        let held = all.entry(account).or_default();
        held.admitted = held.admitted.with(usage);
    }

    /// Takes in what the index has applied; this much of it was admitted before.
    pub(crate) fn see<'a>(
        &self,
        applied: &Applied,
        admitted: impl IntoIterator<Item = &'a (AccountId, Usage)>,
    ) {
        let Applied { arrived, left, removed, .. } = applied;
        let mut admitted = admitted.into_iter().peekable();
        if arrived.is_empty() && left.is_empty() && removed.is_empty() && admitted.peek().is_none() {
            return;
        }
        let mut all = self.all();
        for (account, usage) in admitted {
            let held = all.entry(*account).or_default();
            held.admitted = held.admitted.without(*usage);
        }
        for (account, usage) in arrived {
            let held = all.entry(*account).or_default();
            held.applied = held.applied.with(*usage);
        }
        for (account, usage) in left {
            let held = all.entry(*account).or_default();
            held.applied = held.applied.without(*usage);
        }
        for account in removed {
            all.remove(account);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<AccountId, Held>> {
        self.held.lock().expect("no holder of this lock panics")
    }
}
