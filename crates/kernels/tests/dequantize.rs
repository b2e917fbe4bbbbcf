//! Dequantization of every format against values from MLX (written by `golden/make.py`).

use std::collections::BTreeSet;

use mlxm_kernels::{Bytes, QuantSpec, ScaleType, Weight};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

const GOLDEN: &[u8] = include_bytes!("golden/dequantize.safetensors");

fn floats(view: &TensorView<'_>) -> Vec<f32> {
    assert_eq!(view.dtype(), Dtype::F32);
    let (values, rest) = view.data().as_chunks();
    assert!(rest.is_empty());
    values
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

#[test]
fn every_format_dequantizes_like_mlx() {
    let golden = SafeTensors::deserialize(GOLDEN).unwrap();
    let cases: BTreeSet<&str> = golden
        .names()
        .into_iter()
        .filter_map(|name| Some(name.rsplit_once('.')?.0))
        .collect();
    // 6 widths × 3 groups × 3 float types, mxfp4, mxfp8, nvfp4 with and without a global scale.
    assert_eq!(cases.len(), 6 * 3 * 3 + 4);
    for case in cases {
        let part = |name: &str| golden.tensor(&format!("{case}.{name}")).ok();
        let bytes = |name: &str| part(name).map(|view| Bytes::owned(view.data().to_vec()));
        let mut words = case.split('.');
        let spec = QuantSpec {
            mode: words.next().unwrap().parse().unwrap(),
            bits: words.next().unwrap().parse().unwrap(),
            group_size: words.next().unwrap().parse().unwrap(),
        };
        let scale_type = match words.next().unwrap() {
            "F32" => ScaleType::F32,
            "F16" => ScaleType::F16,
            "BF16" => ScaleType::BF16,
            _ => ScaleType::U8,
        };
        let expected = part("expected").unwrap();
        let (rows, cols) = (expected.shape()[0], expected.shape()[1]);
        let expected = floats(&expected);
        let global_scale = part("global_scale").map(|view| floats(&view)[0]);
        let matrix = Weight::quantized(
            rows,
            cols,
            spec,
            bytes("weight").unwrap(),
            bytes("scales").unwrap(),
            scale_type,
            bytes("biases"),
            global_scale,
        )
        .unwrap();
        let mut found = vec![0.0; cols];
        for (row, expected) in expected.chunks_exact(cols).enumerate() {
            matrix.dequantize_row(row, &mut found);
            for (col, (found, expected)) in found.iter().zip(expected).enumerate() {
                // MLX may round the product of an affine value, and the quotient with a global scale, separately.
                let exact = scale_type == ScaleType::U8 && global_scale.is_none();
                let tolerance = if exact {
                    0.0
                } else {
                    1e-6 * (1.0 + expected.abs())
                };
                let both_nan = found.is_nan() && expected.is_nan();
                assert!(
                    both_nan || (found - expected).abs() <= tolerance,
                    "{case} [{row}, {col}]: {found} for {expected}"
                );
            }
        }
    }
}
