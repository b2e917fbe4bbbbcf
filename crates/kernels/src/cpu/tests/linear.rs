//! Linear layers with f32 activations.

use proptest::prelude::*;

use super::support::{Noise, at_most, every_format, every_level, fused_levels, is_fused, linear};
use crate::{
    FloatType, Weight,
    cpu::{Cpu, linear::dequantize_row},
    reference,
};

fn describe(cpu: &Cpu, w: &Weight) -> String {
    format!(
        "{:?}, {:?}, [{}, {}]",
        cpu.level,
        w.spec(),
        w.rows(),
        w.cols()
    )
}

/// Each result is within a few roundings of the sum of the magnitudes of its products.
fn assert_close(cpu: &Cpu, w: &Weight, x: &[f32], bias: Option<&[f32]>) {
    let (found, expected) = (linear(cpu, x, w, bias), reference::linear(x, w, bias));
    let mut weight = vec![0.0; w.cols()];
    for n in 0..w.rows() {
        w.dequantize_row(n, &mut weight);
        for (t, x) in x.chunks_exact(w.cols()).enumerate() {
            let size: f32 = x.iter().zip(&weight).map(|(x, w)| (x * w).abs()).sum();
            let (found, expected) = (found[t * w.rows() + n], expected[t * w.rows() + n]);
            assert!(
                (found - expected).abs() <= 5e-7 * size + 1e-7,
                "{}: row {t}, output {n}: {found} for {expected}",
                describe(cpu, w)
            );
        }
    }
}

#[test]
fn linear_matches_the_reference_in_every_format() {
    for w in every_format(53, 384) {
        for rows in [1, 2, 3, 4, 5, 9] {
            let x = Noise(3).floats(rows * w.cols());
            let bias = Noise(4).floats(w.rows());
            for cpu in every_level() {
                assert_close(&cpu, &w, &x, (rows % 2 == 1).then_some(&bias));
            }
        }
    }
}

#[test]
fn linear_handles_widths_that_are_not_whole_vectors() {
    for cols in [1, 15, 16, 17, 40, 100] {
        for float in [FloatType::F32, FloatType::F16, FloatType::BF16] {
            let w = Noise(5).dense(7, cols, float);
            for rows in [1, 3, 6] {
                let x = Noise(6).floats(rows * cols);
                for cpu in every_level() {
                    assert_close(&cpu, &w, &x, None);
                }
            }
        }
    }
}

#[test]
fn dequantize_row_matches_the_reference_exactly() {
    for w in every_format(5, 384) {
        for cpu in every_level() {
            for row in 0..w.rows() {
                let (mut expected, mut found) = (vec![0.0; w.cols()], vec![0.0; w.cols()]);
                w.dequantize_row(row, &mut expected);
                dequantize_row(&cpu, &w, row, &mut found);
                if is_fused(cpu.level) {
                    assert_eq!(expected, found, "{}", describe(&cpu, &w));
                } else {
                    // Product and sum may be rounded separately.
                    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * (1.0 + a.abs());
                    assert!(
                        expected.iter().zip(&found).all(close),
                        "{}",
                        describe(&cpu, &w)
                    );
                }
            }
        }
    }
}

#[test]
fn linear_is_bitwise_equal_on_all_fused_instruction_sets() {
    let fused = fused_levels();
    for w in every_format(11, 384) {
        let x = Noise(8).floats(2 * w.cols());
        let results: Vec<_> = fused.iter().map(|cpu| linear(cpu, &x, &w, None)).collect();
        assert!(
            results.windows(2).all(|pair| pair[0] == pair[1]),
            "{:?}",
            w.spec()
        );
    }
}

proptest! {
    #![proptest_config(at_most(24))]

    /// Batch invariance: a row gives the same bits alone and in a batch.
    #[test]
    fn linear_is_batch_invariant(rows in 1_usize..24, cut in 0_usize..24, seed: u64) {
        let cut = cut.min(rows);
        for w in every_format(50, 256) {
            let x = Noise(seed).floats(rows * w.cols());
            for cpu in every_level() {
                let whole = linear(&cpu, &x, &w, None);
                let (first, second) = x.split_at(cut * w.cols());
                let mut parts = linear(&cpu, first, &w, None);
                parts.extend(linear(&cpu, second, &w, None));
                prop_assert!(whole == parts, "{}", describe(&cpu, &w));
                let alone = linear(&cpu, &x[x.len() - w.cols()..], &w, None);
                prop_assert!(whole[whole.len() - w.rows()..] == alone, "{}", describe(&cpu, &w));
            }
        }
    }
}
