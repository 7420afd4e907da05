//! What identifies a segment, and how its file is called.
//!
//! A segment written as the log grew has its number, counted from 1. One written by a reclamation of space ([`crate::rewrite`]) stands for
//! a run of numbers and has a generation, higher than those of the segments that it replaces. Both are in one u64, so that a position in
//! the log and a record's checksum name the file and not only the number.

/// The last (mostly the only) number that it stands for.
pub(crate) fn last(segment: u64) -> u64 {
    segment & LAST_MAX
}

/// The first number that it stands for.
pub(crate) fn first(segment: u64) -> u64 {
    last(segment) - (segment >> RUN_AT & RUN_MAX)
}

/// How often it was rewritten; 0 for one as the log wrote it.
pub(crate) fn generation(segment: u64) -> u64 {
    segment >> GENERATION_AT
}

/// The segment that stands for these numbers in this generation; `None` when that cannot be said.
pub(crate) fn rewritten(first: u64, last: u64, generation: u64) -> Option<u64> {
    let run = last.checked_sub(first)?;
    let fits = run <= RUN_MAX && last <= LAST_MAX && (1..=GENERATION_MAX).contains(&generation);
    fits.then_some(generation << GENERATION_AT | run << RUN_AT | last)
}

/// Whether the first takes the second's place.
pub(crate) fn replaces(new: u64, old: u64) -> bool {
    generation(new) > generation(old) && first(new) <= first(old) && last(old) <= last(new)
}

/// The name of its file, without the ending.
pub(crate) fn name(segment: u64) -> String {
    match generation(segment) {
        0 => format!("{segment:08}"),
        generation => format!("{:08}-{:08}-{generation:05}", first(segment), last(segment)),
    }
}

/// The segment of that name.
pub(crate) fn parse(name: &str) -> Option<u64> {
    let numbers: Vec<u64> = name
        .split('-')
        .map(|part| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())))
        .collect::<Option<_>>()?;
    let segment = match numbers[..] {
        [number] => Some(number).filter(|number| *number <= LAST_MAX),
        [first, last, generation] => rewritten(first, last, generation),
        _ => None,
    };
    // One name for each: no other number of digits.
    segment.filter(|segment| self::name(*segment) == name)
}

const RUN_AT: u32 = 32;
const GENERATION_AT: u32 = 48;
const LAST_MAX: u64 = (1 << RUN_AT) - 1;
const RUN_MAX: u64 = (1 << (GENERATION_AT - RUN_AT)) - 1;
const GENERATION_MAX: u64 = (1 << (64 - GENERATION_AT)) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_numbers_and_which_generation() {
        assert_eq!((name(7), parse("00000007")), ("00000007".to_owned(), Some(7)));
        let run = rewritten(3, 9, 2).unwrap();
        assert_eq!((first(run), last(run), generation(run)), (3, 9, 2));
        assert_eq!(name(run), "00000003-00000009-00002");
        assert_eq!(parse(&name(run)), Some(run));
        for wrong in
            ["", "7", "000000007", "+0000007", "00000009-00000003-00001", "00000003-00000009-00000", "x"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(replaces(run, 5) && replaces(run, rewritten(3, 4, 1).unwrap()));
        assert!(!replaces(run, 10) && !replaces(run, run) && !replaces(run, rewritten(2, 4, 1).unwrap()));
        assert_eq!(rewritten(1, 1 << 20, 1), None);
    }
}
