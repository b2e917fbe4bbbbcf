//! Weights of a format, with made-up values.

use std::fmt;

use crate::{
    Bytes, FloatType, KernelError, Kernels, Linear, QuantMode, QuantSpec, ScaleType, Weight,
    quantize::quantize_row,
};

/// What decides which kernels multiply a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WeightFormat {
    /// `None` for plain floats.
    spec: Option<QuantSpec>,
    /// The type of the floats, or of affine scales.
    float: FloatType,
}

impl WeightFormat {
    /// Plain floats.
    pub fn dense(float: FloatType) -> Self {
        Self { spec: None, float }
    }

    /// Quantized values; `float` is the type of affine scales.
    pub fn quantized(spec: QuantSpec, float: FloatType) -> Self {
        Self {
            spec: Some(spec),
            float,
        }
    }

    /// A linear layer `[outputs, inputs]` on a device, with a bias.
    pub(super) fn linear(
        self,
        kernels: &Kernels,
        outputs: usize,
        inputs: usize,
        noise: &mut Noise,
    ) -> Result<Linear, KernelError> {
        Ok(Linear {
            weight: self.weight(kernels, outputs, inputs, noise)?,
            bias: Some(noise.floats(outputs).into()),
        })
    }

    /// A weight `[rows, cols]` on a device.
    pub(super) fn weight(
        self,
        kernels: &Kernels,
        rows: usize,
        cols: usize,
        noise: &mut Noise,
    ) -> Result<Weight, KernelError> {
        let values = noise.floats(rows * cols);
        let weight = match self.spec {
            None => {
                let bytes = self.float_bytes(&values);
                Weight::dense(rows, cols, self.float, Bytes::owned(bytes))
            }
            Some(spec) => {
                let (mut packed, mut scales, mut biases) = (Vec::new(), Vec::new(), Vec::new());
                for row in values.chunks_exact(cols) {
                    quantize_row(row, spec, self.float, &mut packed, &mut scales, &mut biases);
                }
                let affine = spec.mode == QuantMode::Affine;
                let scale_type = if affine {
                    self.float.into()
                } else {
                    ScaleType::U8
                };
                Weight::quantized(
                    rows,
                    cols,
                    spec,
                    Bytes::owned(packed),
                    Bytes::owned(scales),
                    scale_type,
                    affine.then(|| Bytes::owned(biases)),
                    None,
                )
            }
        };
        kernels.repack(weight?)
    }

    fn float_bytes(self, values: &[f32]) -> Vec<u8> {
        let values = values.iter().copied();
        match self.float {
            FloatType::F32 => values.flat_map(f32::to_le_bytes).collect(),
            FloatType::F16 => values
                .flat_map(|value| half::f16::from_f32(value).to_le_bytes())
                .collect(),
            FloatType::BF16 => values
                .flat_map(|value| half::bf16::from_f32(value).to_le_bytes())
                .collect(),
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spec {
            Some(spec) => write!(f, "{spec} with {}", self.float),
            None => self.float.fmt(f),
        }
    }
}

/// Deterministic values (a linear congruential generator).
pub(super) struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Values between -1 and 1.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }
}
