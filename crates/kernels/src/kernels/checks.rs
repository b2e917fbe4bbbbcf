//! Shape and index checks of the operands.

use crate::{AttentionSpec, KernelError, KvShape, Norm, Param, Rows, Weight};

pub(super) fn check_norm(op: &'static str, norm: &Norm, x: &Rows) -> Result<(), KernelError> {
    check_norm_of_width(op, norm, x.width())
}

pub(super) fn check_norm_of_width(
    op: &'static str,
    norm: &Norm,
    width: usize,
) -> Result<(), KernelError> {
    let normalized_size = norm.normalized_size(width);
    if normalized_size == 0 || !width.is_multiple_of(normalized_size) {
        return Err(shape_error(
            op,
            format!("an activation of width {width}"),
            format!("a norm over {normalized_size} columns"),
        ));
    }
    if let Norm::Layer {
        weight,
        bias,
        groups,
        ..
    } = norm
    {
        if *groups == 0 || !width.is_multiple_of(*groups) {
            return Err(shape_error(
                op,
                format!("an activation of width {width}"),
                format!("a norm over {groups} equal parts"),
            ));
        }
        check_param(op, "norm weight", weight.as_ref(), width)?;
        check_param(op, "norm bias", bias.as_ref(), width)?;
    }
    Ok(())
}

pub(super) fn describe_attention(spec: &AttentionSpec) -> String {
    format!(
        "{} heads of {} over {} key/value heads of {} and {}",
        spec.heads, spec.head_dim, spec.kv_heads, spec.head_dim, spec.value_dim
    )
}

pub(super) fn check_heads(
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
        describe_attention(spec),
        format!(
            "a cache of {} heads of {} and {}",
            shape.kv_heads, shape.key_dim, shape.value_dim
        ),
    ))
}

/// Checks all of an attention call except its block tables.
pub(super) fn check_attention(
    op: &'static str,
    q: &Rows,
    shape: &KvShape,
    end: usize,
    spec: &AttentionSpec,
) -> Result<(), KernelError> {
    if q.width() != spec.heads * spec.head_dim {
        return Err(shape_error(
            op,
            format!("queries of {}", q.shape()),
            describe_attention(spec),
        ));
    }
    check_heads(op, spec, shape)?;
    check_param(op, "sink", spec.sinks.as_ref(), spec.heads)?;
    if spec.window == Some(0) {
        return Err(shape_error(
            op,
            "a window of 0".to_owned(),
            describe_attention(spec),
        ));
    }
    if end > q.rows() {
        return Err(shape_error(
            op,
            format!("spans up to row {end}"),
            format!("queries of {}", q.shape()),
        ));
    }
    Ok(())
}

/// Checks that two activations have the same shape.
pub(super) fn check_same_shape(
    op: &'static str,
    left: &Rows,
    right: &Rows,
) -> Result<(), KernelError> {
    if (left.rows(), left.width()) == (right.rows(), right.width()) {
        return Ok(());
    }
    Err(shape_error(
        op,
        format!("an activation of {}", left.shape()),
        format!("an activation of {}", right.shape()),
    ))
}

/// Checks that every element of a row of `y` is for as many columns of `x`.
pub(super) fn check_broadcast(op: &'static str, x: &Rows, y: &Rows) -> Result<(), KernelError> {
    if x.rows() == y.rows() && y.width() > 0 && x.width().is_multiple_of(y.width()) {
        return Ok(());
    }
    Err(shape_error(
        op,
        format!("an activation of {}", x.shape()),
        format!("an activation of {}", y.shape()),
    ))
}

pub(super) fn shape_error(op: &'static str, left: String, right: String) -> KernelError {
    KernelError::Shape { op, left, right }
}

/// Checks the length of an optional parameter.
pub(super) fn check_param(
    op: &'static str,
    name: &str,
    param: Option<&Param>,
    expected: usize,
) -> Result<(), KernelError> {
    match param {
        Some(param) if param.len() != expected => Err(shape_error(
            op,
            format!("a {name} of [{}]", param.len()),
            format!("a width of {expected}"),
        )),
        _ => Ok(()),
    }
}

/// Checks that every index is below `end`.
pub(super) fn check_indices(
    op: &'static str,
    what: &'static str,
    indices: &[u32],
    end: usize,
) -> Result<(), KernelError> {
    match indices.iter().find(|index| **index as usize >= end) {
        Some(index) => Err(KernelError::Index {
            op,
            what,
            index: *index as usize,
            end,
        }),
        None => Ok(()),
    }
}

/// Checks that no two slots are the same.
pub(super) fn check_distinct(op: &'static str, slots: &[u32]) -> Result<(), KernelError> {
    // Slots are nearly always ascending.
    if slots.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    let mut sorted = slots.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(shape_error(
            op,
            format!("slot {}", pair[0]),
            "more than one row".to_owned(),
        )),
        None => Ok(()),
    }
}

pub(super) fn describe_weight(w: &Weight) -> String {
    format!("a weight of [{}, {}]", w.rows(), w.cols())
}
