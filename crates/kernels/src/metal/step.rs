//! The arguments of a pass that layers share, written once to a buffer: indices, slots, spans and rotation angles.

use std::sync::Arc;

use super::{BufferRange, bump::Bump, queue::Queue};
use crate::{Element, KernelError, Rope};

/// The buffer of one pass, which is used again a few passes later.
#[derive(Debug, Default)]
pub(super) struct StepBuffer {
    values: Bump,
    /// The last pass that used it.
    pub pass: u64,
}

/// The arguments of the current pass, by their positions among those of their kind.
#[derive(Debug, Default)]
pub(super) struct StepArguments {
    pub buffer: StepBuffer,
    indices: Vec<Option<BufferRange>>,
    slots: Vec<Option<BufferRange>>,
    spans: Vec<Option<BufferRange>>,
    angles: Vec<BufferRange>,
}

/// The kinds of lists of integers.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    Indices,
    Slots,
    Spans,
}

impl StepArguments {
    /// Starts a pass with a buffer that the device does not use.
    pub fn new(mut buffer: StepBuffer, queue: &Arc<Queue>) -> Result<Self, KernelError> {
        buffer.values.clear(queue)?;
        Ok(Self {
            buffer,
            ..Self::default()
        })
    }

    /// The list at `index`, which is written the first time.
    pub fn list(
        &mut self,
        queue: &Arc<Queue>,
        list: List,
        index: usize,
        values: impl FnOnce() -> Result<Vec<u32>, KernelError>,
    ) -> Result<BufferRange, KernelError> {
        let ranges = match list {
            List::Indices => &mut self.indices,
            List::Slots => &mut self.slots,
            List::Spans => &mut self.spans,
        };
        if ranges.len() <= index {
            ranges.resize(index + 1, None);
        }
        if let Some(range) = ranges[index] {
            return Ok(range);
        }
        let range = write(&mut self.buffer.values, queue, &values()?)?;
        ranges[index] = Some(range);
        Ok(range)
    }

    /// Writes the next angles: for every position `dims / 2` cosines, then as many sines, times the attention factor, then
    /// the factor of the queries if they are scaled.
    pub fn add_angles(
        &mut self,
        queue: &Arc<Queue>,
        rope: &Rope,
        positions: &[u32],
    ) -> Result<(), KernelError> {
        let (pairs, width) = (rope.inverse_frequencies.len(), rope.row_width());
        let write = |out: &mut [f32]| {
            for (position, out) in positions.iter().zip(out.chunks_exact_mut(width.max(1))) {
                let (cosines, sines) = out.split_at_mut(pairs);
                if let Some(scaling) = &rope.query_scaling {
                    sines[pairs] = scaling.factor(*position);
                }
                for (pair, frequency) in rope.inverse_frequencies.iter().enumerate() {
                    let (sin, cos) = (*position as f32 * frequency).sin_cos();
                    cosines[pair] = cos * rope.attention_factor;
                    sines[pair] = sin * rope.attention_factor;
                }
            }
        };
        let count = positions.len() * width;
        let range = self.buffer.values.add(queue, count, write)?;
        self.angles.push(range);
        Ok(())
    }

    /// The angles at `index`.
    pub fn angles(&self, index: usize) -> Option<BufferRange> {
        self.angles.get(index).copied()
    }
}

fn write<T: Element>(
    buffer: &mut Bump,
    queue: &Arc<Queue>,
    values: &[T],
) -> Result<BufferRange, KernelError> {
    buffer.add(queue, values.len(), |out: &mut [T]| {
        out.copy_from_slice(values);
    })
}
