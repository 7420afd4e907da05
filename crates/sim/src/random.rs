//! Chance that repeats: SplitMix64, small and the same everywhere. Each part of a simulation has a stream of its own, so that what one
//! part draws does not shift what another one gets.

/// A stream of numbers that its seed decides.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A stream of its own for the part with this number.
    pub fn part(&self, number: u64) -> Random {
        let mut random = Random(self.0 ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Random(random.next())
    }

    /// The next number.
    #[allow(
        clippy::should_implement_trait,
        reason = "a stream without end is no iterator that anybody would loop over"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Whether one of `times` equal chances came true.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these, of which there is at least one.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
