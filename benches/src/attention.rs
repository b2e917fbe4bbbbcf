//! Attention over a long context: decoding, and a chunk of a prompt.

use std::hint::black_box;

use mlxm_kernels::{AttentionSpec, Kernels, KvCache, KvCacheDtype, KvShape, KvSpan, Mask};

use crate::{
    bench::{Arithmetic, Bench, Work},
    inputs::{Noise, valid},
};

const HEADS: usize = 16;
const KV_HEADS: usize = 4;
const HEAD_DIM: usize = 128;
const BLOCK_SIZE: usize = 32;

/// New rows per sequence, sequences, and positions per sequence.
const CASES: [(usize, usize, usize); 5] = [
    (1, 1, 1024),
    (1, 1, 8192),
    (1, 16, 1024),
    (512, 1, 512),
    (512, 1, 8192),
];

/// Every case with every KV cache type.
pub fn run(bench: &mut Bench) {
    for dtype in KvCacheDtype::ALL {
        for (rows, sequences, positions) in CASES {
            measure(bench, dtype, rows, sequences, positions);
        }
    }
}

fn spec() -> AttentionSpec {
    AttentionSpec {
        heads: HEADS,
        kv_heads: KV_HEADS,
        head_dim: HEAD_DIM,
        value_dim: HEAD_DIM,
        scale: 1.0 / (HEAD_DIM as f32).sqrt(),
        softcap: None,
        window: None,
        sinks: None,
    }
}

fn measure(
    bench: &mut Bench,
    dtype: KvCacheDtype,
    rows: usize,
    sequences: usize,
    positions: usize,
) {
    let blocks = positions / BLOCK_SIZE;
    let shape = KvShape {
        blocks: sequences * blocks,
        block_size: BLOCK_SIZE,
        kv_heads: KV_HEADS,
        key_dim: HEAD_DIM,
        value_dim: HEAD_DIM,
    };
    // Causal: the last row sees every position, the first one `rows - 1` fewer.
    let seen = rows * positions - rows * (rows - 1) / 2;
    let work = Work {
        bytes: sequences * positions * shape.bytes_per_position(dtype),
        operations: 4 * sequences * seen * HEADS * HEAD_DIM,
        arithmetic: Arithmetic::Float,
    };
    let group = format!("attention {dtype}");
    let name = format!("{sequences}x{rows} rows/{positions} positions");
    bench.measure(&group, &name, work, |kernels, _| {
        let mut noise = Noise::new();
        let mut cache = valid(KvCache::new(kernels, shape, dtype));
        fill(kernels, &mut cache, &mut noise);
        let q = noise.activations(kernels, sequences * rows, HEADS * HEAD_DIM);
        // Arguments live as long as the pass, which the closure owns.
        let tables: &[Vec<u32>] = (0..sequences)
            .map(|sequence| {
                let first = (sequence * blocks) as u32;
                (first..first + blocks as u32).collect()
            })
            .collect::<Vec<_>>()
            .leak();
        let mut pass = kernels.begin();
        let spans = tables
            .iter()
            .enumerate()
            .map(|(sequence, blocks)| KvSpan {
                rows: sequence * rows..(sequence + 1) * rows,
                first_position: positions - rows,
                blocks,
                mask: Mask::Causal,
            })
            .collect();
        let spans = valid(pass.spans(spans));
        let spec = spec();
        move || {
            black_box(valid(pass.attention(&q, &cache, spans, &spec)));
        }
    });
}

/// Writes every slot.
fn fill(kernels: &Kernels, cache: &mut KvCache, noise: &mut Noise) {
    let slots = (cache.shape().blocks * BLOCK_SIZE) as u32;
    let width = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
    for first in (0..slots).step_by(512) {
        let slots: Vec<u32> = (first..slots.min(first + 512)).collect();
        let qkv = noise.activations(kernels, slots.len(), width);
        let mut pass = kernels.begin();
        let slots = valid(pass.slots(&slots));
        valid(pass.rope_and_cache(&qkv, &spec(), None, None, cache, slots));
        valid(pass.finish());
    }
}
