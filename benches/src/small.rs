//! The operations between linear layers: norms, and RoPE with cache writes.

use std::hint::black_box;

use mlxm_kernels::{AttentionSpec, KvCache, KvCacheDtype, KvShape, Norm, Rope};

use crate::{
    bench::{Arithmetic, Bench, Work},
    inputs::{Noise, valid},
};

const WIDTH: usize = 2048;
const HEADS: usize = 16;
const KV_HEADS: usize = 4;
const HEAD_DIM: usize = 128;
const ROWS: [usize; 2] = [1, 512];

/// One row as in decoding, many as in a prompt.
pub fn run(bench: &mut Bench) {
    for rows in ROWS {
        rms_norm(bench, rows);
        rope_and_cache(bench, rows);
    }
}

fn rms_norm(bench: &mut Bench, rows: usize) {
    let work = Work {
        bytes: 2 * rows * WIDTH * size_of::<f32>(),
        // Square, sum, and two factors.
        operations: 4 * rows * WIDTH,
        arithmetic: Arithmetic::Float,
    };
    bench.measure("rms norm", &format!("{rows}"), work, |kernels, _| {
        let mut noise = Noise::new();
        let norm = Norm::rms(noise.param(WIDTH), 1e-5);
        let x = noise.activations(kernels, rows, WIDTH);
        let mut pass = kernels.begin();
        move || {
            black_box(valid(pass.norm(&x, &norm)));
        }
    });
}

fn rope_and_cache(bench: &mut Bench, rows: usize) {
    let width = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
    let stored = 2 * KV_HEADS * HEAD_DIM;
    let work = Work {
        bytes: rows * ((width + HEADS * HEAD_DIM) * size_of::<f32>() + stored * size_of::<u16>()),
        // A pair takes four multiplications and two additions.
        operations: 3 * rows * (HEADS + KV_HEADS) * HEAD_DIM,
        arithmetic: Arithmetic::Float,
    };
    bench.measure("rope and cache", &format!("{rows}"), work, |kernels, _| {
        let shape = KvShape {
            blocks: rows.div_ceil(32),
            block_size: 32,
            kv_heads: KV_HEADS,
            key_dim: HEAD_DIM,
            value_dim: HEAD_DIM,
        };
        let spec = AttentionSpec {
            heads: HEADS,
            kv_heads: KV_HEADS,
            head_dim: HEAD_DIM,
            value_dim: HEAD_DIM,
            scale: 1.0,
            softcap: None,
            window: None,
            sinks: None,
        };
        let mut cache = valid(KvCache::new(kernels, shape, KvCacheDtype::F16));
        let qkv = Noise::new().activations(kernels, rows, width);
        // Arguments live as long as the pass, which the closure owns.
        let slots: &[u32] = (0..rows as u32).collect::<Vec<u32>>().leak();
        let rope = Rope {
            dims: HEAD_DIM,
            traditional: false,
            inverse_frequencies: (0..HEAD_DIM / 2)
                .map(|pair| 10_000_f32.powf(-2.0 * pair as f32 / HEAD_DIM as f32))
                .collect(),
            attention_factor: 1.0,
            before_norms: false,
            query_scaling: None,
        };
        let mut pass = kernels.begin();
        let rope_cos_sin = Some(valid(pass.rope_cos_sin(&rope, slots)));
        let slots = valid(pass.slots(slots));
        move || {
            black_box(valid(pass.rope_and_cache(
                &qkv,
                &spec,
                None,
                rope_cos_sin,
                &mut cache,
                slots,
            )));
        }
    });
}
