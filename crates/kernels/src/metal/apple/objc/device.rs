//! The GPU, its buffers and its pipelines.

use std::{ffi::c_void, ptr::NonNull};

use candle_metal_kernels::metal::{
    Buffer, CommandQueue, ComputePipeline, Device, Library, MTLResourceOptions,
};
use objc2::{available, rc::autoreleasepool};
use objc2_metal::{
    MTLCompileOptions, MTLComputePipelineState, MTLDevice, MTLGPUFamily, MTLLanguageVersion,
    MTLMathMode,
};

use super::{commands::Encoder, residency::ResidencySet};
use crate::metal::{
    DeviceError, DeviceInfo,
    apple::{
        cores,
        driver::{self, Pipeline},
    },
};

/// Lanes of a SIMD group, on which the kernels rely.
const SIMD_WIDTH: usize = 32;

/// What a GPU must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirements {
    /// Run the kernels: Apple7 (M1) or later, for SIMD groups of 32 and matrices of SIMD groups.
    Run,
    /// Compile them.
    Compile,
}

/// The default GPU with a queue.
#[derive(Debug)]
pub struct Driver {
    device: Device,
    queue: CommandQueue,
}

impl Driver {
    /// Opens the GPU.
    ///
    /// # Errors
    /// If there is none, or it does not fulfil the requirements.
    pub fn open(requirements: Requirements) -> Result<Self, DeviceError> {
        autoreleasepool(|_| {
            if !available!(macos = 14.0) {
                return Err(DeviceError("Metal kernels need macOS 14 or later".into()));
            }
            let device = Device::system_default()
                .ok_or_else(|| DeviceError("this Mac has no GPU for Metal".into()))?;
            let raw = device.as_ref();
            let able = raw.supportsFamily(MTLGPUFamily::Apple7) && raw.hasUnifiedMemory();
            if requirements == Requirements::Run && !able {
                return Err(DeviceError(format!(
                    "Metal kernels need Apple Silicon (M1 or later), and the GPU is {}",
                    raw.name()
                )));
            }
            let queue = device.new_command_queue().map_err(message)?;
            Ok(Self { device, queue })
        })
    }
}

impl driver::Driver for Driver {
    type Buffer = Buffer;
    type Pipeline = ComputePipeline;
    type Encoder = Encoder;
    type ResidencySet = ResidencySet;

    fn info(&self) -> DeviceInfo {
        let raw = self.device.as_ref();
        DeviceInfo {
            name: raw.name().to_string(),
            working_set_bytes: raw.recommendedMaxWorkingSetSize(),
            max_buffer_bytes: raw.maxBufferLength(),
            cores: cores::estimate(&self.device.architecture_name()),
        }
    }

    fn page_bytes(&self) -> usize {
        // SAFETY: `sysconf` only reads a constant of the system.
        let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        // Apple Silicon has pages of 16 KB.
        usize::try_from(bytes).unwrap_or(16 << 10)
    }

    fn autorelease_pool<R>(&self, body: impl FnOnce() -> R) -> R {
        autoreleasepool(|_| body())
    }

    unsafe fn buffer(&self, pointer: NonNull<u8>, bytes: usize) -> Result<Buffer, DeviceError> {
        let pointer = pointer.cast::<c_void>();
        // Hazards are tracked, so that command buffers wait for memory that earlier ones write.
        let options = MTLResourceOptions::StorageModeShared;
        // SAFETY: the memory is whole pages and stays mapped by the contract of this method. Without a deallocator, Metal
        // does not free it.
        let buffer = unsafe {
            self.device
                .as_ref()
                .newBufferWithBytesNoCopy_length_options_deallocator(pointer, bytes, options, None)
        };
        buffer.map(Buffer::new).ok_or_else(|| {
            DeviceError(format!(
                "the GPU cannot map {bytes} bytes of memory ({} are the most)",
                self.device.as_ref().maxBufferLength()
            ))
        })
    }

    fn compile(
        &self,
        text: &str,
        fast_math: bool,
        host_names: &[String],
    ) -> Result<Vec<ComputePipeline>, DeviceError> {
        let library = self
            .device
            .new_library_with_source(text, Some(&compile_options(fast_math)))
            .map_err(message)?;
        let pipeline = |name: &String| {
            self.pipeline(&library, name)
                .map_err(|error| DeviceError(format!("kernel {name}: {error}")))
        };
        host_names.iter().map(pipeline).collect()
    }

    fn encoder(&self) -> Result<Encoder, DeviceError> {
        Encoder::new(&self.queue)
    }

    fn residency_set(&self) -> Option<ResidencySet> {
        ResidencySet::new(&self.device, &self.queue)
    }
}

impl Driver {
    fn pipeline(&self, library: &Library, name: &str) -> Result<ComputePipeline, DeviceError> {
        let function = library.get_function(name, None).map_err(message)?;
        let pipeline = self
            .device
            .new_compute_pipeline_state_with_function(&function)
            .map_err(|error| DeviceError(format!("{error:?}")))?;
        let width = pipeline.as_ref().threadExecutionWidth();
        if width == SIMD_WIDTH {
            Ok(pipeline)
        } else {
            Err(DeviceError(format!(
                "SIMD groups have {width} threads instead of {SIMD_WIDTH}"
            )))
        }
    }
}

impl Pipeline for ComputePipeline {
    fn max_threads(&self) -> usize {
        self.max_total_threads_per_threadgroup()
    }
}

/// Later language versions change address spaces of methods.
fn compile_options(fast_math: bool) -> objc2::rc::Retained<MTLCompileOptions> {
    let options = MTLCompileOptions::new();
    options.setLanguageVersion(MTLLanguageVersion::Version3_1);
    if available!(macos = 15.0) {
        options.setMathMode(if fast_math {
            MTLMathMode::Fast
        } else {
            MTLMathMode::Safe
        });
    } else {
        #[expect(deprecated, reason = "its successor needs macOS 15")]
        options.setFastMathEnabled(fast_math);
    }
    options
}

fn message(error: candle_metal_kernels::MetalKernelError) -> DeviceError {
    DeviceError(error.to_string())
}
