//! Quantized weights of an MLX checkpoint.

use mlxm_kernels::quant::{FloatType, QuantSpec, ScaleType};
use mlxm_kernels::{Param, Weight};
use safetensors::Dtype;

use super::ConvertError;
use super::dense::{CopiedRows, DenseRows};
use super::options::Outcome;
use super::plan::{FloatRows, RowProducer};
use super::raw::{RawRows, float_type_of};
use mlxm_engine::checkpoint::RawTensor;

/// The tensors of one quantized weight.
pub(super) struct PackedWeight<'a> {
    path: String,
    spec: QuantSpec,
    columns: usize,
    weight: &'a RawTensor,
    scales: &'a RawTensor,
    biases: Option<&'a RawTensor>,
    global_scale: Option<&'a RawTensor>,
}

impl<'a> PackedWeight<'a> {
    /// Checks that the tensors fit `spec` and `columns` inputs. `part` looks up `scales`, `biases` and `global_scale`.
    pub(super) fn new(
        path: &str,
        columns: usize,
        spec: QuantSpec,
        weight: &'a RawTensor,
        part: &dyn Fn(&str) -> Option<&'a RawTensor>,
    ) -> Result<Self, ConvertError> {
        let error = |reason: String| ConvertError::tensor(path, reason);
        let scales = part("scales").ok_or_else(|| error("its scales are missing".to_owned()))?;
        let biases = part("biases").filter(|_| spec.has_biases());
        if spec.has_biases() && biases.is_none() {
            return Err(error(format!(
                "its biases are missing: {spec} requires them"
            )));
        }
        let fits = columns.is_multiple_of(spec.group_size)
            && weight.dtype == Dtype::U32
            && matches!(weight.shape[..], [rows, words]
                if rows > 0 && words * 32 == columns * spec.bits as usize);
        let rows = weight.shape.first().copied().unwrap_or(0);
        let groups = [rows, columns / spec.group_size];
        let scale_type_fits = if spec.has_biases() {
            float_type_of(scales.dtype).is_some() && biases.is_some_and(|b| b.dtype == scales.dtype)
        } else {
            scales.dtype == Dtype::U8
        };
        if !fits
            || !scale_type_fits
            || scales.shape != groups
            || biases.is_some_and(|biases| biases.shape != groups)
        {
            return Err(error(format!(
                "its weight {:?} {:?} and scales {:?} {:?} are not {columns} columns of {spec}",
                weight.dtype, weight.shape, scales.dtype, scales.shape
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            spec,
            columns,
            weight,
            scales,
            biases,
            global_scale: part("global_scale"),
        })
    }

    /// The float type of the scales; `None` for 8-bit scales.
    pub(super) fn scale_float(&self) -> Option<FloatType> {
        float_type_of(self.scales.dtype)
    }

    /// The weight as the kernels read it.
    pub(super) fn weight(&self) -> Result<Weight, ConvertError> {
        let error = |reason: String| ConvertError::tensor(&self.path, reason);
        let global_scale = match self.global_scale {
            None => None,
            Some(tensor) => {
                let float = float_type_of(tensor.dtype).ok_or_else(|| {
                    error(format!("its global scale has the type {:?}", tensor.dtype))
                })?;
                let values = Param::from_bytes(float, &tensor.bytes)
                    .map_err(|source| error(source.to_string()))?;
                match values.as_slice() {
                    [scale] => Some(*scale),
                    several => {
                        return Err(error(format!(
                            "it has {} global scales, expected one",
                            several.len()
                        )));
                    }
                }
            }
        };
        Weight::quantized(
            self.weight.shape[0],
            self.columns,
            self.spec,
            self.weight.bytes.clone(),
            self.scales.bytes.clone(),
            self.scale_float().map_or(ScaleType::U8, ScaleType::from),
            self.biases.map(|biases| biases.bytes.clone()),
            global_scale,
        )
        .map_err(|source| error(source.to_string()))
    }

    /// Copies the packed values. Scales and biases are converted to `float` if it is given.
    pub(super) fn copied(&self, float: Option<FloatType>) -> (Box<dyn RowProducer + 'a>, Outcome) {
        let rows = self.weight.shape[0];
        let parts: Vec<&'a [u8]> = [Some(self.weight), Some(self.scales), self.biases]
            .into_iter()
            .flatten()
            .map(|tensor| tensor.bytes.as_slice())
            .collect();
        match (float, self.scale_float(), self.biases) {
            (Some(to), Some(from), Some(biases)) if to != from => {
                let columns = self.columns / self.spec.group_size;
                let recast = |bytes: &'a [u8]| DenseRows {
                    rows: RawRows::from_bytes(bytes, from),
                    columns,
                    float: to,
                };
                let producer = RecastScales {
                    packed: CopiedRows {
                        parts: vec![self.weight.bytes.as_slice()],
                        rows,
                    },
                    scales: recast(self.scales.bytes.as_slice()),
                    biases: recast(biases.bytes.as_slice()),
                };
                let outcome = if to == FloatType::F32 {
                    Outcome::Exact
                } else {
                    Outcome::Rounded { to }
                };
                (Box::new(producer), outcome)
            }
            _ => (Box::new(CopiedRows { parts, rows }), Outcome::Exact),
        }
    }
}

/// Copies the packed values and converts scales and biases to another float type.
struct RecastScales<'a> {
    packed: CopiedRows<'a>,
    scales: DenseRows<RawRows<'a>>,
    biases: DenseRows<RawRows<'a>>,
}

impl RowProducer for RecastScales<'_> {
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]) {
        let [packed, scales, biases] = parts else {
            return;
        };
        self.packed.produce(row, std::slice::from_mut(packed));
        self.scales.produce(row, std::slice::from_mut(scales));
        self.biases.produce(row, std::slice::from_mut(biases));
    }
}

impl FloatRows for Weight {
    fn read(&self, row: usize, out: &mut [f32]) {
        self.dequantize_row(row, out);
    }
}
