//! How many connections a site gets: few at first, more while all goes well, half when it complains, none for a while when it has no time for us.
//!
//! Destinations whose mail goes to the same hosts are one site and share its bounds. Which site a destination belongs to is known once
//! its hosts were looked up; until then it gets a single worker, which does that. All of it is in memory, and bounded.

use super::limits::{Bounds, SiteLimits};
use crate::abuse::{Epoch, Meter, Moment, Rate};
use crate::deliver::pool::Pool;
use crate::deliver::relay::Wear;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::QueueName;
use tokio::time::Instant;

/// What is known of sites, and their idle connections.
pub struct Sites {
    inner: Arc<Mutex<Inner>>,
    pub(super) pool: Arc<Pool>,
    age: Duration,
}

/// What an operator may want to know of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteState {
    /// Its hosts, or what the settings call it.
    pub site: Arc<str>,
    /// Connections that carry mail.
    pub active: usize,
    /// Connections that wait for mail.
    pub idle: usize,
    /// How many connections it is thought to bear.
    pub limit: usize,
    /// How many messages one connection carries.
    pub messages: u32,
    /// How long no new connection is made or message sent; `None` when they may be.
    pub wait: Option<Duration>,
}

/// The site of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteHosts {
    /// What it is called.
    pub(crate) site: Arc<str>,
    /// The hosts of that destination, by name.
    pub(crate) hosts: Arc<[Arc<str>]>,
}

#[derive(Debug)]
struct Inner {
    queues: HashMap<QueueName, Queue>,
    sites: HashMap<Arc<str>, Site>,
    epoch: Epoch,
}

/// A destination that has workers, or had some.
#[derive(Debug, Default)]
struct Queue {
    site: Option<Arc<str>>,
    /// The names of its hosts, when they were looked up last.
    hosts: Arc<[Arc<str>]>,
    workers: usize,
    /// A worker has not claimed anything yet, so another would find the same deliveries waiting.
    starting: bool,
    /// All of its hosts were paused when the pauses had this version.
    paused: Option<u64>,
    /// Its mail could not be taken from the store; that is not tried again before then.
    rests_until: Option<Instant>,
}

#[derive(Debug)]
struct Site {
    limits: SiteLimits,
    /// How many connections it is thought to bear.
    limit: usize,
    /// How many connections there are.
    active: usize,
    /// Connections that went well since the limit changed.
    went_well: usize,
    /// When one went well last.
    well_at: Option<Instant>,
    /// Until when it is left alone.
    paused_until: Option<Instant>,
    /// How often in a row nobody could be spoken with there.
    silences: u32,
    /// After how many messages it ended a connection, and until when that is believed.
    enough: Option<(u32, Instant)>,
    connections: Meter,
    messages: Meter,
}

/// A worker's place, given back when dropped.
pub(super) struct Slot {
    inner: Arc<Mutex<Inner>>,
    pool: Arc<Pool>,
    queue: QueueName,
    site: Option<Arc<str>>,
    age: Duration,
}

/// Whether a worker may begin.
pub(super) enum Begin {
    /// Yes.
    Now(Slot),
    /// When others have ended, or an operator ordered something.
    No,
    /// Not before then.
    Later(Instant),
}

/// How a connection went, for the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Mail was taken.
    Well,
    /// Mail was taken, and then the host ended the connection by itself, after so many messages.
    Enough(u32),
    /// Some was taken and some put off.
    Middling,
    /// The host could not be reached, or something went wrong, or it put off what it was sent.
    Badly,
    /// None of its hosts could be spoken with. It is left alone for a while, the longer the more often that happens, and for this long at most.
    Silent(Duration),
    /// Its hosts have no time for us.
    Busy,
}

impl Sites {
    /// None yet.
    pub fn new(bounds: &Bounds) -> Sites {
        let epoch = Epoch::new(Instant::now().into_std());
        let inner = Inner { queues: HashMap::new(), sites: HashMap::new(), epoch };
        Sites { inner: Arc::new(Mutex::new(inner)), pool: Arc::new(Pool::new(bounds.idle)), age: bounds.age }
    }

    /// The state of the site that a destination belongs to, if that is known.
    pub fn of(&self, queue: &QueueName) -> Option<SiteState> {
        let inner = lock(&self.inner);
        let name = inner.queues.get(queue)?.site.as_ref()?;
        let (site, now) = (inner.sites.get(name)?, Instant::now());
        let idle = self.pool.of_site(name);
        let until = site.not_before(now, inner.moment(now), idle);
        Some(SiteState {
            site: Arc::clone(name),
            active: site.active,
            idle,
            limit: site.limit,
            messages: site.messages_max(now),
            wait: until.map(|until| until - now),
        })
    }

    /// The site that a destination belongs to, with the destination's hosts; `None` when they were not looked up yet.
    pub(crate) fn hosts_of(&self, queue: &QueueName) -> Option<SiteHosts> {
        let inner = lock(&self.inner);
        let Queue { site, hosts, .. } = inner.queues.get(queue)?;
        Some(SiteHosts { site: site.clone()?, hosts: Arc::clone(hosts) })
    }

    /// The sites of these destinations are tried again at once although nobody could be spoken with there a moment ago: an operator wants it.
    pub(crate) fn look_again<'a>(&self, queues: impl Iterator<Item = &'a QueueName>) {
        let mut inner = lock(&self.inner);
        for queue in queues {
            let name = inner.queues.get(queue).and_then(|queue| queue.site.clone());
            if let Some(site) =
                name.and_then(|name| inner.sites.get_mut(&name)).filter(|site| site.silences > 0)
            {
                (site.silences, site.paused_until) = (0, None);
            }
        }
    }

    /// A place for one more worker for this destination, if there is room, and its hosts were not all paused by this version of the pauses.
    pub(super) fn begin(&self, queue: &QueueName, pauses: u64) -> Begin {
        let mut inner = lock(&self.inner);
        inner.make_room();
        let known = inner.queues.get(queue);
        if known.is_some_and(|known| known.starting || known.paused == Some(pauses)) {
            return Begin::No;
        }
        let now = Instant::now();
        if let Some(until) = known.and_then(|known| known.rests_until).filter(|until| *until > now) {
            return Begin::Later(until);
        }
        let site =
            known.and_then(|known| known.site.as_ref()).and_then(|site| inner.sites.get_key_value(site));
        if let Some((name, site)) = site {
            if site.active >= site.limit {
                return Begin::No;
            }
            if let Some(until) = site.not_before(now, inner.moment(now), self.pool.of_site(name)) {
                return Begin::Later(until);
            }
        }
        let entry = inner.queues.entry(queue.clone()).or_default();
        entry.workers += 1;
        entry.starting = true;
        let (inner, pool) = (Arc::clone(&self.inner), Arc::clone(&self.pool));
        Begin::Now(Slot { inner, pool, queue: queue.clone(), site: None, age: self.age })
    }
}

impl Slot {
    /// Takes note of the site that the destination turned out to belong to, and of its hosts.
    pub(super) fn belongs_to(&self, name: &Arc<str>, hosts: impl Iterator<Item = Arc<str>>) {
        let mut hosts: Vec<Arc<str>> = hosts.collect();
        hosts.sort_unstable();
        hosts.dedup();
        if let Some(queue) = lock(&self.inner).queues.get_mut(&self.queue) {
            queue.site = Some(Arc::clone(name));
            if *queue.hosts != *hosts {
                queue.hosts = hosts.into();
            }
        }
    }

    /// Enters the site; `false` when there is no room there, and then the worker should end.
    pub(super) fn enter(&mut self, name: Arc<str>, limits: &SiteLimits) -> bool {
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        let moment = inner.moment(now);
        let site = inner.sites.entry(Arc::clone(&name)).or_insert_with(|| Site::new(limits.clone()));
        if site.active >= site.limit || site.not_before(now, moment, self.pool.of_site(&name)).is_some() {
            return false;
        }
        site.active += 1;
        self.site = Some(name);
        true
    }

    /// The site that was entered.
    pub(super) fn site(&self) -> Option<&Arc<str>> {
        self.site.as_ref()
    }

    /// All hosts are paused: no worker is needed until the pauses have another version.
    pub(super) fn pause(&self, pauses: u64) {
        if let Some(queue) = lock(&self.inner).queues.get_mut(&self.queue) {
            queue.paused = Some(pauses);
        }
    }

    /// Nothing can be taken from the store for this destination, so no worker is needed for this long.
    pub(super) fn rest(&self, wait: Duration) {
        if let Some(queue) = lock(&self.inner).queues.get_mut(&self.queue) {
            queue.rests_until = Some(Instant::now() + wait);
        }
    }

    /// The worker has claimed what it could: whatever is waiting now is for another.
    pub(super) fn claimed(&self) {
        if let Some(queue) = lock(&self.inner).queues.get_mut(&self.queue) {
            queue.starting = false;
        }
    }

    /// How much one connection is used.
    pub(super) fn wear(&self) -> Wear {
        let messages = self.with_site(|site, now, _| site.messages_max(now));
        Wear { messages: messages.unwrap_or(1), age: self.age }
    }

    /// How many connections of the site may be idle besides those that are used.
    pub(super) fn room(&self) -> usize {
        self.with_site(|site, _, _| site.limit.saturating_sub(site.active)).unwrap_or(0)
    }

    /// Counts a new connection; `false` when there have been enough, or the site is to be left alone.
    pub(super) fn take_connection(&self) -> bool {
        let taken = self.with_site(|site, now, moment| {
            let paused = site.paused_until.is_some_and(|until| until > now);
            !paused && take(&mut site.connections, site.limits.connection_rate, moment)
        });
        taken.unwrap_or(false)
    }

    /// Counts a message; `false` when there have been enough.
    pub(super) fn take_message(&self) -> bool {
        let taken =
            self.with_site(|site, _, moment| take(&mut site.messages, site.limits.message_rate, moment));
        taken.unwrap_or(false)
    }

    /// Whether the site serves others at this moment, or did a moment ago.
    pub(super) fn is_well_elsewhere(&self) -> bool {
        let recently = |site: &Site, now| site.well_at.is_some_and(|at| now < at + WELL_FOR);
        self.with_site(|site, now, _| site.active > 1 && site.well_at.is_some() || recently(site, now))
            .unwrap_or(false)
    }

    /// Takes note of how a connection went, or an attempt at all hosts.
    pub(super) fn went(&self, mood: Mood) {
        self.with_site(|site, now, _| site.went(mood, now));
    }

    fn with_site<T>(&self, then: impl FnOnce(&mut Site, Instant, Moment) -> T) -> Option<T> {
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        let moment = inner.moment(now);
        let site = inner.sites.get_mut(self.site.as_ref()?)?;
        Some(then(site, now, moment))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        if let Some(site) = self.site.take().and_then(|site| inner.sites.get_mut(&site)) {
            site.active -= 1;
        }
        if let Some(queue) = inner.queues.get_mut(&self.queue) {
            queue.workers -= 1;
            queue.starting = false;
        }
    }
}

impl Site {
    fn new(limits: SiteLimits) -> Site {
        Site {
            limit: FIRST_LIMIT.min(limits.connections),
            limits,
            active: 0,
            went_well: 0,
            well_at: None,
            paused_until: None,
            silences: 0,
            enough: None,
            connections: Meter::default(),
            messages: Meter::default(),
        }
    }

    /// Until when nothing can be begun there; `None` when something can. `idle` connections need not be made.
    fn not_before(&self, now: Instant, moment: Moment, idle: usize) -> Option<Instant> {
        let wait =
            |meter: Meter, rate: Option<Rate>| rate.and_then(|rate| { meter }.take(rate, 1, moment).err());
        let connections = wait(self.connections, self.limits.connection_rate).filter(|_| idle == 0);
        let messages = wait(self.messages, self.limits.message_rate);
        let metered = connections.into_iter().chain(messages).max().map(|wait| now + wait);
        metered.into_iter().chain(self.paused_until.filter(|until| *until > now)).max()
    }

    fn messages_max(&self, now: Instant) -> u32 {
        let enough = self.enough.filter(|(_, until)| *until > now).map(|(messages, _)| messages);
        enough.map_or(self.limits.messages, |enough| enough.min(self.limits.messages))
    }

    fn went(&mut self, mood: Mood, now: Instant) {
        match mood {
            // Additive increase: one more for each round in which every connection went well.
            Mood::Well | Mood::Enough(_) => {
                self.well_at = Some(now);
                self.went_well += 1;
                if self.went_well >= self.limit {
                    self.limit = (self.limit + 1).min(self.limits.connections);
                    self.went_well = 0;
                }
            }
            Mood::Middling => (self.well_at, self.went_well) = (Some(now), 0),
            Mood::Badly | Mood::Silent(_) => {
                self.limit = (self.limit / 2).max(1);
                self.went_well = 0;
            }
            Mood::Busy => {}
        }
        match mood {
            Mood::Enough(messages) => self.enough = Some((messages.max(1), now + ENOUGH_FOR)),
            Mood::Busy => self.paused_until = Some(now + self.limits.pause),
            // What several workers found at the same time counts once.
            Mood::Silent(longest) if self.paused_until.is_none_or(|until| until <= now) => {
                let pause = SILENCE.saturating_mul(1 << self.silences.min(16)).min(longest);
                self.paused_until = Some(now + pause);
                self.silences += 1;
            }
            Mood::Well | Mood::Middling | Mood::Badly | Mood::Silent(_) => {}
        }
        if !matches!(mood, Mood::Badly | Mood::Silent(_)) {
            self.silences = 0;
        }
    }
}

impl Inner {
    fn moment(&self, now: Instant) -> Moment {
        self.epoch.at(now.into_std())
    }

    /// Forgets who has nothing to do when there are too many.
    fn make_room(&mut self) {
        if self.queues.len() < KNOWN_MAX && self.sites.len() < KNOWN_MAX {
            return;
        }
        let now = Instant::now();
        let moment = self.moment(now);
        self.queues
            .retain(|_, queue| queue.workers > 0 || queue.rests_until.is_some_and(|until| until > now));
        self.sites.retain(|_, site| site.active > 0 || site.not_before(now, moment, 0).is_some());
        if self.sites.len() >= KNOWN_MAX {
            self.sites.retain(|_, site| site.active > 0);
        }
    }
}

fn take(meter: &mut Meter, rate: Option<Rate>, now: Moment) -> bool {
    rate.is_none_or(|rate| meter.take(rate, 1, now).is_ok())
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().expect("no holder of this lock panics")
}

/// What an unknown site gets at first.
const FIRST_LIMIT: usize = 2;
/// The most destinations that are remembered: some megabytes.
const KNOWN_MAX: usize = 20_000;
/// How long a site is left alone after nobody could be spoken with there once; twice as long each time.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a site counts as well after it took mail.
const WELL_FOR: Duration = Duration::from_secs(600);
/// How long it is believed that a site ends connections after so many messages.
const ENOUGH_FOR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
