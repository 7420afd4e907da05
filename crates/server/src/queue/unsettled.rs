//! Outcomes of deliveries that the store would not take. They are offered to it again until it does: what was sent is not sent again for want of a
//! record, nor does the rest wait for the end of its lease.
//!
//! [`super::fate`] leaves them here, and the queue's own loop offers them. In memory, and bounded; what does not fit is told in the log, and tried again
//! when its lease ends.

use super::Shared;
use super::mail::LEASE;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use store::{DeliveryId, Error, Outcome, Timestamp};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The outcomes that are still to be stored.
#[derive(Default)]
pub(super) struct Unsettled {
    /// Those that are offered first come first.
    list: Mutex<VecDeque<Late>>,
}

/// An outcome that could not be stored.
struct Late {
    id: DeliveryId,
    outcome: Outcome,
    /// When it is offered again.
    at: Instant,
    /// When somebody else may have the delivery, so that this outcome no longer is the latest.
    until: Timestamp,
}

impl Unsettled {
    /// Waits until there is something to offer again; for ever, as far as is known now.
    pub(super) async fn due(&self) {
        let first = self.list().front().map(|late| late.at);
        match first {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<Late>> {
        self.list.lock().expect("no holder of this lock panics")
    }
}

/// Stores an outcome, or keeps it for later.
pub(super) async fn settle(shared: Arc<Shared>, id: DeliveryId, outcome: Outcome) {
    let until = Timestamp((shared.outbound.clock)().0.saturating_add(LEASE));
    offer(&shared, id, outcome, until).await;
}

/// Offers the store again what is due by then, together, so that it shares a sync.
pub(super) async fn settle_due(shared: &Arc<Shared>, by: Instant) {
    let now = (shared.outbound.clock)();
    let due: Vec<Late> = {
        let mut list = shared.unsettled.list();
        let count = list.iter().take_while(|late| late.at <= by).count();
        list.drain(..count).filter(|late| late.until > now).collect()
    };
    let mut offering = JoinSet::new();
    for Late { id, outcome, until, .. } in due {
        let shared = Arc::clone(shared);
        offering.spawn(async move { offer(&shared, id, outcome, until).await });
    }
    while let Some(ended) = offering.join_next().await {
        super::report(ended);
    }
}

async fn offer(shared: &Shared, id: DeliveryId, outcome: Outcome, until: Timestamp) {
    let error = match shared.outbound.store.settle(id, outcome.clone()).await {
        // It was removed meanwhile.
        Ok(()) | Err(Error::NoSuchMessage(_)) => return,
        Err(error) => error,
    };
    let wait = shared.outbound.schedule.first_retry;
    let mut list = shared.unsettled.list();
    // A store that is closed does not come back in this life.
    if matches!(error, Error::Closed) || list.len() >= UNSETTLED_MAX {
        tracing::error!(id = %id.spool, recipient = id.recipient, %error, "a delivery cannot be settled; it may be made again");
    } else {
        tracing::error!(id = %id.spool, recipient = id.recipient, %error, "a delivery cannot be settled; the store is asked again in {} s", wait.as_secs());
        list.push_back(Late { id, outcome, at: Instant::now() + wait, until });
    }
}

/// So many outcomes are kept, some megabytes: nothing is begun while the store says that it can settle nothing, so there are few.
const UNSETTLED_MAX: usize = 10_000;
