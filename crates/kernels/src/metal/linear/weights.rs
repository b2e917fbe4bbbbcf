//! How the kernels get weights.

use super::super::{BufferRange, Memory, TemplateArgument};
use crate::{
    FloatType, KernelError, Linear, QuantMode, QuantSpec, Weight,
    weight::{Quantized, Scales, Storage},
};

/// The first template arguments of the kernels: how a weight is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// `WeightFormat` in `quant.metal`.
    code: u32,
    bits: u32,
    /// Values that share a scale; of dense weights, values that a thread takes at once.
    group: u32,
    /// The type of scales or of dense values.
    float: &'static str,
}

impl Format {
    pub fn of(op: &'static str, weight: &Weight) -> Result<Self, KernelError> {
        let float = weight
            .storage()
            .float_type()
            .map_or("uchar", |float| match float {
                FloatType::F32 => "float",
                FloatType::F16 => "half",
                FloatType::BF16 => "bf16",
            });
        match weight.storage() {
            Storage::Dense(_) => Ok(Self {
                code: 0,
                bits: 1,
                group: if weight.cols().is_multiple_of(4) {
                    4
                } else {
                    1
                },
                float,
            }),
            Storage::Quantized(Quantized { spec, .. }) => {
                let QuantSpec {
                    mode,
                    group_size,
                    bits,
                } = *spec;
                Ok(Self {
                    code: match mode {
                        QuantMode::Affine => 1,
                        QuantMode::Mxfp4 => 2,
                        QuantMode::Nvfp4 => 3,
                        QuantMode::Mxfp8 => 4,
                    },
                    bits,
                    group: group_size as u32,
                    float,
                })
            }
            Storage::Repacked(_) => Err(repacked(op)),
        }
    }

    pub fn arguments(self) -> [TemplateArgument; 4] {
        use TemplateArgument::{Int, Type};
        [
            Int(self.code),
            Int(self.bits),
            Int(self.group),
            Type(self.float),
        ]
    }
}

/// A weight of a dispatch, or a half of one.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub outputs: usize,
    /// The first column in the result.
    pub column: usize,
    pub codes: BufferRange,
    pub scales: Option<BufferRange>,
    pub biases: Option<BufferRange>,
    /// The bias of the layer.
    pub bias: Option<BufferRange>,
    /// Of all scales.
    pub factor: f32,
}

impl Segment {
    pub fn new(linear: &Linear, column: usize, memory: &Memory<'_>) -> Result<Self, KernelError> {
        let Linear { weight, bias } = linear;
        let (codes, scales, biases, factor) = match weight.storage() {
            Storage::Dense(values) => (memory.floats(values)?, None, None, 1.0),
            Storage::Quantized(Quantized { weight, scales, .. }) => {
                let codes = memory.bytes(weight)?;
                match scales {
                    Scales::Affine { scales, biases } => {
                        let biases = memory.floats(biases)?;
                        (codes, Some(memory.floats(scales)?), Some(biases), 1.0)
                    }
                    Scales::E8m0(scales) => (codes, Some(memory.bytes(scales)?), None, 1.0),
                    Scales::E4m3 {
                        codes: scales,
                        factor,
                    } => (codes, Some(memory.bytes(scales)?), None, *factor),
                }
            }
            Storage::Repacked(_) => return Err(repacked(memory.op())),
        };
        Ok(Self {
            outputs: weight.rows(),
            column,
            codes,
            scales,
            biases,
            bias: match bias {
                Some(bias) => Some(memory.param(bias)?),
                None => None,
            },
            factor,
        })
    }

    /// The gate and the up half of a fused weight, which is stored row by row.
    pub fn halves(self) -> [Self; 2] {
        let half = |index| {
            let part = |range: BufferRange| BufferRange {
                offset: range.offset + index * (range.bytes / 2),
                bytes: range.bytes / 2,
                ..range
            };
            Self {
                outputs: self.outputs / 2,
                codes: part(self.codes),
                scales: self.scales.map(part),
                biases: self.biases.map(part),
                bias: self.bias.map(part),
                ..self
            }
        };
        [half(0), half(1)]
    }
}

fn repacked(op: &'static str) -> KernelError {
    let problem = "a weight that is repacked for another device";
    KernelError::Handle { op, problem }
}
