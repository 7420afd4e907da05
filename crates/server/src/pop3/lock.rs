//! The exclusive drop lock (RFC 1939 §4): a maildrop is open in one POP3 session at a time, and not again too soon (RFC 2449 §6.5).
//!
//! It keeps only other POP3 sessions out: mail goes on coming, and other readers see and change the mailbox meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::{MailboxId, Timestamp};

/// The maildrops that are open, and those that were opened lately. Not written anywhere: a server that ends has no sessions.
#[derive(Debug)]
pub(crate) struct Maildrops {
    /// How long must be between two logins; zero for no bound.
    login_delay: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    open: HashSet<MailboxId>,
    /// When each was opened last, as far as that still matters.
    opened: HashMap<MailboxId, Timestamp>,
}

/// One of them; open until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    all: Arc<Maildrops>,
    mailbox: MailboxId,
}

/// Why a maildrop is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    /// Another session has it open.
    InUse,
    /// It was opened too short a time ago.
    TooSoon,
}

/// So many openings are remembered at the same time; beyond that nobody has to wait.
const OPENED_MAX: usize = 100_000;

impl Maildrops {
    /// None is open.
    pub(crate) fn new(login_delay: Duration) -> Maildrops {
        Maildrops { login_delay, held: Mutex::default() }
    }

    /// Opens one.
    pub(crate) fn lock(all: &Arc<Maildrops>, mailbox: MailboxId, now: Timestamp) -> Result<Lock, Shut> {
        let mut held = all.held();
        if held.open.contains(&mailbox) {
            return Err(Shut::InUse);
        }
        if !all.login_delay.is_zero() {
            // A clock that was put back keeps nobody waiting.
            let matters = |opened: Timestamp| {
                u64::try_from(now.0 - opened.0).is_ok_and(|age| Duration::from_millis(age) < all.login_delay)
            };
            if held.opened.get(&mailbox).is_some_and(|opened| matters(*opened)) {
                return Err(Shut::TooSoon);
            }
            if held.opened.len() >= OPENED_MAX {
                held.opened.retain(|_, opened| matters(*opened));
            }
            if held.opened.len() < OPENED_MAX {
                held.opened.insert(mailbox, now);
            }
        }
        held.open.insert(mailbox);
        Ok(Lock { all: Arc::clone(all), mailbox })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.all.held().open.remove(&self.mailbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Timestamp = Timestamp(1_000_000);

    fn after(seconds: i64) -> Timestamp {
        Timestamp(BEGIN.0 + seconds * 1000)
    }

    fn lock(all: &Arc<Maildrops>, mailbox: u64, now: Timestamp) -> Result<Lock, Shut> {
        Maildrops::lock(all, MailboxId(mailbox), now)
    }

    #[test]
    fn one_session_at_a_time_and_another_after_it() {
        let all = Arc::new(Maildrops::new(Duration::ZERO));
        let first = lock(&all, 1, BEGIN).expect("it is free");
        assert_eq!(lock(&all, 1, BEGIN).err(), Some(Shut::InUse));
        assert!(lock(&all, 2, BEGIN).is_ok());
        drop(first);
        assert!(lock(&all, 1, BEGIN).is_ok());
    }

    #[test]
    fn another_one_not_too_soon() {
        let all = Arc::new(Maildrops::new(Duration::from_secs(60)));
        drop(lock(&all, 1, BEGIN).expect("it is the first"));
        assert!(lock(&all, 2, after(59)).is_ok(), "that is another one");
        assert_eq!(lock(&all, 1, after(59)).err(), Some(Shut::TooSoon));
        drop(lock(&all, 1, after(60)).expect("who was refused need not wait longer"));
        assert_eq!(lock(&all, 1, after(119)).err(), Some(Shut::TooSoon));
        assert!(lock(&all, 1, after(-3600)).is_ok(), "the clock was put back");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let all = Arc::new(Maildrops::new(Duration::from_secs(60)));
        for mailbox in 0..OPENED_MAX as u64 + 10 {
            assert!(lock(&all, mailbox, BEGIN).is_ok());
        }
        assert_eq!(all.held().opened.len(), OPENED_MAX);
        assert!(lock(&all, u64::MAX, after(61)).is_ok());
        assert_eq!(all.held().opened.len(), 1);
    }
}
