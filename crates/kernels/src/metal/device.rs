//! What the backend needs from a device.

use std::fmt::Debug;

use super::{Dispatch, Source};

/// Memory that a device knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub u32);

/// A compiled kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PipelineId(pub u32);

/// Submitted work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmissionId(pub u64);

/// Why a device cannot do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(pub String);

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its name.
    pub name: String,
    /// Bytes that it can use well (`recommendedMaxWorkingSetSize`).
    pub working_set_bytes: u64,
    /// Bytes of the largest buffer.
    pub max_buffer_bytes: usize,
    /// GPU cores.
    pub cores: u32,
}

/// Dispatches in their order.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    /// Each with its pipeline, and whether a barrier comes before it.
    pub dispatches: &'a [(PipelineId, bool, Dispatch)],
}

/// Compiles and runs kernels. Implementations are used by one thread at a time, which may change.
pub trait Device: Debug + Send + Sync {
    /// What the device is.
    fn info(&self) -> DeviceInfo;

    /// Makes `bytes` of main memory at `pointer` visible to the device without copying them.
    ///
    /// # Safety
    /// Both are multiples of the page size, and the memory stays mapped until [`Device::unmap`].
    ///
    /// # Errors
    /// If the device has no room.
    unsafe fn map(&self, pointer: *mut u8, bytes: usize) -> Result<BufferId, DeviceError>;

    /// Ends what [`Device::map`] started. No submitted work uses the memory.
    fn unmap(&self, buffer: BufferId);

    /// Compiles a source text that instantiates the kernels `host_names`; returns a pipeline for each.
    ///
    /// # Errors
    /// Messages of the compiler.
    fn compile(
        &self,
        source: Source,
        text: &str,
        host_names: &[String],
    ) -> Result<Vec<PipelineId>, DeviceError>;

    /// Starts work.
    ///
    /// # Errors
    /// If it cannot be encoded; nothing is started then.
    fn submit(&self, commands: &Commands<'_>) -> Result<SubmissionId, DeviceError>;

    /// Waits for the end of submitted work, and of all work before it.
    ///
    /// # Errors
    /// If any part of it failed; its results are undefined then.
    fn wait(&self, submission: SubmissionId) -> Result<(), DeviceError>;
}
