//! The calls to Metal that [`Gpu`](super::gpu::Gpu) makes.

use std::{fmt::Debug, ptr::NonNull};

use crate::metal::{DeviceError, DeviceInfo};

/// A GPU with one command queue. Its methods are called inside [`Driver::autorelease_pool`].
pub(super) trait Driver: Debug + Send + Sync + 'static {
    /// Memory that is visible to the GPU.
    type Buffer: Debug + Send + Sync;
    /// A compiled kernel.
    type Pipeline: Pipeline;
    /// A command buffer that is being written.
    type Encoder: Encoder<Buffer = Self::Buffer, Pipeline = Self::Pipeline>;
    /// Memory that stays wired while the GPU is idle.
    type ResidencySet: ResidencySet<Buffer = Self::Buffer>;

    /// What the GPU is.
    fn info(&self) -> DeviceInfo;

    /// The size of a page of main memory.
    fn page_bytes(&self) -> usize;

    /// Runs `body`, and releases the temporary objects that it made. Pools nest.
    fn autorelease_pool<R>(&self, body: impl FnOnce() -> R) -> R;

    /// A buffer over main memory, without copying it.
    ///
    /// # Safety
    /// Both are multiples of the page size, and the memory stays mapped while the buffer exists.
    unsafe fn buffer(
        &self,
        pointer: NonNull<u8>,
        bytes: usize,
    ) -> Result<Self::Buffer, DeviceError>;

    /// Compiles a source text, and returns a pipeline for each of its kernels `host_names`.
    fn compile(
        &self,
        text: &str,
        fast_math: bool,
        host_names: &[String],
    ) -> Result<Vec<Self::Pipeline>, DeviceError>;

    /// Creates a command buffer with one encoder, whose dispatches run concurrently.
    fn encoder(&self) -> Result<Self::Encoder, DeviceError>;

    /// Creates an empty residency set and adds it to the queue. `None` if the system has none (before macOS 15).
    fn residency_set(&self) -> Option<Self::ResidencySet>;
}

/// A compiled kernel.
pub(super) trait Pipeline: Debug + Send + Sync {
    /// Most threads of a threadgroup. A dispatch with more does nothing, without an error.
    fn max_threads(&self) -> usize;
}

/// The only encoder of a command buffer. Dropping it discards its commands.
pub(super) trait Encoder {
    /// Memory.
    type Buffer;
    /// A compiled kernel.
    type Pipeline;
    /// A started command buffer.
    type CommandBuffer: CommandBuffer;

    /// The kernel of the following dispatches.
    fn set_pipeline(&mut self, pipeline: &Self::Pipeline);

    /// Copies at most 4096 bytes to `[[buffer(index)]]`.
    fn set_bytes(&mut self, index: u32, bytes: &[u8]);

    /// Binds memory from byte `offset` to `[[buffer(index)]]`. The command buffer does not keep it alive.
    fn set_buffer(&mut self, index: u32, buffer: &Self::Buffer, offset: usize);

    /// Makes the following dispatches wait for all previous ones of this encoder.
    fn barrier(&mut self);

    /// Launches the kernel.
    fn dispatch(&mut self, threadgroups: [usize; 3], threads: usize);

    /// Ends the encoder and starts the command buffer, after those that were started before it.
    fn commit(self) -> Self::CommandBuffer;
}

/// What a command buffer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It has not ended.
    Running,
    /// It ended.
    Completed,
    /// It failed, with this message.
    Failed(String),
}

/// A started command buffer.
pub(super) trait CommandBuffer: Debug + Send {
    /// What it does now.
    fn status(&self) -> Status;

    /// Blocks until it has ended.
    fn wait(&self);
}

/// Buffers that are wired together. Additions and removals take effect with [`ResidencySet::commit`].
pub(super) trait ResidencySet: Debug + Send {
    /// Memory.
    type Buffer;

    /// Adds a buffer.
    fn add(&mut self, buffer: &Self::Buffer);

    /// Removes a buffer.
    fn remove(&mut self, buffer: &Self::Buffer);

    /// Applies additions and removals.
    fn commit(&mut self);

    /// Wires the memory, or keeps it wired.
    fn request(&mut self);

    /// Lets the system unwire the memory.
    fn end(&mut self);
}
