//! Batch invariance.

use std::ops::Range;

use proptest::prelude::*;

use super::{
    super::support::{self, at_most, every_level},
    Sequence, any_block_size, any_len, any_spec, any_type, attend, sequence,
};
use crate::{AttentionSpec, KvCacheDtype, KvSpan, Mask, cpu::Cpu};

/// Runs parts of a sequence as separate spans of one batch, each followed by a row that belongs to no span.
fn run_batch(sequence: &Sequence, cpu: &Cpu, parts: &[Range<usize>]) -> Vec<Vec<f32>> {
    let spec = &sequence.spec;
    let (q_width, width) = (spec.heads * spec.head_dim, spec.heads * spec.value_dim);
    let mut q = Vec::new();
    let mut spans = Vec::new();
    for part in parts {
        let first = q.len() / q_width;
        q.extend_from_slice(&sequence.q[part.start * q_width..part.end * q_width]);
        q.extend(vec![1.0; q_width]);
        spans.push(KvSpan {
            rows: first..first + part.len(),
            first_position: part.start,
            blocks: &sequence.blocks,
            mask: Mask::Causal,
        });
    }
    let out = attend(cpu, &q, &sequence.cache, &spans, spec);
    let results = spans.iter().map(|span| {
        let unused = &out[span.rows.end * width..][..width];
        assert!(unused.iter().all(|x| *x == 0.0));
        out[span.rows.start * width..span.rows.end * width].to_vec()
    });
    results.collect()
}

/// The same level with other numbers of threads.
fn with_threads(cpu: &Cpu) -> impl Iterator<Item = Cpu> {
    [1, 3, 4].into_iter().map(|threads| Cpu {
        dots: cpu.dots,
        level: cpu.level,
        ..support::with_threads(threads)
    })
}

proptest! {
    #![proptest_config(at_most(60))]

    /// The last rows of a sequence alone, one by one, and between other parts of it, on any number of threads.
    #[test]
    fn attention_is_invariant_to_batch_and_threads(
        spec in any_spec(), dtype in any_type(), block_size in any_block_size(), len in any_len(),
        rows in 1_usize..20, before in 1_usize..40, after in 1_usize..40, seed: u64,
    ) {
        let sequence = sequence(spec, dtype, block_size, len, seed);
        let part = len.saturating_sub(rows)..len;
        let single: Vec<_> = part.clone().map(|position| position..position + 1).collect();
        let batch = [0..before.min(len), part.clone(), len.saturating_sub(after)..len];
        for cpu in every_level() {
            let alone = sequence.run(Some(&cpu), part.clone(), Mask::Causal);
            for cpu in with_threads(&cpu) {
                let threads = cpu.threads();
                prop_assert!(
                    alone == sequence.run(Some(&cpu), part.clone(), Mask::Causal),
                    "{:?}, {threads} threads", cpu.level
                );
                prop_assert!(
                    alone == run_batch(&sequence, &cpu, &batch)[1],
                    "{:?}, {threads} threads, batched", cpu.level
                );
                prop_assert!(
                    alone == run_batch(&sequence, &cpu, &single).concat(),
                    "{:?}, {threads} threads, row by row", cpu.level
                );
            }
        }
    }

    /// A prompt gives the same bits whole, in chunks, and position by position.
    #[test]
    fn attention_is_invariant_to_prompt_chunks(
        spec in any_spec(), dtype in any_type(), block_size in 1_usize..40, len in 1_usize..90, chunk in 1_usize..40, seed: u64,
    ) {
        let sequence = sequence(spec, dtype, block_size, len, seed);
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

/// The sequence is long enough for split-KV.
#[test]
fn split_kv_is_bitwise_equal_to_unsplit() {
    for dtype in KvCacheDtype::ALL {
        let spec = AttentionSpec {
            heads: 6,
            kv_heads: 2,
            head_dim: 32,
            value_dim: 48,
            scale: 0.25,
            softcap: None,
            window: None,
            sinks: Some(vec![0.5; 6].into()),
        };
        let sequence = sequence(spec, dtype, 32, 2000, 3);
        for cpu in every_level() {
            let alone = |cpu: &Cpu| sequence.run(Some(cpu), 1999..2000, Mask::Causal);
            let batch: Vec<_> = (1990..2000)
                .map(|position| position..position + 1)
                .collect();
            let [one, three, four] = with_threads(&cpu).collect::<Vec<_>>().try_into().unwrap();
            let expected = alone(&one);
            assert_eq!(alone(&three), expected);
            assert_eq!(alone(&four), expected);
            assert_eq!(run_batch(&sequence, &three, &batch)[9], expected);
        }
    }
}
