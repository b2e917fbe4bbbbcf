//! Access to the values of candle tensors.

use candle_core::{CpuStorage, DType, Device, Storage, StorageRef, Tensor};

use crate::KernelError;

/// A borrowed `[rows, width]` activation.
pub(crate) struct Operand<'a> {
    storage: StorageRef<'a>,
    start: usize,
    pub rows: usize,
    pub width: usize,
}

impl<'a> Operand<'a> {
    pub fn new(op: &'static str, tensor: &'a Tensor) -> Result<Self, KernelError> {
        let found = |found: String| KernelError::Activation { op, found };
        let &[rows, width] = tensor.dims() else {
            return Err(found(format!("shape {:?}", tensor.dims())));
        };
        if tensor.dtype() != DType::F32 {
            return Err(found(format!("{:?}", tensor.dtype())));
        }
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, _)) = layout.contiguous_offsets() else {
            return Err(found(format!(
                "strides {:?} over shape {:?}; make it contiguous first",
                layout.stride(),
                tensor.dims()
            )));
        };
        if !matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))) {
            return Err(found(format!(
                "a tensor on {:?}",
                tensor.device().location()
            )));
        }
        Ok(Self {
            storage,
            start,
            rows,
            width,
        })
    }

    pub fn as_slice(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => {
                &values[self.start..self.start + self.rows * self.width]
            }
            _ => unreachable!("`new` accepts only f32 on the CPU"),
        }
    }

    pub fn shape(&self) -> String {
        format!("[{}, {}]", self.rows, self.width)
    }
}

/// A new CPU tensor `[rows, width]`.
pub(crate) fn to_tensor(
    values: Vec<f32>,
    rows: usize,
    width: usize,
) -> Result<Tensor, KernelError> {
    Ok(Tensor::from_vec(values, (rows, width), &Device::Cpu)?)
}
