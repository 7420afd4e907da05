//! Logins under way.
//!
//! Whether credentials are wrong is known only after they were checked, which takes its time: somebody with many connections could try
//! many at once before the first failure is counted. So an attempt counts as a failure as long as it is under way. Everything that was let
//! in may fail, and the rates still hold. Whoever comes beyond that waits for the others: right credentials give back what they took by
//! ending, so many clients of one host with the right password only wait a little.

use super::logins::{ACCOUNT_FACTOR, AccountKey};
use super::meter::{Meter, Moment};
use super::policy::Measure;
use super::source::NETWORK_FACTOR;
use super::{Abuse, Cause, Refusal, Scope, State, source};
use crate::settings::Network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::futures::Notified;

/// A login under way, until it is dropped; if it fails, that is to be told before.
#[derive(Debug)]
pub struct Attempt {
    abuse: Arc<Abuse>,
    network: Network,
    standing: Standing,
    counted: [Option<Who>; 3],
}

/// Why an attempt cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    /// Too many failed, or a ban is in force.
    Refused(Refusal),
    /// As many are under way as may fail: when one of them has ended it is worth asking again ([`Abuse::attempt_ended`]).
    UnderWay,
}

/// How somebody who tries to log in stands to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The account has logged in from this network lately: this is probably its owner.
    Familiar,
    /// Anybody.
    Stranger,
}

/// Whose failures they would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// A host's.
    Host(Network),
    /// A network's.
    Network(Network),
    /// Those of all strangers to an account.
    Strangers(AccountKey),
    /// Those of a network that is familiar to an account.
    Familiar(AccountKey, Network),
}

/// How many attempts are under way. A session has one at most, so this is bounded by the number of connections.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<Who, u64>);

impl Abuse {
    /// Whether `peer` may try to log in: to be asked before credentials are checked, with the account's name as the client gave it, if it
    /// gave one. A ban that was made meanwhile shows here.
    pub fn attempt(
        self: &Arc<Abuse>,
        peer: IpAddr,
        account: Option<&str>,
        now: Instant,
    ) -> Result<Attempt, NotNow> {
        let now = self.epoch.at(now);
        let mut state = self.state();
        state.by_hand.check(peer, now).map_err(NotNow::Refused)?;
        let (host, network) = (source::host(peer), source::network(peer));
        let account = account.map(|account| state.logins.key(account));
        let is_familiar = account.is_some_and(|key| state.logins.is_familiar(key, network, now));
        let standing = if is_familiar { Standing::Familiar } else { Standing::Stranger };
        let mut counted = [None; 3];
        if !self.is_exempt(peer) {
            state.check_bans(host, network, now).map_err(NotNow::Refused)?;
            (counted[0], counted[1]) = (Some(Who::Host(host)), Some(Who::Network(network)));
        }
        counted[2] = account.map(|key| match standing {
            Standing::Familiar => Who::Familiar(key, network),
            Standing::Stranger => Who::Strangers(key),
        });
        for who in counted.into_iter().flatten() {
            self.may_fail(&state, who, now)?;
        }
        counted.into_iter().flatten().for_each(|who| state.pending.begin(who));
        drop(state);
        Ok(Attempt { abuse: Arc::clone(self), network, standing, counted })
    }

    /// Comes when an attempt that is under way now has ended.
    pub fn attempt_ended(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// Whether there is room for one more failure after all those that may come of what is under way.
    fn may_fail(&self, state: &State, who: Who, now: Moment) -> Result<(), NotNow> {
        let Some(rate) = self.policy.rates.of(Measure::FailedLogins) else { return Ok(()) };
        let (rate, failures) = match who {
            // One failure more than the rate is what leads to a ban, so it must be possible.
            Who::Host(_) => (rate, 0),
            Who::Network(_) => (rate.times(NETWORK_FACTOR), 0),
            Who::Strangers(_) | Who::Familiar(..) => (rate.times(ACCOUNT_FACTOR), 1),
        };
        let scope = match who {
            Who::Host(source) | Who::Network(source) => Scope::Source(source),
            Who::Strangers(_) | Who::Familiar(..) => Scope::Account,
        };
        let cause = Cause::TooMuch(Measure::FailedLogins);
        let mut failed = state.failed(who);
        failed
            .take(rate, failures, now)
            .map_err(|wait| NotNow::Refused(Refusal { cause, scope, wait: Some(wait) }))?;
        failed.take(rate, state.pending.of(who), now).map_err(|_| NotNow::UnderWay)
    }
}

impl State {
    /// The failures until now.
    fn failed(&self, who: Who) -> Meter {
        let deeds = match who {
            Who::Host(host) => self.hosts.peek(host),
            Who::Network(network) => self.networks.peek(network),
            Who::Strangers(account) => return self.logins.failures_of_strangers(account),
            Who::Familiar(account, network) => return self.logins.failures_of_familiar(account, network),
        };
        deeds.map_or_else(Meter::default, |deeds| deeds.meter(Measure::FailedLogins))
    }
}

impl Attempt {
    /// Where it comes from.
    pub fn network(&self) -> Network {
        self.network
    }

    /// Whether it is probably the account's owner.
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut state = self.abuse.state();
        self.counted.into_iter().flatten().for_each(|who| state.pending.end(who));
        drop(state);
        self.abuse.ended.notify_waiters();
    }
}

impl Pending {
    fn of(&self, who: Who) -> u64 {
        self.0.get(&who).copied().unwrap_or(0)
    }

    /// Of how many failures would be whose.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn begin(&mut self, who: Who) {
        *self.0.entry(who).or_default() += 1;
    }

    fn end(&mut self, who: Who) {
        if let Some(under_way) = self.0.get_mut(&who) {
            *under_way -= 1;
            if *under_way == 0 {
                self.0.remove(&who);
            }
        }
    }
}
