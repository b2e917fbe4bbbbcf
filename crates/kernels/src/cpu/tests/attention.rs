//! Attention over paged caches.

use std::ops::Range;

use proptest::prelude::*;

use super::support::{Noise, every_level, fused_levels};
use crate::{
    AttentionSpec, CpuOptions, Kernels, KvCache, KvShape, KvSpan, KvType, Mask, Vector,
    cpu::attention::attention, reference,
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

/// Stores a position of a cache that nobody else uses.
fn write(cache: &mut KvCache, slot: usize, key: &[f32], value: &[f32]) {
    // SAFETY: the borrow is unique.
    unsafe { cache.write(slot, key, value) };
}

fn sequence(
    spec: AttentionSpec,
    kv_type: KvType,
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
    let mut cache = KvCache::new(&kernels, shape, kv_type).unwrap();
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
    /// The queries of `positions`, and the span that asks for them.
    fn part(
        &self,
        positions: Range<usize>,
        mask: Mask,
        blocks: &mut Vec<u32>,
    ) -> (&[f32], Range<usize>) {
        let width = self.spec.heads * self.spec.head_dim;
        blocks.clone_from(&self.blocks);
        // What lies behind the window has been freed.
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

    fn run(
        &self,
        cpu: Option<&super::super::Cpu>,
        positions: Range<usize>,
        mask: Mask,
    ) -> Vec<f32> {
        let mut blocks = Vec::new();
        let (q, positions) = self.part(positions, mask, &mut blocks);
        let spans = [KvSpan {
            rows: 0..positions.len(),
            first_position: positions.start,
            blocks: &blocks,
            mask,
        }];
        match cpu {
            Some(cpu) => attention(cpu, q, &self.cache, &spans, &self.spec),
            None => reference::attention(q, &self.cache, &spans, &self.spec),
        }
    }
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
                sinks: sinks.then(|| Vector::from(Noise(9).floats(heads))),
            }
        },
    )
}

fn any_type() -> impl Strategy<Value = KvType> {
    proptest::sample::select(KvType::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn agrees_with_the_reference_and_reads_only_what_is_visible(
        spec in any_spec(), kv_type in any_type(), block_size in 1_usize..40, len in 1_usize..90, from in 0.0..1.0, seed: u64,
        mask in prop_oneof![Just(Mask::Causal), Just(Mask::Bidirectional)],
    ) {
        let sequence = sequence(spec, kv_type, block_size, len, seed);
        let positions = (from * len as f64) as usize..len;
        let expected = sequence.run(None, positions.clone(), mask);
        for cpu in every_level() {
            let found = sequence.run(Some(&cpu), positions.clone(), mask);
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                prop_assert!(
                    (found - expected).abs() <= 3e-6,
                    "{:?}: element {index} is {found} for {expected}", cpu.level
                );
            }
        }
    }

    #[test]
    fn vector_instruction_sets_agree_bitwise(
        spec in any_spec(), kv_type in any_type(), block_size in 1_usize..40, len in 1_usize..90, seed: u64,
    ) {
        let sequence = sequence(spec, kv_type, block_size, len, seed);
        let results: Vec<_> = fused_levels()
            .iter()
            .map(|cpu| sequence.run(Some(cpu), 0..len, Mask::Causal))
            .collect();
        prop_assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    /// A prompt gives the same bits whole, in chunks, and position by position.
    #[test]
    fn chunks_do_not_matter(
        spec in any_spec(), kv_type in any_type(), block_size in 1_usize..40, len in 1_usize..90, chunk in 1_usize..40, seed: u64,
    ) {
        let sequence = sequence(spec, kv_type, block_size, len, seed);
        for cpu in every_level() {
            let whole = sequence.run(Some(&cpu), 0..len, Mask::Causal);
            for chunk in [chunk, 1] {
                let parts: Vec<f32> = (0..len)
                    .step_by(chunk)
                    .flat_map(|start| {
                        sequence.run(Some(&cpu), start..len.min(start + chunk), Mask::Causal)
                    })
                    .collect();
                prop_assert!(whole == parts, "{:?} in chunks of {chunk}", cpu.level);
            }
        }
    }
}

#[test]
fn spans_of_one_batch_do_not_touch_each_other() {
    let spec = AttentionSpec {
        heads: 6,
        kv_heads: 2,
        head_dim: 16,
        value_dim: 16,
        scale: 0.25,
        softcap: None,
        window: Some(20),
        sinks: None,
    };
    let sequence = sequence(spec, KvType::F16, 16, 80, 11);
    let width = 6 * 16;
    for cpu in every_level() {
        // Three parts of the sequence as if they were three, with an unused row between.
        let parts = [0..7, 30..31, 50..80];
        let mut q = Vec::new();
        let mut spans = Vec::new();
        for part in &parts {
            let rows = q.len() / width..q.len() / width + part.len();
            q.extend_from_slice(&sequence.q[part.start * width..part.end * width]);
            q.extend(vec![1.0; width]);
            let (blocks, mask) = (&*sequence.blocks, Mask::Causal);
            spans.push(KvSpan {
                rows,
                first_position: part.start,
                blocks,
                mask,
            });
        }
        let together = attention(&cpu, &q, &sequence.cache, &spans, &sequence.spec);
        for (part, span) in parts.iter().zip(&spans) {
            let alone = sequence.run(Some(&cpu), part.clone(), Mask::Causal);
            assert_eq!(
                together[span.rows.start * width..span.rows.end * width],
                alone
            );
            let unused = &together[span.rows.end * width..][..width];
            assert!(unused.iter().all(|x| *x == 0.0));
        }
    }
}

#[test]
fn the_window_counts_the_row_itself() {
    // With equal scores the result is the mean of the visible values, which are their positions.
    let spec = |window| AttentionSpec {
        heads: 1,
        kv_heads: 1,
        head_dim: 1,
        value_dim: 1,
        scale: 0.0,
        softcap: None,
        window,
        sinks: None,
    };
    for (window, expected) in [
        (None, 5.0),
        (Some(1), 10.0),
        (Some(3), 9.0),
        (Some(99), 5.0),
    ] {
        let mut sequence = sequence(spec(window), KvType::F32, 16, 11, 1);
        for position in 0..11 {
            let slot = sequence.blocks[0] as usize * 16 + position;
            write(&mut sequence.cache, slot, &[1.0], &[position as f32]);
        }
        for cpu in every_level() {
            let found = sequence.run(Some(&cpu), 10..11, Mask::Causal);
            assert!((found[0] - expected).abs() < 1e-5, "{window:?}: {found:?}");
        }
        assert_eq!(sequence.len, 11);
    }
}
