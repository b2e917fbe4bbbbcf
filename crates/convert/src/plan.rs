//! The plan of a conversion: the output tensors, how their rows are produced, and the other files of the checkpoint.

use std::path::Path;

use half::{bf16, f16};
use mlxm_kernels::quant::{FloatType, QuantSpec};
use safetensors::Dtype;
use serde_json::{Map, Value};

use super::options::Outcome;

/// The output of a conversion.
pub(super) struct Plan<'a> {
    pub(super) tensors: Vec<TensorPlan<'a>>,
    /// `config.json` without its quantization.
    pub(super) config: Map<String, Value>,
    /// Paths of the modules whose output is quantized.
    pub(super) quantized: Vec<(String, QuantSpec)>,
    /// Files other than the weights, by name.
    pub(super) files: Vec<(String, FileContent<'a>)>,
    /// Messages for the user.
    pub(super) notes: Vec<String>,
}

/// Content of a file other than the weights.
pub(super) enum FileContent<'a> {
    Json(Value),
    Text(String),
    /// Copied from this path.
    Copy(&'a Path),
}

/// Conversion of one source tensor, or of one quantized weight with its scales and biases.
pub(super) struct TensorPlan<'a> {
    /// The module path of a quantized weight, else the name of the output tensor.
    pub(super) name: String,
    pub(super) outputs: Vec<OutputTensor>,
    /// Product of all dimensions but the last; the same for every output.
    pub(super) rows: usize,
    /// Number of values in the source tensor.
    pub(super) parameters: u64,
    pub(super) producer: Box<dyn RowProducer + 'a>,
    pub(super) outcome: Outcome,
}

impl TensorPlan<'_> {
    pub(super) fn size_bytes(&self) -> u64 {
        self.outputs.iter().map(OutputTensor::size_bytes).sum()
    }
}

/// A tensor of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputTensor {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

impl OutputTensor {
    pub(super) fn size_bytes(&self) -> u64 {
        (self.shape.iter().product::<usize>() * bytes_of(self.dtype)) as u64
    }
}

/// Size in bytes of one value of a type of whole bytes.
pub(super) fn bytes_of(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

/// The safetensors dtype of a float type.
pub(super) fn float_dtype(float: FloatType) -> Dtype {
    match float {
        FloatType::F32 => Dtype::F32,
        FloatType::F16 => Dtype::F16,
        FloatType::BF16 => Dtype::BF16,
    }
}

/// Appends `value` to `out`, rounded to nearest even.
pub(super) fn push_float(out: &mut Vec<u8>, value: f32, float: FloatType) {
    match float {
        FloatType::F32 => out.extend_from_slice(&value.to_le_bytes()),
        FloatType::F16 => out.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
        FloatType::BF16 => out.extend_from_slice(&bf16::from_f32(value).to_le_bytes()),
    }
}

/// Rounds `value` to the type `float`.
pub(super) fn round_to(value: f32, float: FloatType) -> f32 {
    match float {
        FloatType::F32 => value,
        FloatType::F16 => f16::from_f32(value).to_f32(),
        FloatType::BF16 => bf16::from_f32(value).to_f32(),
    }
}

/// Produces the rows of the outputs of a [`TensorPlan`].
pub(super) trait RowProducer: Sync {
    /// Appends row `row` of output `i` to `parts[i]`.
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]);
}

/// A tensor whose rows can be read as floats.
pub(super) trait FloatRows: Sync {
    /// Writes row `row` to `out`, which has the length of a row.
    fn read(&self, row: usize, out: &mut [f32]);
}
