//! Repacking of quantized weights.

use super::{CHUNK, RepackedWeight, TILE, VECTOR};
use crate::{
    KernelError,
    cpu::{
        Cpu,
        simd::{Isa, multiversion},
    },
    shared::SharedOutput,
    weight::{Floats, Quantized, Scales},
};

/// Bytes of tiles per task.
const TASK_BYTES: usize = 256 * 1024;

impl RepackedWeight {
    /// Repacks a weight of `rows` by `cols`; `None` for formats without an int8 kernel.
    pub fn pack(
        cpu: &Cpu,
        quantized: &Quantized,
        rows: usize,
        cols: usize,
    ) -> Result<Option<Self>, KernelError> {
        let Some(scales) = Self::scale_format(quantized, cols) else {
            return Ok(None);
        };
        let mut weight = Self {
            spec: quantized.spec,
            rows,
            cols,
            scales,
            memory: cpu.arena.reserve(0)?,
        };
        let (count, size) = (weight.tiles(), weight.tile_bytes());
        let mut memory = cpu.arena.reserve(count * size)?;
        let out = SharedOutput::new(memory.as_mut_slice());
        let per_task = (TASK_BYTES / size).max(1);
        cpu.pool.parallel_for(count.div_ceil(per_task), &|task| {
            for tile in task * per_task..count.min((task + 1) * per_task) {
                // SAFETY: the CPU supports `cpu.level`, which was detected. Every tile has its own part, packed by
                // one task.
                unsafe {
                    let out = out.part(tile * size, size);
                    pack_tile(cpu.level, &weight, quantized, tile, out);
                }
            }
        });
        weight.memory = memory;
        Ok(Some(weight))
    }
}

multiversion! {
    pack_tile [] [] (weight: &RepackedWeight, quantized: &Quantized, tile: usize, out: &mut [u8]) = pack_tile_with
}

/// Fills a tile, which is zeroed memory.
///
/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn pack_tile_with<I: Isa>(
    weight: &RepackedWeight,
    quantized: &Quantized,
    tile: usize,
    out: &mut [u8],
) {
    match weight.spec.bits {
        2 => pack_codes::<2>(weight, quantized, tile, out),
        3 => pack_codes::<3>(weight, quantized, tile, out),
        4 => pack_codes::<4>(weight, quantized, tile, out),
        5 => pack_codes::<5>(weight, quantized, tile, out),
        6 => pack_codes::<6>(weight, quantized, tile, out),
        _ => pack_codes::<8>(weight, quantized, tile, out),
    }
    pack_scales(weight, quantized, tile, out);
}

#[inline(always)]
fn pack_codes<const BITS: usize>(
    weight: &RepackedWeight,
    quantized: &Quantized,
    tile: usize,
    out: &mut [u8],
) {
    let chunks = weight.chunks_per_record();
    for lane in 0..TILE.min(weight.rows - tile * TILE) {
        let row = (tile * TILE + lane) * quantized.row_bytes;
        let row = &quantized.weight.as_slice()[row..][..quantized.row_bytes];
        let records = out.chunks_exact_mut(weight.record_bytes());
        for (record, row) in records.zip(row.chunks_exact(chunks * CHUNK * BITS / 8)) {
            let to = record.chunks_exact_mut(BITS * VECTOR);
            for (to, from) in to.zip(row.chunks_exact(CHUNK * BITS / 8)) {
                if BITS == 4 {
                    pack_nibbles(from, lane, to);
                } else {
                    pack_chunk::<BITS>(from, lane, to);
                }
            }
        }
    }
}

/// A chunk of 4-bit codes of one output: the words of its first half in the low nibbles, of its second in the high
/// ones.
#[inline(always)]
fn pack_nibbles(from: &[u8], lane: usize, to: &mut [u8]) {
    const LOW: u64 = u64::from_ne_bytes([0x0f; 8]);
    let half = |at: usize| {
        let mut bytes = [0; CHUNK / 4];
        bytes.copy_from_slice(&from[at..][..CHUNK / 4]);
        u64::from_le_bytes(bytes)
    };
    let (first, second) = (half(0), half(CHUNK / 4));
    // The codes at even positions, and those at odd ones.
    let even = first & LOW | (second & LOW) << 4;
    let odd = (first >> 4) & LOW | second & !LOW;
    for (pair, shift) in [0, 32].into_iter().enumerate() {
        let words = spread((even >> shift) as u32) | spread((odd >> shift) as u32) << 8;
        for (word, bytes) in words.to_le_bytes().chunks_exact(4).enumerate() {
            to[(2 * pair + word) * VECTOR + 4 * lane..][..4].copy_from_slice(bytes);
        }
    }
}

/// Four bytes with a zero byte after each.
#[inline(always)]
fn spread(bytes: u32) -> u64 {
    let pairs = (u64::from(bytes) | u64::from(bytes) << 16) & 0x0000_ffff_0000_ffff;
    (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff
}

/// A chunk of one output, plane by plane.
#[inline(always)]
fn pack_chunk<const BITS: usize>(from: &[u8], lane: usize, to: &mut [u8]) {
    let words = unpack_words::<BITS>(from);
    let mut done = 0;
    let mut to = to;
    for width in [8, 4, 2, 1] {
        if BITS & width == 0 {
            continue;
        }
        let mask = u32::from_ne_bytes([((1_u32 << width) - 1) as u8; 4]);
        let (plane, rest) = to.split_at_mut(width * VECTOR);
        to = rest;
        for (v, vector) in plane.chunks_exact_mut(VECTOR).enumerate() {
            let mut packed = 0;
            for b in 0..8 / width {
                let word = match width {
                    8 => v,
                    4 => v + 4 * b,
                    2 => 4 * v + b,
                    _ => b,
                };
                packed |= ((words[word] >> done) & mask) << (b * width);
            }
            vector[4 * lane..][..4].copy_from_slice(&packed.to_le_bytes());
        }
        done += width;
    }
}

/// The eight words of a chunk of one output, a byte to each code.
#[inline(always)]
fn unpack_words<const BITS: usize>(from: &[u8]) -> [u32; 8] {
    let mut words = [0; 8];
    for (from, words) in from.chunks_exact(BITS).zip(words.chunks_exact_mut(2)) {
        let mut bytes = [0; 8];
        bytes[..BITS].copy_from_slice(from);
        let bits = u64::from_le_bytes(bytes);
        let mut codes = 0;
        for index in 0..8 {
            codes |= ((bits >> (index * BITS)) & ((1 << BITS) - 1)) << (8 * index);
        }
        words[0] = codes as u32;
        words[1] = (codes >> 32) as u32;
    }
    words
}

/// Scales, then biases, of every group, in the stored type.
#[inline(always)]
fn pack_scales(weight: &RepackedWeight, quantized: &Quantized, tile: usize, out: &mut [u8]) {
    let groups = quantized.groups_per_row;
    let (per_record, size) = (weight.groups_per_record(), weight.scales.bytes());
    for (index, record) in out.chunks_exact_mut(weight.record_bytes()).enumerate() {
        let places = record[weight.code_bytes()..].chunks_exact_mut(size);
        for (place, group) in places.zip(index * per_record..) {
            for lane in 0..TILE.min(weight.rows - tile * TILE) {
                let at = (tile * TILE + lane) * groups + group;
                match &quantized.scales {
                    Scales::Affine { scales, biases } => {
                        let (first, second) = place.split_at_mut(size / 2);
                        copy_float(scales, at, lane, first);
                        copy_float(biases, at, lane, second);
                    }
                    Scales::E8m0(codes) | Scales::E4m3 { codes, .. } => {
                        place[lane] = codes.as_slice()[at];
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn copy_float(from: &Floats, at: usize, lane: usize, to: &mut [u8]) {
    // A copy of unknown size would be a call.
    match from.element_bytes() {
        2 => copy_element::<2>(from.as_bytes(), at, lane, to),
        _ => copy_element::<4>(from.as_bytes(), at, lane, to),
    }
}

#[inline(always)]
fn copy_element<const SIZE: usize>(from: &[u8], at: usize, lane: usize, to: &mut [u8]) {
    to[lane * SIZE..][..SIZE].copy_from_slice(&from[at * SIZE..][..SIZE]);
}
