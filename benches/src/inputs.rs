//! Inputs of the right shapes; their values do not affect the times.

use half::{bf16, f16};
use mlxm_kernels::{
    Bytes, FloatType, Kernels, Param, QuantMode, QuantSpec, Rows, ScaleType, Weight,
};

/// Deterministic numbers (Knuth's linear congruential generator).
pub struct Noise(u64);

impl Noise {
    pub fn new() -> Self {
        Self(1)
    }

    fn bits(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }

    /// Uniform in −1 .. 1.
    pub fn float(&mut self) -> f32 {
        self.bits() as f32 / (1_u32 << 30) as f32 - 1.0
    }

    fn floats(&mut self, count: usize, float: FloatType) -> Bytes {
        let floats = (0..count).map(|_| self.float());
        Bytes::owned(match float {
            FloatType::F32 => floats.flat_map(f32::to_le_bytes).collect(),
            FloatType::F16 => floats
                .flat_map(|x| f16::from_f32(x).to_le_bytes())
                .collect(),
            FloatType::BF16 => floats
                .flat_map(|x| bf16::from_f32(x).to_le_bytes())
                .collect(),
        })
    }

    /// Activations `[rows, width]`.
    pub fn activations(&mut self, kernels: &Kernels, rows: usize, width: usize) -> Rows {
        let x: Vec<f32> = (0..rows * width).map(|_| self.float()).collect();
        valid(kernels.upload(&x, width))
    }

    pub fn param(&mut self, len: usize) -> Param {
        let bytes = self.floats(len, FloatType::F32);
        valid(Param::from_bytes(FloatType::F32, &bytes))
    }

    pub fn weight(&mut self, rows: usize, cols: usize, format: Format) -> Weight {
        let spec = match format {
            Format::Dense(float) => {
                let bytes = self.floats(rows * cols, float);
                return valid(Weight::dense(rows, cols, float, bytes));
            }
            Format::Quantized(spec) => spec,
        };
        let codes = Bytes::owned(self.bytes(rows * spec.row_bytes(cols)));
        let groups = rows * cols / spec.group_size;
        let (scales, scale_type, biases) = if spec.mode == QuantMode::Affine {
            let scales = self.floats(groups, FloatType::BF16);
            let biases = self.floats(groups, FloatType::BF16);
            (scales, FloatType::BF16.into(), Some(biases))
        } else {
            // About 1 in either 8-bit scale format.
            let scale = if spec.mode == QuantMode::Nvfp4 {
                0x38
            } else {
                0x7f
            };
            (Bytes::owned(vec![scale; groups]), ScaleType::U8, None)
        };
        valid(Weight::quantized(
            rows, cols, spec, codes, scales, scale_type, biases, None,
        ))
    }
}

/// How a weight is stored.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    Dense(FloatType),
    Quantized(QuantSpec),
}

/// Unwraps the result of a call whose arguments are known to be valid.
pub fn valid<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
