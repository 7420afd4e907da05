//! Whose turn it is: gives workers to destinations that have something due.
//!
//! When there are more destinations than workers, every other worker goes to the mail that became due last, so that new mail has its first
//! attempt at once whatever has piled up; the others go round the destinations, the one due first first, and come back to one when all others had
//! their turn. After a start the number of workers grows over some seconds, so that what became due meanwhile does not go out
//! in one burst.

use super::sites::{Begin, Slot};
use super::{Outbound, Shared, worker};
use std::sync::Arc;
use std::time::Duration;
use store::{Error, QueueName, Timestamp, Waiting};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Gives out the turns.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    began: Instant,
    /// Who was looked at last on the way round; `None` at its beginning.
    after: Option<Waiting>,
    /// Whether a worker was begun since then.
    found: Seen,
    next: Next,
    /// How the store was when it was last asked.
    settling: Settling,
    /// When something that is due may be begun that could not be.
    later: Option<Instant>,
}

/// Who gets the next worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Who is next on the way round.
    Round,
    /// Who became due last.
    Latest,
}

/// Whether there may be more to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// No: nobody else has both mail and room.
    All,
    Some,
}

/// Whether the store can keep what becomes of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settling {
    Works,
    /// No: nothing is begun.
    Fails,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>) -> Dispatcher {
        Dispatcher {
            shared,
            began: Instant::now(),
            after: None,
            found: Seen::All,
            next: Next::Latest,
            settling: Settling::Works,
            later: None,
        }
    }

    /// Starts a worker wherever there is work and room for one. Says how long there is nothing to do, as far as the store knows.
    pub(super) async fn dispatch(&mut self, workers: &mut JoinSet<()>) -> Duration {
        let shared = Arc::clone(&self.shared);
        let Outbound { store, clock, bounds, .. } = &*shared.outbound;
        let now = clock();
        self.later = None;
        if self.ask(shared.can_settle()) == Settling::Fails {
            return AFTER_TROUBLE;
        }
        let elapsed = self.began.elapsed();
        let most = ramp(elapsed, bounds.connections);
        let seen = match self.give(workers, most, now).await {
            Ok(seen) => seen,
            Err(Error::Closed) => return LONGEST_SLEEP,
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read; trying again shortly");
                return AFTER_TROUBLE;
            }
        };
        let due = match store.next_due().await {
            _ if workers.len() < most && seen == Seen::Some => BREATH,
            _ if workers.len() >= most && most < bounds.connections => RAMP_STEP,
            // What is due by now and not taken waits for a worker to end, or is claimed by one that has begun.
            Ok(Some(due)) if due > now => Duration::from_millis(due.0.abs_diff(now.0)).min(LONGEST_SLEEP),
            Ok(_) => LONGEST_SLEEP,
            Err(_) => AFTER_TROUBLE,
        };
        self.later.map_or(due, |later| due.min(later.saturating_duration_since(Instant::now())))
    }

    /// Takes note of whether deliveries can be settled, and says so when that is news.
    fn ask(&mut self, answer: store::Result<()>) -> Settling {
        let now = if answer.is_ok() { Settling::Works } else { Settling::Fails };
        match (std::mem::replace(&mut self.settling, now), answer) {
            (Settling::Works, Err(error)) => {
                tracing::error!(%error, "deliveries have stopped: what is sent now could not be settled and would be sent again");
            }
            (Settling::Fails, Ok(())) => tracing::info!("deliveries go on"),
            (Settling::Works, Ok(())) | (Settling::Fails, Err(_)) => {}
        }
        now
    }

    /// Gives out what places there are.
    async fn give(&mut self, workers: &mut JoinSet<()>, most: usize, now: Timestamp) -> store::Result<Seen> {
        if workers.len() >= most {
            return Ok(Seen::Some);
        }
        let store = &Arc::clone(&self.shared).outbound.store;
        let mut latest = store.latest(now, LATEST_MAX).await?.into_iter();
        let mut page = Vec::new().into_iter();
        let from_start = self.after.is_none();
        let mut looked_at = 0;
        while workers.len() < most {
            if self.next == Next::Latest
                && let Some(waiting) = latest.next()
            {
                if self.begin(workers, waiting.queue) {
                    self.next = Next::Round;
                }
                continue;
            }
            let Some(waiting) = page.next() else {
                if looked_at >= LOOKED_AT_MAX {
                    return Ok(Seen::Some);
                }
                let more = store.waiting(now, self.after.as_ref(), PAGE).await?;
                looked_at += PAGE;
                if more.is_empty() {
                    self.after = None;
                    let found = std::mem::replace(&mut self.found, Seen::All);
                    return Ok(if from_start { Seen::All } else { found });
                }
                page = more.into_iter();
                continue;
            };
            self.after = Some(waiting.clone());
            if self.begin(workers, waiting.queue) {
                (self.next, self.found) = (Next::Latest, Seen::Some);
            }
        }
        Ok(Seen::Some)
    }

    /// Starts a worker for a destination, if there is room for one; says whether.
    fn begin(&mut self, workers: &mut JoinSet<()>, queue: QueueName) -> bool {
        let outbound = &self.shared.outbound;
        match outbound.sites.begin(&queue, outbound.paused_hosts.version()) {
            Begin::Now(slot) => {
                self.start(workers, queue, slot);
                true
            }
            Begin::Later(until) => {
                self.later = Some(self.later.map_or(until, |later| later.min(until)));
                false
            }
            Begin::No => false,
        }
    }

    fn start(&self, workers: &mut JoinSet<()>, queue: QueueName, slot: Slot) {
        let shared = Arc::clone(&self.shared);
        workers.spawn(async move { worker::work(shared, queue, slot).await });
    }
}

/// How many workers there may be this long after the start.
fn ramp(elapsed: Duration, most: usize) -> usize {
    let step = most.div_ceil(RAMP_STEPS).max(RAMP_FIRST);
    let steps = usize::try_from(elapsed.as_millis() / RAMP_STEP.as_millis()).unwrap_or(usize::MAX);
    step.saturating_mul(steps.saturating_add(1)).min(most)
}

/// Destinations are looked at so many at a time, ...
const PAGE: usize = 256;
/// ... and about so many before others are listened to: there may be very many whose site has no room.
const LOOKED_AT_MAX: usize = 512;
/// So many of those that became due last are considered.
const LATEST_MAX: usize = 64;
/// How long to listen to others before the way round goes on.
const BREATH: Duration = Duration::from_millis(2);
/// The clock may be set; so it is looked at from time to time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long to wait when the store cannot be asked, or does not give what it has.
pub(super) const AFTER_TROUBLE: Duration = Duration::from_secs(5);
/// All workers may be there after so many steps, ...
const RAMP_STEPS: usize = 10;
/// ... each of which is so long ...
const RAMP_STEP: Duration = Duration::from_secs(1);
/// ... and is worth so many at least.
const RAMP_FIRST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_become_more_over_some_seconds() {
        let after = |seconds, most| ramp(Duration::from_secs(seconds), most);
        assert_eq!(
            [0, 1, 5, 9, 10, 1000].map(|seconds| after(seconds, 1000)),
            [100, 200, 600, 1000, 1000, 1000]
        );
        assert_eq!([0, 1, 2, 60].map(|seconds| after(seconds, 50)), [20, 40, 50, 50]);
        assert_eq!(after(0, 3), 3);
        assert_eq!(ramp(Duration::MAX, usize::MAX), usize::MAX);
    }
}
