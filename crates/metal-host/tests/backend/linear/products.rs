//! Products with weights against the reference, in all formats.

use super::*;
use crate::device::ORDERS;
use mlxm_kernels::{Activation, FloatType, KernelError, Kernels, QuantMode};
use mlxm_metal_host::{HostDeviceOptions, Options, Order, sanitizer};

pub const Q4: Format = Format::Affine {
    bits: 4,
    group: 64,
    scales: FloatType::BF16,
};
const Q3: Format = Format::Affine {
    bits: 3,
    group: 32,
    scales: FloatType::F16,
};
const NVFP4: Format = Format::Float(QuantMode::Nvfp4);

fn on(order: Order, compile: Options) -> Kernels {
    let lazy = true;
    kernels(HostDeviceOptions {
        compile,
        order,
        lazy,
    })
}

/// Compiles what the cases need as one library.
fn compile(kernels: &Kernels, cases: &[Case]) {
    let result = kernels.compile(|| {
        for case in cases {
            // Values are not read, which would fail.
            let operands = Operands::new(case).on(kernels);
            let _ = operands.run(kernels);
        }
        Ok::<(), KernelError>(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn check_all(kernels: &Kernels, cases: &[Case]) {
    compile(kernels, cases);
    for case in cases {
        let result = Operands::new(case).check(kernels);
        result.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A format in both kernels: with a part of the columns that the lanes take at once, with more than those, and with one
/// value or group.
fn format_cases(index: usize, format: Format) -> Vec<Case> {
    let group = format.group();
    let norm = [NormCase::None, NormCase::Rms, NormCase::WeightedRms][index % 3];
    let few = |rows, columns, outputs| Case::new(format, rows, columns, outputs).norm(norm);
    vec![
        few(1, 9 * group, 13),
        few(1, group, 1),
        few(2 + index % 3, 544_usize.next_multiple_of(group), 9),
        Case::new(format, 5, 9 * group, 13),
    ]
}

/// All numbers of bits, groups and types of scales, but not all combinations.
pub fn some_formats() -> Vec<Format> {
    let floats = [FloatType::F32, FloatType::F16, FloatType::BF16];
    let groups = [32, 64, 128];
    let affine = [2, 3, 4, 5, 6, 8].into_iter().enumerate();
    let affine = affine.map(|(index, bits)| Format::Affine {
        bits,
        group: groups[index % 3],
        scales: floats[(index + index / 3) % 3],
    });
    let others = Format::all().into_iter();
    let others = others.filter(|format| !matches!(format, Format::Affine { .. }));
    affine.chain(others).collect()
}

fn cases_of(formats: &[Format]) -> Vec<Case> {
    let formats = formats.iter().enumerate();
    formats
        .flat_map(|(index, format)| format_cases(index, *format))
        .collect()
}

#[test]
fn formats_agree_with_the_reference() {
    let cases = cases_of(&some_formats());
    for order in ORDERS {
        check_all(&on(order, Options::default()), &cases);
    }
}

#[test]
fn formats_agree_without_subnormals() {
    let compile = Options {
        flush_subnormals: true,
        ..Options::default()
    };
    check_all(&on(Order::Random(3), compile), &cases_of(&some_formats()));
}

#[test]
#[ignore = "compiles hundreds of kernels"]
fn all_formats_agree_with_the_reference() {
    for flush_subnormals in [false, true] {
        let compile = Options {
            flush_subnormals,
            ..Options::default()
        };
        check_all(&on(Order::Random(4), compile), &cases_of(&Format::all()));
    }
}

/// All numbers of rows, norms, with and without a GLU.
fn instantiations(format: Format) -> Vec<Case> {
    let mut cases = Vec::new();
    for rows in 1..=5 {
        for norm in [NormCase::None, NormCase::Rms, NormCase::WeightedRms] {
            if rows <= 4 || norm == NormCase::None {
                let case = Case::new(format, rows, 640, 14).norm(norm).biased();
                cases.push(case.clone());
                cases.push(case.epilogue(Epilogue::Glu(Activation::Silu)));
            }
        }
    }
    cases
}

#[test]
fn instantiations_agree_with_the_reference() {
    check_all(&on(Order::Reverse, Options::default()), &instantiations(Q4));
}

#[test]
#[ignore = "compiles about a hundred kernels"]
fn instantiations_of_other_formats_agree_with_the_reference() {
    for format in [Q3, NVFP4, Format::Dense(FloatType::F16)] {
        check_all(
            &on(Order::Random(5), Options::default()),
            &instantiations(format),
        );
    }
}

#[test]
fn all_shapes_agree_with_the_reference() {
    let mut cases = Vec::new();
    for rows in (1..=9).chain([31, 32, 33, 65]) {
        for outputs in [1, 7, 8, 9, 63, 65, 130] {
            cases.push(Case::new(Q4, rows, 192, outputs));
        }
        for columns in [64, 448, 512, 576, 1088] {
            cases.push(Case::new(Q4, rows, columns, 17));
        }
        // Columns that are no multiple of what a thread takes at once.
        for columns in [1, 31, 33, 127] {
            cases.push(Case::new(Format::Dense(FloatType::F16), rows, columns, 5));
        }
    }
    check_all(&on(Order::Random(6), Options::default()), &cases);
}

#[test]
fn epilogues_agree_with_the_reference() {
    let mut cases = Vec::new();
    for rows in [2, 35] {
        // Sums are about one, where activations are curved.
        let case = Case::new(Q4, rows, 320, 70).largest(0.02).biased();
        for activation in ACTIVATIONS {
            cases.push(case.clone().epilogue(Epilogue::Activation(activation)));
            cases.push(case.clone().epilogue(Epilogue::Glu(activation)));
        }
        cases.push(case.clone().epilogue(Epilogue::Residual(0.25)));
        let glu = case.epilogue(Epilogue::Glu(Activation::GeluTanh));
        cases.push(glu.clone().weights(&[(Q4, 37), (Q4, 37)]));
        // Two dispatches.
        cases.push(glu.weights(&[(Q4, 37), (Q3, 37)]));
        cases.push(
            Case::new(NVFP4, rows, 320, 33)
                .biased()
                .weights(&[(NVFP4, 33), (NVFP4, 33)])
                .epilogue(Epilogue::Glu(Activation::Silu)),
        );
    }
    for order in ORDERS {
        check_all(&on(order, Options::default()), &cases);
    }
}

#[test]
fn several_weights_agree_with_the_reference() {
    let mut cases = Vec::new();
    for rows in [1, 2, 34] {
        let case = Case::new(Q4, rows, 320, 1);
        for weights in [
            &[(Q4, 67), (Q4, 9)][..],
            &[(Q4, 8), (Q4, 129), (Q4, 5)],
            // More than one dispatch.
            &[(Q4, 8), (Q4, 1), (Q4, 5), (Q4, 33)],
            &[(Q4, 19), (Q3, 9), (Q4, 3)],
            &[(Q4, 19), (Q3, 9), (NVFP4, 66), (NVFP4, 3)],
        ] {
            cases.push(case.clone().weights(weights));
            cases.push(case.clone().weights(weights).biased());
        }
    }
    for order in ORDERS {
        check_all(&on(order, Options::default()), &cases);
    }
}

#[test]
fn large_values_and_rows_of_zeros_agree_with_the_reference() {
    let kernels = on(Order::Forward, Options::default());
    for (rows, norm) in [
        (3, NormCase::WeightedRms),
        (3, NormCase::None),
        (6, NormCase::None),
    ] {
        let mut operands = Operands::new(&Case::new(Q4, rows, 640, 9).norm(norm).biased());
        operands.x[..640].fill(0.0);
        for x in &mut operands.x[640..1280] {
            *x *= 6e4;
        }
        let result = operands.check(&kernels);
        result.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn bits_of_a_row_are_the_same_for_all_numbers_of_rows_of_a_kernel() {
    let mut cases = Vec::new();
    for format in [Q4, Q3, NVFP4, Format::Dense(FloatType::F16)] {
        cases.push((
            Case::new(format, 4, 704, 9).norm(NormCase::WeightedRms),
            vec![1, 2, 3],
        ));
        cases.push((Case::new(format, 67, 704, 9), vec![5, 32, 33]));
    }
    let glu = Case::new(Q4, 4, 704, 18).epilogue(Epilogue::Glu(Activation::Silu));
    cases.push((glu, vec![1, 2, 3]));
    let kernels = on(Order::Forward, Options::default());
    for (case, fewer) in &cases {
        let operands = Operands::new(case).on(&kernels);
        let all = operands.run(&kernels).unwrap();
        for rows in fewer {
            let some = operands.first_rows(*rows).run(&kernels).unwrap();
            let bits = |values: &[f32]| values.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
            let (some, all) = (bits(&some), bits(&all[..some.len()]));
            assert_eq!(some, all, "{rows} rows of {case:?}");
        }
    }
}

/// Runs itself again in a process with the runtime of the sanitizers.
#[test]
fn sanitizers_find_nothing() {
    if !sanitizer::is_active() {
        let output = sanitizer::rerun("linear::products::sanitizers_find_nothing").unwrap();
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{report}");
        return;
    }
    let compile = Options {
        sanitize: true,
        optimize: false,
        ..Options::default()
    };
    let dense = Format::Dense(FloatType::BF16);
    let cases = [
        Case::new(Q4, 3, 192, 13)
            .norm(NormCase::WeightedRms)
            .biased(),
        Case::new(Q3, 1, 96, 9).weights(&[(Q3, 9), (Q3, 1), (Q3, 17)]),
        Case::new(NVFP4, 2, 48, 6).epilogue(Epilogue::Glu(Activation::Silu)),
        Case::new(Format::Float(QuantMode::Mxfp8), 2, 96, 3).epilogue(Epilogue::Residual(2.0)),
        Case::new(dense, 1, 37, 3),
        Case::new(dense, 33, 37, 66).biased(),
        Case::new(Q3, 5, 96, 70).epilogue(Epilogue::Glu(Activation::Gelu)),
    ];
    for case in cases {
        let result = Operands::new(&case).check(&on(Order::Random(7), compile.clone()));
        result.unwrap_or_else(|error| panic!("{error}"));
    }
}
