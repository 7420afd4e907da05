//! The free deliveries for one destination, and whose turn it is among their senders.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use store::{DeliveryId, QueueName, Timestamp};

/// The deliveries for one destination.
#[derive(Debug)]
pub(super) struct Lane {
    /// Shared with the other places that name it, so that a million deliveries have one text for each destination.
    pub(super) name: QueueName,
    /// How many there are, free or not.
    pub(super) count: usize,
    /// Those that are free, by sender.
    free: BTreeSet<Place>,
    /// The first of each sender.
    heads: BTreeSet<(Timestamp, DeliveryId)>,
}

/// Where a free delivery stands in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) sender: u32,
    pub(super) due: Timestamp,
    pub(super) id: DeliveryId,
}

impl Lane {
    pub(super) fn new(name: QueueName) -> Lane {
        Lane { name, count: 0, free: BTreeSet::new(), heads: BTreeSet::new() }
    }

    /// Takes all that is free at once; there was nothing before.
    pub(super) fn fill(&mut self, mut places: Vec<Place>) {
        places.sort_unstable();
        let is_head = |at: usize| at == 0 || places[at - 1].sender != places[at].sender;
        let heads = (0..places.len()).filter(|&at| is_head(at));
        self.heads = heads.map(|at| (places[at].due, places[at].id)).collect();
        self.free = places.into_iter().collect();
    }

    /// When the first that is free is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.heads.first().map(|(due, _)| *due)
    }

    pub(super) fn insert(&mut self, place: Place) {
        let head = self.head(place.sender);
        self.free.insert(place);
        if head.is_none_or(|head| place < head) {
            if let Some(head) = head {
                self.heads.remove(&(head.due, head.id));
            }
            self.heads.insert((place.due, place.id));
        }
    }

    pub(super) fn remove(&mut self, place: Place) {
        if !self.free.remove(&place) {
            return;
        }
        if self.heads.remove(&(place.due, place.id))
            && let Some(head) = self.head(place.sender)
        {
            self.heads.insert((head.due, head.id));
        }
    }

    /// The next `limit` that are due, in rounds: the first of each sender, then the second of each, and so on; in a round by due time.
    pub(super) fn turns(
        &self,
        now: Timestamp,
        limit: usize,
        sender: impl Fn(DeliveryId) -> u32,
    ) -> Vec<Place> {
        let mut taken = Vec::new();
        let heads = self.heads.iter().take_while(|(due, _)| *due <= now).take(limit);
        let mut next: BinaryHeap<Reverse<(usize, Timestamp, DeliveryId, u32)>> =
            heads.map(|&(due, id)| Reverse((0, due, id, sender(id)))).collect();
        while taken.len() < limit {
            let Some(Reverse((round, due, id, sender))) = next.pop() else { break };
            let place = Place { sender, due, id };
            taken.push(place);
            let after = (std::ops::Bound::Excluded(place), std::ops::Bound::Unbounded);
            let following = self.free.range(after).next();
            if let Some(following) = following.filter(|one| one.sender == sender && one.due <= now) {
                next.push(Reverse((round + 1, following.due, following.id, sender)));
            }
        }
        taken
    }

    fn head(&self, sender: u32) -> Option<Place> {
        let first = Place { sender, due: Timestamp(i64::MIN), id: DeliveryId::FIRST };
        self.free.range(first..).next().copied().filter(|place| place.sender == sender)
    }
}
