//! The dispatches of an operation.

use super::{Dispatch, Memory, attention, linear, misc, rope};
use crate::{KernelError, Rows, op::Op};

/// Adds the dispatches that compute `op`, whose result is `out`; none if that has no elements.
pub(crate) fn plan(
    op: &Op<'_>,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    // There may be no memory for operands without elements.
    if out.rows() == 0 || out.width() == 0 {
        return Ok(());
    }
    match op {
        Op::Linear {
            x,
            norm,
            linears,
            epilogue,
            ..
        } => linear::plan(x, *norm, linears, *epilogue, memory, out, dispatches),
        Op::Embed { ids, table } => misc::embed(*ids, table, memory, out, dispatches),
        Op::Norm { x, norm, residual } => misc::norm(x, norm, *residual, memory, out, dispatches),
        Op::RopeAndCache {
            qkv,
            spec,
            norms,
            rope_cos_sin,
            cache,
            slots,
        } => rope::plan(
            qkv,
            spec,
            *norms,
            *rope_cos_sin,
            cache,
            *slots,
            memory,
            out,
            dispatches,
        ),
        Op::Elementwise { x, function } => misc::elementwise(x, *function, memory, out, dispatches),
        Op::Binary { x, y, function } => misc::binary(x, y, *function, memory, out, dispatches),
        Op::GatherRows { x, indices } => misc::gather_rows(x, *indices, memory, out, dispatches),
        Op::Argmax { x } => misc::argmax(x, memory, out, dispatches),
        Op::Attention {
            q,
            cache,
            spans,
            spec,
        } => attention::plan(q, cache, *spans, spec, memory, out, dispatches),
    }
}
