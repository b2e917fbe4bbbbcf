//! The formula: seconds of a step from what it reads, computes and dispatches.

use super::chips::Chip;

/// What a step reads and computes, whatever the engine.
#[derive(Clone, Copy)]
pub struct Work {
    /// Weights and cache, which dispatches stream from memory.
    pub bytes: f64,
    /// Floating-point operations of matrix products and attention.
    pub operations: f64,
    /// Activations that dispatches without a matrix product read and write; 0 when decoding, where they stay in the caches.
    pub activation_bytes: f64,
}

/// How an engine issues a step.
#[derive(Clone, Copy)]
pub struct Issue {
    pub dispatches: f64,
    /// Groups of dispatches that do not depend on each other.
    pub barrier_intervals: f64,
    pub command_buffers: f64,
    /// Times that the host waits for the GPU while the GPU has nothing to do.
    pub waits: f64,
}

/// Properties of the GPU and the driver, the same for every model and engine.
#[derive(Clone, Copy, Debug)]
pub struct Constants {
    /// Part of the memory bandwidth that products of one row reach.
    pub bandwidth_efficiency: f64,
    /// Seconds that a dispatch takes in addition to the bytes it reads.
    pub dispatch_seconds: f64,
    /// Part of the chip's peak that matrix products of many rows reach.
    pub matrix_efficiency: f64,
    pub command_buffer_seconds: f64,
    pub wait_seconds: f64,
}

impl Constants {
    /// Seconds of a step on the chip.
    pub fn seconds(&self, work: &Work, issue: &Issue, chip: &Chip) -> f64 {
        let bandwidth = self.bandwidth_efficiency * chip.bandwidth;
        let streamed = work.bytes / bandwidth;
        let computed = work.operations / (self.matrix_efficiency * chip.matrix_peak);
        streamed.max(computed) + work.activation_bytes / bandwidth + self.overhead(issue)
    }

    /// Seconds that do not depend on the amount of work.
    fn overhead(&self, issue: &Issue) -> f64 {
        issue.dispatches * self.dispatch_seconds
            + issue.command_buffers * self.command_buffer_seconds
            + issue.waits * self.wait_seconds
    }
}
