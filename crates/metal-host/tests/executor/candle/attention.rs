//! Attention of one query, and of tiles of queries.

use super::{assert_close, sources, values};
use crate::support::{Buffers, ORDERS};
use half::f16;
use mlxm_metal_host::Constant;

pub struct Shape {
    pub heads: usize,
    pub key_value_heads: usize,
    pub queries: usize,
    pub keys: usize,
    pub width: usize,
}

/// Softmax attention. Query i sees the keys up to its own position if `causal`.
pub fn reference(
    shape: &Shape,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    scale: f32,
    causal: bool,
) -> Vec<f64> {
    let Shape {
        heads,
        key_value_heads,
        queries,
        keys,
        width,
    } = *shape;
    let mut result = Vec::new();
    for head in 0..heads {
        let shared = head / (heads / key_value_heads) * keys * width;
        for query in 0..queries {
            let q = &q[(head * queries + query) * width..][..width];
            let visible = if causal {
                keys - queries + query + 1
            } else {
                keys
            };
            let scores: Vec<f64> = (0..visible)
                .map(|key| {
                    let k = &k[shared + key * width..][..width];
                    let dot: f64 = q
                        .iter()
                        .zip(k)
                        .map(|(&q, &k)| f64::from(q) * f64::from(k))
                        .sum();
                    dot * f64::from(scale)
                })
                .collect();
            let maximum = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - maximum).exp()).collect();
            let sum: f64 = weights.iter().sum();
            result.extend((0..width).map(|column| {
                let column = weights
                    .iter()
                    .enumerate()
                    .map(|(key, weight)| weight * f64::from(v[shared + key * width + column]));
                column.sum::<f64>() / sum
            }));
        }
    }
    result
}

pub fn to_half(values: &[f32]) -> (Vec<f16>, Vec<f32>) {
    let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    let rounded = halves.iter().map(|value| value.to_f32()).collect();
    (halves, rounded)
}

#[test]
fn one_query() {
    let shape = Shape {
        heads: 4,
        key_value_heads: 2,
        queries: 1,
        keys: 75,
        width: 64,
    };
    let function = sources::compile("scaled_dot_product_attention.metal")
        .function("sdpa_vector_float_64", &[(20, Constant::Bool(false))])
        .unwrap();
    let q = values(shape.heads * shape.width, 1);
    let k = values(shape.key_value_heads * shape.keys * shape.width, 2);
    let v = values(shape.key_value_heads * shape.keys * shape.width, 3);
    let expected = reference(&shape, &q, &k, &v, 0.125, false);
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.bind(&function, "queries", &q);
        buffers.bind(&function, "keys", &k);
        buffers.bind(&function, "values", &v);
        buffers.bind(&function, "out", &vec![f32::NAN; q.len()]);
        buffers.bind(&function, "gqa_factor", &[2i32]);
        buffers.bind(&function, "N", &[shape.keys as i32]);
        buffers.bind(&function, "k_stride", &[shape.keys * shape.width]);
        buffers.bind(&function, "v_stride", &[shape.keys * shape.width]);
        buffers.bind(&function, "scale", &[0.125f32]);
        buffers.bind(&function, "softcapping", &[1.0f32]);
        buffers
            .run(&function, [1, shape.heads, 1], [1024, 1, 1], order)
            .unwrap();
        assert_close(&buffers.read(3), &expected, 1e-5, &format!("{order:?}"));
    }
}

/// Mirrors `AttnParams` of the kernel.
#[repr(C)]
#[derive(Clone, Copy)]
struct AttentionParameters {
    batch: i32,
    heads: i32,
    width: i32,
    queries: i32,
    keys: i32,
    gqa_factor: i32,
    scale: f32,
    softcapping: f32,
    query_blocks: i32,
    key_blocks: i32,
    full_query_blocks: i32,
    full_key_blocks: i32,
    rest_of_queries: i32,
    rest_of_keys: i32,
    query_offset: i32,
    q_strides: [i64; 3],
    k_strides: [i64; 3],
    v_strides: [i64; 3],
    o_strides: [i64; 3],
}

#[test]
fn tiles_of_queries() {
    let shape = Shape {
        heads: 2,
        key_value_heads: 1,
        queries: 41,
        keys: 70,
        width: 64,
    };
    let (block_queries, block_keys) = (32, 32);
    for causal in [false, true] {
        let constants = [
            (200, Constant::Bool(false)),
            (201, Constant::Bool(false)),
            (300, Constant::Bool(false)),
            (301, Constant::Bool(causal)),
        ];
        let function = sources::compile("scaled_dot_product_attention.metal")
            .function(
                "steel_attention_float16_bq32_bk32_bd64_wm4_wn1_maskfloat16",
                &constants,
            )
            .unwrap();
        assert_eq!(function.max_total_threads_per_threadgroup(), 128);
        let (q, q_rounded) = to_half(&values(shape.heads * shape.queries * shape.width, 4));
        let (k, k_rounded) = to_half(&values(shape.keys * shape.width, 5));
        let (v, v_rounded) = to_half(&values(shape.keys * shape.width, 6));
        let expected = reference(&shape, &q_rounded, &k_rounded, &v_rounded, 0.125, causal);
        let strides = |rows: usize, heads: usize| {
            let width = shape.width as i64;
            [
                heads as i64 * rows as i64 * width,
                rows as i64 * width,
                width,
            ]
        };
        let parameters = AttentionParameters {
            batch: 1,
            heads: shape.heads as i32,
            width: shape.width as i32,
            queries: shape.queries as i32,
            keys: shape.keys as i32,
            gqa_factor: (shape.heads / shape.key_value_heads) as i32,
            scale: 0.125,
            softcapping: 1.0,
            query_blocks: shape.queries.div_ceil(block_queries) as i32,
            key_blocks: shape.keys.div_ceil(block_keys) as i32,
            full_query_blocks: (shape.queries / block_queries) as i32,
            full_key_blocks: (shape.keys / block_keys) as i32,
            rest_of_queries: (shape.queries % block_queries) as i32,
            rest_of_keys: (shape.keys % block_keys) as i32,
            query_offset: (shape.keys - shape.queries) as i32,
            q_strides: strides(shape.queries, shape.heads),
            k_strides: strides(shape.keys, shape.key_value_heads),
            v_strides: strides(shape.keys, shape.key_value_heads),
            o_strides: strides(shape.queries, shape.heads),
        };
        for order in ORDERS {
            let mut buffers = Buffers::new();
            buffers.add(0, &q);
            buffers.add(1, &k);
            buffers.add(2, &v);
            buffers.add(3, &vec![f16::NAN; q.len()]);
            buffers.add(4, &[parameters]);
            let threadgroups = [shape.queries.div_ceil(block_queries), shape.heads, 1];
            buffers
                .run(&function, threadgroups, [32, 4, 1], order)
                .unwrap();
            let actual: Vec<f32> = buffers
                .read::<f16>(3)
                .iter()
                .map(|value| value.to_f32())
                .collect();
            assert_close(
                &actual,
                &expected,
                4e-3,
                &format!("causal {causal} {order:?}"),
            );
        }
    }
}
