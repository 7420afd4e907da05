//! The queue in memory: deliveries by destination and due time, and who holds them.
//!
//! It holds names and times only; the rest of a delivery is read when somebody asks. A destination with many deliveries costs the
//! others nothing: each has a lane of its own, and of a lane only the first delivery is seen from outside. Leases are nowhere else:
//! after a restart every delivery is free, so one that was under way is tried again, as SMTP allows.

use crate::body::Settlement;
use crate::effect::Effect;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use store::{DeliveryId, QueueName, SpoolId, Timestamp, Waiting};

/// Every queued delivery.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    deliveries: BTreeMap<DeliveryId, Queued>,
    lanes: BTreeMap<QueueName, Lane>,
    /// The lanes that have deliveries which nobody holds, by the due time of their first.
    ready: BTreeSet<(Timestamp, QueueName)>,
    /// Deliveries that are held, by the end of the lease.
    held: BTreeSet<(Timestamp, DeliveryId)>,
}

/// The deliveries for one destination.
#[derive(Debug, Default)]
struct Lane {
    /// Those that nobody holds, by due time.
    free: BTreeSet<(Timestamp, DeliveryId)>,
    /// How many there are, held or not.
    count: usize,
}

#[derive(Debug, Clone)]
struct Queued {
    /// Shared with the lane's key, so that a million deliveries have one text for each destination.
    queue: QueueName,
    due: Timestamp,
    attempts: u32,
    lease: Option<Timestamp>,
}

impl Queue {
    /// Adds a delivery, free to be claimed.
    pub(crate) fn add(&mut self, id: DeliveryId, queue: QueueName, due: Timestamp, attempts: u32) {
        self.remove(id);
        let queue = match self.lanes.get_key_value(&queue) {
            Some((shared, _)) => shared.clone(),
            None => queue,
        };
        self.lanes.entry(queue.clone()).or_default().count += 1;
        self.deliveries.insert(id, Queued { queue: queue.clone(), due, attempts, lease: None });
        self.change_lane(&queue, |free| free.insert((due, id)));
    }

    /// How many deliveries there are.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Applies what the log says.
    pub(crate) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Accepted(arrival) => {
                for queued in &arrival.queued {
                    let id = DeliveryId { spool: SpoolId(arrival.spool), recipient: queued.recipient };
                    self.add(id, queued.queue.clone(), queued.due, 0);
                }
            }
            &Effect::Settled(Settlement::Done { spool, recipient }) => {
                self.remove(DeliveryId { spool: SpoolId(spool), recipient });
            }
            &Effect::Settled(Settlement::Deferred { spool, recipient, due, attempts, .. }) => {
                let id = DeliveryId { spool: SpoolId(spool), recipient };
                if let Some(queued) = self.deliveries.get(&id) {
                    self.add(id, queued.queue.clone(), due, attempts);
                }
            }
            Effect::Opening(_)
            | Effect::Mailbox(_)
            | Effect::Account(_)
            | Effect::Directory(_)
            | Effect::Remains(_) => {}
        }
    }

    /// The destinations with deliveries that are due and free.
    pub(crate) fn waiting(&mut self, now: Timestamp, after: Option<&Waiting>, limit: usize) -> Vec<Waiting> {
        self.end_leases(now);
        let after = after.map(|after| (after.due, after.queue.clone()));
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ready = self.ready.range((from, Bound::Unbounded)).take_while(|(due, _)| *due <= now);
        ready.take(limit).map(|(due, queue)| Waiting { queue: queue.clone(), due: *due }).collect()
    }

    /// Takes up to `limit` deliveries for a destination that are due and free, and holds them until `lease`.
    pub(crate) fn claim(
        &mut self,
        queue: &QueueName,
        now: Timestamp,
        limit: usize,
        lease: Timestamp,
    ) -> Vec<DeliveryId> {
        self.end_leases(now);
        let Some(lane) = self.lanes.get(queue) else { return Vec::new() };
        let due = lane.free.iter().take_while(|(due, _)| *due <= now);
        let claimed: Vec<(Timestamp, DeliveryId)> = due.take(limit).copied().collect();
        self.change_lane(queue, |free| {
            for one in &claimed {
                free.remove(one);
            }
        });
        for (_, id) in &claimed {
            self.held.insert((lease, *id));
            self.deliveries.get_mut(id).expect("what is free is queued").lease = Some(lease);
        }
        claimed.into_iter().map(|(_, id)| id).collect()
    }

    /// The earliest moment at which a claim could take something.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let ready = self.ready.first().map(|(due, _)| *due);
        let held = self.held.first().map(|(end, _)| *end);
        [ready, held].into_iter().flatten().min()
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

    /// The deliveries after this one, by id, held or not.
    pub(crate) fn after(&self, after: Option<DeliveryId>, limit: usize) -> Vec<DeliveryId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.deliveries.range((from, Bound::Unbounded)).take(limit).map(|(id, _)| *id).collect()
    }

    fn remove(&mut self, id: DeliveryId) {
        let Some(Queued { queue, due, lease, .. }) = self.deliveries.remove(&id) else { return };
        match lease {
            Some(lease) => {
                self.held.remove(&(lease, id));
            }
            None => self.change_lane(&queue, |free| free.remove(&(due, id))),
        }
        let lane = self.lanes.get_mut(&queue).expect("what is queued has a lane");
        lane.count -= 1;
        if lane.count == 0 {
            self.lanes.remove(&queue);
        }
    }

    /// Frees what is held until `now` or less.
    fn end_leases(&mut self, now: Timestamp) {
        while let Some(&(end, id)) = self.held.first().filter(|(end, _)| *end <= now) {
            self.held.remove(&(end, id));
            let queued = self.deliveries.get_mut(&id).expect("what is held is queued");
            queued.lease = None;
            let (queue, due) = (queued.queue.clone(), queued.due);
            self.change_lane(&queue, |free| free.insert((due, id)));
        }
    }

    /// Changes what is free in a lane, and its place among the others with it.
    fn change_lane<T>(
        &mut self,
        queue: &QueueName,
        change: impl FnOnce(&mut BTreeSet<(Timestamp, DeliveryId)>) -> T,
    ) {
        let lane = self.lanes.get_mut(queue).expect("what is queued has a lane");
        let due = |lane: &Lane| lane.free.first().map(|(due, _)| *due);
        let before = due(lane);
        change(&mut lane.free);
        let after = due(lane);
        if before == after {
            return;
        }
        if let Some(due) = before {
            self.ready.remove(&(due, queue.clone()));
        }
        if let Some(due) = after {
            self.ready.insert((due, queue.clone()));
        }
    }
}
