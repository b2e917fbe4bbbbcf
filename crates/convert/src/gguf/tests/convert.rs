//! Conversion of GGUF files to checkpoints.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use half::f16;
use mlxm_kernels::quant::{FloatType, QuantMode, QuantSpec};
use mlxm_kernels::quantize::dequantize_row;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::super::blocks;
use super::super::types::TensorType;
use super::builder::{GgufBuilder, metadata, tiny_model, with_tensors};
use crate::{
    ConvertError, ConvertEvent, ConvertOptions, ConvertReport, Outcome, WeightFormat, convert,
};

pub(super) struct Converted {
    pub(super) report: ConvertReport,
    pub(super) config: Value,
    pub(super) tensors: HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    pub(super) outcomes: HashMap<String, Outcome>,
}

pub(super) fn run(
    builder: &GgufBuilder,
    options: &ConvertOptions,
) -> Result<Converted, ConvertError> {
    let directory = tempfile::tempdir().unwrap();
    let (source, output) = (
        directory.path().join("m.gguf"),
        directory.path().join("out"),
    );
    std::fs::write(&source, builder.build()).unwrap();
    let mut outcomes = HashMap::new();
    let report = convert(&source, &output, options, &mut |event| {
        if let ConvertEvent::Tensor { name, outcome, .. } = event {
            outcomes.insert(name.to_owned(), outcome.clone());
        }
        ControlFlow::Continue(())
    })?;
    let config = std::fs::read(output.join("config.json")).unwrap();
    let weights = std::fs::read(output.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&weights)
        .unwrap()
        .iter()
        .map(|(name, view)| {
            (
                name.to_owned(),
                (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
            )
        })
        .collect();
    Ok(Converted {
        report,
        config: serde_json::from_slice(&config).unwrap(),
        tensors,
        outcomes,
    })
}

impl Converted {
    /// The dequantized values of a weight of the output.
    pub(super) fn values(&self, module: &str, spec: QuantSpec) -> Vec<f32> {
        let part = |leaf: &str| self.tensors.get(&format!("{module}.{leaf}"));
        let (dtype, shape, packed) = part("weight").unwrap();
        assert_eq!(*dtype, Dtype::U32);
        let columns = shape[1] * 32 / spec.bits as usize;
        let (scale_type, _, scales) = part("scales").unwrap();
        let float = match scale_type {
            Dtype::F32 => FloatType::F32,
            Dtype::F16 | Dtype::U8 => FloatType::F16,
            other => panic!("scales of type {other:?}"),
        };
        let biases = part("biases").map_or(&[][..], |(_, _, bytes)| bytes);
        let rows = shape[0];
        let mut values = vec![0.0; rows * columns];
        for (row, out) in values.chunks_mut(columns).enumerate() {
            let of_row = |bytes: &'_ [u8]| {
                let width = bytes.len() / rows;
                bytes[row * width..][..width].to_vec()
            };
            dequantize_row(
                &of_row(packed),
                &of_row(scales),
                &of_row(biases),
                spec,
                float,
                out,
            );
        }
        values
    }
}

/// The dequantized values of a tensor of the file.
pub(super) fn source_values(type_id: u32, data: &[u8], columns: usize) -> Vec<f32> {
    let tensor_type = TensorType::from_id(type_id).unwrap();
    let (block_values, block_bytes) = tensor_type.block();
    let rows = data.len() / block_bytes * block_values / columns;
    let mut values = vec![0.0; rows * columns];
    for (row, out) in values.chunks_mut(columns).enumerate() {
        let row_bytes = columns / block_values * block_bytes;
        blocks::dequantize_row(tensor_type, &data[row * row_bytes..][..row_bytes], out);
    }
    values
}

pub(super) fn affine(bits: u32) -> QuantSpec {
    QuantSpec {
        mode: QuantMode::Affine,
        group_size: 32,
        bits,
    }
}

#[test]
fn affine_types_are_converted_without_loss() {
    for (type_id, bits) in [(2, 4), (3, 4), (6, 5), (7, 5), (8, 8)] {
        let converted = run(&tiny_model(type_id), &ConvertOptions::default()).unwrap();
        assert_eq!(converted.report.exact, 11, "type {type_id}");
        let data = super::builder::blocks(type_id, 32 * 64);
        assert_eq!(
            converted.values("model.layers.0.mlp.down_proj", affine(bits)),
            source_values(type_id, &data, 64),
            "type {type_id}"
        );
        assert_eq!(converted.config["quantization"]["bits"], bits);
        assert_eq!(converted.config["quantization"]["group_size"], 32);
    }
}

#[test]
fn mxfp4_is_converted_without_loss() {
    let spec = QuantSpec::default_for(QuantMode::Mxfp4);
    let converted = run(&tiny_model(39), &ConvertOptions::default()).unwrap();
    let data = super::builder::blocks(39, 32 * 64);
    let values = converted.values("model.layers.0.mlp.down_proj", spec);
    assert_eq!(values, source_values(39, &data, 64));
    assert_eq!(converted.config["quantization"]["mode"], "mxfp4");
}

#[test]
fn permutation_of_query_and_key_rows_is_undone() {
    let values: Vec<f32> = (0..32 * 32).map(|index| (index / 32) as f32).collect();
    let builder = |name: &str, rows: usize| {
        tiny_model(0).without_tensor(name).f32_tensor(
            name,
            &[rows as u64, 32],
            &values[..rows * 32],
        )
    };
    let first_column = |builder: &GgufBuilder, name: &str| -> Vec<f32> {
        let converted = run(builder, &ConvertOptions::default()).unwrap();
        let (dtype, shape, bytes) = &converted.tensors[name];
        assert_eq!(*dtype, Dtype::F32);
        (0..shape[0])
            .map(|row| {
                let at = row * shape[1] * 4;
                f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
            })
            .collect()
    };
    // Two heads of 16 rows. The first half of a head is stored in its even rows.
    let q = first_column(
        &builder("blk.0.attn_q.weight", 32),
        "model.layers.0.self_attn.q_proj.weight",
    );
    let head: Vec<f32> = (0..8)
        .map(|i| 2.0 * i as f32)
        .chain((0..8).map(|i| 2.0 * i as f32 + 1.0))
        .collect();
    assert_eq!(q[..16], head[..]);
    assert_eq!(
        q[16..],
        head.iter().map(|row| row + 16.0).collect::<Vec<_>>()[..]
    );
    let v = first_column(
        &builder("blk.0.attn_v.weight", 16),
        "model.layers.0.self_attn.v_proj.weight",
    );
    assert_eq!(v, (0..16).map(|row| row as f32).collect::<Vec<_>>());
}

#[test]
fn scales_that_overflow_f16_are_stored_as_f32() {
    // The bias -128 * 1000 overflows f16. Only the first block has the scale 1000.
    let mut embedding = super::builder::blocks(8, 4 * 32);
    embedding[..2].copy_from_slice(&f16::from_f32(1000.0).to_le_bytes());
    let builder = tiny_model(8).with_tensor("token_embd.weight", &[4, 32], 8, embedding.clone());
    let converted = run(&builder, &ConvertOptions::default()).unwrap();
    assert_eq!(converted.tensors["model.embed_tokens.scales"].0, Dtype::F32);
    assert_eq!(
        converted.values("model.embed_tokens", affine(8)),
        source_values(8, &embedding, 32)
    );
    assert_eq!(converted.outcomes["model.embed_tokens"], Outcome::Exact);
    assert!(
        converted
            .report
            .notes
            .iter()
            .any(|note| note.contains("model.embed_tokens"))
    );
}

#[test]
fn infinite_scale_is_rejected() {
    let mut embedding = super::builder::blocks(8, 4 * 32);
    embedding[..2].copy_from_slice(&f16::INFINITY.to_le_bytes());
    let builder = tiny_model(8).with_tensor("token_embd.weight", &[4, 32], 8, embedding);
    let message = run(&builder, &ConvertOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        message.contains("token_embd.weight") && message.contains("infinite"),
        "{message}"
    );
}

/// A model in which only the embedding is quantized, with rows of one super-block.
fn wide(type_id: u32) -> (GgufBuilder, Vec<u8>) {
    let data = super::builder::blocks(type_id, 4 * 256);
    let builder = with_tensors(metadata(256), 256, 0).with_tensor(
        "token_embd.weight",
        &[4, 256],
        type_id,
        data.clone(),
    );
    (builder, data)
}

#[test]
fn requantized_types_report_their_error() {
    for (type_id, name, bits, bound) in [
        (10, "Q2_K", 4, 0.2),
        (11, "Q3_K", 5, 0.1),
        (14, "Q6_K", 8, 0.02),
        (20, "IQ4_NL", 6, 0.05),
        (23, "IQ4_XS", 6, 0.05),
    ] {
        let (builder, data) = wide(type_id);
        let converted = run(&builder, &ConvertOptions::default()).unwrap();
        let before = source_values(type_id, &data, 256);
        let after = converted.values("model.embed_tokens", affine(bits));
        let square = |values: &mut dyn Iterator<Item = f32>| -> f32 { values.map(|v| v * v).sum() };
        let error = (square(&mut before.iter().zip(&after).map(|(a, b)| a - b))
            / square(&mut before.iter().copied()))
        .sqrt();
        assert!(error < bound, "{name}: {error}");
        match &converted.outcomes["model.embed_tokens"] {
            Outcome::Requantized {
                from,
                to,
                relative_error,
            } => {
                assert_eq!((from.as_str(), *to), (name, affine(bits)));
                assert!(
                    (relative_error - error).abs() <= 1e-3 + 0.05 * error,
                    "{relative_error} {error}"
                );
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn q4_k_and_q5_k_keep_their_integers() {
    for (type_id, bits) in [(12, 4), (13, 5)] {
        let (builder, data) = wide(type_id);
        let options = ConvertOptions {
            float_type: Some(FloatType::F32),
            ..ConvertOptions::default()
        };
        let converted = run(&builder, &options).unwrap();
        assert_eq!(
            converted.values("model.embed_tokens", affine(bits)),
            source_values(type_id, &data, 256)
        );
        let rounded = run(&builder, &ConvertOptions::default()).unwrap();
        assert!(matches!(
            rounded.outcomes["model.embed_tokens"],
            Outcome::Rounded { .. } | Outcome::Exact
        ));
    }
}

#[test]
fn requested_formats_are_written() {
    let spec = QuantSpec {
        mode: QuantMode::Affine,
        group_size: 64,
        bits: 3,
    };
    let options = ConvertOptions {
        weights: WeightFormat::Quantize(spec),
        overrides: vec![
            "*.down_proj=8:32".parse().unwrap(),
            "*.v_proj=dense".parse().unwrap(),
        ],
        ..ConvertOptions::default()
    };
    let converted = run(&tiny_model(3), &options).unwrap();
    let shape = |name: &str| converted.tensors[name].1.clone();
    assert_eq!(shape("model.layers.0.mlp.down_proj.weight"), [32, 16]);
    assert_eq!(
        converted.tensors["model.layers.0.self_attn.v_proj.weight"].0,
        Dtype::F16
    );
    // 32 columns are not a multiple of the group size 64.
    assert_eq!(converted.tensors["model.embed_tokens.weight"].0, Dtype::F16);
    let quantization = &converted.config["quantization"];
    assert_eq!(quantization["bits"], 8);

    let dense = ConvertOptions {
        weights: WeightFormat::Dense,
        ..ConvertOptions::default()
    };
    let converted = run(&tiny_model(3), &dense).unwrap();
    assert_eq!(converted.report.dequantized, 8);
    assert!(converted.config.get("quantization").is_none());
}

#[test]
fn model_that_cannot_be_loaded_is_rejected_before_writing() {
    let query = super::builder::blocks(3, 32 * 32);
    for (builder, names) in [
        (
            tiny_model(3).without_tensor("blk.0.attn_k.weight"),
            ["layers.0.self_attn.k_proj", "missing"],
        ),
        (
            tiny_model(3).tensor("blk.7.attn_q.weight", &[32, 32], 3, query),
            ["layers.7.self_attn.q_proj", "does not use"],
        ),
        (
            tiny_model(3).with_u32("llama.block_count", 2),
            ["layers.1.", "missing"],
        ),
        (
            tiny_model(0).with_tensor(
                "output_norm.weight",
                &[16],
                0,
                super::builder::blocks(0, 16),
            ),
            ["model.norm.weight", "shape"],
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("m.gguf");
        std::fs::write(&source, builder.build()).unwrap();
        let output = directory.path().join("out");
        let mut events = 0;
        let result = convert(&source, &output, &ConvertOptions::default(), &mut |_| {
            events += 1;
            ControlFlow::Continue(())
        });
        let message = result.unwrap_err().to_string();
        for name in names {
            assert!(message.contains(name), "{name}: {message}");
        }
        assert!(!message.contains("partial"), "{message}");
        assert_eq!(events, 0, "{message}");
        assert_eq!(entries(directory.path()), ["m.gguf"]);
    }
}

#[test]
fn cancelled_conversion_leaves_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("m.gguf");
    std::fs::write(&source, tiny_model(3).build()).unwrap();
    let output = directory.path().join("out");
    let mut tensors = 0;
    let stopped = convert(&source, &output, &ConvertOptions::default(), &mut |event| {
        if let ConvertEvent::Tensor { .. } = event {
            tensors += 1;
        }
        if tensors == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(stopped, Err(ConvertError::Cancelled)));
    assert_eq!(tensors, 3);
    assert_eq!(entries(directory.path()), ["m.gguf"]);
}

#[test]
fn existing_output_is_replaced_only_with_force() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("m.gguf");
    std::fs::write(&source, tiny_model(3).build()).unwrap();
    let output = directory.path().join("out");
    let run = |force| {
        let options = ConvertOptions {
            force,
            ..ConvertOptions::default()
        };
        convert(&source, &output, &options, &mut |_| {
            ControlFlow::Continue(())
        })
    };
    run(false).unwrap();
    assert!(matches!(run(false), Err(ConvertError::OutputExists(_))));
    std::fs::write(output.join("stale"), "").unwrap();
    run(true).unwrap();
    assert!(!output.join("stale").exists());
    assert_eq!(entries(directory.path()), ["m.gguf", "out"]);

    // A directory without config.json is not replaced, even with `force`.
    std::fs::remove_file(output.join("config.json")).unwrap();
    assert!(
        run(true)
            .unwrap_err()
            .to_string()
            .contains("not a model directory")
    );
    assert!(output.join("model.safetensors").exists());
}

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
