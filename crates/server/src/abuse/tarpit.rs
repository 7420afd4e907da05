//! Slows sessions that make errors: before each further reply they wait, longer each time.
//!
//! Who guesses addresses or passwords is held up; who made one mistake is not. A waiting session costs a connection, so only
//! so many wait at the same time: beyond that there is no delay, and the limits on errors still end the session.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for waiting sessions.
#[derive(Debug)]
pub(crate) struct Tarpit {
    places: Arc<Semaphore>,
    longest: Duration,
}

/// Errors that cost no time: mistakes happen.
const FREE: u32 = 2;
/// What each error beyond those adds.
const STEP: Duration = Duration::from_millis(500);

impl Tarpit {
    /// A tarpit for the server's number of connections: one in eight of them may wait.
    pub(crate) fn new(connections: usize, longest: Duration) -> Tarpit {
        Tarpit { places: Arc::new(Semaphore::new((connections / 8).min(Semaphore::MAX_PERMITS))), longest }
    }

    /// How long a session with so many errors waits now; with a place that it keeps while it does. `None`: not at all.
    pub(crate) fn enter(&self, errors: u32) -> Option<(Duration, OwnedSemaphorePermit)> {
        let wait = STEP.saturating_mul(errors.saturating_sub(FREE)).min(self.longest);
        if wait.is_zero() {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some((wait, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_its_bound_and_places_are_few() {
        let tarpit = Tarpit::new(16, Duration::from_secs(2));
        assert!(tarpit.enter(2).is_none());
        let (first, _first_place) = tarpit.enter(3).expect("a place");
        let (longest, second_place) = tarpit.enter(u32::MAX).expect("a place");
        assert_eq!((first, longest), (STEP, Duration::from_secs(2)));
        assert!(tarpit.enter(9).is_none(), "two of sixteen wait");
        drop(second_place);
        assert!(tarpit.enter(9).is_some());
        assert!(Tarpit::new(16, Duration::ZERO).enter(9).is_none(), "switched off");
    }
}
