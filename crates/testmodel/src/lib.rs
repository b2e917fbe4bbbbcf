//! Small random checkpoints of every architecture, for tests that need no reference implementation.
//!
//! The configurations are those of `tests/python/configs`, which the comparison with mlx-lm uses as well. Tensors are
//! what the engine asks for, so a new architecture needs nothing here.

#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod cache;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use cache::cache;
use mlxm_engine::checkpoint::{CheckpointConfig, Loader, Quantization, Weights};
use mlxm_engine::models::{architecture, read_model_config};
use mlxm_engine::{LoadError, QuantSpec};
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};

/// The quantization of a module, by its path.
pub type SpecOf<'a> = &'a dyn Fn(&str) -> Option<QuantSpec>;

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/configs")
}

/// The small configuration of a `model_type`; that of `architecture` where it has none of its own.
pub fn config(model_type: &str) -> Value {
    let own = configs().join(format!("{model_type}.json"));
    let path = if own.exists() {
        own
    } else {
        let architecture = architecture(model_type).unwrap_or(model_type);
        configs().join(format!("{architecture}.json"))
    };
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["model_type"] = model_type.into();
    config
}

/// A configuration as if it had been read from a folder.
pub fn checkpoint_config(config: &Value) -> CheckpointConfig {
    CheckpointConfig {
        folder: "model".into(),
        values: config.as_object().unwrap().clone(),
        generation: Map::new(),
        model_type: config["model_type"].as_str().unwrap().into(),
    }
}

/// Random tensors for a configuration. Weights whose inputs are whole groups are quantized as `spec_of` says.
pub fn weights(config: &Value, seed: u64, spec_of: SpecOf<'_>) -> Weights {
    let config = checkpoint_config(config);
    let (_, model) = read_model_config(&config).unwrap();
    let context_length = model.dimensions().max_position_embeddings.unwrap_or(256);
    let quantization = Quantization::default();
    let mut weights = Weights::default();
    // Some tensors are only asked for if others are there.
    for _ in 0..4 {
        let loader = Loader::new(&weights, &quantization, config.file(), context_length, None);
        let loaded = model.load(&loader.root());
        match loaded.and_then(|_| loader.finish(&config.model_type)) {
            Ok(_) => return weights,
            Err(LoadError::MissingTensors { tensors, .. }) => {
                for tensor in tensors {
                    values::add(&mut weights, &tensor, seed, spec_of);
                }
            }
            Err(error) => panic!("{}: {error}", config.model_type),
        }
    }
    panic!("{} asks for more tensors each time", config.model_type);
}

/// Writes a random checkpoint, with a tokenizer in which token `n` is the word `n`.
pub fn write(folder: &Path, config: &Value, seed: u64, spec_of: SpecOf<'_>) {
    let weights = weights(config, seed, spec_of);
    let mut config = config.clone();
    config["quantization"] = quantization(&weights, spec_of);
    let views = weights.iter().map(|(name, tensor)| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), tensor.bytes.as_slice());
        (name.to_owned(), view.unwrap())
    });
    let views: BTreeMap<String, TensorView<'_>> = views.collect();
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
    let vocab_size = {
        let (_, model) = read_model_config(&checkpoint_config(&config)).unwrap();
        model.dimensions().vocab_size
    };
    let write = |name: &str, value: &Value| {
        std::fs::write(folder.join(name), value.to_string()).unwrap();
    };
    write("config.json", &config);
    write("tokenizer.json", &word_tokenizer(vocab_size));
}

/// The entry of `config.json`; null for a dense model.
fn quantization(weights: &Weights, spec_of: SpecOf<'_>) -> Value {
    let describe = |spec: QuantSpec| json!({"group_size": spec.group_size, "bits": spec.bits, "mode": spec.mode.to_string()});
    let mut quantization = Value::Null;
    for name in weights.names() {
        let Some(path) = name.strip_suffix(".scales") else {
            continue;
        };
        let spec = describe(spec_of(path).unwrap());
        if quantization.is_null() {
            quantization = spec.clone();
        }
        quantization[path] = spec;
    }
    if quantization.is_null() {
        return quantization;
    }
    for name in weights.names() {
        let path = name.strip_suffix(".weight").unwrap_or_default();
        let dense = !path.is_empty() && !weights.contains(&format!("{path}.scales"));
        if dense && weights.get(name).unwrap().shape.len() == 2 {
            quantization[path] = false.into();
        }
    }
    quantization
}

fn word_tokenizer(vocab_size: usize) -> Value {
    let words: Map<String, Value> = (0..vocab_size)
        .map(|id| (id.to_string(), id.into()))
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "0"},
    })
}
