//! Random values of tensors.

use mlxm_engine::checkpoint::{RawTensor, Weights};
use mlxm_engine::{MissingTensor, QuantSpec};
use mlxm_kernels::quantize::quantize_row;
use mlxm_kernels::{Bytes, FloatType, QuantMode};
use safetensors::Dtype;

use crate::SpecOf;

/// Adds values for `tensor`. The same seed and name give the same values.
pub(crate) fn add(weights: &mut Weights, tensor: &MissingTensor, seed: u64, spec_of: SpecOf<'_>) {
    let MissingTensor { name, shape } = tensor;
    let mut random = fastrand::Rng::with_seed(name.bytes().fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }));
    let count: usize = shape.iter().product();
    let (mean, factor, divisor) = distribution(name, shape);
    // The sum of 12 uniform numbers is close to a normal distribution.
    let mut normal = || (0..12).map(|_| random.f32()).sum::<f32>() - 6.0;
    let values = (0..count).map(|_| mean + factor * normal() / divisor);
    let values: Vec<f32> = values.collect();
    let path = name.strip_suffix(".weight").unwrap_or_default();
    match (shape.as_slice(), spec_of(path)) {
        (&[rows, cols], Some(spec)) if is_quantized(path, cols, spec) => {
            add_quantized(weights, path, &values, [rows, cols], spec);
        }
        _ => {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            insert(
                weights,
                name.clone(),
                Dtype::F32,
                shape.clone(),
                bytes.collect(),
            );
        }
    }
}

/// Norms have weights of rank 2 where each head has its own.
fn is_quantized(path: &str, cols: usize, spec: QuantSpec) -> bool {
    !path.is_empty() && !path.contains("norm") && cols.is_multiple_of(spec.group_size)
}

/// Mean, and factor and divisor of a normal distribution. Activations have about unit variance, and nothing has a value that would
/// hide a mistake: a bias of 0, a factor of 1.
fn distribution(name: &str, shape: &[usize]) -> (f32, f32, f32) {
    match shape {
        _ if name.contains("norm") && name.ends_with("weight") => (1.0, 0.2, 1.0),
        [_, cols] if name.contains("embed") => (0.0, 0.25, (*cols as f32).sqrt()),
        [_, cols] => (0.0, 1.0, (*cols as f32).sqrt()),
        _ => (0.0, 0.2, 1.0),
    }
}

fn add_quantized(
    weights: &mut Weights,
    path: &str,
    values: &[f32],
    [rows, cols]: [usize; 2],
    spec: QuantSpec,
) {
    let (mut packed, mut scales, mut biases) = (Vec::new(), Vec::new(), Vec::new());
    for row in values.chunks_exact(cols) {
        quantize_row(
            row,
            spec,
            FloatType::F32,
            &mut packed,
            &mut scales,
            &mut biases,
        );
    }
    let groups = cols / spec.group_size;
    let words = cols * spec.bits as usize / 32;
    insert(
        weights,
        format!("{path}.weight"),
        Dtype::U32,
        vec![rows, words],
        packed,
    );
    let scale_type = if spec.mode == QuantMode::Affine {
        insert(
            weights,
            format!("{path}.biases"),
            Dtype::F32,
            vec![rows, groups],
            biases,
        );
        Dtype::F32
    } else {
        Dtype::U8
    };
    insert(
        weights,
        format!("{path}.scales"),
        scale_type,
        vec![rows, groups],
        scales,
    );
}

fn insert(weights: &mut Weights, name: String, dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) {
    let bytes = Bytes::owned(bytes);
    weights.insert(
        name,
        RawTensor {
            dtype,
            shape,
            bytes,
        },
    );
}
