//! Who wants to know what happens in an account's mailboxes: IDLE, NOTIFY, push.
//!
//! Every engine tells a [`News`] after a change is readable. What a follower does not fetch in time is dropped, and it learns that
//! ([`Event::Missed`]), so nothing here grows with a reader that sleeps.

use crate::{AccountId, MailboxId, ModSeq};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

/// Something happened in an account, and is readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Entries of a mailbox came, changed or went.
    Entries {
        /// Which.
        mailbox: MailboxId,
        /// Its highest ModSeq after that.
        modseq: ModSeq,
    },
    /// Mailboxes were made, renamed or deleted, or subscriptions changed.
    Layout,
    /// A password of the account was set anew or removed: who has shown the old one may have no right to more.
    Credentials,
    /// More happened than was kept for this follower: it must look at everything.
    Missed,
}

/// What happens in an account from the moment on when it was asked for.
#[derive(Debug)]
pub struct Events(Receiver<Event>);

/// All followers. For engines.
#[derive(Debug, Default)]
pub struct News(Mutex<Followed>);

#[derive(Debug, Default)]
struct Followed {
    accounts: HashMap<AccountId, Sender<Event>>,
    ended: bool,
}

impl Events {
    /// The next event; `None` when the account or the store is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(_)) => Some(Event::Missed),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next event if there is one already.
    pub fn ready(&mut self) -> Option<Event> {
        match self.0.try_recv() {
            Ok(event) => Some(event),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(Event::Missed),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }
}

impl News {
    /// Follows an account.
    pub fn follow(&self, account: AccountId) -> Events {
        let mut followed = self.followed();
        if followed.ended {
            // Its sender is gone at once: that is how it learns.
            return Events(broadcast::channel(1).1);
        }
        if followed.accounts.len() >= SWEEP_FROM && followed.accounts.len().is_power_of_two() {
            followed.accounts.retain(|_, sender| sender.receiver_count() > 0);
        }
        let sender = followed.accounts.entry(account).or_insert_with(|| Sender::new(KEPT));
        Events(sender.subscribe())
    }

    /// Tells those who follow an account.
    pub fn tell(&self, account: AccountId, event: Event) {
        let mut followed = self.followed();
        let Some(sender) = followed.accounts.get(&account) else { return };
        // Nobody is left: the last one has gone since.
        if sender.send(event).is_err() {
            followed.accounts.remove(&account);
        }
    }

    /// An account is gone.
    pub fn end(&self, account: AccountId) {
        self.followed().accounts.remove(&account);
    }

    /// The store is gone.
    pub fn end_all(&self) {
        let mut followed = self.followed();
        followed.accounts.clear();
        followed.ended = true;
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.0.lock().expect("no holder of the followers' lock panics")
    }
}

/// How many events wait for a follower at most.
const KEPT: usize = 16;

/// With so many accounts followed, those that nobody follows any more are looked for now and then.
const SWEEP_FROM: usize = 64;
