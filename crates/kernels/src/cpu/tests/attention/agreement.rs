//! Agreement with the reference on every instruction set.

use proptest::prelude::*;

use super::{
    super::support::{at_most, every_level, fused_levels, with_threads},
    any_block_size, any_len, any_spec, any_type, sequence, write,
};
use crate::{AttentionSpec, KvCacheDtype, Mask, cpu::attention::scratch_bytes};

proptest! {
    #![proptest_config(at_most(60))]

    #[test]
    fn attention_matches_the_reference_and_reads_only_visible_positions(
        spec in any_spec(), dtype in any_type(), block_size in 1_usize..40, len in 1_usize..90, from in 0.0..1.0, seed: u64,
        mask in prop_oneof![Just(Mask::Causal), Just(Mask::Bidirectional)],
    ) {
        let sequence = sequence(spec, dtype, block_size, len, seed);
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

    /// The last rows of sequences that are several blocks and chunks long.
    #[test]
    fn attention_matches_the_reference_at_block_and_chunk_borders(
        spec in any_spec(), dtype in any_type(), block_size in any_block_size(), len in any_len(),
        rows in 1_usize..6, seed: u64,
    ) {
        let sequence = sequence(spec, dtype, block_size, len, seed);
        let positions = len.saturating_sub(rows)..len;
        let expected = sequence.run(None, positions.clone(), Mask::Causal);
        for cpu in every_level() {
            let found = sequence.run(Some(&cpu), positions.clone(), Mask::Causal);
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                prop_assert!(
                    (found - expected).abs() <= 3e-6,
                    "{:?}: element {index} is {found} for {expected}", cpu.level
                );
            }
        }
    }

    #[test]
    fn attention_is_bitwise_equal_on_all_fused_instruction_sets(
        spec in any_spec(), dtype in any_type(), block_size in 1_usize..40, len in 1_usize..90, seed: u64,
    ) {
        let sequence = sequence(spec, dtype, block_size, len, seed);
        let results: Vec<_> = fused_levels()
            .iter()
            .map(|cpu| sequence.run(Some(cpu), 0..len, Mask::Causal))
            .collect();
        prop_assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn window_includes_the_row_itself() {
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
        let mut sequence = sequence(spec(window), KvCacheDtype::F32, 16, 11, 1);
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

#[test]
fn attention_scratch_does_not_grow_with_the_sequence() {
    let spec = AttentionSpec {
        heads: 8,
        kv_heads: 1,
        head_dim: 16,
        value_dim: 16,
        scale: 0.5,
        softcap: None,
        window: None,
        sinks: None,
    };
    let sequence = sequence(spec, KvCacheDtype::F16, 32, 32_768, 5);
    // The scratch memory is per thread. With one thread, this one computes all chunks.
    let cpu = with_threads(1);
    let mut sizes = Vec::new();
    for end in [600, 8192, 32_768] {
        let positions = end - 8..end;
        let found = sequence.run(Some(&cpu), positions.clone(), Mask::Causal);
        sizes.push(scratch_bytes());
        let expected = sequence.run(None, positions, Mask::Causal);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 3e-6, "{found} for {expected}");
        }
    }
    assert!(
        sizes[0] > 0 && sizes.iter().all(|size| *size == sizes[0]),
        "{sizes:?}"
    );
}
