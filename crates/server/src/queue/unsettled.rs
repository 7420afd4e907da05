//! Outcomes of deliveries that the store would not take. They are offered to it again until it does: what was sent is not sent again for want of a
//! record, nor does the rest wait for the end of its lease.
//!
//! [`super::fate`] leaves them here, and the queue's own loop offers them. In memory, and bounded. What does not fit, and what outlives its lease, is told
//! in the log, and tried again when the lease has ended; so that this stays rare, nothing is begun while some are here for want of room on the disk
//! ([`Shared::can_settle`]). A store that is fenced or closed takes nothing in this life any more: nothing is kept for it.

use super::Shared;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use store::{Attempt, DeliveryId, Error, Outcome, Timestamp};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The outcomes that are still to be stored.
#[derive(Default)]
pub(super) struct Unsettled(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Those that are offered first come first.
    list: VecDeque<Late>,
    /// How much memory those in the list take.
    octets: usize,
    /// How many had no room on the disk when they were offered last; those that are being offered again count as well.
    without_room: usize,
}

/// An outcome that could not be stored.
struct Late {
    id: DeliveryId,
    outcome: Outcome,
    /// When the lease of the delivery ends: somebody else may have it then, so that this outcome no longer is the latest.
    until: Timestamp,
    /// When it is offered again.
    at: Instant,
    cause: Cause,
}

/// Why an outcome could not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The disk is full, for all that comes after it, too.
    NoRoom,
    /// That may be about this one.
    Other,
}

/// What becomes of an outcome that the store refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    IsKept,
    /// There is no next time.
    IsDropped,
}

impl Unsettled {
    /// Waits until there is something to offer again; for ever, as far as is known now.
    pub(super) async fn due(&self) {
        let first = self.kept().list.front().map(|late| late.at);
        match first {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Whether the store had room for all outcomes; if not, it has none for those of other deliveries.
    pub(super) fn has_room(&self) -> store::Result<()> {
        match self.kept().without_room {
            0 => Ok(()),
            count => Err(Error::Full(format!("what became of {count} deliveries cannot be stored"))),
        }
    }

    /// Takes out so many of those that are due by then.
    fn take(&self, by: Instant, most: usize) -> Vec<Late> {
        let mut kept = self.kept();
        let count = kept.list.iter().take(most).take_while(|late| late.at <= by).count();
        let due: Vec<Late> = kept.list.drain(..count).collect();
        kept.octets -= due.iter().map(Late::octets).sum::<usize>();
        due
    }

    /// Keeps one, if there is room.
    fn keep(&self, late: Late) -> Room {
        let mut kept = self.kept();
        if kept.octets + late.octets() > OCTETS_MAX {
            return Room::None;
        }
        kept.octets += late.octets();
        kept.without_room += late.without_room();
        kept.list.push_back(late);
        Room::Found
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Late {
    /// About how much memory it takes.
    fn octets(&self) -> usize {
        let attempt = match &self.outcome {
            Outcome::Done(end) => end.attempt.as_ref(),
            Outcome::Deferred { attempt, .. } => Some(attempt),
        };
        let text = |attempt: &Attempt| attempt.reply.len() + attempt.choice.as_ref().map_or(0, String::len);
        OCTETS_EACH + attempt.map_or(0, text)
    }

    fn without_room(&self) -> usize {
        usize::from(self.cause == Cause::NoRoom)
    }
}

/// Stores an outcome, or keeps it for later, though not beyond the end of the delivery's lease.
pub(super) async fn settle(shared: Arc<Shared>, id: DeliveryId, outcome: Outcome, lease: Timestamp) {
    offer(&shared, (id, lease), outcome, Refused::IsKept).await;
}

/// Offers the store again what is due, together, so that it shares a sync; no more at once than others can wait for. The rest is due still.
pub(super) async fn settle_due(shared: &Arc<Shared>) {
    let due = shared.unsettled.take(Instant::now(), OFFERED_AT_ONCE);
    offer_again(shared, due, Refused::IsKept).await;
}

/// Offers the store all that is left, for the last time.
pub(super) async fn settle_rest(shared: &Arc<Shared>) {
    let all = Instant::now() + shared.outbound.schedule.first_retry;
    loop {
        let some = shared.unsettled.take(all, OFFERED_AT_ONCE);
        if some.is_empty() {
            return;
        }
        offer_again(shared, some, Refused::IsDropped).await;
    }
}

async fn offer_again(shared: &Arc<Shared>, due: Vec<Late>, refused: Refused) {
    let now = (shared.outbound.clock)();
    let without_room: usize = due.iter().map(Late::without_room).sum();
    let mut offering = JoinSet::new();
    for Late { id, outcome, until, .. } in due {
        if until <= now {
            tracing::error!(id = %id.spool, recipient = id.recipient, "a delivery could not be settled before its lease ended; it is made again");
            continue;
        }
        let shared = Arc::clone(shared);
        offering.spawn(async move { offer(&shared, (id, until), outcome, refused).await });
    }
    while let Some(ended) = offering.join_next().await {
        super::report(ended);
    }
    // Those that still have none have been counted anew.
    shared.unsettled.kept().without_room -= without_room;
}

async fn offer(shared: &Shared, (id, until): (DeliveryId, Timestamp), outcome: Outcome, refused: Refused) {
    let error = match shared.outbound.store.settle(id, outcome.clone()).await {
        // It was removed meanwhile.
        Ok(()) | Err(Error::NoSuchMessage(_)) => return,
        Err(error) => error,
    };
    let wait = shared.outbound.schedule.first_retry;
    let cause = if matches!(error, Error::Full(_)) { Cause::NoRoom } else { Cause::Other };
    let late = Late { id, outcome, until, at: Instant::now() + wait, cause };
    // Neither a fence nor the end of a store is over in this life.
    let is_for_good = refused == Refused::IsDropped || matches!(error, Error::Closed | Error::Fenced(_));
    if !is_for_good && shared.unsettled.keep(late) == Room::Found {
        tracing::error!(id = %id.spool, recipient = id.recipient, %error, "a delivery cannot be settled; the store is asked again in {} s", wait.as_secs());
    } else {
        tracing::error!(id = %id.spool, recipient = id.recipient, %error, "a delivery cannot be settled; it may be made again");
    }
}

/// Whether there was room to keep an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Found,
    None,
}

/// The most that is kept: tens of thousands of outcomes as they usually are.
const OCTETS_MAX: usize = 16 << 20;
/// What one takes beside its texts, about.
const OCTETS_EACH: usize = 512;
/// So many are offered at once: a few syncs, for which the dispatcher waits.
const OFFERED_AT_ONCE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use store::SpoolId;

    fn late(reply: usize, cause: Cause) -> Late {
        let attempt = Attempt { reply: "x".repeat(reply), ..Attempt::default() };
        let id = DeliveryId { spool: SpoolId(1), recipient: 0 };
        let outcome = Outcome::Deferred { due: Timestamp(0), attempt };
        Late { id, outcome, until: Timestamp(1), at: Instant::now(), cause }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_octets_are_kept_and_come_out_in_slices() {
        let unsettled = Unsettled::default();
        let long = 1 << 20;
        let count = (0..100).take_while(|_| unsettled.keep(late(long, Cause::Other)) == Room::Found).count();
        assert!((10..=16).contains(&count), "{count} of a megabyte each");
        assert!(unsettled.take(Instant::now() - Duration::from_secs(1), 100).is_empty(), "none is due then");
        assert_eq!(unsettled.take(Instant::now(), 3).len(), 3);
        assert_eq!(
            [(); 4].map(|()| unsettled.keep(late(long, Cause::Other))),
            [Room::Found, Room::Found, Room::Found, Room::None]
        );
        assert_eq!(unsettled.take(Instant::now(), 100).len(), count);
        assert_eq!(unsettled.kept().octets, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_had_no_room_on_the_disk_keeps_others_back() {
        let unsettled = Unsettled::default();
        assert_eq!(unsettled.keep(late(1, Cause::Other)), Room::Found);
        assert!(unsettled.has_room().is_ok());
        assert_eq!(unsettled.keep(late(1, Cause::NoRoom)), Room::Found);
        assert_eq!(unsettled.take(Instant::now(), 2).len(), 2);
        assert!(matches!(unsettled.has_room(), Err(Error::Full(_))), "it is only being offered again");
    }
}
