//! Products of matrices and vectors without quantization.

use super::{assert_close, sources, values};
use crate::support::{Buffers, ORDERS};
use mlxm_metal_host::Error;

/// Blocks of a kernel: (bm, bn, sm, sn, tm, tn), as its name says.
type Blocks = (usize, usize, usize, usize, usize, usize);

fn check(
    kernel: &str,
    blocks: Blocks,
    (inputs, outputs): (usize, usize),
    transposed: bool,
) -> Result<(), Error> {
    let (bm, bn, sm, sn, tm, tn) = blocks;
    let name = format!("{kernel}_float32_bm{bm}_bn{bn}_sm{sm}_sn{sn}_tm{tm}_tn{tn}_nc0_axpby0");
    let function = sources::compile("gemv.metal").function(&name, &[]).unwrap();
    assert_eq!(function.max_total_threads_per_threadgroup(), bm * bn * 32);
    let matrix = values(inputs * outputs, 1);
    let vector = values(inputs, 2);
    let element = |output, input| {
        if transposed {
            matrix[input * outputs + output]
        } else {
            matrix[output * inputs + input]
        }
    };
    let expected: Vec<f64> = (0..outputs)
        .map(|output| {
            (0..inputs)
                .map(|input| f64::from(element(output, input)) * f64::from(vector[input]))
                .sum()
        })
        .collect();
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.bind(&function, "mat", &matrix);
        buffers.bind(&function, "in_vec", &vector);
        buffers.bind(&function, "bias", &[f32::NAN]);
        buffers.bind(&function, "out_vec", &vec![f32::NAN; outputs]);
        let leading = if transposed { outputs } else { inputs };
        for (name, value) in [
            ("in_vec_size", inputs),
            ("out_vec_size", outputs),
            ("matrix_ld", leading),
        ] {
            buffers.bind(&function, name, &[value as i32]);
        }
        buffers.bind(&function, "alpha", &[1.0f32]);
        buffers.bind(&function, "beta", &[0.0f32]);
        buffers.bind(&function, "batch_ndim", &[1i32]);
        buffers.bind(&function, "batch_shape", &[1i32]);
        for name in [
            "vector_batch_stride",
            "matrix_batch_stride",
            "bias_batch_stride",
        ] {
            buffers.bind(&function, name, &[0i64]);
        }
        buffers.bind(&function, "bias_stride", &[1i32]);
        let per_threadgroup = if transposed {
            bn * sn * tn
        } else {
            bm * sm * tm
        };
        let threadgroups = [outputs.div_ceil(per_threadgroup), 1, 1];
        buffers.run(&function, threadgroups, [32, bn, bm], order)?;
        assert_close(
            &buffers.read(3),
            &expected,
            1e-5,
            &format!("{name} {order:?}"),
        );
    }
    Ok(())
}

#[test]
fn matrix_times_vector() {
    check("gemv", (4, 1, 1, 32, 4, 4), (130, 67), false).unwrap();
    check("gemv", (8, 1, 1, 32, 4, 4), (300, 67), false).unwrap();
    check("gemv", (1, 1, 8, 4, 4, 4), (40, 67), false).unwrap();
}

#[test]
fn vector_times_matrix() {
    check("gemv_t", (1, 2, 8, 4, 4, 4), (70, 64), true).unwrap();
    check("gemv_t", (1, 16, 4, 8, 4, 4), (200, 1024), true).unwrap();
}

/// These two kernels have barriers that only some threads reach, which Macs tolerate and Metal does not define.
#[test]
fn barriers_that_some_threads_skip_are_errors() {
    for (kernel, blocks, transposed) in [
        ("gemv", (1, 8, 1, 32, 4, 4), false),
        ("gemv_t", (1, 2, 8, 4, 4, 4), true),
    ] {
        let error = check(kernel, blocks, (70, 50), transposed).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("wait at this threadgroup_barrier"),
            "{error}"
        );
    }
}
