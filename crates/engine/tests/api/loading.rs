//! Errors of invalid checkpoints and options.

use std::fs;
use std::path::Path;

use crate::checkpoint::{Checkpoint, assert_says, error};
use crate::support::{complete, golden, options};
use mlxm_engine::{Engine, LoadError, LoadOptions, inspect};
use safetensors::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn load_rejects_paths_without_a_checkpoint() {
    assert_says(
        &error(Path::new("no/such/model"), &options()),
        &["no/such/model", "mlxm pull"],
    );

    let empty = TempDir::new().unwrap();
    assert_says(&error(empty.path(), &options()), &["config.json", "empty"]);

    let gguf = TempDir::new().unwrap();
    fs::write(gguf.path().join("model-Q4_0.gguf"), b"GGUF").unwrap();
    assert_says(&error(gguf.path(), &options()), &["GGUF", "mlxm convert"]);
    assert_says(
        &error(&gguf.path().join("model-Q4_0.gguf"), &options()),
        &["file", "mlxm convert"],
    );
}

#[test]
fn load_rejects_weights_of_other_formats() {
    for (file, words) in [
        ("model.gguf", "mlxm convert"),
        ("pytorch_model.bin", "safetensors version"),
    ] {
        let checkpoint = Checkpoint::new("llama-f16");
        fs::remove_file(checkpoint.path().join("model.safetensors")).unwrap();
        fs::write(checkpoint.path().join(file), b"x").unwrap();
        let error = checkpoint.error();
        assert!(matches!(error, LoadError::NoWeights { .. }));
        assert_says(&error, &["model*.safetensors", words]);
    }
}

#[test]
fn load_rejects_invalid_config_json() {
    let checkpoint = Checkpoint::new("llama-f16");
    fs::write(checkpoint.path().join("config.json"), "{\"model_type\": ").unwrap();
    assert_says(&checkpoint.error(), &["config.json", "not valid JSON"]);

    fs::write(checkpoint.path().join("config.json"), "[]").unwrap();
    assert_says(&checkpoint.error(), &["config.json", "object"]);

    fs::write(checkpoint.path().join("config.json"), "{}").unwrap();
    assert_says(&checkpoint.error(), &["config.json", "model_type"]);
}

#[test]
fn invalid_config_fields_are_named() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 6] = [
        (
            |config| drop(config.as_object_mut().unwrap().remove("hidden_size")),
            "hidden_size",
        ),
        (
            |config| config["num_attention_heads"] = json!(0),
            "num_attention_heads",
        ),
        (
            |config| config["num_key_value_heads"] = json!(3),
            "num_key_value_heads",
        ),
        (
            |config| config["rms_norm_eps"] = json!("small"),
            "`rms_norm_eps`: invalid type",
        ),
        (
            |config| config["rope_scaling"] = json!({"type": "wavy", "factor": 2.0}),
            "wavy",
        ),
        (
            |config| config["rope_scaling"] = json!({"type": "linear"}),
            "factor",
        ),
    ];
    for (edit, word) in cases {
        let checkpoint = Checkpoint::new("llama-f16");
        checkpoint.edit_config(edit);
        let error = checkpoint.error();
        assert!(matches!(error, LoadError::InvalidConfig { .. }), "{error}");
        assert_says(&error, &["config.json", word]);
    }
}

#[test]
fn unsupported_architecture_error_says_what_is_missing_and_names_the_closest_one() {
    let checkpoint = Checkpoint::new("llama-f16");
    let message = |model_type: &str| {
        checkpoint.edit_config(|config| config["model_type"] = json!(model_type));
        checkpoint.error().to_string()
    };
    assert_eq!(
        message("qwen3_moe"),
        "model_type `qwen3_moe` is not supported: it needs mixture-of-experts layers; the closest supported one is \
         `qwen3`; docs/models.md lists those that are"
    );
    assert_eq!(
        message("gemma3_txt"),
        "model_type `gemma3_txt` is not supported; the closest supported one is `gemma3_text`; docs/models.md lists \
         those that are"
    );
    assert_eq!(
        message("hyena"),
        "model_type `hyena` is not supported; docs/models.md lists those that are"
    );
}

#[test]
fn damaged_files_are_named() {
    let checkpoint = Checkpoint::new("llama-f16");
    let path = checkpoint.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for damaged in [
        &whole[..whole.len() - 1],
        &whole[..whole.len() / 2],
        &whole[..7],
        &[],
        b"not a tensor file at all",
    ] {
        fs::write(&path, damaged).unwrap();
        let error = checkpoint.error();
        assert!(matches!(error, LoadError::CorruptWeights { .. }), "{error}");
        assert_says(&error, &["model.safetensors", "again"]);
    }
}

#[test]
fn missing_tensors_are_all_named() {
    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint.edit_tensors(|tensors| {
        tensors.remove("model.norm.weight").unwrap();
        tensors.remove("model.layers.1.mlp.up_proj.weight").unwrap();
    });
    let error = checkpoint.error();
    assert!(matches!(error, LoadError::MissingTensors { .. }));
    assert_says(
        &error,
        &[
            "2 ",
            "model.norm.weight",
            "model.layers.1.mlp.up_proj.weight",
            "llama",
        ],
    );
}

#[test]
fn unknown_tensors_are_named() {
    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint.edit_tensors(|tensors| {
        tensors.insert(
            "model.layers.0.surprise.weight".into(),
            (Dtype::F32, vec![1], vec![0; 4]),
        );
    });
    let error = checkpoint.error();
    assert!(matches!(error, LoadError::UnknownTensors { .. }));
    assert_says(&error, &["model.layers.0.surprise.weight"]);
}

#[test]
fn wrong_shapes_and_types_are_named() {
    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint.edit_tensors(|tensors| tensors.get_mut("model.norm.weight").unwrap().1.push(1));
    assert_says(
        &checkpoint.error(),
        &["model.norm.weight", "[64]", "[64, 1]"],
    );

    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint.edit_tensors(|tensors| {
        tensors
            .get_mut("model.layers.0.self_attn.q_proj.weight")
            .unwrap()
            .0 = Dtype::I16;
    });
    assert_says(
        &checkpoint.error(),
        &["model.layers.0.self_attn.q_proj.weight", "I16", "f16"],
    );
}

#[test]
fn quantization_that_does_not_match_the_shapes_is_named() {
    let name = "model.layers.0.self_attn.q_proj";
    let cases: [(Value, &[&str]); 5] = [
        (json!({"group_size": 128, "bits": 4}), &["64 inputs", "128"]),
        (json!({"group_size": 32, "bits": 8}), &["shape", "[64, 16]"]),
        (json!({"group_size": 32, "bits": 7}), &["7"]),
        (
            json!({"group_size": 16, "bits": 4, "mode": "nvfp4"}),
            &["scales"],
        ),
        (json!("eight"), &["true, false or an object"]),
    ];
    for (entry, words) in cases {
        let checkpoint = Checkpoint::new("llama-4bit");
        checkpoint.edit_config(|config| config["quantization"][name] = entry);
        let error = checkpoint.error();
        assert_says(&error, &[name]);
        assert_says(&error, words);
    }

    // Without an entry, the shapes determine the quantization. No quantization has these shapes.
    let checkpoint = Checkpoint::new("llama-4bit");
    checkpoint.edit_tensors(|tensors| {
        let (_, shape, data) = tensors.get_mut(&format!("{name}.scales")).unwrap();
        shape[1] *= 8;
        let repeated = data.repeat(8);
        *data = repeated;
    });
    assert_says(&checkpoint.error(), &[name, "do not fit 64 inputs"]);
}

#[test]
fn unsupported_quant_method_suggests_convert() {
    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint
        .edit_config(|config| config["quantization_config"] = json!({"quant_method": "bitnet"}));
    assert_says(&checkpoint.error(), &["bitnet", "mlxm convert"]);
}

#[test]
fn load_reports_a_missing_tokenizer() {
    let checkpoint = Checkpoint::new("llama-f16");
    fs::remove_file(checkpoint.path().join("tokenizer.json")).unwrap();
    let error = checkpoint.error();
    assert!(matches!(error, LoadError::Tokenizer(_)));
    assert_says(&error, &["tokenizer.json"]);
}

#[test]
fn load_ignores_an_invalid_chat_template() {
    let checkpoint = Checkpoint::new("llama-4bit");
    fs::write(checkpoint.path().join("chat_template.jinja"), "{% for %}").unwrap();
    let engine = Engine::load(checkpoint.path(), &options()).unwrap();
    let request = mlxm_engine::Request {
        prompt: vec![1, 2],
        max_tokens: Some(2),
        ignore_eos: true,
        ..Default::default()
    };
    assert_eq!(complete(&engine, request).tokens.len(), 2);
}

#[test]
fn options_out_of_range_are_named() {
    let path = golden("llama-f16");
    let cases = [
        (
            LoadOptions {
                context_length: Some(1),
                ..options()
            },
            "context",
        ),
        (
            LoadOptions {
                context_length: Some(1 << 20),
                ..options()
            },
            "256",
        ),
        (
            LoadOptions {
                max_sequences: 0,
                ..options()
            },
            "max_sequences",
        ),
        (
            LoadOptions {
                max_batch_tokens: 0,
                ..options()
            },
            "max_batch_tokens",
        ),
        (
            LoadOptions {
                threads: Some(0),
                ..options()
            },
            "threads",
        ),
        (
            LoadOptions {
                device: mlxm_engine::DeviceChoice::Metal,
                ..options()
            },
            "Metal",
        ),
    ];
    for (options, word) in cases {
        assert_says(&error(&path, &options), &[word]);
        assert_says(&inspect(&path, &options).unwrap_err(), &[word]);
    }
}

#[test]
fn plan_beyond_memory_reports_what_fits() {
    let path = golden("llama-f16");
    let (_, plan) = inspect(&path, &options()).unwrap();
    let sum = plan.weights_bytes + plan.kv_pool_bytes + plan.scratch_bytes;
    assert_eq!(plan.total_bytes, sum);
    assert_eq!(plan.context_length, 256);
    assert_eq!(plan.largest_context(plan.total_bytes), 256);

    let tight = LoadOptions {
        memory_bytes: Some(plan.total_bytes - 1),
        context_length: Some(256),
        ..options()
    };
    let error = error(&path, &tight);
    assert!(matches!(error, LoadError::Memory(_)));
    assert_says(&error, &["256 tokens", "KV cache"]);
}

#[test]
fn default_context_and_pool_are_the_largest_that_fit() {
    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint.edit_config(|config| config["max_position_embeddings"] = 131_072.into());
    let four = LoadOptions {
        max_sequences: 4,
        ..options()
    };
    let plan = |options: &LoadOptions| inspect(checkpoint.path(), options).unwrap().1;
    for (length, shorter) in [
        (131_072, 65_536),
        (65_536, 32_768),
        (32_768, 16_384),
        (16_384, 8192),
        (8192, 4096),
    ] {
        let one = plan(&LoadOptions {
            context_length: Some(length),
            kv_pool_tokens: Some(length),
            ..four.clone()
        });
        let fitting = plan(&LoadOptions {
            memory_bytes: Some(one.total_bytes),
            ..four.clone()
        });
        assert_eq!(fitting, one);
        let less = plan(&LoadOptions {
            memory_bytes: Some(one.total_bytes - 1),
            ..four.clone()
        });
        assert_eq!(less.context_length, shorter);
        assert!(less.total_bytes < one.total_bytes);
        // The rest of the memory holds more than one sequence.
        assert!(less.kv_pool_bytes > less.kv_bytes_per_token * shorter as u64);
    }
    let whole = plan(&LoadOptions {
        memory_bytes: Some(1 << 40),
        ..four
    });
    assert_eq!(whole.context_length, 131_072);
    assert_eq!(whole.kv_pool_bytes, 4 * 131_072 * whole.kv_bytes_per_token);
}

#[test]
fn nested_rope_parameters_are_equivalent() {
    let flat = Checkpoint::new("llama-4bit");
    let nested = Checkpoint::new("llama-4bit");
    nested.edit_config(|config| {
        let config = config.as_object_mut().unwrap();
        let mut parameters = config.remove("rope_scaling").unwrap();
        parameters["rope_theta"] = config.remove("rope_theta").unwrap();
        config.insert("rope_parameters".into(), parameters);
    });
    let logits = |checkpoint: &Checkpoint| {
        let engine = Engine::load(checkpoint.path(), &options()).unwrap();
        engine.logits(&[5; 90], None).unwrap()
    };
    assert_eq!(logits(&flat), logits(&nested));

    // Without them, the logits differ.
    let plain = Checkpoint::new("llama-4bit");
    plain.edit_config(|config| drop(config.as_object_mut().unwrap().remove("rope_scaling")));
    assert_ne!(logits(&flat), logits(&plain));
}

#[test]
fn rope_scaled_context_is_available_on_request() {
    for (kind, key) in [
        ("yarn", "original_max_position_embeddings"),
        ("dynamic", "ignored"),
    ] {
        let checkpoint = Checkpoint::new("llama-4bit");
        checkpoint.edit_config(|config| {
            config["rope_scaling"] = json!({"rope_type": kind, "factor": 4.0, key: 256});
        });
        let plan = |context_length| {
            let options = LoadOptions {
                context_length,
                ..options()
            };
            inspect(checkpoint.path(), &options).map(|(_, plan)| plan.context_length)
        };
        assert_eq!(plan(None).unwrap(), 256);
        assert_eq!(plan(Some(1024)).unwrap(), 1024);
        assert_says(&plan(Some(1025)).unwrap_err(), &["1025", "1024"]);
    }
}
