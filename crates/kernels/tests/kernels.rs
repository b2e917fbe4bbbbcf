//! The dispatch object: what it computes, counts and refuses.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use candle_core::{DType, Device, Tensor};
use mlxm_kernels::{
    Activation, AttentionSpec, Bytes, CpuOptions, FloatType, KernelError, Kernels, KvCache,
    KvShape, KvSpan, KvType, Mask, Matrix, Rope, Vector,
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

fn matrix(rows: usize, cols: usize) -> Matrix {
    let values = (0..rows * cols).flat_map(|index| (index as f32).to_le_bytes());
    Matrix::dense(rows, cols, FloatType::F32, Bytes::owned(values.collect())).unwrap()
}

fn values(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().unwrap()
}

fn rope(dims: usize) -> Rope {
    Rope {
        dims,
        traditional: false,
        inverse_frequencies: vec![1.0; dims / 2],
        amplitude: 1.0,
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
    KvCache::new(kernels, shape, KvType::F32).unwrap()
}

#[test]
fn small_operations_compute_what_they_say() {
    let kernels = kernels();
    let x = tensor(2, 3);
    let product = kernels
        .linear(&x, &matrix(2, 3), Some(&vec![0.5, -0.5].into()))
        .unwrap();
    assert_eq!(values(&product), [[5.5, 13.5], [14.5, 49.5]]);
    let rows = kernels.embed(&[1, 0], &matrix(2, 3)).unwrap();
    assert_eq!(values(&rows), [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]);
    let columns = kernels.columns(&x, 1..3).unwrap();
    assert_eq!(values(&columns), [[1.0, 2.0], [4.0, 5.0]]);
    let picked = kernels.rows(&x, &[1, 1, 0]).unwrap();
    assert_eq!(values(&picked)[2], [0.0, 1.0, 2.0]);
    let sum = kernels.add(&x, &x, 0.5).unwrap();
    assert_eq!(values(&sum)[1], [4.5, 6.0, 7.5]);
    let scaled = kernels.scale(&x, -2.0).unwrap();
    assert_eq!(values(&scaled)[0], [0.0, -2.0, -4.0]);
    let gated = kernels.gated(&x, &x, Activation::Relu).unwrap();
    assert_eq!(values(&gated)[1], [9.0, 16.0, 25.0]);
    // A norm weight shorter than a row works on each part of it.
    let x = Tensor::from_vec(vec![3.0_f32, 4.0, 6.0, 8.0], (1, 4), &Device::Cpu).unwrap();
    let normed = kernels
        .rms_norm(&x, Some(&vec![1.0, 2.0].into()), 0.0)
        .unwrap();
    let normed = &values(&normed)[0];
    assert!((normed[0] - normed[2]).abs() < 1e-6 && (normed[1] - 2.262_741_7).abs() < 1e-6);
}

#[test]
fn every_operation_is_one_dispatch() {
    let kernels = kernels();
    let mut cache = cache(&kernels);
    let (x, w, ones) = (tensor(3, 8), matrix(5, 8), Vector::from(vec![1.0; 8]));
    let (k, v) = (tensor(3, 4), tensor(3, 4));
    kernels.linear(&x, &w, None).unwrap();
    kernels.embed(&[0], &w).unwrap();
    kernels.rms_norm(&x, Some(&ones), 1e-5).unwrap();
    kernels.layer_norm(&x, Some(&ones), None, 1e-5).unwrap();
    kernels.rope(&x, 4, &[0, 1, 2], &rope(4)).unwrap();
    kernels.gated(&x, &x, Activation::Silu).unwrap();
    kernels.activate(&x, Activation::Gelu).unwrap();
    kernels.add(&x, &x, 1.0).unwrap();
    kernels.scale(&x, 2.0).unwrap();
    kernels.softcap(&x, 30.0).unwrap();
    kernels.columns(&x, 0..4).unwrap();
    kernels.rows(&x, &[2]).unwrap();
    kernels.write_kv(&mut cache, &k, &v, &[0, 1, 2]).unwrap();
    let span = KvSpan {
        rows: 0..3,
        first_position: 0,
        blocks: &[0],
        mask: Mask::Causal,
    };
    kernels
        .attention(&x, &cache, &[span], &attention_spec())
        .unwrap();
    assert_eq!(kernels.dispatches(), 14);
}

#[test]
fn mismatches_name_the_operation_and_both_shapes() {
    let kernels = kernels();
    let mut cache = cache(&kernels);
    let x = tensor(3, 8);
    let message = |result: Result<Tensor, KernelError>| result.unwrap_err().to_string();
    assert_eq!(
        message(kernels.linear(&x, &matrix(5, 7), None)),
        "linear: an activation of [3, 8] does not fit a weight of [5, 7]"
    );
    assert_eq!(
        message(kernels.linear(&x, &matrix(5, 8), Some(&vec![0.0; 4].into()))),
        "linear: a bias of [4] does not fit a width of 5"
    );
    assert_eq!(
        message(kernels.embed(&[1, 5], &matrix(5, 8))),
        "embed: token 5 is outside of 0..5"
    );
    assert_eq!(
        message(kernels.rms_norm(&x, Some(&vec![1.0; 3].into()), 1e-5)),
        "rms_norm: an activation of [3, 8] does not fit chunks of 3"
    );
    assert_eq!(
        message(kernels.add(&x, &tensor(3, 7), 1.0)),
        "add: an activation of [3, 8] does not fit an activation of [3, 7]"
    );
    assert_eq!(
        message(kernels.rope(&x, 4, &[0, 1], &rope(4))),
        "rope: an activation of [3, 8] does not fit 2 positions"
    );
    assert!(kernels.rope(&x, 4, &[0, 1, 2], &rope(6)).is_err());
    assert!(kernels.columns(&x, 4..9).is_err());
    assert!(kernels.rows(&x, &[3]).is_err());
    let (k, v) = (tensor(1, 4), tensor(1, 4));
    assert_eq!(
        kernels
            .write_kv(&mut cache, &k, &v, &[64])
            .unwrap_err()
            .to_string(),
        "write_kv: slot 64 is outside of 0..64"
    );
    assert!(kernels.write_kv(&mut cache, &x, &v, &[0]).is_err());
}

#[test]
fn spans_must_lie_inside_of_rows_blocks_and_cache() {
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
    // A block behind the window may be gone, one inside may not.
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
fn activations_are_contiguous_f32_rows() {
    let kernels = kernels();
    let x = tensor(3, 8);
    let refused = |x: &Tensor| {
        let error = kernels.scale(x, 2.0).unwrap_err();
        assert!(
            matches!(error, KernelError::Activation { op: "scale", .. }),
            "{error}"
        );
    };
    refused(&x.t().unwrap());
    refused(&x.narrow(1, 0, 4).unwrap());
    refused(&x.to_dtype(DType::F64).unwrap());
    refused(&x.reshape((3, 2, 4)).unwrap());
    // A contiguous part of a larger tensor is fine.
    let row = kernels.scale(&x.narrow(0, 1, 1).unwrap(), 1.0).unwrap();
    assert_eq!(values(&row)[0][0], 8.0);
    let empty = kernels.linear(&x.narrow(0, 0, 0).unwrap(), &matrix(5, 8), None);
    assert_eq!(empty.unwrap().dims(), [0, 5]);
}

#[test]
fn a_cache_is_reserved_and_its_size_is_told() {
    let kernels = kernels();
    let shape = |blocks| KvShape {
        blocks,
        block_size: 16,
        kv_heads: 3,
        key_dim: 64,
        value_dim: 32,
    };
    let cache = KvCache::new(&kernels, shape(10), KvType::F32).unwrap();
    assert_eq!(cache.size_bytes(), 10 * 16 * 3 * (64 + 32) * 4);
    assert!(matches!(
        KvCache::new(&kernels, shape(0), KvType::F32),
        Err(KernelError::CacheMemory { .. })
    ));
    assert!(matches!(
        KvCache::new(&kernels, shape(usize::MAX), KvType::F32),
        Err(KernelError::CacheMemory { .. })
    ));
}

#[test]
fn threads_default_to_at_least_one_and_do_not_change_results() {
    assert!(Kernels::cpu(CpuOptions::default()).threads() >= 1);
    let x = tensor(9, 64);
    let w = matrix(300, 64);
    let run = |threads| {
        let options = CpuOptions {
            threads: Some(threads),
            ..CpuOptions::default()
        };
        let kernels = Kernels::cpu(options);
        assert_eq!(kernels.threads(), threads.max(1));
        values(&kernels.linear(&x, &w, None).unwrap())
    };
    let one = run(1);
    for threads in [0, 2, 3, 8] {
        assert_eq!(run(threads), one);
    }
}
