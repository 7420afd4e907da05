//! Lines and line endings: what is found does not depend on how the input came in pieces, and no more is held than is allowed.

use crate::Random;
use bytes::Bytes;
use wire::{Flaw, FlawFinder, Line, LineBuffer, Normaliser};

/// Reads lines whole and in pieces; makes line endings right, twice. The first octet chooses the cuts and the limit.
pub fn line(input: &[u8]) {
    let [seed, octets @ ..] = input else { return };
    let max = [2, 12, 512, 4096][usize::from(*seed) % 4];
    let whole = lines([octets].into_iter(), max);
    assert_eq!(lines(Random::new(u64::from(*seed)).cut(octets).into_iter(), max), whole);
    for line in &whole {
        let (Line::Complete(text) | Line::TooLong(text) | Line::BareEnding(text)) = line;
        assert!(text.len() <= max, "longer than the limit");
        assert!(!text.contains(&b'\n') && !text.contains(&b'\r'), "{line:?}");
    }
    normalise(octets, *seed);
}

fn lines<'a>(pieces: impl Iterator<Item = &'a [u8]>, max: usize) -> Vec<Line> {
    let (mut buffer, mut found) = (LineBuffer::new(), Vec::new());
    for piece in pieces {
        buffer.receive(piece);
        while let Some(line) = buffer.next_line(max) {
            found.push(line);
        }
        assert!(buffer.len() <= max, "too much is held");
    }
    found
}

/// What was made right has no bare CR or LF, and stays as it is; a NUL stays.
fn normalise(octets: &[u8], seed: u8) {
    let once = normalised(Random::new(u64::from(seed)).cut(octets).into_iter());
    assert_eq!(normalised([octets].into_iter()), once);
    assert_eq!(normalised([&once[..]].into_iter()), once, "to normalise twice is to normalise once");
    let mut finder = FlawFinder::new();
    finder.read(&once);
    assert!(matches!(finder.finish(), None | Some(Flaw::Nul)), "{:?} is left", finder.finish());
}

fn normalised<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut normaliser, mut out) = (Normaliser::new(), Vec::new());
    for piece in pieces {
        out.extend_from_slice(&normaliser.normalise(Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(normaliser.finish());
    out
}
