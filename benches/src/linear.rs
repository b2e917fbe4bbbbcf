//! Linear layers in every format.

use std::hint::black_box;

use mlxm_kernels::{FloatType, Kernels, Linear, QuantMode, QuantSpec};

use crate::{
    bench::{Arithmetic, Bench, Work},
    inputs::{Format, Noise, valid},
};

/// Output and input features.
const SHAPES: [(usize, usize); 2] = [(2048, 2048), (8192, 2048)];
/// A single sequence, small batches and a chunk of a prompt.
const ROWS: [usize; 4] = [1, 4, 16, 512];
/// Total size of the weights that are used in rotation, larger than the caches: a model has more than one layer.
const ROTATION_BYTES: usize = 96 << 20;

fn formats() -> Vec<Format> {
    let affine = [
        (2, 64),
        (3, 64),
        (4, 32),
        (4, 64),
        (4, 128),
        (5, 64),
        (6, 64),
        (8, 64),
    ];
    let affine = affine.map(|(bits, group_size)| QuantSpec {
        mode: QuantMode::Affine,
        group_size,
        bits,
    });
    let floats = [QuantMode::Mxfp4, QuantMode::Nvfp4, QuantMode::Mxfp8].map(QuantSpec::default_for);
    let quantized = affine.into_iter().chain(floats).map(Format::Quantized);
    let dense = [FloatType::BF16, FloatType::F16].map(Format::Dense);
    quantized.chain(dense).collect()
}

fn name(format: Format) -> String {
    match format {
        Format::Dense(float) => format!("{float:?}").to_lowercase(),
        Format::Quantized(spec) if spec.mode == QuantMode::Affine => {
            format!("affine{}-g{}", spec.bits, spec.group_size)
        }
        Format::Quantized(spec) => spec.mode.to_string(),
    }
}

/// Every format with int8 activations (the default), then 4 bits with f32 activations.
pub fn run(bench: &mut Bench) {
    for (outputs, inputs) in SHAPES {
        for format in formats() {
            for rows in ROWS {
                let int8 =
                    matches!(format, Format::Quantized(spec) if spec.mode != QuantMode::Mxfp8);
                let arithmetic = if int8 {
                    Arithmetic::Int8
                } else {
                    Arithmetic::Float
                };
                let group = format!("linear {outputs}x{inputs}");
                measure(bench, &group, format, (outputs, inputs), rows, arithmetic);
            }
        }
        let format = Format::Quantized(QuantSpec::default_for(QuantMode::Affine));
        for rows in ROWS {
            let group = format!("f32 linear {outputs}x{inputs}");
            measure(
                bench,
                &group,
                format,
                (outputs, inputs),
                rows,
                Arithmetic::Float,
            );
        }
    }
}

fn measure(
    bench: &mut Bench,
    group: &str,
    format: Format,
    (outputs, inputs): (usize, usize),
    rows: usize,
    arithmetic: Arithmetic,
) {
    let bytes = weight_bytes(format, outputs, inputs);
    let work = Work {
        bytes,
        operations: 2 * rows * outputs * inputs,
        arithmetic,
    };
    let name = format!("{}/{rows}", name(format));
    let f32_activations = group.starts_with("f32");
    bench.measure(group, &name, work, |int8_kernels, f32_kernels| {
        let kernels: &Kernels = if f32_activations {
            f32_kernels
        } else {
            int8_kernels
        };
        let mut noise = Noise::new();
        let x = noise.activations(kernels, rows, inputs);
        let first = noise.weight(outputs, inputs, format);
        let linears: Vec<Linear> = (0..ROTATION_BYTES.div_ceil(bytes))
            .map(|index| {
                let weight = if index == 0 {
                    first.clone()
                } else {
                    noise.weight(outputs, inputs, format)
                };
                Linear {
                    weight: valid(kernels.repack(weight)),
                    bias: None,
                }
            })
            .collect();
        let mut index = 0;
        let mut pass = kernels.begin();
        move || {
            index = (index + 1) % linears.len();
            black_box(valid(pass.linear(&x, None, &[&linears[index]])));
        }
    });
}

/// Codes, scales and biases.
fn weight_bytes(format: Format, outputs: usize, inputs: usize) -> usize {
    match format {
        Format::Dense(float) => outputs * inputs * float.size_bytes(),
        Format::Quantized(spec) => {
            let per_group = if spec.has_biases() {
                2 * FloatType::BF16.size_bytes()
            } else {
                1
            };
            outputs * (spec.row_bytes(inputs) + inputs / spec.group_size * per_group)
        }
    }
}
