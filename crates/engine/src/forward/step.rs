//! The ragged batch of a forward pass, and the context that its layers share.

use std::ops::Range;

use mlxm_kernels::{
    AttentionSpec, Indices, KernelError, Kernels, KvSpan, Mask, Pass, QkNorms, Rope, RopeCosSin,
    Rows, Slots, Spans,
};
use mlxm_kvcache::SequenceCache;

use super::CachePool;

/// Tokens of any number of sequences, concatenated without padding. Prefill and decode are not distinguished: a sequence
/// contributes the tokens that have not been computed yet.
#[derive(Debug, Clone, Default)]
pub struct ModelInput {
    /// Token ids `[T]`.
    pub tokens: Vec<u32>,
    /// Position of each token in its sequence `[T]`.
    pub positions: Vec<u32>,
    /// The tokens of each sequence.
    pub spans: Vec<Span>,
    /// Per cache group, the slots of the tokens and the block tables of the sequences.
    pub groups: Vec<GroupInput>,
}

impl ModelInput {
    /// An empty batch for this many cache groups.
    pub fn new(groups: usize) -> Self {
        Self {
            groups: vec![GroupInput::default(); groups],
            ..Self::default()
        }
    }

    /// Appends `tokens` of one sequence, starting at position `start`.
    pub fn push(&mut self, tokens: &[u32], start: usize, cache: &SequenceCache) {
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

/// Consecutive tokens of one sequence in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Their rows in the batch.
    pub rows: Range<usize>,
    /// Position of the first token in its sequence.
    pub first_position: usize,
    /// Which positions they attend to.
    pub mask: Mask,
}

/// Cache addresses of a step within one cache group.
#[derive(Debug, Clone, Default)]
pub struct GroupInput {
    /// Cache slot of each token `[T]`.
    pub slots: Vec<u32>,
    /// Block table of each span.
    pub tables: Vec<Vec<u32>>,
}

/// The parameters of an attention layer.
#[derive(Debug, Clone)]
pub struct AttentionConfig {
    /// Index of the layer's cache.
    pub layer: usize,
    /// Heads, scale, window and softcap.
    pub spec: AttentionSpec,
    /// Rotary embedding of queries and keys; `None` for layers without positions (NoPE).
    pub rope: Option<Rope>,
}

/// The context of a forward pass.
pub struct Step<'a> {
    /// The operations.
    pub pass: Pass<'a>,
    input: &'a ModelInput,
    cache: &'a mut CachePool,
    token_ids: Indices,
    groups: Vec<GroupArguments>,
    rope_tables: RopeTables,
}

/// The arguments of the layers of a cache group.
#[derive(Clone, Copy)]
struct GroupArguments {
    slots: Slots,
    spans: Spans,
}

impl<'a> Step<'a> {
    /// A forward pass over `input` with `cache`. Gives the arguments that layers share to the kernels.
    ///
    /// # Errors
    /// When the slots or the spans of the input are invalid.
    pub fn new(
        kernels: &'a Kernels,
        input: &'a ModelInput,
        cache: &'a mut CachePool,
    ) -> Result<Self, KernelError> {
        let mut pass = kernels.begin();
        let token_ids = pass.indices(&input.tokens);
        let mut arguments = |group: &'a GroupInput| {
            let spans = input.spans.iter().zip(&group.tables);
            let spans = spans.map(|(span, table)| KvSpan {
                rows: span.rows.clone(),
                first_position: span.first_position,
                blocks: table,
                mask: span.mask,
            });
            Ok(GroupArguments {
                slots: pass.slots(&group.slots)?,
                spans: pass.spans(spans.collect())?,
            })
        };
        let groups = input.groups.iter().map(&mut arguments);
        Ok(Self {
            groups: groups.collect::<Result<_, KernelError>>()?,
            pass,
            input,
            cache,
            token_ids,
            rope_tables: RopeTables::default(),
        })
    }

    /// Token ids `[T]`.
    pub fn tokens(&self) -> &'a [u32] {
        &self.input.tokens
    }

    /// The token ids as an argument of the pass.
    pub fn token_ids(&self) -> Indices {
        self.token_ids
    }

    /// The positions of the tokens as an argument of the pass.
    pub fn positions(&mut self) -> Indices {
        self.pass.indices(&self.input.positions)
    }

    /// Attention between the input and output projections: applies `norms` and the rotary embedding to queries and keys, writes
    /// the keys and values of this step into the layer's cache and attends over the cache.
    /// `qkv` is `[T, (heads + 2·kv_heads)·head_dim]`; the result is `[T, heads·value_dim]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn attend(
        &mut self,
        config: &AttentionConfig,
        norms: Option<&QkNorms>,
        qkv: &Rows,
    ) -> Result<Rows, KernelError> {
        let AttentionConfig { layer, spec, rope } = config;
        let GroupArguments { slots, spans } = self.groups[self.cache.group_of(*layer)];
        let table = match rope {
            Some(rope) => {
                let positions = &self.input.positions;
                Some(self.rope_tables.get(&mut self.pass, rope, positions)?)
            }
            None => None,
        };
        let cache = self.cache.layer_mut(*layer);
        let q = self
            .pass
            .rope_and_cache(qkv, spec, norms, table, cache, slots)?;
        self.pass.attention(&q, cache, spans, spec)
    }
}

/// Cosines and sines of the positions of this step, one table per distinct rotary embedding; models have one or two.
#[derive(Default)]
struct RopeTables(Vec<(Rope, RopeCosSin)>);

impl RopeTables {
    fn get(
        &mut self,
        pass: &mut Pass<'_>,
        rope: &Rope,
        positions: &[u32],
    ) -> Result<RopeCosSin, KernelError> {
        if let Some((_, table)) = self.0.iter().find(|(known, _)| known == rope) {
            return Ok(*table);
        }
        let table = pass.rope_cos_sin(rope, positions)?;
        self.0.push((rope.clone(), table));
        Ok(table)
    }
}
