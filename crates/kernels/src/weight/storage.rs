//! How the values of a weight are stored.

use std::sync::Arc;

use half::{bf16, f16};

use crate::{
    bytes::{Bytes, Typed},
    cpu::repack::RepackedWeight,
    quant::{self, FloatType, QuantSpec},
};

/// The memory layout of a weight.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    Dense(Floats),
    Quantized(Quantized),
    /// Repacked for the CPU kernels.
    Repacked(Arc<RepackedWeight>),
}

/// Packed values as the checkpoint stores them.
#[derive(Clone, Debug)]
pub(crate) struct Quantized {
    pub spec: QuantSpec,
    /// Rows of `row_bytes` bytes.
    pub weight: Bytes,
    pub row_bytes: usize,
    pub groups_per_row: usize,
    pub scales: Scales,
}

/// One scale per group, and in affine mode one bias.
#[derive(Clone, Debug)]
pub(crate) enum Scales {
    Affine { scales: Floats, biases: Floats },
    E8m0(Bytes),
    E4m3 { codes: Bytes, factor: f32 },
}

impl Quantized {
    /// Scale and bias of group `group`, counted over the whole weight.
    pub fn scale_and_bias(&self, group: usize) -> (f32, f32) {
        match &self.scales {
            Scales::Affine { scales, biases } => (scales.get(group), biases.get(group)),
            Scales::E8m0(codes) => (quant::e8m0_to_f32(codes.as_slice()[group]), 0.0),
            Scales::E4m3 { codes, factor } => {
                (quant::e4m3_to_f32(codes.as_slice()[group]) * factor, 0.0)
            }
        }
    }
}

/// The sizes of the parts of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredBytes {
    pub values: usize,
    pub scales: usize,
    /// Of affine quantization.
    pub biases: usize,
}

impl Scales {
    fn release(&self) {
        match self {
            Self::Affine { scales, biases } => {
                scales.release();
                biases.release();
            }
            Self::E8m0(codes) | Self::E4m3 { codes, .. } => codes.release(),
        }
    }
}

/// Returns the same bytes at a place that is aligned to a number of bytes.
pub(crate) type Place<'a, E> = dyn FnMut(&Bytes, usize) -> Result<Bytes, E> + 'a;

impl Storage {
    /// The same values with every part where `place` puts it.
    pub fn placed<E>(&self, place: &mut Place<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Dense(values) => Self::Dense(values.placed(place)?),
            Self::Quantized(quantized) => Self::Quantized(Quantized {
                weight: place(&quantized.weight, size_of::<u32>())?,
                scales: match &quantized.scales {
                    Scales::Affine { scales, biases } => Scales::Affine {
                        scales: scales.placed(place)?,
                        biases: biases.placed(place)?,
                    },
                    Scales::E8m0(codes) => Scales::E8m0(place(codes, 1)?),
                    Scales::E4m3 { codes, factor } => Scales::E4m3 {
                        codes: place(codes, 1)?,
                        factor: *factor,
                    },
                },
                ..*quantized
            }),
            Self::Repacked(_) => self.clone(),
        })
    }

    /// Bytes of values, scales and biases. Those of a repacked weight are not distinguished.
    pub fn stored_bytes(&self) -> StoredBytes {
        let (values, scales, biases) = match self {
            Self::Dense(values) => (values.size_bytes(), 0, 0),
            Self::Quantized(Quantized { weight, scales, .. }) => match scales {
                Scales::Affine { scales, biases } => {
                    (weight.len(), scales.size_bytes(), biases.size_bytes())
                }
                Scales::E8m0(codes) | Scales::E4m3 { codes, .. } => (weight.len(), codes.len(), 0),
            },
            Self::Repacked(repacked) => (repacked.size_bytes(), 0, 0),
        };
        StoredBytes {
            values,
            scales,
            biases,
        }
    }

    /// Bytes of values, scales and biases.
    pub fn size_bytes(&self) -> usize {
        let StoredBytes {
            values,
            scales,
            biases,
        } = self.stored_bytes();
        values + scales + biases
    }

    /// The type of dense values, or of the scales of affine quantization.
    pub fn float_type(&self) -> Option<FloatType> {
        match self {
            Self::Dense(values) => Some(values.float_type()),
            Self::Quantized(Quantized { scales, .. }) => match scales {
                Scales::Affine { scales, .. } => Some(scales.float_type()),
                Scales::E8m0(_) | Scales::E4m3 { .. } => None,
            },
            Self::Repacked(_) => None,
        }
    }

    /// Returns the memory of a mapped checkpoint to the system; it is read from the file again when needed.
    pub fn release(&self) {
        match self {
            Self::Dense(values) => values.release(),
            Self::Quantized(quantized) => {
                quantized.weight.release();
                quantized.scales.release();
            }
            Self::Repacked(_) => {}
        }
    }
}

/// Floats in their stored type.
#[derive(Clone, Debug)]
pub(crate) enum Floats {
    F32(Typed<f32>),
    F16(Typed<u16>),
    BF16(Typed<u16>),
}

impl Floats {
    pub fn new(float: FloatType, bytes: &Bytes) -> Option<Self> {
        Some(match float {
            FloatType::F32 => Self::F32(bytes.typed()?),
            FloatType::F16 => Self::F16(bytes.typed()?),
            FloatType::BF16 => Self::BF16(bytes.typed()?),
        })
    }

    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values[index],
            Self::F16(values) => f16::from_bits(values[index]).to_f32(),
            Self::BF16(values) => bf16::from_bits(values[index]).to_f32(),
        }
    }

    pub fn float_type(&self) -> FloatType {
        match self {
            Self::F32(_) => FloatType::F32,
            Self::F16(_) => FloatType::F16,
            Self::BF16(_) => FloatType::BF16,
        }
    }

    pub fn size_bytes(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(&**values),
            Self::F16(values) | Self::BF16(values) => size_of_val(&**values),
        }
    }

    pub fn element_bytes(&self) -> usize {
        match self {
            Self::F32(_) => 4,
            Self::F16(_) | Self::BF16(_) => 2,
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::F32(values) => values.as_bytes(),
            Self::F16(values) | Self::BF16(values) => values.as_bytes(),
        }
    }

    /// The storage of the floats.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::F32(values) => values.bytes(),
            Self::F16(values) | Self::BF16(values) => values.bytes(),
        }
    }

    /// These floats where `place` puts them; it keeps their length.
    fn placed<E>(&self, place: &mut Place<'_, E>) -> Result<Self, E> {
        let bytes = place(self.bytes(), self.element_bytes())?;
        // `new` fails only for another length.
        Ok(Self::new(self.float_type(), &bytes).unwrap_or_else(|| self.clone()))
    }

    /// Returns the memory of a mapped file to the system; see [`Bytes::release`].
    pub fn release(&self) {
        match self {
            Self::F32(values) => values.release(),
            Self::F16(values) | Self::BF16(values) => values.release(),
        }
    }
}
