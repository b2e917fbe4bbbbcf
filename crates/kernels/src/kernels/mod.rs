//! The dispatch object: checks shapes, counts dispatches, and calls the implementation with slices.

mod checks;
mod ops;
mod options;

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Tensor};

use crate::{
    KernelError, Weight,
    cpu::{Cpu, each_row::EachRow, repack::RepackedWeight, simd::SimdLevel},
    operand::Operand,
    weight::Storage,
};

pub use options::{ActivationDtype, CpuOptions};

/// The operations of a model, on one device.
///
/// Every operation is one dispatch. All activations are `[rows, width]`.
#[derive(Debug)]
pub struct Kernels {
    device: Device,
    activation_dtype: ActivationDtype,
    cpu: Cpu,
    dispatches: AtomicU64,
}

impl Kernels {
    /// Kernels that run on the CPU.
    pub fn cpu(options: CpuOptions) -> Self {
        Self {
            device: Device::Cpu,
            activation_dtype: options.activation_dtype,
            cpu: Cpu::new(options.threads),
            dispatches: AtomicU64::new(0),
        }
    }

    /// The device that holds the activations.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type of the activations that quantized weights are multiplied with.
    pub fn activation_dtype(&self) -> ActivationDtype {
        self.activation_dtype
    }

    /// Compute threads, including the calling one.
    pub fn threads(&self) -> usize {
        self.cpu.threads()
    }

    /// Computes on `threads` threads from now on, at least one. Results do not depend on their number: they are bitwise the
    /// same. If the system cannot create so many, [`Kernels::threads`] is less afterwards.
    pub fn set_threads(&mut self, threads: usize) {
        self.cpu.set_threads(threads);
    }

    pub(crate) fn level(&self) -> SimdLevel {
        self.cpu.level()
    }

    /// Operations dispatched so far.
    pub fn dispatches(&self) -> u64 {
        self.dispatches.load(Ordering::Relaxed)
    }

    fn count_dispatch(&self) {
        self.dispatches.fetch_add(1, Ordering::Relaxed);
    }

    /// Repacks a quantized weight into the layout of the int8 kernels, and releases the memory of the checkpoint file
    /// that it was read from. The repacked weight takes as much memory. Returns the weight unchanged if it is dense,
    /// if activations are f32, or if its format has no int8 kernel.
    pub fn repack(&self, weight: Weight) -> Result<Weight, KernelError> {
        let Storage::Quantized(quantized) = weight.storage() else {
            return Ok(weight);
        };
        if self.activation_dtype == ActivationDtype::F32 {
            return Ok(weight);
        }
        let repacked = RepackedWeight::pack(&self.cpu, quantized, weight.rows(), weight.cols())?;
        Ok(match repacked {
            Some(repacked) => {
                weight.release();
                weight.with_repacked(repacked)
            }
            None => weight,
        })
    }

    /// Moves the weights repacked so far to huge pages on a background thread, then calls `done`. This pays off only
    /// after some dozen forward passes, so [`Kernels::repack`] does not do it.
    pub fn promote_huge_pages(&self, done: impl FnOnce() + Send + 'static) {
        self.cpu.arena().promote_huge_pages(done);
    }

    /// Calls `visit(row, values)` for every row of `x` on all threads and returns when all calls have returned. For
    /// work on a result that is not an operation of the model, such as sampling. `visit` may change the row in place;
    /// `x` must not be in use elsewhere.
    pub fn for_each_row(
        &self,
        x: &Tensor,
        visit: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) -> Result<(), KernelError> {
        Operand::new("for_each_row", x)?;
        let cpu = &self.cpu;
        Ok(x.inplace_op1(&EachRow { cpu, visit })?)
    }

    /// Runs `task` on an idle worker thread without waiting for it, or on the calling thread if there are no workers.
    /// For tasks of a few microseconds that are not operations, such as waking readers: operations that are
    /// dispatched meanwhile run without that worker.
    pub fn spawn_background(&self, task: impl FnOnce() + Send + 'static) {
        self.cpu.spawn_background(Box::new(task));
    }
}
