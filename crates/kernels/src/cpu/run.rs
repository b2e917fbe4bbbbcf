//! Computing an operation on the CPU.

use super::{
    Cpu, attention, elementwise,
    epilogue::Epilogue,
    fused_linear::{FusedLinearInput, fused_linear},
    linear, norm, rope,
};
use crate::{
    KernelError, Rope, Rows,
    kernels::Arguments,
    op::{self, Op},
};

impl Cpu {
    /// Computes `op`, which has been checked, and writes the result to `out`.
    pub fn run(
        &self,
        op: Op<'_>,
        arguments: &Arguments<'_>,
        out: &mut Rows,
    ) -> Result<(), KernelError> {
        let name = op.name();
        let arena = out.arena().clone();
        let out = out.as_mut_slice();
        match op {
            Op::Linear {
                x,
                norm,
                linears,
                epilogue,
                ..
            } => {
                let input = FusedLinearInput {
                    x: x.as_slice(),
                    rows: x.rows(),
                    norm,
                };
                let epilogue = host_epilogue(epilogue);
                fused_linear(self, &arena, input, linears, epilogue, out)?;
            }
            Op::Embed { ids, table } => {
                let ids = arguments.indices(name, ids)?;
                for (id, out) in ids.iter().zip(out.chunks_exact_mut(table.cols())) {
                    linear::dequantize_row(self, table, *id as usize, out);
                }
            }
            Op::Norm { x, norm, residual } => {
                let size = norm.normalized_size(x.width());
                let residual = residual.map(|(residual, scale)| (residual.as_slice(), scale));
                norm::norm(self, norm, x.as_slice(), size, residual, out);
            }
            Op::RopeAndCache {
                qkv,
                spec,
                norms,
                rope_cos_sin,
                cache,
                slots,
            } => {
                let angles = rope_cos_sin.map(|angles| arguments.angles(name, angles));
                let args = rope::RopeAndCache {
                    qkv: qkv.as_slice(),
                    spec,
                    norms,
                    angles: angles.transpose()?.map(|angles| rope::Rotation {
                        dims: angles.dims,
                        traditional: angles.traditional,
                        attention_factor: angles.attention_factor,
                        before_norms: angles.before_norms,
                        row_width: angles.row_width,
                        values: angles.values.as_ref().map_or(&[], Rows::as_slice),
                    }),
                    cache: cache.on_cpu(name)?,
                    slots: arguments.slots(name, slots)?,
                };
                // SAFETY: slots are distinct, which is checked when they become an argument, and the cache is borrowed
                // mutably, so no other thread uses it.
                unsafe { rope::rope_and_cache(self, &args, out) };
            }
            Op::Elementwise { x, function } => {
                elementwise::map(self, function, x.as_slice(), out);
            }
            Op::Binary { x, y, function } => {
                let per_element = x.width() / y.width().max(1);
                elementwise::combine(self, function, x.as_slice(), y.as_slice(), per_element, out);
            }
            Op::GatherRows { x, indices } => {
                let (x, width) = (x.as_slice(), x.width());
                let indices = arguments.indices(name, indices)?;
                for (row, out) in indices.iter().zip(out.chunks_exact_mut(width.max(1))) {
                    out.copy_from_slice(&x[*row as usize * width..][..width]);
                }
            }
            Op::Argmax { x } => {
                for (x, out) in x.as_slice().chunks(x.width().max(1)).zip(out) {
                    *out = elementwise::argmax(x);
                }
            }
            Op::Attention {
                q,
                cache,
                spans,
                spec,
            } => {
                let spans = &arguments.spans(name, spans)?.spans;
                let (q, cache) = (q.as_slice(), cache.on_cpu(name)?);
                attention::attention(self, &arena, q, cache, spans, spec, out)?;
            }
        }
        Ok(())
    }

    /// Writes the cosines, the sines, then the factor of the queries, if there is one, of every position to `out`.
    pub fn rope_cos_sin(&self, rope: &Rope, positions: &[u32], out: &mut [f32]) {
        rope::rope_cos_sin(self, rope, positions, out);
    }
}

fn host_epilogue(epilogue: op::Epilogue<'_>) -> Epilogue<'_> {
    match epilogue {
        op::Epilogue::Store => Epilogue::Store,
        op::Epilogue::Activation(activation) => Epilogue::Activation(activation),
        op::Epilogue::Glu(activation) => Epilogue::Glu(activation),
        op::Epilogue::ResidualAdd { residual, scale } => Epilogue::ResidualAdd {
            residual: residual.as_slice(),
            scale,
        },
    }
}
