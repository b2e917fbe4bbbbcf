//! Weight matrices, dense or quantized.

mod error;
mod storage;

use std::sync::Arc;

use crate::{
    bytes::Bytes,
    cpu::repack::RepackedWeight,
    metal::WeightFormat,
    quant::{self, E2M1, FloatType, NVFP4_GLOBAL_DIVISOR, QuantMode, QuantSpec, ScaleType},
};

pub use error::WeightError;
pub(crate) use storage::{Floats, Place, Quantized, Scales, Storage, StoredBytes};

/// A weight of `rows` output features by `cols` input features: row-major, as the checkpoint stores it, until
/// [`crate::Kernels::repack`] rearranges it for the device's fastest kernel.
#[derive(Clone, Debug)]
pub struct Weight {
    rows: usize,
    cols: usize,
    storage: Storage,
}

impl Weight {
    /// A weight of plain floats, `[rows, cols]`.
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

    /// A quantized weight: `weight` holds `rows` bitstreams (see [`quant`]), `scales` and `biases` one element per
    /// group.
    ///
    /// `biases` have the type of the scales. `global_scale` is the per-tensor scale of nvfp4; see [`quant`].
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
                let param_error = |bytes: &Bytes| WeightError::Param {
                    float,
                    found: bytes.len(),
                };
                Scales::Affine {
                    scales: Floats::new(float, &scales).ok_or_else(|| param_error(&scales))?,
                    biases: Floats::new(float, &biases).ok_or_else(|| param_error(&biases))?,
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

    /// Output features.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features.
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

    /// What decides which kernels multiply it; `None` if it was repacked for the CPU.
    pub fn format(&self) -> Option<WeightFormat> {
        let float = self.storage.float_type();
        match &self.storage {
            Storage::Dense(_) => float.map(WeightFormat::dense),
            // Scales that are bytes have one type.
            Storage::Quantized(quantized) => Some(WeightFormat::quantized(
                quantized.spec,
                float.unwrap_or(FloatType::F32),
            )),
            Storage::Repacked(_) => None,
        }
    }

    /// Bytes of values, scales and biases.
    pub fn size_bytes(&self) -> usize {
        self.storage.size_bytes()
    }

    /// Bytes of the values, of the scales and of the quantization biases.
    pub(crate) fn stored_bytes(&self) -> StoredBytes {
        self.storage.stored_bytes()
    }

    /// Whether the same kernel multiplies both weights.
    pub(crate) fn has_format_of(&self, other: &Self) -> bool {
        self.spec() == other.spec() && self.storage.float_type() == other.storage.float_type()
    }

    /// Writes one row as floats.
    ///
    /// # Panics
    /// If `row` is not below `rows` or `out` is not `cols` long.
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
            Storage::Repacked(repacked) => repacked.dequantize_row(row, out),
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

    /// The same weight with repacked storage.
    pub(crate) fn with_repacked(&self, repacked: RepackedWeight) -> Self {
        Self {
            storage: Storage::Repacked(Arc::new(repacked)),
            ..*self
        }
    }

    /// The same weight with every part where `place` puts it.
    pub(crate) fn placed<E>(&self, place: &mut Place<'_, E>) -> Result<Self, E> {
        Ok(Self {
            storage: self.storage.placed(place)?,
            ..*self
        })
    }

    /// Returns the memory of a mapped checkpoint to the system; it is read from the file again when needed.
    pub(crate) fn release(&self) {
        self.storage.release();
    }
}

/// A shape that is being validated.
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
