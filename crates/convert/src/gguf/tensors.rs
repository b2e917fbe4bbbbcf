//! Plans the conversion of the tensors of a GGUF file.

use mlxm_kernels::quant::{FloatType, QuantMode, QuantSpec};

use super::config::Metadata;
use super::dimensions::Dimensions;
use super::parameters::{Parameter, Parameters, parameters};
use super::reader::Gguf;
use super::rows::{AffineRepack, Mxfp4Repack, ParameterRows, ScaleFit, scale_fit};
use super::types::TensorType;
use super::xielu::{Constant, Scalar, xielu};
use crate::ConvertError;
use crate::dense::DenseRows;
use crate::options::{ConvertOptions, Outcome};
use crate::plan::{FloatRows, OutputTensor, RowProducer, TensorPlan, float_dtype, round_to};
use crate::quant_predicate::{QuantPredicate, Target};
use crate::quantized::{QuantizedRows, quantized_outputs, relative_error};

/// The planned tensors of a file.
pub(super) struct PlannedTensors<'a> {
    pub(super) plans: Vec<TensorPlan<'a>>,
    pub(super) quantized: Vec<(String, QuantSpec)>,
    pub(super) notes: Vec<String>,
}

/// The float type of norms, biases and scales, which GGUF does not store in the type of the model: the requested type,
/// else the type of the dense weights, else F16, the type of scales in GGUF.
pub(super) fn model_float(gguf: &Gguf<'_>, options: &ConvertOptions) -> FloatType {
    let weights = || {
        gguf.tensors()
            .iter()
            .filter(|tensor| tensor.shape.len() > 1)
    };
    let only = |wanted: &[TensorType]| {
        let mut types = weights().map(|tensor| tensor.kind).peekable();
        types.peek().is_some() && types.all(|found| wanted.contains(&found))
    };
    if let Some(float) = options.float_type {
        float
    } else if weights().any(|tensor| tensor.kind == TensorType::BF16) {
        FloatType::BF16
    } else if only(&[TensorType::F32, TensorType::F64]) {
        FloatType::F32
    } else {
        FloatType::F16
    }
}

/// Plans all tensors.
pub(super) fn plan<'a>(
    metadata: &Metadata<'a>,
    dimensions: Dimensions,
    float: FloatType,
    options: &ConvertOptions,
) -> Result<PlannedTensors<'a>, ConvertError> {
    let Parameters { parameters, notes } = parameters(metadata, dimensions)?;
    let modules = parameters
        .iter()
        .filter(|parameter| parameter.shape.len() == 2)
        .map(|parameter| parameter.module.as_str());
    let predicate = QuantPredicate::new(
        options,
        metadata.architecture.model_type,
        modules,
        dimensions.layers as usize,
    )?;
    let mut planner = Planner {
        float,
        dense_float: options.float_type,
        quantized: Vec::new(),
        notes,
    };
    let mut plans = Vec::with_capacity(parameters.len());
    for parameter in &parameters {
        plans.push(match parameter.shape.as_slice() {
            [_, columns] => {
                let target = predicate.target(&parameter.module, *columns)?;
                planner.weight(parameter, target)?
            }
            _ => planner.vector(parameter),
        });
    }
    for scalar in xielu(metadata, dimensions)? {
        plans.push(planner.scalar(scalar));
    }
    Ok(PlannedTensors {
        plans,
        quantized: planner.quantized,
        notes: planner.notes,
    })
}

struct Planner {
    /// The float type of norms, biases and scales.
    float: FloatType,
    /// The requested type of dense weights.
    dense_float: Option<FloatType>,
    quantized: Vec<(String, QuantSpec)>,
    notes: Vec<String>,
}

impl Planner {
    /// A norm weight or a bias.
    fn vector<'a>(&mut self, parameter: &Parameter<'a>) -> TensorPlan<'a> {
        // One value per row, so that the row order also applies to biases.
        let rows = parameter.rows.clone();
        let count = rows.rows();
        let values = (0..count).map(|row| {
            let mut value = [0.0];
            rows.read(row, &mut value);
            value[0]
        });
        let (float, outcome) = self.float_of(&parameter.name(), values);
        dense_plan(parameter, rows, 1, float, outcome)
    }

    /// A parameter without dimensions.
    fn scalar<'a>(&mut self, Scalar { name, value }: Scalar) -> TensorPlan<'a> {
        let (float, outcome) = self.float_of(&name, std::iter::once(value));
        TensorPlan {
            outputs: vec![OutputTensor {
                name: name.clone(),
                dtype: float_dtype(float),
                shape: Vec::new(),
            }],
            name,
            rows: 1,
            parameters: 1,
            producer: Box::new(DenseRows {
                rows: Constant(value),
                columns: 1,
                float,
            }),
            outcome,
        }
    }

    /// The float type of norms and alike: that of the model, or F32 if a value is out of its range.
    fn float_of(&mut self, name: &str, values: impl Iterator<Item = f32>) -> (FloatType, Outcome) {
        let (mut exact, mut fits) = (true, true);
        for value in values {
            let rounded = round_to(value, self.float);
            exact &= rounded == value || value.is_nan();
            fits &= rounded.is_finite() || !value.is_finite();
        }
        if !fits {
            self.notes.push(format!(
                "{name} is stored as F32: its values overflow {}",
                self.float
            ));
            return (FloatType::F32, Outcome::Exact);
        }
        let outcome = if exact {
            Outcome::Exact
        } else {
            Outcome::Rounded { to: self.float }
        };
        (self.float, outcome)
    }

    fn weight<'a>(
        &mut self,
        parameter: &Parameter<'a>,
        target: Target,
    ) -> Result<TensorPlan<'a>, ConvertError> {
        let rows = &parameter.rows;
        // Blocks can be repacked if they have the same type, and columns stay in their blocks.
        let repackable = rows.kind().filter(|_| rows.keeps_blocks());
        let equivalent = repackable.and_then(equivalent_format);
        match (target, equivalent) {
            (Target::Dense, _) => Ok(self.dense(parameter)),
            (Target::Keep, _) if rows.kinds().any(TensorType::is_dense) => {
                Ok(self.dense(parameter))
            }
            (Target::Keep, Some(equivalent)) => self.repack(parameter, equivalent),
            (Target::Quantized(spec), Some(equivalent)) if spec == equivalent => {
                self.repack(parameter, equivalent)
            }
            (Target::Quantized(spec), _) => Ok(self.quantize(parameter, spec)),
            (Target::Keep, None) => {
                let spec = fallback_format(rows.kinds());
                if parameter.shape[1].is_multiple_of(spec.group_size) {
                    Ok(self.quantize(parameter, spec))
                } else {
                    Ok(self.dense(parameter))
                }
            }
        }
    }

    fn dense<'a>(&self, parameter: &Parameter<'a>) -> TensorPlan<'a> {
        let rows = parameter.rows.clone();
        let stored = match rows.kind() {
            Some(TensorType::F32) => Some(FloatType::F32),
            Some(TensorType::F16) => Some(FloatType::F16),
            Some(TensorType::BF16) => Some(FloatType::BF16),
            _ => None,
        };
        let float = self.dense_float.or(stored).unwrap_or(self.float);
        let outcome = if !rows.kinds().all(TensorType::is_dense) {
            Outcome::Dequantized { from: names(&rows) }
        } else if stored == Some(float) || (float == FloatType::F32 && stored.is_some()) {
            Outcome::Exact
        } else {
            Outcome::Rounded { to: float }
        };
        dense_plan(parameter, rows, parameter.shape[1], float, outcome)
    }

    fn quantize<'a>(&mut self, parameter: &Parameter<'a>, to: QuantSpec) -> TensorPlan<'a> {
        let rows = parameter.rows.clone();
        let columns = parameter.shape[1];
        let outcome = if rows.kinds().all(TensorType::is_dense) {
            Outcome::Quantized { to }
        } else {
            Outcome::Requantized {
                from: names(&rows),
                to,
                relative_error: relative_error(&rows, rows.rows(), columns, to, self.float),
            }
        };
        let producer = QuantizedRows {
            rows,
            columns,
            spec: to,
            float: self.float,
        };
        self.quantized_plan(parameter, to, self.float, Box::new(producer), outcome)
    }

    /// Keeps the quantized integers. Scales are stored in the float type of the model, or in F32 if they are out of its
    /// range.
    fn repack<'a>(
        &mut self,
        parameter: &Parameter<'a>,
        equivalent: QuantSpec,
    ) -> Result<TensorPlan<'a>, ConvertError> {
        let rows = parameter.rows.clone();
        if equivalent.mode == QuantMode::Mxfp4 {
            let producer = Box::new(Mxfp4Repack(rows));
            return Ok(self.quantized_plan(
                parameter,
                equivalent,
                self.float,
                producer,
                Outcome::Exact,
            ));
        }
        let mut scales = self.float;
        let mut fit = scale_fit(&rows, scales);
        if fit == ScaleFit::OutOfRange {
            self.notes.push(format!(
                "{} has F32 scales: they are out of the range of {scales}",
                parameter.module
            ));
            scales = FloatType::F32;
            fit = scale_fit(&rows, scales);
        }
        let outcome = match fit {
            ScaleFit::Exact => Outcome::Exact,
            ScaleFit::Rounded | ScaleFit::OutOfRange => Outcome::Rounded { to: scales },
            ScaleFit::NotFinite => {
                return Err(ConvertError::tensor(
                    parameter.source,
                    "some of its scales are infinite or NaN: the file is corrupt",
                ));
            }
        };
        let producer = AffineRepack {
            rows,
            bits: equivalent.bits,
            scales,
        };
        Ok(self.quantized_plan(parameter, equivalent, scales, Box::new(producer), outcome))
    }

    fn quantized_plan<'a>(
        &mut self,
        parameter: &Parameter<'a>,
        spec: QuantSpec,
        scales: FloatType,
        producer: Box<dyn RowProducer + 'a>,
        outcome: Outcome,
    ) -> TensorPlan<'a> {
        self.quantized.push((parameter.module.clone(), spec));
        let shape = &parameter.shape;
        TensorPlan {
            name: parameter.module.clone(),
            outputs: quantized_outputs(&parameter.module, shape, spec, float_dtype(scales)),
            rows: shape[0],
            parameters: parameter.values(),
            producer,
            outcome,
        }
    }
}

fn dense_plan<'a>(
    parameter: &Parameter<'a>,
    rows: ParameterRows<'a>,
    columns: usize,
    float: FloatType,
    outcome: Outcome,
) -> TensorPlan<'a> {
    TensorPlan {
        name: parameter.name(),
        outputs: vec![OutputTensor {
            name: parameter.name(),
            dtype: float_dtype(float),
            shape: parameter.shape.clone(),
        }],
        rows: rows.rows(),
        parameters: parameter.values(),
        producer: Box::new(DenseRows {
            rows,
            columns,
            float,
        }),
        outcome,
    }
}

/// The names of the types of all parts.
fn names(rows: &ParameterRows<'_>) -> String {
    let mut names: Vec<&str> = rows.kinds().map(TensorType::name).collect();
    names.dedup();
    names.join(", ")
}

/// The MLX format with the same quantized integers.
fn equivalent_format(tensor_type: TensorType) -> Option<QuantSpec> {
    if tensor_type == TensorType::MXFP4 {
        return Some(QuantSpec::default_for(QuantMode::Mxfp4));
    }
    Some(QuantSpec {
        mode: QuantMode::Affine,
        group_size: 32,
        bits: tensor_type.affine_bits()?,
    })
}

/// The format for types without an MLX equivalent, or several types. Two more bits compensate for groups of 32 instead of 16
/// values, and for other groups than those of the file.
fn fallback_format(tensor_types: impl Iterator<Item = TensorType>) -> QuantSpec {
    let bits = |tensor_type| match tensor_type {
        TensorType::Q2_K => 4,
        TensorType::Q3_K => 5,
        TensorType::Q4_0
        | TensorType::Q4_1
        | TensorType::Q4_K
        | TensorType::IQ4_NL
        | TensorType::IQ4_XS
        | TensorType::MXFP4 => 6,
        _ => 8,
    };
    QuantSpec {
        mode: QuantMode::Affine,
        group_size: 32,
        bits: tensor_types.map(bits).max().unwrap_or(8),
    }
}
