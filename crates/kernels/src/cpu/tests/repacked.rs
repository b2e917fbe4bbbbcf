//! Linear layers with repacked weights and int8 activations.

use proptest::prelude::*;

use super::support::{Noise, at_most, every_dot_level, every_format, fused_linear, linear, norm};
use crate::{
    Activation, FloatType, Linear, Norm, QuantMode, QuantSpec, Weight,
    cpu::{
        Cpu,
        epilogue::Epilogue,
        fused_linear::FusedLinearInput,
        repack::{Int8DotLevel, RepackedWeight},
    },
    reference,
    weight::Storage,
};

/// A weight of every format that can be repacked, and the same weight repacked.
fn every_repacked_format(rows: usize, cols: usize) -> Vec<(Weight, Weight)> {
    every_format(rows, cols)
        .into_iter()
        .filter_map(|w| Some((with_repacked(&w)?, w)))
        .map(|(repacked, w)| (w, repacked))
        .collect()
}

fn with_repacked(w: &Weight) -> Option<Weight> {
    let Storage::Quantized(quantized) = w.storage() else {
        return None;
    };
    let cpu = every_dot_level().pop()?;
    let repacked = RepackedWeight::pack(&cpu, quantized, w.rows(), w.cols()).unwrap()?;
    Some(w.with_repacked(repacked))
}

fn describe(cpu: &Cpu, w: &Weight) -> String {
    format!(
        "{:?}, {:?}, [{}, {}]",
        cpu.dots,
        w.spec(),
        w.rows(),
        w.cols()
    )
}

#[test]
fn repack_supports_every_format_except_mxfp8() {
    // Six widths, three group sizes, and two of the float formats.
    assert_eq!(every_repacked_format(20, 256).len(), 20);
    // A chunk of 32 columns holds two groups of nvfp4, so a weight with an odd number of groups is not repacked.
    let spec = QuantSpec::default_for(QuantMode::Nvfp4);
    let odd = Noise(1).quantized(20, 128 + 16, spec, FloatType::F32);
    assert!(with_repacked(&odd).is_none());
}

#[test]
fn repack_keeps_every_value_and_the_size() {
    for (w, repacked) in every_repacked_format(37, 384) {
        for row in 0..w.rows() {
            let (mut expected, mut found) = (vec![0.0; w.cols()], vec![0.0; w.cols()]);
            w.dequantize_row(row, &mut expected);
            repacked.dequantize_row(row, &mut found);
            assert_eq!(found, expected, "{:?}", w.spec());
        }
        // Except for the outputs that pad the last tile.
        assert_eq!(repacked.size_bytes() * w.rows(), w.size_bytes() * 48);
    }
}

/// Each result is within a few roundings of the sum of the magnitudes of its products.
#[test]
fn int8_linear_matches_the_reference_in_every_format() {
    for (w, repacked) in every_repacked_format(53, 384) {
        let group = w.spec().unwrap().group_size;
        let bias = Noise(4).floats(w.rows());
        for rows in [1, 2, 3, 7, 16, 21] {
            let mut x = Noise(3).floats(rows * w.cols());
            // A group of zeros has no step.
            x[..group].fill(0.0);
            let rounded = reference::round_to_int8(&x, group);
            let expected = reference::linear(&rounded, &w, Some(&bias));
            for cpu in every_dot_level() {
                let found = linear(&cpu, &x, &repacked, Some(&bias));
                let mut weight = vec![0.0; w.cols()];
                for n in 0..w.rows() {
                    w.dequantize_row(n, &mut weight);
                    for t in 0..rows {
                        let x = &rounded[t * w.cols()..][..w.cols()];
                        let size: f32 = x.iter().zip(&weight).map(|(x, w)| (x * w).abs()).sum();
                        let at = t * w.rows() + n;
                        assert!(
                            (found[at] - expected[at]).abs() <= 4e-6 * (size + 1.0),
                            "{}: row {t}, output {n}: {} for {}",
                            describe(&cpu, &w),
                            found[at],
                            expected[at]
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn int8_linear_error_is_below_one_percent() {
    for (w, repacked) in every_repacked_format(64, 512) {
        let x = Noise(9).floats(8 * w.cols());
        let exact = reference::linear(&x, &w, None);
        let cpu = every_dot_level().pop().unwrap();
        let found = linear(&cpu, &x, &repacked, None);
        let error: f32 = exact.iter().zip(&found).map(|(a, b)| (a - b).powi(2)).sum();
        let size: f32 = exact.iter().map(|a| a.powi(2)).sum();
        assert!((error / size).sqrt() < 0.008, "{:?}", w.spec());
    }
}

#[test]
fn int8_linear_is_bitwise_equal_on_all_fused_instruction_sets() {
    let mut levels = every_dot_level();
    // Plain x86-64 has no fused multiply-add.
    levels.retain(|cpu| cpu.dots != Int8DotLevel::Scalar || cfg!(target_arch = "aarch64"));
    for (w, repacked) in every_repacked_format(20, 384) {
        let x = Noise(8).floats(11 * w.cols());
        let results: Vec<_> = levels
            .iter()
            .map(|cpu| linear(cpu, &x, &repacked, None))
            .collect();
        assert!(
            results.windows(2).all(|pair| pair[0] == pair[1]),
            "{:?}",
            w.spec()
        );
    }
}

#[test]
fn int8_linear_propagates_nan() {
    for (w, repacked) in every_repacked_format(16, 256) {
        for cpu in every_dot_level() {
            let mut x = Noise(5).floats(2 * w.cols());
            x[300] = f32::NAN;
            let found = linear(&cpu, &x, &repacked, None);
            assert!(found[..16].iter().all(|y| y.is_finite()));
            assert!(
                found[16..].iter().all(|y| y.is_nan()),
                "{}",
                describe(&cpu, &w)
            );
        }
    }
}

/// Norm, products and epilogue as separate operations.
fn step_by_step(
    cpu: &Cpu,
    x: &[f32],
    norms: &Norm,
    linears: &[&Linear],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let cols = linears[0].weight.cols();
    let h = norm(cpu, norms, x, cols, None);
    let rows = x.len() / cols;
    let products: Vec<_> = linears
        .iter()
        .map(|l| {
            let bias = l.bias.as_ref().map(crate::Param::as_slice);
            (linear(cpu, &h, &l.weight, bias), l.weight.rows())
        })
        .collect();
    let mut side_by_side = Vec::new();
    for row in 0..rows {
        for (product, width) in &products {
            side_by_side.extend_from_slice(&product[row * width..][..*width]);
        }
    }
    let width = side_by_side.len() / rows;
    match epilogue {
        Epilogue::Store => side_by_side,
        Epilogue::Activation(activation) => side_by_side
            .iter()
            .map(|x| reference::activate(*x, activation))
            .collect(),
        Epilogue::Glu(activation) => side_by_side
            .chunks_exact(width)
            .flat_map(|row| {
                let (gate, up) = row.split_at(width / 2);
                let pairs = gate.iter().zip(up);
                pairs.map(|(gate, up)| reference::activate(*gate, activation) * up)
            })
            .collect(),
        Epilogue::ResidualAdd { residual, scale } => side_by_side
            .iter()
            .zip(residual)
            .map(|(x, residual)| residual + scale * x)
            .collect(),
    }
}

/// Repacked weights, other weights, and one of each, with and without partial tiles and blocks.
#[test]
fn fused_linear_matches_its_unfused_steps() {
    let cols = 256;
    let norms = Norm::rms(Noise(1).floats(cols).into(), 1e-5);
    for outputs in [16, 40, 64, 150] {
        let forms = every_repacked_format(outputs, cols);
        // 2 bits and 8 bits, of different group sizes.
        let [first, second] = [&forms[0], &forms[16]];
        let bias = || Some(Noise(2).floats(outputs).into());
        let make = |weight: &Weight, bias| Linear {
            weight: weight.clone(),
            bias,
        };
        let pairs = [
            [make(&first.1, None), make(&second.1, bias())],
            [make(&first.1, bias()), make(&second.0, bias())],
            [make(&first.0, bias()), make(&second.0, None)],
        ];
        for pair in &pairs {
            for rows in [1, 5, 40, 150] {
                let x = Noise(6).floats(rows * cols);
                let residual = Noise(7).floats(rows * outputs);
                let [a, b] = [&pair[0], &pair[1]];
                let cases: [(&[&Linear], Epilogue<'_>); 5] = [
                    (&[a, b, a], Epilogue::Store),
                    (&[b], Epilogue::Activation(Activation::Gelu)),
                    (&[a, b], Epilogue::Glu(Activation::Silu)),
                    (&[b], Epilogue::Glu(Activation::Silu)),
                    (
                        &[b],
                        Epilogue::ResidualAdd {
                            residual: &residual,
                            scale: 0.5,
                        },
                    ),
                ];
                for cpu in every_dot_level() {
                    for (linears, epilogue) in cases {
                        let input = FusedLinearInput {
                            x: &x,
                            rows,
                            norm: Some(&norms),
                        };
                        let found = fused_linear(&cpu, input, linears, epilogue);
                        let expected = step_by_step(&cpu, &x, &norms, linears, epilogue);
                        assert_eq!(found.len(), expected.len());
                        for (found, expected) in found.iter().zip(&expected) {
                            assert!(
                                (found - expected).abs() <= 1e-6 * (1.0 + expected.abs()),
                                "{epilogue:?} of {outputs} outputs, {rows} rows, {}: {found} for {expected}",
                                describe(&cpu, &a.weight)
                            );
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(at_most(24))]

    /// Batch invariance: a row gives the same bits alone and in a batch.
    #[test]
    fn int8_linear_is_batch_invariant(
        rows in 1_usize..40,
        cut in 0_usize..40,
        outputs in 1_usize..90,
        chunks in 1_usize..5,
        seed: u64,
    ) {
        let cut = cut.min(rows);
        for (w, repacked) in every_repacked_format(outputs, 128 * chunks) {
            let x = Noise(seed).floats(rows * w.cols());
            for cpu in every_dot_level() {
                let whole = linear(&cpu, &x, &repacked, None);
                let (first, second) = x.split_at(cut * w.cols());
                let mut parts = linear(&cpu, first, &repacked, None);
                parts.extend(linear(&cpu, second, &repacked, None));
                prop_assert!(whole == parts, "{}", describe(&cpu, &w));
                let alone = linear(&cpu, &x[x.len() - w.cols()..], &repacked, None);
                prop_assert!(whole[whole.len() - w.rows()..] == alone, "{}", describe(&cpu, &w));
            }
        }
    }
}
