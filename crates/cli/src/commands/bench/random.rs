//! Random numbers for prompts that differ, so that no prefix cache applies.

/// SplitMix64 random number generator. See <https://doi.org/10.1145/2714064.2660195>.
#[derive(Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Seeded with the batch size and run.
    pub fn of(batch: usize, run: usize) -> Self {
        Self((run * 1_000_003 + batch) as u64)
    }

    /// A number below `bound`.
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
