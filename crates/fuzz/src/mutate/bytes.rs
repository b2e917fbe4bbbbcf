//! Mutations of bytes, for binary formats.

use fastrand::Rng;

use super::{MAX_BYTES, range};

/// Numbers at which arithmetic overflows or limits are reached.
const INTERESTING: [u64; 20] = [
    0,
    1,
    2,
    7,
    8,
    31,
    32,
    127,
    128,
    255,
    (1 << 15) - 1,
    (1 << 16) - 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 48,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// Most fields are near the start of a file, and most of its bytes are not.
const HEADER_BYTES: usize = 4096;

/// One to four mutations.
pub(crate) fn mutate(rng: &mut Rng, example: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = example.to_vec();
    for _ in 0..rng.u8(1..=4) {
        mutate_once(rng, &mut bytes, other);
    }
    bytes
}

fn mutate_once(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let reachable = if rng.u8(..4) > 0 {
        bytes.len().min(HEADER_BYTES)
    } else {
        bytes.len()
    };
    if reachable == 0 {
        bytes.push(rng.u8(..));
        return;
    }
    let at = rng.usize(..reachable);
    match rng.u8(..8) {
        0 => bytes[at] ^= 1 << rng.u8(..8),
        1 => bytes[at] = rng.u8(..),
        2 | 3 => {
            let number = INTERESTING[rng.usize(..INTERESTING.len())].to_le_bytes();
            let width = 1 << rng.u8(..4);
            for (byte, new) in bytes[at..].iter_mut().zip(&number[..width]) {
                *byte = *new;
            }
        }
        4 => bytes.truncate(at),
        5 => {
            bytes.drain(range(rng, reachable, 64));
        }
        6 => {
            let copied = bytes[range(rng, reachable, 256)].to_vec();
            if bytes.len() + copied.len() <= MAX_BYTES {
                bytes.splice(at..at, copied);
            }
        }
        _ => {
            let part = &other[range(rng, other.len(), 256)];
            let end = (at + part.len()).min(bytes.len());
            bytes.splice(at..end, part.iter().copied());
        }
    }
}
