//! Norms and rotary embedding of queries and keys against the reference and the CPU.

use mlxm_kernels::{KvCacheDtype, Norm, QkNorms, QueryScaling, Rope, reference};
use mlxm_metal_host::{Options, Order};

use super::{Case, Sequence, Transform, device, error};
use crate::bounds;
use crate::device::{ORDERS, cpu};
use crate::noise::Noise;

/// Whether heads are normalized one by one, so that they can be rotated before.
fn normalizes_one_by_one(norms: Option<&QkNorms>, dim: usize) -> bool {
    let one_by_one = |norm: &Norm| match norm {
        Norm::Rms { weight, .. } => weight.as_ref().is_some_and(|weight| weight.len() == dim),
        Norm::Layer { groups, .. } => *groups > 1,
    };
    norms.is_some_and(|norms| one_by_one(&norms.q) && one_by_one(&norms.k))
}

fn rope(dims: usize, traditional: bool) -> Rope {
    Rope {
        dims,
        traditional,
        inverse_frequencies: (0..dims / 2)
            .map(|pair| 0.7_f32.powi(pair as i32))
            .collect(),
        attention_factor: 1.25,
        before_norms: false,
        query_scaling: None,
    }
}

fn layer(noise: &mut Noise, width: usize, biased: bool) -> Norm {
    let bias = biased.then(|| noise.floats(width).into());
    Norm::layer(noise.floats(width).into(), bias, 1e-5)
}

fn rms(noise: &mut Noise, width: usize) -> Norm {
    Norm::rms(noise.floats(width).into(), 1e-6)
}

/// Norms of heads and of rows, for queries of `q` and keys of `k` columns in heads of `dim`.
fn norms(dim: usize, q: usize, k: usize) -> Vec<Option<QkNorms>> {
    let noise = &mut Noise::new(11);
    let per_head = |noise: &mut Noise, width: usize| {
        Norm::layer_per_head(noise.floats(width).into(), width / dim, 1e-5)
    };
    let none = || Norm::Rms {
        weight: None,
        eps: 1e-6,
    };
    let pairs = [
        (rms(noise, dim), rms(noise, dim)),
        (per_head(noise, q), per_head(noise, k)),
        (rms(noise, q), rms(noise, k)),
        (layer(noise, q, true), layer(noise, k, false)),
        (none(), rms(noise, dim)),
        (rms(noise, dim), layer(noise, k, true)),
    ];
    let norms = pairs.map(|(q, k)| Some(QkNorms { q, k }));
    norms.into_iter().chain([None]).collect()
}

/// Each of the norms with a rotation, for the heads of the default case.
pub fn with_norms() -> Vec<Transform> {
    let norms = norms(64, 256, 128).into_iter();
    norms
        .map(|norms| Transform {
            norms,
            rope: Some(rope(64, false)),
        })
        .collect()
}

/// Norms and rotation as the reference defines them.
fn transformed(x: &[f32], case: &Case, transform: &Transform, positions: &[u32]) -> Vec<f32> {
    let width = x.len() / positions.len();
    let rotate = |x: &mut [f32]| {
        if let Some(rope) = &transform.rope {
            reference::rope(x, case.key_dim, positions, rope);
        }
    };
    let before_norms = transform
        .rope
        .as_ref()
        .is_some_and(|rope| rope.before_norms);
    let mut x = x.to_vec();
    if before_norms {
        rotate(&mut x);
    }
    let mut x = match transform.norms.as_ref().map(|norms| &norms.q) {
        Some(Norm::Rms { weight, eps }) => {
            let size = weight.as_ref().map_or(width, mlxm_kernels::Param::len);
            let weight = weight.as_ref().map(mlxm_kernels::Param::as_slice);
            reference::rms_norm(&x, size, weight, *eps)
        }
        Some(Norm::Layer {
            weight,
            bias,
            groups,
            eps,
        }) => {
            let mut normalized = reference::layer_norm(&x, width / groups, None, None, *eps);
            for row in normalized.chunks_exact_mut(width) {
                for (column, value) in row.iter_mut().enumerate() {
                    *value *= weight
                        .as_ref()
                        .map_or(1.0, |weight| weight.as_slice()[column]);
                    *value += bias.as_ref().map_or(0.0, |bias| bias.as_slice()[column]);
                }
            }
            normalized
        }
        None => x,
    };
    if !before_norms {
        rotate(&mut x);
    }
    if let Some(scaling) = transform.rope.as_ref().and_then(|rope| rope.query_scaling) {
        reference::scale_queries(&mut x, positions, &scaling);
    }
    x
}

/// Checks norms and rotation of one case. Returns whether no key was stored as a neighbour.
pub fn check(case: &Case, transform: &Transform, compile: &Options, order: Order) -> bool {
    let (on_cpu, _) = case.expected(&cpu(), transform);
    let found = case
        .run(&device(compile.clone(), order), transform)
        .unwrap();
    let width = case.heads * case.key_dim;
    let queries = case.run(&cpu(), &Transform::default()).unwrap().queries;
    let first = case.sequences[0].history as u32;
    let positions: Vec<u32> = (first..).take(case.rows).collect();
    let expected = transformed(&queries, case, transform, &positions);
    let [bound, of_attention] = case.bounds(transform);
    for (expected, bound) in [
        (&expected, bound),
        (&on_cpu.queries, bounds::of_both(bound)),
    ] {
        let error = error(&found.queries, expected, width);
        bounds::check(error, bound, || {
            format!("queries of {transform:?} {case:?}")
        });
    }
    let bound = bounds::of_both(of_attention) + bounds::stored_as_neighbours(case.dtype);
    let width = case.heads * case.value_dim;
    let error = error(&found.attention, &on_cpu.attention, width);
    bounds::check(error, bound, || format!("{transform:?} {case:?}"));
    error <= bounds::of_both(of_attention)
}

#[test]
fn norms_and_rotations_agree() {
    let (mut usual, mut cases) = (0, 0);
    for (key_dim, value_dim, heads, kv_heads) in [(64, 64, 4, 2), (40, 24, 3, 3), (32, 32, 5, 1)] {
        let mut index = 0;
        for norms in norms(key_dim, heads * key_dim, kv_heads * key_dim) {
            for rope in [
                None,
                Some(rope(key_dim, false)),
                Some(rope(key_dim, true)),
                Some(rope(key_dim / 2 / 2 * 2, false)),
                Some(rope(6, true)),
                Some(Rope {
                    query_scaling: Some(QueryScaling {
                        beta: 0.3,
                        original_length: 8.0,
                    }),
                    before_norms: normalizes_one_by_one(norms.as_ref(), key_dim),
                    ..rope(key_dim, true)
                }),
            ] {
                index += 1;
                let case = Case {
                    heads,
                    kv_heads,
                    key_dim,
                    value_dim,
                    dtype: KvCacheDtype::ALL[index % 3],
                    sequences: vec![Sequence::causal(0..6, 25)],
                    rows: 6,
                    ..Case::default()
                };
                let norms = norms.clone();
                let transform = Transform { norms, rope };
                let order = ORDERS[index % ORDERS.len()];
                cases += 1;
                usual += usize::from(check(&case, &transform, &Options::default(), order));
            }
        }
    }
    assert!(4 * usual >= 3 * cases, "{usual} of {cases} cases");
}

#[test]
fn norms_with_fast_math_agree() {
    let compile = Options {
        fast_math: true,
        flush_subnormals: true,
        ..Options::default()
    };
    let case = Case {
        sequences: vec![Sequence::causal(0..6, 25)],
        rows: 6,
        ..Case::default()
    };
    for transform in with_norms() {
        check(&case, &transform, &compile, Order::Random(12));
    }
}
