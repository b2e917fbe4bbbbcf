//! A backend that computes nothing and counts what a device with the Metal kernels would do for each operation.
//!
//! The dispatches are those of the plans of [`crate::metal`], and barriers are derived from them as they are there.

use std::sync::{Mutex, PoisonError};

use crate::{
    AttentionSpec, KernelError, KvCache, Rows, Spans,
    hazards::Hazards,
    kernels::Arguments,
    metal::{Access, BufferRange, Dispatch, Memory, counted, plan},
    op::Op,
    rows::Arena,
    thread_pool::ThreadPool,
    weight::StoredBytes,
};

/// What one operation takes on a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpCounts {
    /// The operation: the name of a method of [`crate::Pass`].
    pub op: &'static str,
    /// Kernels that are dispatched.
    pub dispatches: usize,
    /// Barriers before them.
    pub barriers: usize,
    /// Bytes of weights that are read: packed or dense values.
    pub weight_bytes: usize,
    /// Bytes of their scales.
    pub scale_bytes: usize,
    /// Bytes of their quantization biases.
    pub bias_bytes: usize,
    /// Bytes of norms, biases of linear layers and attention sinks.
    pub param_bytes: usize,
    /// Bytes of keys and values that are read.
    pub kv_bytes: usize,
    /// Bytes of activations that are read and written.
    pub activation_bytes: usize,
}

/// What the operations of a pass take on a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassCounts {
    /// The operations in their order.
    pub ops: Vec<OpCounts>,
    /// The most bytes of activations that are in use at the same time.
    pub arena_bytes: usize,
}

/// The backend.
#[derive(Debug)]
pub(crate) struct Counting {
    pool: ThreadPool,
    passes: Mutex<Vec<PassCounts>>,
}

impl Counting {
    pub fn new() -> Self {
        Self {
            pool: ThreadPool::new(1),
            passes: Mutex::default(),
        }
    }

    pub fn thread_pool(&self) -> &ThreadPool {
        &self.pool
    }

    /// The counts of the finished passes since the last call.
    pub fn take(&self) -> Vec<PassCounts> {
        std::mem::take(&mut *self.passes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts one pass.
pub(crate) struct Encoder<'a> {
    counting: &'a Counting,
    hazards: Hazards,
    ops: Vec<OpCounts>,
}

impl<'a> Encoder<'a> {
    pub fn new(counting: &'a Counting) -> Self {
        Self {
            counting,
            hazards: Hazards::default(),
            ops: Vec::new(),
        }
    }

    /// Counts an operation, whose result is `out`.
    pub fn run(
        &mut self,
        op: &Op<'_>,
        arguments: &Arguments<'_>,
        out: &Rows,
    ) -> Result<(), KernelError> {
        let name = op.name();
        let memory = Memory::counted(name, arguments);
        let mut dispatches = Vec::new();
        plan(op, &memory, out, &mut dispatches)?;
        let mut counts = OpCounts {
            op: name,
            dispatches: dispatches.len(),
            ..OpCounts::default()
        };
        self.hazards.start_operation();
        for dispatch in &dispatches {
            counts.barriers += usize::from(self.hazards.add(&dispatch.bindings));
        }
        counts.add_memory(&dispatches);
        counts.add_weights(op, arguments)?;
        if let Op::Attention {
            cache, spans, spec, ..
        } = op
        {
            counts.kv_bytes = visible_bytes(arguments, cache, *spans, spec)?;
        }
        self.ops.push(counts);
        Ok(())
    }

    /// Ends the pass.
    pub fn finish(self, arena: &Arena) {
        let passes = &self.counting.passes;
        let mut passes = passes.lock().unwrap_or_else(PoisonError::into_inner);
        passes.push(PassCounts {
            ops: self.ops,
            arena_bytes: arena.peak() * size_of::<f32>(),
        });
    }
}

impl OpCounts {
    /// Adds the activations and the parameters of an operation, each range once for reading and once for writing.
    fn add_memory(&mut self, dispatches: &[Dispatch]) {
        let mut counted: Vec<(BufferRange, bool)> = Vec::new();
        for binding in dispatches.iter().flat_map(|dispatch| &dispatch.bindings) {
            let range = binding.range;
            let access = (range, binding.access == Access::Write);
            if counted.contains(&access) {
                continue;
            }
            counted.push(access);
            if counted::is_activations(range.buffer) {
                self.activation_bytes += range.bytes;
            } else if range.buffer == counted::PARAMS {
                self.param_bytes += range.bytes;
            }
        }
    }

    /// Adds the weights of an operation: all of a linear layer, and the rows of an embedding.
    fn add_weights(&mut self, op: &Op<'_>, arguments: &Arguments<'_>) -> Result<(), KernelError> {
        match op {
            Op::Linear { linears, .. } => {
                for linear in *linears {
                    self.add_weight(linear.weight.stored_bytes());
                }
            }
            Op::Embed { ids, table } => {
                let rows = arguments.indices(op.name(), *ids)?.len();
                let of_rows = |bytes: usize| bytes / table.rows() * rows;
                let all = table.stored_bytes();
                self.add_weight(StoredBytes {
                    values: of_rows(all.values),
                    scales: of_rows(all.scales),
                    biases: of_rows(all.biases),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn add_weight(&mut self, bytes: StoredBytes) {
        self.weight_bytes += bytes.values;
        self.scale_bytes += bytes.scales;
        self.bias_bytes += bytes.biases;
    }
}

/// Bytes of the keys and values that are visible to the rows of each span.
fn visible_bytes(
    arguments: &Arguments<'_>,
    cache: &KvCache,
    spans: Spans,
    spec: &AttentionSpec,
) -> Result<usize, KernelError> {
    let spans = &arguments.spans("attention", spans)?.spans;
    let spans = spans.iter().filter(|span| !span.rows.is_empty());
    let positions: usize = spans
        .map(|span| span.first_position + span.rows.len() - span.first_visible(spec.window))
        .sum();
    Ok(positions * cache.shape().bytes_per_position(cache.dtype()))
}
