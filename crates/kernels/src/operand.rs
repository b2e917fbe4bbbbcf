//! Reading activations out of candle tensors, and checking that operands fit.

use candle_core::{CpuStorage, DType, Device, Storage, StorageRef, Tensor};

use crate::{KernelError, Param, Weight};

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
            _ => unreachable!("`new` accepts nothing else"),
        }
    }

    pub fn shape(&self) -> String {
        format!("[{}, {}]", self.rows, self.width)
    }

    /// Checks that two activations have one shape.
    pub fn same_shape(&self, op: &'static str, other: &Self) -> Result<(), KernelError> {
        if (self.rows, self.width) == (other.rows, other.width) {
            return Ok(());
        }
        Err(shape_error(
            op,
            format!("an activation of {}", self.shape()),
            format!("an activation of {}", other.shape()),
        ))
    }
}

/// A new tensor of `[rows, width]`.
pub(crate) fn output(values: Vec<f32>, rows: usize, width: usize) -> Result<Tensor, KernelError> {
    Ok(Tensor::from_vec(values, (rows, width), &Device::Cpu)?)
}

pub(crate) fn shape_error(op: &'static str, left: String, right: String) -> KernelError {
    KernelError::Shape { op, left, right }
}

/// Checks the length of an optional vector.
pub(crate) fn check_vector(
    op: &'static str,
    name: &str,
    vector: Option<&Param>,
    expected: usize,
) -> Result<(), KernelError> {
    match vector {
        Some(vector) if vector.len() != expected => Err(shape_error(
            op,
            format!("a {name} of [{}]", vector.len()),
            format!("a width of {expected}"),
        )),
        _ => Ok(()),
    }
}

/// Checks that every index is below `end`.
pub(crate) fn check_indices(
    op: &'static str,
    what: &'static str,
    indices: &[u32],
    end: usize,
) -> Result<(), KernelError> {
    match indices.iter().find(|index| **index as usize >= end) {
        Some(index) => Err(KernelError::Index {
            op,
            what,
            index: *index as usize,
            end,
        }),
        None => Ok(()),
    }
}

/// Checks that no two slots are the same.
pub(crate) fn check_distinct(op: &'static str, slots: &[u32]) -> Result<(), KernelError> {
    // Nearly always they ascend.
    if slots.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    let mut sorted = slots.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(shape_error(
            op,
            format!("slot {}", pair[0]),
            "two rows at once".to_owned(),
        )),
        None => Ok(()),
    }
}

pub(crate) fn describe(w: &Weight) -> String {
    format!("a weight of [{}, {}]", w.rows(), w.cols())
}
