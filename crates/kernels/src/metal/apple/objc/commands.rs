//! Command buffers and their encoders.

use std::ptr::NonNull;

use candle_metal_kernels::metal::{Buffer, CommandBuffer, CommandQueue, ComputePipeline};
use objc2::{rc::Retained, runtime::ProtocolObject};
use objc2_metal::{
    MTLBarrierScope, MTLCommandBuffer, MTLCommandBufferStatus, MTLCommandEncoder, MTLCommandQueue,
    MTLComputeCommandEncoder, MTLDispatchType, MTLSize,
};

use crate::metal::{
    DeviceError,
    apple::driver::{self, Status},
};

/// A command buffer with an encoder, which is ended when this is dropped.
#[derive(Debug)]
pub struct Encoder {
    encoder: Retained<ProtocolObject<dyn MTLComputeCommandEncoder>>,
    command_buffer: CommandBuffer,
}

impl Encoder {
    /// Creates both.
    ///
    /// # Errors
    /// If Metal cannot.
    pub fn new(queue: &CommandQueue) -> Result<Self, DeviceError> {
        let missing = || DeviceError("Metal cannot create a command buffer".into());
        // The device keeps pipelines and buffers alive, so that command buffers need not.
        let command_buffer = queue
            .commandBufferWithUnretainedReferences()
            .ok_or_else(missing)?;
        let encoder = command_buffer
            .computeCommandEncoderWithDispatchType(MTLDispatchType::Concurrent)
            .ok_or_else(missing)?;
        Ok(Self {
            encoder,
            command_buffer: CommandBuffer::new(command_buffer),
        })
    }
}

impl driver::Encoder for Encoder {
    type Buffer = Buffer;
    type Pipeline = ComputePipeline;
    type CommandBuffer = CommandBuffer;

    fn set_pipeline(&mut self, pipeline: &ComputePipeline) {
        self.encoder.setComputePipelineState(pipeline.as_ref());
    }

    fn set_bytes(&mut self, index: u32, bytes: &[u8]) {
        let start = NonNull::from(bytes).cast();
        // SAFETY: Metal copies the bytes, at most 4096, during the call.
        unsafe {
            self.encoder
                .setBytes_length_atIndex(start, bytes.len(), index as usize);
        }
    }

    fn set_buffer(&mut self, index: u32, buffer: &Buffer, offset: usize) {
        // SAFETY: index and offset have been checked; the device keeps the buffer until the work has ended.
        unsafe {
            self.encoder
                .setBuffer_offset_atIndex(Some(buffer.as_ref()), offset, index as usize);
        }
    }

    fn barrier(&mut self) {
        self.encoder
            .memoryBarrierWithScope(MTLBarrierScope::Buffers);
    }

    fn dispatch(&mut self, [width, height, depth]: [usize; 3], threads: usize) {
        let threadgroups = MTLSize {
            width,
            height,
            depth,
        };
        let threads = MTLSize {
            width: threads,
            height: 1,
            depth: 1,
        };
        self.encoder
            .dispatchThreadgroups_threadsPerThreadgroup(threadgroups, threads);
    }

    fn commit(self) -> CommandBuffer {
        let command_buffer = self.command_buffer.clone();
        drop(self);
        command_buffer.commit();
        command_buffer
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Metal aborts the process if an encoder is released before its end.
        self.encoder.endEncoding();
    }
}

impl driver::CommandBuffer for CommandBuffer {
    fn status(&self) -> Status {
        match CommandBuffer::status(self) {
            MTLCommandBufferStatus::Completed => Status::Completed,
            MTLCommandBufferStatus::Error => {
                let error = self.as_ref().error();
                Status::Failed(error.map_or_else(
                    || "without a message".to_owned(),
                    |error| error.localizedDescription().to_string(),
                ))
            }
            _ => Status::Running,
        }
    }

    fn wait(&self) {
        self.wait_until_completed();
    }
}
