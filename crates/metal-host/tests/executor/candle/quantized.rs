//! Products with GGUF weights: vectors, and tiles of simdgroup matrices.

use super::{assert_close, sources, values};
use crate::support::{Buffers, ORDERS};
use half::f16;
use mlxm_metal_host::Order;

/// A weight in GGUF blocks, and the values it stands for.
struct Weight {
    bytes: Vec<u8>,
    values: Vec<f64>,
    bytes_per_row: usize,
}

fn half_bytes(value: f32) -> ([u8; 2], f64) {
    let value = f16::from_f32(value);
    (value.to_le_bytes(), value.to_f64())
}

fn codes(count: usize, seed: u64) -> Vec<u8> {
    let codes = values(count, seed).into_iter();
    codes.map(|value| ((value + 1.0) * 127.5) as u8).collect()
}

fn q4_0(rows: usize, columns: usize) -> Weight {
    let scales = values(rows * columns / 32, 1);
    let mut bytes = Vec::new();
    let mut values = Vec::new();
    for (block, scale) in scales.into_iter().enumerate() {
        let (scale_bytes, scale) = half_bytes(scale * 0.1);
        let codes = codes(16, 100 + block as u64);
        bytes.extend(scale_bytes);
        values.extend(
            codes
                .iter()
                .map(|code| scale * (f64::from(code & 15) - 8.0)),
        );
        values.extend(
            codes
                .iter()
                .map(|code| scale * (f64::from(code >> 4) - 8.0)),
        );
        bytes.extend(codes);
    }
    Weight {
        bytes,
        values,
        bytes_per_row: columns / 32 * 18,
    }
}

fn q8_0(rows: usize, columns: usize) -> Weight {
    let scales = values(rows * columns / 32, 2);
    let mut bytes = Vec::new();
    let mut values = Vec::new();
    for (block, scale) in scales.into_iter().enumerate() {
        let (scale_bytes, scale) = half_bytes(scale * 0.01);
        let codes = codes(32, 200 + block as u64);
        bytes.extend(scale_bytes);
        values.extend(codes.iter().map(|&code| scale * f64::from(code as i8)));
        bytes.extend(codes);
    }
    Weight {
        bytes,
        values,
        bytes_per_row: columns / 32 * 34,
    }
}

fn q4_k(rows: usize, columns: usize) -> Weight {
    let mut bytes = Vec::new();
    let mut values = Vec::new();
    for block in 0..rows * columns / 256 {
        let seed = 300 + 3 * block as u64;
        let (scale_bytes, scale) = half_bytes(0.01 + block as f32 * 1e-4);
        let (minimum_bytes, minimum) = half_bytes(0.02);
        let packed = codes(12, seed);
        let codes = codes(128, seed + 1);
        bytes.extend(scale_bytes);
        bytes.extend(minimum_bytes);
        for part in 0..8 {
            // Six bits of scale and of minimum for each of eight parts, packed into twelve bytes.
            let (part_scale, part_minimum) = if part < 4 {
                (packed[part] & 63, packed[part + 4] & 63)
            } else {
                (
                    packed[part + 4] & 15 | packed[part - 4] >> 6 << 4,
                    packed[part + 4] >> 4 | packed[part] >> 6 << 4,
                )
            };
            let nibbles = &codes[part / 2 * 32..][..32];
            values.extend(nibbles.iter().map(|code| {
                let nibble = if part % 2 == 0 { code & 15 } else { code >> 4 };
                scale * f64::from(part_scale) * f64::from(nibble)
                    - minimum * f64::from(part_minimum)
            }));
        }
        bytes.extend(packed);
        bytes.extend(codes);
    }
    Weight {
        bytes,
        values,
        bytes_per_row: columns / 256 * 144,
    }
}

/// Rows of x times the transposed weight.
fn product(weight: &[f64], x: &[f32], columns: usize) -> Vec<f64> {
    let dot = |x: &[f32], w: &[f64]| x.iter().zip(w).map(|(&x, &w)| f64::from(x) * w).sum();
    x.chunks(columns)
        .flat_map(|x| weight.chunks(columns).map(move |w| dot(x, w)))
        .collect()
}

/// Threads in both dimensions and rows of one threadgroup, as candle chooses them.
fn check_vectors(name: &str, weight: &Weight, threads: [usize; 2], rows_per_threadgroup: usize) {
    let function = sources::compile("quantized.metal")
        .function(name, &[])
        .unwrap();
    let (rows, columns, vectors) = (16, 512, 3);
    let x = values(vectors * columns, 7);
    let expected = product(&weight.values, &x, columns);
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.bind(&function, "src0", &weight.bytes);
        buffers.bind(&function, "src1", &x);
        buffers.bind(&function, "dst", &vec![f32::NAN; rows * vectors]);
        for (name, value) in [
            ("ne00", columns),
            ("ne01", rows),
            ("ne02", 1),
            ("ne10", columns),
            ("ne11", vectors),
        ] {
            buffers.bind(&function, name, &[value as i64]);
        }
        for (name, value) in [("ne12", 1), ("ne0", rows), ("ne1", vectors)] {
            buffers.bind(&function, name, &[value as i64]);
        }
        for name in ["nb00", "nb01", "nb02", "nb10", "nb11", "nb12"] {
            buffers.bind(&function, name, &[0u64]);
        }
        buffers.bind(&function, "r2", &[1u32]);
        buffers.bind(&function, "r3", &[1u32]);
        let threadgroups = [rows / rows_per_threadgroup, vectors, 1];
        buffers
            .run(&function, threadgroups, [threads[0], threads[1], 1], order)
            .unwrap();
        assert_close(
            &buffers.read(2),
            &expected,
            1e-5,
            &format!("{name} {order:?}"),
        );
    }
}

fn check_tiles(name: &str, make: fn(usize, usize) -> Weight, order: Order) {
    let function = sources::compile("quantized.metal")
        .function(name, &[])
        .unwrap();
    // Less than a tile in both dimensions, and more than one.
    for (rows, columns, vectors) in [(64, 256, 32), (68, 512, 37)] {
        let weight = make(rows, columns);
        let x = values(vectors * columns, 8);
        let expected = product(&weight.values, &x, columns);
        let mut buffers = Buffers::new();
        buffers.bind(&function, "src0", &weight.bytes);
        buffers.bind(&function, "src1", &x);
        buffers.bind(&function, "dst", &vec![f32::NAN; rows * vectors]);
        for (name, value) in [
            ("ne00", columns),
            ("ne02", 1),
            ("ne12", 1),
            ("ne0", rows),
            ("ne1", vectors),
        ] {
            buffers.bind(&function, name, &[value as i64]);
        }
        let weight_bytes = rows * weight.bytes_per_row;
        for (name, value) in [
            ("nb01", weight.bytes_per_row),
            ("nb02", weight_bytes),
            ("nb03", weight_bytes),
        ] {
            buffers.bind(&function, name, &[value as u64]);
        }
        let x_bytes = 4 * vectors * columns;
        for (name, value) in [
            ("nb10", 4),
            ("nb11", 4 * columns),
            ("nb12", x_bytes),
            ("nb13", x_bytes),
        ] {
            buffers.bind(&function, name, &[value as u64]);
        }
        buffers.bind(&function, "r2", &[1u32]);
        buffers.bind(&function, "r3", &[1u32]);
        buffers.threadgroup_memory(0, 8192);
        let threadgroups = [vectors.div_ceil(32), rows.div_ceil(64), 1];
        buffers
            .run(&function, threadgroups, [128, 1, 1], order)
            .unwrap();
        // Weights are rounded to half.
        let context = format!("{name} {rows}x{columns}x{vectors} {order:?}");
        assert_close(&buffers.read(2), &expected, 2e-3, &context);
    }
}

#[test]
fn q4_0_vectors() {
    check_vectors("kernel_mul_mv_q4_0_f32", &q4_0(16, 512), [8, 8], 8);
}

#[test]
fn q8_0_vectors() {
    check_vectors("kernel_mul_mv_q8_0_f32", &q8_0(16, 512), [8, 8], 8);
}

#[test]
fn q4_k_vectors() {
    check_vectors("kernel_mul_mv_q4_K_f32", &q4_k(16, 512), [4, 8], 4);
}

#[test]
fn q4_0_tiles() {
    for order in ORDERS {
        check_tiles("kernel_mul_mm_q4_0_f32", q4_0, order);
    }
}

#[test]
fn q8_0_tiles() {
    check_tiles("kernel_mul_mm_q8_0_f32", q8_0, Order::Random(5));
}

#[test]
fn q4_k_tiles() {
    check_tiles("kernel_mul_mm_q4_K_f32", q4_k, Order::Random(6));
}
