//! The dispatch object: results, dispatch counts and errors.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use candle_core::{DType, Device, Tensor};
use mlxm_kernels::{
    Activation, AttentionSpec, Bytes, CpuOptions, FloatType, GateUp, KernelError, Kernels, KvCache,
    KvCacheDtype, KvShape, KvSpan, Linear, Mask, Norm, Param, Rope, RopeCosSin, Weight,
};

fn kernels() -> Kernels {
    Kernels::cpu(CpuOptions {
        threads: Some(2),
        ..CpuOptions::default()
    })
}

fn tensor(rows: usize, width: usize) -> Tensor {
    let values: Vec<f32> = (0..rows * width).map(|index| index as f32).collect();
    Tensor::from_vec(values, (rows, width), &Device::Cpu).unwrap()
}

fn matrix(rows: usize, cols: usize) -> Weight {
    let values = (0..rows * cols).flat_map(|index| (index as f32).to_le_bytes());
    Weight::dense(rows, cols, FloatType::F32, Bytes::owned(values.collect())).unwrap()
}

fn linear(rows: usize, cols: usize, bias: Option<Vec<f32>>) -> Linear {
    Linear {
        weight: matrix(rows, cols),
        bias: bias.map(Param::from),
    }
}

fn values(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().unwrap()
}

fn rope(dims: usize) -> Rope {
    Rope {
        dims,
        traditional: false,
        inverse_frequencies: vec![1.0; dims / 2],
        attention_factor: 1.0,
    }
}

fn attention_spec() -> AttentionSpec {
    AttentionSpec {
        heads: 2,
        kv_heads: 1,
        head_dim: 4,
        value_dim: 4,
        scale: 0.5,
        softcap: None,
        window: None,
        sinks: None,
    }
}

fn cache(kernels: &Kernels) -> KvCache {
    let shape = KvShape {
        blocks: 4,
        block_size: 16,
        kv_heads: 1,
        key_dim: 4,
        value_dim: 4,
    };
    KvCache::new(kernels, shape, KvCacheDtype::F32).unwrap()
}

#[test]
fn operations_compute_known_values() {
    let kernels = kernels();
    let x = tensor(2, 3);
    let w = linear(2, 3, Some(vec![0.5, -0.5]));
    let product = kernels.linear(&x, None, &[&w]).unwrap();
    assert_eq!(values(&product), [[5.5, 13.5], [14.5, 49.5]]);
    let both = kernels.linear(&x, None, &[&w, &w]).unwrap();
    assert_eq!(values(&both)[0], [5.5, 13.5, 5.5, 13.5]);
    let gate_up = GateUp::Separate(&w, &w);
    let gated = kernels
        .gated_linear(&x, None, gate_up, Activation::Relu)
        .unwrap();
    assert_eq!(values(&gated)[0], [30.25, 182.25]);
    let gated = kernels
        .gated_linear(&x, None, GateUp::Fused(&w), Activation::Relu)
        .unwrap();
    assert_eq!(values(&gated), [[74.25], [717.75]]);
    let activated = kernels.linear_act(&x, None, &w, Activation::Relu2).unwrap();
    assert_eq!(values(&activated)[0], [30.25, 182.25]);
    let onto = kernels.linear_add(&x, &w, &product, -2.0).unwrap();
    assert_eq!(values(&onto)[0], [-5.5, -13.5]);
    let rows = kernels.embed(&[1, 0], &matrix(2, 3)).unwrap();
    assert_eq!(values(&rows), [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]);
    let picked = kernels.gather_rows(&x, &[1, 1, 0]).unwrap();
    assert_eq!(values(&picked)[2], [0.0, 1.0, 2.0]);
    let scaled = kernels.scale(&x, -2.0).unwrap();
    assert_eq!(values(&scaled)[0], [0.0, -2.0, -4.0]);
    // A norm weight shorter than a row works on each part of it.
    let x = Tensor::from_vec(vec![3.0_f32, 4.0, 6.0, 8.0], (1, 4), &Device::Cpu).unwrap();
    let norm = Norm::rms(vec![1.0, 2.0].into(), 0.0);
    let normed = values(&kernels.norm(&x, &norm).unwrap()).remove(0);
    let residual = tensor(1, 4);
    let added = kernels.add_normed(&residual, &x, &norm, 0.5).unwrap();
    for (index, (added, normed)) in values(&added)[0].iter().zip(&normed).enumerate() {
        assert!((added - (index as f32 + 0.5 * normed)).abs() < 1e-6);
    }
    assert!((normed[0] - normed[2]).abs() < 1e-6 && (normed[1] - 2.262_741_7).abs() < 1e-6);
}

#[test]
fn linear_with_norm_equals_norm_then_linear() {
    let kernels = kernels();
    let (x, w) = (tensor(3, 8), linear(5, 8, None));
    // A weight as long as the row, and one that normalizes each half of it.
    for weight in [vec![0.5; 8], vec![1.0, 2.0, 3.0, 4.0]] {
        let norm = Norm::rms(weight.into(), 1e-5);
        let fused = kernels.linear(&x, Some(&norm), &[&w]).unwrap();
        let normed = kernels.norm(&x, &norm).unwrap();
        let steps = kernels.linear(&normed, None, &[&w]).unwrap();
        assert_eq!(values(&fused), values(&steps));
    }
}

#[test]
fn every_operation_counts_one_dispatch() {
    let kernels = kernels();
    let mut cache = cache(&kernels);
    let (x, w) = (tensor(3, 8), linear(8, 8, None));
    let norm = Norm::rms(vec![1.0; 8].into(), 1e-5);
    let gate_up = GateUp::Separate(&w, &w);
    let activation = Activation::Silu;
    kernels.linear(&x, Some(&norm), &[&w, &w]).unwrap();
    kernels.gated_linear(&x, None, gate_up, activation).unwrap();
    kernels.linear_act(&x, None, &w, activation).unwrap();
    kernels.linear_add(&x, &w, &x, 1.0).unwrap();
    kernels.embed(&[0], &w.weight).unwrap();
    kernels.norm(&x, &norm).unwrap();
    kernels.add_normed(&x, &x, &norm, 1.0).unwrap();
    kernels.scale(&x, 2.0).unwrap();
    kernels.softcap(&x, 30.0).unwrap();
    kernels.gather_rows(&x, &[2]).unwrap();
    let rope_cos_sin = kernels.rope_cos_sin(&rope(4), &[0, 1, 2]).unwrap();
    let (qkv, spec) = (tensor(3, 16), attention_spec());
    kernels
        .rope_and_cache(
            &qkv,
            &spec,
            None,
            Some(&rope_cos_sin),
            &mut cache,
            &[0, 1, 2],
        )
        .unwrap();
    let span = KvSpan {
        rows: 0..3,
        first_position: 0,
        blocks: &[0],
        mask: Mask::Causal,
    };
    kernels
        .attention(&x, &cache, &[span], &attention_spec())
        .unwrap();
    assert_eq!(kernels.dispatches(), 13);
}

#[test]
fn shape_errors_name_the_operation_and_both_shapes() {
    let kernels = kernels();
    let mut cache = cache(&kernels);
    let x = tensor(3, 8);
    let message = |result: Result<Tensor, KernelError>| result.unwrap_err().to_string();
    assert_eq!(
        message(kernels.linear(&x, None, &[&linear(5, 7, None)])),
        "linear: an activation of [3, 8] does not match a weight of [5, 7]"
    );
    assert_eq!(
        message(kernels.linear(&x, None, &[&linear(5, 8, Some(vec![0.0; 4]))])),
        "linear: a bias of [4] does not match a width of 5"
    );
    let (three, five) = (linear(3, 8, None), linear(5, 8, None));
    let gate_up = GateUp::Separate(&three, &five);
    assert_eq!(
        message(kernels.gated_linear(&x, None, gate_up, Activation::Silu)),
        "gated_linear: a weight of [3, 8] does not match a weight of [5, 8]"
    );
    let odd = kernels.gated_linear(&x, None, GateUp::Fused(&five), Activation::Silu);
    assert!(odd.is_err());
    assert_eq!(
        message(kernels.linear_add(&x, &five, &x, 1.0)),
        "linear_add: a residual of [3, 8] does not match 3 rows of 5"
    );
    assert_eq!(
        message(kernels.embed(&[1, 5], &matrix(5, 8))),
        "embed: token 5 is out of range 0..5"
    );
    let norm = Norm::rms(vec![1.0; 3].into(), 1e-5);
    assert_eq!(
        message(kernels.norm(&x, &norm)),
        "norm: an activation of width 8 does not match a norm over 3 columns"
    );
    assert!(kernels.linear(&x, Some(&norm), &[&five]).is_err());
    assert!(kernels.add_normed(&x, &tensor(3, 7), &norm, 1.0).is_err());
    assert!(kernels.gather_rows(&x, &[3]).is_err());
    let rope_cos_sin = |rows: u32, dims| {
        let positions: Vec<u32> = (0..rows).collect();
        kernels.rope_cos_sin(&rope(dims), &positions).unwrap()
    };
    let spec = attention_spec();
    let mut store = |qkv: &Tensor, rope_cos_sin: &RopeCosSin, slots: &[u32]| {
        message(kernels.rope_and_cache(qkv, &spec, None, Some(rope_cos_sin), &mut cache, slots))
    };
    let qkv = tensor(2, 16);
    assert_eq!(
        store(&qkv, &rope_cos_sin(2, 4), &[0, 64]),
        "rope_and_cache: slot 64 is out of range 0..64"
    );
    assert_eq!(
        store(&qkv, &rope_cos_sin(2, 4), &[7, 7]),
        "rope_and_cache: slot 7 does not match more than one row"
    );
    assert!(store(&qkv, &rope_cos_sin(3, 4), &[0, 1]).contains("3 rows"));
    assert!(store(&qkv, &rope_cos_sin(2, 6), &[0, 1]).contains("angles"));
    assert!(store(&x, &rope_cos_sin(3, 4), &[0, 1, 2]).contains("[3, 8]"));
}

#[test]
fn attention_rejects_spans_outside_rows_blocks_or_cache() {
    let kernels = kernels();
    let cache = cache(&kernels);
    let q = tensor(3, 8);
    let windowed = AttentionSpec {
        window: Some(2),
        ..attention_spec()
    };
    let attend = |spans: &[(std::ops::Range<usize>, usize, &[u32])], spec: &AttentionSpec| {
        let spans: Vec<_> = spans
            .iter()
            .map(|(rows, first_position, blocks)| KvSpan {
                rows: rows.clone(),
                first_position: *first_position,
                blocks,
                mask: Mask::Causal,
            })
            .collect();
        kernels.attention(&q, &cache, &spans, spec).map(|_| ())
    };
    let spec = attention_spec();
    attend(&[(0..1, 0, &[3]), (1..3, 20, &[0, 1])], &spec).unwrap();
    // A block before the window may be null, one inside it may not.
    attend(&[(0..3, 20, &[u32::MAX, 1])], &windowed).unwrap();
    assert!(attend(&[(0..3, 20, &[u32::MAX, 1])], &spec).is_err());
    assert!(attend(&[(0..3, 16, &[u32::MAX, 1])], &windowed).is_err());
    assert!(attend(&[(0..3, 14, &[0])], &spec).is_err());
    assert!(attend(&[(0..3, 0, &[4])], &spec).is_err());
    assert!(attend(&[(0..4, 0, &[0])], &spec).is_err());
    assert!(attend(&[(0..2, 0, &[0]), (1..3, 0, &[1])], &spec).is_err());
    let three_heads = AttentionSpec {
        heads: 3,
        ..attention_spec()
    };
    assert!(attend(&[], &three_heads).is_err());
}

#[test]
fn activations_must_be_contiguous_f32_rows() {
    let kernels = kernels();
    let x = tensor(3, 8);
    let assert_rejected = |x: &Tensor| {
        let error = kernels.scale(x, 2.0).unwrap_err();
        assert!(
            matches!(error, KernelError::Activation { op: "scale", .. }),
            "{error}"
        );
    };
    assert_rejected(&x.t().unwrap());
    assert_rejected(&x.narrow(1, 0, 4).unwrap());
    assert_rejected(&x.to_dtype(DType::F64).unwrap());
    assert_rejected(&x.reshape((3, 2, 4)).unwrap());
    // A contiguous part of a larger tensor is fine.
    let row = kernels.scale(&x.narrow(0, 1, 1).unwrap(), 1.0).unwrap();
    assert_eq!(values(&row)[0][0], 8.0);
    let empty = kernels.linear(&x.narrow(0, 0, 0).unwrap(), None, &[&linear(5, 8, None)]);
    assert_eq!(empty.unwrap().dims(), [0, 5]);
}

#[test]
fn kv_cache_reports_its_size_and_rejects_impossible_shapes() {
    let kernels = kernels();
    let shape = |blocks| KvShape {
        blocks,
        block_size: 16,
        kv_heads: 3,
        key_dim: 64,
        value_dim: 32,
    };
    let cache = KvCache::new(&kernels, shape(10), KvCacheDtype::F32).unwrap();
    assert_eq!(cache.size_bytes(), 10 * 16 * 3 * (64 + 32) * 4);
    assert!(matches!(
        KvCache::new(&kernels, shape(0), KvCacheDtype::F32),
        Err(KernelError::CacheMemory { .. })
    ));
    assert!(matches!(
        KvCache::new(&kernels, shape(usize::MAX), KvCacheDtype::F32),
        Err(KernelError::CacheMemory { .. })
    ));
}

#[test]
fn results_do_not_depend_on_the_thread_count() {
    assert!(Kernels::cpu(CpuOptions::default()).threads() >= 1);
    let x = tensor(9, 64);
    let w = linear(300, 64, None);
    let run = |threads| {
        let options = CpuOptions {
            threads: Some(threads),
            ..CpuOptions::default()
        };
        let kernels = Kernels::cpu(options);
        assert_eq!(kernels.threads(), threads.max(1));
        values(&kernels.linear(&x, None, &[&w]).unwrap())
    };
    let one = run(1);
    for threads in [0, 2, 3, 8] {
        assert_eq!(run(threads), one);
    }
}

#[test]
fn for_each_row_visits_each_row_once_and_keeps_writes() {
    let kernels = kernels();
    for rows in [1, 2, 9, 40] {
        let x = tensor(rows, 3);
        let before = kernels.dispatches();
        kernels
            .for_each_row(&x, &|row, values| {
                assert_eq!(values[1], (row * 3 + 1) as f32);
                values[0] += 1000.0 * row as f32;
                values[2] = -values[2];
            })
            .unwrap();
        let expected = |row: usize| {
            let first = row as f32 * 3.0;
            vec![1000.0 * row as f32 + first, first + 1.0, -first - 2.0]
        };
        assert_eq!(values(&x), (0..rows).map(expected).collect::<Vec<_>>());
        // Not counted as an operation.
        assert_eq!(kernels.dispatches(), before);
    }
    let sideways = tensor(4, 4).t().unwrap();
    let rejected = kernels.for_each_row(&sideways, &|_, _| {});
    assert!(matches!(rejected, Err(KernelError::Activation { .. })));
}
