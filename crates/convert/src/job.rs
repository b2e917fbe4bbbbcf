//! The unit of work: one source tensor and the one to three tensors it becomes, produced row by row.

use half::{bf16, f16};
use mlxm_kernels::quant::FloatType;
use safetensors::Dtype;

use super::options::Outcome;

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

/// Bytes of one value of a byte-sized type.
pub(super) fn bytes_of(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

/// The safetensors type of a float type.
pub(super) fn float_dtype(float: FloatType) -> Dtype {
    match float {
        FloatType::F32 => Dtype::F32,
        FloatType::F16 => Dtype::F16,
        FloatType::BF16 => Dtype::BF16,
    }
}

/// Appends `value` in the type `float`, rounded to nearest even.
pub(super) fn push_float(out: &mut Vec<u8>, value: f32, float: FloatType) {
    match float {
        FloatType::F32 => out.extend_from_slice(&value.to_le_bytes()),
        FloatType::F16 => out.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
        FloatType::BF16 => out.extend_from_slice(&bf16::from_f32(value).to_le_bytes()),
    }
}

/// `value` as the type `float` holds it.
pub(super) fn round_to(value: f32, float: FloatType) -> f32 {
    match float {
        FloatType::F32 => value,
        FloatType::F16 => f16::from_f32(value).to_f32(),
        FloatType::BF16 => bf16::from_f32(value).to_f32(),
    }
}

/// Produces the bytes of a job's outputs.
pub(super) trait RowProducer: Sync {
    /// Appends row `row` of each output to the buffer of the same index.
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]);
}

/// One source tensor on its way.
pub(super) struct Job<'a> {
    /// The module path of a weight, else the tensor's name.
    pub(super) name: String,
    pub(super) outputs: Vec<OutputTensor>,
    /// All dimensions but the last, multiplied; every output has this many rows.
    pub(super) rows: usize,
    /// Values in the source tensor.
    pub(super) parameters: u64,
    pub(super) producer: Box<dyn RowProducer + 'a>,
    pub(super) outcome: Outcome,
}

impl Job<'_> {
    pub(super) fn size_bytes(&self) -> u64 {
        self.outputs.iter().map(OutputTensor::size_bytes).sum()
    }
}

/// A matrix that can be read as floats, one row at a time.
pub(super) trait FloatRows: Sync {
    /// Writes row `row` to `out`, which has the row's length.
    fn read(&self, row: usize, out: &mut [f32]);
}
