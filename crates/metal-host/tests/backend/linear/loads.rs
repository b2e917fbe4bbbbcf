//! What products of few rows load of the weights: each byte once.

use mlxm_kernels::{Activation, FloatType, KernelError, Kernels, QuantMode};
use mlxm_metal_host::Order;

use super::products::{Q4, some_formats};
use super::{Case, Epilogue, Format, NormCase, Operands};
use crate::loads::{FIRST_ROW_AGAIN, WeightLoads, tracing_device};

/// Bytes that are loaded of each that is stored, with texts that are replaced in the kernels.
fn ratios(cases: &[Case], replaced: &[(&str, &str)]) -> Vec<Result<f64, String>> {
    let device = tracing_device(Order::Random(1), replaced);
    let kernels = Kernels::on_device(device.clone());
    let all: Vec<Operands> = cases.iter().map(Operands::new).collect();
    let all: Vec<Operands> = all.iter().map(|operands| operands.on(&kernels)).collect();
    // Compiled as one library.
    let compiled = kernels.compile(|| {
        for operands in &all {
            // Values are not read, which would fail.
            let _ = operands.run(&kernels);
        }
        Ok::<(), KernelError>(())
    });
    compiled.unwrap();
    let ratios = all.iter().map(|operands| {
        operands.run(&kernels)?;
        WeightLoads::of(&device.take_loads()).ratio(operands.weight_bytes())
    });
    ratios.collect()
}

fn check(cases: &[Case]) {
    for (case, ratio) in cases.iter().zip(ratios(cases, &[])) {
        let ratio = ratio.unwrap_or_else(|error| panic!("{case:?}: {error}"));
        println!("{ratio:.3} of {case:?}");
    }
}

/// Widths of Qwen2.5 0.5B, and the smallest of each format.
fn cases_of(format: Format) -> [Case; 3] {
    let outputs = |columns: usize, outputs| Case::new(format, 1, columns, outputs);
    [
        outputs(896, 129),
        outputs(4864, 13),
        outputs(format.group(), 1),
    ]
}

#[test]
fn weights_of_every_number_of_bits_are_loaded_once() {
    let formats = some_formats().into_iter();
    let mut cases: Vec<Case> = formats.flat_map(cases_of).collect();
    // Values that are loaded one by one.
    cases.push(Case::new(Format::Dense(FloatType::F16), 1, 37, 9));
    check(&cases);
}

#[test]
#[ignore = "compiles dozens of kernels, and reads a matrix of 77 MB"]
fn weights_of_every_format_are_loaded_once() {
    let formats = Format::all().into_iter();
    let mut cases: Vec<Case> = formats.flat_map(cases_of).collect();
    // The logits of GPT-2, and matrices of Qwen3 4B.
    for format in [Format::Dense(FloatType::BF16), Q4] {
        cases.push(Case::new(format, 1, 768, 50257));
    }
    cases.extend(
        [(2560, 1024), (2560, 9728), (9728, 2560)]
            .map(|(columns, outputs)| Case::new(Q4, 1, columns, outputs)),
    );
    check(&cases);
}

/// Norms, epilogues and segments, with the widths of SmolLM2 135M and odd ones.
fn variants(format: Format) -> Vec<Case> {
    let case = |outputs: &[usize]| {
        let weights: Vec<_> = outputs.iter().map(|outputs| (format, *outputs)).collect();
        Case::new(format, 1, 576, 1).weights(&weights)
    };
    let glu = Epilogue::Glu(Activation::Silu);
    let norms = [NormCase::None, NormCase::Rms, NormCase::WeightedRms];
    let mut cases = Vec::new();
    for norm in norms {
        cases.extend([
            case(&[13]).norm(norm).biased(),
            case(&[576, 192, 192]).norm(norm),
            case(&[9, 1, 11]).norm(norm).biased(),
            case(&[1536, 1536]).norm(norm).epilogue(glu),
            case(&[2 * 77]).norm(norm).epilogue(glu),
        ]);
    }
    cases.extend([
        case(&[576]).epilogue(Epilogue::Residual(1.0)),
        case(&[131]).epilogue(Epilogue::Activation(Activation::GeluTanh)),
        // Two dispatches.
        case(&[8, 1, 5, 33]),
    ]);
    // Rows share what is loaded.
    for rows in 2..=4 {
        cases.push(Case {
            rows,
            ..case(&[70])
        });
    }
    cases
}

#[test]
fn weights_of_every_variant_are_loaded_once() {
    check(&variants(Q4));
}

#[test]
#[ignore = "compiles dozens of kernels"]
fn weights_of_every_variant_of_other_formats_are_loaded_once() {
    for format in [
        Format::Dense(FloatType::F16),
        Format::Float(QuantMode::Mxfp4),
        Format::Affine {
            bits: 3,
            group: 64,
            scales: FloatType::F16,
        },
    ] {
        check(&variants(format));
    }
}

#[test]
fn other_loads_are_noticed() {
    let case = || Case::new(Q4, 1, 896, 129);
    let error = |case: &Case, replaced: &[(&str, &str)]| {
        let ratios = ratios(std::slice::from_ref(case), replaced);
        ratios
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .unwrap_err()
    };
    let again = "times the stored bytes";
    let missed = "are not loaded";
    let found = error(&case(), &FIRST_ROW_AGAIN);
    assert!(found.contains(again), "{found}");
    let scale =
        "const float scale = FORMAT == DENSE ? 1.0f : linear_scale<FORMAT, S>(side.scales, group);";
    let scales = "float scale = linear_scale<FORMAT, S>(side.scales, group);
        for (uint i = 0; i < 16; i++) {
            const size_t other = (n + 8 * i) % own.outputs * groups + k / GROUP;
            scale = fma(linear_scale<FORMAT, S>(side.scales, other), args.largest, scale);
        }";
    let glu = case()
        .weights(&[(Q4, 70), (Q4, 70)])
        .epilogue(Epilogue::Glu(Activation::Silu));
    for (case, from, to, expected) in [
        (case(), scale, scales, again),
        (
            case(),
            "k < columns; k += 32 * VALUES",
            "k + 32 * VALUES <= columns; k += 32 * VALUES",
            missed,
        ),
        (glu, "r < OUTPUTS ? own : up", "own", missed),
    ] {
        let found = error(&case, &[(from, to)]);
        assert!(found.contains(expected), "{from:?}: {found}");
    }
}
