//! How many connections a destination gets: few at first, more while all goes well, half when the site complains.
//!
//! Destinations whose mail goes to the same hosts are one site and share its bound. Which site a destination belongs to is known once
//! its hosts were looked up; until then it gets a single worker, which does that. All of it is in memory, and bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use store::QueueName;

/// What is known of sites.
#[derive(Debug)]
pub(super) struct Sites {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    most: usize,
    queues: HashMap<QueueName, Queue>,
    sites: HashMap<Arc<str>, Site>,
}

/// A destination that has workers, or had some.
#[derive(Debug, Default)]
struct Queue {
    site: Option<Arc<str>>,
    workers: usize,
    /// A worker has not claimed anything yet, so another would find the same deliveries waiting.
    starting: bool,
    /// All of its hosts were paused when the pauses had this version.
    paused: Option<u64>,
}

#[derive(Debug)]
struct Site {
    /// How many connections it is thought to bear.
    limit: usize,
    /// How many connections there are.
    active: usize,
    /// Connections that went well since the limit changed.
    went_well: usize,
}

/// A worker's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    inner: Arc<Mutex<Inner>>,
    queue: QueueName,
    site: Option<Arc<str>>,
}

/// How a connection went, for the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Mail was taken.
    Well,
    /// The host could not be reached, or said that it is too much.
    Badly,
}

impl Sites {
    pub(super) fn new(most: usize) -> Sites {
        Sites { inner: Arc::new(Mutex::new(Inner { most: most.max(1), ..Inner::default() })) }
    }

    /// A place for one more worker for this destination, if there is room, and its hosts were not all paused by this version of the pauses.
    pub(super) fn begin(&self, queue: &QueueName, pauses: u64) -> Option<Slot> {
        let mut inner = lock(&self.inner);
        inner.make_room();
        let known = inner.queues.get(queue);
        if known.is_some_and(|known| known.starting || known.paused == Some(pauses)) {
            return None;
        }
        let site = known.and_then(|known| known.site.as_ref()).and_then(|site| inner.sites.get(site));
        if site.is_some_and(|site| site.active >= site.limit) {
            return None;
        }
        let entry = inner.queues.entry(queue.clone()).or_default();
        entry.workers += 1;
        entry.starting = true;
        Some(Slot { inner: Arc::clone(&self.inner), queue: queue.clone(), site: None })
    }
}

impl Slot {
    /// Enters the site that the destination turned out to belong to; `false` when there is no room there, and then the worker should end.
    pub(super) fn enter(&mut self, site: Arc<str>) -> bool {
        let mut inner = lock(&self.inner);
        if let Some(queue) = inner.queues.get_mut(&self.queue) {
            queue.site = Some(Arc::clone(&site));
        }
        let entry = inner.sites.entry(Arc::clone(&site)).or_insert(Site {
            limit: FIRST_LIMIT,
            active: 0,
            went_well: 0,
        });
        if entry.active >= entry.limit {
            return false;
        }
        entry.active += 1;
        self.site = Some(site);
        true
    }

    /// All hosts are paused: no worker is needed until the pauses have another version.
    pub(super) fn pause(&self, pauses: u64) {
        if let Some(queue) = lock(&self.inner).queues.get_mut(&self.queue) {
            queue.paused = Some(pauses);
        }
    }

    /// The worker has claimed what it could: whatever is waiting now is for another.
    pub(super) fn claimed(&self) {
        if let Some(queue) = lock(&self.inner).queues.get_mut(&self.queue) {
            queue.starting = false;
        }
    }

    /// Takes note of how a connection went.
    pub(super) fn went(&self, mood: Mood) {
        let Some(name) = &self.site else { return };
        let mut inner = lock(&self.inner);
        let most = inner.most;
        let Some(site) = inner.sites.get_mut(name) else { return };
        match mood {
            // Additive increase: one more for each round in which every connection went well.
            Mood::Well => {
                site.went_well += 1;
                if site.went_well >= site.limit {
                    site.limit = (site.limit + 1).min(most);
                    site.went_well = 0;
                }
            }
            Mood::Badly => {
                site.limit = (site.limit / 2).max(1);
                site.went_well = 0;
            }
        }
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

impl Inner {
    /// Forgets who has nothing to do when there are too many.
    fn make_room(&mut self) {
        if self.queues.len() >= KNOWN_MAX || self.sites.len() >= KNOWN_MAX {
            self.queues.retain(|_, queue| queue.workers > 0);
            self.sites.retain(|_, site| site.active > 0);
        }
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().expect("no holder of this lock panics")
}

/// What an unknown site gets at first.
const FIRST_LIMIT: usize = 2;
/// The most destinations that are remembered: some megabytes.
const KNOWN_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> QueueName {
        text.parse().expect("a domain")
    }

    fn worker(sites: &Sites, queue: &str, site: &str) -> Option<Slot> {
        let mut slot = sites.begin(&name(queue), 0)?;
        let entered = slot.enter(site.into());
        slot.claimed();
        entered.then_some(slot)
    }

    #[test]
    fn one_worker_looks_before_others_follow() {
        let sites = Sites::new(10);
        let first = sites.begin(&name("a.example"), 0).expect("room");
        assert!(sites.begin(&name("a.example"), 0).is_none(), "it has claimed nothing yet");
        assert!(sites.begin(&name("b.example"), 0).is_some());
        first.claimed();
        assert!(sites.begin(&name("a.example"), 0).is_some());
    }

    #[test]
    fn destinations_share_the_limit_of_their_site() {
        let sites = Sites::new(10);
        let first = worker(&sites, "a.example", "mx");
        let second = worker(&sites, "b.example", "mx");
        assert!(first.is_some() && second.is_some());
        assert!(worker(&sites, "c.example", "mx").is_none());
        assert!(sites.begin(&name("c.example"), 0).is_none(), "known by now");
        assert!(worker(&sites, "d.example", "other").is_some());
        drop(first);
        assert!(worker(&sites, "c.example", "mx").is_some());
    }

    #[test]
    fn limits_grow_slowly_and_shrink_fast() {
        let sites = Sites::new(4);
        let slot = worker(&sites, "a.example", "mx").expect("room");
        let limit = || lock(&sites.inner).sites["mx"].limit;
        assert_eq!(limit(), FIRST_LIMIT);
        let mut limits = Vec::new();
        for _ in 0..12 {
            slot.went(Mood::Well);
            limits.push(limit());
        }
        assert_eq!(limits, [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]);
        slot.went(Mood::Badly);
        assert_eq!(limit(), 2);
        slot.went(Mood::Badly);
        slot.went(Mood::Badly);
        assert_eq!(limit(), 1);
    }

    #[test]
    fn a_paused_destination_waits_for_another_version_of_the_pauses() {
        let sites = Sites::new(4);
        let slot = sites.begin(&name("a.example"), 3).expect("room");
        slot.pause(3);
        drop(slot);
        assert!(sites.begin(&name("a.example"), 3).is_none());
        assert!(sites.begin(&name("a.example"), 4).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let sites = Sites::new(4);
        let kept = worker(&sites, "kept.example", "kept").expect("room");
        for number in 0..KNOWN_MAX + 10 {
            drop(worker(&sites, &format!("d{number}.example"), &format!("mx{number}")));
        }
        assert!(lock(&sites.inner).queues.len() <= KNOWN_MAX);
        drop(kept);
        assert_eq!(lock(&sites.inner).sites["kept"].active, 0);
    }
}
