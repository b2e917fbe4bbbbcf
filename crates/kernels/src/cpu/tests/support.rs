//! Shared test inputs and CPUs of every level.

use std::sync::Arc;

use proptest::prelude::ProptestConfig;

use crate::{
    Bytes, CpuOptions, FloatType, Linear, Norm, QuantMode, QuantSpec, ScaleType, Weight,
    cpu::{
        Cpu, elementwise,
        epilogue::Epilogue,
        fused_linear::{self, FusedLinearInput},
        norm,
        repack::Int8DotLevel,
        simd::SimdLevel,
    },
    op::Function,
    rows::{Arena, ArenaMemory},
};

/// At most `cases` cases, or fewer if `PROPTEST_CASES` is set: an emulated CPU is slow.
pub fn at_most(cases: u32) -> ProptestConfig {
    ProptestConfig::with_cases(cases.min(ProptestConfig::default().cases))
}

/// Deterministic values around zero.
pub struct Noise(pub u64);

impl Noise {
    pub fn bits(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as u32
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| self.bits() as f32 / (1_u32 << 30) as f32 - 1.0)
            .collect()
    }

    pub fn bytes(&mut self, count: usize) -> Bytes {
        Bytes::owned((0..count).map(|_| self.bits() as u8).collect())
    }

    pub fn halves(&mut self, count: usize, float: FloatType) -> Bytes {
        let floats = self.floats(count);
        Bytes::owned(match float {
            FloatType::F32 => floats.iter().flat_map(|x| x.to_le_bytes()).collect(),
            FloatType::F16 => floats
                .iter()
                .flat_map(|x| half::f16::from_f32(*x).to_le_bytes())
                .collect(),
            FloatType::BF16 => floats
                .iter()
                .flat_map(|x| half::bf16::from_f32(*x).to_le_bytes())
                .collect(),
        })
    }

    pub fn dense(&mut self, rows: usize, cols: usize, float: FloatType) -> Weight {
        let bytes = self.halves(rows * cols, float);
        Weight::dense(rows, cols, float, bytes).unwrap()
    }

    pub fn quantized(
        &mut self,
        rows: usize,
        cols: usize,
        spec: QuantSpec,
        float: FloatType,
    ) -> Weight {
        let mut weight = self.bytes(rows * spec.row_bytes(cols));
        let groups = rows * cols / spec.group_size;
        let (scales, scale_type, biases) = if spec.mode == QuantMode::Affine {
            let biases = self.halves(groups, float);
            (self.halves(groups, float), float.into(), Some(biases))
        } else {
            // Neither NaN nor far from one; E4M3 values are not NaN either.
            let scales = (0..groups)
                .map(|_| 0x38 + (self.bits() % 4) as u8)
                .collect();
            let mask = if spec.mode == QuantMode::Mxfp8 {
                0xbf
            } else {
                0xff
            };
            weight = Bytes::owned(weight.as_slice().iter().map(|byte| byte & mask).collect());
            (Bytes::owned(scales), ScaleType::U8, None)
        };
        Weight::quantized(rows, cols, spec, weight, scales, scale_type, biases, None).unwrap()
    }
}

/// The CPU with this many threads.
pub fn with_threads(threads: usize) -> Cpu {
    Cpu::new(CpuOptions {
        threads: Some(threads),
        ..CpuOptions::default()
    })
}

/// The operations on every instruction set of this CPU.
pub fn every_level() -> Vec<Cpu> {
    let cpu = |level| Cpu {
        level,
        dots: Int8DotLevel::Scalar,
        ..with_threads(2)
    };
    SimdLevel::available().into_iter().map(cpu).collect()
}

/// The levels that do not round products: these agree bitwise.
pub fn fused_levels() -> Vec<Cpu> {
    let mut levels = every_level();
    levels.retain(|cpu| is_fused(cpu.level));
    levels
}

/// Whether a multiply-add rounds once. Portable code does so on 64-bit Arm, where every CPU has the instruction.
pub fn is_fused(level: SimdLevel) -> bool {
    level != SimdLevel::Portable || cfg!(target_arch = "aarch64")
}

/// Integer dot products on every instruction set of this CPU.
pub fn every_dot_level() -> Vec<Cpu> {
    let cpu = |dots| Cpu {
        dots,
        ..with_threads(2)
    };
    Int8DotLevel::available().into_iter().map(cpu).collect()
}

/// Memory for intermediate values.
pub fn arena() -> Arc<Arena> {
    Arc::new(Arena::new(ArenaMemory::Host))
}

/// A fused linear layer.
pub fn fused_linear(
    cpu: &Cpu,
    input: FusedLinearInput<'_>,
    linears: &[&Linear],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let outputs: usize = linears.iter().map(|linear| linear.weight.rows()).sum();
    let width = match epilogue {
        Epilogue::Glu(_) => outputs / 2,
        _ => outputs,
    };
    // Every element has to be written.
    let mut out = vec![f32::NAN; input.rows * width];
    fused_linear::fused_linear(cpu, &arena(), input, linears, epilogue, &mut out).unwrap();
    out
}

/// `norm(x)`, or with a residual and a scale `residual + scale · norm(x)`.
pub fn norm(
    cpu: &Cpu,
    norm: &Norm,
    x: &[f32],
    width: usize,
    residual: Option<(&[f32], f32)>,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; x.len()];
    norm::norm(cpu, norm, x, width, residual, &mut out);
    out
}

/// `function(x)`.
pub fn map(cpu: &Cpu, function: Function, x: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; x.len()];
    elementwise::map(cpu, function, x, &mut out);
    out
}

/// `x · wᵀ + bias`.
pub fn linear(cpu: &Cpu, x: &[f32], w: &Weight, bias: Option<&[f32]>) -> Vec<f32> {
    let linear = Linear {
        weight: w.clone(),
        bias: bias.map(|bias| bias.to_vec().into()),
    };
    let input = FusedLinearInput {
        x,
        rows: x.len() / w.cols(),
        norm: None,
    };
    fused_linear(cpu, input, &[&linear], Epilogue::Store)
}

/// A weight of every format.
pub fn every_format(rows: usize, cols: usize) -> Vec<Weight> {
    let mut noise = Noise(7);
    let mut forms: Vec<_> = FLOATS.map(|float| noise.dense(rows, cols, float)).into();
    for bits in [2, 3, 4, 5, 6, 8] {
        for (group_size, float) in [32, 64, 128].into_iter().zip(FLOATS) {
            let spec = QuantSpec {
                mode: QuantMode::Affine,
                group_size,
                bits,
            };
            forms.push(noise.quantized(rows, cols, spec, float));
        }
    }
    for mode in [QuantMode::Mxfp4, QuantMode::Nvfp4, QuantMode::Mxfp8] {
        forms.push(noise.quantized(rows, cols, QuantSpec::default_for(mode), FloatType::F32));
    }
    forms
}

const FLOATS: [FloatType; 3] = [FloatType::F32, FloatType::F16, FloatType::BF16];
