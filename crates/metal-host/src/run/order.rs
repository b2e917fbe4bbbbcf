//! In which order threads run.

/// The order of threadgroups, of the simdgroups of a threadgroup, and of the lanes of a simdgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By index.
    Forward,
    /// By index, from the last to the first.
    Reverse,
    /// At random, with this seed. Two threadgroups run at a time and simdgroups take turns; each resumption shuffles the lanes.
    Random(u64),
}

/// Pseudorandom numbers (SplitMix64, Steele et al. 2014), the same on every machine.
pub struct Generator(u64);

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}

impl Order {
    /// The generator of a random order.
    pub fn generator(self) -> Option<Generator> {
        match self {
            Self::Random(seed) => Some(Generator::new(seed)),
            Self::Forward | Self::Reverse => None,
        }
    }

    /// How many threadgroups run at a time.
    pub fn concurrent_threadgroups(self) -> usize {
        match self {
            Self::Random(_) => 2,
            Self::Forward | Self::Reverse => 1,
        }
    }

    /// Brings items that are sorted by index into this order.
    pub fn arrange<T>(self, items: &mut [T], generator: Option<&mut Generator>) {
        match (self, generator) {
            (Self::Reverse, _) => items.reverse(),
            (Self::Random(_), Some(generator)) => generator.shuffle(items),
            _ => {}
        }
    }
}
