//! Who fetches mail over the network: by IMAP and by POP3, through the server's own sessions, in seeds whose accounts have passwords.
//!
//! Raw clients: they log in, read, search, flag, move, append and remove messages, or break off anywhere. What they are shown goes into the
//! ledger like everything else that is read, and what was acknowledged before they looked must be shown. A refusal has to have a
//! reason: a server whose disk is well says no to nothing.

mod imap;
mod pop3;

use super::life::Listener;
use super::talk::Talk;
use super::{ACCOUNTS, Shared, World};
use crate::ledger::Expected;
use crate::random::Random;
use server::auth::{self, Authenticator, Costs, password, pool::Pool};
use server::settings::{InClear, Service, Settings};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{AccountName, Directory, SharedStore};
use store_local::Local;
use tokio::time::Instant;

/// What was fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retrieved {
    /// Messages read by IMAP, and removed.
    pub imap: (u64, u64),
    /// Messages read by POP3, and removed.
    pub pop3: (u64, u64),
    /// How often all of a mailbox was read, and compared with what was acknowledged.
    pub compared: u64,
    /// Searches.
    pub searched: u64,
    /// Messages flagged.
    pub flagged: u64,
    /// Messages moved to another mailbox.
    pub moved: u64,
    /// Messages appended.
    pub appended: u64,
}

/// One client.
pub(super) struct Retrieval {
    listener: Listener,
    random: Random,
    shared: Shared,
    account: usize,
}

const PASSWORD: &str = "open sesame";

/// Next to nothing: nobody here guesses.
const COST: password::Cost = password::Cost { memory: 8, passes: 1 };

/// Lets clients on this machine log in with a password, without TLS.
pub(super) fn set_up(settings: &mut Settings) {
    settings.auth.in_clear = InClear::Loopback;
    settings.auth.mechanisms.retain(|mechanism| mechanism.as_str() == "PLAIN");
}

/// Gives an account its password, unless it has it.
pub(super) async fn give_password(store: &Local, account: &AccountName) -> store::Result<()> {
    if store.credentials(account).await?.password.is_some() {
        return Ok(());
    }
    let hash = password::hash(PASSWORD, &[7; password::SALT], COST);
    store.set_password(account, store::Secret::new(hash.expose()), None).await
}

impl World {
    /// Who checks passwords.
    pub(super) fn authenticator(&self, store: SharedStore) -> Arc<Authenticator> {
        let random = Mutex::new(self.random.part(8));
        let authenticator = Authenticator::open(auth::Options {
            settings: &self.settings.auth,
            store,
            key: [7; 32],
            domain: self.settings.host_name.clone(),
            costs: Costs { argon2: COST, ..Costs::default() },
            random: Arc::new(move |bytes: &mut [u8]| {
                let mut random = random.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
            }),
            pool: Pool::of_callers(),
            now: Instant::now().into_std(),
        });
        Arc::new(authenticator.expect("without tokens there is nothing to read"))
    }
}

/// Connects some times.
pub(super) async fn run(mut retrieval: Retrieval) {
    for _ in 0..1 + retrieval.random.below(4) {
        let pause = retrieval.random.pick(&[20, 700, 5_000]);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        retrieval.account = retrieval.random.below(ACCOUNTS.len() as u64) as usize;
        let service = retrieval.random.pick(&[Service::Imap, Service::Imap, Service::Pop3]);
        let Some(end) = retrieval.listener.connect(service, &mut retrieval.random) else { break };
        let mut talk = Talk::new(end);
        let result = match service {
            Service::Pop3 => retrieval.pop3(&mut talk).await,
            _ => retrieval.imap(&mut talk).await,
        };
        let what = if result.is_ok() { "reader is done" } else { "reader is cut off" };
        retrieval.shared.history.event(0, what, b"");
    }
}

impl Retrieval {
    pub(super) fn new(listener: Listener, random: Random, shared: Shared) -> Retrieval {
        Retrieval { listener, random, shared, account: 0 }
    }

    /// Takes note of a message that was shown.
    fn shown(&self, uid: u32, text: &[u8]) {
        if let Err(what) = self.shared.ledger().place(self.account, uid, text) {
            self.violated(&format!("UID {uid} is shown: {what}"));
        }
    }

    /// Compares what was shown with what had to be. `owed` is that of [`crate::ledger::Ledger::missing`].
    fn compare(&self, expected: &Expected, shown: &BTreeSet<u32>, owed: bool) {
        let missing = self.shared.ledger().missing(expected, shown, owed);
        if let Some(what) = missing {
            self.violated(&what);
        }
        self.count(|retrieved| retrieved.compared += 1);
    }

    fn violated(&self, what: &str) {
        self.shared.violated(format!("{}: {what}", ACCOUNTS[self.account]));
    }

    fn count(&self, count: impl FnOnce(&mut Retrieved)) {
        count(&mut self.shared.retrieved.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn expunging(&self, uids: &[u32]) {
        uids.iter().for_each(|uid| self.shared.ledger().expunging(self.account, *uid));
    }

    fn are_expunged(&self, uids: &[u32]) {
        uids.iter().for_each(|uid| self.shared.ledger().is_expunged(self.account, *uid));
    }

    /// An answer that is not the one that was wanted. It ends the connection.
    fn refused(&self, command: &str, answer: &str, why: Why) -> io::Error {
        let command = command.split(' ').next().unwrap_or_default();
        self.shared.history.event(0, &format!("{command}: {answer}"), b"");
        // Another session is the only other reason that there is.
        let is_in_use = answer.starts_with("-ERR [IN-USE]");
        // The server stops, or the network was still for longer than it waits.
        let is_ending = !self.listener.is_up() || answer.starts_with("* BYE");
        let may_be_gone = why == Why::Gone && self.shared.ledger().some_may_be_gone(self.account);
        if !(is_in_use || is_ending || may_be_gone || self.shared.is_troubled()) {
            self.violated(&format!("{command} is answered with {answer:?}"));
        }
        io::Error::other(answer.to_owned())
    }
}

/// What a refusal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The message is not there any more.
    Gone,
    Other,
}

impl std::ops::AddAssign for Retrieved {
    fn add_assign(&mut self, other: Retrieved) {
        self.imap.0 += other.imap.0;
        self.imap.1 += other.imap.1;
        self.pop3.0 += other.pop3.0;
        self.pop3.1 += other.pop3.1;
        self.compared += other.compared;
        self.searched += other.searched;
        self.flagged += other.flagged;
        self.moved += other.moved;
        self.appended += other.appended;
    }
}

impl std::fmt::Display for Retrieved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Retrieved { imap, pop3, compared, searched, flagged, moved, appended } = self;
        write!(
            f,
            "messages read by IMAP {}, removed {}, flagged {flagged}, moved {moved}, ",
            imap.0, imap.1
        )?;
        write!(
            f,
            "appended {appended}, searched for {searched}; read by POP3 {}, removed {}; ",
            pop3.0, pop3.1
        )?;
        write!(f, "mailboxes compared as a whole {compared}")
    }
}
