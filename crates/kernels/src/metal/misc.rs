//! The dispatches of embeddings, norms, element-wise functions, gathers and argmax.

use super::{Binding, Dispatch, Kernel, Memory, Source, TemplateArgument, args::kernel_args};
use crate::{
    FloatType, Indices, KernelError, Norm, Param, QuantMode, Rows, Weight,
    op::{BinaryFunction, Function},
    weight::{Scales, Storage},
};

/// Threads of a threadgroup, one for each element.
const THREADS: usize = 256;
/// Most SIMD groups that normalize columns together.
const NORM_SIMDGROUPS: usize = 8;
/// Most SIMD groups that read a row of logits together.
const ARGMAX_SIMDGROUPS: usize = 32;

kernel_args! {
    /// As `EmbedArgs` in `misc.metal`.
    struct EmbedArgs {
        columns: u32,
        bits: u32,
        group: u32,
        row_bytes: u32,
        factor: f32,
    }
}

kernel_args! {
    /// As `NormArgs` in `misc.metal`.
    struct NormArgs {
        width: u32,
        groups: u32,
        centered: u32,
        weighted: u32,
        biased: u32,
        residual: u32,
        scale: f32,
        eps: f32,
    }
}

kernel_args! {
    /// As `BinaryArgs` in `misc.metal`.
    struct BinaryArgs {
        width: u32,
        y_width: u32,
        columns: u32,
    }
}

kernel_args! {
    /// As `ElementwiseArgs` in `misc.metal`.
    struct ElementwiseArgs {
        width: u32,
        value: f32,
    }
}

kernel_args! {
    /// As `GatherArgs` in `misc.metal`.
    struct GatherArgs {
        width: u32,
    }
}

kernel_args! {
    /// As `ArgmaxArgs` in `misc.metal`.
    struct ArgmaxArgs {
        width: u32,
    }
}

/// Adds the dispatch of [`crate::Pass::embed`].
pub(super) fn embed(
    ids: Indices,
    table: &Weight,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let mut args = EmbedArgs {
        columns: table.cols() as u32,
        factor: 1.0,
        ..EmbedArgs::default()
    };
    let (format, scale_type, parts) = match table.storage() {
        Storage::Dense(values) => {
            let values_range = memory.floats(values)?;
            let parts = [values_range; 3];
            (0, type_name(values.float_type()), parts)
        }
        Storage::Quantized(quantized) => {
            args.bits = quantized.spec.bits;
            args.group = quantized.spec.group_size as u32;
            args.row_bytes = quantized.row_bytes as u32;
            let codes = memory.bytes(&quantized.weight)?;
            match &quantized.scales {
                Scales::Affine { scales, biases } => {
                    let parts = [codes, memory.floats(scales)?, memory.floats(biases)?];
                    (1, type_name(scales.float_type()), parts)
                }
                Scales::E8m0(scales) => {
                    let scales = memory.bytes(scales)?;
                    let format = if quantized.spec.mode == QuantMode::Mxfp4 {
                        2
                    } else {
                        4
                    };
                    (format, "uchar", [codes, scales, scales])
                }
                Scales::E4m3 {
                    codes: scales,
                    factor,
                } => {
                    args.factor = *factor;
                    let scales = memory.bytes(scales)?;
                    (3, "uchar", [codes, scales, scales])
                }
            }
        }
        Storage::Repacked(_) => {
            let problem = "a weight that was repacked for another device";
            let op = memory.op();
            return Err(KernelError::Handle { op, problem });
        }
    };
    let [codes, scales, biases] = parts;
    add(
        dispatches,
        "embed",
        &[
            TemplateArgument::Int(format),
            TemplateArgument::Type(scale_type),
        ],
        args.to_bytes(),
        vec![
            Binding::read(1, memory.indices(ids)?),
            Binding::write(2, memory.rows(out)?),
            Binding::constant(3, codes),
            Binding::constant(4, scales),
            Binding::constant(5, biases),
        ],
        out,
    );
    Ok(())
}

/// Adds the dispatch of [`crate::Pass::norm`] or [`crate::Pass::add_normed`].
pub(super) fn norm(
    x: &Rows,
    norm: &Norm,
    residual: Option<(&Rows, f32)>,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let columns = norm.normalized_size(x.width());
    let (weight, bias, eps, groups) = match norm {
        Norm::Rms { weight, eps } => (weight.as_ref(), None, *eps, 1),
        Norm::Layer {
            weight,
            bias,
            groups,
            eps,
        } => (weight.as_ref(), bias.as_ref(), *eps, *groups),
    };
    let centered = matches!(norm, Norm::Layer { .. });
    let width = columns / groups.max(1);
    let args = NormArgs {
        width: width as u32,
        groups: groups as u32,
        centered: u32::from(centered),
        weighted: u32::from(weight.is_some()),
        biased: u32::from(bias.is_some()),
        residual: u32::from(residual.is_some()),
        scale: residual.map_or(0.0, |(_, scale)| scale),
        eps,
    };
    let input = memory.rows(x)?;
    let param = |index, param: Option<&Param>| {
        Ok::<_, KernelError>(match param {
            Some(param) => Binding::constant(index, memory.param(param)?),
            // Arguments that the kernel does not use are bound to its input.
            None => Binding::read(index, input),
        })
    };
    let residual = match residual {
        Some((residual, _)) => memory.rows(residual)?,
        None => input,
    };
    let simdgroups = simdgroups(width, NORM_SIMDGROUPS);
    let parts = x.rows() * (x.width() / width.max(1));
    dispatches.push(Dispatch {
        kernel: Kernel::new(
            Source::Misc,
            "norm",
            &[TemplateArgument::Int(simdgroups as u32)],
        ),
        arguments: args.to_bytes(),
        bindings: vec![
            Binding::read(1, input),
            Binding::write(2, memory.rows(out)?),
            param(3, weight)?,
            param(4, bias)?,
            Binding::read(5, residual),
        ],
        threadgroups: [parts, 1, 1],
        threads: 32 * simdgroups,
    });
    Ok(())
}

/// Adds the dispatch of [`crate::Pass::scale`] or [`crate::Pass::softcap`].
pub(super) fn elementwise(
    x: &Rows,
    function: Function,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let (index, value) = match function {
        Function::Scale(factor) => (0, factor),
        Function::Softcap(cap) => (1, cap),
    };
    let args = ElementwiseArgs {
        width: x.width() as u32,
        value,
    };
    add(
        dispatches,
        "elementwise",
        &[TemplateArgument::Int(index)],
        args.to_bytes(),
        vec![
            Binding::read(1, memory.rows(x)?),
            Binding::write(2, memory.rows(out)?),
        ],
        out,
    );
    Ok(())
}

/// Adds the dispatch of [`crate::Pass::add`] or [`crate::Pass::sigmoid_gate`].
pub(super) fn binary(
    x: &Rows,
    y: &Rows,
    function: BinaryFunction,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let args = BinaryArgs {
        width: x.width() as u32,
        y_width: y.width() as u32,
        columns: (x.width() / y.width().max(1)) as u32,
    };
    let index = match function {
        BinaryFunction::Add => 0,
        BinaryFunction::SigmoidGate => 1,
    };
    add(
        dispatches,
        "binary",
        &[TemplateArgument::Int(index)],
        args.to_bytes(),
        vec![
            Binding::read(1, memory.rows(x)?),
            Binding::write(2, memory.rows(out)?),
            Binding::read(3, memory.rows(y)?),
        ],
        out,
    );
    Ok(())
}

/// Adds the dispatch of [`crate::Pass::gather_rows`].
pub(super) fn gather_rows(
    x: &Rows,
    indices: Indices,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let args = GatherArgs {
        width: x.width() as u32,
    };
    add(
        dispatches,
        "gather_rows",
        &[TemplateArgument::Int(THREADS as u32)],
        args.to_bytes(),
        vec![
            Binding::read(1, memory.rows(x)?),
            Binding::write(2, memory.rows(out)?),
            Binding::read(3, memory.indices(indices)?),
        ],
        out,
    );
    Ok(())
}

/// Adds the dispatch of [`crate::Pass::argmax`].
pub(super) fn argmax(
    x: &Rows,
    memory: &Memory<'_>,
    out: &Rows,
    dispatches: &mut Vec<Dispatch>,
) -> Result<(), KernelError> {
    let args = ArgmaxArgs {
        width: x.width() as u32,
    };
    let simdgroups = simdgroups(x.width(), ARGMAX_SIMDGROUPS);
    dispatches.push(Dispatch {
        kernel: Kernel::new(
            Source::Misc,
            "argmax",
            &[TemplateArgument::Int(simdgroups as u32)],
        ),
        arguments: args.to_bytes(),
        bindings: vec![
            Binding::read(1, memory.rows(x)?),
            Binding::write(2, memory.rows(out)?),
        ],
        threadgroups: [x.rows(), 1, 1],
        threads: 32 * simdgroups,
    });
    Ok(())
}

/// SIMD groups for a row of `width`: a power of two up to `most`.
fn simdgroups(width: usize, most: usize) -> usize {
    width.div_ceil(32).clamp(1, most).next_power_of_two()
}

/// Adds a dispatch with a thread for each element of `out`.
fn add(
    dispatches: &mut Vec<Dispatch>,
    function: &'static str,
    template: &[TemplateArgument],
    arguments: Vec<u8>,
    bindings: Vec<Binding>,
    out: &Rows,
) {
    dispatches.push(Dispatch {
        kernel: Kernel::new(Source::Misc, function, template),
        arguments,
        bindings,
        threadgroups: [out.width().div_ceil(THREADS), out.rows(), 1],
        threads: THREADS,
    });
}

/// The type of floats in Metal.
fn type_name(float: FloatType) -> &'static str {
    match float {
        FloatType::F32 => "float",
        FloatType::F16 => "half",
        FloatType::BF16 => "bf16",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metal::args::members_in_source;

    #[test]
    fn arguments_are_those_of_the_kernels() {
        let source = include_str!("misc.metal");
        for (name, members) in [
            ("EmbedArgs", EmbedArgs::members()),
            ("NormArgs", NormArgs::members()),
            ("BinaryArgs", BinaryArgs::members()),
            ("ElementwiseArgs", ElementwiseArgs::members()),
            ("GatherArgs", GatherArgs::members()),
            ("ArgmaxArgs", ArgmaxArgs::members()),
        ] {
            assert_eq!(members, members_in_source(source, name), "{name}");
        }
    }
}
