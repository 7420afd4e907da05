//! The queue at work: deliveries that are due are claimed by destination and carried out by workers.
//!
//! The store says which destinations have something due ([`store::Spool::waiting`]); the dispatcher ([`dispatch`]) gives each a worker
//! ([`worker`]), more when there is much and the site takes it ([`sites`]), and never more than a bound. A worker finds the hosts ([`ways`]),
//! speaks with one, and settles what it delivered, deferred or gave up ([`fate`]). A dead destination occupies one worker for as
//! long as it takes to find out, whatever waits for it.

mod choice;
mod dispatch;
mod fate;
mod in_hand;
mod limits;
mod mail;
mod manner;
mod orders;
mod sites;
mod unsettled;
mod ways;
mod worker;

pub use crate::dsn::ReportRate;
pub use limits::{Bounds, OwnSite, SiteLimits};
pub use orders::PausedHosts;
pub(crate) use orders::tell_senders;
pub(crate) use sites::SiteHosts;
pub use sites::{SiteState, Sites};

use crate::confine::Switch;
use crate::deliver::dial::Dialer;
use crate::deliver::health::Health;
use crate::deliver::secure;
use crate::dsn::Desk;
use crate::inbound::Clock;
use crate::mta_sts::Policies;
use crate::policy::recipient::Rules;
use crate::resolve::{Dns, Terms};
use crate::route::Routes;
use crate::schedule::Schedule;
use crate::tls::Authorities;
use crate::tls_reports::TlsReports;
use dispatch::Dispatcher;
use smtp::Domain;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::sync::Arc;
use store::SharedStore;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use unsettled::Unsettled;

/// Gives any number, each as likely.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What the queue works with.
pub struct Outbound {
    /// Where the mail is.
    pub store: SharedStore,
    /// Who has a mailbox here: a report may be for one of them.
    pub rules: Rules,
    /// What we call ourselves.
    pub host_name: Domain,
    /// When what failed is tried again.
    pub schedule: Schedule,
    /// Whether the postmaster hears of failures, too.
    pub postmaster_copies: Switch,
    /// How many reports an address elsewhere gets.
    pub report_rate: Arc<ReportRate>,
    /// Bounds.
    pub bounds: Bounds,
    /// Ways of the operator's own.
    pub routes: Routes,
    /// What resolution depends on.
    pub terms: Terms,
    /// Who knows the hosts.
    pub dns: Arc<dyn Dns>,
    /// Who connects.
    pub dialer: Arc<dyn Dialer>,
    /// Who may vouch for other hosts.
    pub authorities: Authorities,
    /// What other domains ask of connections for their mail; `None` when that is not looked for.
    pub policies: Option<Arc<Policies>>,
    /// What is counted of TLS for reports to other domains; `None` when none are sent.
    pub tls_reports: Option<Arc<TlsReports>>,
    /// Those of hops with some of their own, by their file.
    pub own_authorities: HashMap<PathBuf, Authorities>,
    /// The time.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
    /// Randomness that nobody can foresee: nonces of logins.
    pub secrets: crate::auth::Random,
    /// Tells the dispatcher that something was queued.
    pub wake: Arc<Notify>,
    /// The hosts that an operator has paused.
    pub paused_hosts: PausedHosts,
    /// What is known of the sites, made for `bounds`.
    pub sites: Sites,
}

impl Outbound {
    /// What reports are made with.
    pub(crate) fn desk(&self) -> Desk<'_> {
        Desk {
            store: &self.store,
            rules: &self.rules,
            postmaster_copies: self.postmaster_copies,
            rate: Some(&self.report_rate),
            wake: &self.wake,
        }
    }
}

/// Chance that nobody can foresee, though not for secrets: the standard library seeds each hasher anew.
pub fn random() -> Random {
    Arc::new(|| RandomState::new().hash_one(0))
}

/// What the workers share.
struct Shared {
    outbound: Arc<Outbound>,
    health: Health,
    tls: secure::Memory,
    unsettled: Unsettled,
    stop: watch::Receiver<bool>,
}

impl Shared {
    /// Whether what becomes of deliveries can be kept now, as far as the store foresees it and as earlier ones have shown. To be asked before anything is sent.
    fn can_settle(&self) -> store::Result<()> {
        self.outbound.store.can_settle()?;
        self.unsettled.has_room()
    }
}

/// Runs the queue until `stop` is true, then lets the messages in flight come to their end.
pub async fn run(outbound: Arc<Outbound>, mut stop: watch::Receiver<bool>) {
    if let Err(error) = outbound.reconsider().await {
        tracing::error!(%error, "the pauses of hosts cannot be read; hosts are not paused");
    }
    let wake = Arc::clone(&outbound.wake);
    let (health, tls) = (Health::default(), secure::Memory::default());
    let shared =
        Arc::new(Shared { outbound, health, tls, unsettled: Unsettled::default(), stop: stop.clone() });
    let mut workers = JoinSet::new();
    let mut dispatcher = Dispatcher::new(Arc::clone(&shared));
    loop {
        unsettled::settle_due(&shared).await;
        let next = dispatcher.dispatch(&mut workers).await;
        tokio::select! {
            biased;
            // A sender that is gone stops the queue as well.
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = workers.join_next() => report(ended),
            () = wake.notified() => {}
            () = tokio::time::sleep(next) => {}
            () = shared.outbound.sites.pool.expire() => {}
            () = shared.unsettled.due() => {}
        }
    }
    while let Some(ended) = workers.join_next().await {
        report(ended);
    }
    unsettled::settle_rest(&shared).await;
    shared.outbound.sites.pool.close_all().await;
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a delivery ended by a fault of ours; it is tried again later");
    }
}

#[cfg(test)]
mod tests;
