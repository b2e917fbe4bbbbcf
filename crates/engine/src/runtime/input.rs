//! The ragged input of a forward pass, and the context that travels through its layers.

use std::ops::Range;

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, KvSpan, Mask, QkNorms, Rope, RopeCosSin};
use mlxm_kvcache::SequenceCache;

use super::cache::CachePool;
use crate::nn::AttentionConfig;

/// Tokens of any number of sequences in one flat row. There is no prefill and no decode: a sequence contributes as many
/// rows as it has to catch up.
#[derive(Debug, Clone, Default)]
pub struct ModelInput {
    /// Token ids `[T]`.
    pub tokens: Vec<u32>,
    /// Position of each row in its sequence `[T]`.
    pub positions: Vec<u32>,
    /// Which rows belong together.
    pub spans: Vec<Span>,
    /// Per cache group, where the rows go and where their past is.
    pub groups: Vec<GroupInput>,
}

impl ModelInput {
    /// No rows yet, for as many cache groups.
    pub(super) fn new(groups: usize) -> Self {
        Self {
            groups: vec![GroupInput::default(); groups],
            ..Self::default()
        }
    }

    /// Adds rows of one sequence that start at position `start`.
    pub(super) fn push(&mut self, tokens: &[u32], start: usize, cache: &SequenceCache) {
        let first_row = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions
            .extend((start..start + tokens.len()).map(|position| position as u32));
        self.spans.push(Span {
            rows: first_row..first_row + tokens.len(),
            first_position: start,
            mask: Mask::Causal,
        });
        for (group, input) in self.groups.iter_mut().enumerate() {
            let slots =
                (start..start + tokens.len()).filter_map(|position| cache.slot(group, position));
            input.slots.extend(slots.map(|slot| slot as u32));
            input.tables.push(
                cache
                    .table(group)
                    .blocks()
                    .iter()
                    .map(|block| block.0)
                    .collect(),
            );
        }
    }
}

/// Consecutive rows of one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The rows.
    pub rows: Range<usize>,
    /// Position of the first of them.
    pub first_position: usize,
    /// What they may see.
    pub mask: Mask,
}

/// Cache addresses of a step within one cache group.
#[derive(Debug, Clone, Default)]
pub struct GroupInput {
    /// Slot of each row `[T]`.
    pub slots: Vec<u32>,
    /// Block table of each span.
    pub tables: Vec<Vec<u32>>,
}

/// The context of one forward pass.
pub struct Step<'a> {
    /// The operations.
    pub kernels: &'a Kernels,
    input: &'a ModelInput,
    cache: &'a mut CachePool,
    /// Attention's view of the spans, per cache group.
    spans: Vec<Vec<KvSpan<'a>>>,
    rope_cos_sin: StepRopeCosSin,
}

impl<'a> Step<'a> {
    /// A forward pass over `input` with `cache`.
    pub fn new(kernels: &'a Kernels, input: &'a ModelInput, cache: &'a mut CachePool) -> Self {
        let view = |group: &'a GroupInput| {
            input
                .spans
                .iter()
                .zip(&group.tables)
                .map(|(span, table)| KvSpan {
                    rows: span.rows.clone(),
                    first_position: span.first_position,
                    blocks: table,
                    mask: span.mask,
                })
                .collect()
        };
        let spans = input.groups.iter().map(view).collect();
        Self {
            kernels,
            input,
            cache,
            spans,
            rope_cos_sin: StepRopeCosSin::default(),
        }
    }

    /// Token ids `[T]`.
    pub fn tokens(&self) -> &'a [u32] {
        &self.input.tokens
    }

    /// Attention of the layer that `config` describes, from its projections to its result: normalizes and rotates queries
    /// and keys, writes keys and values of this step into the layer's cache and attends over all that is there.
    /// `qkv` is `[T, (heads + 2·kv_heads)·head_dim]`; the result is `[T, heads·value_dim]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn attend(
        &mut self,
        config: &AttentionConfig,
        norms: Option<&QkNorms>,
        qkv: &Tensor,
    ) -> Result<Tensor, KernelError> {
        let AttentionConfig { layer, spec, rope } = config;
        let group = self.cache.group_of(*layer);
        let rope_cos_sin = match rope {
            Some(rope) => Some(
                self.rope_cos_sin
                    .at(self.kernels, rope, &self.input.positions)?,
            ),
            None => None,
        };
        let q = self.kernels.rope_and_cache(
            qkv,
            spec,
            norms,
            rope_cos_sin,
            self.cache.layer_mut(*layer),
            &self.input.groups[group].slots,
        )?;
        self.kernels
            .attention(&q, self.cache.layer(*layer), &self.spans[group], spec)
    }
}

/// The angles of this step's rows for each rotation that the layers use: seldom more than one or two.
#[derive(Default)]
struct StepRopeCosSin(Vec<(Rope, RopeCosSin)>);

impl StepRopeCosSin {
    fn at(
        &mut self,
        kernels: &Kernels,
        rope: &Rope,
        positions: &[u32],
    ) -> Result<&RopeCosSin, KernelError> {
        let known = self.0.iter().position(|(known, _)| known == rope);
        let index = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0
                .push((rope.clone(), kernels.rope_cos_sin(rope, positions)?));
        }
        Ok(&self.0[index].1)
    }
}
