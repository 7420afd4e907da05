//! The queue in memory: deliveries by due time, and who holds them.
//!
//! It holds names and times only; the rest of a delivery is read when somebody asks. Leases are nowhere else: after a restart every
//! delivery is free, so one that was under way is tried again, as SMTP allows.

use crate::body::Settlement;
use crate::effect::Effect;
use std::collections::{BTreeMap, BTreeSet};
use store::{DeliveryId, SpoolId, Timestamp};

/// Every queued delivery.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    deliveries: BTreeMap<DeliveryId, Queued>,
    /// All of them, by due time.
    due: BTreeSet<(Timestamp, DeliveryId)>,
    /// Those that nobody holds, by due time.
    free: BTreeSet<(Timestamp, DeliveryId)>,
    /// Those that are held, by the end of the lease.
    held: BTreeSet<(Timestamp, DeliveryId)>,
}

#[derive(Debug, Clone, Copy)]
struct Queued {
    due: Timestamp,
    attempts: u32,
    lease: Option<Timestamp>,
}

impl Queue {
    /// Adds a delivery, free to be claimed.
    pub(crate) fn add(&mut self, id: DeliveryId, due: Timestamp, attempts: u32) {
        self.remove(id);
        self.deliveries.insert(id, Queued { due, attempts, lease: None });
        self.due.insert((due, id));
        self.free.insert((due, id));
    }

    /// How many deliveries there are.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Applies what the log says.
    pub(crate) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Accepted(arrival) => {
                for &(recipient, due) in &arrival.queued {
                    self.add(DeliveryId { spool: SpoolId(arrival.spool), recipient }, due, 0);
                }
            }
            &Effect::Settled(Settlement::Done { spool, recipient }) => {
                self.remove(DeliveryId { spool: SpoolId(spool), recipient });
            }
            &Effect::Settled(Settlement::Deferred { spool, recipient, due, attempts, .. }) => {
                let id = DeliveryId { spool: SpoolId(spool), recipient };
                if self.deliveries.contains_key(&id) {
                    self.add(id, due, attempts);
                }
            }
            Effect::Opening(_)
            | Effect::Mailbox(_)
            | Effect::Account(_)
            | Effect::Directory(_)
            | Effect::Remains(_) => {}
        }
    }

    /// Takes up to `limit` deliveries that are due and free, and holds them until `lease`.
    pub(crate) fn claim(&mut self, now: Timestamp, limit: usize, lease: Timestamp) -> Vec<DeliveryId> {
        while let Some(&(end, id)) = self.held.first().filter(|(end, _)| *end <= now) {
            self.held.remove(&(end, id));
            let queued = self.deliveries.get_mut(&id).expect("what is held is queued");
            queued.lease = None;
            self.free.insert((queued.due, id));
        }
        let mut claimed = Vec::new();
        while claimed.len() < limit {
            let Some(&(due, id)) = self.free.first().filter(|(due, _)| *due <= now) else { break };
            self.free.remove(&(due, id));
            self.held.insert((lease, id));
            self.deliveries.get_mut(&id).expect("what is free is queued").lease = Some(lease);
            claimed.push(id);
        }
        claimed
    }

    /// The earliest moment at which a claim could take something.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let first = |set: &BTreeSet<(Timestamp, DeliveryId)>| set.first().map(|(moment, _)| *moment);
        [first(&self.free), first(&self.held)].into_iter().flatten().min()
    }

    /// How often a delivery was tried; `None` when it is not queued.
    pub(crate) fn attempts(&self, id: DeliveryId) -> Option<u32> {
        self.deliveries.get(&id).map(|queued| queued.attempts)
    }

    /// Whether any part of a message is queued.
    pub(crate) fn has(&self, spool: SpoolId) -> bool {
        let first = DeliveryId { spool, recipient: 0 };
        self.deliveries.range(first..).next().is_some_and(|(id, _)| id.spool == spool)
    }

    /// The first deliveries by due time, held or not.
    pub(crate) fn first(&self, limit: usize) -> Vec<DeliveryId> {
        self.due.iter().take(limit).map(|(_, id)| *id).collect()
    }

    fn remove(&mut self, id: DeliveryId) {
        let Some(queued) = self.deliveries.remove(&id) else { return };
        self.due.remove(&(queued.due, id));
        match queued.lease {
            Some(lease) => self.held.remove(&(lease, id)),
            None => self.free.remove(&(queued.due, id)),
        };
    }
}
