//! The dispatches of linear layers.
//!
//! There are two kernels: one for up to [`FEW_ROWS`] rows, which reads every weight once for all of them, and one that
//! computes tiles of the result. The bits of a row are the same for every number of rows that one of them is used for.

mod weights;

use super::{
    Access, Binding, BufferRange, Dispatch, Kernel, Memory, Source, TemplateArgument,
    args::kernel_args, misc,
};
use crate::{Activation, KernelError, Linear, Norm, Rows, Weight, Xielu, op::Epilogue};
use weights::{Format, Segment};

/// Up to this many rows, the kernel for few rows computes them, and normalizes them while it reads them.
const FEW_ROWS: usize = 4;
/// Weights of the same format that one dispatch can multiply.
const MAX_SEGMENTS: usize = 3;
/// Results of a SIMD group of the kernel for few rows; with a GLU half of them are gates.
const RESULTS: usize = 4;
/// Threads of a threadgroup of the kernel for few rows: two SIMD groups.
const ROWS_THREADS: usize = 64;
/// Rows of a tile.
const TILE_ROWS: usize = 32;
/// Outputs of a tile; with a GLU half of them are gates.
const TILE_OUTPUTS: usize = 64;
/// Threads that compute a tile.
const TILE_THREADS: usize = 128;

kernel_args! {
    /// As `LinearArgs` in `linear.metal`.
    struct LinearArgs {
        rows: u32,
        columns: u32,
        width: u32,
        activation: u32,
        alpha_p: f32,
        alpha_n: f32,
        beta: f32,
        largest: f32,
        combine: u32,
        scale: f32,
        eps: f32,
        outputs0: u32,
        outputs1: u32,
        outputs2: u32,
        column0: u32,
        column1: u32,
        column2: u32,
        first_threadgroup1: u32,
        first_threadgroup2: u32,
        biased0: u32,
        biased1: u32,
        biased2: u32,
        factor0: f32,
        factor1: f32,
        factor2: f32,
    }
}

/// What the dispatches of an operation share.
struct Call<'a> {
    memory: &'a Memory<'a>,
    x: &'a Rows,
    /// A norm that the kernel includes.
    norm: Option<&'a Norm>,
    dispatches: &'a mut Vec<Dispatch>,
}

/// What becomes of the sums of a dispatch.
#[derive(Clone, Copy, Default)]
struct Finish<'a> {
    activation: Option<Activation>,
    /// Whether there are two segments, gate and up.
    glu: bool,
    combine: Combine<'a>,
}

/// What is done with a value of another matrix.
#[derive(Clone, Copy, Default)]
enum Combine<'a> {
    #[default]
    Nothing,
    /// `other + scale · y`.
    ScaleAndAdd(&'a Rows, f32),
    /// `y · other`.
    Multiply(&'a Rows),
}

/// Adds the dispatches of linear layers: one for each format among the weights, or for each three weights of a format.
/// Gate and up projections of different formats are computed one after the other.
pub(super) fn plan(
    x: &Rows,
    norm: Option<&Norm>,
    linears: &[&Linear],
    epilogue: Epilogue<'_>,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let (norm, normalized): (_, Option<Rows>) = match norm {
        Some(norm) if !is_included(norm, x) => {
            let normalized = memory.scratch(x, x.rows(), x.width())?;
            misc::norm(x, norm, None, memory, &normalized, dispatches)?;
            (None, Some(normalized))
        }
        norm => (norm, None),
    };
    let mut call = Call {
        memory,
        x: normalized.as_ref().unwrap_or(x),
        norm,
        dispatches,
    };
    match (epilogue, linears) {
        (Epilogue::Glu(activation), [fused]) => {
            let halves = Segment::new(fused, 0, memory)?.halves();
            let finish = Finish {
                activation: Some(activation),
                glu: true,
                ..Finish::default()
            };
            call.add(&fused.weight, &halves, finish, out)
        }
        (Epilogue::Glu(activation), [gate, up]) => {
            let segments = [Segment::new(gate, 0, memory)?, Segment::new(up, 0, memory)?];
            let activation = Some(activation);
            if gate.weight.has_format_of(&up.weight) {
                let finish = Finish {
                    activation,
                    glu: true,
                    ..Finish::default()
                };
                return call.add(&gate.weight, &segments, finish, out);
            }
            let ups = memory.scratch(x, out.rows(), out.width())?;
            call.add(&up.weight, &segments[1..], Finish::default(), &ups)?;
            let finish = Finish {
                activation,
                combine: Combine::Multiply(&ups),
                ..Finish::default()
            };
            call.add(&gate.weight, &segments[..1], finish, out)
        }
        _ => {
            let finish = Finish {
                activation: match epilogue {
                    Epilogue::Activation(activation) => Some(activation),
                    _ => None,
                },
                combine: match epilogue {
                    Epilogue::ResidualAdd { residual, scale } => {
                        Combine::ScaleAndAdd(residual, scale)
                    }
                    _ => Combine::Nothing,
                },
                glu: false,
            };
            call.add_all(linears, finish, out)
        }
    }
}

/// Whether the kernel for few rows can normalize its input: it needs one factor for the whole row, which it applies to the
/// result.
fn is_included(norm: &Norm, x: &Rows) -> bool {
    let whole_row = norm.normalized_size(x.width()) == x.width();
    matches!(norm, Norm::Rms { .. }) && whole_row && x.rows() <= FEW_ROWS
}

impl Call<'_> {
    /// Adds dispatches for the products with all weights, whose results are next to each other.
    fn add_all(
        &mut self,
        linears: &[&Linear],
        finish: Finish<'_>,
        out: &Rows,
    ) -> Result<(), KernelError> {
        let mut column = 0;
        let mut groups: Vec<(&Weight, Vec<Segment>)> = Vec::new();
        for linear in linears {
            let weight = &linear.weight;
            let segment = Segment::new(linear, column, self.memory)?;
            column += weight.rows();
            let group = groups.iter_mut().find(|(other, segments)| {
                weight.has_format_of(other) && segments.len() < MAX_SEGMENTS
            });
            match group {
                Some((_, segments)) => segments.push(segment),
                None => groups.push((weight, vec![segment])),
            }
        }
        for (weight, segments) in groups {
            self.add(weight, &segments, finish, out)?;
        }
        Ok(())
    }

    /// Adds a dispatch for up to three segments of the format of `weight`.
    fn add(
        &mut self,
        weight: &Weight,
        segments: &[Segment],
        finish: Finish<'_>,
        out: &Rows,
    ) -> Result<(), KernelError> {
        let rows = self.x.rows();
        let few = rows <= FEW_ROWS;
        let results = if few { 2 * RESULTS } else { TILE_OUTPUTS };
        let results = if finish.glu { results / 2 } else { results };
        let glu = TemplateArgument::Int(u32::from(finish.glu));
        let mut template = Format::of(self.memory.op(), weight)?.arguments().to_vec();
        let (function, threads) = if few {
            template.extend([
                TemplateArgument::Int(rows as u32),
                TemplateArgument::Int(RESULTS as u32),
                glu,
                TemplateArgument::Int(norm_code(self.norm)),
            ]);
            ("linear_rows", ROWS_THREADS)
        } else {
            template.extend([TemplateArgument::Type("float"), glu]);
            ("linear_tile", TILE_THREADS)
        };
        let xielu = match finish.activation {
            Some(Activation::Xielu(parameters)) => parameters,
            _ => Xielu {
                alpha_p: 0.0,
                alpha_n: 0.0,
                beta: 0.0,
                eps: 0.0,
            },
        };
        let mut args = LinearArgs {
            rows: rows as u32,
            columns: weight.cols() as u32,
            width: out.width() as u32,
            activation: finish.activation.map_or(0, activation_code),
            alpha_p: xielu.alpha_p,
            alpha_n: xielu.alpha_n,
            beta: xielu.beta,
            largest: xielu.eps,
            // Segments that are not there have no threadgroups.
            first_threadgroup1: u32::MAX,
            first_threadgroup2: u32::MAX,
            ..LinearArgs::default()
        };
        let threadgroups = args.set_segments(segments, results, finish.glu);
        let bindings = self.bindings(&mut args, segments, finish, out)?;
        self.dispatches.push(Dispatch {
            kernel: Kernel::new(Source::Linear, function, &template),
            arguments: args.to_bytes(),
            bindings,
            threadgroups: [
                threadgroups,
                if few { 1 } else { rows.div_ceil(TILE_ROWS) },
                1,
            ],
            threads,
        });
        Ok(())
    }

    /// Binds memory, and sets the arguments that tell how it is used.
    fn bindings(
        &self,
        args: &mut LinearArgs,
        segments: &[Segment],
        finish: Finish<'_>,
        out: &Rows,
    ) -> Result<Vec<Binding>, KernelError> {
        let x = self.memory.rows(self.x)?;
        // All arguments of a kernel are bound, also those that it does not use.
        let unused = (x, Access::Read);
        let constant = |range: Option<BufferRange>| match range {
            Some(range) => (range, Access::Constant),
            None => unused,
        };
        let norm = match self.norm {
            Some(Norm::Rms { weight, eps }) => {
                args.eps = *eps;
                weight.as_ref()
            }
            _ => None,
        };
        let norm = norm.map(|weight| self.memory.param(weight)).transpose()?;
        let other = match finish.combine {
            Combine::Nothing => unused,
            Combine::ScaleAndAdd(other, scale) => {
                (args.combine, args.scale) = (1, scale);
                (self.memory.rows(other)?, Access::Read)
            }
            Combine::Multiply(other) => {
                args.combine = 2;
                (self.memory.rows(other)?, Access::Read)
            }
        };
        let out = columns_of(self.memory.rows(out)?, out, segments);
        let mut bindings = vec![
            (x, Access::Read),
            (out, Access::Write),
            constant(norm),
            other,
        ];
        for index in 0..MAX_SEGMENTS {
            let segment = segments.get(index);
            bindings.extend([
                constant(segment.map(|segment| segment.codes)),
                constant(segment.and_then(|segment| segment.scales)),
                constant(segment.and_then(|segment| segment.biases)),
                constant(segment.and_then(|segment| segment.bias)),
            ]);
        }
        Ok((1..)
            .zip(bindings)
            .map(|(index, (range, access))| Binding {
                index,
                range,
                access,
            })
            .collect())
    }
}

impl LinearArgs {
    /// Sets what is different for each segment. Returns the number of threadgroups, each of which computes `results`
    /// outputs of one segment, or of gate and up.
    fn set_segments(&mut self, segments: &[Segment], results: usize, glu: bool) -> usize {
        let first_column = segments.iter().map(|segment| segment.column).min();
        let mut threadgroups = 0;
        for (index, segment) in segments.iter().enumerate() {
            let outputs = segment.outputs as u32;
            let column = (segment.column - first_column.unwrap_or_default()) as u32;
            let biased = u32::from(segment.bias.is_some());
            match index {
                0 => {
                    (self.outputs0, self.column0) = (outputs, column);
                    (self.biased0, self.factor0) = (biased, segment.factor);
                }
                1 => {
                    (self.outputs1, self.column1) = (outputs, column);
                    (self.biased1, self.factor1) = (biased, segment.factor);
                    self.first_threadgroup1 = threadgroups as u32;
                }
                _ => {
                    (self.outputs2, self.column2) = (outputs, column);
                    (self.biased2, self.factor2) = (biased, segment.factor);
                    self.first_threadgroup2 = threadgroups as u32;
                }
            }
            if index == 0 || !glu {
                threadgroups += segment.outputs.div_ceil(results);
            }
        }
        threadgroups
    }
}

/// The part of `out`, which is at `range`, from the first to the last element that belongs to one of the segments. For one
/// row, dispatches for other segments write other memory.
fn columns_of(range: BufferRange, out: &Rows, segments: &[Segment]) -> BufferRange {
    let start = segments.iter().map(|segment| segment.column).min();
    let start = start.unwrap_or_default();
    let end = segments
        .iter()
        .map(|segment| segment.column + segment.outputs)
        .max();
    let width = end.unwrap_or_default() - start;
    BufferRange {
        offset: range.offset + start * size_of::<f32>(),
        bytes: ((out.rows() - 1) * out.width() + width) * size_of::<f32>(),
        ..range
    }
}

/// `LinearNorm` in `linear.metal`.
fn norm_code(norm: Option<&Norm>) -> u32 {
    match norm {
        Some(Norm::Rms {
            weight: Some(_), ..
        }) => 2,
        Some(_) => 1,
        None => 0,
    }
}

/// `LinearActivation` in `linear.metal`.
fn activation_code(activation: Activation) -> u32 {
    match activation {
        Activation::Silu => 1,
        Activation::Gelu => 2,
        Activation::GeluTanh => 3,
        Activation::GeluSigmoid => 4,
        Activation::Relu => 5,
        Activation::Relu2 => 6,
        Activation::Xielu(_) => 7,
    }
}

#[cfg(test)]
mod tests;
