//! Activations to and from the host. Everything that reads values waits for the device here.

use std::sync::atomic::Ordering;

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use super::{Kernels, checks::shape_error};
use crate::{KernelError, rows::Rows};

impl Kernels {
    /// Copies `values`, rows of `width` elements, to the device.
    ///
    /// # Errors
    /// If they are not whole rows.
    pub fn upload(&self, values: &[f32], width: usize) -> Result<Rows, KernelError> {
        let rows = values.len().checked_div(width).unwrap_or_default();
        if rows * width != values.len() {
            return Err(KernelError::Activation {
                op: "upload",
                found: format!("{} values for rows of {width}", values.len()),
            });
        }
        self.upload_rows(values, rows, width)
    }

    /// Copies a tensor `[rows, width]` to the device.
    ///
    /// # Errors
    /// If it is not a contiguous tensor of rank 2, f32 and in main memory.
    pub fn upload_tensor(&self, tensor: &Tensor) -> Result<Rows, KernelError> {
        let found = |found: String| {
            let op = "upload_tensor";
            KernelError::Activation { op, found }
        };
        let &[rows, width] = tensor.dims() else {
            return Err(found(format!("shape {:?}", tensor.dims())));
        };
        if tensor.dtype() != DType::F32 {
            return Err(found(format!("{:?}", tensor.dtype())));
        }
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else {
            return Err(found(format!(
                "strides {:?} over shape {:?}; make it contiguous first",
                layout.stride(),
                tensor.dims()
            )));
        };
        match &*storage {
            Storage::Cpu(CpuStorage::F32(values)) => {
                self.upload_rows(&values[start..end], rows, width)
            }
            _ => Err(found(format!(
                "a tensor on {:?}",
                tensor.device().location()
            ))),
        }
    }

    fn upload_rows(&self, values: &[f32], rows: usize, width: usize) -> Result<Rows, KernelError> {
        self.backend.prepare_upload("upload")?;
        let mut uploaded = Rows::new(&self.arena, 0, rows, width)?;
        if self.backend.has_values() {
            uploaded.as_mut_slice().copy_from_slice(values);
        }
        Ok(uploaded)
    }

    /// Waits for the pass that computes `x` and copies its values to the host, row by row.
    ///
    /// # Errors
    /// If the pass was not finished or the device could not compute it, or on a backend that computes no values.
    pub fn read(&self, x: &Rows) -> Result<Vec<f32>, KernelError> {
        self.wait(x, "read")?;
        Ok(x.as_slice().to_vec())
    }

    /// As [`Kernels::read`], as a tensor `[rows, width]`.
    ///
    /// # Errors
    /// As [`Kernels::read`].
    pub fn read_tensor(&self, x: &Rows) -> Result<Tensor, KernelError> {
        let shape = (x.rows(), x.width());
        Ok(Tensor::from_vec(self.read(x)?, shape, &Device::Cpu)?)
    }

    /// Whether [`crate::Pass::argmax`] of the logits is worth its dispatch: the device computes it while the host would read
    /// all of them.
    pub fn has_argmax(&self) -> bool {
        self.backend.has_argmax()
    }

    /// Starts to sample from logits `[rows, vocabulary]` of a finished pass, which need not be complete. `largest` is their
    /// [`crate::Pass::argmax`], if it was computed.
    ///
    /// # Errors
    /// If the pass was not finished, or if `largest` has another shape than an argmax of `logits`.
    pub fn sample(&self, logits: Rows, largest: Option<Rows>) -> Result<Pending<'_>, KernelError> {
        const OP: &str = "sample";
        self.check_finished(&logits, OP)?;
        if let Some(largest) = &largest {
            self.check_finished(largest, OP)?;
            if (largest.rows(), largest.width()) != (logits.rows(), 1) {
                let shape = |x: &Rows| format!("[{}, {}]", x.rows(), x.width());
                return Err(shape_error(OP, shape(&logits), shape(largest)));
            }
        }
        Ok(Pending {
            kernels: self,
            logits,
            largest,
        })
    }

    /// Waits until the values of `x` are in main memory.
    fn wait(&self, x: &Rows, op: &'static str) -> Result<(), KernelError> {
        self.check_finished(x, op)?;
        self.backend.wait(op, x.pass())
    }

    fn check_finished(&self, x: &Rows, op: &'static str) -> Result<(), KernelError> {
        self.check_rows(op, x)?;
        if x.pass() > self.finished_passes.load(Ordering::Acquire) {
            let problem = "the pass that computes these activations is not finished";
            return Err(KernelError::Handle { op, problem });
        }
        Ok(())
    }

    /// Checks that activations belong to these kernels.
    pub(super) fn check_rows(&self, op: &'static str, x: &Rows) -> Result<(), KernelError> {
        if x.is_in(&self.arena) {
            return Ok(());
        }
        let problem = "activations of other kernels";
        Err(KernelError::Handle { op, problem })
    }
}

/// Logits that are being computed, from [`Kernels::sample`].
#[derive(Debug)]
pub struct Pending<'a> {
    kernels: &'a Kernels,
    logits: Rows,
    largest: Option<Rows>,
}

impl Pending<'_> {
    /// Waits for the logits, calls `visit(row, logits, largest)` for every row on all threads of the host, and returns when all
    /// calls have returned. `visit` may change the row in place. `largest` is the column of its first largest value; `None` if it
    /// was not computed, or if the row has NaN or its largest value is infinite.
    ///
    /// # Errors
    /// As [`Kernels::read`].
    pub fn for_each_row(
        mut self,
        visit: impl Fn(usize, &mut [f32], Option<u32>) + Sync,
    ) -> Result<(), KernelError> {
        const OP: &str = "sample";
        self.kernels.wait(&self.logits, OP)?;
        if let Some(largest) = &self.largest {
            self.kernels.wait(largest, OP)?;
        }
        let largest = self.largest.as_ref().map_or(&[][..], Rows::as_slice);
        let column = |row: usize| {
            let column = largest.get(row).copied().filter(|column| *column >= 0.0);
            column.map(|column| column as u32)
        };
        let visit = |row: usize, logits: &mut [f32]| visit(row, logits, column(row));
        let (rows, width) = (self.logits.rows(), self.logits.width());
        let pool = self.kernels.backend.thread_pool();
        pool.for_each_row(self.logits.as_mut_slice(), rows, width, &visit);
        Ok(())
    }
}
