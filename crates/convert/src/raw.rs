//! Float tensors of a safetensors file, row by row.

use half::{bf16, f16};
use mlxm_kernels::quant::FloatType;
use safetensors::Dtype;

use super::ConvertError;
use super::job::{FloatRows, bytes_of};
use mlxm_engine::checkpoint::RawTensor;

/// A float tensor seen as rows of its last dimension.
pub(super) struct RawRows<'a> {
    bytes: &'a [u8],
    float: FloatType,
}

/// The float type a safetensors type is.
pub(super) fn float_of(dtype: Dtype) -> Option<FloatType> {
    match dtype {
        Dtype::F32 => Some(FloatType::F32),
        Dtype::F16 => Some(FloatType::F16),
        Dtype::BF16 => Some(FloatType::BF16),
        _ => None,
    }
}

impl<'a> RawRows<'a> {
    pub(super) fn new(name: &str, tensor: &'a RawTensor) -> Result<Self, ConvertError> {
        let float = float_of(tensor.dtype).ok_or_else(|| {
            let hint = if tensor.dtype == Dtype::U32 {
                ": it is packed, and its scales are missing"
            } else {
                ", only F32, F16 and BF16 can"
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
                    "it has the shape {:?} and {} bytes",
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

    /// `bytes` of whole rows of `float`.
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
