//! Compares the logits of tiny committed checkpoints with those of mlx-lm, in one pass and in chunks through the cache.
//!
//! `tests/python/make_golden.py` writes the checkpoints. The Python suite compares many more.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use mlxm_engine::{ActivationDtype, BLOCK_SIZE, Engine, LoadOptions};
use safetensors::SafeTensors;

/// Largest allowed deviation relative to the range of the logits. A wrong epsilon or activation function is well above it, the
/// rounding errors of mlx-lm are well below.
const TOLERANCE: f64 = 2e-5;

struct Oracle {
    input_ids: Vec<u32>,
    logits: Vec<f32>,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn oracle(folder: &Path) -> Oracle {
    let bytes = std::fs::read(folder.join("oracle.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let words = |name: &str| {
        tensors
            .tensor(name)
            .unwrap()
            .data()
            .as_chunks::<4>()
            .0
            .to_vec()
    };
    Oracle {
        input_ids: words("input_ids")
            .into_iter()
            .map(u32::from_le_bytes)
            .collect(),
        logits: words("logits")
            .into_iter()
            .map(f32::from_le_bytes)
            .collect(),
    }
}

fn relative_deviation(expected: &[f32], actual: &[f32]) -> f64 {
    assert_eq!(expected.len(), actual.len());
    let highest = expected.iter().copied().fold(f32::MIN, f32::max);
    let lowest = expected.iter().copied().fold(f32::MAX, f32::min);
    // Not `f64::max`, which ignores NaN.
    let worst = expected
        .iter()
        .zip(actual)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
        .fold(
            0.0,
            |worst, delta| {
                if delta <= worst { worst } else { delta }
            },
        );
    worst / f64::from(highest - lowest)
}

#[track_caller]
fn assert_matches_oracle(name: &str) {
    let folder = golden(name);
    let oracle = oracle(&folder);
    let options = LoadOptions {
        activation_dtype: ActivationDtype::F32,
        ..LoadOptions::default()
    };
    let engine = Engine::load(&folder, &options).unwrap();
    for chunk in [
        None,
        Some(1),
        Some(3),
        Some(7),
        Some(BLOCK_SIZE - 1),
        Some(BLOCK_SIZE + 1),
    ] {
        let logits = engine.logits(&oracle.input_ids, chunk).unwrap();
        let deviation = relative_deviation(&oracle.logits, &logits.values);
        assert!(
            deviation <= TOLERANCE,
            "{name}, chunk {chunk:?}: {deviation:.1e} of the logit range"
        );
    }
}

#[test]
fn llama_f16() {
    assert_matches_oracle("llama-f16");
}

#[test]
fn llama_4bit_with_llama3_rope() {
    assert_matches_oracle("llama-4bit");
}

#[test]
fn qwen3_6bit_with_overrides() {
    assert_matches_oracle("qwen3-6bit-mixed");
}

#[test]
fn gemma3_with_a_window_of_8() {
    assert_matches_oracle("gemma3-window-8");
}

#[test]
fn phi3_longrope_past_its_original_length() {
    assert_matches_oracle("phi3-longrope");
}

#[test]
fn starcoder2_5bit() {
    assert_matches_oracle("starcoder2-5bit");
}
