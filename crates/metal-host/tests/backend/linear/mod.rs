//! Linear layers with random values, and what they give according to the reference.

mod loads;
mod mutants;
mod products;

use std::sync::Arc;

use half::{bf16, f16};
use mlxm_kernels::{
    Activation, Bytes, FloatType, GateUp, Kernels, Linear, Norm, Param, QuantMode, QuantSpec,
    ScaleType, Weight, Xielu, reference,
};
use mlxm_metal_host::{HostDevice, HostDeviceOptions};

use crate::bounds;
use crate::noise::Noise;

pub const XIELU: Xielu = Xielu {
    alpha_p: 0.7,
    alpha_n: 0.9,
    beta: 0.4,
    eps: -1e-6,
};

pub const ACTIVATIONS: [Activation; 8] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::GeluSigmoid,
    Activation::Relu,
    Activation::Relu2,
    Activation::Xielu(XIELU),
    // The exponential ends where it is curved.
    Activation::Xielu(Xielu { eps: -0.3, ..XIELU }),
];

fn stored_floats(noise: &mut Noise, count: usize, float: FloatType) -> Bytes {
    let floats = noise.floats(count);
    Bytes::owned(match float {
        FloatType::F32 => floats.iter().flat_map(|x| x.to_le_bytes()).collect(),
        FloatType::F16 => floats
            .iter()
            .flat_map(|x| f16::from_f32(*x).to_le_bytes())
            .collect(),
        FloatType::BF16 => floats
            .iter()
            .flat_map(|x| bf16::from_f32(*x).to_le_bytes())
            .collect(),
    })
}

/// How a weight is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    Dense(FloatType),
    /// With the type of affine scales.
    Affine {
        bits: u32,
        group: usize,
        scales: FloatType,
    },
    Float(QuantMode),
}

impl Format {
    pub fn all() -> Vec<Self> {
        let floats = [FloatType::F32, FloatType::F16, FloatType::BF16];
        let mut all: Vec<Self> = floats.map(Self::Dense).to_vec();
        for bits in [2, 3, 4, 5, 6, 8] {
            for group in [32, 64, 128] {
                all.extend(floats.map(|scales| Self::Affine {
                    bits,
                    group,
                    scales,
                }));
            }
        }
        all.extend([QuantMode::Mxfp4, QuantMode::Nvfp4, QuantMode::Mxfp8].map(Self::Float));
        all
    }

    /// Columns are a multiple of it.
    pub fn group(self) -> usize {
        match self {
            Self::Dense(_) => 1,
            Self::Affine { group, .. } => group,
            Self::Float(mode) => QuantSpec::default_for(mode).group_size,
        }
    }

    pub fn weight(self, rows: usize, cols: usize, noise: &mut Noise) -> Weight {
        let (spec, float) = match self {
            Self::Dense(float) => {
                let bytes = stored_floats(noise, rows * cols, float);
                return Weight::dense(rows, cols, float, bytes).unwrap();
            }
            Self::Affine {
                bits,
                group: group_size,
                scales,
            } => {
                let mode = QuantMode::Affine;
                let spec = QuantSpec {
                    mode,
                    group_size,
                    bits,
                };
                (spec, Some(scales))
            }
            Self::Float(mode) => (QuantSpec::default_for(mode), None),
        };
        let mut codes = noise.bytes(rows * spec.row_bytes(cols));
        let groups = rows * cols / spec.group_size;
        let (scales, scale_type, biases) = if let Some(float) = float {
            let biases = stored_floats(noise, groups, float);
            (
                stored_floats(noise, groups, float),
                ScaleType::from(float),
                Some(biases),
            )
        } else {
            // Around one, and for nvfp4 also subnormal numbers.
            let scales = (0..groups).map(|_| match spec.mode {
                QuantMode::Nvfp4 => (noise.bits() % 0x48) as u8,
                _ => 0x7c + (noise.bits() % 6) as u8,
            });
            (Bytes::owned(scales.collect()), ScaleType::U8, None)
        };
        if spec.mode == QuantMode::Mxfp8 {
            // No NaN, and mostly small values.
            for code in &mut codes {
                *code &= if *code & 0x70 == 0x70 { 0xbf } else { 0xff };
            }
        }
        let global_scale =
            (spec.mode == QuantMode::Nvfp4).then(|| 1500.0 + (noise.bits() % 1000) as f32);
        let codes = Bytes::owned(codes);
        Weight::quantized(
            rows,
            cols,
            spec,
            codes,
            scales,
            scale_type,
            biases,
            global_scale,
        )
        .unwrap()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormCase {
    None,
    Rms,
    WeightedRms,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    Store,
    Activation(Activation),
    /// With two weights, or a fused one.
    Glu(Activation),
    Residual(f32),
}

/// A call of one of the methods for linear layers.
#[derive(Clone, Debug)]
pub struct Case {
    pub rows: usize,
    pub columns: usize,
    /// Format and outputs of each weight.
    pub weights: Vec<(Format, usize)>,
    pub biased: bool,
    pub norm: NormCase,
    pub epilogue: Epilogue,
    /// The largest magnitude of the input.
    pub largest: f32,
}

impl Case {
    /// One weight.
    pub fn new(format: Format, rows: usize, columns: usize, outputs: usize) -> Self {
        Self {
            rows,
            columns,
            weights: vec![(format, outputs)],
            biased: false,
            norm: NormCase::None,
            epilogue: Epilogue::Store,
            largest: 1.0,
        }
    }

    pub fn biased(self) -> Self {
        Self {
            biased: true,
            ..self
        }
    }

    pub fn norm(self, norm: NormCase) -> Self {
        Self { norm, ..self }
    }

    pub fn epilogue(self, epilogue: Epilogue) -> Self {
        Self { epilogue, ..self }
    }

    pub fn largest(self, largest: f32) -> Self {
        Self { largest, ..self }
    }

    pub fn weights(self, weights: &[(Format, usize)]) -> Self {
        Self {
            weights: weights.to_vec(),
            ..self
        }
    }
}

/// The operands of a case.
#[derive(Clone)]
pub struct Operands {
    pub case: Case,
    pub x: Vec<f32>,
    linears: Vec<Linear>,
    norm: Option<Norm>,
    residual: Vec<f32>,
}

/// The width of the result.
fn width(case: &Case) -> usize {
    let outputs: usize = case.weights.iter().map(|(_, outputs)| outputs).sum();
    match case.epilogue {
        Epilogue::Glu(_) => outputs / 2,
        _ => outputs,
    }
}

impl Operands {
    pub fn new(case: &Case) -> Self {
        let mut noise = Noise::new(case.rows as u64 * 1000 + case.columns as u64);
        let linears = case.weights.iter().map(|(format, outputs)| Linear {
            weight: format.weight(*outputs, case.columns, &mut noise),
            bias: case.biased.then(|| Param::from(noise.floats(*outputs))),
        });
        let linears = linears.collect();
        let norm = match case.norm {
            NormCase::None => None,
            NormCase::Rms => Some(Norm::Rms {
                weight: None,
                eps: 1e-3,
            }),
            NormCase::WeightedRms => Some(Norm::rms(noise.floats(case.columns).into(), 1e-3)),
        };
        Self {
            x: noise
                .floats(case.rows * case.columns)
                .iter()
                .map(|x| x * case.largest)
                .collect(),
            linears,
            norm,
            residual: noise.floats(case.rows * width(case)),
            case: case.clone(),
        }
    }

    /// The first rows of the same.
    pub fn first_rows(&self, rows: usize) -> Self {
        let mut first = self.clone();
        first.case.rows = rows;
        first.x.truncate(rows * self.case.columns);
        first.residual.truncate(rows * width(&self.case));
        first
    }

    /// The same with weights that the device knows.
    pub fn on(&self, kernels: &Kernels) -> Self {
        let linears = self.linears.iter().map(|Linear { weight, bias }| Linear {
            weight: kernels.repack(weight.clone()).unwrap(),
            bias: bias.clone(),
        });
        Self {
            linears: linears.collect(),
            ..self.clone()
        }
    }

    /// Bytes of values, scales and quantization biases.
    pub fn weight_bytes(&self) -> usize {
        let weights = self.linears.iter().map(|linear| &linear.weight);
        weights.map(Weight::size_bytes).sum()
    }

    /// Runs the operation on weights of [`Operands::on`].
    pub fn run(&self, kernels: &Kernels) -> Result<Vec<f32>, String> {
        let error = |error: mlxm_kernels::KernelError| error.to_string();
        let x = kernels.upload(&self.x, self.case.columns).unwrap();
        let residual = kernels.upload(&self.residual, width(&self.case)).unwrap();
        let mut pass = kernels.begin();
        let (norm, linears) = (self.norm.as_ref(), self.linears.as_slice());
        let result = match (self.case.epilogue, linears) {
            (Epilogue::Store, linears) => {
                pass.linear(&x, norm, &linears.iter().collect::<Vec<_>>())
            }
            (Epilogue::Activation(activation), [linear]) => {
                pass.linear_act(&x, norm, linear, activation)
            }
            (Epilogue::Glu(activation), [fused]) => {
                pass.gated_linear(&x, norm, GateUp::Fused(fused), activation)
            }
            (Epilogue::Glu(activation), [gate, up]) => {
                pass.gated_linear(&x, norm, GateUp::Separate(gate, up), activation)
            }
            (Epilogue::Residual(scale), [linear]) => pass.linear_add(&x, linear, &residual, scale),
            (epilogue, _) => panic!("no method for {epilogue:?} with these weights"),
        };
        let result = result.map_err(error)?;
        pass.finish().map_err(error)?;
        kernels.read(&result).map_err(error)
    }

    /// What the reference gives, with the largest allowed difference.
    pub fn expected(&self) -> Vec<(f32, f32)> {
        let columns = self.case.columns;
        let x = match &self.norm {
            None => self.x.clone(),
            Some(Norm::Rms { weight, eps }) => {
                let weight = weight.as_ref().map(Param::as_slice);
                reference::rms_norm(&self.x, columns, weight, *eps)
            }
            Some(Norm::Layer { .. }) => panic!("no case has one"),
        };
        // Of factors and of what is added, relative to the result.
        let of_norm = self.norm.as_ref();
        let of_result =
            bounds::roundings(of_norm.map_or(4, |_| bounds::roundings_of_norm(columns)));
        // Sums and their errors, by row.
        let mut sums: Vec<Vec<(f32, f32)>> = vec![Vec::new(); self.case.rows];
        for Linear { weight, bias } in &self.linears {
            let bias = bias.as_ref().map(Param::as_slice);
            let y = reference::linear(&x, weight, bias);
            let mut values = vec![0.0; columns];
            for n in 0..weight.rows() {
                weight.dequantize_row(n, &mut values);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let products = x[row * columns..].iter().zip(&values);
                    let deviation = products.map(|(x, w)| (x * w).powi(2)).sum::<f32>().sqrt();
                    let y = y[row * weight.rows() + n];
                    sums.push((y, bounds::sum(columns) * deviation + of_result * y.abs()));
                }
            }
        }
        let activated = |activation, (y, error): (f32, f32)| {
            let slope = match activation {
                Activation::Relu2 => 2.0 * y.abs() + 1.0,
                Activation::Xielu(xielu) => {
                    xielu.beta.abs() + xielu.alpha_n.max(2.0 * xielu.alpha_p * (y.abs() + 0.1))
                }
                _ => 1.2,
            };
            let activated = reference::activate(y, activation);
            // About 8 operations with values up to the larger one.
            let own = bounds::roundings(8) * activated.abs().max(y.abs());
            (activated, slope * error + own)
        };
        let mut expected = Vec::new();
        for (row, sums) in sums.iter().enumerate() {
            let width = width(&self.case);
            for index in 0..width {
                expected.push(match self.case.epilogue {
                    Epilogue::Store => sums[index],
                    Epilogue::Activation(activation) => activated(activation, sums[index]),
                    Epilogue::Glu(activation) => {
                        let (gate, gate_error) = activated(activation, sums[index]);
                        let (up, up_error) = sums[width + index];
                        let error = gate_error * (up.abs() + up_error) + up_error * gate.abs();
                        (gate * up, error + bounds::roundings(1) * (gate * up).abs())
                    }
                    Epilogue::Residual(scale) => {
                        let (y, error) = sums[index];
                        let residual = self.residual[row * width + index];
                        let largest = residual.abs().max((scale * y).abs());
                        let own = bounds::roundings(2) * largest;
                        (residual + scale * y, error * scale.abs() + own)
                    }
                });
            }
        }
        expected
    }

    /// Compares the result with the reference.
    pub fn check(&self, kernels: &Kernels) -> Result<(), String> {
        let result = self.on(kernels).run(kernels)?;
        let expected = self.expected();
        if result.len() != expected.len() {
            return Err(format!("{} results", result.len()));
        }
        for (index, (result, (expected, tolerance))) in result.iter().zip(expected).enumerate() {
            // False for NaN.
            let close = (result - expected).abs() <= tolerance;
            if !close {
                let width = width(&self.case);
                let (row, column) = (index / width, index % width);
                return Err(format!(
                    "{:?}: row {row}, column {column}: {result}, not {expected} ± {tolerance}",
                    self.case
                ));
            }
        }
        Ok(())
    }
}

/// Kernels on the executor.
pub fn kernels(options: HostDeviceOptions) -> Kernels {
    Kernels::on_device(Arc::new(HostDevice::new(options)))
}
