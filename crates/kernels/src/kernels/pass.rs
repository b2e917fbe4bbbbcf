//! One forward pass on a device.

use std::sync::atomic::Ordering;

use super::{
    Kernels,
    arguments::{Angles, Arguments, Indices, RopeCosSin, Slots, Spans},
    checks::shape_error,
};
use crate::{KernelError, KvSpan, Rope, backend::Encoder, op::Op, rows::Rows};

/// The operations of one forward pass, in their order.
///
/// The arguments that layers share are added first and named by handles. An operation returns its result, or an error
/// that names the operation and both shapes; the pass is then dropped, and a device does not start it. After
/// [`Pass::finish`], results are read with [`Kernels::read`] or sampled with [`Kernels::sample`].
///
/// A pass with the same operations as an earlier one has its results in the same places and allocates no memory for
/// them.
pub struct Pass<'a> {
    pub(super) kernels: &'a Kernels,
    pub(super) arguments: Arguments<'a>,
    id: u64,
    encoder: Encoder<'a>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(kernels: &'a Kernels) -> Self {
        let id = kernels.passes.fetch_add(1, Ordering::Relaxed) + 1;
        kernels.arena.reset_peak();
        Self {
            kernels,
            arguments: Arguments::new(id),
            id,
            encoder: kernels.backend.encoder(),
        }
    }

    /// Token ids for [`Pass::embed`], or row numbers for [`Pass::gather_rows`].
    pub fn indices(&mut self, indices: &'a [u32]) -> Indices {
        self.arguments.add_indices(indices)
    }

    /// The cache slots of the rows: row `t` is written to `slots[t]`, which is block · block_size + offset. Slots must
    /// be distinct.
    pub fn slots(&mut self, slots: &'a [u32]) -> Result<Slots, KernelError> {
        self.arguments.add_slots(slots)
    }

    /// The sequences of the pass, in ascending order of their rows.
    pub fn spans(&mut self, spans: Vec<KvSpan<'a>>) -> Result<Spans, KernelError> {
        self.arguments.add_spans(spans)
    }

    /// Cosines and sines of `rope` at the positions of the rows, for [`Pass::rope_and_cache`] in every layer. They are
    /// computed on the host.
    pub fn rope_cos_sin(
        &mut self,
        rope: &Rope,
        positions: &[u32],
    ) -> Result<RopeCosSin, KernelError> {
        self.kernels.count_dispatch();
        if rope.dims != 2 * rope.inverse_frequencies.len() {
            return Err(shape_error(
                "rope_cos_sin",
                format!("RoPE over {} dimensions", rope.dims),
                format!("{} frequencies", rope.inverse_frequencies.len()),
            ));
        }
        let arena = &self.kernels.arena;
        Ok(self.arguments.add_angles(Angles {
            dims: rope.dims,
            traditional: rope.traditional,
            attention_factor: rope.attention_factor,
            rows: (rope.dims > 0).then_some(positions.len()),
            values: self.encoder.rope_cos_sin(rope, positions, arena)?,
        }))
    }

    /// Submits the operations to the device.
    ///
    /// # Errors
    /// If the device rejects them.
    pub fn finish(self) -> Result<(), KernelError> {
        self.encoder.finish(&self.kernels.arena);
        let finished = &self.kernels.finished_passes;
        finished.fetch_max(self.id, Ordering::Release);
        Ok(())
    }

    /// Adds a checked operation with a result of `[rows, width]`.
    pub(super) fn run(
        &mut self,
        op: Op<'_>,
        rows: usize,
        width: usize,
    ) -> Result<Rows, KernelError> {
        let mut out = Rows::new(&self.kernels.arena, self.id, rows, width)?;
        self.encoder.run(op, &self.arguments, &mut out)?;
        Ok(out)
    }
}
