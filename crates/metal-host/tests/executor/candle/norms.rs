//! Norms, softmax and RoPE.

use super::{assert_close, sources, values};
use crate::support::{Buffers, ORDERS};

const ROWS: usize = 3;

/// Runs a kernel that has a threadgroup per row, with candle's number of threads.
fn check_rows(
    name: &str,
    columns: usize,
    x: &[f32],
    parameters: &[(&str, &[f32])],
    expected: &[f64],
) {
    let function = sources::compile("reduce.metal")
        .function(name, &[])
        .unwrap();
    let threads = (columns / 2).next_power_of_two().min(1024);
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.bind(&function, "src_numel", &[(ROWS * columns) as u32]);
        buffers.bind(&function, "el_per_block", &[columns as u32]);
        buffers.bind(&function, "src", x);
        buffers.bind(&function, "dst", &vec![f32::NAN; ROWS * columns]);
        for (name, values) in parameters {
            buffers.bind(&function, name, values);
        }
        buffers
            .run(&function, [ROWS, 1, 1], [threads, 1, 1], order)
            .unwrap();
        assert_close(
            &buffers.read(3),
            expected,
            2e-6,
            &format!("{name} {columns} {order:?}"),
        );
    }
}

#[test]
fn rms_norm() {
    for columns in [48, 1000, 4096] {
        let x = values(ROWS * columns, 1);
        let alpha = values(columns, 2);
        let expected: Vec<f64> = x
            .chunks(columns)
            .flat_map(|row| {
                let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
                let factor = 1.0 / (squares / columns as f64 + 1e-5).sqrt();
                row.iter()
                    .zip(&alpha)
                    .map(move |(&x, &a)| f64::from(x) * factor * f64::from(a))
            })
            .collect();
        check_rows(
            "rmsnorm_f32",
            columns,
            &x,
            &[("alpha", &alpha), ("eps", &[1e-5])],
            &expected,
        );
    }
}

#[test]
fn layer_norm() {
    for columns in [48, 1000] {
        let x = values(ROWS * columns, 3);
        let (alpha, beta) = (values(columns, 4), values(columns, 5));
        let mut expected = Vec::new();
        for row in x.chunks(columns) {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / columns as f64;
            let variance = row
                .iter()
                .map(|&x| (f64::from(x) - mean).powi(2))
                .sum::<f64>()
                / columns as f64;
            for (column, &x) in row.iter().enumerate() {
                let normalized = (f64::from(x) - mean) / (variance + 1e-5).sqrt();
                expected.push(normalized * f64::from(alpha[column]) + f64::from(beta[column]));
            }
        }
        let parameters: [(&str, &[f32]); 3] =
            [("alpha", &alpha), ("beta", &beta), ("eps", &[1e-5])];
        check_rows("layernorm_f32", columns, &x, &parameters, &expected);
    }
}

#[test]
fn softmax() {
    for columns in [48, 1000, 3000] {
        let x: Vec<f32> = values(ROWS * columns, 6).iter().map(|x| x * 20.0).collect();
        let mut expected = Vec::new();
        for row in x.chunks(columns) {
            let exponentials: Vec<f64> = row.iter().map(|&x| f64::from(x).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            expected.extend(exponentials.iter().map(|e| e / sum));
        }
        check_rows("softmax_f32", columns, &x, &[], &expected);
    }
}

#[test]
fn rope() {
    let function = sources::compile("reduce.metal")
        .function("rope_f32", &[])
        .unwrap();
    let (heads, positions, width) = (3, 5, 16);
    let half = width / 2;
    let x = values(heads * positions * width, 7);
    let angles = values(positions * half, 8);
    let cosines: Vec<f32> = angles.iter().map(|a| (a * 3.0).cos()).collect();
    let sines: Vec<f32> = angles.iter().map(|a| (a * 3.0).sin()).collect();
    let mut expected = vec![0.0; x.len()];
    for (row, x) in x.chunks(width).enumerate() {
        for pair in 0..half {
            let angle = row % positions * half + pair;
            let (c, s) = (f64::from(cosines[angle]), f64::from(sines[angle]));
            let (a, b) = (f64::from(x[pair]), f64::from(x[pair + half]));
            expected[row * width + pair] = a * c - b * s;
            expected[row * width + pair + half] = a * s + b * c;
        }
    }
    for order in ORDERS {
        let mut buffers = Buffers::new();
        for (name, value) in [
            ("bh", heads),
            ("td", positions * width),
            ("d", width),
            ("stride_b", 0),
        ] {
            buffers.bind(&function, name, &[value]);
        }
        buffers.bind(&function, "src", &x);
        buffers.bind(&function, "cos", &cosines);
        buffers.bind(&function, "sin", &sines);
        buffers.bind(&function, "dst", &vec![f32::NAN; x.len()]);
        // More threads than pairs, none of them a multiple of a simdgroup.
        buffers
            .run(&function, [3, 1, 1], [50, 1, 1], order)
            .unwrap();
        let index = function
            .buffers()
            .find(|argument| argument.name == "dst")
            .unwrap()
            .index;
        assert_close(&buffers.read(index), &expected, 1e-6, &format!("{order:?}"));
    }
}
