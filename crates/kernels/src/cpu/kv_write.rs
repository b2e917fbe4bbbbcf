//! Writing keys and values to a cache, converted to its type.

use super::simd::{Isa, LANES, load_part, multiversion};
use crate::kv::{GROUP, KvCacheDtype};

/// The memory of one head at one position; see [`super::kv_cache::CpuKvCache`] for the layout.
pub(crate) struct CacheSlot {
    pub dtype: KvCacheDtype,
    /// The keys of the head in its block.
    pub keys: *mut u8,
    /// The values of the head in its block.
    pub values: *mut u8,
    /// Position within the block.
    pub offset: usize,
    pub stride: usize,
    pub value_stride: usize,
}

multiversion! {
    /// Stores a key and a value.
    pub(crate) write [] [] (slot: &CacheSlot, key: &[f32], value: &[f32]) = write_with
}

/// # Safety
/// The CPU supports `I`. `slot.keys` and `slot.values` point to the tiles of one head of a block in a
/// [`super::kv_cache::CpuKvCache`] of type `slot.dtype`, whose `key_dim` and `value_dim` are the lengths of `key` and `value`,
/// with the strides of `slot`; `slot.offset` is below the stride. The tiles are aligned for f32 and do not overlap
/// `key` and `value`. No other thread accesses position `slot.offset` of the tiles.
#[inline(always)]
unsafe fn write_with<I: Isa>(slot: &CacheSlot, key: &[f32], value: &[f32]) {
    let &CacheSlot {
        keys,
        values,
        offset,
        stride,
        value_stride,
        ..
    } = slot;
    // SAFETY: by the contract of this function the CPU supports `I`, and the tiles have the layout of the cache:
    // elements and scales of position `offset` are inside them, values are padded to whole vectors, and rows of
    // values are aligned. Codes and scales of other positions are not accessed.
    unsafe {
        match slot.dtype {
            KvCacheDtype::F32 => {
                let keys = keys.cast::<f32>().add(offset);
                for (element, key) in key.iter().enumerate() {
                    keys.add(element * stride).write_unaligned(*key);
                }
                let values = values.cast::<f32>().add(offset * value_stride);
                std::ptr::copy_nonoverlapping(value.as_ptr(), values, value.len());
            }
            KvCacheDtype::F16 => {
                let keys = keys.cast::<u16>().add(offset);
                for (run, key) in key.chunks(LANES).enumerate() {
                    let keys = keys.add(run * LANES * stride);
                    for (element, key) in to_f16::<I>(key)[..key.len()].iter().enumerate() {
                        keys.add(element * stride).write_unaligned(*key);
                    }
                }
                let values = values.cast::<u16>().add(offset * value_stride);
                for (run, value) in value.chunks(LANES).enumerate() {
                    // The row is padded to whole vectors.
                    let narrow = to_f16::<I>(value);
                    std::ptr::copy_nonoverlapping(narrow.as_ptr(), values.add(run * LANES), LANES);
                }
            }
            KvCacheDtype::Int8 => {
                let scales = keys.add(key.len() * stride).cast::<u16>().add(offset);
                let keys = keys.cast::<i8>().add(offset);
                for (run, key) in key.chunks(GROUP).enumerate() {
                    let (codes, scale) = quantize(key);
                    let keys = keys.add(run * GROUP * stride);
                    for (element, code) in codes[..key.len()].iter().enumerate() {
                        keys.add(element * stride).write(*code);
                    }
                    scales.add(run * stride).write_unaligned(scale);
                }
                let runs = value.len().div_ceil(GROUP);
                let scales = values.add(stride * value_stride).cast::<u16>();
                let values = values.cast::<i8>().add(offset * value_stride);
                for (run, value) in value.chunks(GROUP).enumerate() {
                    let (codes, scale) = quantize(value);
                    std::ptr::copy_nonoverlapping(
                        codes.as_ptr(),
                        values.add(run * GROUP),
                        value.len(),
                    );
                    scales.add(offset * runs + run).write_unaligned(scale);
                }
            }
        }
    }
}

/// Narrows at most sixteen elements, followed by zeros.
///
/// # Safety
/// The CPU supports `I`; there are at most sixteen elements.
#[inline(always)]
unsafe fn to_f16<I: Isa>(elements: &[f32]) -> [u16; LANES] {
    let mut narrow = [0; LANES];
    // SAFETY: the contract of this function; as many elements are loaded as there are, and `narrow` has sixteen.
    unsafe {
        let wide = if elements.len() == LANES {
            I::load(elements.as_ptr())
        } else {
            load_part::<I>(elements.as_ptr(), elements.len())
        };
        I::store_f16(narrow.as_mut_ptr(), wide);
    }
    narrow
}

/// At most [`GROUP`] elements as multiples of a bf16 scale.
#[inline(always)]
fn quantize(elements: &[f32]) -> ([i8; GROUP], u16) {
    // Adding and subtracting this constant rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    const NAN: u16 = 0x7fc0;
    let mut padded = [0.0; GROUP];
    padded[..elements.len()].copy_from_slice(elements);
    let mut largest = [0_u32; LANES];
    for run in padded.chunks_exact(LANES) {
        for lane in 0..LANES {
            largest[lane] = largest[lane].max(run[lane].to_bits() & 0x7fff_ffff);
        }
    }
    // Magnitudes are ordered like their bits, infinity and NaN last.
    let largest = f32::from_bits(largest.into_iter().fold(0, u32::max));
    if !largest.is_finite() {
        return ([0; GROUP], NAN);
    }
    // Rounded up, so that no code is beyond 127.
    let scale = ((largest / 127.0).to_bits() + 0xffff) >> 16;
    let wide = f32::from_bits(scale << 16);
    if wide < f32::MIN_POSITIVE {
        return ([0; GROUP], 0);
    }
    let inverse = 1.0 / wide;
    let mut codes = [0; GROUP];
    for (code, element) in codes.iter_mut().zip(&padded) {
        let rounded = element * inverse + ROUND;
        *code = (rounded.to_bits() as i32 - ROUND.to_bits() as i32) as i8;
    }
    (codes, scale as u16)
}
