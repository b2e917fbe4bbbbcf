//! The dispatch object: checks shapes, counts dispatches, and hands slices to the implementation.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use candle_core::{Device, Tensor};

use crate::{
    Activation, AttentionSpec, KernelError, KvCache, KvSpan, Linear, Norm, QkNorms, Rope,
    RopeCosSin, Weight,
    checks::{check_attention, check_heads, check_norm, check_norm_of_width, described},
    cpu::{
        Cpu, attention,
        each_row::EachRow,
        elementwise::{self, Function},
        epilogue::Epilogue,
        linear, norm,
        product::{Input, product},
        repack::RepackedWeight,
        rope,
        simd::SimdLevel,
    },
    operand::{
        Operand, check_distinct, check_indices, check_vector, describe, output, shape_error,
    },
    weight::Storage,
};

/// How exactly results are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActivationDtype {
    /// f32 activations, keys and values.
    F32,
    /// Activations in int8, a step per group of columns, wherever a quantized weight is multiplied by them; f32 in between.
    #[default]
    Int8,
}

impl fmt::Display for ActivationDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for ActivationDtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            // `exact` is the former name of `f32`.
            "f32" | "exact" => Ok(Self::F32),
            "int8" => Ok(Self::Int8),
            _ => Err(format!(
                "unknown activation dtype {name:?}: use f32 or int8"
            )),
        }
    }
}

/// The two input projections of a gated feed-forward block.
#[derive(Clone, Copy, Debug)]
pub enum GateUp<'a> {
    /// The activated projection and the one it is multiplied with.
    Separate(&'a Linear, &'a Linear),
    /// Both in one weight, the activated half first.
    Fused(&'a Linear),
}

/// Options of the CPU kernels.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuOptions {
    /// Threads that compute, the calling one included; by default one per physical core.
    pub threads: Option<usize>,
    /// How exactly results are computed.
    pub activation_dtype: ActivationDtype,
}

/// The operations of a model, on one device.
///
/// Every method is one dispatch. All activations are `[rows, width]`.
#[derive(Debug)]
pub struct Kernels {
    device: Device,
    activation_dtype: ActivationDtype,
    cpu: Cpu,
    dispatches: AtomicU64,
}

impl Kernels {
    /// Kernels that run on the processor.
    pub fn cpu(options: CpuOptions) -> Self {
        Self {
            device: Device::Cpu,
            activation_dtype: options.activation_dtype,
            cpu: Cpu::new(options.threads),
            dispatches: AtomicU64::new(0),
        }
    }

    /// The device that activations live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How exactly results are computed.
    pub fn activation_dtype(&self) -> ActivationDtype {
        self.activation_dtype
    }

    /// Threads that compute, the calling one included.
    pub fn threads(&self) -> usize {
        self.cpu.threads()
    }

    pub(crate) fn level(&self) -> SimdLevel {
        self.cpu.level()
    }

    /// Operations issued so far.
    pub fn dispatches(&self) -> u64 {
        self.dispatches.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.dispatches.fetch_add(1, Ordering::Relaxed);
    }

    /// The weight in the form that these kernels multiply fastest, which takes as much memory as before. Memory of the
    /// file that it came from is let go.
    pub fn repack(&self, weight: Weight) -> Result<Weight, KernelError> {
        let Storage::Quantized(quantized) = weight.storage() else {
            return Ok(weight);
        };
        if self.activation_dtype == ActivationDtype::F32 {
            return Ok(weight);
        }
        let tiles = RepackedWeight::pack(&self.cpu, quantized, weight.rows(), weight.cols())?;
        Ok(match tiles {
            Some(tiles) => {
                weight.release();
                weight.with_repacked(tiles)
            }
            None => weight,
        })
    }

    /// Makes reading the weights prepared so far faster, beside whatever else is done, and then calls `done`. It pays off
    /// after some dozen reads of all weights, so it is not part of [`Kernels::repack`].
    pub fn promote_huge_pages(&self, done: impl FnOnce() + Send + 'static) {
        self.cpu.arena().promote_huge_pages(done);
    }

    /// `norm(x) · weightᵀ + bias` for each of `linears`, side by side: `[T, K]` gives `[T, N₁ + N₂ + …]`.
    pub fn linear(
        &self,
        x: &Tensor,
        norm: Option<&Norm>,
        linears: &[&Linear],
    ) -> Result<Tensor, KernelError> {
        self.product("linear", x, norm, linears, Epilogue::Store)
    }

    /// `activation(norm(x) · weightᵀ + bias)`.
    pub fn linear_act(
        &self,
        x: &Tensor,
        norm: Option<&Norm>,
        linear: &Linear,
        activation: Activation,
    ) -> Result<Tensor, KernelError> {
        let finish = Epilogue::Activate(activation);
        self.product("linear_act", x, norm, &[linear], finish)
    }

    /// `activation(gate(norm(x))) · up(norm(x))`: `[T, K]` gives `[T, N]`.
    pub fn gated_linear(
        &self,
        x: &Tensor,
        norm: Option<&Norm>,
        gate_up: GateUp<'_>,
        activation: Activation,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "gated_linear";
        let finish = Epilogue::Gate(activation);
        match gate_up {
            GateUp::Separate(gate, up) => {
                if gate.weight.rows() != up.weight.rows() {
                    return Err(shape_error(
                        OP,
                        describe(&gate.weight),
                        describe(&up.weight),
                    ));
                }
                self.product(OP, x, norm, &[gate, up], finish)
            }
            GateUp::Fused(both) => {
                if both.weight.rows() % 2 == 1 {
                    let halves = "a gate and as many columns beside it".to_owned();
                    return Err(shape_error(OP, describe(&both.weight), halves));
                }
                self.product(OP, x, norm, &[both], finish)
            }
        }
    }

    /// `residual + scale · (x · weightᵀ + bias)`.
    pub fn linear_add(
        &self,
        x: &Tensor,
        linear: &Linear,
        residual: &Tensor,
        scale: f32,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "linear_add";
        let residual = Operand::new(OP, residual)?;
        let (rows, width) = (Operand::new(OP, x)?.rows, linear.weight.rows());
        if (residual.rows, residual.width) != (rows, width) {
            return Err(shape_error(
                OP,
                format!("a residual of {}", residual.shape()),
                format!("{rows} rows of {width}"),
            ));
        }
        let residual = residual.as_slice();
        self.product(OP, x, None, &[linear], Epilogue::Onto { residual, scale })
    }

    fn product(
        &self,
        op: &'static str,
        x: &Tensor,
        norm: Option<&Norm>,
        linears: &[&Linear],
        finish: Epilogue<'_>,
    ) -> Result<Tensor, KernelError> {
        self.count();
        let x = Operand::new(op, x)?;
        for Linear { weight, bias } in linears {
            if x.width != weight.cols() {
                return Err(shape_error(
                    op,
                    format!("an activation of {}", x.shape()),
                    describe(weight),
                ));
            }
            check_vector(op, "bias", bias.as_ref(), weight.rows())?;
        }
        if let Some(norm) = norm {
            check_norm(op, norm, &x)?;
        }
        let input = Input {
            x: x.as_slice(),
            rows: x.rows,
            norm,
        };
        let outputs: usize = linears.iter().map(|linear| linear.weight.rows()).sum();
        let width = match finish {
            Epilogue::Gate(_) => outputs / 2,
            _ => outputs,
        };
        let out = product(&self.cpu, input, linears, finish);
        output(out, x.rows, width)
    }

    /// The rows `ids` of `table`, widened: `[T, K]`.
    pub fn embed(&self, ids: &[u32], table: &Weight) -> Result<Tensor, KernelError> {
        const OP: &str = "embed";
        self.count();
        check_indices(OP, "token", ids, table.rows())?;
        let mut out = vec![0.0; ids.len() * table.cols()];
        for (id, out) in ids.iter().zip(out.chunks_exact_mut(table.cols())) {
            linear::dequantize_row(&self.cpu, table, *id as usize, out);
        }
        output(out, ids.len(), table.cols())
    }

    /// `norm(x)`.
    pub fn norm(&self, x: &Tensor, norm: &Norm) -> Result<Tensor, KernelError> {
        const OP: &str = "norm";
        self.count();
        let x = Operand::new(OP, x)?;
        check_norm(OP, norm, &x)?;
        let out = norm::norm(
            &self.cpu,
            norm,
            x.as_slice(),
            norm.normalized_size(x.width),
            None,
        );
        output(out, x.rows, x.width)
    }

    /// `residual + scale · norm(x)`.
    pub fn add_normed(
        &self,
        residual: &Tensor,
        x: &Tensor,
        norm: &Norm,
        scale: f32,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "add_normed";
        self.count();
        let (residual, x) = (Operand::new(OP, residual)?, Operand::new(OP, x)?);
        residual.same_shape(OP, &x)?;
        check_norm(OP, norm, &x)?;
        let normalized_size = norm.normalized_size(x.width);
        let residual = Some((residual.as_slice(), scale));
        let out = norm::norm(&self.cpu, norm, x.as_slice(), normalized_size, residual);
        output(out, x.rows, x.width)
    }

    /// The angles of `rope` for rows at these positions, for [`Kernels::rope_and_cache`] in every layer.
    pub fn rope_cos_sin(&self, rope: &Rope, positions: &[u32]) -> Result<RopeCosSin, KernelError> {
        self.count();
        if rope.dims != 2 * rope.inverse_frequencies.len() {
            return Err(shape_error(
                "rope_cos_sin",
                format!("a rotation of {} elements", rope.dims),
                format!("{} frequencies", rope.inverse_frequencies.len()),
            ));
        }
        Ok(RopeCosSin {
            dims: rope.dims,
            traditional: rope.traditional,
            attention_factor: rope.attention_factor,
            values: rope::rope_cos_sin(&self.cpu, rope, positions),
        })
    }

    /// Normalizes and rotates the queries and keys in `qkv`, stores keys and values, and gives the queries: rows of
    /// `heads · head_dim` queries, `kv_heads · head_dim` keys and `kv_heads · value_dim` values give
    /// `[T, heads · head_dim]`.
    ///
    /// A slot is block · block_size + offset; each row has its own.
    pub fn rope_and_cache(
        &self,
        qkv: &Tensor,
        spec: &AttentionSpec,
        norms: Option<&QkNorms>,
        rope_cos_sin: Option<&RopeCosSin>,
        cache: &mut KvCache,
        slots: &[u32],
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "rope_and_cache";
        self.count();
        let qkv = Operand::new(OP, qkv)?;
        let shape = cache.shape();
        check_heads(OP, spec, &shape)?;
        let (q_width, k_width) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
        let width = q_width + k_width + spec.kv_heads * spec.value_dim;
        if (qkv.rows, qkv.width) != (slots.len(), width) {
            return Err(shape_error(
                OP,
                format!("queries, keys and values of {}", qkv.shape()),
                format!("{} slots and {}", slots.len(), described(spec)),
            ));
        }
        if let Some(norms) = norms {
            for (norm, width) in [(&norms.q, q_width), (&norms.k, k_width)] {
                check_norm_of_width(OP, norm, width)?;
            }
        }
        if let Some(rope_cos_sin) = rope_cos_sin
            && (rope_cos_sin.dims > spec.head_dim
                || rope_cos_sin.rows().is_some_and(|rows| rows != qkv.rows))
        {
            return Err(shape_error(
                OP,
                format!(
                    "{} rows of {} angles",
                    rope_cos_sin.rows().unwrap_or_default(),
                    rope_cos_sin.dims / 2
                ),
                format!("{} rows of {}", qkv.rows, described(spec)),
            ));
        }
        check_indices(OP, "slot", slots, shape.blocks * shape.block_size)?;
        check_distinct(OP, slots)?;
        let job = rope::Job {
            qkv: qkv.as_slice(),
            spec,
            norms,
            rope_cos_sin,
            cache,
            slots,
        };
        // SAFETY: slots have been checked to be distinct and inside; the cache is borrowed mutably.
        let out = unsafe { rope::rope_and_cache(&self.cpu, &job) };
        output(out, qkv.rows, q_width)
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

    /// The rows at `indices`, in that order.
    pub fn gather_rows(&self, x: &Tensor, indices: &[u32]) -> Result<Tensor, KernelError> {
        const OP: &str = "gather_rows";
        self.count();
        let x = Operand::new(OP, x)?;
        check_indices(OP, "row", indices, x.rows)?;
        let mut out = Vec::with_capacity(indices.len() * x.width);
        for row in indices {
            out.extend_from_slice(&x.as_slice()[*row as usize * x.width..][..x.width]);
        }
        output(out, indices.len(), x.width)
    }

    /// Calls `visit` with every row of `x` and its number, on all threads, and returns when all calls have returned: for
    /// what is done with a result and is no operation of a model, such as choosing tokens. What `visit` writes into a row
    /// stays in `x`, which nobody else may be using.
    pub fn for_each_row(
        &self,
        x: &Tensor,
        visit: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) -> Result<(), KernelError> {
        Operand::new("for_each_row", x)?;
        let cpu = &self.cpu;
        Ok(x.inplace_op1(&EachRow { cpu, visit })?)
    }

    /// Has a thread that waits for work call `task`, and does not wait for it; where there is no such thread the caller does
    /// it. For what belongs to no operation and takes no more than some microseconds, such as telling others of a result:
    /// the operations that come meanwhile do without that thread.
    pub fn spawn_background(&self, task: impl FnOnce() + Send + 'static) {
        self.cpu.spawn_background(Box::new(task));
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
