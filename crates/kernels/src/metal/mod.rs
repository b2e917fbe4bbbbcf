//! The Metal backend: which kernels compute an operation, and the sources of the kernels.
//!
//! `*.metal` are the kernels. For each operation, a *plan* (`linear.rs`, `attention.rs`, `misc.rs`) chooses kernels, writes
//! their arguments and binds memory. Plans are pure: they run on every platform, and the counting backend takes its
//! counts from them. A [`Device`] compiles kernels and runs dispatches: an Apple GPU, or an executor for tests.

mod apple;
mod args;
mod attention;
mod backend;
mod bump;
mod constants;
mod device;
mod device_memory;
mod dispatch;
mod encoder;
mod kernel;
mod kv_cache;
mod kv_layout;
mod linear;
mod memory;
mod misc;
mod pipelines;
mod plan;
mod queries;
mod queue;
mod rope;
mod self_test;
mod step;

pub use apple::open;
#[cfg(target_os = "macos")]
pub use apple::open_compiler;
pub(crate) use backend::Metal;
pub use device::{BufferId, Commands, Device, DeviceError, DeviceInfo, PipelineId, SubmissionId};
pub(crate) use device_memory::DeviceMemory;
pub use dispatch::{Access, Binding, BufferRange, Dispatch};
pub(crate) use encoder::Encoder;
pub use kernel::{Kernel, Source, TemplateArgument};
pub(crate) use kv_cache::MetalKvCache;
pub(crate) use memory::{Memory, counted};
pub(crate) use plan::plan;
pub(crate) use queue::Queue;
pub use self_test::{SelfTest, WeightFormat};
