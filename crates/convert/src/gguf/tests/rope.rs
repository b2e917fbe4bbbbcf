//! RoPE scaling from metadata or frequency factors.

use serde_json::{Value, json};

use super::super::architecture::Architecture;
use super::super::config::Metadata;
use super::super::dimensions::Dimensions;
use super::super::reader::Gguf;
use super::super::rope::rope_scaling;
use super::builder::{GgufBuilder, tiny_metadata};

fn scaling(builder: &GgufBuilder) -> Result<Value, String> {
    let embedding = [0.0; 4 * 64];
    let bytes = builder
        .clone()
        .f32_tensor("token_embd.weight", &[4, 64], &embedding)
        .build();
    let gguf = Gguf::parse(&bytes).unwrap();
    let metadata = Metadata {
        gguf: &gguf,
        architecture: Architecture::find("llama", |_| false).unwrap(),
    };
    let dimensions = Dimensions::read(&metadata).unwrap();
    rope_scaling(&metadata, dimensions).map_err(|error| error.to_string())
}

/// The factors for 16 head dimensions and theta 10000. The wavelengths are 2π, 20, 63, 199, 628, 1987, 6283, 19869.
fn llama3_factors(factor: f32, original: f32) -> Vec<f32> {
    (0..8)
        .map(|index| {
            let wavelength = std::f32::consts::TAU * 10000_f32.powf(index as f32 / 8.0);
            let rotations = original / wavelength;
            if rotations > 4.0 {
                1.0
            } else if rotations < 1.0 {
                factor
            } else {
                let smooth = (rotations - 1.0) / 3.0;
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        })
        .collect()
}

#[test]
fn models_without_scaling_get_null() {
    assert_eq!(scaling(&tiny_metadata()), Ok(Value::Null));
    let none = tiny_metadata().text("llama.rope.scaling.type", "none");
    assert_eq!(scaling(&none), Ok(Value::Null));
    let ones = tiny_metadata().f32_tensor("rope_freqs.weight", &[8], &[1.0; 8]);
    assert_eq!(scaling(&ones), Ok(Value::Null));
}

#[test]
fn llama3_parameters_are_derived_from_factors() {
    for (factor, original) in [(8.0, 8192.0), (32.0, 8192.0), (4.0, 2048.0)] {
        let factors = llama3_factors(factor, original);
        let file = tiny_metadata().f32_tensor("rope_freqs.weight", &[8], &factors);
        let found = scaling(&file).unwrap();
        assert_eq!(found["rope_type"], "llama3");
        assert_eq!(found["factor"], factor);
        assert_eq!(found["original_max_position_embeddings"], original as u64);
    }
    let strange = tiny_metadata().f32_tensor(
        "rope_freqs.weight",
        &[8],
        &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0],
    );
    assert!(scaling(&strange).unwrap_err().contains("rope_freqs.weight"));
}

#[test]
fn linear_and_yarn_parameters_are_copied() {
    let linear = tiny_metadata()
        .text("llama.rope.scaling.type", "linear")
        .f32("llama.rope.scaling.factor", 4.0);
    assert_eq!(scaling(&linear).unwrap()["factor"], 4.0);
    let old = tiny_metadata().f32("llama.rope.scale_linear", 2.0);
    assert_eq!(scaling(&old).unwrap()["type"], "linear");

    let yarn = tiny_metadata()
        .text("llama.rope.scaling.type", "yarn")
        .f32("llama.rope.scaling.factor", 4.0);
    assert!(
        scaling(&yarn)
            .unwrap_err()
            .contains("original context length")
    );
    let yarn = yarn.u32("llama.rope.scaling.original_context_length", 32);
    let found = scaling(&yarn).unwrap();
    assert_eq!(found["original_max_position_embeddings"], 32);
    let changed = yarn.f32("llama.rope.scaling.yarn_attn_factor", 2.0);
    assert!(scaling(&changed).unwrap_err().contains("yarn_attn_factor"));
}

#[test]
fn longrope_factors_are_copied() {
    let file = tiny_metadata()
        .u32("llama.rope.scaling.original_context_length", 32)
        .f32_tensor("rope_factors_long.weight", &[8], &[1.1; 8])
        .f32_tensor("rope_factors_short.weight", &[8], &[1.05; 8]);
    let found = scaling(&file).unwrap();
    assert_eq!(found["long_factor"], json!(vec![1.1; 8]));
    assert_eq!(found["short_factor"], json!(vec![1.05; 8]));
    assert_eq!(found["original_max_position_embeddings"], 32);
}

#[test]
fn unknown_scaling_is_rejected() {
    let file = tiny_metadata()
        .text("llama.rope.scaling.type", "spiral")
        .f32("llama.rope.scaling.factor", 4.0);
    assert!(scaling(&file).unwrap_err().contains("spiral"));
}
