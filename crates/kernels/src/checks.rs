//! What the operands of norms and attention have to fit.

use crate::{
    AttentionSpec, KernelError, KvCache, KvShape, KvSpan, Norm,
    operand::{Operand, check_indices, check_vector, shape_error},
};

pub(crate) fn check_norm(
    op: &'static str,
    norm: &Norm,
    x: &Operand<'_>,
) -> Result<(), KernelError> {
    check_norm_of_width(op, norm, x.width)
}

pub(crate) fn check_norm_of_width(
    op: &'static str,
    norm: &Norm,
    width: usize,
) -> Result<(), KernelError> {
    let normalized_size = norm.normalized_size(width);
    if normalized_size == 0 || !width.is_multiple_of(normalized_size) {
        return Err(shape_error(
            op,
            format!("an activation of width {width}"),
            format!("a norm of {normalized_size}"),
        ));
    }
    if let Norm::Layer { weight, bias, .. } = norm {
        check_vector(op, "norm weight", weight.as_ref(), width)?;
        check_vector(op, "norm bias", bias.as_ref(), width)?;
    }
    Ok(())
}

pub(crate) fn described(spec: &AttentionSpec) -> String {
    format!(
        "{} heads of {} over {} key/value heads of {} and {}",
        spec.heads, spec.head_dim, spec.kv_heads, spec.head_dim, spec.value_dim
    )
}

pub(crate) fn check_heads(
    op: &'static str,
    spec: &AttentionSpec,
    shape: &KvShape,
) -> Result<(), KernelError> {
    let fits = (shape.kv_heads, shape.key_dim, shape.value_dim)
        == (spec.kv_heads, spec.head_dim, spec.value_dim);
    if fits && spec.kv_heads > 0 && spec.heads.is_multiple_of(spec.kv_heads) {
        return Ok(());
    }
    Err(shape_error(
        op,
        described(spec),
        format!(
            "a cache of {} heads of {} and {}",
            shape.kv_heads, shape.key_dim, shape.value_dim
        ),
    ))
}

pub(crate) fn check_attention(
    op: &'static str,
    q: &Operand<'_>,
    cache: &KvCache,
    spans: &[KvSpan<'_>],
    spec: &AttentionSpec,
) -> Result<(), KernelError> {
    let shape = cache.shape();
    if q.width != spec.heads * spec.head_dim {
        return Err(shape_error(
            op,
            format!("queries of {}", q.shape()),
            described(spec),
        ));
    }
    check_heads(op, spec, &shape)?;
    check_vector(op, "sink", spec.sinks.as_ref(), spec.heads)?;
    if spec.window == Some(0) {
        return Err(shape_error(op, "a window of 0".to_owned(), described(spec)));
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
