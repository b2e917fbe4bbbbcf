//! Converts AutoAWQ weights to MLX's packing at load time.
//!
//! AWQ stores `qweight` as i32 `[inputs, outputs/8]`. A word has the 4-bit codes of eight consecutive outputs, in the order
//! 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits up. A word of MLX has consecutive inputs of one output, in order. A weight
//! is `(code − zero) · scale` in AWQ and `code · scale + bias` in MLX, so `bias = −zero · scale`. Without `qzeros`, the
//! zero point is 8.

use half::{bf16, f16};
use mlxm_kernels::{Bytes, QuantMode, QuantSpec};
use safetensors::Dtype;
use serde_json::{Map, Value};

use super::weights::{RawTensor, Weights};

const BITS: usize = 4;
const CODES_PER_WORD: usize = 32 / BITS;
/// Position of each output's code in a word, from the lowest bits up.
const POSITION_OF_OUTPUT: [usize; CODES_PER_WORD] = [0, 4, 1, 5, 2, 6, 3, 7];
/// The zero point of checkpoints without `qzeros`.
const SYMMETRIC_ZERO: u32 = 1 << (BITS - 1);

/// Replaces `{path}.qweight`, `.qzeros` and `.scales` by `{path}.weight`, `.scales` and `.biases`.
///
/// # Errors
/// A message that names what is unsupported or does not match.
pub fn repack(weights: &mut Weights, config: &Map<String, Value>) -> Result<QuantSpec, String> {
    let number =
        |key: &str, default: u64| config.get(key).and_then(Value::as_u64).unwrap_or(default);
    let bits = number("bits", BITS as u64);
    if bits != BITS as u64 {
        return Err(format!(
            "AWQ and GPTQ weights are supported with 4 bits, not {bits}"
        ));
    }
    if let Some(name) = weights.names().find(|name| name.ends_with(".g_idx")) {
        return Err(format!(
            "{name}: GPTQ weights with a group index are not supported; convert a dense version of the model with `mlxm convert --bits 4`"
        ));
    }
    let spec = QuantSpec {
        mode: QuantMode::Affine,
        group_size: number("group_size", 128) as usize,
        bits: BITS as u32,
    };
    spec.validate().map_err(|error| error.to_string())?;
    let paths: Vec<String> = weights
        .names()
        .filter_map(|name| name.strip_suffix(".qweight"))
        .map(str::to_owned)
        .collect();
    for path in paths {
        repack_one(weights, &path).map_err(|problem| format!("{path}: {problem}"))?;
    }
    Ok(spec)
}

fn repack_one(weights: &mut Weights, path: &str) -> Result<(), String> {
    let qweight = weights
        .remove(&format!("{path}.qweight"))
        .ok_or("no qweight")?;
    let scales = weights
        .remove(&format!("{path}.scales"))
        .ok_or("has a qweight but no scales")?;
    let qzeros = weights.remove(&format!("{path}.qzeros"));

    let (inputs, codes) = unpack(&qweight)?;
    let outputs = codes.len() / inputs.max(1);
    let [groups, scale_columns] = scales.shape[..] else {
        return Err(format!(
            "scales must have two dimensions, found {:?}",
            scales.shape
        ));
    };
    if scale_columns != outputs
        || groups == 0
        || !inputs.is_multiple_of(groups)
        || !inputs.is_multiple_of(CODES_PER_WORD)
    {
        return Err(format!(
            "scales {:?} do not fit {inputs} inputs and {outputs} outputs",
            scales.shape
        ));
    }
    let zeros = match &qzeros {
        Some(tensor) => unpack(tensor)?.1,
        None => vec![SYMMETRIC_ZERO; groups * outputs],
    };
    if zeros.len() != groups * outputs {
        return Err(format!(
            "{} zeros do not fit scales {:?}",
            zeros.len(),
            scales.shape
        ));
    }

    let mut words = Vec::with_capacity(outputs * inputs / 2);
    for output in 0..outputs {
        for first in (0..inputs).step_by(CODES_PER_WORD) {
            let word = (0..CODES_PER_WORD).fold(0, |word, i| {
                word | codes[(first + i) * outputs + output] << (BITS * i)
            });
            words.extend(u32::to_le_bytes(word));
        }
    }
    let float = Float::of(scales.dtype)?;
    let source = float.read(scales.bytes.as_slice());
    let (mut transposed, mut biases) = (Vec::new(), Vec::new());
    for output in 0..outputs {
        for group in 0..groups {
            let scale = source[group * outputs + output];
            float.write(scale, &mut transposed);
            float.write(
                -(zeros[group * outputs + output] as f32) * scale,
                &mut biases,
            );
        }
    }
    let mut insert = |leaf: &str, dtype, columns, bytes| {
        weights.insert(
            format!("{path}.{leaf}"),
            RawTensor {
                dtype,
                shape: vec![outputs, columns],
                bytes: Bytes::owned(bytes),
            },
        );
    };
    insert("weight", Dtype::U32, inputs / CODES_PER_WORD, words);
    insert("scales", scales.dtype, groups, transposed);
    insert("biases", scales.dtype, groups, biases);
    Ok(())
}

/// Number of rows and codes `[rows, 8·words]` of a packed tensor, row-major.
fn unpack(tensor: &RawTensor) -> Result<(usize, Vec<u32>), String> {
    let ([rows, _], Dtype::I32 | Dtype::U32) = (&tensor.shape[..], tensor.dtype) else {
        return Err(format!(
            "packed weights must be i32 with two dimensions, found {:?} {:?}",
            tensor.dtype, tensor.shape
        ));
    };
    let words = tensor
        .bytes
        .as_slice()
        .chunks_exact(4)
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let mask = (1 << BITS) - 1;
    Ok((
        *rows,
        words
            .flat_map(|word| POSITION_OF_OUTPUT.map(|position| word >> (BITS * position) & mask))
            .collect(),
    ))
}

/// Element type of scales.
#[derive(Clone, Copy)]
enum Float {
    F32,
    F16,
    BF16,
}

impl Float {
    fn of(dtype: Dtype) -> Result<Self, String> {
        match dtype {
            Dtype::F32 => Ok(Self::F32),
            Dtype::F16 => Ok(Self::F16),
            Dtype::BF16 => Ok(Self::BF16),
            other => Err(format!("scales must be f32, f16 or bf16, found {other:?}")),
        }
    }

    fn read(self, bytes: &[u8]) -> Vec<f32> {
        let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
        match self {
            Self::F32 => bytes
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect(),
            Self::F16 => pairs()
                .map(|pair| f16::from_le_bytes(pair).to_f32())
                .collect(),
            Self::BF16 => pairs()
                .map(|pair| bf16::from_le_bytes(pair).to_f32())
                .collect(),
        }
    }

    fn write(self, value: f32, out: &mut Vec<u8>) {
        match self {
            Self::F32 => out.extend(value.to_le_bytes()),
            Self::F16 => out.extend(f16::from_f32(value).to_le_bytes()),
            Self::BF16 => out.extend(bf16::from_f32(value).to_le_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: usize = 32;
    const OUTPUTS: usize = 16;

    fn code(input: usize, output: usize) -> u32 {
        ((input * 7 + output * 3) % 16) as u32
    }

    /// Packs codes in AWQ's layout.
    fn packed(rows: usize, code: impl Fn(usize, usize) -> u32) -> RawTensor {
        let order = [0, 2, 4, 6, 1, 3, 5, 7];
        let mut bytes = Vec::new();
        for row in 0..rows {
            for first in (0..OUTPUTS).step_by(8) {
                let word = (0..8).fold(0, |word, i| word | code(row, first + order[i]) << (4 * i));
                bytes.extend(u32::to_le_bytes(word));
            }
        }
        RawTensor {
            dtype: Dtype::I32,
            shape: vec![rows, OUTPUTS / 8],
            bytes: Bytes::owned(bytes),
        }
    }

    fn checkpoint(zeros: bool) -> Weights {
        let mut weights = Weights::default();
        let scales: Vec<u8> = (0..OUTPUTS)
            .flat_map(|output| (0.5 + output as f32).to_le_bytes())
            .collect();
        let scales = RawTensor {
            dtype: Dtype::F32,
            shape: vec![1, OUTPUTS],
            bytes: Bytes::owned(scales),
        };
        weights.insert("proj.qweight".into(), packed(INPUTS, code));
        weights.insert("proj.scales".into(), scales);
        if zeros {
            weights.insert(
                "proj.qzeros".into(),
                packed(1, |_, output| (output % 16) as u32),
            );
        }
        weights
    }

    #[test]
    fn repack_preserves_weight_values() {
        for zeros in [false, true] {
            let mut weights = checkpoint(zeros);
            let config = Map::from_iter([("group_size".into(), Value::from(32))]);
            let spec = repack(&mut weights, &config).unwrap();
            let bytes = |name: &str| weights.get(name).unwrap().bytes.clone();
            let weight = mlxm_kernels::Weight::quantized(
                OUTPUTS,
                INPUTS,
                spec,
                bytes("proj.weight"),
                bytes("proj.scales"),
                mlxm_kernels::ScaleType::F32,
                Some(bytes("proj.biases")),
                None,
            )
            .unwrap();
            let mut row = vec![0.0; INPUTS];
            for output in 0..OUTPUTS {
                weight.dequantize_row(output, &mut row);
                let zero = if zeros { (output % 16) as f32 } else { 8.0 };
                for (input, &value) in row.iter().enumerate() {
                    let expected = (code(input, output) as f32 - zero) * (0.5 + output as f32);
                    assert!(
                        (value - expected).abs() < 1e-4,
                        "[{output}, {input}] {value} {expected}"
                    );
                }
            }
            assert!(weights.get("proj.qweight").is_none() && weights.get("proj.qzeros").is_none());
        }
    }

    #[test]
    fn repack_rejects_other_bit_widths_and_group_indices() {
        let bits = Map::from_iter([("bits".into(), Value::from(8))]);
        assert!(
            repack(&mut checkpoint(true), &bits)
                .unwrap_err()
                .contains("4 bits")
        );
        let mut indexed = checkpoint(true);
        let index = RawTensor {
            dtype: Dtype::I32,
            shape: vec![0],
            bytes: Bytes::owned(Vec::new()),
        };
        indexed.insert("proj.g_idx".into(), index);
        assert!(
            repack(&mut indexed, &Map::new())
                .unwrap_err()
                .contains("proj.g_idx")
        );
    }
}
