//! Embeddings, norms, element-wise functions, gathers and argmax of the Metal backend against the CPU backend.

use crate::bounds;
use crate::device::{cpu, device, devices, is_wrong_in_an_order};
use crate::noise::Noise;
use mlxm_kernels::{
    Bytes, FloatType, KernelError, Kernels, Norm, Param, Pass, QuantMode, QuantSpec, Rows,
    ScaleType, Weight, metal::Source,
};
use mlxm_metal_host::{Options, Order};
use std::slice::from_ref;

/// The result of an operation on `inputs`, `[rows, width]` each.
fn compute(
    kernels: &Kernels,
    inputs: &[(&[f32], usize)],
    operation: impl FnOnce(&mut Pass<'_>, &[Rows]) -> Result<Rows, KernelError>,
) -> Vec<f32> {
    let inputs: Vec<Rows> = inputs
        .iter()
        .map(|(values, width)| kernels.upload(values, *width).unwrap())
        .collect();
    let mut pass = kernels.begin();
    let result = operation(&mut pass, &inputs).unwrap();
    pass.finish().unwrap();
    kernels.read(&result).unwrap()
}

/// Compares values of which both may have the error `bound`, relative to the largest.
#[track_caller]
fn assert_close(actual: &[f32], expected: &[f32], bound: f32, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .fold(0.0_f32, |largest, x| largest.max(x.abs()));
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        bounds::check(
            (actual - expected).abs(),
            // Numbers below the smallest normal one may be zero.
            bounds::of_both(bound) * largest + f32::MIN_POSITIVE,
            || format!("{what}, element {index}: {actual} instead of {expected}"),
        );
    }
}

/// Compares results of functions, each relative to itself.
#[track_caller]
fn assert_functions_close(actual: &[f32], expected: &[f32], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (actual, expected) in actual.iter().zip(expected) {
        let (actual, expected) = (from_ref(actual), from_ref(expected));
        // Of the argument, tanh or a sigmoid, and the product.
        assert_close(actual, expected, bounds::roundings(8), what);
    }
}

fn floats_of_type(float: FloatType, values: &[f32]) -> Vec<u8> {
    match float {
        FloatType::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        FloatType::F16 => {
            let halves = values.iter().map(|x| half::f16::from_f32(*x));
            halves.flat_map(half::f16::to_le_bytes).collect()
        }
        FloatType::BF16 => {
            let halves = values.iter().map(|x| half::bf16::from_f32(*x));
            halves.flat_map(half::bf16::to_le_bytes).collect()
        }
    }
}

fn affine(
    noise: &mut Noise,
    rows: usize,
    cols: usize,
    bits: u32,
    group_size: usize,
    float: FloatType,
) -> Weight {
    let spec = QuantSpec {
        mode: QuantMode::Affine,
        group_size,
        bits,
    };
    let codes = noise.bytes(rows * spec.row_bytes(cols));
    let mut scales = || floats_of_type(float, &noise.floats(rows * cols / group_size));
    let (scales, biases) = (scales(), scales());
    Weight::quantized(
        rows,
        cols,
        spec,
        Bytes::owned(codes),
        Bytes::owned(scales),
        float.into(),
        Some(Bytes::owned(biases)),
        None,
    )
    .unwrap()
}

fn floating(noise: &mut Noise, rows: usize, cols: usize, mode: QuantMode) -> Weight {
    let spec = QuantSpec::default_for(mode);
    let mut codes = noise.bytes(rows * spec.row_bytes(cols));
    let mut scales = noise.bytes(rows * cols / spec.group_size);
    // Neither NaN nor values that a device may flush to zero.
    let small = |code: &mut u8, limit: u8| *code = 100 + *code % limit;
    match mode {
        QuantMode::Nvfp4 => scales.iter_mut().for_each(|code| *code &= 0x77),
        _ => scales.iter_mut().for_each(|code| small(code, 40)),
    }
    if mode == QuantMode::Mxfp8 {
        for code in &mut codes {
            *code &= 0xf7;
        }
    }
    Weight::quantized(
        rows,
        cols,
        spec,
        Bytes::owned(codes),
        Bytes::owned(scales),
        ScaleType::U8,
        None,
        (mode == QuantMode::Nvfp4).then_some(3.0),
    )
    .unwrap()
}

fn tables() -> Vec<Weight> {
    let mut noise = Noise::new(1);
    let mut tables = Vec::new();
    for float in [FloatType::F32, FloatType::F16, FloatType::BF16] {
        let values = floats_of_type(float, &noise.floats(11 * 67));
        tables.push(Weight::dense(11, 67, float, Bytes::owned(values)).unwrap());
        tables.push(affine(&mut noise, 11, 96, 4, 32, float));
    }
    for bits in [2, 3, 5, 6, 8] {
        tables.push(affine(&mut noise, 7, 384, bits, 64, FloatType::BF16));
    }
    tables.push(affine(&mut noise, 7, 256, 3, 128, FloatType::F16));
    for mode in [QuantMode::Mxfp4, QuantMode::Nvfp4, QuantMode::Mxfp8] {
        tables.push(floating(&mut noise, 9, 160, mode));
    }
    tables
}

/// Ids of rows of every table.
const IDS: &[u32] = &[3, 0, 6, 6, 1];

#[test]
fn embedding_of_every_format_is_that_of_the_host() {
    for kernels in devices() {
        for table in tables() {
            let what = format!("{:?}", table.spec());
            let mut expected = vec![0.0; IDS.len() * table.cols()];
            for (id, row) in IDS.iter().zip(expected.chunks_exact_mut(table.cols())) {
                table.dequantize_row(*id as usize, row);
            }
            let table = kernels.repack(table).unwrap();
            let actual = compute(&kernels, &[], |pass, _| {
                let ids = pass.indices(IDS);
                pass.embed(ids, &table)
            });
            // Code, scale, factor and bias.
            assert_close(&actual, &expected, bounds::roundings(3), &what);
        }
    }
}

#[test]
fn norms_are_those_of_the_cpu() {
    let mut noise = Noise::new(2);
    let cpu = cpu();
    for kernels in devices() {
        for (rows, width, size) in [
            (1, 32, 32),
            (3, 100, 100),
            (2, 192, 64),
            (2, 1030, 1030),
            (1, 1, 1),
        ] {
            let mut param = || Some(Param::from(noise.floats(size)));
            let mut norms = vec![
                Norm::Rms {
                    weight: param(),
                    eps: 1e-5,
                },
                Norm::Rms {
                    weight: None,
                    eps: 1e-2,
                },
            ];
            if size == width {
                norms.push(Norm::Layer {
                    weight: param(),
                    bias: param(),
                    groups: 1,
                    eps: 1e-5,
                });
                norms.push(Norm::Layer {
                    weight: param(),
                    bias: None,
                    groups: 1,
                    eps: 1e-5,
                });
                norms.push(Norm::Layer {
                    weight: None,
                    bias: param(),
                    groups: 1,
                    eps: 1e-5,
                });
                for groups in [2, 5] {
                    if size.is_multiple_of(groups) {
                        norms.push(Norm::Layer {
                            weight: param(),
                            bias: None,
                            groups,
                            eps: 1e-5,
                        });
                    }
                }
            }
            let (x, residual) = (noise.floats(rows * width), noise.floats(rows * width));
            let bound = bounds::roundings(bounds::roundings_of_norm(size));
            for norm in &norms {
                let what = format!("{rows} rows of {width}, {norm:?}");
                let plain =
                    |kernels| compute(kernels, &[(&x, width)], |pass, x| pass.norm(&x[0], norm));
                assert_close(&plain(&kernels), &plain(&cpu), bound, &what);
                let added = |kernels| {
                    compute(kernels, &[(&x, width), (&residual, width)], |pass, x| {
                        pass.add_normed(&x[1], &x[0], norm, 0.3)
                    })
                };
                assert_close(&added(&kernels), &added(&cpu), bound, &what);
            }
        }
    }
}

#[test]
fn elementwise_functions_and_gathers_are_those_of_the_cpu() {
    const INDICES: &[u32] = &[4, 0, 4, 2];
    let mut noise = Noise::new(3);
    let cpu = cpu();
    for kernels in devices() {
        for width in [1, 31, 256, 300] {
            let mut x = noise.floats(5 * width);
            // The function saturates.
            x[0] = 6e4;
            x[width] = -6e4;
            let of = |kernels| {
                let scaled = compute(kernels, &[(&x, width)], |pass, x| pass.scale(&x[0], -1.5));
                let capped = compute(kernels, &[(&x, width)], |pass, x| pass.softcap(&x[0], 30.0));
                let gathered = compute(kernels, &[(&x, width)], |pass, x| {
                    let indices = pass.indices(INDICES);
                    pass.gather_rows(&x[0], indices)
                });
                [scaled, capped, gathered]
            };
            let [scaled, capped, gathered] = of(&kernels);
            let [expected_scaled, expected_capped, expected_gathered] = of(&cpu);
            let what = format!("width {width}");
            assert_eq!(scaled, expected_scaled, "{what}");
            assert_functions_close(&capped, &expected_capped, &what);
            assert_eq!(gathered, expected_gathered, "{what}");
        }
    }
}

#[test]
fn binary_functions_are_those_of_the_cpu() {
    let mut noise = Noise::new(4);
    let cpu = cpu();
    for kernels in devices() {
        // Rows, columns, and columns of the gate.
        for (rows, width, gates) in [
            (1, 1, 1),
            (3, 31, 31),
            (2, 256, 256),
            (5, 300, 4),
            (2, 520, 1),
        ] {
            let x = noise.floats(rows * width);
            let y = noise.floats(rows * width);
            let mut gate: Vec<f32> = noise
                .floats(rows * gates)
                .iter()
                .map(|gate| 8.0 * gate)
                .collect();
            // The gate saturates.
            gate[0] = 6e4;
            gate[(rows - 1) * gates] = -6e4;
            let of = |kernels| {
                let added = compute(kernels, &[(&x, width), (&y, width)], |pass, inputs| {
                    pass.add(&inputs[0], &inputs[1])
                });
                let gated = compute(kernels, &[(&x, width), (&gate, gates)], |pass, inputs| {
                    pass.sigmoid_gate(&inputs[0], &inputs[1])
                });
                [added, gated]
            };
            let [added, gated] = of(&kernels);
            let [expected_sum, expected_gated] = of(&cpu);
            let what = format!("{rows} rows of {width}, {gates} gates");
            assert_eq!(added, expected_sum, "{what}");
            assert_functions_close(&gated, &expected_gated, &what);
        }
    }
}

/// Rows whose largest value is at either end, equal to others, subnormal, infinite or not a number.
fn argmax_rows(width: usize, noise: &mut Noise) -> Vec<f32> {
    let mut rows = Vec::new();
    for (first, last) in [
        (0.5, 0.5),
        (2.0, 1.0),
        (1.0, 2.0),
        (2.0, 2.0),
        (f32::NAN, 2.0),
        (2.0, -f32::NAN),
        (f32::INFINITY, 2.0),
        (f32::NEG_INFINITY, 2.0),
    ] {
        let mut row = noise.floats(width);
        (row[0], row[width - 1]) = (first, last);
        rows.extend(row);
    }
    // The earlier of two equal values is read by a later SIMD group.
    let mut row = noise.floats(width);
    for column in [1000, 1030] {
        if let Some(value) = row.get_mut(column) {
            *value = 2.0;
        }
    }
    rows.extend(row);
    for (value, last) in [
        (0.0, -0.0),
        (-0.0, 0.0),
        (0.0, 1e-40),
        (-1e-40, -1e-41),
        (f32::NEG_INFINITY, f32::NEG_INFINITY),
        (f32::NEG_INFINITY, f32::MIN),
        (f32::MAX, f32::MAX),
    ] {
        let mut row = vec![value; width];
        row[width - 1] = last;
        rows.extend(row);
    }
    rows
}

#[test]
fn argmax_is_that_of_the_cpu() {
    let mut noise = Noise::new(5);
    let cpu = cpu();
    for kernels in devices() {
        for width in [1, 2, 31, 32, 33, 700, 1024, 1025, 3001] {
            let x = argmax_rows(width, &mut noise);
            let of = |kernels| compute(kernels, &[(&x, width)], |pass, x| pass.argmax(&x[0]));
            assert_eq!(of(&kernels), of(&cpu), "width {width}");
        }
    }
}

/// Whether an order shows that argmax is wrong when `from` is replaced by `to`.
fn argmax_mutant_is_noticed(from: &str, to: &str) -> bool {
    // The last column is read by the last SIMD group.
    let (width, cpu) = (3072, cpu());
    let x = argmax_rows(width, &mut Noise::new(6));
    let of = |kernels: &Kernels| compute(kernels, &[(&x, width)], |pass, x| pass.argmax(&x[0]));
    let expected = of(&cpu);
    is_wrong_in_an_order(Source::Misc, from, to, |kernels| of(kernels) != expected)
}

#[test]
fn wrong_argmax_is_noticed() {
    let unchanged = "struct ArgmaxArgs {";
    assert!(!argmax_mutant_is_noticed(unchanged, unchanged));
    for (from, to) in [
        (
            "    threadgroup_barrier(mem_flags::mem_threadgroup);\n    if (thread_index != 0) {",
            "    if (thread_index != 0) {",
        ),
        ("if (magnitude > 0x7f800000u) {", "if (false) {"),
        ("if (magnitude == 0) {", "if (false) {"),
        ("bits | 0x80000000u : ~bits", "bits | 0x80000000u : bits"),
        ("if (key > largest) {", "if (key >= largest) {"),
        ("largest == of_simdgroup ? first : 0xffffffffu", "first"),
        (
            "simd_min(largest == of_simdgroup",
            "simd_max(largest == of_simdgroup",
        ),
        (
            "index = 1; index < SIMDGROUPS",
            "index = 1; index + 1 < SIMDGROUPS",
        ),
        ("|| is_earlier", ""),
        ("largest < LOWEST_KEY || ", ""),
        (" || largest > HIGHEST_KEY", ""),
        ("LOWEST_KEY = 0x00800000u", "LOWEST_KEY = 0x00800001u"),
        ("HIGHEST_KEY = 0xff7fffffu", "HIGHEST_KEY = 0xff7ffffeu"),
        ("size_t(row) * args.width;", "0;"),
    ] {
        assert!(argmax_mutant_is_noticed(from, to), "{from:?} may be {to:?}");
    }
}

#[test]
fn pass_without_rows_has_no_dispatches() {
    let device = device(Order::Forward, Options::default());
    let kernels = Kernels::on_device(device.clone());
    let empty = compute(&kernels, &[(&[], 8)], |pass, x| pass.scale(&x[0], 2.0));
    assert_eq!((empty.len(), device.dispatches()), (0, 0));
}
