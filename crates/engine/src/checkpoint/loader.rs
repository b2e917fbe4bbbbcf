//! Builds the parameters of a model from named tensors and reports every tensor that is missing, unknown or invalid.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;

use mlxm_kernels::metal::WeightFormat;
use mlxm_kernels::{Bytes, FloatType, Kernels, Param, QuantMode, QuantSpec, ScaleType, Weight};
use safetensors::Dtype;

use super::Scope;
use super::quantization::Quantization;
use super::row_order::Reorder;
use super::weights::{RawTensor, Weights};
use crate::cancel::CancelToken;
use crate::error::{LoadError, MissingTensor};

/// How much of a checkpoint is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadProgress {
    /// Bytes of the tensors that are loaded and, where the kernels need it, repacked.
    pub loaded_bytes: u64,
    /// Bytes of all tensors of the model.
    pub total_bytes: u64,
}

/// Loads the parameters of a model. It records which tensors were requested, so that [`finish`](Self::finish) can list all
/// missing and unknown ones.
pub struct Loader<'a> {
    pub(super) weights: &'a Weights,
    quantization: &'a Quantization,
    pub(super) config_file: PathBuf,
    pub(super) context_length: usize,
    kernels: Option<&'a Kernels>,
    cancel: CancelToken,
    progress: &'a dyn Fn(LoadProgress),
    loaded_bytes: Cell<u64>,
    total_bytes: u64,
    used: RefCell<BTreeSet<String>>,
    missing: RefCell<Vec<MissingTensor>>,
    parameters: RefCell<LoadedParameters>,
}

/// The parameters of a model.
#[derive(Debug, Clone, Default)]
pub struct LoadedParameters {
    /// Number of parameters. A quantized weight counts its elements, not its packed words.
    pub total: u64,
    /// Number of parameters in weights by quantization, without norms and biases.
    pub weights: Vec<(Option<QuantSpec>, u64)>,
    /// The formats of weights that were read and not repacked.
    pub formats: Vec<WeightFormat>,
}

impl<'a> Loader<'a> {
    /// A loader for the tensors of a checkpoint, for sequences of up to `context_length` tokens. Errors about the configuration
    /// name `config_file`. Weights are repacked for `kernels`; without kernels they are not read.
    pub fn new(
        weights: &'a Weights,
        quantization: &'a Quantization,
        config_file: PathBuf,
        context_length: usize,
        kernels: Option<&'a Kernels>,
    ) -> Self {
        let tensors = weights.iter();
        Self {
            total_bytes: tensors.map(|(_, tensor)| tensor.bytes.len() as u64).sum(),
            weights,
            quantization,
            config_file,
            context_length,
            kernels,
            cancel: CancelToken::default(),
            progress: &|_| {},
            loaded_bytes: Cell::new(0),
            used: RefCell::default(),
            missing: RefCell::default(),
            parameters: RefCell::default(),
        }
    }

    /// Returns [`LoadError::Cancelled`] at the next tensor once `cancel` is cancelled.
    #[must_use]
    pub fn with_cancel(self, cancel: CancelToken) -> Self {
        Self { cancel, ..self }
    }

    /// Calls `progress` before each weight and after the last one.
    #[must_use]
    pub fn with_progress(self, progress: &'a dyn Fn(LoadProgress)) -> Self {
        Self { progress, ..self }
    }

    /// Reports the tensors that were requested so far: all of them are loaded.
    fn report_progress(&self) {
        (self.progress)(LoadProgress {
            loaded_bytes: self.loaded_bytes.get(),
            total_bytes: self.total_bytes,
        });
    }

    /// The scope of the whole checkpoint.
    pub fn root(&self) -> Scope<'_> {
        Scope::root(self)
    }

    /// Loads the tensor `name` `[len]`.
    pub(super) fn param(&self, name: &str, len: usize) -> Result<Param, LoadError> {
        self.param_of_shape(name, &[len])
    }

    /// Loads the tensor `name`, whose elements are used as one row.
    pub(super) fn param_of_shape(&self, name: &str, shape: &[usize]) -> Result<Param, LoadError> {
        // Blocks may have a norm in common.
        let first_use = !self.used.borrow().contains(name);
        let Some(tensor) = self.request(name, shape) else {
            return Ok(Param::from(Vec::<f32>::new()));
        };
        let kind = float_type(name, tensor)?;
        expect_shape(name, tensor, shape)?;
        if first_use {
            self.parameters.borrow_mut().total += shape.iter().product::<usize>() as u64;
        }
        Param::from_bytes(kind, &tensor.bytes).map_err(|error| bad_tensor(name, error.to_string()))
    }

    /// Loads the weight `{path}.weight` `[rows, cols]`, dense or quantized. Its rows or columns are reordered if there is an `order`.
    pub(super) fn weight(
        &self,
        path: &str,
        rows: usize,
        cols: usize,
        order: Option<Reorder<'_>>,
    ) -> Result<Weight, LoadError> {
        if self.cancel.is_cancelled() {
            return Err(LoadError::Cancelled);
        }
        self.report_progress();
        let name = format!("{path}.weight");
        let scales_name = format!("{path}.scales");
        let spec = self.quantization.resolve(
            path,
            cols,
            self.weights.get(&name),
            self.weights.get(&scales_name),
        )?;
        self.count_weight(spec, (rows * cols) as u64);
        let weight = match spec {
            None => self.dense(&name, rows, cols, order),
            Some(spec) => self.quantized(path, rows, cols, spec, order),
        }?;
        match (weight, self.kernels) {
            (Some(weight), Some(kernels)) => {
                let weight = kernels.repack(weight)?;
                let formats = &mut self.parameters.borrow_mut().formats;
                if let Some(format) = weight.format()
                    && !formats.contains(&format)
                {
                    formats.push(format);
                }
                Ok(weight)
            }
            (Some(weight), None) => Ok(weight),
            (None, _) => placeholder(&name),
        }
    }

    /// `None` if the tensor is missing.
    fn dense(
        &self,
        name: &str,
        rows: usize,
        cols: usize,
        order: Option<Reorder<'_>>,
    ) -> Result<Option<Weight>, LoadError> {
        let Some(tensor) = self.request(name, &[rows, cols]) else {
            return Ok(None);
        };
        if tensor.dtype == Dtype::U32 {
            return Err(bad_tensor(
                name,
                "is packed (u32), but the checkpoint has no scales for it".into(),
            ));
        }
        let kind = float_type(name, tensor)?;
        expect_shape(name, tensor, &[rows, cols])?;
        let bytes = if self.weights.is_transposed(name) && self.kernels.is_some() {
            Bytes::owned(transpose(&tensor.bytes, rows, kind.size_bytes()))
        } else {
            self.rows(tensor, order)
        };
        Weight::dense(rows, cols, kind, bytes)
            .map(Some)
            .map_err(|error| bad_tensor(name, error.to_string()))
    }

    /// `None` if a tensor is missing.
    fn quantized(
        &self,
        path: &str,
        rows: usize,
        cols: usize,
        spec: QuantSpec,
        order: Option<Reorder<'_>>,
    ) -> Result<Option<Weight>, LoadError> {
        let name = format!("{path}.weight");
        if !cols.is_multiple_of(spec.group_size) {
            return Err(bad_tensor(
                &name,
                format!(
                    "{cols} inputs cannot be quantized in groups of {}: the group size must divide them",
                    spec.group_size
                ),
            ));
        }
        if let Some(Reorder::Columns(order)) = order {
            let columns = cols / order.blocks.len().max(1);
            if !columns.is_multiple_of(spec.group_size) {
                return Err(bad_tensor(
                    &name,
                    format!(
                        "is quantized in groups of {}: the group size must divide the {columns} inputs of a head",
                        spec.group_size
                    ),
                ));
            }
        }
        let affine = spec.mode == QuantMode::Affine;
        let packed_shape = [rows, cols * spec.bits as usize / 32];
        let scales_shape = [rows, cols / spec.group_size];
        let weight = self.request(&name, &packed_shape);
        let scales = self.request(&format!("{path}.scales"), &scales_shape);
        let biases = if affine {
            self.request(&format!("{path}.biases"), &scales_shape)
        } else {
            None
        };
        let (Some(weight), Some(scales)) = (weight, scales) else {
            return Ok(None);
        };
        if affine && biases.is_none() {
            return Ok(None);
        }
        if weight.dtype != Dtype::U32 {
            return Err(bad_tensor(
                &name,
                format!(
                    "must be packed u32 words for {spec}, found {:?}",
                    weight.dtype
                ),
            ));
        }
        expect_shape(&name, weight, &packed_shape)?;
        let scales_name = format!("{path}.scales");
        expect_shape(&scales_name, scales, &scales_shape)?;
        let scale_type = match (affine, scales.dtype) {
            (false, Dtype::U8) => ScaleType::U8,
            (true, _) => ScaleType::from(float_type(&scales_name, scales)?),
            (false, found) => {
                return Err(bad_tensor(
                    &scales_name,
                    format!("must be u8 for {spec}, found {found:?}"),
                ));
            }
        };
        if let Some(biases) = biases {
            let biases_name = format!("{path}.biases");
            expect_shape(&biases_name, biases, &scales.shape)?;
            if biases.dtype != scales.dtype {
                return Err(bad_tensor(
                    &biases_name,
                    format!(
                        "is {:?}, but its scales are {:?}",
                        biases.dtype, scales.dtype
                    ),
                ));
            }
        }
        let global_scale = self.global_scale(path, spec)?;
        Weight::quantized(
            rows,
            cols,
            spec,
            self.rows(weight, order),
            self.rows(scales, order),
            scale_type,
            biases.map(|tensor| self.rows(tensor, order)),
            global_scale,
        )
        .map(Some)
        .map_err(|error| bad_tensor(&name, error.to_string()))
    }

    /// The bytes of a tensor of a weight, reordered if there is an `order` and the tensors are read at all.
    fn rows(&self, tensor: &RawTensor, order: Option<Reorder<'_>>) -> Bytes {
        match order.filter(|_| self.kernels.is_some()) {
            Some(Reorder::Rows(order)) => order.reorder_bytes(&tensor.bytes),
            Some(Reorder::Columns(order)) => {
                let rows = tensor.shape.first().copied().unwrap_or_default();
                order.reorder_columns(&tensor.bytes, rows)
            }
            None => tensor.bytes.clone(),
        }
    }

    fn global_scale(&self, path: &str, spec: QuantSpec) -> Result<Option<f32>, LoadError> {
        let name = format!("{path}.global_scale");
        if spec.mode != QuantMode::Nvfp4 || !self.weights.contains(&name) {
            return Ok(None);
        }
        let Some(tensor) = self.request(&name, &[1]) else {
            return Ok(None);
        };
        let kind = float_type(&name, tensor)?;
        let values = Param::from_bytes(kind, &tensor.bytes)
            .map_err(|error| bad_tensor(&name, error.to_string()))?;
        match values.as_slice() {
            [scale] => Ok(Some(*scale)),
            other => Err(bad_tensor(
                &name,
                format!("must hold one value, found {}", other.len()),
            )),
        }
    }

    /// The tensor `name`, which is recorded as used or missing. Its shape is not checked.
    fn request(&self, name: &str, shape: &[usize]) -> Option<&'a RawTensor> {
        let tensor = self.weights.get(name);
        match tensor {
            Some(found) => {
                if self.used.borrow_mut().insert(name.to_owned()) {
                    let bytes = found.bytes.len() as u64;
                    self.loaded_bytes.set(self.loaded_bytes.get() + bytes);
                }
            }
            None => self.missing.borrow_mut().push(MissingTensor {
                name: name.to_owned(),
                shape: shape.to_vec(),
            }),
        }
        tensor
    }

    fn count_weight(&self, spec: Option<QuantSpec>, parameters: u64) {
        let mut counted = self.parameters.borrow_mut();
        counted.total += parameters;
        match counted.weights.iter_mut().find(|(known, _)| *known == spec) {
            Some((_, count)) => *count += parameters,
            None => counted.weights.push((spec, parameters)),
        }
    }

    /// Returns the parameters, after the model was built.
    ///
    /// # Errors
    /// When tensors are missing, or the checkpoint has tensors that were not requested.
    pub fn finish(self, model_type: &str) -> Result<LoadedParameters, LoadError> {
        self.report_progress();
        let mut missing = self.missing.into_inner();
        let mut listed = BTreeSet::new();
        missing.retain(|tensor| listed.insert(tensor.name.clone()));
        if !missing.is_empty() {
            return Err(LoadError::MissingTensors {
                model_type: model_type.into(),
                tensors: missing,
            });
        }
        let used = self.used.into_inner();
        let unknown: Vec<String> = self
            .weights
            .names()
            .filter(|name| !used.contains(*name))
            .map(str::to_owned)
            .collect();
        if !unknown.is_empty() {
            return Err(LoadError::UnknownTensors {
                model_type: model_type.into(),
                names: unknown,
            });
        }
        Ok(self.parameters.into_inner())
    }
}

/// The bytes of a matrix of `rows` rows, of which the columns are stored one after the other.
fn transpose(bytes: &Bytes, rows: usize, element_bytes: usize) -> Vec<u8> {
    let bytes = bytes.as_slice();
    let column_bytes = (rows * element_bytes).max(1);
    let mut transposed = Vec::with_capacity(bytes.len());
    for row in 0..rows {
        let at = row * element_bytes;
        for column in bytes.chunks_exact(column_bytes) {
            transposed.extend_from_slice(&column[at..at + element_bytes]);
        }
    }
    transposed
}

/// Replaces a missing weight until [`Loader::finish`] reports it. It has one element, so that a configuration of a much larger
/// model takes no memory.
fn placeholder(name: &str) -> Result<Weight, LoadError> {
    Weight::dense(
        1,
        1,
        FloatType::F16,
        Bytes::owned(vec![0; FloatType::F16.size_bytes()]),
    )
    .map_err(|error| bad_tensor(name, error.to_string()))
}

fn bad_tensor(name: &str, problem: String) -> LoadError {
    LoadError::BadTensor {
        name: name.into(),
        problem,
    }
}

fn float_type(name: &str, tensor: &RawTensor) -> Result<FloatType, LoadError> {
    match tensor.dtype {
        Dtype::F32 => Ok(FloatType::F32),
        Dtype::F16 => Ok(FloatType::F16),
        Dtype::BF16 => Ok(FloatType::BF16),
        other => Err(bad_tensor(
            name,
            format!("must be f32, f16 or bf16, found {other:?}"),
        )),
    }
}

fn expect_shape(name: &str, tensor: &RawTensor, expected: &[usize]) -> Result<(), LoadError> {
    if tensor.shape == expected {
        return Ok(());
    }
    Err(bad_tensor(
        name,
        format!("must have the shape {expected:?}, found {:?}", tensor.shape),
    ))
}
