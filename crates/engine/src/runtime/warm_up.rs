//! Passes that are planned when a model is loaded, so that no step has to wait for a compiler or for memory.

use mlxm_kernels::{KernelError, Kernels, Mask};

use super::memory::MemoryPlan;
use crate::forward::{CachePool, GroupInput, Model, ModelInput, Span, Step};

/// Kernels differ for up to this many rows.
const FEW_ROWS: usize = 4;

/// Compiles the kernels of steps of every kind, and reserves the memory of the activations of the largest one.
pub(super) fn compile_kernels(
    kernels: &Kernels,
    model: &dyn Model,
    cache: &mut CachePool,
    plan: &MemoryPlan,
) -> Result<(), KernelError> {
    let slots = plan.groups.iter().map(|group| group.blocks).min();
    let slots = slots.unwrap_or_default() * plan.block_size;
    let prefill = plan.max_batch_tokens.min(slots).min(plan.context_length);
    let sequences = plan.max_sequences.min(slots).min(plan.max_batch_tokens);
    let last = plan.context_length - 1;
    kernels.compile(|| {
        // Decoding by few sequences, and by all of them.
        for rows in (1..=FEW_ROWS.min(sequences)).chain([sequences]) {
            let spans = (0..rows).map(|row| span(row..row + 1, 0));
            run(kernels, model, cache, &input(plan, spans.collect()), rows)?;
        }
        // A prompt of few tokens, or its last ones.
        for rows in 1..=FEW_ROWS.min(prefill) {
            run(
                kernels,
                model,
                cache,
                &input(plan, vec![span(0..rows, 0)]),
                1,
            )?;
        }
        // The longest part of a prompt, and attention over a whole context.
        for spans in [vec![span(0..prefill, 0)], vec![span(0..1, last)]] {
            let samples = sequences.min(spans[0].rows.len());
            run(kernels, model, cache, &input(plan, spans), samples)?;
        }
        Ok(())
    })
}

fn span(rows: std::ops::Range<usize>, first_position: usize) -> Span {
    Span {
        rows,
        first_position,
        mask: Mask::Causal,
    }
}

/// Tokens of these spans. Nothing is computed, so all sequences can have the same blocks.
fn input(plan: &MemoryPlan, spans: Vec<Span>) -> ModelInput {
    let rows = spans.last().map_or(0, |span| span.rows.end);
    let positions = spans.iter().flat_map(|span| {
        let first = span.first_position;
        first..first + span.rows.len()
    });
    let tables = spans.iter().map(|span| {
        let end = span.first_position + span.rows.len();
        vec![0; end.div_ceil(plan.block_size)]
    });
    let group = GroupInput {
        slots: (0..rows as u32).collect(),
        tables: tables.collect(),
    };
    ModelInput {
        tokens: vec![0; rows],
        positions: positions.map(|position| position as u32).collect(),
        groups: vec![group; plan.groups.len()],
        spans,
    }
}

/// A pass with the logits of `samples` rows.
fn run(
    kernels: &Kernels,
    model: &dyn Model,
    cache: &mut CachePool,
    input: &ModelInput,
    samples: usize,
) -> Result<(), KernelError> {
    let sampled: Vec<u32> = (0..samples as u32).collect();
    let mut step = Step::new(kernels, input, cache)?;
    let hidden = model.forward(&mut step)?;
    let mut pass = step.pass;
    let indices = pass.indices(&sampled);
    let rows = pass.gather_rows(&hidden, indices)?;
    let logits = model.logits(&rows, &mut pass)?;
    pass.argmax(&logits)?;
    pass.finish()
}
