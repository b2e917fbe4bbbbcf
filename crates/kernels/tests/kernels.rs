//! The dispatch object: results, dispatch counts and errors.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use candle_core::{DType, Device, Tensor};
use mlxm_kernels::{
    Activation, AttentionSpec, Bytes, CpuOptions, FloatType, GateUp, KernelError, Kernels, KvCache,
    KvCacheDtype, KvShape, KvSpan, Linear, Mask, Norm, Param, Pass, Rope, Rows, Weight,
};

fn kernels() -> Kernels {
    Kernels::cpu(CpuOptions {
        threads: Some(2),
        ..CpuOptions::default()
    })
}

/// Ascending values.
fn rows(kernels: &Kernels, rows: usize, width: usize) -> Rows {
    let values: Vec<f32> = (0..rows * width).map(|index| index as f32).collect();
    kernels.upload(&values, width).unwrap()
}

/// The result of one operation.
fn run<'a>(
    kernels: &'a Kernels,
    op: impl FnOnce(&mut Pass<'a>) -> Result<Rows, KernelError>,
) -> Vec<Vec<f32>> {
    let mut pass = kernels.begin();
    let result = op(&mut pass).unwrap();
    pass.finish().unwrap();
    values(kernels, &result)
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

fn values(kernels: &Kernels, x: &Rows) -> Vec<Vec<f32>> {
    let values = kernels.read(x).unwrap();
    values
        .chunks(x.width().max(1))
        .map(<[f32]>::to_vec)
        .collect()
}

fn rope(dims: usize) -> Rope {
    Rope {
        dims,
        traditional: false,
        inverse_frequencies: vec![1.0; dims / 2],
        attention_factor: 1.0,
        before_norms: false,
        query_scaling: None,
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
    let x = rows(&kernels, 2, 3);
    let w = linear(2, 3, Some(vec![0.5, -0.5]));
    let relu = Activation::Relu;
    let product = run(&kernels, |pass| pass.linear(&x, None, &[&w]));
    assert_eq!(product, [[5.5, 13.5], [14.5, 49.5]]);
    let both = run(&kernels, |pass| pass.linear(&x, None, &[&w, &w]));
    assert_eq!(both[0], [5.5, 13.5, 5.5, 13.5]);
    let gate_up = GateUp::Separate(&w, &w);
    let gated = run(&kernels, |pass| pass.gated_linear(&x, None, gate_up, relu));
    assert_eq!(gated[0], [30.25, 182.25]);
    let gate_up = GateUp::Fused(&w);
    let gated = run(&kernels, |pass| pass.gated_linear(&x, None, gate_up, relu));
    assert_eq!(gated, [[74.25], [717.75]]);
    let activated = run(&kernels, |pass| {
        pass.linear_act(&x, None, &w, Activation::Relu2)
    });
    assert_eq!(activated[0], [30.25, 182.25]);
    let added = run(&kernels, |pass| {
        let product = pass.linear(&x, None, &[&w])?;
        pass.linear_add(&x, &w, &product, -2.0)
    });
    assert_eq!(added[0], [-5.5, -13.5]);
    let table = matrix(2, 3);
    let embedded = run(&kernels, |pass| {
        let ids = pass.indices(&[1, 0]);
        pass.embed(ids, &table)
    });
    assert_eq!(embedded, [[3.0, 4.0, 5.0], [0.0, 1.0, 2.0]]);
    let picked = run(&kernels, |pass| {
        let indices = pass.indices(&[1, 1, 0]);
        pass.gather_rows(&x, indices)
    });
    assert_eq!(picked[2], [0.0, 1.0, 2.0]);
    let largest = run(&kernels, |pass| pass.argmax(&x));
    assert_eq!(largest, [[2.0], [2.0]]);
    let scaled = run(&kernels, |pass| pass.scale(&x, -2.0));
    assert_eq!(scaled[0], [0.0, -2.0, -4.0]);
    let doubled = run(&kernels, |pass| pass.add(&x, &x));
    assert_eq!(doubled, [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]);
    let half = kernels.upload(&[0.0, 100.0], 1).unwrap();
    let gated = run(&kernels, |pass| pass.sigmoid_gate(&x, &half));
    assert_eq!(gated, [[0.0, 0.5, 1.0], [3.0, 4.0, 5.0]]);
    // A norm weight shorter than a row works on each part of it.
    let x = kernels.upload(&[3.0, 4.0, 6.0, 8.0], 4).unwrap();
    let norm = Norm::rms(vec![1.0, 2.0].into(), 0.0);
    let normed = run(&kernels, |pass| pass.norm(&x, &norm)).remove(0);
    let residual = rows(&kernels, 1, 4);
    let added = run(&kernels, |pass| pass.add_normed(&residual, &x, &norm, 0.5));
    for (index, (added, normed)) in added[0].iter().zip(&normed).enumerate() {
        assert!((added - (index as f32 + 0.5 * normed)).abs() < 1e-6);
    }
    assert!((normed[0] - normed[2]).abs() < 1e-6 && (normed[1] - 2.262_741_7).abs() < 1e-6);
}

#[test]
fn linear_with_norm_equals_norm_then_linear() {
    let kernels = kernels();
    let (x, w) = (rows(&kernels, 3, 8), linear(5, 8, None));
    // A weight as long as the row, and one that normalizes each half of it.
    for weight in [vec![0.5; 8], vec![1.0, 2.0, 3.0, 4.0]] {
        let norm = Norm::rms(weight.into(), 1e-5);
        let fused = run(&kernels, |pass| pass.linear(&x, Some(&norm), &[&w]));
        let steps = run(&kernels, |pass| {
            let normed = pass.norm(&x, &norm)?;
            pass.linear(&normed, None, &[&w])
        });
        assert_eq!(fused, steps);
    }
}

/// Every operation once.
fn every_operation(kernels: &Kernels, cache: &mut KvCache) -> Vec<Rows> {
    let (x, w) = (rows(kernels, 3, 8), linear(8, 8, None));
    let norm = Norm::rms(vec![1.0; 8].into(), 1e-5);
    let (activation, spec) = (Activation::Silu, attention_spec());
    let qkv = rows(kernels, 3, 16);
    let mut pass = kernels.begin();
    let ids = pass.indices(&[0]);
    let last = pass.indices(&[2]);
    let slots = pass.slots(&[0, 1, 2]).unwrap();
    let span = KvSpan {
        rows: 0..3,
        first_position: 0,
        blocks: &[0],
        mask: Mask::Causal,
    };
    let spans = pass.spans(vec![span]).unwrap();
    let rope_cos_sin = pass.rope_cos_sin(&rope(4), &[0, 1, 2]).unwrap();
    let results = [
        pass.linear(&x, Some(&norm), &[&w, &w]),
        pass.gated_linear(&x, None, GateUp::Separate(&w, &w), activation),
        pass.linear_act(&x, None, &w, activation),
        pass.linear_add(&x, &w, &x, 1.0),
        pass.embed(ids, &w.weight),
        pass.norm(&x, &norm),
        pass.add_normed(&x, &x, &norm, 1.0),
        pass.scale(&x, 2.0),
        pass.softcap(&x, 30.0),
        pass.add(&x, &x),
        pass.sigmoid_gate(&x, &x),
        pass.gather_rows(&x, last),
        pass.argmax(&x),
        pass.rope_and_cache(&qkv, &spec, None, Some(rope_cos_sin), cache, slots),
        pass.attention(&x, cache, spans, &spec),
    ];
    pass.finish().unwrap();
    results.map(Result::unwrap).into()
}

#[test]
fn every_operation_counts_one_dispatch() {
    let kernels = kernels();
    let mut cache = cache(&kernels);
    assert_eq!(every_operation(&kernels, &mut cache).len(), 15);
    // The table of angles is the other one.
    assert_eq!(kernels.dispatches(), 16);
}

#[test]
fn shape_errors_name_the_operation_and_both_shapes() {
    let kernels = kernels();
    let mut cache = cache(&kernels);
    let x = rows(&kernels, 3, 8);
    let seven = rows(&kernels, 3, 7);
    let mut pass = kernels.begin();
    let message = |result: Result<Rows, KernelError>| result.unwrap_err().to_string();
    assert_eq!(
        message(pass.linear(&x, None, &[&linear(5, 7, None)])),
        "linear: an activation of [3, 8] does not match a weight of [5, 7]"
    );
    assert_eq!(
        message(pass.linear(&x, None, &[&linear(5, 8, Some(vec![0.0; 4]))])),
        "linear: a bias of [4] does not match a width of 5"
    );
    let (three, five) = (linear(3, 8, None), linear(5, 8, None));
    let gate_up = GateUp::Separate(&three, &five);
    assert_eq!(
        message(pass.gated_linear(&x, None, gate_up, Activation::Silu)),
        "gated_linear: a weight of [3, 8] does not match a weight of [5, 8]"
    );
    let odd = pass.gated_linear(&x, None, GateUp::Fused(&five), Activation::Silu);
    assert!(odd.is_err());
    assert_eq!(
        message(pass.linear_add(&x, &five, &x, 1.0)),
        "linear_add: a residual of [3, 8] does not match 3 rows of 5"
    );
    let ids = pass.indices(&[1, 5]);
    assert_eq!(
        message(pass.embed(ids, &matrix(5, 8))),
        "embed: token 5 is out of range 0..5"
    );
    let norm = Norm::rms(vec![1.0; 3].into(), 1e-5);
    assert_eq!(
        message(pass.norm(&x, &norm)),
        "norm: an activation of width 8 does not match a norm over 3 columns"
    );
    assert!(pass.linear(&x, Some(&norm), &[&five]).is_err());
    assert!(pass.add_normed(&x, &seven, &norm, 1.0).is_err());
    assert_eq!(
        message(pass.sigmoid_gate(&x, &seven)),
        "sigmoid_gate: an activation of [3, 8] does not match an activation of [3, 7]"
    );
    assert!(pass.add(&x, &rows(&kernels, 3, 4)).is_err());
    let uneven = Norm::layer_per_head(vec![1.0; 8].into(), 3, 1e-5);
    assert_eq!(
        message(pass.norm(&x, &uneven)),
        "norm: an activation of width 8 does not match a norm over 3 equal parts"
    );
    let beyond = pass.indices(&[3]);
    assert!(pass.gather_rows(&x, beyond).is_err());
    let spec = attention_spec();
    let mut store = |qkv: &Rows, angles: (u32, usize), slots: &'static [u32]| {
        let positions: Vec<u32> = (0..angles.0).collect();
        let angles = pass.rope_cos_sin(&rope(angles.1), &positions).unwrap();
        let slots = pass.slots(slots).unwrap();
        message(pass.rope_and_cache(qkv, &spec, None, Some(angles), &mut cache, slots))
    };
    let qkv = rows(&kernels, 2, 16);
    assert_eq!(
        store(&qkv, (2, 4), &[0, 64]),
        "rope_and_cache: slot 64 is out of range 0..64"
    );
    assert!(store(&qkv, (3, 4), &[0, 1]).contains("3 rows"));
    assert!(store(&qkv, (2, 6), &[0, 1]).contains("angles"));
    assert!(store(&x, (3, 4), &[0, 1, 2]).contains("[3, 8]"));
    assert_eq!(
        pass.slots(&[7, 7]).unwrap_err().to_string(),
        "slots: slot 7 does not match more than one row"
    );
}

#[test]
fn attention_rejects_spans_outside_rows_blocks_or_cache() {
    let kernels = kernels();
    let cache = cache(&kernels);
    let q = rows(&kernels, 3, 8);
    let windowed = AttentionSpec {
        window: Some(2),
        ..attention_spec()
    };
    let attend = |spans: &[(std::ops::Range<usize>, usize, &[u32])], spec: &AttentionSpec| {
        let spans = spans
            .iter()
            .map(|(rows, first_position, blocks)| KvSpan {
                rows: rows.clone(),
                first_position: *first_position,
                blocks,
                mask: Mask::Causal,
            })
            .collect();
        let mut pass = kernels.begin();
        let spans = pass.spans(spans)?;
        // Later layers are checked, too.
        let first = pass.attention(&q, &cache, spans, spec).map(|_| ());
        let second = pass.attention(&q, &cache, spans, spec).map(|_| ());
        assert_eq!(first.is_ok(), second.is_ok());
        first
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

/// The blocks of a full-attention layer are checked although those of a layer with a window were.
#[test]
fn attention_checks_blocks_for_every_window() {
    let kernels = kernels();
    let cache = cache(&kernels);
    let q = rows(&kernels, 1, 8);
    let windowed = AttentionSpec {
        window: Some(2),
        ..attention_spec()
    };
    let span = KvSpan {
        rows: 0..1,
        first_position: 20,
        blocks: &[u32::MAX, 1],
        mask: Mask::Causal,
    };
    let mut pass = kernels.begin();
    let spans = pass.spans(vec![span]).unwrap();
    pass.attention(&q, &cache, spans, &windowed).unwrap();
    assert!(
        pass.attention(&q, &cache, spans, &attention_spec())
            .is_err()
    );
    pass.attention(&q, &cache, spans, &windowed).unwrap();
}

#[test]
fn tensors_must_be_contiguous_f32_rows() {
    let kernels = kernels();
    let x: Vec<f32> = (0..24_u8).map(f32::from).collect();
    let x = Tensor::from_vec(x, (3, 8), &Device::Cpu).unwrap();
    let assert_rejected = |x: &Tensor| {
        let error = kernels.upload_tensor(x).unwrap_err();
        assert!(matches!(error, KernelError::Activation { .. }), "{error}");
    };
    assert_rejected(&x.t().unwrap());
    assert_rejected(&x.narrow(1, 0, 4).unwrap());
    assert_rejected(&x.to_dtype(DType::F64).unwrap());
    assert_rejected(&x.reshape((3, 2, 4)).unwrap());
    // A contiguous part of a larger tensor is fine.
    let row = kernels.upload_tensor(&x.narrow(0, 1, 1).unwrap()).unwrap();
    let row = run(&kernels, |pass| pass.scale(&row, 2.0));
    assert_eq!(row[0][..2], [16.0, 18.0]);
    let empty = kernels.upload_tensor(&x.narrow(0, 0, 0).unwrap()).unwrap();
    let mut pass = kernels.begin();
    let empty = pass.linear(&empty, None, &[&linear(5, 8, None)]).unwrap();
    pass.finish().unwrap();
    assert_eq!(kernels.read_tensor(&empty).unwrap().dims(), [0, 5]);
    let same = kernels.upload_tensor(&x).unwrap();
    let same = kernels.read_tensor(&same).unwrap();
    assert_eq!(same.to_vec2::<f32>().unwrap(), x.to_vec2::<f32>().unwrap());
}

#[test]
fn activations_cannot_be_read_before_their_pass_is_finished() {
    let kernels = kernels();
    let x = rows(&kernels, 2, 3);
    let mut pass = kernels.begin();
    let y = pass.scale(&x, 2.0).unwrap();
    assert!(matches!(kernels.read(&y), Err(KernelError::Handle { .. })));
    pass.finish().unwrap();
    assert_eq!(values(&kernels, &y)[1], [6.0, 8.0, 10.0]);
    // Results of an earlier pass may be operands of a later one.
    assert_eq!(
        run(&kernels, |pass| pass.scale(&y, 0.5)),
        values(&kernels, &x)
    );
}

#[test]
fn handles_of_other_passes_and_kernels_are_rejected() {
    let (first, second) = (kernels(), kernels());
    let x = rows(&first, 2, 3);
    let mut pass = second.begin();
    assert!(matches!(
        pass.scale(&x, 2.0),
        Err(KernelError::Handle { op: "scale", .. })
    ));
    assert!(second.read(&x).is_err());
    let stale = first.begin().indices(&[0]);
    let mut pass = first.begin();
    pass.indices(&[0]);
    let result = pass.gather_rows(&x, stale);
    assert!(matches!(result, Err(KernelError::Handle { .. })));
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
    let w = linear(300, 64, None);
    let product = |threads| {
        let options = CpuOptions {
            threads: Some(threads),
            ..CpuOptions::default()
        };
        let kernels = Kernels::cpu(options);
        assert_eq!(kernels.threads(), threads.max(1));
        let x = rows(&kernels, 9, 64);
        run(&kernels, |pass| pass.linear(&x, None, &[&w]))
    };
    let one = product(1);
    for threads in [0, 2, 3, 8] {
        assert_eq!(product(threads), one);
    }
}
