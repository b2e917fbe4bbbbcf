//! Weights: a matrix that is dense or quantized, and a small vector.

use std::sync::Arc;

use half::{bf16, f16};

use crate::{
    bytes::{Bytes, Typed},
    cpu::repack::RepackedWeight,
    quant::{
        self, E2M1, FloatType, NVFP4_GLOBAL_DIVISOR, QuantError, QuantMode, QuantSpec, ScaleType,
    },
};

/// A weight of `rows` outputs by `cols` inputs: row-major, as the checkpoint stores it, until [`crate::Kernels::repack`]
/// puts it into the form that a device multiplies fastest.
#[derive(Clone, Debug)]
pub struct Weight {
    rows: usize,
    cols: usize,
    storage: Storage,
}

#[derive(Clone, Debug)]
pub(crate) enum Storage {
    Dense(Floats),
    Quantized(Quantized),
    /// Rearranged for the processor.
    Repacked(Arc<RepackedWeight>),
}

#[derive(Clone, Debug)]
pub(crate) struct Quantized {
    pub spec: QuantSpec,
    /// Rows of `row_bytes` bytes.
    pub weight: Bytes,
    pub row_bytes: usize,
    pub groups_per_row: usize,
    pub scales: Scales,
}

#[derive(Clone, Debug)]
pub(crate) enum Scales {
    Affine { scales: Floats, biases: Floats },
    E8m0(Bytes),
    E4m3 { codes: Bytes, factor: f32 },
}

impl Quantized {
    /// Scale and bias of one group, counted over the whole matrix.
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

/// Float parameters in the type they are stored in.
#[derive(Clone, Debug)]
pub(crate) enum Floats {
    F32(Typed<f32>),
    F16(Typed<u16>),
    BF16(Typed<u16>),
}

impl Floats {
    fn new(float: FloatType, bytes: &Bytes) -> Option<Self> {
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

    fn size_bytes(&self) -> usize {
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
}

/// Why bytes do not make a matrix or vector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightError {
    /// A matrix without rows or columns.
    #[error("a weight of {rows} rows and {cols} columns is empty")]
    Empty {
        /// Output rows.
        rows: usize,
        /// Input columns.
        cols: usize,
    },
    /// A part of the weight has the wrong size for the shape.
    #[error(
        "the {part} of a weight of {rows} rows and {cols} columns ({format}) take {expected} bytes, found {found}"
    )]
    Size {
        /// `values`, `packed values`, `scales` or `biases`.
        part: &'static str,
        /// Output rows.
        rows: usize,
        /// Input columns.
        cols: usize,
        /// Float type or quantized format.
        format: String,
        /// Bytes the shape asks for.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The columns cannot be cut into groups.
    #[error("{cols} columns do not divide into groups of {group_size} ({spec})")]
    Groups {
        /// Input columns.
        cols: usize,
        /// Values per group.
        group_size: usize,
        /// The format.
        spec: QuantSpec,
    },
    /// The format is not one of MLX's.
    #[error(transparent)]
    Format(#[from] QuantError),
    /// The scales have a type that the mode does not use.
    #[error("{spec} has {expected} scales, found {found}")]
    ScaleType {
        /// The format.
        spec: QuantSpec,
        /// What the mode uses.
        expected: &'static str,
        /// What was given.
        found: ScaleType,
    },
    /// Affine without biases, or biases in a mode that has none.
    #[error("{spec} {}", if spec.has_biases() { "needs biases beside its scales, found none" } else { "has no biases, found some" })]
    Biases {
        /// The format.
        spec: QuantSpec,
    },
    /// A global scale in a mode that has none.
    #[error("{spec} has no global scale (only nvfp4 does), found one")]
    GlobalScale {
        /// The format.
        spec: QuantSpec,
    },
    /// A vector's bytes are not whole floats.
    #[error("{found} bytes are not a whole number of {float} values")]
    Param {
        /// The element type.
        float: FloatType,
        /// Bytes given.
        found: usize,
    },
}

impl Weight {
    /// A matrix of plain floats.
    pub fn dense(
        rows: usize,
        cols: usize,
        float: FloatType,
        bytes: Bytes,
    ) -> Result<Self, WeightError> {
        let shape = Shape { rows, cols };
        shape.check_not_empty()?;
        let found = bytes.len();
        let expected = shape.bytes(cols.saturating_mul(float.size_bytes()));
        let error = || shape.size_error("values", float.to_string(), expected, found);
        if found != expected {
            return Err(error());
        }
        let storage = Storage::Dense(Floats::new(float, &bytes).ok_or_else(error)?);
        Ok(Self {
            rows,
            cols,
            storage,
        })
    }

    /// A packed matrix: `weight` holds `rows` bitstreams (see [`quant`]), `scales` and `biases` one element per group.
    ///
    /// `biases` have the type of the scales. `global_scale` is nvfp4's, as [`quant`] defines it.
    #[expect(
        clippy::too_many_arguments,
        reason = "the tensors of one checkpoint entry, each named at the single call site"
    )]
    pub fn quantized(
        rows: usize,
        cols: usize,
        spec: QuantSpec,
        weight: Bytes,
        scales: Bytes,
        scale_type: ScaleType,
        biases: Option<Bytes>,
        global_scale: Option<f32>,
    ) -> Result<Self, WeightError> {
        let shape = Shape { rows, cols };
        shape.check_not_empty()?;
        spec.validate()?;
        if !cols.is_multiple_of(spec.group_size) {
            return Err(WeightError::Groups {
                cols,
                group_size: spec.group_size,
                spec,
            });
        }
        let check = |part, bytes: &Bytes, per_row| {
            let (expected, found) = (shape.bytes(per_row), bytes.len());
            if expected == found {
                Ok(())
            } else {
                Err(shape.size_error(part, spec.to_string(), expected, found))
            }
        };
        let row_bytes = spec.row_bytes(cols);
        let groups_per_row = cols / spec.group_size;
        check("packed values", &weight, row_bytes)?;
        if global_scale.is_some() && spec.mode != QuantMode::Nvfp4 {
            return Err(WeightError::GlobalScale { spec });
        }
        let scales = match (scale_type.float(), spec.has_biases()) {
            (Some(float), true) => {
                let biases = biases.ok_or(WeightError::Biases { spec })?;
                check("scales", &scales, groups_per_row * float.size_bytes())?;
                check("biases", &biases, groups_per_row * float.size_bytes())?;
                let vector_error = |bytes: &Bytes| WeightError::Param {
                    float,
                    found: bytes.len(),
                };
                Scales::Affine {
                    scales: Floats::new(float, &scales).ok_or_else(|| vector_error(&scales))?,
                    biases: Floats::new(float, &biases).ok_or_else(|| vector_error(&biases))?,
                }
            }
            (None, false) => {
                if biases.is_some() {
                    return Err(WeightError::Biases { spec });
                }
                check("scales", &scales, groups_per_row)?;
                if spec.mode == QuantMode::Nvfp4 {
                    Scales::E4m3 {
                        codes: scales,
                        factor: global_scale.map_or(1.0, |scale| scale / NVFP4_GLOBAL_DIVISOR),
                    }
                } else {
                    Scales::E8m0(scales)
                }
            }
            (_, has_biases) => {
                return Err(WeightError::ScaleType {
                    spec,
                    expected: if has_biases { "float" } else { "U8" },
                    found: scale_type,
                });
            }
        };
        Ok(Self {
            rows,
            cols,
            storage: Storage::Quantized(Quantized {
                spec,
                weight,
                row_bytes,
                groups_per_row,
                scales,
            }),
        })
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The quantized format; `None` when dense.
    pub fn spec(&self) -> Option<QuantSpec> {
        match &self.storage {
            Storage::Dense(_) => None,
            Storage::Quantized(quantized) => Some(quantized.spec),
            Storage::Repacked(tiles) => Some(tiles.spec()),
        }
    }

    /// Bytes of values, scales and biases.
    pub fn size_bytes(&self) -> usize {
        match &self.storage {
            Storage::Dense(values) => values.size_bytes(),
            Storage::Quantized(quantized) => {
                quantized.weight.len()
                    + match &quantized.scales {
                        Scales::Affine { scales, biases } => {
                            scales.size_bytes() + biases.size_bytes()
                        }
                        Scales::E8m0(codes) | Scales::E4m3 { codes, .. } => codes.len(),
                    }
            }
            Storage::Repacked(tiles) => tiles.size_bytes(),
        }
    }

    /// Writes one row as floats.
    ///
    /// # Panics
    /// When `row` is not a row or `out` is not `cols` long.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.rows && out.len() == self.cols,
            "row {row} into {} floats: the weight has {} rows of {} columns",
            out.len(),
            self.rows,
            self.cols
        );
        match &self.storage {
            Storage::Dense(values) => {
                for (col, out) in out.iter_mut().enumerate() {
                    *out = values.get(row * self.cols + col);
                }
            }
            Storage::Repacked(tiles) => tiles.dequantize_row(row, out),
            Storage::Quantized(q) => {
                let stream = &q.weight.as_slice()[row * q.row_bytes..][..q.row_bytes];
                for (group, out) in out.chunks_exact_mut(q.spec.group_size).enumerate() {
                    let (scale, bias) = q.scale_and_bias(row * q.groups_per_row + group);
                    for (index, out) in out.iter_mut().enumerate() {
                        let index = group * q.spec.group_size + index;
                        let code = quant::unpack(stream, q.spec.bits, index);
                        *out = match q.spec.mode {
                            QuantMode::Affine => (code as f32).mul_add(scale, bias),
                            QuantMode::Mxfp4 | QuantMode::Nvfp4 => E2M1[code as usize] * scale,
                            QuantMode::Mxfp8 => quant::e4m3_to_f32(code as u8) * scale,
                        };
                    }
                }
            }
        }
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The same weight in tiles.
    pub(crate) fn with_repacked(&self, tiles: RepackedWeight) -> Self {
        Self {
            storage: Storage::Repacked(Arc::new(tiles)),
            ..*self
        }
    }

    /// Lets go of the memory that holds the checkpoint's form, where it is a file's: it comes back from the file when it
    /// is read again.
    pub(crate) fn release(&self) {
        let floats = |floats: &Floats| match floats {
            Floats::F32(values) => values.release(),
            Floats::F16(values) | Floats::BF16(values) => values.release(),
        };
        match &self.storage {
            Storage::Dense(values) => floats(values),
            Storage::Quantized(quantized) => {
                quantized.weight.release();
                match &quantized.scales {
                    Scales::Affine { scales, biases } => {
                        floats(scales);
                        floats(biases);
                    }
                    Scales::E8m0(codes) | Scales::E4m3 { codes, .. } => codes.release(),
                }
            }
            Storage::Repacked(_) => {}
        }
    }
}

/// The shape while it is being checked.
#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    cols: usize,
}

impl Shape {
    fn check_not_empty(self) -> Result<(), WeightError> {
        let Self { rows, cols } = self;
        if rows == 0 || cols == 0 {
            return Err(WeightError::Empty { rows, cols });
        }
        Ok(())
    }

    fn bytes(self, per_row: usize) -> usize {
        self.rows.saturating_mul(per_row)
    }

    fn size_error(
        self,
        part: &'static str,
        format: String,
        expected: usize,
        found: usize,
    ) -> WeightError {
        WeightError::Size {
            part,
            rows: self.rows,
            cols: self.cols,
            format,
            expected,
            found,
        }
    }
}

/// A small parameter (norm weight, bias, sinks), widened to f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Param(Box<[f32]>);

impl Param {
    /// Reads floats of the given type.
    pub fn from_bytes(float: FloatType, bytes: &Bytes) -> Result<Self, WeightError> {
        let count = bytes.len() / float.size_bytes();
        let floats = Floats::new(float, bytes).ok_or(WeightError::Param {
            float,
            found: bytes.len(),
        })?;
        Ok(Self((0..count).map(|index| floats.get(index)).collect()))
    }

    /// The values.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl From<Vec<f32>> for Param {
    fn from(values: Vec<f32>) -> Self {
        Self(values.into())
    }
}
