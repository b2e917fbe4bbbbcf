//! The [`Device`](super::Device) on Apple GPUs.
//!
//! [`Gpu`] is everything that does not need Apple's frameworks: views of mapped memory, checks of dispatches, command
//! buffers, waiting and residency. It calls Metal through the trait [`Driver`], which `objc` implements; on other systems a
//! recording implementation in the tests does.
//!
//! # Invariants
//! - All memory and residency sets exist before the first submission; a submission that repeats an earlier one creates
//!   command buffers only.
//! - One thread at a time submits. The heartbeat of the residency sets is the only other thread that calls Metal.
//! - Every call to Metal is inside an autorelease pool of the calling method, so that no temporary object outlives it.
//! - Nothing is started unless all dispatches have been checked.
//! - After a failed command buffer, the device accepts no more work: what the KV cache has is undefined.

#[cfg(any(test, target_os = "macos"))]
mod check;
#[cfg(any(test, target_os = "macos"))]
mod cores;
#[cfg(any(test, target_os = "macos"))]
mod driver;
#[cfg(any(test, target_os = "macos"))]
mod gpu;
#[cfg(any(test, target_os = "macos"))]
mod heartbeat;
#[cfg(target_os = "macos")]
mod objc;
#[cfg(any(test, target_os = "macos"))]
mod residency;
#[cfg(any(test, target_os = "macos"))]
mod submission;
#[cfg(test)]
mod tests;
#[cfg(any(test, target_os = "macos"))]
mod views;

use std::sync::Arc;

use super::{Device, DeviceError};

/// The GPU of this machine.
///
/// # Errors
/// If there is none that the kernels run on, with the reason.
pub fn open() -> Result<Arc<dyn Device>, DeviceError> {
    #[cfg(target_os = "macos")]
    {
        let mut gpu = gpu::Gpu::new(objc::Driver::open(objc::Requirements::Run)?);
        gpu.start_heartbeat()?;
        Ok(Arc::new(gpu))
    }
    #[cfg(not(target_os = "macos"))]
    Err(DeviceError(format!(
        "Metal needs a Mac with Apple Silicon, and this is {}",
        std::env::consts::OS
    )))
}

/// A GPU that may be too old to run the kernels, or virtual: to see whether Apple's compiler accepts them.
///
/// # Errors
/// If there is none.
#[cfg(target_os = "macos")]
pub fn open_compiler() -> Result<Arc<dyn Device>, DeviceError> {
    let driver = objc::Driver::open(objc::Requirements::Compile)?;
    Ok(Arc::new(gpu::Gpu::new(driver)))
}
