//! Work on its way through the queue.

use std::{
    collections::VecDeque,
    hint,
    time::{Duration, Instant},
};

use super::driver::{CommandBuffer, Status};
use crate::metal::DeviceError;

/// How long a wait polls before it blocks. A blocking wait ends 150 to 365 µs late (Metal.jl #783).
const SPIN: Duration = Duration::from_micros(100);

/// Command buffers that have not been waited for. A queue has at most 64, and then blocks.
pub(super) const MAX_IN_FLIGHT: usize = 16;

/// The command buffers that may not have ended, in their order.
#[derive(Debug)]
pub(super) struct InFlight<C> {
    command_buffers: VecDeque<(u64, C)>,
    /// The number of the last one.
    last: u64,
    /// Why the device accepts no more work.
    failure: Option<DeviceError>,
}

impl<C> Default for InFlight<C> {
    fn default() -> Self {
        Self {
            command_buffers: VecDeque::with_capacity(MAX_IN_FLIGHT),
            last: 0,
            failure: None,
        }
    }
}

impl<C: CommandBuffer> InFlight<C> {
    /// Waits until another command buffer can be started.
    ///
    /// # Errors
    /// If an earlier one failed.
    pub fn reserve(&mut self) -> Result<(), DeviceError> {
        if self.command_buffers.len() >= MAX_IN_FLIGHT {
            let oldest = self.command_buffers[0].0;
            self.wait(oldest)?;
        }
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Adds a command buffer that was started, and returns its number.
    pub fn push(&mut self, command_buffer: C) -> u64 {
        self.last += 1;
        self.command_buffers.push_back((self.last, command_buffer));
        self.last
    }

    /// The number of the last command buffer.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Waits for command buffer `number` and all before it.
    ///
    /// # Errors
    /// If any of them failed, and for all later ones then: they read what it should have written.
    pub fn wait(&mut self, number: u64) -> Result<(), DeviceError> {
        let count = self
            .command_buffers
            .partition_point(|(other, _)| *other <= number);
        // Command buffers of a queue end in their order, so that there is one wait.
        for (_, command_buffer) in self.command_buffers.range(..count).rev() {
            wait(command_buffer);
        }
        for (_, command_buffer) in self.command_buffers.drain(..count) {
            if let Status::Failed(message) = command_buffer.status()
                && self.failure.is_none()
            {
                self.failure = Some(DeviceError(format!(
                    "the GPU failed, and the model must be loaded again: {message}"
                )));
            }
        }
        self.failure.clone().map_or(Ok(()), Err)
    }
}

fn wait(command_buffer: &impl CommandBuffer) {
    let start = Instant::now();
    while command_buffer.status() == Status::Running {
        if start.elapsed() >= SPIN {
            command_buffer.wait();
            return;
        }
        hint::spin_loop();
    }
}
