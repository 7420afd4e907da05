//! The salt of a log of which no segment has a whole header: the one that most of its records go with.
//!
//! A header's checksum goes on from the salt, bit by bit and without loss, so every header says with which salt it would be right. Records
//! are met from the front and their bodies passed over, so what a message's content says does not count as long as its own record can be
//! found; when that is lost as well, what counts is how many bytes go with each salt.

use crate::error::io_error;
use crate::record::{ALIGNMENT, BODY_VERSION, Kind, SEGMENT_HEADER, Spot};
use crate::scan::Scanner;
use crate::segments::Segments;
use std::collections::BTreeMap;
use store::Result;

/// The salt; `None` when no record can be found.
pub(super) fn implied(segments: &Segments) -> Result<Option<u32>> {
    let (inverse, mut bytes) = (Inverse::new(), BTreeMap::<u32, u64>::new());
    for segment in segments.list()? {
        let fail = |error| io_error("reading", &segments.path(segment), error);
        let mut scanner = Scanner::of_records(segments.open_to_read(segment)?, (segment, 0)).map_err(fail)?;
        let mut at = SEGMENT_HEADER;
        while at < scanner.size {
            let found = scanner.unchecked(at).map_err(fail)?;
            let possible = found.filter(|(header, _)| {
                let known = !matches!(header.kind, Kind::Unknown(_)) && header.version == BODY_VERSION;
                known && (SEGMENT_HEADER..=at).contains(&header.batch)
            });
            let Some((header, difference)) = possible else {
                at += ALIGNMENT;
                continue;
            };
            if scanner.record(at, header).map_err(fail)?.body.is_none() {
                at += ALIGNMENT;
                continue;
            }
            *bytes.entry(inverse.of(difference)).or_default() += header.space();
            at += header.space();
        }
    }
    Ok(bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(salt, _)| salt))
}

/// From a difference of checksums back to the salt that makes it: both are sums of single bits.
struct Inverse([u32; 32]);

impl Inverse {
    fn new() -> Inverse {
        // What each bit of the salt changes; then the changes are made single bits, in Gauss's way.
        let mut rows: Vec<(u32, u32)> =
            (0..32).map(|bit| 1 << bit).map(|salt| (change(salt), salt)).collect();
        for bit in 0..32 {
            let pivot = (bit..32).find(|row| rows[*row].0 >> bit & 1 == 1);
            rows.swap(bit, pivot.expect("no two salts make the same checksum"));
            let (changes, salts) = rows[bit];
            for (other, row) in rows.iter_mut().enumerate() {
                if other != bit && row.0 >> bit & 1 == 1 {
                    *row = (row.0 ^ changes, row.1 ^ salts);
                }
            }
        }
        Inverse(std::array::from_fn(|bit| rows[bit].1))
    }

    fn of(&self, difference: u32) -> u32 {
        (0..32).filter(|bit| difference >> bit & 1 == 1).fold(0, |salt, bit| salt ^ self.0[bit])
    }
}

/// By which bits the checksum of any header differs with this salt from what it is with none.
fn change(salt: u32) -> u32 {
    let spot = |salt| Spot { salt, segment: 0, offset: 0 };
    spot(salt).checksum(&[0; 24]) ^ spot(0).checksum(&[0; 24])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_the_salt() {
        let inverse = Inverse::new();
        for salt in [0, 1, 2, 0x8000_0000, 0xDEAD_BEEF, u32::MAX] {
            assert_eq!(inverse.of(change(salt)), salt);
        }
    }
}
