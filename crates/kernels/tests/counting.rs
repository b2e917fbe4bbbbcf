//! What the counting backend counts.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use mlxm_kernels::{
    Activation, AttentionSpec, Bytes, FloatType, GateUp, KernelError, Kernels, KvCache,
    KvCacheDtype, KvShape, KvSpan, Linear, Mask, Norm, OpCounts, Pass, PassCounts, QuantMode,
    QuantSpec, Rope, Rows, Weight,
};

const WIDTH: usize = 128;

fn dense(rows: usize, cols: usize) -> Linear {
    let bytes = Bytes::owned(vec![0; rows * cols * 2]);
    Linear {
        weight: Weight::dense(rows, cols, FloatType::F16, bytes).unwrap(),
        bias: None,
    }
}

fn affine(rows: usize, cols: usize, bits: u32) -> Linear {
    let spec = QuantSpec {
        mode: QuantMode::Affine,
        group_size: 64,
        bits,
    };
    let bytes = |size| Bytes::owned(vec![0; size]);
    let groups = rows * cols / spec.group_size;
    let (codes, scales) = (bytes(rows * spec.row_bytes(cols)), bytes(2 * groups));
    let biases = Some(bytes(2 * groups));
    let float = FloatType::BF16.into();
    let weight = Weight::quantized(rows, cols, spec, codes, scales, float, biases, None);
    Linear {
        weight: weight.unwrap(),
        bias: None,
    }
}

fn rms() -> Norm {
    Norm::rms(vec![1.0; WIDTH].into(), 1e-5)
}

/// The counts of one pass.
fn count<'a>(
    kernels: &'a Kernels,
    run: impl FnOnce(&mut Pass<'a>) -> Result<(), KernelError>,
) -> PassCounts {
    let mut pass = kernels.begin();
    run(&mut pass).unwrap();
    pass.finish().unwrap();
    let mut counts = kernels.take_counts();
    assert_eq!(counts.len(), 1);
    counts.remove(0)
}

/// The counts of one operation on `rows` rows of [`WIDTH`].
fn count_op(
    rows: usize,
    op: impl FnOnce(&mut Pass<'_>, &Rows) -> Result<Rows, KernelError>,
) -> OpCounts {
    let kernels = Kernels::counting();
    let x = kernels.upload(&vec![0.0; rows * WIDTH], WIDTH).unwrap();
    count(&kernels, |pass| op(pass, &x).map(|_| ())).ops[0]
}

#[test]
fn weights_of_one_format_are_one_dispatch() {
    let four = || affine(WIDTH, WIDTH, 4);
    let (q, k, v) = (four(), four(), four());
    let counts = count_op(1, |pass, x| pass.linear(x, Some(&rms()), &[&q, &k, &v]));
    assert_eq!(
        counts,
        OpCounts {
            op: "linear",
            dispatches: 1,
            barriers: 0,
            weight_bytes: 3 * WIDTH * WIDTH / 2,
            scale_bytes: 3 * WIDTH * WIDTH / 64 * 2,
            bias_bytes: 3 * WIDTH * WIDTH / 64 * 2,
            param_bytes: WIDTH * 4,
            kv_bytes: 0,
            activation_bytes: (1 + 3) * WIDTH * 4,
        }
    );
    // Dispatches with other formats are in the same barrier interval.
    let (six, plain) = (affine(WIDTH, WIDTH, 6), dense(WIDTH, WIDTH));
    for (linears, dispatches) in [([&q, &k, &six], 2), ([&q, &plain, &six], 3)] {
        let counts = count_op(1, |pass, x| pass.linear(x, None, &linears));
        assert_eq!((counts.dispatches, counts.barriers), (dispatches, 0));
    }
}

#[test]
fn norm_is_included_for_few_rows_and_rms() {
    let linear = dense(WIDTH, WIDTH);
    let layer = Norm::layer(vec![1.0; WIDTH].into(), None, 1e-5);
    let parts = Norm::rms(vec![1.0; WIDTH / 2].into(), 1e-5);
    for (rows, norm, expected) in [
        (1, rms(), (1, 0)),
        (4, rms(), (1, 0)),
        (5, rms(), (2, 1)),
        (1, layer, (2, 1)),
        (1, parts, (2, 1)),
    ] {
        let counts = count_op(rows, |pass, x| pass.linear(x, Some(&norm), &[&linear]));
        assert_eq!((counts.dispatches, counts.barriers), expected, "{norm:?}");
    }
}

#[test]
fn gate_and_up_of_different_formats_depend_on_each_other() {
    let (gate, up) = (affine(WIDTH, WIDTH, 4), affine(WIDTH, WIDTH, 6));
    for (up, expected) in [(&gate, (1, 0)), (&up, (2, 1))] {
        let counts = count_op(1, |pass, x| {
            let gate_up = GateUp::Separate(&gate, up);
            pass.gated_linear(x, None, gate_up, Activation::Silu)
        });
        assert_eq!((counts.dispatches, counts.barriers), expected);
    }
}

#[test]
fn dependent_operations_have_a_barrier_between_them() {
    let kernels = Kernels::counting();
    let x = kernels.upload(&[0.0; WIDTH], WIDTH).unwrap();
    let linear = dense(WIDTH, WIDTH);
    let run = |pass: &mut Pass<'_>| {
        let a = pass.scale(&x, 2.0)?;
        let b = pass.linear(&x, None, &[&linear])?;
        let c = pass.linear_add(&a, &linear, &b, 1.0)?;
        // Written to the place of `a`, which the last operation reads.
        drop(a);
        let d = pass.scale(&x, 3.0)?;
        pass.add_normed(&c, &d, &rms(), 1.0).map(|_| ())
    };
    let counts = count(&kernels, run);
    let barriers: Vec<_> = counts.ops.iter().map(|op| op.barriers).collect();
    assert_eq!(barriers, [0, 0, 1, 1, 1]);
    // The input, and at most four results.
    assert_eq!(counts.arena_bytes, 5 * WIDTH * 4);
    assert_eq!(count(&kernels, run), counts);
}

#[test]
fn embedding_reads_the_rows_of_the_tokens() {
    let kernels = Kernels::counting();
    let table = affine(1000, WIDTH, 4);
    let counts = count(&kernels, |pass| {
        let ids = pass.indices(&[1, 7, 7]);
        pass.embed(ids, &table.weight).map(|_| ())
    });
    assert_eq!(counts.ops[0].weight_bytes, 3 * WIDTH / 2);
    assert_eq!(counts.ops[0].scale_bytes, 3 * 2 * 2);
}

/// The counts of storing one position and attending to `positions`, for spans of `rows` rows.
fn attend(rows: usize, positions: usize, window: Option<usize>) -> Vec<OpCounts> {
    let kernels = Kernels::counting();
    let shape = KvShape {
        blocks: positions.div_ceil(32),
        block_size: 32,
        kv_heads: 1,
        key_dim: 64,
        value_dim: 64,
    };
    let spec = AttentionSpec {
        heads: 2,
        kv_heads: 1,
        head_dim: 64,
        value_dim: 64,
        scale: 1.0,
        softcap: None,
        window,
        sinks: None,
    };
    let mut cache = KvCache::new(&kernels, shape, KvCacheDtype::F16).unwrap();
    let qkv = kernels.upload(&vec![0.0; rows * 256], 256).unwrap();
    let slots: Vec<u32> = (positions - rows..positions)
        .map(|slot| slot as u32)
        .collect();
    let blocks: Vec<u32> = (0..shape.blocks as u32).collect();
    let rope = Rope {
        dims: 64,
        traditional: false,
        inverse_frequencies: vec![1.0; 32],
        attention_factor: 1.0,
        before_norms: false,
        query_scaling: None,
    };
    let mut pass = kernels.begin();
    let span = KvSpan {
        rows: 0..rows,
        first_position: positions - rows,
        blocks: &blocks,
        mask: Mask::Causal,
    };
    let spans = pass.spans(vec![span]).unwrap();
    let angles = pass.rope_cos_sin(&rope, &slots).unwrap();
    let slots = pass.slots(&slots).unwrap();
    let q = pass.rope_and_cache(&qkv, &spec, None, Some(angles), &mut cache, slots);
    pass.attention(&q.unwrap(), &cache, spans, &spec).unwrap();
    pass.finish().unwrap();
    kernels.take_counts().remove(0).ops
}

#[test]
fn attention_over_many_positions_takes_two_passes() {
    let per_position = 2 * 64 * 2;
    for (rows, positions, window, dispatches, visible) in [
        (1, 1000, None, 1, 1000),
        (1, 1025, None, 2, 1025),
        (1, 1025, Some(512), 1, 512),
        (512, 1025, None, 1, 1025),
    ] {
        let [stored, attention] = attend(rows, positions, window).try_into().unwrap();
        assert_eq!((stored.op, stored.dispatches), ("rope_and_cache", 1));
        assert_eq!(attention.op, "attention");
        assert_eq!(attention.dispatches, dispatches, "{rows} {positions}");
        // One for the keys, values and queries, one for partial results.
        assert_eq!(attention.barriers, dispatches);
        assert_eq!(attention.kv_bytes, visible * per_position);
    }
}

#[test]
fn failed_pass_counts_nothing_and_values_cannot_be_read() {
    let kernels = Kernels::counting();
    let x = kernels.upload(&[0.0; WIDTH], WIDTH).unwrap();
    let narrow = dense(WIDTH, WIDTH / 2);
    let mut pass = kernels.begin();
    let y = pass.scale(&x, 2.0).unwrap();
    let error = pass.linear(&y, None, &[&narrow]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "linear: an activation of [1, 128] does not match a weight of [128, 64]"
    );
    drop(pass);
    assert!(kernels.take_counts().is_empty());
    let mut pass = kernels.begin();
    let y = pass.scale(&x, 2.0).unwrap();
    pass.finish().unwrap();
    assert_eq!((y.rows(), y.width()), (1, WIDTH));
    assert!(matches!(
        kernels.read(&y),
        Err(KernelError::NoValues { op: "read" })
    ));
}

#[test]
fn cpu_only_methods_do_nothing() {
    let mut kernels = Kernels::counting();
    kernels.set_threads(4);
    assert_eq!(kernels.threads(), 1);
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = sender.clone();
    kernels.promote_huge_pages(move || done.send("promoted").unwrap());
    kernels.spawn_background(move || sender.send("background").unwrap());
    assert_eq!(
        receiver.iter().collect::<Vec<_>>(),
        ["promoted", "background"]
    );
    let linear = affine(WIDTH, WIDTH, 4);
    let repacked = kernels.repack(linear.weight.clone()).unwrap();
    assert_eq!(repacked.size_bytes(), linear.weight.size_bytes());
}
