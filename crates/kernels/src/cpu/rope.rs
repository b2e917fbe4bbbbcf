//! Query/key norms, rotary position embedding, and writing keys and values to the cache.

use std::cell::RefCell;

use super::{
    Cpu,
    kv_cache::CpuKvCache,
    norm,
    simd::{Isa, multiversion},
};
use crate::{AttentionSpec, Norm, QkNorms, Rope, shared::SharedOutput};

/// Elements per task.
const TASK_ELEMENTS: usize = 8 * 1024;

thread_local! {
    /// A row's queries and keys, and a second buffer for their norms.
    static SCRATCH: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Writes the cosines, the sines, then the factor of the queries, if there is one, of every position to `out`.
pub(crate) fn rope_cos_sin(cpu: &Cpu, rope: &Rope, positions: &[u32], out: &mut [f32]) {
    let (pairs, width) = (rope.inverse_frequencies.len(), rope.row_width());
    assert!(out.len() == positions.len() * width);
    let out = SharedOutput::new(out);
    let per_task = (TASK_ELEMENTS / 32 / pairs.max(1)).max(1);
    cpu.pool
        .parallel_for(positions.len().div_ceil(per_task), &|task| {
            for row in task * per_task..positions.len().min((task + 1) * per_task) {
                // SAFETY: only this task accesses the row.
                let row_out = unsafe { out.part(row * width, width) };
                let (cosines, sines) = row_out.split_at_mut(pairs);
                if let Some(scaling) = &rope.query_scaling {
                    sines[pairs] = scaling.factor(positions[row]);
                }
                for (pair, frequency) in rope.inverse_frequencies.iter().enumerate() {
                    (sines[pair], cosines[pair]) = (positions[row] as f32 * frequency).sin_cos();
                }
            }
        });
}

/// The angles of each row.
#[derive(Clone, Copy)]
pub(crate) struct Rotation<'a> {
    /// Leading elements of each head that are rotated.
    pub dims: usize,
    /// As in [`Rope`].
    pub traditional: bool,
    pub attention_factor: f32,
    pub before_norms: bool,
    /// `dims`, and one more if queries are scaled.
    pub row_width: usize,
    /// For each row `dims / 2` cosines, as many sines, then the factor of the queries if they are scaled.
    pub values: &'a [f32],
}

impl Rotation<'_> {
    /// The factor of a row's queries, if they are scaled.
    fn query_factor(&self, row: usize) -> Option<f32> {
        let values = &self.values[row * self.row_width..][..self.row_width];
        values.get(self.dims).copied()
    }
}

/// The arguments of [`rope_and_cache`].
pub(crate) struct RopeAndCache<'a> {
    /// Queries, keys and values of each row.
    pub qkv: &'a [f32],
    pub spec: &'a AttentionSpec,
    pub norms: Option<&'a QkNorms>,
    pub angles: Option<Rotation<'a>>,
    pub cache: &'a CpuKvCache,
    pub slots: &'a [u32],
}

/// Writes each row's keys and values to its slot, and its queries to `out`.
///
/// # Safety
/// The slots are distinct, and no other thread uses the cache.
pub(crate) unsafe fn rope_and_cache(cpu: &Cpu, args: &RopeAndCache<'_>, out: &mut [f32]) {
    let spec = args.spec;
    let q_width = spec.heads * spec.head_dim;
    let k_width = spec.kv_heads * spec.head_dim;
    let width = q_width + k_width + spec.kv_heads * spec.value_dim;
    let rows = args.slots.len();
    let before_norms = args.angles.is_some_and(|angles| angles.before_norms);
    assert!(out.len() == rows * q_width);
    let out = SharedOutput::new(out);
    let per_task = (TASK_ELEMENTS / width).max(1);
    cpu.pool.parallel_for(rows.div_ceil(per_task), &|task| {
        SCRATCH.with_borrow_mut(|[scratch, normalized]| {
            for row in task * per_task..rows.min((task + 1) * per_task) {
                let (qk, v) = args.qkv[row * width..][..width].split_at(q_width + k_width);
                scratch.clear();
                scratch.extend_from_slice(qk);
                let (q, k) = scratch.split_at_mut(q_width);
                let mut normalize_heads = |q: &mut [f32], k: &mut [f32]| {
                    if let Some(norms) = args.norms {
                        normalize(cpu, &norms.q, q, normalized);
                        normalize(cpu, &norms.k, k, normalized);
                    }
                };
                if !before_norms {
                    normalize_heads(q, k);
                }
                if let Some(angles) = &args.angles {
                    // SAFETY: the CPU supports `cpu.level`, which was detected.
                    unsafe {
                        rotate(cpu.level, q, spec.head_dim, angles, row);
                        rotate(cpu.level, k, spec.head_dim, angles, row);
                    }
                }
                if before_norms {
                    normalize_heads(q, k);
                }
                if let Some(factor) = args.angles.and_then(|angles| angles.query_factor(row)) {
                    for q in q.iter_mut() {
                        *q *= factor;
                    }
                }
                // SAFETY: the row and, since slots are distinct and the cache is used by this call alone, its slot are
                // accessed by this task only.
                unsafe {
                    out.part(row * q_width, q_width).copy_from_slice(q);
                    args.cache.write(args.slots[row] as usize, k, v);
                }
            }
        });
    });
}

fn normalize(cpu: &Cpu, norm: &Norm, x: &mut [f32], scratch: &mut Vec<f32>) {
    scratch.resize(x.len(), 0.0);
    // SAFETY: the CPU supports `cpu.level`, which was detected.
    unsafe { norm::chunks(cpu.level, norm, x, norm.normalized_size(x.len()), scratch) };
    x.copy_from_slice(scratch);
}

multiversion! {
    /// Rotates the heads of a row.
    rotate [] [] (heads: &mut [f32], head_dim: usize, angles: &Rotation<'_>, row: usize) = rotate_with
}

/// # Safety
/// The CPU supports `I`.
#[inline(always)]
unsafe fn rotate_with<I: Isa>(
    heads: &mut [f32],
    head_dim: usize,
    angles: &Rotation<'_>,
    row: usize,
) {
    let (dims, attention_factor) = (angles.dims, angles.attention_factor);
    let (cosines, sines) = angles.values[row * angles.row_width..][..dims].split_at(dims / 2);
    for head in heads.chunks_exact_mut(head_dim) {
        let rotated = &mut head[..dims];
        let cos_sin = cosines.iter().zip(sines);
        if angles.traditional {
            for (pair, (cos, sin)) in rotated.chunks_exact_mut(2).zip(cos_sin) {
                let (a, b) = (pair[0] * attention_factor, pair[1] * attention_factor);
                pair[0] = I::fma1(a, *cos, -(b * sin));
                pair[1] = I::fma1(a, *sin, b * cos);
            }
        } else {
            let (first, second) = rotated.split_at_mut(dims / 2);
            for ((first, second), (cos, sin)) in first.iter_mut().zip(second).zip(cos_sin) {
                let (a, b) = (*first * attention_factor, *second * attention_factor);
                *first = I::fma1(a, *cos, -(b * sin));
                *second = I::fma1(a, *sin, b * cos);
            }
        }
    }
}
