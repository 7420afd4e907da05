//! Who did too much lately: bounded counters for each host, network and account, and bans.
//!
//! [`Abuse`] is asked before a connection is served ([`Abuse::connection`]) and before each command, message, recipient and login
//! ([`Abuse::attempt`]), and it is told of errors, of recipients that do not exist and of failed logins. It decides by numbers alone: no socket, no file, and the time
//! is an argument. What it says no to gets a [`Refusal`], which words itself for the peer and for the log.
//!
//! Two kinds of things are counted. Of what is good in measure (connections, commands, messages, recipients, octets) too much is put off
//! until there is room again. What is never good (errors, unknown recipients, failed logins) leads to a ban, twice as long each time.
//! Exempt networks are not counted. Around it: [`connections`] counts what is open now, [`tarpit`] slows who makes errors, and
//! [`ban_file`] keeps the bans that an operator made.

mod attempts;
pub mod ban_file;
pub(crate) mod connections;
mod logins;
mod meter;
mod policy;
mod record;
mod refusal;
mod source;
mod table;
pub(crate) mod tarpit;

pub use attempts::{Attempt, NotNow, Standing};
pub use meter::Rate;
pub use policy::{AccountRates, Measure, Policy, Rates};
pub use refusal::{Cause, Refusal, Scope};

use crate::settings::Network;
use attempts::Pending;
use ban_file::HandBan;
use logins::Logins;
pub(crate) use meter::{Epoch, Meter, Moment};
use record::{Ban, Deeds};
use source::NETWORK_FACTOR;
use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::Timestamp;
use table::Table;
use tokio::sync::Notify;

/// Counts deeds and holds bans; shared by all sessions. It takes at most about 20 MiB, however many addresses there are.
#[derive(Debug)]
pub struct Abuse {
    policy: Policy,
    epoch: Epoch,
    state: Mutex<State>,
    /// Wakes those who wait for an attempt to end.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    hosts: Table<Network, Deeds>,
    networks: Table<Network, Deeds>,
    logins: Logins,
    /// What authenticated accounts send.
    senders: Table<logins::AccountKey, Deeds>,
    /// Logins under way.
    pending: Pending,
    by_hand: ByHand,
}

/// Bans by the operator.
#[derive(Debug, Default)]
struct ByHand {
    bans: HashMap<Network, Option<Moment>>,
    /// The lengths of prefixes in use: so many look-ups find whether an address is banned.
    prefixes: BTreeSet<u8>,
}

/// Who does something: an address, and the account that it has logged in to.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    /// The other side of the connection.
    pub address: IpAddr,
    /// Who it has proven to be.
    pub account: Option<&'a str>,
}

/// A ban that the server made by itself, as a list shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutomaticBan {
    /// Who.
    pub network: Network,
    /// For what.
    pub measure: Measure,
    /// For how long yet.
    pub left: Duration,
}

/// Hosts that are remembered, in the worst case.
const HOSTS: usize = 65_536;
/// Networks that are remembered.
const NETWORKS: usize = 32_768;
/// Accounts that are remembered, for failed logins, for familiar networks and for what they send.
const ACCOUNTS: usize = 16_384;

impl Abuse {
    /// Nothing counted yet. What the policy's exempt networks do is never counted.
    pub fn new(policy: Policy, now: Instant) -> Abuse {
        let state = State {
            hosts: Table::new(HOSTS, RandomState::new()),
            networks: Table::new(NETWORKS, RandomState::new()),
            logins: Logins::new(ACCOUNTS),
            senders: Table::new(ACCOUNTS, RandomState::new()),
            pending: Pending::default(),
            by_hand: ByHand::default(),
        };
        Abuse { policy, epoch: Epoch::new(now), state: Mutex::new(state), ended: Notify::new() }
    }

    /// Whether a connection may be served: nobody banned the address, and it has not had too many. Counts it.
    pub fn connection(&self, peer: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.take(peer, Measure::Connections, now)
    }

    /// Whether a session may give one more command. Counts it. A ban that was made meanwhile shows here.
    pub fn command(&self, party: Party<'_>, now: Instant) -> Result<(), Refusal> {
        self.take_for(party, Measure::Commands, now)
    }

    /// Whether a session that has shown the right credentials may have the account. Counts it.
    pub fn account_session(&self, account: &str, now: Instant) -> Result<(), Refusal> {
        self.take_account(account, Measure::Connections, now)
    }

    /// Whether a message may begin. Counts it.
    pub fn message(&self, party: Party<'_>, now: Instant) -> Result<(), Refusal> {
        self.has_room(party, Measure::Octets, now)?;
        self.account_has_room(party.account, Measure::Errors, now)?;
        self.take_for(party, Measure::Messages, now)
    }

    /// Whether one more recipient may be named. Counts it.
    pub fn recipient(&self, party: Party<'_>, now: Instant) -> Result<(), Refusal> {
        self.take_for(party, Measure::Recipients, now)
    }

    /// Content came. It is not refused in the middle: if it was too much, the next [`Abuse::message`] is.
    pub fn content(&self, party: Party<'_>, octets: u64, now: Instant) {
        let now = self.epoch.at(now);
        let mut state = self.state();
        if let Some(rate) = self.policy.rates.of(Measure::Octets)
            && !self.is_exempt(party.address)
        {
            let (host, network) = (source::host(party.address), source::network(party.address));
            state.hosts.entry(host, now).add(Measure::Octets, rate, octets, now);
            state.networks.entry(network, now).add(Measure::Octets, rate.times(NETWORK_FACTOR), octets, now);
        }
        if let (Some(account), Some(rate)) = (party.account, self.policy.accounts.octets) {
            let key = state.logins.key(account);
            state.senders.entry(key, now).add(Measure::Octets, rate, octets, now);
        }
    }

    /// A command was wrong, or something was done that a client does not do. Says so if that led to a ban.
    pub fn error(&self, peer: IpAddr, now: Instant) -> Option<Refusal> {
        self.offence(peer, Measure::Errors, now)
    }

    /// A command of an account's session was refused. Says so if there were too many: then the session is to be closed, and the account is put
    /// off for a while, wherever it comes from. Nobody is banned for it.
    pub fn account_error(&self, account: &str, now: Instant) -> Option<Refusal> {
        if let Some(rate) = self.policy.accounts.rate(Measure::Errors) {
            let now = self.epoch.at(now);
            let mut state = self.state();
            let key = state.logins.key(account);
            state.senders.entry(key, now).add(Measure::Errors, rate, 1, now);
        }
        self.account_has_room(Some(account), Measure::Errors, now).err()
    }

    /// A recipient does not exist here: a mistake, or somebody tries names. Says so if that led to a ban.
    pub fn unknown_recipient(&self, peer: IpAddr, now: Instant) -> Option<Refusal> {
        self.offence(peer, Measure::UnknownRecipients, now)
    }

    /// Credentials were wrong, or there is no such account: both are told in the same way. Says so if that led to a ban; then the session
    /// is to be closed.
    pub fn failed_login(&self, peer: IpAddr, account: &str, now: Instant) -> Option<Refusal> {
        if let Some(rate) = self.policy.rates.of(Measure::FailedLogins) {
            let moment = self.epoch.at(now);
            let mut state = self.state();
            let key = state.logins.key(account);
            state.logins.failed(peer, key, rate, moment);
        }
        self.offence(peer, Measure::FailedLogins, now)
    }

    /// An attempt was put off because too many failed at that account. Whoever goes on knocking there is likely to be one of those who
    /// guess: it counts for the host, though nothing was looked at. Says so if that led to a ban.
    pub fn knocked(&self, peer: IpAddr, now: Instant) -> Option<Refusal> {
        self.offence(peer, Measure::FailedLogins, now)
    }

    /// Credentials were right.
    pub fn logged_in(&self, peer: IpAddr, account: &str, now: Instant) {
        let now = self.epoch.at(now);
        let mut state = self.state();
        let key = state.logins.key(account);
        state.logins.succeeded(peer, key, now);
    }

    /// Whether the limits do not apply to this address.
    pub fn is_exempt(&self, peer: IpAddr) -> bool {
        self.policy.exempt.iter().any(|network| network.contains(peer))
    }

    /// How long a session with errors waits at most before each of its replies.
    pub fn longest_delay(&self) -> Duration {
        self.policy.tarpit
    }

    /// Puts these bans in place of all that were made by hand; `wall` is what the clock says at `now`.
    pub fn set_by_hand(&self, bans: &[HandBan], wall: Timestamp, now: Instant) {
        let now = self.epoch.at(now);
        let mut by_hand = ByHand::default();
        for ban in bans {
            let end = match ban.until {
                Some(until) if until <= wall => continue,
                Some(until) => Some(now.after(Duration::from_millis((until.0 - wall.0).unsigned_abs()))),
                None => None,
            };
            by_hand.prefixes.insert(ban.network.prefix());
            by_hand.bans.insert(ban.network, end);
        }
        self.state().by_hand = by_hand;
    }

    /// The bans in force that were not made by hand, in the order of their networks.
    pub fn automatic_bans(&self, now: Instant) -> Vec<AutomaticBan> {
        let now = self.epoch.at(now);
        let state = self.state();
        let mut bans: Vec<_> = [&state.hosts, &state.networks]
            .into_iter()
            .flat_map(Table::iter)
            .filter_map(|(network, deeds)| {
                let Ban { measure, left } = deeds.ban(now)?;
                Some(AutomaticBan { network: *network, measure, left })
            })
            .collect();
        bans.sort_by_key(|ban| ban.network);
        bans
    }

    /// Forgets what was counted of the hosts in `network`, with the bans that came of it; says how many bans that were.
    pub fn pardon(&self, network: Network, now: Instant) -> usize {
        let now = self.epoch.at(now);
        let mut state = self.state();
        let State { hosts, networks, .. } = &mut *state;
        let mut bans = 0;
        for (source, deeds) in hosts.iter_mut().chain(networks.iter_mut()) {
            if network.covers(*source) {
                bans += usize::from(deeds.ban(now).is_some());
                *deeds = Deeds::default();
            }
        }
        bans
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one of what is good in measure.
    fn take(&self, peer: IpAddr, measure: Measure, now: Instant) -> Result<(), Refusal> {
        let now = self.epoch.at(now);
        let mut state = self.state();
        state.by_hand.check(peer, now)?;
        if self.is_exempt(peer) {
            return Ok(());
        }
        let (host, network) = (source::host(peer), source::network(peer));
        // Who is banned is not counted: it would take the place of somebody else in the tables.
        state.check_bans(host, network, now)?;
        let State { hosts, networks, .. } = &mut *state;
        let Some(rate) = self.policy.rates.of(measure) else { return Ok(()) };
        let too_much = |source| {
            move |wait| Refusal {
                cause: Cause::TooMuch(measure),
                scope: Scope::Source(source),
                wait: Some(wait),
            }
        };
        hosts.entry(host, now).take(measure, rate, now).map_err(too_much(host))?;
        networks.entry(network, now).take(measure, rate.times(NETWORK_FACTOR), now).map_err(too_much(network))
    }

    /// The same, for the account too.
    fn take_for(&self, party: Party<'_>, measure: Measure, now: Instant) -> Result<(), Refusal> {
        self.take(party.address, measure, now)?;
        party.account.map_or(Ok(()), |account| self.take_account(account, measure, now))
    }

    fn take_account(&self, account: &str, measure: Measure, now: Instant) -> Result<(), Refusal> {
        let Some(rate) = self.policy.accounts.rate(measure) else { return Ok(()) };
        let now = self.epoch.at(now);
        let mut state = self.state();
        let key = state.logins.key(account);
        state.senders.entry(key, now).take(measure, rate, now).map_err(|wait| Refusal {
            cause: Cause::TooMuch(measure),
            scope: Scope::Account,
            wait: Some(wait),
        })
    }

    /// Whether what is only added to is within its rate.
    fn has_room(&self, party: Party<'_>, measure: Measure, now: Instant) -> Result<(), Refusal> {
        if let Some(rate) = self.policy.rates.of(measure) {
            let now = self.epoch.at(now);
            let state = self.state();
            let sources = [
                (&state.hosts, source::host(party.address), rate),
                (&state.networks, source::network(party.address), rate.times(NETWORK_FACTOR)),
            ];
            for (table, source, rate) in sources {
                if let Some(wait) = table.peek(source).and_then(|deeds| deeds.excess(measure, rate, now)) {
                    let scope = Scope::Source(source);
                    return Err(Refusal { cause: Cause::TooMuch(measure), scope, wait: Some(wait) });
                }
            }
        }
        self.account_has_room(party.account, measure, now)
    }

    fn account_has_room(&self, account: Option<&str>, measure: Measure, now: Instant) -> Result<(), Refusal> {
        let (Some(account), Some(rate)) = (account, self.policy.accounts.rate(measure)) else {
            return Ok(());
        };
        let now = self.epoch.at(now);
        let state = self.state();
        let deeds = state.senders.peek(state.logins.key(account));
        match deeds.and_then(|deeds| deeds.excess(measure, rate, now)) {
            Some(wait) => {
                Err(Refusal { cause: Cause::TooMuch(measure), scope: Scope::Account, wait: Some(wait) })
            }
            None => Ok(()),
        }
    }

    /// Counts one of what is never good, for the host and for its network; says if that made a ban.
    fn offence(&self, peer: IpAddr, measure: Measure, now: Instant) -> Option<Refusal> {
        let rate = self.policy.rates.of(measure)?;
        if self.is_exempt(peer) {
            return None;
        }
        let now = self.epoch.at(now);
        let mut state = self.state();
        let State { hosts, networks, .. } = &mut *state;
        let mut refusal = None;
        for (table, source, rate) in
            [(hosts, source::host(peer), rate), (networks, source::network(peer), rate.times(NETWORK_FACTOR))]
        {
            let deeds = table.entry(source, now);
            if let Some(Ban { measure, left }) = deeds.offend(measure, rate, &self.policy, now) {
                let scope = Scope::Source(source);
                refusal = Some(Refusal { cause: Cause::Banned(measure), scope, wait: Some(left) });
            }
        }
        refusal
    }
}

impl State {
    /// Whether the server banned the host or its network.
    fn check_bans(&self, host: Network, network: Network, now: Moment) -> Result<(), Refusal> {
        for (table, source) in [(&self.hosts, host), (&self.networks, network)] {
            if let Some(Ban { measure, left }) = table.peek(source).and_then(|deeds| deeds.ban(now)) {
                let scope = Scope::Source(source);
                return Err(Refusal { cause: Cause::Banned(measure), scope, wait: Some(left) });
            }
        }
        Ok(())
    }
}

impl ByHand {
    fn check(&self, peer: IpAddr, now: Moment) -> Result<(), Refusal> {
        let peer = peer.to_canonical();
        let longest = if peer.is_ipv4() { 32 } else { 128 };
        for prefix in self.prefixes.iter().copied().filter(|prefix| *prefix <= longest) {
            let network = Network::around(peer, prefix);
            let wait = match self.bans.get(&network) {
                Some(Some(end)) if *end > now => Some(end.since(now)),
                Some(None) => None,
                _ => continue,
            };
            return Err(Refusal { cause: Cause::BannedByHand, scope: Scope::Source(network), wait });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
