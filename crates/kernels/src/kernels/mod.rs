//! The dispatch object: checks shapes, counts operations, and passes them to a backend.

mod arguments;
mod checks;
mod host;
mod ops;
mod options;
mod pass;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    KernelError, PassCounts, Weight,
    backend::Backend,
    counting::Counting,
    cpu::Cpu,
    metal::{Device, DeviceInfo, Metal},
    rows::Arena,
};

pub(crate) use arguments::{Arguments, SpanList};
pub use arguments::{Indices, RopeCosSin, Slots, Spans};
pub use host::Pending;
pub use options::{ActivationDtype, CpuOptions};
pub use pass::Pass;

/// A device, on which a model runs.
///
/// [`Kernels::begin`] starts a forward pass, whose methods are the operations of a model.
#[derive(Debug)]
pub struct Kernels {
    backend: Backend,
    /// The memory of activations.
    arena: Arc<Arena>,
    /// Operations so far.
    dispatches: AtomicU64,
    /// Passes begun, and the last one that was finished.
    passes: AtomicU64,
    finished_passes: AtomicU64,
}

impl Kernels {
    /// Kernels that run on the CPU.
    pub fn cpu(options: CpuOptions) -> Self {
        Self::new(Backend::Cpu(Cpu::new(options)))
    }

    /// Kernels in the Metal language on `device`. Operations run when their pass is finished, some earlier, and one pass
    /// can be begun at a time.
    pub fn on_device(device: Arc<dyn Device>) -> Self {
        Self::new(Backend::Metal(Box::new(Metal::new(device))))
    }

    /// Compiles the kernels that `passes` takes, without computing anything: later passes with the same operations compile
    /// nothing. Does nothing on devices without a compiler.
    ///
    /// # Errors
    /// The first error of `passes` or of the compiler.
    pub fn compile<E: From<KernelError>>(
        &self,
        passes: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.backend {
            Backend::Metal(metal) => metal.compile(passes),
            Backend::Cpu(_) | Backend::Counting(_) => Ok(()),
        }
    }

    /// Kernels that compute nothing and count what a GPU would do, for [`Kernels::take_counts`].
    pub fn counting() -> Self {
        Self::new(Backend::Counting(Counting::new()))
    }

    /// The counts of the passes that were finished since the last call; empty unless these kernels are
    /// [`Kernels::counting`].
    pub fn take_counts(&self) -> Vec<PassCounts> {
        match &self.backend {
            Backend::Counting(counting) => counting.take(),
            Backend::Cpu(_) | Backend::Metal(_) => Vec::new(),
        }
    }

    fn new(backend: Backend) -> Self {
        Self {
            arena: Arc::new(Arena::new(backend.arena_memory())),
            backend,
            dispatches: AtomicU64::new(0),
            passes: AtomicU64::new(0),
            finished_passes: AtomicU64::new(0),
        }
    }

    /// Starts a forward pass.
    pub fn begin(&self) -> Pass<'_> {
        Pass::new(self)
    }

    /// Keeps at most about this much memory for activations between passes. A larger pass takes more until it ends. Without
    /// a limit, the memory of the largest pass is kept.
    pub fn retain_activations(&self, size_bytes: usize) {
        self.arena.retain(size_bytes / size_of::<f32>());
    }

    /// The type of the activations that quantized weights are multiplied with.
    pub fn activation_dtype(&self) -> ActivationDtype {
        self.backend.activation_dtype()
    }

    /// The device of [`Kernels::on_device`].
    pub fn device_info(&self) -> Option<DeviceInfo> {
        match &self.backend {
            Backend::Metal(metal) => Some(metal.queue().info()),
            Backend::Cpu(_) | Backend::Counting(_) => None,
        }
    }

    /// Operations so far.
    pub fn dispatches(&self) -> u64 {
        self.dispatches.load(Ordering::Relaxed)
    }

    fn count_dispatch(&self) {
        self.dispatches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Threads that compute on the host, including the calling one.
    pub fn threads(&self) -> usize {
        self.backend.thread_pool().threads()
    }

    /// Computes on `threads` threads from now on, at least one. Results do not depend on their number: they are bitwise the
    /// same. If the system cannot create so many, [`Kernels::threads`] is less afterwards.
    pub fn set_threads(&mut self, threads: usize) {
        match &mut self.backend {
            Backend::Cpu(cpu) => cpu.set_threads(threads),
            Backend::Metal(metal) => metal.set_threads(threads),
            Backend::Counting(_) => {}
        }
    }

    /// Prepares a weight for the fastest kernels of the device; devices other than the CPU require it. On the CPU with int8
    /// activations, this repacks a quantized weight and releases the memory of the checkpoint file that it was read from;
    /// the repacked weight takes as much memory. Other devices use the file where it is mapped, and get a copy of weights
    /// that are not in a mapped file. Returns the weight unchanged if there is nothing to do.
    ///
    /// # Errors
    /// If the memory of the repacked weight cannot be allocated.
    pub fn repack(&self, weight: Weight) -> Result<Weight, KernelError> {
        match &self.backend {
            Backend::Cpu(cpu) => cpu.repack(weight),
            Backend::Metal(metal) => metal.constants().add_weight(&weight),
            Backend::Counting(_) => Ok(weight),
        }
    }

    /// Moves the weights repacked so far to huge pages on a background thread, then calls `done`. This pays off only
    /// after some dozen forward passes, so [`Kernels::repack`] does not do it. Only weights of the CPU are moved.
    pub fn promote_huge_pages(&self, done: impl FnOnce() + Send + 'static) {
        match &self.backend {
            Backend::Cpu(cpu) => cpu.promote_huge_pages(done),
            Backend::Metal(_) | Backend::Counting(_) => done(),
        }
    }

    /// Runs `task` on an idle worker thread without waiting for it, or on the calling thread if there are no workers.
    /// For tasks of a few microseconds that are not operations, such as waking readers: operations that are
    /// dispatched meanwhile run without that worker.
    pub fn spawn_background(&self, task: impl FnOnce() + Send + 'static) {
        self.backend.thread_pool().spawn_background(Box::new(task));
    }
}
