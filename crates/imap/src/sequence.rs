//! Sets of message numbers and UIDs (RFC 9051 §9, `sequence-set`).

use std::num::NonZeroU32;

/// A number, or the largest that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Number {
    /// This one.
    Is(NonZeroU32),
    /// `*`.
    Largest,
}

/// All numbers between two, which may stand in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// One end.
    pub first: Number,
    /// The other; the same for a single number.
    pub last: Number,
}

/// A set of numbers as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SequenceSet {
    /// These; never empty.
    Ranges(Vec<Range>),
    /// `$`: what the last search saved (RFC 5182).
    Saved,
}

impl Range {
    /// The least and the largest number of it, where `largest` is the largest that there is. `*` stands for that also when another end is
    /// beyond it (RFC 9051 §9, `seq-range`).
    pub fn bounds(self, largest: u32) -> (u32, u32) {
        let value = |number| match number {
            Number::Is(number) => number.get(),
            Number::Largest => largest,
        };
        let (first, last) = (value(self.first), value(self.last));
        (first.min(last), first.max(last))
    }
}

impl SequenceSet {
    /// Whether a number is in it, where `largest` is the largest that there is; of a saved set nothing is known here.
    pub fn contains(&self, number: u32, largest: u32) -> bool {
        match self {
            SequenceSet::Ranges(ranges) => ranges.iter().any(|range| {
                let (first, last) = range.bounds(largest);
                (first..=last).contains(&number)
            }),
            SequenceSet::Saved => false,
        }
    }
}
