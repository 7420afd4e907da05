//! Failed logins, counted for each account wherever they come from.
//!
//! Without more, that count would be a weapon: strangers guess passwords of an account until its owner is shut out. So networks from
//! which an account has logged in stay outside of it for a while: they have a count of their own.

use super::meter::{Meter, Moment, Rate};
use super::source;
use super::table::{Record, Table};
use crate::settings::Network;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Who has failed to log in, and who has not.
#[derive(Debug)]
pub(super) struct Logins {
    /// What strangers did.
    accounts: Table<AccountKey, Failures>,
    /// Where owners are.
    familiar: Table<(AccountKey, Network), Familiar>,
    keys: [RandomState; 2],
}

/// An account's name, hashed: names of any length take the same room, and nobody can make two of them meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AccountKey([u64; 2]);

#[derive(Debug, Default)]
struct Failures(Meter);

/// A network from which the account has logged in.
#[derive(Debug, Default)]
struct Familiar {
    until: Moment,
    failures: Meter,
}

/// How long a network stays familiar after a login.
const FAMILIAR_FOR: Duration = Duration::from_secs(30 * 86_400);

/// A stranger at an account may be wrong this many times more often than one host: an account is guessed at from everywhere.
pub(super) const ACCOUNT_FACTOR: u64 = 2;

impl Logins {
    pub(super) fn new(accounts: usize) -> Logins {
        Logins {
            accounts: Table::new(accounts, RandomState::new()),
            familiar: Table::new(accounts, RandomState::new()),
            keys: [RandomState::new(), RandomState::new()],
        }
    }

    /// The key of an account.
    pub(super) fn key(&self, account: &str) -> AccountKey {
        AccountKey([0, 1].map(|number| self.keys[number].hash_one(account)))
    }

    /// Whether the account has logged in from this network lately.
    pub(super) fn is_familiar(&self, account: AccountKey, network: Network, now: Moment) -> bool {
        self.familiar.peek((account, network)).is_some_and(|familiar| familiar.until > now)
    }

    /// What strangers to the account did.
    pub(super) fn failures_of_strangers(&self, account: AccountKey) -> Meter {
        self.accounts.peek(account).map_or_else(Meter::default, |failures| failures.0)
    }

    /// What came from a network that is familiar to the account.
    pub(super) fn failures_of_familiar(&self, account: AccountKey, network: Network) -> Meter {
        self.familiar.peek((account, network)).map_or_else(Meter::default, |familiar| familiar.failures)
    }

    pub(super) fn failed(&mut self, peer: IpAddr, account: AccountKey, rate: Rate, now: Moment) {
        let key = (account, source::network(peer));
        let rate = rate.times(ACCOUNT_FACTOR);
        // Whether there was room was asked before; here it is only counted.
        let _over = match self.is_familiar(account, key.1, now) {
            true => self.familiar.entry(key, now).failures.add(rate, 1, now),
            false => self.accounts.entry(account, now).0.add(rate, 1, now),
        };
    }

    pub(super) fn succeeded(&mut self, peer: IpAddr, account: AccountKey, now: Moment) {
        let familiar = self.familiar.entry((account, source::network(peer)), now);
        familiar.until = now.after(FAMILIAR_FOR);
        familiar.failures = Meter::default();
    }
}

impl Record for Failures {
    fn forgiven_at(&self) -> Moment {
        self.0.empty_at()
    }
}

impl Record for Familiar {
    fn forgiven_at(&self) -> Moment {
        self.until
    }
}
