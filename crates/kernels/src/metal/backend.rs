//! The backend of devices that run kernels in the Metal language.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mlxm_machine::CpuLimits;

use super::{
    Device, Kernel, constants::Constants, pipelines::Pipelines, queue::Queue, step::StepBuffer,
};
use crate::{KernelError, thread_pool::ThreadPool};

/// Passes that can be on the device while the arguments of the next one are written.
const STEP_BUFFERS: usize = 3;

/// A device and what it has of a model.
#[derive(Debug)]
pub(crate) struct Metal {
    queue: Arc<Queue>,
    /// Threads of the host, which sample.
    pool: ThreadPool,
    constants: Constants,
    pipelines: Pipelines,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Buffers of arguments that are not in use by the encoder, the longest unused one first.
    step_buffers: Vec<StepBuffer>,
    /// Dispatches of the last pass.
    last_dispatches: usize,
    /// The kernels of the passes that are only planned.
    planned: Option<BTreeSet<Kernel>>,
}

impl Metal {
    pub fn new(device: Arc<dyn Device>) -> Self {
        let queue = Arc::new(Queue::new(device));
        Self {
            pool: ThreadPool::new(CpuLimits::read().threads().max(1)),
            constants: Constants::new(queue.clone()),
            pipelines: Pipelines::new(queue.clone()),
            queue,
            state: Mutex::new(State {
                step_buffers: (0..STEP_BUFFERS).map(|_| StepBuffer::default()).collect(),
                last_dispatches: 0,
                planned: None,
            }),
        }
    }

    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub fn thread_pool(&self) -> &ThreadPool {
        &self.pool
    }

    /// Replaces the pool: no loop can be running, because every loop borrows it.
    pub fn set_threads(&mut self, threads: usize) {
        let threads = threads.max(1);
        if threads != self.pool.threads() {
            self.pool = ThreadPool::new(threads);
        }
    }

    pub fn constants(&self) -> &Constants {
        &self.constants
    }

    pub(super) fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    /// Waits until the host may write to unused memory of activations.
    pub fn prepare_upload(&self, op: &'static str) -> Result<(), KernelError> {
        if self.queue.is_encoding() {
            // The operations so far may still have to use the memory.
            let problem = "cannot write activations while a pass is being encoded";
            return Err(KernelError::Handle { op, problem });
        }
        self.queue.wait_for_all();
        Ok(())
    }

    /// Waits until the values of a pass can be read.
    pub fn wait(&self, op: &'static str, pass: u64) -> Result<(), KernelError> {
        self.queue.wait(pass).map_err(|error| KernelError::Device {
            op,
            reason: error.0,
        })
    }

    /// Runs `passes`, which compute nothing, and compiles their kernels.
    pub fn compile<E: From<KernelError>>(
        &self,
        passes: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.lock().planned = Some(BTreeSet::new());
        let result = passes();
        let planned = self.lock().planned.take();
        result?;
        self.pipelines.compile(&planned.unwrap_or_default())?;
        Ok(())
    }

    /// Whether passes are only planned.
    pub(super) fn is_planning(&self) -> bool {
        self.lock().planned.is_some()
    }

    /// Adds kernels of a pass that is only planned.
    pub(super) fn add_planned(&self, kernels: impl Iterator<Item = Kernel>) {
        if let Some(planned) = &mut self.lock().planned {
            planned.extend(kernels);
        }
    }

    /// A buffer of arguments that the device does not use.
    pub(super) fn take_step_buffer(&self) -> StepBuffer {
        let mut state = self.lock();
        let buffer = if state.step_buffers.is_empty() {
            StepBuffer::default()
        } else {
            state.step_buffers.remove(0)
        };
        drop(state);
        // Whether the pass failed is of no concern to its arguments.
        let _ = self.queue.wait(buffer.pass);
        buffer
    }

    pub(super) fn return_step_buffer(&self, buffer: StepBuffer) {
        self.lock().step_buffers.push(buffer);
    }

    pub(super) fn last_dispatches(&self) -> usize {
        self.lock().last_dispatches
    }

    pub(super) fn set_last_dispatches(&self, dispatches: usize) {
        self.lock().last_dispatches = dispatches;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Metal {
    fn drop(&mut self) {
        // Memory is unmapped when it is dropped, which must not happen before the device is done with it.
        self.queue.wait_for_all();
    }
}
