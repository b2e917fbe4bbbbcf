//! Row access to float tensors of a safetensors file.

use half::{bf16, f16};
use mlxm_kernels::quant::FloatType;
use safetensors::Dtype;

use super::ConvertError;
use super::plan::{FloatRows, bytes_of};
use mlxm_engine::checkpoint::RawTensor;

/// A float tensor as rows of its last dimension.
pub(super) struct RawRows<'a> {
    bytes: &'a [u8],
    float: FloatType,
}

/// The float type of a safetensors dtype; `None` if it is not one of the supported floats.
pub(super) fn float_type_of(dtype: Dtype) -> Option<FloatType> {
    match dtype {
        Dtype::F32 => Some(FloatType::F32),
        Dtype::F16 => Some(FloatType::F16),
        Dtype::BF16 => Some(FloatType::BF16),
        _ => None,
    }
}

impl<'a> RawRows<'a> {
    pub(super) fn new(name: &str, tensor: &'a RawTensor) -> Result<Self, ConvertError> {
        let float = float_type_of(tensor.dtype).ok_or_else(|| {
            let hint = if tensor.dtype == Dtype::U32 {
                ": it is quantized, but its scales are missing"
            } else {
                "; F32, F16 and BF16 can"
            };
            ConvertError::tensor(
                name,
                format!("its type {:?} cannot be converted{hint}", tensor.dtype),
            )
        })?;
        let count: usize = tensor.shape.iter().product();
        if count == 0 || tensor.bytes.len() != count * bytes_of(tensor.dtype) {
            return Err(ConvertError::tensor(
                name,
                format!(
                    "its shape {:?} does not fit its {} bytes",
                    tensor.shape,
                    tensor.bytes.len()
                ),
            ));
        }
        Ok(Self {
            bytes: tensor.bytes.as_slice(),
            float,
        })
    }

    /// Rows stored in `bytes`, a whole number of rows of type `float`.
    pub(super) fn from_bytes(bytes: &'a [u8], float: FloatType) -> Self {
        Self { bytes, float }
    }

    pub(super) fn float(&self) -> FloatType {
        self.float
    }
}

impl FloatRows for RawRows<'_> {
    fn read(&self, row: usize, out: &mut [f32]) {
        let size = self.float.size_bytes();
        let bytes = &self.bytes[row * out.len() * size..][..out.len() * size];
        for (out, value) in out.iter_mut().zip(bytes.chunks_exact(size)) {
            *out = match self.float {
                FloatType::F32 => f32::from_le_bytes([value[0], value[1], value[2], value[3]]),
                FloatType::F16 => f16::from_le_bytes([value[0], value[1]]).to_f32(),
                FloatType::BF16 => bf16::from_le_bytes([value[0], value[1]]).to_f32(),
            };
        }
    }
}
