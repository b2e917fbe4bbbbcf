//! Mutations of safetensors files: of the header as JSON, with the length corrected, or of the bytes.

use fastrand::Rng;

use super::{bytes, json};

/// Bytes of the length of the header.
const LENGTH_BYTES: usize = 8;

pub(crate) fn mutate(rng: &mut Rng, example: &[u8], other: &[u8]) -> Vec<u8> {
    let header = header(example);
    match (header, rng.bool()) {
        (Some((header, data)), true) => {
            let mut changed = json::mutate(rng, header, &[]);
            // The data starts at a multiple of 8.
            changed.resize(changed.len().next_multiple_of(LENGTH_BYTES), b' ');
            [
                &(changed.len() as u64).to_le_bytes()[..],
                &changed[..],
                data,
            ]
            .concat()
        }
        _ => bytes::mutate(rng, example, other),
    }
}

/// The header and the data.
fn header(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk::<LENGTH_BYTES>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}
