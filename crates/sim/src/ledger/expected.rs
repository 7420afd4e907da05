//! What somebody who opens a mailbox is to be shown.

use super::Ledger;
use std::collections::BTreeSet;

/// What somebody must be shown who opens INBOX now.
#[derive(Debug)]
pub struct Expected {
    account: usize,
    uids: Vec<(u32, u64)>,
    /// Acknowledged, under a UID that nobody has seen yet.
    owed: Vec<u64>,
}

impl Ledger {
    /// What whoever opens INBOX now must be shown.
    pub fn expected(&self, account: usize) -> Expected {
        let found = self.found[account].iter().filter(|(uid, _)| !self.may_be_gone(account, **uid));
        let owed = self.owed.iter().filter(|(_, of)| *of == account);
        Expected {
            account,
            uids: found.map(|(uid, token)| (*uid, *token)).collect(),
            owed: owed.map(|(token, _)| *token).collect(),
        }
    }

    /// What was not among the entries that somebody was shown, although nobody asked for it to leave. `owed` says whether each of these
    /// was read, so that its message is known.
    pub fn missing(&self, expected: &Expected, shown: &BTreeSet<u32>, owed: bool) -> Option<String> {
        let account = expected.account;
        let is_missing = |uid: &u32| !shown.contains(uid) && !self.may_be_gone(account, *uid);
        if let Some((uid, token)) = expected.uids.iter().find(|(uid, _)| is_missing(uid)) {
            return Some(format!("UID {uid}, message {token:016x}, is not shown"));
        }
        let is_hidden = |token: &&u64| self.placed.get(&(**token, account)).is_none_or(is_missing);
        let token = owed.then(|| expected.owed.iter().find(is_hidden)).flatten()?;
        Some(format!("message {token:016x}, acknowledged before, is not shown"))
    }
}
