//! Numbers in a mailbox: a view is held against a list of UIDs, and sets of numbers against sets of the library.

#![forbid(unsafe_code)]

use imap::{Number, Numbers, Range, SequenceSet, View};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::num::NonZeroU32;

fn set(ranges: &[(u32, u32)]) -> SequenceSet {
    let number = |value| NonZeroU32::new(value).map_or(Number::Largest, Number::Is);
    SequenceSet::Ranges(
        ranges.iter().map(|(first, last)| Range { first: number(*first), last: number(*last) }).collect(),
    )
}

/// What happens to a mailbox.
#[derive(Debug, Clone)]
enum Step {
    /// A message comes, with a UID so much larger than the last.
    Comes(u32),
    /// The message at this place of all that are there is removed.
    Goes(prop::sample::Index),
    /// The client is told what is gone.
    Told,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u32..4).prop_map(Step::Comes),
        3 => any::<prop::sample::Index>().prop_map(Step::Goes),
        1 => Just(Step::Told),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn a_view_is_a_list_of_uids(steps in steps(), ranges in proptest::collection::vec((0u32..40, 0u32..40), 1..4)) {
        let (mut view, mut model, mut gone) = (View::new(), Vec::<u32>::new(), BTreeSet::new());
        let mut last = 0;
        for step in steps {
            match step {
                Step::Comes(gap) => {
                    last += gap;
                    prop_assert!(view.push(last));
                    prop_assert!(!view.push(last), "a UID comes once");
                    model.push(last);
                }
                Step::Goes(at) if !model.is_empty() => {
                    let uid = model[at.index(model.len())];
                    gone.insert(uid);
                    view.vanish(&Numbers::range(uid, uid));
                }
                Step::Goes(_) => {}
                Step::Told => {
                    let (uids, numbers) = view.take_vanished();
                    prop_assert_eq!(uids.iter().collect::<BTreeSet<_>>(), std::mem::take(&mut gone));
                    // What a client does that hears the numbers from the largest down.
                    for number in numbers.iter().rev() {
                        model.remove(number as usize - 1);
                    }
                    for uid in uids.iter() {
                        prop_assert!(!model.contains(&uid));
                    }
                }
            }
            prop_assert_eq!(view.len() as usize, model.len());
            prop_assert_eq!(view.has_vanished(), !gone.is_empty());
            prop_assert_eq!(view.uids().iter().collect::<Vec<_>>(), model.clone());
        }
        for uid in 0..last + 3 {
            let place = model.iter().position(|known| *known == uid).map(|at| at as u32 + 1);
            prop_assert_eq!(view.number(uid), place);
        }
        for number in 0..model.len() as u32 + 3 {
            let uid = number.checked_sub(1).and_then(|at| model.get(at as usize)).copied();
            prop_assert_eq!(view.uid(number), uid);
        }
        let wanted = set(&ranges);
        let by_uid: Vec<u32> = model.iter().copied()
            .filter(|uid| wanted.contains(*uid, *model.last().expect("there is one"))).collect();
        prop_assert_eq!(view.with_uids(&wanted).iter().collect::<Vec<_>>(), by_uid.clone());
        prop_assert_eq!(
            view.numbers(&by_uid.iter().copied().collect()).iter().collect::<Vec<_>>(),
            by_uid.iter().filter_map(|uid| view.number(*uid)).collect::<Vec<_>>()
        );
        let largest = model.len() as u32;
        match view.numbered(&wanted) {
            Ok(uids) => {
                let numbers = (1..=largest).filter(|number| wanted.contains(*number, largest));
                prop_assert_eq!(uids.iter().collect::<Vec<_>>(), numbers.filter_map(|number| view.uid(number)).collect::<Vec<_>>());
            }
            Err(imap::NoSuchNumber(number)) => prop_assert!(number > largest),
        }
    }

    #[test]
    fn numbers_are_sets(
        one in proptest::collection::vec((1u32..60, 0u32..8), 0..12),
        other in proptest::collection::vec((1u32..60, 0u32..8), 0..12),
    ) {
        let of = |ranges: &[(u32, u32)]| {
            let ranges = ranges.iter().map(|(first, more)| (*first, first + more));
            (Numbers::of_ranges(ranges.clone()), ranges.flat_map(|(first, last)| first..=last).collect::<BTreeSet<_>>())
        };
        let ((one, one_model), (other, other_model)) = (of(&one), of(&other));
        let listed = |numbers: &Numbers| numbers.iter().collect::<BTreeSet<_>>();
        prop_assert_eq!(listed(&one), one_model.clone());
        prop_assert_eq!(one.len(), one_model.len());
        prop_assert_eq!(listed(&one.intersection(&other)), one_model.intersection(&other_model).copied().collect());
        prop_assert_eq!(listed(&one.union(&other)), one_model.union(&other_model).copied().collect());
        prop_assert_eq!(listed(&one.difference(&other)), one_model.difference(&other_model).copied().collect());
        for number in 0..80 {
            prop_assert_eq!(one.contains(number), one_model.contains(&number));
        }
        for pair in one.ranges().windows(2) {
            prop_assert!(pair[0].1 + 1 < pair[1].0, "ranges are as long as they can be");
        }
    }
}

#[test]
fn the_ends_of_numbers() {
    let all = Numbers::range(1, u32::MAX);
    assert!(all.difference(&all).is_empty());
    assert_eq!(all.difference(&Numbers::range(5, u32::MAX)).ranges(), [(1, 4)]);
    assert_eq!(all.union(&Numbers::range(u32::MAX, u32::MAX)).ranges(), [(1, u32::MAX)]);
    assert_eq!(Numbers::of_ranges([(3, 2), (5, 5), (4, 4)]).to_string(), "4:5");
    let view: View = [1, 2, u32::MAX].into_iter().collect();
    assert_eq!(view.with_uids(&set(&[(u32::MAX, 0)])).ranges(), [(u32::MAX, u32::MAX)]);
}

#[test]
fn a_star_in_an_empty_mailbox_is_nothing_and_a_number_is_an_error() {
    let view = View::new();
    assert_eq!(view.numbered(&set(&[(1, 0)])), Ok(Numbers::new()));
    assert_eq!(view.numbered(&set(&[(1, 1)])), Err(imap::NoSuchNumber(1)));
    assert!(view.with_uids(&set(&[(1, 0)])).is_empty());
}

#[test]
fn a_number_that_is_named_often_counts_once() {
    // Every other UID: as many runs as messages.
    let view: View = (1..=20_000).map(|place| place * 2).collect();
    let uids = view.numbered(&set(&[(1, 0); 20_000])).expect("they are there");
    assert_eq!((uids.len(), uids.last()), (20_000, Some(40_000)));
    assert_eq!(view.numbered(&set(&[(1, 0), (20_001, 1)])), Err(imap::NoSuchNumber(20_001)));
}
