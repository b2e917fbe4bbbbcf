//! A backend that computes nothing and counts what a GPU would do for each operation.
//!
//! A dispatch reads and writes ranges of the arena, so the counts include the barriers between them and the memory of
//! intermediate results.

mod attention;
mod linear;

use std::sync::{Mutex, PoisonError};

use crate::{
    KernelError, Param, Rows,
    hazards::{Access, Hazards},
    kernels::Arguments,
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

/// Memory for an intermediate result in the arena of `like`.
fn scratch(like: &Rows, rows: usize, width: usize) -> Result<Rows, KernelError> {
    Rows::new(like.arena(), like.pass(), rows, width)
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
        self.ops.push(OpCounts {
            op: op.name(),
            ..OpCounts::default()
        });
        match op {
            Op::Linear {
                x,
                norm,
                linears,
                epilogue,
                ..
            } => self.linear(x, *norm, linears, *epilogue, out)?,
            Op::Embed { ids, table } => {
                let rows = arguments.indices(op.name(), *ids)?.len();
                let StoredBytes {
                    values,
                    scales,
                    biases,
                } = table.stored_bytes();
                let of_rows = |bytes: usize| bytes / table.rows() * rows;
                self.read_weight(StoredBytes {
                    values: of_rows(values),
                    scales: of_rows(scales),
                    biases: of_rows(biases),
                });
                self.dispatch(1, &[], &[out]);
            }
            Op::Norm { x, norm, residual } => {
                self.read_norm(norm);
                match residual {
                    Some((residual, _)) => self.dispatch(1, &[x, residual], &[out]),
                    None => self.dispatch(1, &[x], &[out]),
                }
            }
            Op::RopeAndCache {
                qkv, norms, cache, ..
            } => {
                if let Some(norms) = norms {
                    self.read_norm(&norms.q);
                    self.read_norm(&norms.k);
                }
                self.count_activations(&[qkv, out]);
                let writes = [Access::rows(out), Access::kv_cache(cache.id())];
                self.count(1, &[Access::rows(qkv)], &writes);
            }
            Op::Binary { x, y, .. } => self.dispatch(1, &[x, y], &[out]),
            Op::Elementwise { x, .. } | Op::GatherRows { x, .. } => self.dispatch(1, &[x], &[out]),
            Op::Attention {
                q,
                cache,
                spans,
                spec,
            } => {
                let spans = &arguments.spans(op.name(), *spans)?.spans;
                self.attention(q, cache, spans, spec, out)?;
            }
        }
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

    /// Counts `dispatches` that together read and write these activations.
    fn dispatch(&mut self, dispatches: usize, reads: &[&Rows], writes: &[&Rows]) {
        self.count_activations(reads);
        self.count_activations(writes);
        let accesses = |rows: &[&Rows]| rows.iter().map(|rows| Access::rows(rows)).collect();
        let (reads, writes): (Vec<_>, Vec<_>) = (accesses(reads), accesses(writes));
        self.count(dispatches, &reads, &writes);
    }

    fn count(&mut self, dispatches: usize, reads: &[Access], writes: &[Access]) {
        let barrier = self.hazards.add(reads, writes);
        let op = self.current();
        op.dispatches += dispatches;
        op.barriers += usize::from(barrier);
    }

    fn count_activations(&mut self, rows: &[&Rows]) {
        let elements: usize = rows.iter().map(|rows| rows.place().len).sum();
        self.current().activation_bytes += elements * size_of::<f32>();
    }

    fn read_weight(&mut self, bytes: StoredBytes) {
        let op = self.current();
        op.weight_bytes += bytes.values;
        op.scale_bytes += bytes.scales;
        op.bias_bytes += bytes.biases;
    }

    fn read_norm(&mut self, norm: &crate::Norm) {
        match norm {
            crate::Norm::Rms { weight, .. } => self.read_param(weight.as_ref()),
            crate::Norm::Layer { weight, bias, .. } => {
                self.read_param(weight.as_ref());
                self.read_param(bias.as_ref());
            }
        }
    }

    fn read_param(&mut self, param: Option<&Param>) {
        self.current().param_bytes += param.map_or(0, Param::size_bytes);
    }

    /// The counts of the current operation.
    fn current(&mut self) -> &mut OpCounts {
        let last = self.ops.len() - 1;
        &mut self.ops[last]
    }
}
