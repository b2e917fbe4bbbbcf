//! Positions of packed integers, as tables for byte shuffles.

use super::simd::LANES;

/// The positions of sixteen consecutive `BITS`-bit integers.
pub(crate) struct Layout<const BITS: usize>;

impl<const BITS: usize> Layout<BITS> {
    /// For each lane the two bytes that hold its integer, then two zero bytes: a byte shuffle per 128 bits.
    pub const BYTES: [u8; 64] = {
        let mut bytes = [0x80; 64];
        let mut lane = 0;
        while lane < LANES {
            let first = lane * BITS / 8;
            bytes[4 * lane] = first as u8;
            // The byte after the last is never needed.
            if first + 1 < 16 {
                bytes[4 * lane + 1] = first as u8 + 1;
            }
            lane += 1;
        }
        bytes
    };
    /// For each lane the distance of its integer from the start of the two bytes.
    pub const SHIFTS: [u32; LANES] = {
        let mut shifts = [0; LANES];
        let mut lane = 0;
        while lane < LANES {
            shifts[lane] = (lane * BITS % 8) as u32;
            lane += 1;
        }
        shifts
    };
    pub const MASK: i32 = (1 << BITS) - 1;
}
