//! Quantization of float rows.

use mlxm_kernels::quant::{FloatType, QuantMode, QuantSpec};
use mlxm_kernels::quantize::{dequantize_row, quantize_row};
use safetensors::Dtype;

use super::plan::{FloatRows, OutputTensor, RowProducer, round_to};

/// Number of rows sampled to measure the error of requantization.
const SAMPLED_ROWS: usize = 64;

/// Rows rounded to `float`, then quantized with scales and biases of that type.
pub(super) struct QuantizedRows<R> {
    pub(super) rows: R,
    pub(super) columns: usize,
    pub(super) spec: QuantSpec,
    pub(super) float: FloatType,
}

impl<R: FloatRows> RowProducer for QuantizedRows<R> {
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]) {
        let mut values = vec![0.0; self.columns];
        self.rows.read(row, &mut values);
        for value in &mut values {
            *value = round_to(*value, self.float);
        }
        match parts {
            [packed, scales, biases] => {
                quantize_row(&values, self.spec, self.float, packed, scales, biases);
            }
            [packed, scales] => {
                quantize_row(
                    &values,
                    self.spec,
                    self.float,
                    packed,
                    scales,
                    &mut Vec::new(),
                );
            }
            _ => {}
        }
    }
}

/// The output tensors of a quantized module whose dense weight has `shape`. Affine scales and biases have the type
/// `scales`.
pub(super) fn quantized_outputs(
    module: &str,
    shape: &[usize],
    spec: QuantSpec,
    scales: Dtype,
) -> Vec<OutputTensor> {
    let tensor = |leaf: &str, dtype, width: usize| {
        let mut shape = shape.to_vec();
        if let Some(last) = shape.last_mut() {
            *last = width;
        }
        OutputTensor {
            name: format!("{module}.{leaf}"),
            dtype,
            shape,
        }
    };
    let columns = shape.last().copied().unwrap_or(0);
    let groups = columns / spec.group_size;
    let weight = tensor("weight", Dtype::U32, columns * spec.bits as usize / 32);
    if spec.mode == QuantMode::Affine {
        vec![
            weight,
            tensor("scales", scales, groups),
            tensor("biases", scales, groups),
        ]
    } else {
        vec![weight, tensor("scales", Dtype::U8, groups)]
    }
}

/// Relative quantization error of a sample of rows: root mean square of the change divided by that of the values.
pub(super) fn relative_error(
    rows: &impl FloatRows,
    row_count: usize,
    columns: usize,
    spec: QuantSpec,
    float: FloatType,
) -> f32 {
    let (mut squared_change, mut squared_sum) = (0.0_f64, 0.0_f64);
    let mut values = vec![0.0; columns];
    let mut dequantized = vec![0.0; columns];
    for row in (0..row_count).step_by(row_count.div_ceil(SAMPLED_ROWS).max(1)) {
        rows.read(row, &mut values);
        let (mut packed, mut scales, mut biases) = (Vec::new(), Vec::new(), Vec::new());
        quantize_row(&values, spec, float, &mut packed, &mut scales, &mut biases);
        dequantize_row(&packed, &scales, &biases, spec, float, &mut dequantized);
        for (value, dequantized) in values.iter().zip(&dequantized) {
            squared_change += f64::from(value - dequantized).powi(2);
            squared_sum += f64::from(*value).powi(2);
        }
    }
    if squared_sum == 0.0 {
        0.0
    } else {
        (squared_change / squared_sum).sqrt() as f32
    }
}
