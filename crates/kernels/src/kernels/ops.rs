//! The operations of a model.

use candle_core::Tensor;

use super::{
    Kernels,
    checks::{
        check_attention, check_distinct, check_heads, check_indices, check_norm,
        check_norm_of_width, check_param, check_same_shape, describe_attention, describe_weight,
        shape_error,
    },
};
use crate::{
    Activation, AttentionSpec, GateUp, KernelError, KvCache, KvSpan, Linear, Norm, QkNorms, Rope,
    RopeCosSin, Weight,
    cpu::{
        attention,
        elementwise::{self, Function},
        epilogue::Epilogue,
        fused_linear::{FusedLinearInput, fused_linear},
        linear, norm, rope,
    },
    operand::{Operand, to_tensor},
};

impl Kernels {
    /// `norm(x) · weightᵀ + bias` for each of `linears`, concatenated along the columns: `[T, K]` gives
    /// `[T, N₁ + N₂ + …]`.
    pub fn linear(
        &self,
        x: &Tensor,
        norm: Option<&Norm>,
        linears: &[&Linear],
    ) -> Result<Tensor, KernelError> {
        self.linear_with_epilogue("linear", x, norm, linears, Epilogue::Store)
    }

    /// `activation(norm(x) · weightᵀ + bias)`.
    pub fn linear_act(
        &self,
        x: &Tensor,
        norm: Option<&Norm>,
        linear: &Linear,
        activation: Activation,
    ) -> Result<Tensor, KernelError> {
        let epilogue = Epilogue::Activation(activation);
        self.linear_with_epilogue("linear_act", x, norm, &[linear], epilogue)
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
        let epilogue = Epilogue::Glu(activation);
        match gate_up {
            GateUp::Separate(gate, up) => {
                if gate.weight.rows() != up.weight.rows() {
                    return Err(shape_error(
                        OP,
                        describe_weight(&gate.weight),
                        describe_weight(&up.weight),
                    ));
                }
                self.linear_with_epilogue(OP, x, norm, &[gate, up], epilogue)
            }
            GateUp::Fused(fused) => {
                if fused.weight.rows() % 2 == 1 {
                    let halves = "a gate and an up half of equal width".to_owned();
                    return Err(shape_error(OP, describe_weight(&fused.weight), halves));
                }
                self.linear_with_epilogue(OP, x, norm, &[fused], epilogue)
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
        self.linear_with_epilogue(
            OP,
            x,
            None,
            &[linear],
            Epilogue::ResidualAdd { residual, scale },
        )
    }

    fn linear_with_epilogue(
        &self,
        op: &'static str,
        x: &Tensor,
        norm: Option<&Norm>,
        linears: &[&Linear],
        epilogue: Epilogue<'_>,
    ) -> Result<Tensor, KernelError> {
        self.count_dispatch();
        let x = Operand::new(op, x)?;
        for Linear { weight, bias } in linears {
            if x.width != weight.cols() {
                return Err(shape_error(
                    op,
                    format!("an activation of {}", x.shape()),
                    describe_weight(weight),
                ));
            }
            check_param(op, "bias", bias.as_ref(), weight.rows())?;
        }
        if let Some(norm) = norm {
            check_norm(op, norm, &x)?;
        }
        let input = FusedLinearInput {
            x: x.as_slice(),
            rows: x.rows,
            norm,
        };
        let outputs: usize = linears.iter().map(|linear| linear.weight.rows()).sum();
        let width = match epilogue {
            Epilogue::Glu(_) => outputs / 2,
            _ => outputs,
        };
        let mut out = vec![0.0; x.rows * width];
        fused_linear(&self.cpu, input, linears, epilogue, &mut out);
        to_tensor(out, x.rows, width)
    }

    /// The rows `ids` of `table` as f32: `[T, K]`.
    pub fn embed(&self, ids: &[u32], table: &Weight) -> Result<Tensor, KernelError> {
        const OP: &str = "embed";
        self.count_dispatch();
        check_indices(OP, "token", ids, table.rows())?;
        let mut out = vec![0.0; ids.len() * table.cols()];
        for (id, out) in ids.iter().zip(out.chunks_exact_mut(table.cols())) {
            linear::dequantize_row(&self.cpu, table, *id as usize, out);
        }
        to_tensor(out, ids.len(), table.cols())
    }

    /// `norm(x)`.
    pub fn norm(&self, x: &Tensor, norm: &Norm) -> Result<Tensor, KernelError> {
        const OP: &str = "norm";
        self.count_dispatch();
        let x = Operand::new(OP, x)?;
        check_norm(OP, norm, &x)?;
        let mut out = vec![0.0; x.as_slice().len()];
        norm::norm(
            &self.cpu,
            norm,
            x.as_slice(),
            norm.normalized_size(x.width),
            None,
            &mut out,
        );
        to_tensor(out, x.rows, x.width)
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
        self.count_dispatch();
        let (residual, x) = (Operand::new(OP, residual)?, Operand::new(OP, x)?);
        check_same_shape(OP, &residual, &x)?;
        check_norm(OP, norm, &x)?;
        let normalized_size = norm.normalized_size(x.width);
        let residual = Some((residual.as_slice(), scale));
        let mut out = vec![0.0; x.as_slice().len()];
        norm::norm(
            &self.cpu,
            norm,
            x.as_slice(),
            normalized_size,
            residual,
            &mut out,
        );
        to_tensor(out, x.rows, x.width)
    }

    /// Cosines and sines of `rope` at these positions, for [`Kernels::rope_and_cache`] in every layer.
    pub fn rope_cos_sin(&self, rope: &Rope, positions: &[u32]) -> Result<RopeCosSin, KernelError> {
        self.count_dispatch();
        if rope.dims != 2 * rope.inverse_frequencies.len() {
            return Err(shape_error(
                "rope_cos_sin",
                format!("RoPE over {} dimensions", rope.dims),
                format!("{} frequencies", rope.inverse_frequencies.len()),
            ));
        }
        let mut values = vec![0.0; positions.len() * rope.dims];
        rope::rope_cos_sin(&self.cpu, rope, positions, &mut values);
        Ok(RopeCosSin {
            dims: rope.dims,
            traditional: rope.traditional,
            attention_factor: rope.attention_factor,
            values,
        })
    }

    /// Normalizes the queries and keys in `qkv`, applies RoPE to them, writes keys and values to the cache, and
    /// returns the queries, `[T, heads · head_dim]`. A row of `qkv` holds `heads · head_dim` queries,
    /// `kv_heads · head_dim` keys and `kv_heads · value_dim` values.
    ///
    /// `slots[t]`, which is block · block_size + offset, is where row `t` is written; slots must be distinct.
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
        self.count_dispatch();
        let qkv = Operand::new(OP, qkv)?;
        let shape = cache.shape();
        check_heads(OP, spec, &shape)?;
        let (q_width, k_width) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
        let width = q_width + k_width + spec.kv_heads * spec.value_dim;
        if (qkv.rows, qkv.width) != (slots.len(), width) {
            return Err(shape_error(
                OP,
                format!("queries, keys and values of {}", qkv.shape()),
                format!("{} slots and {}", slots.len(), describe_attention(spec)),
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
                    "{} rows of {} rotation angles",
                    rope_cos_sin.rows().unwrap_or_default(),
                    rope_cos_sin.dims / 2
                ),
                format!("{} rows of {}", qkv.rows, describe_attention(spec)),
            ));
        }
        check_indices(OP, "slot", slots, shape.blocks * shape.block_size)?;
        check_distinct(OP, slots)?;
        let args = rope::RopeAndCache {
            qkv: qkv.as_slice(),
            spec,
            norms,
            rope_cos_sin,
            cache,
            slots,
        };
        let mut out = vec![0.0; qkv.rows * q_width];
        // SAFETY: slots are distinct, as checked above, and the cache is borrowed mutably, so no other thread uses it.
        unsafe { rope::rope_and_cache(&self.cpu, &args, &mut out) };
        to_tensor(out, qkv.rows, q_width)
    }

    /// `factor · x`.
    pub fn scale(&self, x: &Tensor, factor: f32) -> Result<Tensor, KernelError> {
        self.elementwise("scale", x, Function::Scale(factor))
    }

    /// `cap · tanh(x / cap)`.
    pub fn softcap(&self, x: &Tensor, cap: f32) -> Result<Tensor, KernelError> {
        self.elementwise("softcap", x, Function::Softcap(cap))
    }

    fn elementwise(
        &self,
        op: &'static str,
        x: &Tensor,
        function: Function,
    ) -> Result<Tensor, KernelError> {
        self.count_dispatch();
        let x = Operand::new(op, x)?;
        let mut out = vec![0.0; x.as_slice().len()];
        elementwise::map(&self.cpu, function, x.as_slice(), &mut out);
        to_tensor(out, x.rows, x.width)
    }

    /// The rows of `x` at `indices`, in that order.
    pub fn gather_rows(&self, x: &Tensor, indices: &[u32]) -> Result<Tensor, KernelError> {
        const OP: &str = "gather_rows";
        self.count_dispatch();
        let x = Operand::new(OP, x)?;
        check_indices(OP, "row", indices, x.rows)?;
        let mut out = Vec::with_capacity(indices.len() * x.width);
        for row in indices {
            out.extend_from_slice(&x.as_slice()[*row as usize * x.width..][..x.width]);
        }
        to_tensor(out, indices.len(), x.width)
    }

    /// Paged attention of the rows of each span over its blocks: `[T, heads · head_dim]` gives
    /// `[T, heads · value_dim]`.
    ///
    /// Spans are in ascending order of their rows. Rows that belong to no span are zeros in the result.
    pub fn attention(
        &self,
        q: &Tensor,
        cache: &KvCache,
        spans: &[KvSpan<'_>],
        spec: &AttentionSpec,
    ) -> Result<Tensor, KernelError> {
        const OP: &str = "attention";
        self.count_dispatch();
        let q = Operand::new(OP, q)?;
        check_attention(OP, &q, cache, spans, spec)?;
        let width = spec.heads * spec.value_dim;
        let mut out = vec![0.0; q.rows * width];
        attention::attention(&self.cpu, q.as_slice(), cache, spans, spec, &mut out);
        to_tensor(out, q.rows, width)
    }
}
