//! Deliveries that a worker has claimed. A worker that panics puts them off instead of keeping them until its lease ends.

use super::Outbound;
use std::collections::HashSet;
use std::sync::Arc;
use store::{Adjustment, DeliveryId};

/// The deliveries that a task has to settle.
pub(super) struct InHand {
    outbound: Arc<Outbound>,
    ids: HashSet<DeliveryId>,
}

impl InHand {
    /// None yet.
    pub(super) fn new(outbound: Arc<Outbound>) -> InHand {
        InHand { outbound, ids: HashSet::new() }
    }

    pub(super) fn add(&mut self, ids: impl IntoIterator<Item = DeliveryId>) {
        self.ids.extend(ids);
    }

    /// Hands some over to another task.
    pub(super) fn split(&mut self, ids: impl IntoIterator<Item = DeliveryId>) -> InHand {
        let ids: HashSet<DeliveryId> = ids.into_iter().collect();
        self.ids.retain(|id| !ids.contains(id));
        InHand { outbound: Arc::clone(&self.outbound), ids }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if !std::thread::panicking() || self.ids.is_empty() {
            return;
        }
        let (outbound, ids) = (Arc::clone(&self.outbound), self.ids.drain().collect::<Vec<_>>());
        // Without a runtime the process ends, and with it every lease.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(async move { put_off(&outbound, &ids).await }));
        }
    }
}

/// Lets others have these deliveries, but not at once: whatever made the worker panic may do so again.
async fn put_off(outbound: &Outbound, ids: &[DeliveryId]) {
    let due = outbound.schedule.soon((outbound.clock)());
    let put_off = match outbound.store.adjust(ids, Adjustment::Due(due)).await {
        Ok(_) => outbound.store.let_go(ids).await,
        Err(error) => Err(error),
    };
    match put_off {
        Ok(()) => {
            tracing::warn!(deliveries = ids.len(), "put off what a worker had that ended by a fault of ours");
        }
        Err(error) => tracing::error!(%error, "what a worker had waits for the end of its lease"),
    }
}
