//! A table of bounded size that forgets the least first.
//!
//! A server meets more addresses than it can remember. Whoever has many of them could try to make it forget one that misbehaved by
//! showing it new ones. So the table does not forget the oldest: it is made of small sets, the set of a key cannot be guessed
//! (a keyed hash), and in a full set the entry goes that would be forgiven first. To push out a banned address somebody
//! must fill its set with addresses that are banned for longer, which takes as much misbehaviour as was to be hidden.

use super::meter::Moment;
use std::hash::{BuildHasher, Hash, RandomState};

/// What can be kept in a [`Table`].
pub(super) trait Record: Default {
    /// From when on the record says nothing any more: without it everything would be the same.
    fn forgiven_at(&self) -> Moment;
}

/// Records by key.
#[derive(Debug)]
pub(super) struct Table<K, R> {
    /// Each holds at most [`WAYS`] entries; memory is taken as they come.
    sets: Box<[Vec<(K, R)>]>,
    hasher: RandomState,
}

/// Entries of a set. More would cost time for each look, fewer would make full sets in a table that is far from full.
const WAYS: usize = 16;

impl<K: Hash + Eq + Copy, R: Record> Table<K, R> {
    /// A table for `capacity` records, rounded up to a multiple of 16.
    pub(super) fn new(capacity: usize, hasher: RandomState) -> Table<K, R> {
        Table { sets: (0..capacity.div_ceil(WAYS).max(1)).map(|_| Vec::new()).collect(), hasher }
    }

    /// What is known of `key`; `None` when nothing is.
    pub(super) fn peek(&self, key: K) -> Option<&R> {
        self.sets[self.set_of(key)].iter().find(|(known, _)| *known == key).map(|(_, record)| record)
    }

    /// The record of `key`, to be changed. One that is not there yet takes the place of one that is forgiven, a free place, or the
    /// place of the one that would be forgiven first.
    pub(super) fn entry(&mut self, key: K, now: Moment) -> &mut R {
        let number = self.set_of(key);
        let set = &mut self.sets[number];
        let place = match set.iter().position(|(known, _)| *known == key) {
            Some(place) => place,
            None => {
                let first = (0..set.len()).min_by_key(|&place| set[place].1.forgiven_at());
                match first {
                    Some(place) if set.len() == WAYS || set[place].1.forgiven_at() <= now => {
                        set[place] = (key, R::default());
                        place
                    }
                    _ => {
                        set.push((key, R::default()));
                        set.len() - 1
                    }
                }
            }
        };
        &mut set[place].1
    }

    /// All records, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, R)> {
        self.sets.iter().flatten()
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut R)> {
        self.sets.iter_mut().flatten().map(|(key, record)| (&*key, record))
    }

    fn set_of(&self, key: K) -> usize {
        // The remainder of a division by the number of sets is below it, so it fits.
        (self.hasher.hash_one(key) % self.sets.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Default)]
    struct Until(Moment);

    impl Record for Until {
        fn forgiven_at(&self) -> Moment {
            self.0
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn new_keys_never_push_out_a_heavier_one_and_the_table_stays_small() {
        let mut table: Table<u32, Until> = Table::new(64, RandomState::new());
        table.entry(7, at(0)).0 = at(1000);
        for key in 100..100_000 {
            table.entry(key, at(0)).0 = at(999);
        }
        assert_eq!(table.peek(7).map(|record| record.0), Some(at(1000)));
        assert_eq!(table.iter().count(), 64);
    }

    #[test]
    fn a_forgiven_entry_gives_its_place_before_a_new_one_is_made() {
        let mut table: Table<u32, Until> = Table::new(16, RandomState::new());
        for key in 0..1000 {
            table.entry(key, at(10 + u64::from(key))).0 = at(10 + u64::from(key));
        }
        assert_eq!(table.iter().count(), 1);
    }
}
