//! The dispatch object: checks shapes, counts dispatches, and hands slices to the implementation.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use candle_core::{Device, Tensor};

use crate::{
    Activation, AttentionSpec, KernelError, KvCache, KvSpan, Matrix, Rope, Vector,
    cpu::{
        Cpu, attention,
        elementwise::{self, Function},
        linear,
        norm::{Norm, norm},
        rope,
        simd::Level,
    },
    operand::{Operand, check_indices, check_vector, describe, output, shape_error},
};

/// How exactly results are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// f32 activations, keys and values.
    #[default]
    Exact,
}

/// Options of the CPU kernels.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuOptions {
    /// Threads that compute, the calling one included; by default one per physical core.
    pub threads: Option<usize>,
    /// How exactly results are computed.
    pub precision: Precision,
}

/// The operations of a model, on one device.
///
/// Every method is one dispatch. All activations are `[rows, width]`.
#[derive(Debug)]
pub struct Kernels {
    device: Device,
    precision: Precision,
    cpu: Cpu,
    dispatches: AtomicU64,
}

impl Kernels {
    /// Kernels that run on the processor.
    pub fn cpu(options: CpuOptions) -> Self {
        Self {
            device: Device::Cpu,
            precision: options.precision,
            cpu: Cpu::new(options.threads),
            dispatches: AtomicU64::new(0),
        }
    }

    /// The device that activations live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How exactly results are computed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Threads that compute, the calling one included.
    pub fn threads(&self) -> usize {
        self.cpu.threads()
    }

    pub(crate) fn level(&self) -> Level {
        self.cpu.level()
    }

    /// Operations issued so far.
    pub fn dispatches(&self) -> u64 {
        self.dispatches.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.dispatches.fetch_add(1, Ordering::Relaxed);
    }

    /// `x · wᵀ + bias`: `[T, K]` and `[N, K]` give `[T, N]`.
    pub fn linear(
        &self,
        x: &Tensor,
        w: &Matrix,
        bias: Option<&Vector>,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "linear";
        self.count();
        let x = Operand::new(OP, x)?;
        if x.width != w.cols() {
            return Err(shape_error(
                OP,
                format!("an activation of {}", x.shape()),
                describe(w),
            ));
        }
        check_vector(OP, "bias", bias, w.rows())?;
        let out = linear::linear(&self.cpu, x.as_slice(), w, bias.map(Vector::as_slice));
        output(out, x.rows, w.rows())
    }

    /// The rows `ids` of `table`, widened: `[T, K]`.
    pub fn embed(&self, ids: &[u32], table: &Matrix) -> Result<Tensor, KernelError> {
        const OP: &str = "embed";
        self.count();
        check_indices(OP, "token", ids, table.rows())?;
        let mut out = vec![0.0; ids.len() * table.cols()];
        for (id, out) in ids.iter().zip(out.chunks_exact_mut(table.cols())) {
            linear::dequantize_row(&self.cpu, table, *id as usize, out);
        }
        output(out, ids.len(), table.cols())
    }

    /// Divides chunks of `weight.len()` columns (the whole width without a weight) by `√(mean(x²) + eps)` and multiplies by `weight`.
    pub fn rms_norm(
        &self,
        x: &Tensor,
        weight: Option<&Vector>,
        eps: f32,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "rms_norm";
        self.count();
        let x = Operand::new(OP, x)?;
        let width = weight.map_or(x.width, Vector::len);
        x.divides_into(OP, "chunks", width)?;
        let weight = weight.map(Vector::as_slice);
        let out = norm(&self.cpu, Norm::Rms { weight }, x.as_slice(), width, eps);
        output(out, x.rows, x.width)
    }

    /// Shifts each row to mean 0 and scales it to variance 1, then multiplies by `weight` and adds `bias`.
    pub fn layer_norm(
        &self,
        x: &Tensor,
        weight: Option<&Vector>,
        bias: Option<&Vector>,
        eps: f32,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "layer_norm";
        self.count();
        let x = Operand::new(OP, x)?;
        x.divides_into(OP, "chunks", x.width)?;
        check_vector(OP, "weight", weight, x.width)?;
        check_vector(OP, "bias", bias, x.width)?;
        let kind = Norm::Layer {
            weight: weight.map(Vector::as_slice),
            bias: bias.map(Vector::as_slice),
        };
        let out = norm(&self.cpu, kind, x.as_slice(), x.width, eps);
        output(out, x.rows, x.width)
    }

    /// Turns the heads of each row by its position.
    pub fn rope(
        &self,
        x: &Tensor,
        head_dim: usize,
        positions: &[u32],
        parameters: &Rope,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "rope";
        self.count();
        let x = Operand::new(OP, x)?;
        x.divides_into(OP, "heads", head_dim)?;
        if positions.len() != x.rows {
            return Err(shape_error(
                OP,
                format!("an activation of {}", x.shape()),
                format!("{} positions", positions.len()),
            ));
        }
        if parameters.dims > head_dim || parameters.dims != 2 * parameters.inverse_frequencies.len()
        {
            return Err(shape_error(
                OP,
                format!(
                    "a rotation of {} elements with {} frequencies",
                    parameters.dims,
                    parameters.inverse_frequencies.len()
                ),
                format!("heads of {head_dim}"),
            ));
        }
        let out = rope::rope(
            &self.cpu,
            x.as_slice(),
            x.width,
            head_dim,
            positions,
            parameters,
        );
        output(out, x.rows, x.width)
    }

    /// `activation(gate) · up`.
    pub fn gated(
        &self,
        gate: &Tensor,
        up: &Tensor,
        activation: Activation,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "gated";
        self.count();
        let (gate, up) = (Operand::new(OP, gate)?, Operand::new(OP, up)?);
        gate.same_shape(OP, &up)?;
        let out = elementwise::zip(
            &self.cpu,
            Function::Gate(activation),
            gate.as_slice(),
            up.as_slice(),
        );
        output(out, gate.rows, gate.width)
    }

    /// `activation(x)`.
    pub fn activate(&self, x: &Tensor, activation: Activation) -> Result<Tensor, KernelError> {
        self.map("activate", x, Function::Activate(activation))
    }

    /// `x + y_scale · y`.
    pub fn add(&self, x: &Tensor, y: &Tensor, y_scale: f32) -> Result<Tensor, KernelError> {
        const OP: &str = "add";
        self.count();
        let (x, y) = (Operand::new(OP, x)?, Operand::new(OP, y)?);
        x.same_shape(OP, &y)?;
        let out = elementwise::zip(
            &self.cpu,
            Function::Add(y_scale),
            x.as_slice(),
            y.as_slice(),
        );
        output(out, x.rows, x.width)
    }

    /// `factor · x`.
    pub fn scale(&self, x: &Tensor, factor: f32) -> Result<Tensor, KernelError> {
        self.map("scale", x, Function::Scale(factor))
    }

    /// `cap · tanh(x / cap)`.
    pub fn softcap(&self, x: &Tensor, cap: f32) -> Result<Tensor, KernelError> {
        self.map("softcap", x, Function::Softcap(cap))
    }

    fn map(&self, op: &'static str, x: &Tensor, function: Function) -> Result<Tensor, KernelError> {
        self.count();
        let x = Operand::new(op, x)?;
        let out = elementwise::map(&self.cpu, function, x.as_slice());
        output(out, x.rows, x.width)
    }

    /// The columns `range` of every row, contiguous.
    pub fn columns(&self, x: &Tensor, range: Range<usize>) -> Result<Tensor, KernelError> {
        const OP: &str = "columns";
        self.count();
        let x = Operand::new(OP, x)?;
        if range.start > range.end || range.end > x.width {
            return Err(shape_error(
                OP,
                format!("an activation of {}", x.shape()),
                format!("columns {range:?}"),
            ));
        }
        let mut out = Vec::with_capacity(x.rows * range.len());
        for row in 0..x.rows {
            out.extend_from_slice(&x.as_slice()[row * x.width..][range.clone()]);
        }
        output(out, x.rows, range.len())
    }

    /// The rows at `indices`, in that order.
    pub fn rows(&self, x: &Tensor, indices: &[u32]) -> Result<Tensor, KernelError> {
        const OP: &str = "rows";
        self.count();
        let x = Operand::new(OP, x)?;
        check_indices(OP, "row", indices, x.rows)?;
        let mut out = Vec::with_capacity(indices.len() * x.width);
        for row in indices {
            out.extend_from_slice(&x.as_slice()[*row as usize * x.width..][..x.width]);
        }
        output(out, indices.len(), x.width)
    }

    /// Stores the keys and values of `slots.len()` positions; a slot is block · block_size + offset.
    pub fn write_kv(
        &self,
        cache: &mut KvCache,
        k: &Tensor,
        v: &Tensor,
        slots: &[u32],
    ) -> Result<(), KernelError> {
        const OP: &str = "write_kv";
        self.count();
        let (k, v) = (Operand::new(OP, k)?, Operand::new(OP, v)?);
        let shape = cache.shape();
        for (x, name, dim) in [(&k, "keys", shape.key_dim), (&v, "values", shape.value_dim)] {
            let width = shape.kv_heads * dim;
            if (x.rows, x.width) != (slots.len(), width) {
                return Err(shape_error(
                    OP,
                    format!("{name} of {}", x.shape()),
                    format!(
                        "[{}, {width}] ({} slots of {shape:?})",
                        slots.len(),
                        slots.len()
                    ),
                ));
            }
        }
        check_indices(OP, "slot", slots, shape.blocks * shape.block_size)?;
        for (row, slot) in slots.iter().enumerate() {
            let (key, value) = (
                &k.as_slice()[row * k.width..],
                &v.as_slice()[row * v.width..],
            );
            // SAFETY: the cache is borrowed for this call alone.
            unsafe { cache.write(*slot as usize, &key[..k.width], &value[..v.width]) };
        }
        Ok(())
    }

    /// Attention of the rows of each span over its blocks: `[T, heads · head_dim]` gives `[T, heads · value_dim]`.
    ///
    /// Spans are in ascending order of their rows. Rows that belong to no span give zeros.
    pub fn attention(
        &self,
        q: &Tensor,
        cache: &KvCache,
        spans: &[KvSpan<'_>],
        spec: &AttentionSpec,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "attention";
        self.count();
        let q = Operand::new(OP, q)?;
        check_attention(OP, &q, cache, spans, spec)?;
        let out = attention::attention(&self.cpu, q.as_slice(), cache, spans, spec);
        output(out, q.rows, spec.heads * spec.value_dim)
    }
}

fn check_attention(
    op: &'static str,
    q: &Operand<'_>,
    cache: &KvCache,
    spans: &[KvSpan<'_>],
    spec: &AttentionSpec,
) -> Result<(), KernelError> {
    let shape = cache.shape();
    let described = || {
        format!(
            "{} heads of {} over {} key/value heads of {} and {}",
            spec.heads, spec.head_dim, spec.kv_heads, spec.head_dim, spec.value_dim
        )
    };
    if q.width != spec.heads * spec.head_dim {
        return Err(shape_error(
            op,
            format!("queries of {}", q.shape()),
            described(),
        ));
    }
    let fits = (shape.kv_heads, shape.key_dim, shape.value_dim)
        == (spec.kv_heads, spec.head_dim, spec.value_dim);
    if !fits || spec.kv_heads == 0 || !spec.heads.is_multiple_of(spec.kv_heads) {
        return Err(shape_error(
            op,
            described(),
            format!(
                "a cache of {} heads of {} and {}",
                shape.kv_heads, shape.key_dim, shape.value_dim
            ),
        ));
    }
    check_vector(op, "sink", spec.sinks.as_ref(), spec.heads)?;
    if spec.window == Some(0) {
        return Err(shape_error(op, "a window of 0".to_owned(), described()));
    }
    let mut free = 0;
    for span in spans {
        if span.rows.start < free {
            return Err(shape_error(
                op,
                format!("a span of rows {:?}", span.rows),
                format!("the spans before it, which end at row {free}"),
            ));
        }
        free = span.rows.end;
        if span.rows.start > span.rows.end || span.rows.end > q.rows {
            return Err(shape_error(
                op,
                format!("a span of rows {:?}", span.rows),
                format!("queries of {}", q.shape()),
            ));
        }
        if span.rows.is_empty() {
            continue;
        }
        let end = span.first_position + span.rows.len();
        let first = spec.visible(span.mask, span.first_position, end).start;
        let needed = end.div_ceil(shape.block_size);
        let Some(blocks) = span.blocks.get(first / shape.block_size..needed) else {
            return Err(shape_error(
                op,
                format!(
                    "a table of {} blocks of {}",
                    span.blocks.len(),
                    shape.block_size
                ),
                format!("positions up to {end}"),
            ));
        };
        check_indices(op, "block", blocks, shape.blocks)?;
    }
    Ok(())
}
