//! Quantization against MLX, and its error bound.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use mlxm_kernels::quantize::{dequantize_row, quantize_row};
use mlxm_kernels::{FloatType, QuantMode, QuantSpec};
use proptest::prelude::*;

type Golden = HashMap<String, Tensor>;

fn golden() -> Golden {
    let bytes = include_bytes!("golden/quantize.safetensors");
    candle_core::safetensors::load_buffer(bytes, &Device::Cpu).unwrap()
}

fn rows(golden: &Golden, name: &str) -> Vec<Vec<f32>> {
    golden[name]
        .to_dtype(DType::F32)
        .unwrap()
        .to_vec2()
        .unwrap()
}

/// The float type and format in a golden name such as `float32.affine.4.64.weight`.
fn format(name: &str) -> (FloatType, QuantSpec) {
    let parts: Vec<&str> = name.split('.').collect();
    let float = match parts[0] {
        "float32" => FloatType::F32,
        "float16" => FloatType::F16,
        _ => FloatType::BF16,
    };
    let spec = QuantSpec {
        mode: parts[1].parse().unwrap(),
        bits: parts[2].parse().unwrap(),
        group_size: parts[3].parse().unwrap(),
    };
    (float, spec)
}

/// Little-endian bytes of a golden tensor.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    let flat = tensor.flatten_all().unwrap();
    match tensor.dtype() {
        DType::U8 => flat.to_vec1().unwrap(),
        DType::U32 => flat
            .to_vec1::<u32>()
            .unwrap()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::F32 => flat
            .to_vec1::<f32>()
            .unwrap()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::F16 => flat
            .to_vec1::<half::f16>()
            .unwrap()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DType::BF16 => flat
            .to_vec1::<half::bf16>()
            .unwrap()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        other => panic!("unexpected type {other:?}"),
    }
}

#[test]
fn quantize_row_is_bitwise_equal_to_mlx() {
    let golden = golden();
    let names: Vec<&String> = golden
        .keys()
        .filter(|name| name.ends_with(".weight"))
        .collect();
    assert_eq!(names.len(), 18 + 3 + 2 * (2 + 3));
    for name in names {
        let (float, spec) = format(name);
        let key = name.trim_end_matches(".weight");
        let input = rows(&golden, &format!("x.{}", name.split('.').next().unwrap()));
        let (mut packed, mut scales, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        for row in &input {
            quantize_row(row, spec, float, &mut packed, &mut scales, &mut biases);
        }
        assert_eq!(
            scales,
            bytes(&golden[&format!("{key}.scales")]),
            "scales of {key}"
        );
        assert_eq!(packed, bytes(&golden[name]), "values of {key}");
        match golden.get(&format!("{key}.biases")) {
            Some(expected) => assert_eq!(biases, bytes(expected), "biases of {key}"),
            None => assert!(biases.is_empty()),
        }
    }
}

#[test]
fn dequantize_row_matches_mlx() {
    let golden = golden();
    for name in golden.keys().filter(|name| name.ends_with(".values")) {
        let (float, spec) = format(name);
        let key = name.trim_end_matches(".values");
        let part = |leaf: &str| {
            golden
                .get(&format!("{key}.{leaf}"))
                .map(bytes)
                .unwrap_or_default()
        };
        let expected = rows(&golden, name);
        let (packed, scales, biases) = (part("weight"), part("scales"), part("biases"));
        for (row, expected) in expected.iter().enumerate() {
            let of_row = |bytes: &[u8], rows: usize| {
                let width = bytes.len() / rows;
                bytes[row * width..][..width].to_vec()
            };
            let count = golden[name].dims()[0];
            let mut out = vec![0.0; expected.len()];
            dequantize_row(
                &of_row(&packed, count),
                &of_row(&scales, count),
                &of_row(&biases, count),
                spec,
                float,
                &mut out,
            );
            for (out, expected) in out.iter().zip(expected) {
                // One fused multiply-add is all the two may differ by.
                assert!(
                    (out - expected).abs() <= 2e-7 * expected.abs().max(1e-3),
                    "{key}: {out} {expected}"
                );
            }
        }
    }
}

fn spec() -> impl Strategy<Value = QuantSpec> {
    let affine = (
        prop::sample::select(vec![2, 3, 4, 5, 6, 8]),
        prop::sample::select(vec![32, 64, 128]),
    )
        .prop_map(|(bits, group_size)| QuantSpec {
            mode: QuantMode::Affine,
            group_size,
            bits,
        });
    let modes = [QuantMode::Mxfp4, QuantMode::Nvfp4, QuantMode::Mxfp8];
    prop_oneof![
        affine,
        prop::sample::select(modes.map(QuantSpec::default_for).to_vec())
    ]
}

proptest! {
    #[test]
    fn quantize_row_error_stays_within_the_group_bound(
        spec in spec(),
        exponent in -12_i32..12,
        unit in prop::collection::vec(-1.0_f32..1.0, 128),
    ) {
        let row: Vec<f32> = unit.iter().map(|value| value * 2_f32.powi(exponent)).collect();
        let (mut packed, mut scales, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        quantize_row(&row, spec, FloatType::F32, &mut packed, &mut scales, &mut biases);
        prop_assert_eq!(packed.len(), spec.row_bytes(row.len()));
        let mut again = vec![0.0; row.len()];
        dequantize_row(&packed, &scales, &biases, spec, FloatType::F32, &mut again);
        for (group, (before, after)) in
            row.chunks(spec.group_size).zip(again.chunks(spec.group_size)).enumerate()
        {
            let low = before.iter().copied().fold(f32::INFINITY, f32::min);
            let high = before.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let largest = low.abs().max(high.abs());
            let steps = ((1_u32 << spec.bits) - 1) as f32;
            for (before, after) in before.iter().zip(after) {
                let bound = match spec.mode {
                    // Moving zero onto a step shortens or widens a step by up to half of one over the whole range,
                    // so the far end can be half a step short, in addition to the rounding.
                    QuantMode::Affine => (high - low) / steps * 1.01 + 1e-6 * largest,
                    // Half the widest gap (2 of 6) at a scale rounded up to twice, and a scale code's own rounding.
                    QuantMode::Mxfp4 => largest / 6.0 * 2.0,
                    QuantMode::Nvfp4 => largest / 6.0 * 1.5 + 6.0 * 2_f32.powi(-9),
                    QuantMode::Mxfp8 => largest / 16.0 * 2.0,
                };
                prop_assert!(
                    (before - after).abs() <= bound,
                    "group {} of {}: {} became {}, farther than {}", group, spec, before, after, bound
                );
            }
        }
    }
}
