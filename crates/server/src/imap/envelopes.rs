//! ENVELOPEs as they were told: clients ask for the same lists again and again, and what a message says of itself never changes.
//!
//! To read a header and take it apart costs five times as much as to tell what came of it. Memory is bounded for all sessions together: when the
//! young half of it is full it becomes the old one, and what nobody has asked for since then goes.

use bytes::Bytes;
use imap::answer::Names;
use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::{MailboxId, Uid};

/// Those that were told lately.
#[derive(Default)]
pub(crate) struct Envelopes(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    young: HashMap<Key, Bytes>,
    old: HashMap<Key, Bytes>,
    /// What the young ones take, in octets.
    octets: usize,
}

/// Which message, and how text beyond ASCII is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) mailbox: MailboxId,
    pub(super) uid: Uid,
    pub(super) names: Names,
}

/// What half of them take, in octets: some 20,000 of the usual size.
const HALF: usize = 16 << 20;
/// What one takes beside its text.
const EACH: usize = mem::size_of::<(Key, Bytes)>() * 2;

impl Envelopes {
    /// The item of this message, if it is known.
    pub(super) fn find(&self, key: Key) -> Option<Bytes> {
        let mut halves = self.halves();
        if let Some(item) = halves.young.get(&key) {
            return Some(item.clone());
        }
        let item = halves.old.remove(&key)?;
        halves.keep(key, item.clone());
        Some(item)
    }

    /// Whether it is.
    pub(super) fn has(&self, key: Key) -> bool {
        let halves = self.halves();
        halves.young.contains_key(&key) || halves.old.contains_key(&key)
    }

    /// Keeps an item for others.
    pub(super) fn keep(&self, key: Key, item: Bytes) {
        self.halves().keep(key, item);
    }

    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Halves {
    fn keep(&mut self, key: Key, item: Bytes) {
        // One that is as long as this is no use to others.
        if item.len() > HALF / 64 {
            return;
        }
        if self.octets > HALF {
            self.old = mem::take(&mut self.young);
            self.octets = 0;
        }
        self.octets += item.len() + EACH;
        self.young.insert(key, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uid: u32) -> Key {
        Key { mailbox: MailboxId(1), uid: Uid(uid), names: Names::Utf7 }
    }

    #[test]
    fn what_is_asked_for_stays_and_memory_is_bounded() {
        let envelopes = Envelopes::default();
        let item = Bytes::from(vec![b'x'; 1000]);
        let asked_for = key(u32::MAX);
        envelopes.keep(asked_for, item.clone());
        for uid in 0..100_000 {
            envelopes.keep(key(uid), item.clone());
            if uid % 1000 == 0 {
                assert_eq!(envelopes.find(asked_for).as_ref(), Some(&item), "at {uid}");
            }
        }
        assert_eq!(envelopes.find(key(99_999)), Some(item));
        assert!(!envelopes.has(key(0)), "nobody has asked for it");
        assert!(!envelopes.has(Key { names: Names::Utf8, ..asked_for }), "it is written otherwise");
        let halves = envelopes.halves();
        assert!((halves.young.len() + halves.old.len()) * (1000 + EACH) <= 2 * HALF + 10_000);
    }
}
