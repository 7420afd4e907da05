//! What was promised, held against what a store has.
//!
//! Clients write down each `250`; [`Ledger::check`] reads the mailboxes and says what is wrong: something acknowledged that is missing
//! or there twice, something visible that is not whole or was never sent whole, a UID that does not ascend or stands for another
//! message than before, something that was there once and is gone. Recipients elsewhere are the affair of [`crate::relayed`].

mod expected;

use crate::mail::Mail;
pub use expected::Expected;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use store::{
    AccountName, Entry, Error, Flags, MailboxId, MailboxName, MailboxStatus, Store, Uid, UidValidity,
};

/// What a campaign knows.
#[derive(Debug)]
pub struct Ledger {
    accounts: Vec<AccountName>,
    /// Acknowledged and not found yet.
    owed: BTreeSet<(u64, usize)>,
    acknowledged: u64,
    paused: bool,
    /// Never sent to the end: must not be seen at all.
    unfinished: BTreeSet<u64>,
    /// For each account, what was found under which UID.
    found: Vec<BTreeMap<u32, u64>>,
    /// The same by message, to see what is there twice.
    placed: BTreeMap<(u64, usize), u32>,
    /// For each account, what was found in [`MOVED`].
    moved: Vec<BTreeMap<u32, u64>>,
    /// For each account, INBOX as it was listed so far.
    listed: Vec<Listed>,
    /// Removed, or asked to be.
    expunged: BTreeSet<(usize, u32)>,
    doubtful: BTreeSet<(usize, u32)>,
    /// Asked to be moved to [`MOVED`]: in INBOX or there, in one of them.
    moving: BTreeSet<(usize, u32)>,
    /// Flagged, and never the contrary.
    flagged: BTreeSet<(usize, u32)>,
}

/// What listings of a mailbox have shown.
#[derive(Debug, Clone, Default)]
struct Listed {
    mailbox: Option<(MailboxId, UidValidity)>,
    uids: BTreeSet<u32>,
}

/// The mailbox that [`Ledger::moving`] is about: nobody removes anything from it.
pub const MOVED: &str = "Moved";

/// Why a check did not end well.
#[derive(Debug)]
pub enum Finding {
    /// The store did not say what it has.
    Refused {
        /// What was asked for.
        what: String,
        /// Its answer.
        error: Error,
    },
    /// What it has is not what was promised.
    Broken(String),
}

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The text of entries that were not there the last time.
    New,
    /// Every text.
    Everything,
}

impl Ledger {
    /// An empty one for these accounts.
    pub fn new(accounts: Vec<AccountName>) -> Ledger {
        let found = vec![BTreeMap::new(); accounts.len()];
        let moved = found.clone();
        Ledger {
            accounts,
            owed: BTreeSet::new(),
            acknowledged: 0,
            paused: false,
            unfinished: BTreeSet::new(),
            listed: vec![Listed::default(); found.len()],
            found,
            placed: BTreeMap::new(),
            moved,
            expunged: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            moving: BTreeSet::new(),
            flagged: BTreeSet::new(),
        }
    }

    /// A message was acknowledged for these accounts.
    pub fn acknowledge(&mut self, token: u64, accounts: &[usize]) {
        if self.paused {
            return;
        }
        self.acknowledged += 1;
        self.owed.extend(
            accounts.iter().map(|account| (token, *account)).filter(|key| !self.placed.contains_key(key)),
        );
    }

    /// From now on what is acknowledged is not owed: the power is failing, and a `250` may come from a machine that has none.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// From now on it is owed again.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// A message will not be sent to its end.
    pub fn never_finished(&mut self, token: u64) {
        self.unfinished.insert(token);
    }

    /// Whether a message was never sent to its end.
    pub fn is_unfinished(&self, token: u64) -> bool {
        self.unfinished.contains(&token)
    }

    /// An entry is about to be removed; until [`Ledger::is_expunged`] it may be there or not.
    pub fn expunging(&mut self, account: usize, uid: u32) {
        self.doubtful.insert((account, uid));
    }

    /// The removal of an entry was answered.
    pub fn is_expunged(&mut self, account: usize, uid: u32) {
        self.expunged.insert((account, uid));
    }

    /// An entry is about to be moved to [`MOVED`]; until [`Ledger::is_expunged`] it may be in INBOX or there, and must be in one of them.
    pub fn moving(&mut self, account: usize, uid: u32) {
        self.moving.insert((account, uid));
    }

    /// It was answered that an entry has \Flagged.
    pub fn is_flagged(&mut self, account: usize, uid: u32) {
        self.flagged.insert((account, uid));
    }

    /// Which entries of an account must have it.
    pub fn flagged(&self, account: usize) -> BTreeSet<u32> {
        let of_account = (account, 0)..(account + 1, 0);
        self.flagged.range(of_account).map(|(_, uid)| *uid).collect()
    }

    /// Whether somebody has asked for an entry to leave INBOX.
    pub fn may_be_gone(&self, account: usize, uid: u32) -> bool {
        self.doubtful.contains(&(account, uid)) || self.moving.contains(&(account, uid))
    }

    /// Whether somebody has asked for any entry of an account to leave INBOX.
    pub fn some_may_be_gone(&self, account: usize) -> bool {
        let of_account = (account, 0)..(account + 1, 0);
        [&self.doubtful, &self.moving].iter().any(|uids| uids.range(of_account.clone()).next().is_some())
    }

    /// How many messages were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many entries were found, in all mailboxes.
    pub fn entries(&self) -> usize {
        self.placed.len()
    }

    /// Reads what the store has. The error says what is wrong.
    pub async fn check(&mut self, store: &dyn Store, scope: Scope) -> Result<(), Finding> {
        for account in 0..self.accounts.len() {
            self.check_account(store, account, scope).await?;
        }
        if let Some((token, account)) = self.owed.first() {
            let (count, name) = (self.owed.len(), &self.accounts[*account]);
            return Err(broken(format!(
                "lost: {count} acknowledged deliveries, first message {token:016x} for {name}"
            )));
        }
        Ok(())
    }

    async fn check_account(
        &mut self,
        store: &dyn Store,
        account: usize,
        scope: Scope,
    ) -> Result<(), Finding> {
        let name = self.accounts[account].clone();
        let (inbox, entries) = match store.mailbox(&name, &MailboxName::inbox()).await {
            Ok(inbox) => {
                let entries = store.entries(inbox.id, Uid(0), usize::MAX).await;
                (inbox, entries.map_err(|error| refused(format!("{name} cannot be listed"), error))?)
            }
            Err(Error::NoSuchAccount(_)) if self.found[account].is_empty() => return Ok(()),
            Err(error) => return Err(refused(format!("{name} cannot be read"), error)),
        };
        self.list(account, &inbox, &entries).map_err(|what| broken(format!("{name}: {what}")))?;
        self.check_moved(store, account).await?;
        let moved: BTreeSet<u64> = self.moved[account].values().copied().collect();
        let there: BTreeSet<u32> = entries.iter().map(|entry| entry.uid.0).collect();
        for (uid, token) in &self.found[account] {
            let wrong = match (there.contains(uid), moved.contains(token)) {
                (true, true) => "is also where it was moved",
                (false, false) if self.doubtful.contains(&(account, *uid)) => continue,
                (false, false) => "was there and is gone",
                (true, false) | (false, true) => continue,
            };
            return Err(broken(format!("{name}: UID {uid}, message {token:016x}, {wrong}")));
        }
        for entry in entries {
            let uid = entry.uid.0;
            if self.expunged.contains(&(account, uid)) {
                return Err(broken(format!("{name}: UID {uid} was expunged and came back")));
            }
            if self.flagged.contains(&(account, uid)) && !entry.flags.contains(Flags::FLAGGED) {
                return Err(broken(format!("{name}: UID {uid} was flagged and is not")));
            }
            let known = self.found[account].get(&uid).copied();
            if known.is_some() && scope == Scope::New {
                continue;
            }
            let unread = |error| refused(format!("{name}: UID {uid}"), error);
            let (_, reader) = store.fetch(inbox.id, entry.uid).await.map_err(unread)?;
            let text = reader.read_all(1 << 30).await.map_err(unread)?;
            self.place(account, uid, &text).map_err(|what| broken(format!("{name}: UID {uid}: {what}")))?;
        }
        Ok(())
    }

    /// Takes note of a listing of INBOX, later than all others: the mailbox is the same, the UIDs ascend, and those that are new are above all that
    /// were listed before.
    pub(crate) fn list(
        &mut self,
        account: usize,
        inbox: &MailboxStatus,
        entries: &[Entry],
    ) -> Result<(), String> {
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].uid >= pair[1].uid) {
            return Err(format!("UID {} is not below {}", pair[0].uid, pair[1].uid));
        }
        let listed = &mut self.listed[account];
        let is = (inbox.id, inbox.uid_validity);
        let was = *listed.mailbox.get_or_insert(is);
        if was != is {
            return Err(format!("it is {is:?}, and was {was:?}"));
        }
        let highest = listed.uids.last().copied().unwrap_or(0);
        let mut new = entries.iter().map(|entry| entry.uid.0).filter(|uid| !listed.uids.contains(uid));
        if let Some(uid) = new.find(|uid| *uid <= highest) {
            return Err(format!("UID {uid} is new, but not above {highest}"));
        }
        if inbox.uid_next.0 <= highest {
            return Err(format!("UIDNEXT is {}, and {highest} was there", inbox.uid_next));
        }
        listed.uids.extend(entries.iter().map(|entry| entry.uid.0));
        Ok(())
    }

    /// The highest UID that was listed so far; 0 when there is none.
    pub(crate) fn highest(&self, account: usize) -> u32 {
        self.listed[account].uids.last().copied().unwrap_or(0)
    }

    /// A reader is told this UIDVALIDITY of INBOX.
    pub(crate) fn told(&self, account: usize, validity: u32) -> Result<(), String> {
        match self.listed[account].mailbox.filter(|(_, was)| was.0 != validity) {
            Some((_, was)) => Err(format!("UIDVALIDITY is told as {validity}, and is {was:?}")),
            None => Ok(()),
        }
    }

    /// The same for [`MOVED`], whose entries stay and are never read twice.
    async fn check_moved(&mut self, store: &dyn Store, account: usize) -> Result<(), Finding> {
        let name = self.accounts[account].clone();
        let mailbox = MailboxName::new(MOVED).expect("a valid name");
        let id = match store.mailbox(&name, &mailbox).await {
            Ok(mailbox) => mailbox.id,
            Err(Error::NoSuchMailbox(_)) if self.moved[account].is_empty() => return Ok(()),
            Err(error) => return Err(refused(format!("{name}, {MOVED}, cannot be read"), error)),
        };
        let unlisted = |error| refused(format!("{name}, {MOVED}, cannot be listed"), error);
        let entries = store.entries(id, Uid(0), usize::MAX).await.map_err(unlisted)?;
        let there: BTreeSet<u32> = entries.iter().map(|entry| entry.uid.0).collect();
        if let Some((uid, token)) = self.moved[account].iter().find(|(uid, _)| !there.contains(uid)) {
            return Err(broken(format!("{name}, {MOVED}: UID {uid}, message {token:016x}, is gone")));
        }
        for uid in there {
            if self.moved[account].contains_key(&uid) {
                continue;
            }
            let unread = |error| refused(format!("{name}, {MOVED}: UID {uid}"), error);
            let (_, reader) = store.fetch(id, Uid(uid)).await.map_err(unread)?;
            let text = reader.read_all(1 << 30).await.map_err(unread)?;
            let Mail { token, .. } =
                Mail::of(&text).map_err(|what| broken(format!("{name}, {MOVED}: UID {uid}: {what}")))?;
            if self.moved[account].values().any(|other| *other == token) {
                return Err(broken(format!("{name}, {MOVED}: message {token:016x} is there twice")));
            }
            self.moved[account].insert(uid, token);
        }
        Ok(())
    }

    /// Removes all entries that were found but every tenth, for the space of their messages to be reclaimed; returns how many went.
    pub async fn thin_out(&mut self, store: &dyn Store) -> Result<u64, Finding> {
        let mut gone = 0;
        for account in 0..self.accounts.len() {
            let name = self.accounts[account].clone();
            let failed = |error| refused(format!("{name} cannot be thinned out"), error);
            let inbox = match store.mailbox(&name, &MailboxName::inbox()).await {
                Err(Error::NoSuchAccount(_)) => continue,
                inbox => inbox.map_err(failed)?.id,
            };
            let entries = store.entries(inbox, Uid(0), usize::MAX).await.map_err(failed)?;
            let found = |uid: &Uid| self.found[account].contains_key(&uid.0) && !uid.0.is_multiple_of(10);
            let uids: Vec<Uid> = entries.iter().map(|entry| entry.uid).filter(found).collect();
            for uids in uids.chunks(500) {
                uids.iter().for_each(|uid| self.expunging(account, uid.0));
                gone += store.expunge(inbox, uids).await.map_err(failed)?;
                uids.iter().for_each(|uid| self.is_expunged(account, uid.0));
            }
        }
        Ok(gone)
    }

    /// Takes note of what is under a UID.
    pub(crate) fn place(&mut self, account: usize, uid: u32, text: &[u8]) -> Result<(), String> {
        let Mail { token, .. } = Mail::of(text)?;
        if self.unfinished.contains(&token) {
            return Err(format!("message {token:016x} was never sent whole"));
        }
        match self.found[account].insert(uid, token) {
            Some(before) if before != token => {
                return Err(format!("message {token:016x}, and before it was {before:016x}"));
            }
            Some(_) => {}
            None if self.placed.insert((token, account), uid).is_some() => {
                return Err(format!("message {token:016x} is there a second time"));
            }
            None => {}
        }
        self.owed.remove(&(token, account));
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Refused { what, error } => write!(f, "{what}: {error}"),
            Finding::Broken(what) => f.write_str(what),
        }
    }
}

fn refused(what: String, error: Error) -> Finding {
    Finding::Refused { what, error }
}

fn broken(what: String) -> Finding {
    Finding::Broken(what)
}
