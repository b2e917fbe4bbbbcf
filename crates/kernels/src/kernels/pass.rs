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
            encoder: kernels.backend.encoder(id),
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

    /// Cosines and sines of `rope` at the positions of the rows, and the factors of the queries there, for
    /// [`Pass::rope_and_cache`] in every layer. They are computed on the host.
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
            before_norms: rope.before_norms,
            rows: (rope.row_width() > 0).then_some(positions.len()),
            row_width: rope.row_width(),
            values: self.encoder.rope_cos_sin(rope, positions, arena)?,
        }))
    }

    /// Submits the operations to the device.
    ///
    /// # Errors
    /// If the device rejects them.
    pub fn finish(self) -> Result<(), KernelError> {
        self.encoder.finish(&self.kernels.arena)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, CpuOptions, FloatType, Linear, Norm, Weight, rows::Place};

    /// The places of the results of a few layers, and the last result.
    fn layers(kernels: &Kernels, rows: usize) -> (Vec<Place>, Rows) {
        let zeros = Bytes::owned(vec![0; 64 * 64 * 4]);
        let weight = Weight::dense(64, 64, FloatType::F32, zeros).unwrap();
        let linear = Linear { weight, bias: None };
        let norm = Norm::rms(vec![1.0; 64].into(), 1e-5);
        let mut x = kernels.upload(&vec![1.0; rows * 64], 64).unwrap();
        let mut pass = kernels.begin();
        let mut places = Vec::new();
        for _ in 0..3 {
            let h = pass.linear(&x, Some(&norm), &[&linear, &linear]).unwrap();
            places.push(h.place());
            let h = pass.linear_act(&x, None, &linear, crate::Activation::Silu);
            x = pass.linear_add(&h.unwrap(), &linear, &x, 1.0).unwrap();
            places.push(x.place());
        }
        pass.finish().unwrap();
        (places, x)
    }

    #[test]
    fn same_pass_has_the_same_places() {
        for kernels in [Kernels::cpu(CpuOptions::default()), Kernels::counting()] {
            let (first, _) = layers(&kernels, 5);
            let (large, _) = layers(&kernels, 9000);
            assert_eq!(layers(&kernels, 5).0, first);
            // The first large pass had to grow the arena.
            let (grown, kept) = layers(&kernels, 9000);
            assert_ne!(grown, large);
            drop(kept);
            assert_eq!(layers(&kernels, 9000).0, grown);
        }
    }

    #[test]
    fn result_that_is_kept_is_not_overwritten_by_the_next_pass() {
        let kernels = Kernels::cpu(CpuOptions::default());
        let (_, kept) = layers(&kernels, 2);
        let expected = kernels.read(&kept).unwrap();
        let mut pass = kernels.begin();
        let other = pass.scale(&kept, 7.0).unwrap();
        pass.finish().unwrap();
        assert_ne!(other.place(), kept.place());
        assert_eq!(kernels.read(&kept).unwrap(), expected);
        assert_eq!(expected, vec![1.0; 2 * 64]);
    }
}
