//! The dispatches of attention.
//!
//! What is computed for a row depends on its own position and on the kind of its span, never on the other rows: rows of
//! short spans are computed one by one, in one pass or, if they see many positions, in parts that a second dispatch
//! merges; longer spans are computed in runs of rows.

use super::{
    Access, Binding, BufferRange, Dispatch, Kernel, Memory, Source, TemplateArgument,
    args::kernel_args,
    kv_layout::{Tile, element_type},
    queries::QueryList,
};
use crate::{AttentionSpec, KernelError, KvCache, KvCacheDtype, Rows, Spans};

/// Rows that see more positions are computed in parts.
const ONE_PASS_POSITIONS: usize = 1024;
/// Positions of a part, until there are [`MAX_PARTS`].
const PART_POSITIONS: usize = 512;
/// Most parts of a row. They limit the memory of partial results.
const MAX_PARTS: usize = 64;
/// SIMD groups of a threadgroup, which share the positions of a row.
const SIMDGROUPS: usize = 16;
/// Fewest SIMD groups that share the positions of a part.
const MIN_SPLITS: usize = 4;
/// SIMD groups that merge the parts of a row.
const MERGE_SIMDGROUPS: usize = 8;
/// SIMD groups that compute a run of rows, each eight of them.
const RUN_SIMDGROUPS: usize = 4;
/// The widest head.
const MAX_HEAD_DIM: usize = 256;

kernel_args! {
    /// As `AttentionArgs` in `attention.metal`.
    struct AttentionArgs {
        heads: u32,
        kv_heads: u32,
        key_dim: u32,
        value_dim: u32,
        scale: f32,
        softcap: f32,
        window: u32,
        sinks: u32,
        block_size: u32,
        block_shift: u32,
        key_tile_bytes: u32,
        value_tile_bytes: u32,
        key_scales: u32,
        value_scales: u32,
        first_query: u32,
        queries: u32,
        end_row: u32,
        one_pass_positions: u32,
        part_positions: u32,
        max_parts: u32,
        parts: u32,
        group_heads: u32,
        splits: u32,
    }
}

/// How the elements of a head are spread over a SIMD group.
#[derive(Clone, Copy)]
struct Spread {
    /// Elements of one load.
    width: u32,
    /// Loads of a lane.
    loads: u32,
    /// 8 × 8 matrices side by side.
    matrices: u32,
}

impl Spread {
    fn new(head_dim: usize) -> Self {
        // The widest load that all lanes take part in, if there is one.
        let width = match head_dim {
            dim if dim % 4 == 0 && dim > 64 => 4,
            dim if dim % 2 == 0 => 2,
            _ => 1,
        };
        Self {
            width: width as u32,
            loads: head_dim.div_ceil(32 * width) as u32,
            matrices: head_dim.div_ceil(8) as u32,
        }
    }
}

/// Adds the dispatches of [`crate::Pass::attention`].
pub(super) fn plan(
    q: &Rows,
    cache: &KvCache,
    spans: Spans,
    spec: &AttentionSpec,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let op = memory.op();
    let (key_dim, value_dim) = (spec.head_dim, spec.value_dim);
    if key_dim.max(value_dim) > MAX_HEAD_DIM {
        return Err(KernelError::Shape {
            op,
            left: format!("heads of {key_dim} and {value_dim}"),
            right: format!("kernels for heads of at most {MAX_HEAD_DIM}"),
        });
    }
    let list = QueryList::new(memory.arguments().spans(op, spans)?);
    let (key_tile, value_tile) = Tile::of_cache(cache.shape(), cache.dtype());
    let block_size = cache.shape().block_size;
    let args = AttentionArgs {
        heads: spec.heads as u32,
        kv_heads: spec.kv_heads as u32,
        key_dim: key_dim as u32,
        value_dim: value_dim as u32,
        scale: spec.scale,
        softcap: spec.softcap.unwrap_or_default(),
        window: spec.window.unwrap_or_default() as u32,
        sinks: u32::from(spec.sinks.is_some()),
        block_size: block_size as u32,
        block_shift: if block_size.is_power_of_two() {
            block_size.trailing_zeros()
        } else {
            u32::BITS
        },
        key_tile_bytes: key_tile.bytes as u32,
        value_tile_bytes: value_tile.bytes as u32,
        key_scales: key_tile.scales as u32,
        value_scales: value_tile.scales as u32,
        queries: list.singles.len() as u32,
        end_row: list.end as u32,
        one_pass_positions: ONE_PASS_POSITIONS as u32,
        part_positions: PART_POSITIONS as u32,
        max_parts: MAX_PARTS as u32,
        ..AttentionArgs::default()
    };
    let (keys, values) = memory.kv(cache)?;
    let words = memory.spans(spans, || Ok(list.encode()))?;
    let call = Call {
        spec,
        dtype: cache.dtype(),
        args,
        q: memory.rows(q)?,
        keys,
        values,
        spans: words,
        sinks: match &spec.sinks {
            Some(sinks) => Some(memory.param(sinks)?),
            None => None,
        },
        out: memory.rows(out)?,
    };

    let visible = |index: usize| list.singles[index].visible(spec.window);
    let in_parts = |index: &usize| visible(*index) > ONE_PASS_POSITIONS;
    let singles = 0..list.singles.len();
    // Rows beyond the last span see nothing.
    let rows_of_no_span = out.rows() - list.end;
    let first = singles.clone().find(|index| !in_parts(index));
    let first = first.unwrap_or(list.singles.len());
    let single_rows = list.singles.len() - first + rows_of_no_span;
    if single_rows > 0 {
        dispatches.push(call.rows(first, single_rows));
    }
    if !list.runs.is_empty() {
        dispatches.push(call.runs(list.singles.len(), list.runs.len()));
    }
    if let Some(last) = singles.clone().rev().find(in_parts) {
        let rows = last + 1;
        let longest = (0..rows).map(visible).max().unwrap_or_default();
        let parts = MAX_PARTS.min(longest.div_ceil(PART_POSITIONS));
        let width = spec.heads * parts * (value_dim + 2);
        let partials = memory.scratch(q, rows, width)?;
        let range = memory.rows(&partials)?;
        dispatches.push(call.parts(rows, parts, range));
        dispatches.push(call.merge(rows, parts, range));
    }
    Ok(())
}

/// What the dispatches of a call have in common.
struct Call<'a> {
    spec: &'a AttentionSpec,
    dtype: KvCacheDtype,
    args: AttentionArgs,
    q: BufferRange,
    keys: BufferRange,
    values: BufferRange,
    spans: BufferRange,
    sinks: Option<BufferRange>,
    out: BufferRange,
}

impl Call<'_> {
    /// The rows `first..first + rows` of the list of single rows and those that follow it, in one pass.
    fn rows(&self, first: usize, rows: usize) -> Dispatch {
        let args = AttentionArgs {
            first_query: first as u32,
            group_heads: 1,
            splits: SIMDGROUPS as u32,
            ..self.args
        };
        Dispatch {
            kernel: self.row_kernel(false),
            arguments: args.to_bytes(),
            bindings: self.bindings(self.out),
            threadgroups: [1, self.spec.heads, rows],
            threads: 32 * SIMDGROUPS,
        }
    }

    /// The parts of the first `rows` single rows. Query heads that share keys are in the same threadgroup.
    fn parts(&self, rows: usize, parts: usize, partials: BufferRange) -> Dispatch {
        let shared = self.spec.heads / self.spec.kv_heads;
        let group_heads = (1..=SIMDGROUPS / MIN_SPLITS)
            .rev()
            .find(|heads| shared.is_multiple_of(*heads))
            .unwrap_or(1);
        let splits = SIMDGROUPS / group_heads;
        let args = AttentionArgs {
            parts: parts as u32,
            group_heads: group_heads as u32,
            splits: splits as u32,
            ..self.args
        };
        Dispatch {
            kernel: self.row_kernel(true),
            arguments: args.to_bytes(),
            bindings: self.bindings(partials),
            threadgroups: [parts, self.spec.heads / group_heads, rows],
            threads: 32 * group_heads * splits,
        }
    }

    /// Merges the parts of the first `rows` single rows.
    fn merge(&self, rows: usize, parts: usize, partials: BufferRange) -> Dispatch {
        let value = Spread::new(self.spec.value_dim);
        let args = AttentionArgs {
            parts: parts as u32,
            ..self.args
        };
        Dispatch {
            kernel: kernel("attention_merge", None, &[value.width, value.loads]),
            arguments: args.to_bytes(),
            bindings: vec![
                binding(1, partials, Access::Read),
                binding(2, self.spans, Access::Read),
                self.sinks(3),
                binding(4, self.out, Access::Write),
            ],
            threadgroups: [self.spec.heads, rows, 1],
            threads: 32 * MERGE_SIMDGROUPS,
        }
    }

    /// The runs of rows, which are `first..first + runs` of the list.
    fn runs(&self, first: usize, runs: usize) -> Dispatch {
        let args = AttentionArgs {
            first_query: first as u32,
            ..self.args
        };
        let (key, value) = (
            Spread::new(self.spec.head_dim),
            Spread::new(self.spec.value_dim),
        );
        // Halves are exact in matrices of halves; other types take floats. Keys and values take 17 KiB at most.
        let (staged, positions) = match self.dtype {
            KvCacheDtype::F16 => ("half", 32),
            _ if key.matrices.max(value.matrices) <= 16 => ("float", 32),
            _ => ("float", 16),
        };
        let mut arguments = vec![
            TemplateArgument::Type(element_type(self.dtype)),
            TemplateArgument::Type(staged),
        ];
        arguments.extend(
            [
                key.width,
                key.matrices,
                value.width,
                value.matrices,
                positions,
            ]
            .map(TemplateArgument::Int),
        );
        Dispatch {
            kernel: Kernel::new(Source::Attention, "attention_tiles", &arguments),
            arguments: args.to_bytes(),
            bindings: self.bindings(self.out),
            threadgroups: [self.spec.heads, runs, 1],
            threads: 32 * RUN_SIMDGROUPS,
        }
    }

    fn row_kernel(&self, parts: bool) -> Kernel {
        let (key, value) = (
            Spread::new(self.spec.head_dim),
            Spread::new(self.spec.value_dim),
        );
        let numbers = [
            key.width,
            key.loads,
            value.width,
            value.loads,
            u32::from(parts),
        ];
        kernel("attention_rows", Some(self.dtype), &numbers)
    }

    /// Of the kernels that read the cache.
    fn bindings(&self, out: BufferRange) -> Vec<Binding> {
        vec![
            binding(1, self.q, Access::Read),
            binding(2, self.keys, Access::Read),
            binding(3, self.values, Access::Read),
            binding(4, self.spans, Access::Read),
            self.sinks(5),
            binding(6, out, Access::Write),
        ]
    }

    /// The sinks, or memory that is not read.
    fn sinks(&self, index: u32) -> Binding {
        match self.sinks {
            Some(sinks) => binding(index, sinks, Access::Constant),
            None => binding(index, self.spans, Access::Read),
        }
    }
}

fn binding(index: u32, range: BufferRange, access: Access) -> Binding {
    Binding {
        index,
        range,
        access,
    }
}

fn kernel(function: &'static str, dtype: Option<KvCacheDtype>, numbers: &[u32]) -> Kernel {
    let types = dtype.map(|dtype| TemplateArgument::Type(element_type(dtype)));
    let numbers = numbers.iter().copied().map(TemplateArgument::Int);
    let arguments: Vec<_> = types.into_iter().chain(numbers).collect();
    Kernel::new(Source::Attention, function, &arguments)
}

#[cfg(test)]
mod tests {
    use super::{AttentionArgs, RUN_SIMDGROUPS};
    use crate::metal::{args::members_in_source, queries::RUN_ROWS};

    #[test]
    fn arguments_are_those_of_the_kernels() {
        let source = include_str!("attention.metal");
        assert_eq!(
            AttentionArgs::members(),
            members_in_source(source, "AttentionArgs")
        );
    }

    #[test]
    fn run_fits_into_a_threadgroup() {
        assert_eq!(RUN_ROWS, 8 * RUN_SIMDGROUPS);
    }
}
