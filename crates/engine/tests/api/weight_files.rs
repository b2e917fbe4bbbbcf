//! Which files of a folder are loaded.

use std::collections::BTreeMap;
use std::fs;

use crate::checkpoint::{Checkpoint, Tensors, assert_says};
use crate::support::options;
use mlxm_engine::{Engine, LoadError, Logits};
use serde_json::{Value, json};

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const SHARDS: [&str; 2] = [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
];

/// Replaces `model.safetensors` by two shards. Returns the index of them.
fn split(checkpoint: &Checkpoint) -> Value {
    let tensors = checkpoint.tensors();
    let mut shards = [Tensors::new(), Tensors::new()];
    let mut weight_map = BTreeMap::new();
    for (index, (name, tensor)) in tensors.into_iter().enumerate() {
        let shard = index % 2;
        weight_map.insert(name.clone(), SHARDS[shard]);
        shards[shard].insert(name, tensor);
    }
    for (file, tensors) in SHARDS.iter().zip(&shards) {
        checkpoint.write_tensors(file, tensors);
    }
    fs::remove_file(checkpoint.path().join(WHOLE)).unwrap();
    json!({"metadata": {"total_size": 1}, "weight_map": weight_map})
}

/// The tensors of another model of the same shape.
fn other_tensors(checkpoint: &Checkpoint) -> Tensors {
    let mut tensors = checkpoint.tensors();
    for (_, _, data) in tensors.values_mut() {
        // Pairs of bytes are f16.
        for pair in data.chunks_exact_mut(2) {
            pair[1] ^= 0x80;
        }
    }
    tensors
}

fn logits(checkpoint: &Checkpoint) -> Logits {
    let engine = Engine::load(checkpoint.path(), &options()).unwrap();
    engine.logits(&[5, 6, 7], None).unwrap()
}

/// The logits of the committed model and of the other one.
fn expected() -> (Logits, Logits) {
    let checkpoint = Checkpoint::new("llama-f16");
    let right = logits(&checkpoint);
    checkpoint.write_tensors(WHOLE, &other_tensors(&checkpoint));
    let other = logits(&checkpoint);
    assert_ne!(right, other);
    (right, other)
}

#[test]
fn complete_index_decides_which_files_are_loaded() {
    let (right, other) = expected();
    let checkpoint = Checkpoint::new("llama-f16");
    let other_tensors = other_tensors(&checkpoint);
    let index = split(&checkpoint);
    checkpoint.write(INDEX, &index.to_string());
    assert_eq!(logits(&checkpoint), right);

    // The whole other model, and then only some of its tensors.
    checkpoint.write_tensors(WHOLE, &other_tensors);
    assert_eq!(logits(&checkpoint), right);
    let mut some = other_tensors.clone();
    some.retain(|name, _| name.contains(".layers.1."));
    checkpoint.write_tensors(WHOLE, &some);
    assert_eq!(logits(&checkpoint), right);

    // The shards are left over.
    checkpoint.write_tensors(WHOLE, &other_tensors);
    let names: BTreeMap<&String, &str> = other_tensors.keys().map(|name| (name, WHOLE)).collect();
    checkpoint.write(INDEX, &json!({"weight_map": names}).to_string());
    assert_eq!(logits(&checkpoint), other);
}

#[test]
fn unusable_index_is_ignored() {
    let (right, _) = expected();
    for index in [
        "{",
        "[]",
        "{}",
        r#"{"weight_map": {}}"#,
        r#"{"weight_map": {"x": 1}}"#,
        r#"{"weight_map": {"model.norm.weight": "model-00001-of-00009.safetensors"}}"#,
        r#"{"weight_map": {"model.norm.weight": "../model.safetensors"}}"#,
        r#"{"weight_map": {"model.norm.weight": "."}}"#,
    ] {
        let checkpoint = Checkpoint::new("llama-f16");
        checkpoint.write(INDEX, index);
        assert_eq!(logits(&checkpoint), right, "{index}");
        split(&checkpoint);
        assert_eq!(logits(&checkpoint), right, "{index}");
    }
}

#[test]
fn index_with_numbers_that_are_not_finite_decides() {
    let (right, _) = expected();
    let checkpoint = Checkpoint::new("llama-f16");
    let other_tensors = other_tensors(&checkpoint);
    let index = split(&checkpoint);
    let index = index
        .to_string()
        .replace("\"total_size\":1", "\"total_size\":NaN");
    assert!(index.contains("NaN"), "{index}");
    checkpoint.write(INDEX, &index);
    checkpoint.write_tensors(WHOLE, &other_tensors);
    assert_eq!(logits(&checkpoint), right);
}

#[test]
fn tensor_in_two_files_without_an_index_is_an_error() {
    let checkpoint = Checkpoint::new("llama-f16");
    let other_tensors = other_tensors(&checkpoint);
    split(&checkpoint);
    checkpoint.write_tensors(WHOLE, &other_tensors);
    let error = checkpoint.error();
    assert!(
        matches!(error, LoadError::DuplicateTensor { .. }),
        "{error}"
    );
    assert_says(&error, &["tensor ", "model-0000", WHOLE, "remove"]);
}

#[test]
fn hidden_files_are_not_part_of_a_checkpoint() {
    let (right, _) = expected();
    let checkpoint = Checkpoint::new("llama-f16");
    let index = split(&checkpoint);
    for file in [
        WHOLE,
        SHARDS[0],
        SHARDS[1],
        INDEX,
        "config.json",
        "tokenizer.json",
    ] {
        checkpoint.write(&format!("._{file}"), "\0\u{5}\u{16}\u{7}");
    }
    assert_eq!(logits(&checkpoint), right);
    checkpoint.write(INDEX, &index.to_string());
    assert_eq!(logits(&checkpoint), right);

    // They do not describe it either.
    for shard in SHARDS {
        fs::remove_file(checkpoint.path().join(shard)).unwrap();
    }
    checkpoint.write("._model.gguf", "x");
    let error = checkpoint.error();
    assert!(!error.to_string().contains("GGUF"), "{error}");
}

#[test]
fn quantized_lm_head_of_a_tied_model_is_ignored() {
    let checkpoint = Checkpoint::new("llama-4bit");
    checkpoint.edit_config(|config| config["tie_word_embeddings"] = json!(true));
    let with_head = logits(&checkpoint);
    assert!(checkpoint.tensors().contains_key("lm_head.scales"));
    checkpoint.edit_tensors(|tensors| tensors.retain(|name, _| !name.starts_with("lm_head.")));
    assert_eq!(logits(&checkpoint), with_head);
}
