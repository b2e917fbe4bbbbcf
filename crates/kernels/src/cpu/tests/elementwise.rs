//! Norms, RoPE, activations and element-wise functions.

use super::support::{Noise, every_level, fused_levels, map, norm};
use crate::{
    Activation, AttentionSpec, KvCache, KvCacheDtype, KvShape, Norm, Param, QkNorms, QueryScaling,
    Rope, Xielu,
    cpu::{
        Cpu, elementwise,
        epilogue::{self, Block, Epilogue},
        rope,
        simd::SimdLevel,
    },
    op::{BinaryFunction, Function},
    reference,
};

/// Applies an epilogue to one row of products.
fn with_epilogue(cpu: &Cpu, epilogue: Epilogue<'_>, x: &[f32], up: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let block = Block {
        rows: 1,
        cols: x.len(),
        values: x.as_ptr(),
        up: up.as_ptr(),
        stride: x.len(),
        bias: None,
        up_bias: None,
        index: 0,
        out: out.as_mut_ptr(),
        out_stride: x.len(),
    };
    // SAFETY: `cpu.level` is available, and `x`, `up` and `out` have the length of the only row.
    unsafe { epilogue::apply(cpu.level, epilogue, &block) };
    out
}

#[track_caller]
fn assert_close(level: SimdLevel, found: &[f32], expected: &[f32], relative: f32, absolute: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= relative * expected.abs() + absolute,
            "{level:?}: element {index} is {found} for {expected}"
        );
    }
}

/// Both signs, many magnitudes, and the borders between the cases of the approximations.
fn spread() -> Vec<f32> {
    let root = std::f32::consts::SQRT_2;
    let mut values = vec![0.0, -0.0, 0.625, -0.625, root, -root];
    for step in 0..6000 {
        let x = 1e-6 * 1.003_f32.powi(step);
        values.extend([x, -x].into_iter().filter(|x| x.abs() < 60.0));
    }
    values
}

#[test]
fn activations_match_the_reference() {
    let x = spread();
    for cpu in every_level() {
        for activation in [
            Activation::Silu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::GeluSigmoid,
            Activation::Relu,
            Activation::Relu2,
            Activation::Xielu(Xielu {
                alpha_p: 0.7,
                alpha_n: 0.9,
                beta: 0.4,
                eps: -1e-6,
            }),
        ] {
            let expected: Vec<f32> = x
                .iter()
                .map(|x| reference::activate(*x, activation))
                .collect();
            let found = with_epilogue(&cpu, Epilogue::Activation(activation), &x, &x);
            // For large negative inputs the result vanishes; its error is that of rounding the input.
            let pairs = found.iter().zip(&expected).zip(&x);
            for ((found, expected), x) in pairs {
                assert!(
                    (found - expected).abs() <= 4e-7 * expected.abs() + 6e-8 * x.abs(),
                    "{activation:?}({x}) on {:?}: {found} for {expected}",
                    cpu.level
                );
            }
            let gated = with_epilogue(&cpu, Epilogue::Glu(activation), &x, &x);
            let expected: Vec<f32> = found.iter().zip(&x).map(|(a, x)| a * x).collect();
            assert_eq!(gated, expected);
        }
    }
}

#[test]
fn activations_and_softcap_saturate_for_large_inputs() {
    let x = [-1e30, -200.0, 200.0, 1e30];
    for cpu in every_level() {
        for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
            let found = with_epilogue(&cpu, Epilogue::Activation(activation), &x, &x);
            assert_eq!(found, [0.0, 0.0, 200.0, 1e30], "{activation:?}");
        }
        let capped = map(&cpu, Function::Softcap(3.0), &x);
        assert_eq!(capped, [-3.0, -3.0, 3.0, 3.0]);
    }
}

#[test]
fn xielu_with_a_large_epsilon_matches_the_reference() {
    let x = spread();
    let activation = Activation::Xielu(Xielu {
        alpha_p: 1.3,
        alpha_n: 0.6,
        beta: -0.5,
        eps: -0.3,
    });
    let expected: Vec<f32> = x
        .iter()
        .map(|x| reference::activate(*x, activation))
        .collect();
    for cpu in every_level() {
        let found = with_epilogue(&cpu, Epilogue::Activation(activation), &x, &x);
        assert_close(cpu.level, &found, &expected, 4e-7, 1e-7);
    }
}

#[test]
fn gates_match_the_reference() {
    let (x, gate) = (spread(), Noise(8).floats(4000));
    for cpu in every_level() {
        for (rows, width, gates) in [(1, 60, 4), (7, 90, 90), (30, 320, 5), (2, 30, 1)] {
            let (x, gate) = (&x[..rows * width], &gate[..rows * gates]);
            let mut found = vec![f32::NAN; x.len()];
            let function = BinaryFunction::SigmoidGate;
            elementwise::combine(&cpu, function, x, gate, width / gates, &mut found);
            let gate_of = |index: usize| f64::from(gate[index / (width / gates)]);
            let expected: Vec<f32> = (0..x.len())
                .map(|index| (f64::from(x[index]) / (1.0 + (-gate_of(index)).exp())) as f32)
                .collect();
            assert_close(cpu.level, &found, &expected, 4e-7, 0.0);
        }
    }
}

#[test]
fn softcap_matches_the_reference() {
    let x: Vec<f32> = spread().iter().map(|x| x * 10.0).collect();
    for cpu in every_level() {
        let expected: Vec<f32> = x.iter().map(|x| reference::softcap(*x, 30.0)).collect();
        let found = map(&cpu, Function::Softcap(30.0), &x);
        assert_close(cpu.level, &found, &expected, 4e-7, 0.0);
    }
}

#[test]
fn norms_match_the_reference() {
    let mut noise = Noise(1);
    for cpu in every_level() {
        for (rows, width) in [(1, 1), (3, 8), (2, 100), (40, 576), (5, 4096)] {
            let x: Vec<f32> = noise
                .floats(rows * width)
                .iter()
                .map(|x| 3.0 * x + 0.5)
                .collect();
            let (weight, bias) = (noise.floats(width), noise.floats(width));
            let vector = |values: Option<&[f32]>| values.map(|values| Param::from(values.to_vec()));
            for weight in [None, Some(&*weight)] {
                let rms = Norm::Rms {
                    weight: vector(weight),
                    eps: 1e-5,
                };
                let found = norm(&cpu, &rms, &x, width, None);
                let expected = reference::rms_norm(&x, width, weight, 1e-5);
                assert_close(cpu.level, &found, &expected, 1e-6, 0.0);
                let added = norm(&cpu, &rms, &x, width, Some((&x, 0.5)));
                let expected: Vec<f32> = x.iter().zip(&found).map(|(x, y)| x + 0.5 * y).collect();
                assert_close(cpu.level, &added, &expected, 1e-6, 1e-6);
                for bias in [None, Some(&*bias)] {
                    let layer = Norm::Layer {
                        weight: vector(weight),
                        bias: vector(bias),
                        groups: 1,
                        eps: 1e-5,
                    };
                    let found = norm(&cpu, &layer, &x, width, None);
                    let expected = reference::layer_norm(&x, width, weight, bias, 1e-5);
                    assert_close(cpu.level, &found, &expected, 1e-6, 2e-6);
                }
            }
        }
    }
}

#[test]
fn layer_norm_of_each_head_matches_the_reference() {
    let mut noise = Noise(3);
    for cpu in every_level() {
        for (rows, heads, head_dim) in [(1, 1, 8), (3, 4, 32), (40, 7, 100)] {
            let width = heads * head_dim;
            let (x, weight) = (noise.floats(rows * width), noise.floats(width));
            let layer = Norm::layer_per_head(weight.clone().into(), heads, 1e-5);
            let found = norm(&cpu, &layer, &x, width, None);
            let heads = x
                .chunks_exact(head_dim)
                .zip(weight.chunks_exact(head_dim).cycle());
            let expected: Vec<f32> = heads
                .flat_map(|(x, w)| reference::layer_norm(x, head_dim, Some(w), None, 1e-5))
                .collect();
            assert_close(cpu.level, &found, &expected, 1e-6, 2e-6);
        }
    }
}

#[test]
fn norms_are_batch_invariant() {
    let x = Noise(2).floats(100 * 600);
    for cpu in every_level() {
        let norms = [
            Norm::Rms {
                weight: None,
                eps: 1e-6,
            },
            Norm::Layer {
                weight: None,
                bias: None,
                groups: 4,
                eps: 1e-6,
            },
        ];
        for kind in norms {
            let whole = norm(&cpu, &kind, &x, 600, None);
            let alone = norm(&cpu, &kind, &x[77 * 600..78 * 600], 600, None);
            assert_eq!(whole[77 * 600..78 * 600], alone);
        }
    }
}

/// Rotated queries; keys and values are zeros.
fn rotated(
    cpu: &Cpu,
    x: &[f32],
    heads: usize,
    head_dim: usize,
    positions: &[u32],
    rope: &Rope,
    norms: Option<&QkNorms>,
) -> Vec<f32> {
    let spec = AttentionSpec {
        heads,
        kv_heads: 1,
        head_dim,
        value_dim: head_dim,
        scale: 1.0,
        softcap: None,
        window: None,
        sinks: None,
    };
    let shape = KvShape {
        blocks: positions.len().div_ceil(16),
        block_size: 16,
        kv_heads: 1,
        key_dim: head_dim,
        value_dim: head_dim,
    };
    let cache = KvCache::new(
        &crate::Kernels::cpu(crate::CpuOptions::default()),
        shape,
        KvCacheDtype::F32,
    )
    .unwrap();
    let mut qkv = Vec::new();
    for row in x.chunks_exact(heads * head_dim) {
        qkv.extend_from_slice(row);
        qkv.extend(std::iter::repeat_n(0.0, 2 * head_dim));
    }
    let mut values = vec![f32::NAN; positions.len() * rope.row_width()];
    rope::rope_cos_sin(cpu, rope, positions, &mut values);
    let angles = rope::Rotation {
        dims: rope.dims,
        traditional: rope.traditional,
        attention_factor: rope.attention_factor,
        before_norms: rope.before_norms,
        row_width: rope.row_width(),
        values: &values,
    };
    let slots: Vec<u32> = (0..positions.len() as u32).collect();
    let job = rope::RopeAndCache {
        qkv: &qkv,
        spec: &spec,
        norms,
        angles: Some(angles),
        cache: cache.on_cpu("test").unwrap(),
        slots: &slots,
    };
    let mut out = vec![f32::NAN; x.len()];
    // SAFETY: the slots are distinct, and no other thread uses the cache.
    unsafe { rope::rope_and_cache(cpu, &job, &mut out) };
    out
}

#[test]
fn rope_matches_the_reference() {
    let (heads, head_dim) = (3, 20);
    let positions: Vec<u32> = (0..300).map(|row| row * 37).collect();
    let x = Noise(3).floats(positions.len() * heads * head_dim);
    for cpu in every_level() {
        for (dims, traditional, attention_factor) in [
            (20, false, 1.0),
            (20, true, 1.0),
            (8, false, 1.25),
            (8, true, 0.5),
            (0, false, 1.0),
        ] {
            let parameters = Rope {
                dims,
                traditional,
                inverse_frequencies: (0..dims / 2)
                    .map(|pair| 0.3_f32.powi(pair as i32))
                    .collect(),
                attention_factor,
                before_norms: false,
                query_scaling: None,
            };
            let mut expected = x.clone();
            reference::rope(&mut expected, head_dim, &positions, &parameters);
            let found = rotated(&cpu, &x, heads, head_dim, &positions, &parameters, None);
            assert_close(cpu.level, &found, &expected, 0.0, 3e-7);
        }
    }
}

#[test]
fn queries_are_normalized_and_scaled_in_order() {
    let (heads, head_dim, eps) = (3, 20, 1e-5);
    let positions: Vec<u32> = (0..300).map(|row| row * 7).collect();
    let x = Noise(5).floats(positions.len() * heads * head_dim);
    let weight = Noise(6).floats(head_dim);
    let norm = || Norm::rms(Param::from(weight.clone()), f64::from(eps));
    let norms = QkNorms {
        q: norm(),
        k: norm(),
    };
    let scaling = QueryScaling {
        beta: 0.3,
        original_length: 128.0,
    };
    for cpu in every_level() {
        for (dims, before_norms, query_scaling) in [
            (20, false, None),
            (20, true, None),
            (8, true, Some(scaling)),
            (20, false, Some(scaling)),
            (0, false, Some(scaling)),
        ] {
            let rope = Rope {
                dims,
                traditional: false,
                inverse_frequencies: (0..dims / 2)
                    .map(|pair| 0.3_f32.powi(pair as i32))
                    .collect(),
                attention_factor: 1.0,
                before_norms,
                query_scaling,
            };
            let normalize = |x: &[f32]| reference::rms_norm(x, head_dim, Some(&weight), eps);
            let mut expected = x.clone();
            if !before_norms {
                expected = normalize(&expected);
            }
            reference::rope(&mut expected, head_dim, &positions, &rope);
            if before_norms {
                expected = normalize(&expected);
            }
            if let Some(scaling) = &query_scaling {
                reference::scale_queries(&mut expected, &positions, scaling);
            }
            let norms = Some(&norms);
            let found = rotated(&cpu, &x, heads, head_dim, &positions, &rope, norms);
            assert_close(cpu.level, &found, &expected, 0.0, 1e-6);
        }
    }
}

#[test]
fn elementwise_is_bitwise_equal_on_all_fused_instruction_sets() {
    let (x, weight) = (spread(), Noise(4).floats(100));
    let x = &x[..x.len() / 100 * 100];
    let weight = || Some(Param::from(weight.clone()));
    let rms = Norm::Rms {
        weight: weight(),
        eps: 1e-5,
    };
    let layer = Norm::Layer {
        weight: weight(),
        bias: weight(),
        groups: 1,
        eps: 1e-5,
    };
    let added = Epilogue::ResidualAdd {
        residual: x,
        scale: 0.3,
    };
    let results: Vec<Vec<Vec<f32>>> = fused_levels()
        .iter()
        .map(|cpu| {
            vec![
                with_epilogue(cpu, Epilogue::Activation(Activation::Gelu), x, x),
                with_epilogue(cpu, Epilogue::Activation(Activation::Silu), x, x),
                with_epilogue(cpu, added, x, x),
                map(cpu, Function::Softcap(9.0), x),
                norm(cpu, &rms, x, 100, Some((x, 0.3))),
                norm(cpu, &layer, x, 100, None),
            ]
        })
        .collect();
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}
