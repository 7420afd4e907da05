//! The queue in memory: deliveries by destination and due time, and who holds them.
//!
//! It holds names and times only; the rest of a delivery is read when somebody asks. A destination with many deliveries costs the
//! others nothing: each has a lane of its own, and of a lane only the first delivery is seen from outside. Within a lane the senders take
//! turns. Leases are nowhere else: after a restart every delivery is free, so one that was under way is tried again, as SMTP allows.

use crate::body::{QueueChange, Settlement};
use crate::effect::{Effect, NewQueued};
use lane::{Lane, Place};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use store::{Backlog, DeliveryId, PauseScope, QueueName, SpoolId, Timestamp, Waiting};

mod lane;

/// Every queued delivery.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    deliveries: BTreeMap<DeliveryId, Queued>,
    /// The lanes by number; a number is used again when its lane is gone.
    lanes: Vec<Option<Lane>>,
    numbers: HashMap<QueueName, u32>,
    unused: Vec<u32>,
    /// The lanes that have deliveries which nobody holds and that are not paused, by the due time of their first.
    ready: BTreeSet<(Timestamp, QueueName)>,
    /// Deliveries that somebody has claimed, by the end of the lease.
    leased: BTreeSet<(Timestamp, DeliveryId)>,
    paused: BTreeSet<QueueName>,
    /// Deliveries whose records could not be read.
    unreadable: BTreeSet<DeliveryId>,
}

/// A delivery as it is loaded.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) id: DeliveryId,
    pub(crate) queue: QueueName,
    pub(crate) sender: u32,
    pub(crate) due: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) held: bool,
}

/// Kept small: there may be a million.
#[derive(Debug, Clone, Copy)]
struct Queued {
    due: Timestamp,
    /// Where it is in its lane; only what is free is there.
    state: State,
    lane: u32,
    sender: u32,
    attempts: u32,
    /// Whether an operator has put it on hold.
    held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody has it.
    Free,
    /// Somebody has it until then.
    Leased(Timestamp),
}

impl Queue {
    /// The queue with these deliveries, all free, in the order of their ids.
    pub(crate) fn load(deliveries: impl IntoIterator<Item = Loaded>) -> Queue {
        let mut queue = Queue::default();
        let mut places: Vec<Vec<Place>> = Vec::new();
        let mut all = Vec::new();
        for Loaded { id, queue: name, sender, due, attempts, held } in deliveries {
            let lane = queue.lane(&name);
            let (state, free) = (State::Free, !held);
            all.push((id, Queued { due, state, lane, sender, attempts, held }));
            queue.lane_mut(lane).count += 1;
            places.resize_with(queue.lanes.len(), Vec::new);
            if free {
                places[lane as usize].push(Place { sender, due, id });
            }
        }
        // In one go from a sorted list: a tree that grows by appending has nodes that are half empty.
        queue.deliveries = all.into_iter().collect();
        for (number, places) in places.into_iter().enumerate() {
            queue.lane_mut(number as u32).fill(places);
            queue.show(number as u32, None);
        }
        queue
    }

    /// How many deliveries there are.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Applies what the log says.
    pub(crate) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Accepted(arrival) => {
                for NewQueued { recipient, queue, sender, due } in &arrival.queued {
                    let id = DeliveryId { spool: SpoolId(arrival.spool), recipient: *recipient };
                    self.add(id, queue, *sender, *due);
                }
            }
            &Effect::Settled(Settlement::Done { spool, recipient }) => {
                self.remove(DeliveryId { spool: SpoolId(spool), recipient });
            }
            &Effect::Settled(Settlement::Deferred { spool, recipient, due, attempts, .. }) => {
                let id = DeliveryId { spool: SpoolId(spool), recipient };
                self.change(id, |queued| {
                    (queued.due, queued.attempts, queued.state) = (due, attempts, State::Free);
                });
            }
            Effect::Queue(change, _) => self.order(change),
            Effect::Opening(_)
            | Effect::Mailbox(_)
            | Effect::Layout(_)
            | Effect::Account(_)
            | Effect::Directory(_)
            | Effect::Remains(_) => {}
        }
    }

    /// Pauses a destination.
    pub(crate) fn pause(&mut self, scope: &PauseScope) {
        self.set_paused(scope, true);
    }

    /// The destinations with deliveries that are due and free.
    pub(crate) fn waiting(&mut self, now: Timestamp, after: Option<&Waiting>, limit: usize) -> Vec<Waiting> {
        self.end_leases(now);
        let after = after.map(|after| (after.due, after.queue.clone()));
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ready = self.ready.range((from, Bound::Unbounded)).take_while(|(due, _)| *due <= now);
        ready.take(limit).map(|(due, queue)| Waiting { queue: queue.clone(), due: *due }).collect()
    }

    /// The same from the other end.
    pub(crate) fn latest(&mut self, now: Timestamp, limit: usize) -> Vec<Waiting> {
        self.end_leases(now);
        let Some((_, any)) = self.ready.first().cloned() else { return Vec::new() };
        let end = (Timestamp(now.0.saturating_add(1)), any);
        let ready = self.ready.range(..end).rev().skip_while(|(due, _)| *due > now);
        ready.take(limit).map(|(due, queue)| Waiting { queue: queue.clone(), due: *due }).collect()
    }

    /// Takes up to `limit` deliveries for a destination that are due and free, sender by sender, and leases them until `lease`.
    pub(crate) fn claim(
        &mut self,
        queue: &QueueName,
        now: Timestamp,
        limit: usize,
        lease: Timestamp,
    ) -> Vec<DeliveryId> {
        self.end_leases(now);
        let Some(&number) = self.numbers.get(queue).filter(|_| !self.paused.contains(queue)) else {
            return Vec::new();
        };
        let before = self.lane_mut(number).first();
        let senders = &self.deliveries;
        let lane = self.lanes[number as usize].as_mut().expect("a named lane is there");
        let claimed = lane.turns(now, limit, |id| senders[&id].sender);
        for place in &claimed {
            lane.remove(*place);
        }
        self.show(number, before);
        for Place { id, .. } in &claimed {
            self.leased.insert((lease, *id));
            self.deliveries.get_mut(id).expect("what is free is queued").state = State::Leased(lease);
        }
        claimed.into_iter().map(|place| place.id).collect()
    }

    /// Frees what was claimed.
    pub(crate) fn let_go(&mut self, ids: &[DeliveryId]) {
        for id in ids {
            self.change(*id, |queued| queued.state = State::Free);
        }
    }

    /// Takes note of a delivery that cannot be read; whether that is news.
    pub(crate) fn is_unreadable(&mut self, id: DeliveryId) -> bool {
        self.deliveries.contains_key(&id) && self.unreadable.insert(id)
    }

    /// Takes note of a delivery that was read.
    pub(crate) fn is_readable(&mut self, id: DeliveryId) {
        self.unreadable.remove(&id);
    }

    /// The deliveries that could not be read when that was last tried.
    pub(crate) fn unreadable(&self) -> &BTreeSet<DeliveryId> {
        &self.unreadable
    }

    /// The earliest moment at which a claim could take something.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let ready = self.ready.first().map(|(due, _)| *due);
        let can_end = |id: &DeliveryId| {
            let queued = &self.deliveries[id];
            let lane = self.lanes[queued.lane as usize].as_ref().expect("what is queued has a lane");
            !queued.held && !self.paused.contains(&lane.name)
        };
        let leased = self.leased.iter().find(|(_, id)| can_end(id)).map(|(end, _)| *end);
        [ready, leased].into_iter().flatten().min()
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

    /// The deliveries after this one, by id, leased or not.
    pub(crate) fn after(&self, after: Option<DeliveryId>, limit: usize) -> Vec<DeliveryId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.deliveries.range((from, Bound::Unbounded)).take(limit).map(|(id, _)| *id).collect()
    }

    /// What is queued for each destination; goes through all of it.
    pub(crate) fn backlogs(&self, limit: usize) -> Vec<Backlog> {
        let mut all: Vec<Option<Backlog>> = vec![None; self.lanes.len()];
        for (id, queued) in &self.deliveries {
            let backlog = all[queued.lane as usize].get_or_insert_with(|| Backlog {
                queue: self.lanes[queued.lane as usize]
                    .as_ref()
                    .expect("what is queued has a lane")
                    .name
                    .clone(),
                deliveries: 0,
                held: 0,
                oldest: *id,
                next: None,
            });
            backlog.deliveries += 1;
            match queued.held {
                true => backlog.held += 1,
                false => backlog.next = Some(backlog.next.map_or(queued.due, |next| next.min(queued.due))),
            }
        }
        let mut backlogs: Vec<Backlog> = all.into_iter().flatten().collect();
        backlogs.sort_by(Backlog::order);
        backlogs.truncate(limit);
        backlogs
    }

    fn add(&mut self, id: DeliveryId, queue: &QueueName, sender: u32, due: Timestamp) {
        self.remove(id);
        let lane = self.lane(queue);
        self.lane_mut(lane).count += 1;
        let queued = Queued { due, state: State::Free, lane, sender, attempts: 0, held: false };
        self.deliveries.insert(id, queued);
        self.place(id, queued);
    }

    fn remove(&mut self, id: DeliveryId) {
        let Some(queued) = self.deliveries.remove(&id) else { return };
        self.unreadable.remove(&id);
        self.displace(id, queued);
        let lane = self.lane_mut(queued.lane);
        lane.count -= 1;
        if lane.count == 0 {
            let name = lane.name.clone();
            self.lanes[queued.lane as usize] = None;
            self.numbers.remove(&name);
            self.unused.push(queued.lane);
        }
    }

    /// An operator's order.
    fn order(&mut self, change: &QueueChange) {
        match change {
            QueueChange::Ended { fate, .. } => {
                self.remove(DeliveryId { spool: SpoolId(fate.spool), recipient: fate.number });
            }
            QueueChange::Paused(pause) => self.set_paused(&pause.scope, true),
            QueueChange::Resumed(scope) => self.set_paused(scope, false),
            QueueChange::Held { .. }
            | QueueChange::Released { .. }
            | QueueChange::Due { .. }
            | QueueChange::Rerouted { .. } => {}
        }
        let Some(id) = change.adjusted() else { return };
        match change {
            QueueChange::Held { .. } => self.change(id, |queued| queued.held = true),
            QueueChange::Released { .. } => self.change(id, |queued| queued.held = false),
            QueueChange::Due { due, .. } => self.change(id, |queued| queued.due = *due),
            QueueChange::Rerouted { queue, .. } => match queue.parse() {
                Ok(queue) => self.reroute(id, &queue),
                Err(_) => tracing::error!(queue, "a destination in the log is none; the delivery stays"),
            },
            QueueChange::Ended { .. } | QueueChange::Paused(_) | QueueChange::Resumed(_) => {}
        }
    }

    fn reroute(&mut self, id: DeliveryId, queue: &QueueName) {
        let Some(before) = self.deliveries.get(&id).copied() else { return };
        self.remove(id);
        self.add(id, queue, before.sender, before.due);
        self.change(id, |queued| {
            (queued.attempts, queued.held, queued.state) = (before.attempts, before.held, before.state);
        });
    }

    fn set_paused(&mut self, scope: &PauseScope, paused: bool) {
        let PauseScope::Destination(name) = scope else { return };
        let Ok(name) = name.parse::<QueueName>() else { return };
        let before = self.numbers.get(&name).copied().map(|number| (number, self.shown(number)));
        match paused {
            true => self.paused.insert(name),
            false => self.paused.remove(&name),
        };
        if let Some((number, shown)) = before {
            self.show_instead(number, shown);
        }
    }

    /// Lets a lease end at another moment.
    pub(crate) fn end_lease_at(&mut self, id: DeliveryId, end: Timestamp) {
        self.change(id, |queued| {
            if let State::Leased(lease) = &mut queued.state {
                *lease = end;
            }
        });
    }

    /// Changes a delivery, and its place with it.
    fn change(&mut self, id: DeliveryId, change: impl FnOnce(&mut Queued)) {
        let Some(before) = self.deliveries.get(&id).copied() else { return };
        self.displace(id, before);
        let queued = self.deliveries.get_mut(&id).expect("it was there a moment ago");
        change(queued);
        let after = *queued;
        self.place(id, after);
    }

    /// Puts a delivery where it is found: among the free ones of its lane, or those that are leased.
    fn place(&mut self, id: DeliveryId, queued: Queued) {
        match queued.state {
            State::Leased(end) => {
                self.leased.insert((end, id));
            }
            State::Free if queued.held => {}
            State::Free => {
                let before = self.lane_mut(queued.lane).first();
                let place = Place { sender: queued.sender, due: queued.due, id };
                self.lane_mut(queued.lane).insert(place);
                self.show(queued.lane, before);
            }
        }
    }

    /// Takes a delivery from where it is found.
    fn displace(&mut self, id: DeliveryId, queued: Queued) {
        match queued.state {
            State::Leased(end) => {
                self.leased.remove(&(end, id));
            }
            State::Free if queued.held => {}
            State::Free => {
                let before = self.lane_mut(queued.lane).first();
                let place = Place { sender: queued.sender, due: queued.due, id };
                self.lane_mut(queued.lane).remove(place);
                self.show(queued.lane, before);
            }
        }
    }

    /// Frees what is leased until `now` or less.
    fn end_leases(&mut self, now: Timestamp) {
        while let Some(&(_, id)) = self.leased.first().filter(|(end, _)| *end <= now) {
            self.change(id, |queued| queued.state = State::Free);
        }
    }

    /// The lane of a destination, made if need be.
    fn lane(&mut self, name: &QueueName) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.unused.pop().unwrap_or_else(|| {
            self.lanes.push(None);
            u32::try_from(self.lanes.len() - 1).expect("there are fewer lanes than deliveries")
        });
        self.lanes[number as usize] = Some(Lane::new(name.clone()));
        self.numbers.insert(name.clone(), number);
        number
    }

    fn lane_mut(&mut self, number: u32) -> &mut Lane {
        self.lanes[number as usize].as_mut().expect("what is queued has a lane")
    }

    /// Shows a lane by its first delivery, when that was another one before.
    fn show(&mut self, number: u32, before: Option<Timestamp>) {
        let lane = self.lanes[number as usize].as_ref().expect("what is queued has a lane");
        if self.paused.contains(&lane.name) {
            return;
        }
        self.show_instead(number, before);
    }

    /// By what a lane is shown.
    fn shown(&self, number: u32) -> Option<Timestamp> {
        let lane = self.lanes[number as usize].as_ref().expect("what is queued has a lane");
        lane.first().filter(|_| !self.paused.contains(&lane.name))
    }

    fn show_instead(&mut self, number: u32, before: Option<Timestamp>) {
        let after = self.shown(number);
        if before == after {
            return;
        }
        let name = self.lane_mut(number).name.clone();
        if let Some(due) = before {
            self.ready.remove(&(due, name.clone()));
        }
        if let Some(due) = after {
            self.ready.insert((due, name));
        }
    }
}

#[cfg(test)]
mod tests;
