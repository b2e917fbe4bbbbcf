//! The dispatch of norms of queries and keys, rotary embedding and the write to the KV cache.

use super::{
    Access, Binding, BufferRange, Dispatch, Kernel, Memory, Source, TemplateArgument,
    args::kernel_args,
    kv_layout::{Tile, element_type},
};
use crate::{AttentionSpec, KernelError, KvCache, Norm, Param, QkNorms, RopeCosSin, Rows, Slots};

/// SIMD groups of a threadgroup, each with one head at a time.
const SIMDGROUPS: usize = 8;

kernel_args! {
    /// As `RopeArgs` in `rope.metal`.
    struct RopeArgs {
        heads: u32,
        kv_heads: u32,
        key_dim: u32,
        value_dim: u32,
        rope_dims: u32,
        angles_width: u32,
        traditional: u32,
        before_norms: u32,
        scaled_queries: u32,
        q_norm: u32,
        k_norm: u32,
        q_norm_width: u32,
        k_norm_width: u32,
        q_row_weights: u32,
        k_row_weights: u32,
        q_weighted: u32,
        q_biased: u32,
        k_weighted: u32,
        k_biased: u32,
        q_eps: f32,
        k_eps: f32,
        block_size: u32,
        key_tile_bytes: u32,
        value_tile_bytes: u32,
        key_scales: u32,
        value_scales: u32,
    }
}

/// A norm of queries or keys.
#[derive(Default)]
struct HeadNorm<'a> {
    kind: u32,
    /// Columns that are normalized together.
    width: usize,
    /// Whether weights are for all heads, not for each.
    row_weights: bool,
    weight: Option<&'a Param>,
    bias: Option<&'a Param>,
    eps: f32,
}

impl<'a> HeadNorm<'a> {
    /// The norm of rows of `heads · head_dim` columns.
    fn new(
        op: &'static str,
        norm: Option<&'a Norm>,
        heads: usize,
        head_dim: usize,
    ) -> Result<Self, KernelError> {
        let Some(norm) = norm else {
            return Ok(Self::default());
        };
        let width = heads * head_dim;
        let size = match norm {
            Norm::Rms { .. } => norm.normalized_size(width),
            Norm::Layer { groups, .. } => width / groups.max(&1),
        };
        if size != head_dim && size != width {
            return Err(KernelError::Shape {
                op,
                left: format!("a norm over {size} columns"),
                right: format!("{heads} heads of {head_dim}"),
            });
        }
        Ok(match norm {
            Norm::Rms { weight, eps } => Self {
                kind: 1,
                width: size,
                row_weights: size == width,
                weight: weight.as_ref(),
                bias: None,
                eps: *eps,
            },
            Norm::Layer {
                weight, bias, eps, ..
            } => Self {
                kind: 2,
                width: size,
                row_weights: true,
                weight: weight.as_ref(),
                bias: bias.as_ref(),
                eps: *eps,
            },
        })
    }
}

/// Adds the dispatch of [`crate::Pass::rope_and_cache`].
#[expect(
    clippy::too_many_arguments,
    reason = "the fields of the operation, and those of every plan"
)]
pub(super) fn plan(
    qkv: &Rows,
    spec: &AttentionSpec,
    norms: Option<&QkNorms>,
    rope_cos_sin: Option<RopeCosSin>,
    cache: &KvCache,
    slots: Slots,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let op = memory.op();
    let dim = spec.head_dim;
    let q_norm = HeadNorm::new(op, norms.map(|norms| &norms.q), spec.heads, dim)?;
    let k_norm = HeadNorm::new(op, norms.map(|norms| &norms.k), spec.kv_heads, dim)?;
    let needs_row = |norm: &HeadNorm<'_>| norm.kind != 0 && norm.width != dim;
    let row_norms = needs_row(&q_norm) || needs_row(&k_norm);

    let (key_tile, value_tile) = Tile::of_cache(cache.shape(), cache.dtype());
    let mut args = RopeArgs {
        heads: spec.heads as u32,
        kv_heads: spec.kv_heads as u32,
        key_dim: dim as u32,
        value_dim: spec.value_dim as u32,
        rope_dims: 0,
        angles_width: 0,
        traditional: 0,
        before_norms: 0,
        scaled_queries: 0,
        q_norm: q_norm.kind,
        k_norm: k_norm.kind,
        q_norm_width: q_norm.width as u32,
        k_norm_width: k_norm.width as u32,
        q_row_weights: u32::from(q_norm.row_weights),
        k_row_weights: u32::from(k_norm.row_weights),
        q_weighted: u32::from(q_norm.weight.is_some()),
        q_biased: u32::from(q_norm.bias.is_some()),
        k_weighted: u32::from(k_norm.weight.is_some()),
        k_biased: u32::from(k_norm.bias.is_some()),
        q_eps: q_norm.eps,
        k_eps: k_norm.eps,
        block_size: cache.shape().block_size as u32,
        key_tile_bytes: key_tile.bytes as u32,
        value_tile_bytes: value_tile.bytes as u32,
        key_scales: key_tile.scales as u32,
        value_scales: value_tile.scales as u32,
    };
    let x = memory.rows(qkv)?;
    // Arguments that the kernel does not use are bound to its input.
    let mut angles = x;
    if let Some(rope_cos_sin) = rope_cos_sin {
        let host = memory.arguments().angles(op, rope_cos_sin)?;
        if host.row_width > 0 {
            args.rope_dims = host.dims as u32;
            args.angles_width = host.row_width as u32;
            args.traditional = u32::from(host.traditional);
            args.before_norms = u32::from(host.before_norms);
            args.scaled_queries = u32::from(host.row_width > host.dims);
            angles = memory.angles(rope_cos_sin)?;
        }
        if host.before_norms && row_norms {
            return Err(KernelError::Shape {
                op,
                left: "a rotation before norms".to_owned(),
                right: "norms over all heads, which this device computes before rotations only"
                    .to_owned(),
            });
        }
    }
    let (keys, values) = memory.kv(cache)?;
    let read = |index, range| Binding {
        index,
        range,
        access: Access::Read,
    };
    let write = |index, range: BufferRange| Binding {
        index,
        range,
        access: Access::Write,
    };
    let param = |index, param: Option<&Param>| {
        Ok::<_, KernelError>(match param {
            Some(param) => Binding {
                index,
                range: memory.param(param)?,
                access: Access::Constant,
            },
            None => read(index, x),
        })
    };
    let bindings = vec![
        read(1, x),
        write(2, memory.rows(out)?),
        read(3, memory.slots(slots)?),
        read(4, angles),
        param(5, q_norm.weight)?,
        param(6, q_norm.bias)?,
        param(7, k_norm.weight)?,
        param(8, k_norm.bias)?,
        write(9, keys),
        write(10, values),
    ];
    let units = spec.heads + 2 * spec.kv_heads;
    let simdgroups = SIMDGROUPS.min(units);
    let groups = if row_norms {
        1
    } else {
        units.div_ceil(simdgroups)
    };
    dispatches.push(Dispatch {
        kernel: Kernel::new(
            Source::Attention,
            "rope_and_cache",
            &[
                TemplateArgument::Type(element_type(cache.dtype())),
                TemplateArgument::Int(u32::from(row_norms)),
            ],
        ),
        arguments: args.to_bytes(),
        bindings,
        threadgroups: [groups, qkv.rows(), 1],
        threads: 32 * simdgroups,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::RopeArgs;
    use crate::metal::args::members_in_source;

    #[test]
    fn arguments_are_those_of_the_kernel() {
        let source = include_str!("rope.metal");
        assert_eq!(RopeArgs::members(), members_in_source(source, "RopeArgs"));
    }
}
