//! Randomness for prompts; their content does not matter, that they differ does.

/// A small generator. See <https://doi.org/10.1145/2714064.2660195>.
#[derive(Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// One for each run of each batch.
    pub fn of(batch: usize, run: usize) -> Self {
        Self((run * 1_000_003 + batch) as u64)
    }

    /// A number from 0 to `bound` − 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}
