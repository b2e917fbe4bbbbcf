//! The operations of a model.

use super::{
    arguments::{Indices, RopeCosSin, Slots, Spans},
    checks::{
        check_attention, check_broadcast, check_heads, check_indices, check_norm,
        check_norm_of_width, check_param, check_same_shape, describe_attention, describe_weight,
        shape_error,
    },
    pass::Pass,
};
use crate::{
    Activation, AttentionSpec, GateUp, KernelError, KvCache, Linear, Norm, QkNorms, Weight,
    op::{BinaryFunction, Epilogue, Function, Op},
    rows::Rows,
};

impl Pass<'_> {
    /// `norm(x) · weightᵀ + bias` for each of `linears`, concatenated along the columns: `[T, K]` gives
    /// `[T, N₁ + N₂ + …]`.
    pub fn linear(
        &mut self,
        x: &Rows,
        norm: Option<&Norm>,
        linears: &[&Linear],
    ) -> Result<Rows, KernelError> {
        self.linear_with_epilogue("linear", x, norm, linears, Epilogue::Store)
    }

    /// `activation(norm(x) · weightᵀ + bias)`.
    pub fn linear_act(
        &mut self,
        x: &Rows,
        norm: Option<&Norm>,
        linear: &Linear,
        activation: Activation,
    ) -> Result<Rows, KernelError> {
        let epilogue = Epilogue::Activation(activation);
        self.linear_with_epilogue("linear_act", x, norm, &[linear], epilogue)
    }

    /// `activation(gate(norm(x))) · up(norm(x))`: `[T, K]` gives `[T, N]`.
    pub fn gated_linear(
        &mut self,
        x: &Rows,
        norm: Option<&Norm>,
        gate_up: GateUp<'_>,
        activation: Activation,
    ) -> Result<Rows, KernelError> {
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
        &mut self,
        x: &Rows,
        linear: &Linear,
        residual: &Rows,
        scale: f32,
    ) -> Result<Rows, KernelError> {
        const OP: &str = "linear_add";
        let (rows, width) = (x.rows(), linear.weight.rows());
        self.kernels.check_rows(OP, residual)?;
        if (residual.rows(), residual.width()) != (rows, width) {
            return Err(shape_error(
                OP,
                format!("a residual of {}", residual.shape()),
                format!("{rows} rows of {width}"),
            ));
        }
        let epilogue = Epilogue::ResidualAdd { residual, scale };
        self.linear_with_epilogue(OP, x, None, &[linear], epilogue)
    }

    fn linear_with_epilogue(
        &mut self,
        name: &'static str,
        x: &Rows,
        norm: Option<&Norm>,
        linears: &[&Linear],
        epilogue: Epilogue<'_>,
    ) -> Result<Rows, KernelError> {
        self.start(name, x)?;
        for Linear { weight, bias } in linears {
            if x.width() != weight.cols() {
                return Err(shape_error(
                    name,
                    format!("an activation of {}", x.shape()),
                    describe_weight(weight),
                ));
            }
            check_param(name, "bias", bias.as_ref(), weight.rows())?;
        }
        if let Some(norm) = norm {
            check_norm(name, norm, x)?;
        }
        let outputs: usize = linears.iter().map(|linear| linear.weight.rows()).sum();
        let width = match epilogue {
            Epilogue::Glu(_) => outputs / 2,
            _ => outputs,
        };
        let op = Op::Linear {
            name,
            x,
            norm,
            linears,
            epilogue,
        };
        self.run(op, x.rows(), width)
    }

    /// The rows `ids` of `table` as f32: `[T, K]`.
    pub fn embed(&mut self, ids: Indices, table: &Weight) -> Result<Rows, KernelError> {
        const OP: &str = "embed";
        self.kernels.count_dispatch();
        let tokens = self.arguments.indices(OP, ids)?;
        check_indices(OP, "token", tokens, table.rows())?;
        self.run(Op::Embed { ids, table }, tokens.len(), table.cols())
    }

    /// `norm(x)`.
    pub fn norm(&mut self, x: &Rows, norm: &Norm) -> Result<Rows, KernelError> {
        const OP: &str = "norm";
        self.start(OP, x)?;
        check_norm(OP, norm, x)?;
        let residual = None;
        self.run(Op::Norm { x, norm, residual }, x.rows(), x.width())
    }

    /// `residual + scale · norm(x)`.
    pub fn add_normed(
        &mut self,
        residual: &Rows,
        x: &Rows,
        norm: &Norm,
        scale: f32,
    ) -> Result<Rows, KernelError> {
        const OP: &str = "add_normed";
        self.start(OP, x)?;
        self.kernels.check_rows(OP, residual)?;
        check_same_shape(OP, residual, x)?;
        check_norm(OP, norm, x)?;
        let residual = Some((residual, scale));
        self.run(Op::Norm { x, norm, residual }, x.rows(), x.width())
    }

    /// Normalizes the queries and keys in `qkv`, applies RoPE to them (before or after), writes keys and values to the
    /// cache, and returns the queries, `[T, heads · head_dim]`. A row of `qkv` holds `heads · head_dim` queries,
    /// `kv_heads · head_dim` keys and `kv_heads · value_dim` values.
    pub fn rope_and_cache(
        &mut self,
        qkv: &Rows,
        spec: &AttentionSpec,
        norms: Option<&QkNorms>,
        rope_cos_sin: Option<RopeCosSin>,
        cache: &mut KvCache,
        slots: Slots,
    ) -> Result<Rows, KernelError> {
        const OP: &str = "rope_and_cache";
        self.start(OP, qkv)?;
        let slot_list = self.arguments.slots(OP, slots)?;
        let shape = cache.shape();
        check_heads(OP, spec, &shape)?;
        let (q_width, k_width) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
        let width = q_width + k_width + spec.kv_heads * spec.value_dim;
        if (qkv.rows(), qkv.width()) != (slot_list.len(), width) {
            return Err(shape_error(
                OP,
                format!("queries, keys and values of {}", qkv.shape()),
                format!("{} slots and {}", slot_list.len(), describe_attention(spec)),
            ));
        }
        if let Some(norms) = norms {
            for (norm, width) in [(&norms.q, q_width), (&norms.k, k_width)] {
                check_norm_of_width(OP, norm, width)?;
            }
        }
        if let Some(rope_cos_sin) = rope_cos_sin {
            let angles = self.arguments.angles(OP, rope_cos_sin)?;
            if angles.dims > spec.head_dim || angles.rows.is_some_and(|rows| rows != qkv.rows()) {
                return Err(shape_error(
                    OP,
                    format!(
                        "{} rows of {} rotation angles",
                        angles.rows.unwrap_or_default(),
                        angles.dims / 2
                    ),
                    format!("{} rows of {}", qkv.rows(), describe_attention(spec)),
                ));
            }
        }
        check_indices(OP, "slot", slot_list, shape.blocks * shape.block_size)?;
        let op = Op::RopeAndCache {
            qkv,
            spec,
            norms,
            rope_cos_sin,
            cache,
            slots,
        };
        self.run(op, qkv.rows(), q_width)
    }

    /// `factor · x`.
    pub fn scale(&mut self, x: &Rows, factor: f32) -> Result<Rows, KernelError> {
        self.elementwise("scale", x, Function::Scale(factor))
    }

    /// `cap · tanh(x / cap)`.
    pub fn softcap(&mut self, x: &Rows, cap: f32) -> Result<Rows, KernelError> {
        self.elementwise("softcap", x, Function::Softcap(cap))
    }

    fn elementwise(
        &mut self,
        name: &'static str,
        x: &Rows,
        function: Function,
    ) -> Result<Rows, KernelError> {
        self.start(name, x)?;
        self.run(Op::Elementwise { x, function }, x.rows(), x.width())
    }

    /// `x + y`.
    pub fn add(&mut self, x: &Rows, y: &Rows) -> Result<Rows, KernelError> {
        self.binary("add", x, y, BinaryFunction::Add)
    }

    /// `x · sigmoid(gate)`. An element of `gate`, `[T, G]`, is for `W / G` consecutive columns of `x`, `[T, W]`: one head
    /// if `G` is the number of heads, one column if it is `W`.
    pub fn sigmoid_gate(&mut self, x: &Rows, gate: &Rows) -> Result<Rows, KernelError> {
        self.binary("sigmoid_gate", x, gate, BinaryFunction::SigmoidGate)
    }

    fn binary(
        &mut self,
        name: &'static str,
        x: &Rows,
        y: &Rows,
        function: BinaryFunction,
    ) -> Result<Rows, KernelError> {
        self.start(name, x)?;
        self.kernels.check_rows(name, y)?;
        match function {
            BinaryFunction::Add => check_same_shape(name, x, y)?,
            BinaryFunction::SigmoidGate => check_broadcast(name, x, y)?,
        }
        self.run(Op::Binary { x, y, function }, x.rows(), x.width())
    }

    /// The rows of `x` at `indices`, in that order.
    pub fn gather_rows(&mut self, x: &Rows, indices: Indices) -> Result<Rows, KernelError> {
        const OP: &str = "gather_rows";
        self.start(OP, x)?;
        let rows = self.arguments.indices(OP, indices)?;
        check_indices(OP, "row", rows, x.rows())?;
        self.run(Op::GatherRows { x, indices }, rows.len(), x.width())
    }

    /// The column of the first of the largest values of each row, as `[T, 1]` for [`Kernels::sample`]; -1 if the row has NaN
    /// or its largest value is infinite.
    ///
    /// # Errors
    /// As every operation, and for more than 2^24 columns, the integers that f32 represents.
    ///
    /// [`Kernels::sample`]: crate::Kernels::sample
    pub fn argmax(&mut self, x: &Rows) -> Result<Rows, KernelError> {
        const OP: &str = "argmax";
        self.start(OP, x)?;
        if x.width() > 1 << f32::MANTISSA_DIGITS {
            return Err(KernelError::Activation {
                op: OP,
                found: format!("rows of {}", x.width()),
            });
        }
        self.run(Op::Argmax { x }, x.rows(), 1)
    }

    /// Paged attention of the rows of each span over its blocks: `[T, heads · head_dim]` gives
    /// `[T, heads · value_dim]`. Rows that belong to no span are zeros in the result.
    pub fn attention(
        &mut self,
        q: &Rows,
        cache: &KvCache,
        spans: Spans,
        spec: &AttentionSpec,
    ) -> Result<Rows, KernelError> {
        const OP: &str = "attention";
        self.start(OP, q)?;
        let (shape, end) = (cache.shape(), self.arguments.spans(OP, spans)?.end);
        check_attention(OP, q, &shape, end, spec)?;
        self.arguments.check_blocks(OP, spans, shape, spec.window)?;
        let op = Op::Attention {
            q,
            cache,
            spans,
            spec,
        };
        self.run(op, q.rows(), spec.heads * spec.value_dim)
    }

    /// Counts an operation and checks that its operand belongs to the same kernels.
    fn start(&self, op: &'static str, x: &Rows) -> Result<(), KernelError> {
        self.kernels.count_dispatch();
        self.kernels.check_rows(op, x)
    }
}
