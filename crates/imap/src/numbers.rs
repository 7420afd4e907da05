//! Sets of numbers that are known, as ranges: UIDs, or message numbers (RFC 9051 §9, `uid-set`, `known-uids`).
//!
//! A [`crate::SequenceSet`] is what a client wrote; this is what it means in a mailbox: ascending, without overlaps, without `*`. A hundred
//! thousand messages in a row are one range.

use std::fmt;

/// A set of numbers from 1 on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Numbers {
    /// First and last of each range; ascending, at least one number apart.
    ranges: Vec<(u32, u32)>,
}

impl Numbers {
    /// The empty set.
    pub fn new() -> Numbers {
        Numbers::default()
    }

    /// All from `first` to `last`; empty when `last` is less.
    pub fn range(first: u32, last: u32) -> Numbers {
        Numbers { ranges: if first <= last { vec![(first, last)] } else { Vec::new() } }
    }

    /// These ranges, in any order; those that are empty do not count.
    pub fn of_ranges(ranges: impl IntoIterator<Item = (u32, u32)>) -> Numbers {
        let mut all: Vec<(u32, u32)> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        all.sort_unstable();
        let mut set = Numbers::new();
        for (first, last) in all {
            set.join(first, last);
        }
        set
    }

    /// Adds a number that is larger than all that are there, or among the last of them.
    pub fn push(&mut self, number: u32) {
        self.join(number, number);
    }

    /// Adds a range that does not begin before the last one.
    fn join(&mut self, first: u32, last: u32) {
        match self.ranges.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => self.ranges.push((first, last)),
        }
    }

    /// Whether it is in the set.
    pub fn contains(&self, number: u32) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= number);
        after > 0 && self.ranges[after - 1].1 >= number
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|(first, last)| (last - first) as usize + 1).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The least.
    pub fn first(&self) -> Option<u32> {
        self.ranges.first().map(|(first, _)| *first)
    }

    /// The largest.
    pub fn last(&self) -> Option<u32> {
        self.ranges.last().map(|(_, last)| *last)
    }

    /// Takes the largest out.
    pub fn pop(&mut self) -> Option<u32> {
        let (first, last) = self.ranges.last_mut()?;
        let number = *last;
        if first == last {
            self.ranges.pop();
        } else {
            *last -= 1;
        }
        Some(number)
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }

    /// Those that are in both.
    pub fn intersection(&self, other: &Numbers) -> Numbers {
        let (mut here, mut there) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut both = Numbers::new();
        while let (Some(&&(first, last)), Some(&&(other_first, other_last))) = (here.peek(), there.peek()) {
            let (from, to) = (first.max(other_first), last.min(other_last));
            if from <= to {
                both.join(from, to);
            }
            if last < other_last {
                here.next();
            } else {
                there.next();
            }
        }
        both
    }

    /// Those that are in one of them at least.
    pub fn union(&self, other: &Numbers) -> Numbers {
        Numbers::of_ranges(self.ranges.iter().chain(&other.ranges).copied())
    }

    /// Those that are in this one and not in the other.
    pub fn difference(&self, other: &Numbers) -> Numbers {
        let mut left = Numbers::new();
        let mut others = other.ranges.iter().peekable();
        for &(mut first, last) in &self.ranges {
            while others.next_if(|(_, other_last)| *other_last < first).is_some() {}
            while let Some(&&(other_first, other_last)) = others.peek() {
                if other_first > last {
                    break;
                }
                if other_first > first {
                    left.join(first, other_first - 1);
                }
                first = other_last.saturating_add(1);
                if other_last > last || other_last == u32::MAX {
                    break;
                }
                others.next();
            }
            if first <= last && !other.contains(first) {
                left.join(first, last);
            }
        }
        left
    }
}

impl FromIterator<u32> for Numbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Numbers {
        Numbers::of_ranges(numbers.into_iter().map(|number| (number, number)))
    }
}

impl fmt::Display for Numbers {
    /// As a `uid-set` without `*`; nothing for the empty set, which the grammar does not have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}:{last}")?;
            }
        }
        Ok(())
    }
}
