//! Wrong kernels for linear layers, each of which must give a wrong result or an error: what the other tests can find.

use std::sync::Arc;

use mlxm_kernels::{Activation, FloatType, Kernels, QuantMode, Xielu, metal::Source};
use mlxm_metal_host::{HostDevice, HostDeviceOptions, Options, sanitizer};

use super::{Case, Epilogue, Format, NormCase, Operands, XIELU};
use crate::device::is_wrong_in_an_order;

const Q4: Format = affine(4);
const NVFP4: Format = Format::Float(QuantMode::Nvfp4);
const MXFP8: Format = Format::Float(QuantMode::Mxfp8);

const fn affine(bits: u32) -> Format {
    Format::Affine {
        bits,
        group: 32,
        scales: FloatType::F16,
    }
}

/// Whether an order shows that the result of a case is wrong when `from` is replaced by `to`.
fn is_noticed(case: &Case, from: &str, to: &str) -> bool {
    let operands = Operands::new(case);
    is_wrong_in_an_order(Source::Linear, from, to, |kernels| {
        operands.check(kernels).is_err()
    })
}

fn check(case: &Case, mutants: &[(&str, &str)]) {
    let unchanged = "#include <metal_stdlib>";
    assert!(!is_noticed(case, unchanged, unchanged), "{case:?} fails");
    for (from, to) in mutants {
        assert!(is_noticed(case, from, to), "{from:?} may be {to:?}");
    }
}

#[test]
fn products_of_few_rows() {
    let case = Case::new(Q4, 3, 544, 13).norm(NormCase::WeightedRms);
    let mutants = [
        (
            "k < columns; k += 32 * VALUES",
            "k + 32 * VALUES <= columns; k += 32 * VALUES",
        ),
        ("k = lane * VALUES", "k = lane"),
        (
            "n < own.outputs) {\n        linear_store",
            "true) {\n        linear_store",
        ),
        (
            "(first * 2 + simdgroup) * OUTPUTS",
            "(first * 2 + simdgroup) * (OUTPUTS + 1)",
        ),
        ("row + k / 8 * BITS", "row + k / 4 * BITS"),
        ("k / GROUP;", "(k + 16) / GROUP;"),
        ("mask << bit", "mask >> 1 << bit"),
        ("value * (1.0f / power)", "value"),
        (
            "fma(scaled[row][i], power, totals[row])",
            "fma(scaled[row][i], 1.0f, totals[row])",
        ),
        ("scales##n, biases##n", "biases##n, scales##n"),
        (" + args.eps", ""),
        (
            "fma(value, value, squares[row])",
            "fma(value * weight, value * weight, squares[row])",
        ),
        ("value *= weight;", ""),
        (
            "row * OUTPUTS + r % OUTPUTS)",
            "r * OUTPUTS + row % OUTPUTS)",
        ),
        ("x[row * columns + k + i]", "x[k + i]"),
    ];
    check(&case, &mutants);
}

#[test]
fn codes_that_cross_words() {
    for bits in [3, 5, 6] {
        let mutants = [
            ("65536.0f", "32768.0f"),
            ("mask >> (16 - bit)", "mask >> (17 - bit)"),
        ];
        check(&Case::new(affine(bits), 1, 96, 3), &mutants);
    }
}

#[test]
fn floats_of_4_and_8_bits() {
    let mutants = [
        (
            "        threadgroup_barrier(mem_flags::mem_threadgroup);\n    }",
            "    }",
        ),
        ("magnitude < 8", "magnitude < 1"),
        ("-0.0f, -0.5f", "-0.0f, 0.5f"),
        ("table[word[at] >> bit & 15]", "table[word[at] >> bit & 7]"),
        ("inverse_rms * segment.factor", "inverse_rms"),
    ];
    check(&Case::new(NVFP4, 1, 336, 3), &mutants);
    let mutants = [
        ("code << 23", "code + 1 << 23"),
        ("(code & 0x80) != 0", "false"),
        ("word[at] >> bit & 255", "word[at] & 255"),
    ];
    check(&Case::new(MXFP8, 1, 96, 3), &mutants);
}

#[test]
fn epilogues() {
    let glu = Case::new(Q4, 2, 96, 12)
        .biased()
        .epilogue(Epilogue::Glu(Activation::Silu));
    let mutants = [
        ("y *= linear_finish(up,", "y *= linear_finish(segment,"),
        ("r < OUTPUTS ? own : up", "own"),
        ("r >= OUTPUTS ? total", "r < OUTPUTS ? total"),
        ("segment.bias[n]", "segment.bias[0]"),
        ("x * sigmoid(x)", "sigmoid(x)"),
    ];
    check(&glu, &mutants);
    let residual = Case::new(Q4, 2, 96, 12).epilogue(Epilogue::Residual(0.5));
    let mutants = [
        ("fma(args.scale, y, other[at])", "y + other[at]"),
        ("size_t(row) * args.width", "row"),
    ];
    check(&residual, &mutants);
    for (activation, mutant) in [
        (Activation::Gelu, ("0.3275911f", "0.327f")),
        (Activation::Gelu, ("x < 0.0f ? tail : x - tail", "x - tail")),
        (Activation::GeluTanh, ("0.044715f", "0.0445f")),
        (Activation::GeluSigmoid, ("1.702f", "1.7f")),
        (Activation::Relu, ("return max(x, 0.0f);", "return x;")),
        (
            Activation::Relu2,
            ("max(x, 0.0f) * max(x, 0.0f)", "max(x, 0.0f)"),
        ),
        (
            Activation::Xielu(XIELU),
            ("args.alpha_p * x * x", "args.alpha_p * x"),
        ),
        (
            Activation::Xielu(XIELU),
            ("args.alpha_n * (", "args.alpha_p * ("),
        ),
        (
            Activation::Xielu(Xielu { eps: -0.3, ..XIELU }),
            ("exp_minus_line(size) + (size - x)", "exp_minus_line(size)"),
        ),
        (
            Activation::Xielu(XIELU),
            ("x > -0.5f ? series", "x > -9.5f ? series"),
        ),
        (
            Activation::Xielu(XIELU),
            ("fma(args.beta, x, ", "fma(1.0f, x, "),
        ),
    ] {
        let case = Case::new(Q4, 2, 96, 12)
            .largest(0.04)
            .epilogue(Epilogue::Activation(activation));
        check(&case, &[mutant]);
    }
}

#[test]
fn several_weights() {
    let case = Case::new(Q4, 1, 96, 1)
        .weights(&[(Q4, 9), (Q4, 11), (Q4, 5)])
        .biased();
    let mutants = [
        (
            "first -= last ? args.first_threadgroup2",
            "first -= last ? args.first_threadgroup1",
        ),
        ("own = last ? LINEAR_SEGMENT(2) : up", "own = up"),
        ("segment.column + n", "n"),
        (
            "threadgroup_index >= args.first_threadgroup1",
            "threadgroup_index > args.first_threadgroup1",
        ),
    ];
    check(&case, &mutants);
}

#[test]
fn tiles() {
    // The barriers of the loop and the one after it.
    let barrier = "        threadgroup_barrier(mem_flags::mem_threadgroup);\n";
    let filled = format!("        }}\n{barrier}#pragma unroll\n        for (int k");
    let multiplied = format!("        }}\n{barrier}    }}\n");
    let summed =
        "    threadgroup_barrier(mem_flags::mem_threadgroup);\n    for (uint i = thread_index";
    let mutants = [
        (
            filled.as_str(),
            "        }\n#pragma unroll\n        for (int k",
        ),
        (multiplied.as_str(), "        }\n    }\n"),
        (summed, "    for (uint i = thread_index"),
        ("ulong2(0, 0), true", "ulong2(0, 0), false"),
        ("thread_index % 2 * 16", "thread_index % 2 * 8"),
        ("thread_index % 4 * 8", "thread_index % 4 * 4"),
        ("simdgroup / 2 * 16", "simdgroup % 2 * 16"),
        ("simdgroup % 2 * 32", "0"),
        (
            "first_row = threadgroup_index.y * 32",
            "first_row = threadgroup_index.y * 33",
        ),
        (
            "first < columns; first += 32",
            "first + 32 < columns; first += 32",
        ),
        ("first_output + output < own.outputs", "true"),
        ("values[i] * (1.0f / power)", "values[i]"),
    ];
    check(&Case::new(Q4, 37, 96, 67), &mutants);
    let glu = Case::new(Q4, 6, 96, 70)
        .biased()
        .epilogue(Epilogue::Glu(Activation::Silu));
    let mutants = [
        ("weight_row % OUTPUTS", "weight_row"),
        ("GLU ? sum[32] : 0.0f", "sum[0]"),
        ("side = up;", "side = own;"),
    ];
    check(&glu, &mutants);
}

/// A missing guard, which only the sanitizers notice: the test runs itself again with their runtime.
fn check_guard(test: &str, case: &Case, from: &str, to: &str) {
    if !sanitizer::is_active() {
        let output = sanitizer::rerun(test).unwrap();
        let report = String::from_utf8_lossy(&output.stderr);
        let is_noticed = report.contains("AddressSanitizer: heap-buffer-overflow");
        assert!(!output.status.success() && is_noticed, "{report}");
        return;
    }
    let options = HostDeviceOptions {
        compile: Options {
            sanitize: true,
            optimize: false,
            ..Options::default()
        },
        ..HostDeviceOptions::default()
    };
    let device = HostDevice::new(options).with_replacement(Source::Linear, from, to);
    let kernels = Kernels::on_device(Arc::new(device));
    let operands = Operands::new(case).on(&kernels);
    operands.run(&kernels).unwrap();
}

#[test]
fn guard_of_the_last_output() {
    let (from, to) = ("min(uint(r), own.outputs - 1 - first)", "uint(r)");
    let case = Case::new(Q4, 1, 96, 3);
    check_guard("linear::mutants::guard_of_the_last_output", &case, from, to);
}

#[test]
fn guard_of_the_last_row() {
    let (from, to) = ("first_row + x_row < args.rows && ", "");
    let case = Case::new(Q4, 5, 96, 3);
    check_guard("linear::mutants::guard_of_the_last_row", &case, from, to);
}

#[test]
fn guard_of_the_last_weight() {
    let (from, to) = ("n < own.outputs && k < columns", "k < columns");
    let case = Case::new(Q4, 5, 96, 3);
    check_guard("linear::mutants::guard_of_the_last_weight", &case, from, to);
}

#[test]
fn guard_of_the_last_result() {
    let (from, to) = ("first_row + row < args.rows && ", "");
    let case = Case::new(Q4, 5, 96, 3);
    check_guard("linear::mutants::guard_of_the_last_result", &case, from, to);
}

/// Values after the last column of a weight are multiplied by zeros, so that reading them shows in nothing else.
#[test]
fn guard_of_the_last_column() {
    let (from, to) = ("n < own.outputs && k < columns", "n < own.outputs");
    let case = Case::new(Format::Dense(FloatType::F32), 5, 33, 3);
    check_guard("linear::mutants::guard_of_the_last_column", &case, from, to);
}
