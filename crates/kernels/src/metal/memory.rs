//! Where the operands of an operation are.

use std::cell::RefCell;

use super::{
    BufferId, BufferRange,
    backend::Metal,
    step::{List, StepArguments},
};
use crate::{
    Bytes, Indices, KernelError, KvCache, Param, RopeCosSin, Rows, Slots, Spans,
    kernels::Arguments, weight::Floats,
};

/// Finds the memory of the operands of one operation, for a plan.
#[derive(Debug)]
pub(crate) struct Memory<'a> {
    /// The operation.
    op: &'static str,
    arguments: &'a Arguments<'a>,
    target: Target<'a>,
}

#[derive(Debug)]
enum Target<'a> {
    Device {
        metal: &'a Metal,
        step: &'a RefCell<StepArguments>,
    },
    /// No device: ranges only distinguish memory.
    Counted,
}

/// Numbers of the memory that is only counted.
pub(crate) mod counted {
    use super::BufferId;

    pub const CONSTANTS: BufferId = BufferId(u32::MAX);
    pub const PARAMS: BufferId = BufferId(u32::MAX - 1);
    pub const STEP: BufferId = BufferId(u32::MAX - 2);

    /// Whether this is a chunk of the arena: those have the low numbers.
    pub fn is_activations(buffer: BufferId) -> bool {
        buffer.0 < 1 << 31
    }

    /// The keys or the values of a cache.
    pub fn kv_cache(id: u64, values: bool) -> BufferId {
        let id = (2 * id + u64::from(values)) % (1 << 30);
        BufferId((1 << 31) + id as u32)
    }
}

impl<'a> Memory<'a> {
    pub(super) fn on_device(
        op: &'static str,
        arguments: &'a Arguments<'a>,
        metal: &'a Metal,
        step: &'a RefCell<StepArguments>,
    ) -> Self {
        Self {
            op,
            arguments,
            target: Target::Device { metal, step },
        }
    }

    /// Memory of no device, for counting.
    pub fn counted(op: &'static str, arguments: &'a Arguments<'a>) -> Self {
        Self {
            op,
            arguments,
            target: Target::Counted,
        }
    }

    /// The operation, for errors.
    pub fn op(&self) -> &'static str {
        self.op
    }

    /// The arguments of the pass as the host has them.
    pub fn arguments(&self) -> &'a Arguments<'a> {
        self.arguments
    }

    /// Activations, `[rows, width]` floats.
    pub fn rows(&self, rows: &Rows) -> Result<BufferRange, KernelError> {
        let place = rows.place();
        let buffer = match &self.target {
            Target::Device { .. } => rows.arena().buffer(place).ok_or(KernelError::Handle {
                op: self.op,
                problem: "activations that are not on the device",
            })?,
            Target::Counted => BufferId(place.chunk as u32),
        };
        Ok(BufferRange {
            buffer,
            offset: place.start * size_of::<f32>(),
            bytes: place.len * size_of::<f32>(),
        })
    }

    /// Activations for intermediate values, in the arena of `like`. They can be dropped once the plan is made: dispatches
    /// that use the memory later are after a barrier.
    #[expect(clippy::unused_self, reason = "plans take all memory from here")]
    pub fn scratch(&self, like: &Rows, rows: usize, width: usize) -> Result<Rows, KernelError> {
        Rows::new(like.arena(), like.pass(), rows, width)
    }

    /// Bytes of a weight.
    pub fn bytes(&self, bytes: &Bytes) -> Result<BufferRange, KernelError> {
        match &self.target {
            Target::Device { metal, .. } => metal.constants().bytes(self.op, bytes),
            Target::Counted => Ok(BufferRange {
                buffer: counted::CONSTANTS,
                offset: bytes.as_slice().as_ptr().addr(),
                bytes: bytes.len(),
            }),
        }
    }

    /// Floats of a weight.
    pub fn floats(&self, floats: &Floats) -> Result<BufferRange, KernelError> {
        self.bytes(floats.bytes())
    }

    /// A parameter, floats.
    pub fn param(&self, param: &Param) -> Result<BufferRange, KernelError> {
        match &self.target {
            Target::Device { metal, .. } => metal.constants().param(param),
            Target::Counted => Ok(BufferRange {
                buffer: counted::PARAMS,
                offset: param.as_slice().as_ptr().addr(),
                bytes: param.size_bytes(),
            }),
        }
    }

    /// Token ids or row numbers, one `uint` each.
    pub fn indices(&self, indices: Indices) -> Result<BufferRange, KernelError> {
        let values = self.arguments.indices(self.op, indices)?;
        self.list(List::Indices, indices.index(), || Ok(values.to_vec()))
    }

    /// The cache slots of the rows, one `uint` each.
    pub fn slots(&self, slots: Slots) -> Result<BufferRange, KernelError> {
        let values = self.arguments.slots(self.op, slots)?;
        self.list(List::Slots, slots.index(), || Ok(values.to_vec()))
    }

    /// Spans as `encode` writes them, which is called for the first operation that uses them.
    pub fn spans(
        &self,
        spans: Spans,
        encode: impl FnOnce() -> Result<Vec<u32>, KernelError>,
    ) -> Result<BufferRange, KernelError> {
        self.list(List::Spans, spans.index(), encode)
    }

    /// Rotation angles of each row: `dims / 2` cosines, then as many sines, times the attention factor, then the factor of
    /// the queries if they are scaled.
    pub fn angles(&self, angles: RopeCosSin) -> Result<BufferRange, KernelError> {
        let host = self.arguments.angles(self.op, angles)?;
        match &self.target {
            Target::Device { step, .. } => {
                let range = step.borrow().angles(angles.index());
                range.ok_or(KernelError::Handle {
                    op: self.op,
                    problem: "angles of another pass",
                })
            }
            Target::Counted => Ok(BufferRange {
                buffer: counted::STEP,
                offset: 0,
                bytes: host.rows.unwrap_or_default() * host.row_width * size_of::<f32>(),
            }),
        }
    }

    /// The keys and the values of a cache, each as a whole.
    pub fn kv(&self, cache: &KvCache) -> Result<(BufferRange, BufferRange), KernelError> {
        match &self.target {
            Target::Device { .. } => Ok(cache.on_metal(self.op)?.ranges()),
            Target::Counted => {
                let part = |values| BufferRange {
                    buffer: counted::kv_cache(cache.id(), values),
                    offset: 0,
                    bytes: usize::MAX,
                };
                Ok((part(false), part(true)))
            }
        }
    }

    fn list(
        &self,
        list: List,
        index: usize,
        values: impl FnOnce() -> Result<Vec<u32>, KernelError>,
    ) -> Result<BufferRange, KernelError> {
        match &self.target {
            Target::Device { metal, step } => {
                step.borrow_mut().list(metal.queue(), list, index, values)
            }
            Target::Counted => Ok(BufferRange {
                buffer: counted::STEP,
                offset: 0,
                bytes: values()?.len() * size_of::<u32>(),
            }),
        }
    }
}
