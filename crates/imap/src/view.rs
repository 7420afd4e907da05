//! A mailbox as one session sees it: which message has which number (RFC 9051 §2.3.1.2).
//!
//! Numbers change only when the client is told so. What came is at the end and may be told at any time; what went keeps its number until
//! the client may hear of it (RFC 9051 §7.5.1), and is only noted until then. This is a value without time or store: the session
//! ([`crate::server`]) says what happened and when the client may be told.

use crate::{Number, Numbers, SequenceSet};

/// The messages of a mailbox in order, as the client knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Runs of UIDs without gaps, ascending.
    runs: Vec<Run>,
    /// How many messages there are.
    count: u32,
    /// The largest UID that there ever was here.
    last: u32,
    /// Those that are gone, and of which the client was not told.
    gone: Numbers,
}

/// UIDs without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u32,
    /// How many messages come before it; the next run's says how long this one is.
    before: u32,
}

/// A set names a number that no message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no message {0}")]
pub struct NoSuchNumber(pub u32);

impl View {
    /// A mailbox without messages.
    pub fn new() -> View {
        View::default()
    }

    /// Adds a message whose UID is larger than all before; says whether it is (what is not, is not added).
    pub fn push(&mut self, uid: u32) -> bool {
        if uid <= self.last {
            return false;
        }
        if self.count == 0 || uid != self.last + 1 || self.ends_before(self.last) {
            self.runs.push(Run { first: uid, before: self.count });
        }
        self.count += 1;
        self.last = uid;
        true
    }

    /// Whether the last run does not reach to this UID.
    fn ends_before(&self, uid: u32) -> bool {
        self.largest() != Some(uid)
    }

    /// How many messages the client knows, or will when it is told of those that came.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The largest UID of a message in it.
    pub fn largest(&self) -> Option<u32> {
        self.uid(self.count)
    }

    /// The UID of the message with this number, from 1 on.
    pub fn uid(&self, number: u32) -> Option<u32> {
        if number == 0 || number > self.count {
            return None;
        }
        let run = self.runs[self.runs.partition_point(|run| run.before < number) - 1];
        Some(run.first + (number - 1 - run.before))
    }

    /// The number of the message with this UID.
    pub fn number(&self, uid: u32) -> Option<u32> {
        let place = self.runs.partition_point(|run| run.first <= uid).checked_sub(1)?;
        let offset = uid - self.runs[place].first;
        (offset < self.length(place)).then(|| self.runs[place].before + offset + 1)
    }

    /// How many messages a run has.
    fn length(&self, place: usize) -> u32 {
        let end = self.runs.get(place + 1).map_or(self.count, |next| next.before);
        end - self.runs[place].before
    }

    /// The UIDs of all messages.
    pub fn uids(&self) -> Numbers {
        let ranges = (0..self.runs.len()).map(|place| {
            let first = self.runs[place].first;
            (first, first + (self.length(place) - 1))
        });
        Numbers::of_ranges(ranges)
    }

    /// The UIDs of messages by their numbers. A set with a number that is not there is an error (RFC 9051 §6.4); `*` in an empty mailbox is
    /// nothing.
    pub fn numbered(&self, set: &SequenceSet) -> Result<Numbers, NoSuchNumber> {
        let SequenceSet::Ranges(ranges) = set else { return Ok(Numbers::new()) };
        let mut numbers = Vec::with_capacity(ranges.len());
        for range in ranges {
            let has_star = range.first == Number::Largest || range.last == Number::Largest;
            if self.count == 0 && has_star {
                continue;
            }
            let (first, last) = range.bounds(self.count);
            if first > self.count || last > self.count {
                return Err(NoSuchNumber(if first > self.count { first } else { last }));
            }
            numbers.push((first, last));
        }
        // No number counts twice: what a set stands for is never more than what there is.
        let mut uids = Vec::new();
        for &(first, last) in Numbers::of_ranges(numbers).ranges() {
            self.uids_between(first, last, &mut uids);
        }
        Ok(Numbers::of_ranges(uids))
    }

    /// The ranges of UIDs that messages with these numbers have.
    fn uids_between(&self, first: u32, last: u32, uids: &mut Vec<(u32, u32)>) {
        let from = self.runs.partition_point(|run| run.before < first) - 1;
        for place in from..self.runs.len() {
            let Run { first: uid, before } = self.runs[place];
            if before >= last {
                break;
            }
            let start = first.max(before + 1) - before - 1;
            let end = last.min(before + self.length(place)) - before - 1;
            uids.push((uid + start, uid + end));
        }
    }

    /// The UIDs of messages that are in a set of UIDs.
    pub fn with_uids(&self, set: &SequenceSet) -> Numbers {
        let SequenceSet::Ranges(ranges) = set else { return Numbers::new() };
        let Some(largest) = self.largest() else { return Numbers::new() };
        let wanted = Numbers::of_ranges(ranges.iter().map(|range| range.bounds(largest)));
        self.uids().intersection(&wanted)
    }

    /// The numbers of the messages with these UIDs, as a set; what is not there does not count.
    pub fn numbers(&self, uids: &Numbers) -> Numbers {
        let mut numbers = Vec::new();
        let mut place = 0;
        for &(first, last) in uids.intersection(&self.uids()).ranges() {
            // Both are ascending, and what is in both lies in one run each.
            place += self.runs[place..].partition_point(|run| run.first <= first) - 1;
            let Run { first: start, before } = self.runs[place];
            numbers.push((before + first - start + 1, before + last - start + 1));
        }
        Numbers::of_ranges(numbers)
    }

    /// Notes that these are gone; the client is to be told when it may be.
    pub fn vanish(&mut self, uids: &Numbers) {
        self.gone = self.gone.union(&uids.intersection(&self.uids()));
    }

    /// Whether the client is to be told that something is gone.
    pub fn has_vanished(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Those of which the client is told now that they are gone, as UIDs and as numbers; then they are out of the view. Told one by one, from
    /// the largest number down, no number shifts under another.
    pub fn take_vanished(&mut self) -> (Numbers, Numbers) {
        let gone = std::mem::take(&mut self.gone);
        let numbers = self.numbers(&gone);
        let left = self.uids().difference(&gone);
        self.runs.clear();
        self.count = 0;
        for &(first, last) in left.ranges() {
            self.runs.push(Run { first, before: self.count });
            self.count += last - first + 1;
        }
        self.runs.shrink_to_fit();
        (gone, numbers)
    }
}

impl FromIterator<u32> for View {
    /// A mailbox with these UIDs, ascending.
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> View {
        let mut view = View::new();
        for uid in uids {
            view.push(uid);
        }
        view
    }
}
