//! Attention over paged caches.

mod agreement;
mod dtypes;
mod invariance;

use std::ops::Range;

use proptest::prelude::*;

use super::support::{Noise, arena};
use crate::{
    AttentionSpec, CpuOptions, Kernels, KvCache, KvCacheDtype, KvShape, KvSpan, Mask, Param,
    cpu::{Cpu, attention},
    reference,
};

/// A sequence of `len` positions in a cache whose other positions hold NaN.
struct Sequence {
    cache: KvCache,
    blocks: Vec<u32>,
    /// `[len, heads · head_dim]`.
    q: Vec<f32>,
    len: usize,
    spec: AttentionSpec,
}

/// Writes one position of the cache.
fn write(cache: &mut KvCache, slot: usize, key: &[f32], value: &[f32]) {
    // SAFETY: the cache is borrowed mutably, so no other thread uses it.
    unsafe { cache.on_cpu("test").unwrap().write(slot, key, value) };
}

fn sequence(
    spec: AttentionSpec,
    dtype: KvCacheDtype,
    block_size: usize,
    len: usize,
    seed: u64,
) -> Sequence {
    let mut noise = Noise(seed);
    let shape = KvShape {
        blocks: len.div_ceil(block_size) + 2,
        block_size,
        kv_heads: spec.kv_heads,
        key_dim: spec.head_dim,
        value_dim: spec.value_dim,
    };
    let kernels = Kernels::cpu(CpuOptions {
        threads: Some(1),
        ..CpuOptions::default()
    });
    let mut cache = KvCache::new(&kernels, shape, dtype).unwrap();
    let (key_width, value_width) = (
        spec.kv_heads * spec.head_dim,
        spec.kv_heads * spec.value_dim,
    );
    for slot in 0..shape.blocks * block_size {
        write(
            &mut cache,
            slot,
            &vec![f32::NAN; key_width],
            &vec![f32::NAN; value_width],
        );
    }
    // Physical blocks in a scattered order.
    let mut blocks: Vec<u32> = (0..shape.blocks as u32).collect();
    for index in (1..blocks.len()).rev() {
        blocks.swap(index, noise.bits() as usize % (index + 1));
    }
    blocks.truncate(len.div_ceil(block_size));
    for position in 0..len {
        let slot = blocks[position / block_size] as usize * block_size + position % block_size;
        write(
            &mut cache,
            slot,
            &noise.floats(key_width),
            &noise.floats(value_width),
        );
    }
    let q = noise.floats(len * spec.heads * spec.head_dim);
    Sequence {
        cache,
        blocks,
        q,
        len,
        spec,
    }
}

impl Sequence {
    /// The queries of `positions`, and their span.
    fn part(
        &self,
        positions: Range<usize>,
        mask: Mask,
        blocks: &mut Vec<u32>,
    ) -> (&[f32], Range<usize>) {
        let width = self.spec.heads * self.spec.head_dim;
        blocks.clone_from(&self.blocks);
        // Blocks before the window are freed.
        let first = self
            .spec
            .visible(mask, positions.start, positions.end)
            .start;
        blocks[..first / self.cache.shape().block_size].fill(u32::MAX);
        (
            &self.q[positions.start * width..positions.end * width],
            positions,
        )
    }

    fn run(&self, cpu: Option<&Cpu>, positions: Range<usize>, mask: Mask) -> Vec<f32> {
        let mut blocks = Vec::new();
        let (q, positions) = self.part(positions, mask, &mut blocks);
        let spans = [KvSpan {
            rows: 0..positions.len(),
            first_position: positions.start,
            blocks: &blocks,
            mask,
        }];
        match cpu {
            Some(cpu) => attend(cpu, q, &self.cache, &spans, &self.spec),
            None => reference::attention(q, &self.cache, &spans, &self.spec),
        }
    }
}

/// Attention on the CPU.
fn attend(
    cpu: &Cpu,
    q: &[f32],
    cache: &KvCache,
    spans: &[KvSpan<'_>],
    spec: &AttentionSpec,
) -> Vec<f32> {
    let rows = q.len() / (spec.heads * spec.head_dim);
    // Every element has to be written.
    let mut out = vec![f32::NAN; rows * spec.heads * spec.value_dim];
    let cache = cache.on_cpu("test").unwrap();
    attention::attention(cpu, &arena(), q, cache, spans, spec, &mut out).unwrap();
    out
}

fn any_spec() -> impl Strategy<Value = AttentionSpec> {
    let shapes = (1_usize..4, 1_usize..6, 1_usize..40, 1_usize..40);
    let extras = (
        any::<bool>(),
        proptest::option::of(1_usize..40),
        any::<bool>(),
    );
    (shapes, extras).prop_map(
        |((kv_heads, per_head, head_dim, value_dim), (cap, window, sinks))| {
            let heads = kv_heads * per_head;
            AttentionSpec {
                heads,
                kv_heads,
                head_dim,
                value_dim,
                scale: 2.0,
                softcap: cap.then_some(3.0),
                window,
                sinks: sinks.then(|| Param::from(Noise(9).floats(heads))),
            }
        },
    )
}

fn any_type() -> impl Strategy<Value = KvCacheDtype> {
    proptest::sample::select(KvCacheDtype::ALL.to_vec())
}

/// Lengths on both sides of the borders of blocks and chunks, and others.
fn any_len() -> impl Strategy<Value = usize> {
    let borders = [16, 32, 256, 512, 768].into_iter();
    let borders = borders.flat_map(|border| [border - 1, border, border + 1]);
    prop_oneof![
        proptest::sample::select(borders.collect::<Vec<_>>()),
        1_usize..600,
    ]
}

/// Block sizes that divide a chunk, and others.
fn any_block_size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(32_usize), Just(16), Just(256), 1_usize..40]
}
