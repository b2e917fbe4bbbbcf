//! Plans the conversion of the tensors of a GGUF file.

use mlxm_kernels::quant::{FloatType, QuantMode, QuantSpec};

use super::architecture::{Heads, Role};
use super::config::{Dimensions, Metadata};
use super::reader::{Gguf, Tensor};
use super::rows::{AffineRepack, Mxfp4Repack, RowOrder, ScaleFit, TensorRows, scale_fit};
use super::types::TensorType;
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

/// A parameter of the model and its tensor.
struct Parameter<'a, 'g> {
    tensor: &'g Tensor<'a>,
    module: String,
    leaf: &'static str,
    order: RowOrder,
    /// Added to every value.
    offset: f32,
}

impl Parameter<'_, '_> {
    fn output(&self, float: FloatType) -> OutputTensor {
        OutputTensor {
            name: format!("{}.{}", self.module, self.leaf),
            dtype: float_dtype(float),
            shape: self.tensor.shape.clone(),
        }
    }

    fn parameters(&self) -> u64 {
        self.tensor.shape.iter().product::<usize>() as u64
    }
}

/// Plans all tensors.
pub(super) fn plan<'a>(
    metadata: &Metadata<'a>,
    dimensions: Dimensions,
    float: FloatType,
    options: &ConvertOptions,
) -> Result<PlannedTensors<'a>, ConvertError> {
    let mut parameters = Vec::new();
    for tensor in metadata.gguf.tensors() {
        if let Some(parameter) = parameter(metadata, dimensions, tensor)? {
            parameters.push(parameter);
        }
    }
    let modules = parameters
        .iter()
        .filter(|parameter| parameter.tensor.shape.len() == 2)
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
        notes: Vec::new(),
    };
    let mut plans = Vec::with_capacity(parameters.len());
    for parameter in &parameters {
        plans.push(match parameter.tensor.shape.as_slice() {
            [_] => planner.vector(parameter)?,
            [_, columns] => {
                let target = predicate.target(&parameter.module, *columns)?;
                planner.weight(parameter, target)?
            }
            shape => {
                return Err(ConvertError::tensor(
                    parameter.tensor.name,
                    format!("it has {} dimensions, expected 1 or 2", shape.len()),
                ));
            }
        });
    }
    Ok(PlannedTensors {
        plans,
        quantized: planner.quantized,
        notes: planner.notes,
    })
}

/// The parameter stored in `tensor`; `None` if the tensor is part of the configuration.
fn parameter<'a, 'g>(
    metadata: &Metadata<'a>,
    dimensions: Dimensions,
    tensor: &'g Tensor<'a>,
) -> Result<Option<Parameter<'a, 'g>>, ConvertError> {
    let architecture = metadata.architecture;
    let role = architecture.role(tensor.name).ok_or_else(|| {
        ConvertError::tensor(
            tensor.name,
            format!("it is not part of {} models", architecture.gguf),
        )
    })?;
    let Role::Parameter {
        module,
        leaf,
        heads,
        is_norm,
    } = role
    else {
        return Ok(None);
    };
    if matches!(tensor.kind, TensorType::Other(..)) {
        return Err(ConvertError::tensor(
            tensor.name,
            format!(
                "its type {} cannot be converted; use a file with another type (Q8_0, Q4_K, F16, …)",
                tensor.kind.name()
            ),
        ));
    }
    let order = match heads {
        Some(heads) if architecture.permuted_qk => {
            let heads = match heads {
                Heads::Query => dimensions.heads,
                Heads::KeyValue => dimensions.key_value_heads,
            } as usize;
            if !tensor.shape[0].is_multiple_of(2 * heads) {
                return Err(ConvertError::tensor(
                    tensor.name,
                    format!(
                        "its {} rows are not a multiple of twice the {heads} heads",
                        tensor.shape[0]
                    ),
                ));
            }
            RowOrder::Permuted { heads }
        }
        _ => RowOrder::Unchanged,
    };
    let offset = if is_norm && leaf == "weight" {
        -architecture.norm_offset
    } else {
        0.0
    };
    Ok(Some(Parameter {
        tensor,
        module,
        leaf,
        order,
        offset,
    }))
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
    fn vector<'a>(
        &mut self,
        parameter: &Parameter<'a, '_>,
    ) -> Result<TensorPlan<'a>, ConvertError> {
        let tensor = parameter.tensor;
        if !tensor.kind.is_dense() {
            return Err(ConvertError::tensor(
                tensor.name,
                format!(
                    "a vector of type {} cannot be converted",
                    tensor.kind.name()
                ),
            ));
        }
        // One value per row, so that the row order also applies to biases.
        let rows = TensorRows::new(tensor, 1, parameter.order, parameter.offset);
        let (mut exact, mut fits) = (true, true);
        for row in 0..rows.rows() {
            let mut value = [0.0];
            rows.read(row, &mut value);
            let rounded = round_to(value[0], self.float);
            exact &= rounded == value[0] || value[0].is_nan();
            fits &= rounded.is_finite() || !value[0].is_finite();
        }
        let float = if fits { self.float } else { FloatType::F32 };
        if !fits {
            self.notes.push(format!(
                "{}.{} is stored as F32: its values overflow {}",
                parameter.module, parameter.leaf, self.float
            ));
        }
        let outcome = if exact || !fits {
            Outcome::Exact
        } else {
            Outcome::Rounded { to: float }
        };
        Ok(TensorPlan {
            name: format!("{}.{}", parameter.module, parameter.leaf),
            outputs: vec![parameter.output(float)],
            rows: rows.rows(),
            parameters: parameter.parameters(),
            producer: Box::new(DenseRows {
                rows,
                columns: 1,
                float,
            }),
            outcome,
        })
    }

    fn weight<'a>(
        &mut self,
        parameter: &Parameter<'a, '_>,
        target: Target,
    ) -> Result<TensorPlan<'a>, ConvertError> {
        let tensor_type = parameter.tensor.kind;
        let equivalent = equivalent_format(tensor_type);
        match (target, equivalent) {
            (Target::Dense, _) => Ok(self.dense(parameter)),
            (Target::Keep, _) if tensor_type.is_dense() => Ok(self.dense(parameter)),
            (Target::Keep, Some(equivalent)) => self.repack(parameter, equivalent),
            (Target::Quantized(spec), Some(equivalent)) if spec == equivalent => {
                self.repack(parameter, equivalent)
            }
            (Target::Quantized(spec), _) => Ok(self.quantize(parameter, spec)),
            (Target::Keep, None) => {
                let columns = parameter.tensor.shape[1];
                let spec = fallback_format(tensor_type);
                if columns.is_multiple_of(spec.group_size) {
                    Ok(self.quantize(parameter, spec))
                } else {
                    Ok(self.dense(parameter))
                }
            }
        }
    }

    fn rows<'a>(parameter: &Parameter<'a, '_>) -> TensorRows<'a> {
        TensorRows::new(
            parameter.tensor,
            parameter.tensor.shape[1],
            parameter.order,
            0.0,
        )
    }

    fn dense<'a>(&self, parameter: &Parameter<'a, '_>) -> TensorPlan<'a> {
        let tensor_type = parameter.tensor.kind;
        let stored = match tensor_type {
            TensorType::F32 => Some(FloatType::F32),
            TensorType::F16 => Some(FloatType::F16),
            TensorType::BF16 => Some(FloatType::BF16),
            _ => None,
        };
        let float = self.dense_float.or(stored).unwrap_or(self.float);
        let outcome = if !tensor_type.is_dense() {
            Outcome::Dequantized {
                from: tensor_type.name().to_owned(),
            }
        } else if stored == Some(float) || (float == FloatType::F32 && stored.is_some()) {
            Outcome::Exact
        } else {
            Outcome::Rounded { to: float }
        };
        let columns = parameter.tensor.shape[1];
        let rows = Self::rows(parameter);
        TensorPlan {
            name: format!("{}.{}", parameter.module, parameter.leaf),
            outputs: vec![parameter.output(float)],
            rows: rows.rows(),
            parameters: parameter.parameters(),
            producer: Box::new(DenseRows {
                rows,
                columns,
                float,
            }),
            outcome,
        }
    }

    fn quantize<'a>(&mut self, parameter: &Parameter<'a, '_>, to: QuantSpec) -> TensorPlan<'a> {
        let tensor_type = parameter.tensor.kind;
        let [row_count, columns] = [parameter.tensor.shape[0], parameter.tensor.shape[1]];
        let rows = Self::rows(parameter);
        let outcome = if tensor_type.is_dense() {
            Outcome::Quantized { to }
        } else {
            Outcome::Requantized {
                from: tensor_type.name().to_owned(),
                to,
                relative_error: relative_error(&rows, row_count, columns, to, self.float),
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
        parameter: &Parameter<'a, '_>,
        equivalent: QuantSpec,
    ) -> Result<TensorPlan<'a>, ConvertError> {
        let rows = Self::rows(parameter);
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
                    parameter.tensor.name,
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
        parameter: &Parameter<'a, '_>,
        spec: QuantSpec,
        scales: FloatType,
        producer: Box<dyn RowProducer + 'a>,
        outcome: Outcome,
    ) -> TensorPlan<'a> {
        self.quantized.push((parameter.module.clone(), spec));
        let shape = &parameter.tensor.shape;
        TensorPlan {
            name: parameter.module.clone(),
            outputs: quantized_outputs(&parameter.module, shape, spec, float_dtype(scales)),
            rows: shape[0],
            parameters: parameter.parameters(),
            producer,
            outcome,
        }
    }
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

/// The format for a type without an MLX equivalent. Two more bits compensate for groups of 32 instead of 16 values.
fn fallback_format(tensor_type: TensorType) -> QuantSpec {
    let bits = match tensor_type {
        TensorType::Q2_K => 4,
        TensorType::Q3_K => 5,
        TensorType::IQ4_NL | TensorType::IQ4_XS => 6,
        _ => 8,
    };
    QuantSpec {
        mode: QuantMode::Affine,
        group_size: 32,
        bits,
    }
}
