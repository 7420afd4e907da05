//! The exclusive drop lock (RFC 1939 §4): a maildrop is open in one POP3 session at a time.
//!
//! It keeps only other POP3 sessions out: mail goes on coming, and other readers see and change the mailbox meanwhile.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use store::MailboxId;

/// The maildrops that are open. Not written anywhere: a server that ends has no sessions.
#[derive(Debug, Default)]
pub(crate) struct Maildrops(Mutex<HashSet<MailboxId>>);

/// One of them; open until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    all: Arc<Maildrops>,
    mailbox: MailboxId,
}

impl Maildrops {
    /// Opens one, unless it is open.
    pub(crate) fn lock(all: &Arc<Maildrops>, mailbox: MailboxId) -> Option<Lock> {
        all.open().insert(mailbox).then(|| Lock { all: Arc::clone(all), mailbox })
    }

    fn open(&self) -> MutexGuard<'_, HashSet<MailboxId>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.all.open().remove(&self.mailbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_at_a_time_and_another_after_it() {
        let all = Arc::new(Maildrops::default());
        let lock = Maildrops::lock(&all, MailboxId(1)).expect("it is free");
        assert!(Maildrops::lock(&all, MailboxId(1)).is_none());
        assert!(Maildrops::lock(&all, MailboxId(2)).is_some());
        drop(lock);
        assert!(Maildrops::lock(&all, MailboxId(1)).is_some());
    }
}
