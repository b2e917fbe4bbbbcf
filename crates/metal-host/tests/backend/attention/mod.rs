//! Attention over a paged cache with positions that have never been written, on any kernels.

mod mutants;
mod paged;
mod transforms;

use std::{ops::Range, sync::Arc};

use mlxm_kernels::{
    AttentionSpec, KernelError, Kernels, KvCache, KvCacheDtype, KvShape, KvSpan, Mask, QkNorms,
    Rope, Rows, reference,
};
use mlxm_metal_host::{HostDevice, HostDeviceOptions, Options, Order};

use crate::bounds;
use crate::noise::Noise;

fn device(compile: Options, order: Order) -> Kernels {
    Kernels::on_device(Arc::new(HostDevice::new(HostDeviceOptions {
        compile,
        order,
        ..HostDeviceOptions::default()
    })))
}

/// A sequence.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Its rows in the pass.
    pub rows: Range<usize>,
    /// Positions that are in the cache before the pass.
    pub history: usize,
    pub mask: Mask,
}

impl Sequence {
    pub fn causal(rows: Range<usize>, history: usize) -> Self {
        Self {
            rows,
            history,
            mask: Mask::Causal,
        }
    }
}

/// A pass.
#[derive(Clone, Debug)]
pub struct Case {
    pub heads: usize,
    pub kv_heads: usize,
    pub key_dim: usize,
    pub value_dim: usize,
    pub block_size: usize,
    pub dtype: KvCacheDtype,
    pub sequences: Vec<Sequence>,
    /// Rows of the pass.
    pub rows: usize,
    pub window: Option<usize>,
    pub softcap: Option<f32>,
    pub sinks: bool,
    /// What values are multiplied by.
    pub value_factor: f32,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            heads: 4,
            kv_heads: 2,
            key_dim: 64,
            value_dim: 64,
            block_size: 16,
            dtype: KvCacheDtype::F16,
            sequences: vec![Sequence::causal(0..1, 20)],
            rows: 1,
            window: None,
            softcap: None,
            sinks: false,
            value_factor: 1.0,
        }
    }
}

/// Norms and rotation of queries and keys.
#[derive(Clone, Debug, Default)]
pub struct Transform {
    pub norms: Option<QkNorms>,
    pub rope: Option<Rope>,
}

/// What a pass gives.
#[derive(Debug)]
pub struct Outcome {
    pub queries: Vec<f32>,
    pub attention: Vec<f32>,
}

/// Where a sequence is.
struct Placed {
    blocks: Vec<u32>,
    /// The first position that is in the cache.
    first: usize,
}

impl Case {
    pub fn spec(&self) -> AttentionSpec {
        AttentionSpec {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.key_dim,
            value_dim: self.value_dim,
            scale: 2.0 / (self.key_dim as f32).sqrt(),
            softcap: self.softcap,
            window: self.window,
            sinks: self.sinks.then(|| Noise::new(5).floats(self.heads).into()),
        }
    }

    fn width(&self) -> usize {
        (self.heads + self.kv_heads) * self.key_dim + self.kv_heads * self.value_dim
    }

    /// Queries, keys and values of one position.
    fn row(&self, sequence: usize, position: usize) -> Vec<f32> {
        let mut row = Noise::new((sequence * 100_003 + position + 1) as u64).floats(self.width());
        for q in &mut row[..self.heads * self.key_dim] {
            *q *= 3.0;
        }
        let values = (self.heads + self.kv_heads) * self.key_dim;
        for v in &mut row[values..] {
            *v *= self.value_factor;
        }
        row
    }

    /// How far queries and attention may be from the exact ones, relative to the largest of a row.
    pub fn bounds(&self, transform: &Transform) -> [f32; 2] {
        let ends = self
            .sequences
            .iter()
            .map(|sequence| sequence.history + sequence.rows.len());
        // Queries and keys are uniform up to 3 and 1, or are normalized. A rotation multiplies them by up to 2.
        let (variance, of_query) = match (&transform.norms, &transform.rope) {
            (Some(_), _) => (4, bounds::roundings_of_norm(self.heads * self.key_dim)),
            (None, Some(_)) => (16, bounds::roundings_of_norm(0)),
            (None, None) => (4, 0),
        };
        let positions = ends.max().unwrap_or_default();
        [
            bounds::roundings(of_query),
            bounds::attention(variance, self.key_dim, of_query, positions),
        ]
    }

    /// Blocks in no order; those that no row sees are missing. Also the number of blocks, of which the last are free.
    fn place(&self) -> (Vec<Placed>, usize) {
        let needed = |sequence: &Sequence| {
            (sequence.history + sequence.rows.len()).div_ceil(self.block_size)
        };
        let used: usize = self.sequences.iter().map(needed).sum();
        let free = self.rows.div_ceil(self.block_size) + 1;
        // Without a common divisor, so that every place is taken once.
        let step = [7, 5, 11, 13, 1]
            .into_iter()
            .find(|step| !used.is_multiple_of(*step) || *step == 1);
        let step = step.unwrap_or(1);
        let mut next = 0;
        let placed = self.sequences.iter().map(|sequence| {
            let seen = self
                .window
                .map_or(0, |window| (sequence.history + 1).saturating_sub(window));
            let blocks = (0..needed(sequence)).map(|index| {
                let place = used - 1 - next * step % used;
                next += 1;
                if (index + 1) * self.block_size <= seen {
                    u32::MAX
                } else {
                    place as u32
                }
            });
            Placed {
                blocks: blocks.collect(),
                first: seen / self.block_size * self.block_size,
            }
        });
        (placed.collect(), used + free)
    }

    /// Fills a cache with NaN, writes the history, and computes the pass.
    pub fn run(&self, kernels: &Kernels, transform: &Transform) -> Result<Outcome, KernelError> {
        Ok(self.run_with_cache(kernels, transform)?.0)
    }

    fn run_with_cache(
        &self,
        kernels: &Kernels,
        transform: &Transform,
    ) -> Result<(Outcome, KvCache), KernelError> {
        let spec = self.spec();
        let (placed, blocks) = self.place();
        let shape = KvShape {
            blocks,
            block_size: self.block_size,
            kv_heads: self.kv_heads,
            key_dim: self.key_dim,
            value_dim: self.value_dim,
        };
        let mut cache = KvCache::new(kernels, shape, self.dtype)?;
        let slots: Vec<u32> = (0..(blocks * self.block_size) as u32).collect();
        let nan = vec![f32::NAN; slots.len() * self.width()];
        self.write(kernels, &nan, &slots, &mut cache)?;

        let slot = |placed: &Placed, position: usize| {
            let block = placed.blocks[position / self.block_size];
            block * self.block_size as u32 + (position % self.block_size) as u32
        };
        let (mut history, mut history_slots, mut history_positions) = (vec![], vec![], vec![]);
        for (index, (sequence, placed)) in self.sequences.iter().zip(&placed).enumerate() {
            for position in placed.first..sequence.history {
                history.extend(self.row(index, position));
                history_slots.push(slot(placed, position));
                history_positions.push(position as u32);
            }
        }
        if !history_slots.is_empty() {
            let rows = kernels.upload(&history, self.width())?;
            let mut pass = kernels.begin();
            let slots = pass.slots(&history_slots)?;
            let angles = match &transform.rope {
                Some(rope) => Some(pass.rope_cos_sin(rope, &history_positions)?),
                None => None,
            };
            let norms = transform.norms.as_ref();
            pass.rope_and_cache(&rows, &spec, norms, angles, &mut cache, slots)?;
            pass.finish()?;
        }

        // Rows of no sequence are written to blocks of their own.
        let mut current = Noise::new(3).floats(self.rows * self.width());
        let spare = (blocks - self.rows.div_ceil(self.block_size)) * self.block_size;
        let mut slots: Vec<u32> = (spare as u32..).take(self.rows).collect();
        let mut positions = vec![0; self.rows];
        for (index, (sequence, placed)) in self.sequences.iter().zip(&placed).enumerate() {
            for (offset, row) in sequence.rows.clone().enumerate() {
                let position = sequence.history + offset;
                current[row * self.width()..][..self.width()]
                    .copy_from_slice(&self.row(index, position));
                slots[row] = slot(placed, position);
                positions[row] = position as u32;
            }
        }
        let rows = kernels.upload(&current, self.width())?;
        let mut pass = kernels.begin();
        let slots = pass.slots(&slots)?;
        let spans = pass.spans(self.spans(&placed))?;
        let angles = match &transform.rope {
            Some(rope) => Some(pass.rope_cos_sin(rope, &positions)?),
            None => None,
        };
        let norms = transform.norms.as_ref();
        let q = pass.rope_and_cache(&rows, &spec, norms, angles, &mut cache, slots)?;
        let out = pass.attention(&q, &cache, spans, &spec)?;
        pass.finish()?;
        let read = |rows: &Rows| kernels.read(rows);
        let outcome = Outcome {
            queries: read(&q)?,
            attention: read(&out)?,
        };
        Ok((outcome, cache))
    }

    fn spans<'a>(&self, placed: &'a [Placed]) -> Vec<KvSpan<'a>> {
        let spans = self.sequences.iter().zip(placed);
        spans
            .map(|(sequence, placed)| KvSpan {
                rows: sequence.rows.clone(),
                first_position: sequence.history,
                blocks: &placed.blocks,
                mask: sequence.mask,
            })
            .collect()
    }

    fn write(
        &self,
        kernels: &Kernels,
        values: &[f32],
        slots: &[u32],
        cache: &mut KvCache,
    ) -> Result<(), KernelError> {
        let rows = kernels.upload(values, self.width())?;
        let mut pass = kernels.begin();
        let slots = pass.slots(slots)?;
        pass.rope_and_cache(&rows, &self.spec(), None, None, cache, slots)?;
        pass.finish()
    }

    /// The pass on the CPU, and its attention as the reference defines it.
    pub fn expected(&self, cpu: &Kernels, transform: &Transform) -> (Outcome, Vec<f32>) {
        let (outcome, cache) = self.run_with_cache(cpu, transform).unwrap();
        let (placed, _) = self.place();
        let spans = self.spans(&placed);
        let reference = reference::attention(&outcome.queries, &cache, &spans, &self.spec());
        (outcome, reference)
    }
}

/// The largest difference relative to the largest magnitude of each row.
pub fn error(found: &[f32], expected: &[f32], width: usize) -> f32 {
    assert_eq!(found.len(), expected.len());
    let rows = found.chunks(width).zip(expected.chunks(width));
    rows.map(|(found, expected)| {
        let largest = expected
            .iter()
            .fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let difference = found
            .iter()
            .zip(expected)
            .map(|(found, expected)| (found - expected).abs())
            // A NaN is an infinite error.
            .fold(0.0_f32, |worst, x| {
                if x <= worst {
                    worst
                } else if x > worst {
                    x
                } else {
                    f32::INFINITY
                }
            });
        // Rows of zeros must be exact.
        if difference == 0.0 {
            0.0
        } else {
            difference / largest
        }
    })
    .fold(0.0, f32::max)
}
