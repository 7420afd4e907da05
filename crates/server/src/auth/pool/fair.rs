//! A bounded queue that many can wait in without one filling it for all.
//!
//! Each source of jobs has a lane. The lanes take turns, and when there is no place left the newest job of the longest lane goes: a source
//! that is alone may use all of the queue, and whoever comes with little gets in between those who come with much.

use std::collections::VecDeque;

/// Jobs by the source that they come from.
#[derive(Debug)]
pub(super) struct Fair<K, J> {
    /// None of them is empty; the first one is next.
    lanes: VecDeque<(K, VecDeque<J>)>,
    waiting: usize,
    places: usize,
}

impl<K: PartialEq, J> Fair<K, J> {
    pub(super) fn new(places: usize) -> Fair<K, J> {
        Fair { lanes: VecDeque::new(), waiting: 0, places }
    }

    /// Puts a job at the end of its source's lane. Returns the job that has to go for it, if one has to: perhaps itself.
    pub(super) fn push(&mut self, source: K, job: J) -> Option<J> {
        let own = self.lanes.iter().position(|(known, _)| *known == source);
        let mut gone = None;
        if self.waiting >= self.places {
            let length = own.map_or(0, |place| self.lanes[place].1.len());
            match self.lanes.iter_mut().max_by_key(|(_, lane)| lane.len()) {
                // It keeps at least as many as the other then has.
                Some((_, longest)) if longest.len() > length + 1 => gone = longest.pop_back(),
                _ => return Some(job),
            }
            self.waiting -= 1;
        }
        match own {
            Some(place) => self.lanes[place].1.push_back(job),
            None => self.lanes.push_back((source, VecDeque::from([job]))),
        }
        self.waiting += 1;
        gone
    }

    /// The job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<J> {
        let (source, mut lane) = self.lanes.pop_front()?;
        let job = lane.pop_front()?;
        self.waiting -= 1;
        if !lane.is_empty() {
            self.lanes.push_back((source, lane));
        }
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_source_may_use_every_place_until_others_come() {
        let mut queue = Fair::new(4);
        for job in 0..4 {
            assert_eq!(queue.push('a', job), None);
        }
        assert_eq!(queue.push('a', 4), Some(4), "it has as many as there are");
        assert_eq!(queue.push('b', 10), Some(3), "the newest of the longest lane goes");
        assert_eq!(queue.push('c', 20), Some(2));
        assert_eq!(queue.push('d', 30), Some(1));
        assert_eq!(queue.push('e', 40), Some(40), "nobody has more than one now");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 10, 20, 30], "in turn");
        assert_eq!(queue.push('d', 31), None);
    }

    proptest! {
        /// However many jobs others have, the first job of a source that has none waiting gets a place when somebody has two more, and is
        /// done before any other source has had two turns.
        #[test]
        fn who_comes_with_one_job_waits_for_one_turn_of_each(
            flood in prop::collection::vec(0u8..6, 40..200), places in 12usize..40,
        ) {
            let mut queue = Fair::new(places);
            for source in flood {
                queue.push(source, source);
                prop_assert!(queue.waiting <= places);
            }
            let gone = queue.push(99, 99);
            prop_assert_ne!(gone, Some(99), "six sources on twelve places or more");
            let before: Vec<u8> = std::iter::from_fn(|| queue.pop()).take_while(|job| *job != 99).collect();
            for source in 0..6 {
                prop_assert!(before.iter().filter(|job| **job == source).count() <= 1);
            }
        }
    }
}
