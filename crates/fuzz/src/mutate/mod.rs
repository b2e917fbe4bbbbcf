//! Mutators: from an example to an input that is almost valid.

pub(crate) mod bytes;
pub(crate) mod json;
pub(crate) mod responses;
pub(crate) mod safetensors;
pub(crate) mod template;

use fastrand::Rng;

/// A mutated copy of an example; a second example can contribute parts.
pub(crate) type Mutate = fn(&mut Rng, &[u8], &[u8]) -> Vec<u8>;

/// Inputs do not become longer than this by copying parts.
const MAX_BYTES: usize = 1 << 20;

/// A random range of at most `longest` within `length`.
fn range(rng: &mut Rng, length: usize, longest: usize) -> std::ops::Range<usize> {
    if length == 0 {
        return 0..0;
    }
    let start = rng.usize(..length);
    let end = start + rng.usize(..=longest.min(length - start));
    start..end
}
