//! The parts of a fused linear layer, which are split into tasks.

use crate::{
    Linear,
    cpu::repack::{RepackedWeight, TILE},
};

/// The tasks of one weight, or of a gate and an up weight.
pub(super) struct Part<'a> {
    pub kind: Kind<'a>,
    /// Column of its first output.
    pub column: usize,
}

pub(super) enum Kind<'a> {
    Dequantized(&'a Linear),
    Repacked {
        gate: TileRange<'a>,
        /// Multiplied with the activated gate.
        up: Option<TileRange<'a>>,
        /// Output features.
        outputs: usize,
        /// Tiles per task.
        per_task: usize,
    },
}

/// A range of tiles of a weight.
#[derive(Clone, Copy)]
pub(super) struct TileRange<'a> {
    pub weight: &'a RepackedWeight,
    pub first: usize,
    pub count: usize,
    /// Index into `FusedLinear::quantized`.
    pub rows: usize,
    pub bias: Option<&'a [f32]>,
}

impl TileRange<'_> {
    pub fn part(self, first: usize, count: usize) -> Self {
        Self {
            first: self.first + first,
            count,
            bias: self.bias.map(|bias| &bias[first * TILE..]),
            ..self
        }
    }
}

/// The output columns of a part.
#[derive(Clone, Copy)]
pub(super) struct OutputColumns {
    pub column: usize,
    pub outputs: usize,
}
