//! Configuration files as they are found in repositories.

use std::fs;
use std::time::{Duration, Instant};

use crate::checkpoint::{Checkpoint, assert_says};
use crate::support::{golden, options};
use mlxm_engine::checkpoint::CheckpointConfig;
use mlxm_engine::models::read_model_config;
use mlxm_engine::{Engine, LoadError, inspect};
use serde_json::{Value, json};

/// Inserts a line at the start of a JSON object.
fn insert_line(checkpoint: &Checkpoint, file: &str, line: &str) {
    let path = checkpoint.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replacen('{', &format!("{{{line},"), 1)).unwrap();
}

#[test]
fn numbers_that_are_not_finite_are_accepted_in_every_file() {
    for file in [
        "config.json",
        "generation_config.json",
        "tokenizer_config.json",
    ] {
        for number in ["Infinity", "-Infinity", "NaN", "1e400", "[0.0, Infinity]"] {
            let checkpoint = Checkpoint::new("llama-f16");
            insert_line(&checkpoint, file, &format!("\"time_step_limit\": {number}"));
            let loaded = inspect(checkpoint.path(), &options());
            assert!(loaded.is_ok(), "{file} {number}: {:?}", loaded.err());
        }
    }
}

#[test]
fn byte_order_mark_is_accepted() {
    let checkpoint = Checkpoint::new("llama-f16");
    let path = checkpoint.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("\u{feff}{text}")).unwrap();
    inspect(checkpoint.path(), &options()).unwrap();
}

#[test]
fn null_is_absent() {
    for key in [
        "attention_bias",
        "mlp_bias",
        "rope_scaling",
        "head_dim",
        "sliding_window",
        "quantization",
        "quantization_config",
        "rope_parameters",
        "text_config",
        "eos_token_id",
        "hidden_act",
        "torch_dtype",
    ] {
        let checkpoint = Checkpoint::new("llama-f16");
        checkpoint.edit_config(|config| config[key] = Value::Null);
        let loaded = inspect(checkpoint.path(), &options());
        assert!(loaded.is_ok(), "{key}: {:?}", loaded.err());
    }
    // Absent, it would be true, but null is false in mlx-lm.
    let logits = |tied: Value| {
        let checkpoint = Checkpoint::new("llama-4bit");
        checkpoint.edit_config(|config| config["tie_word_embeddings"] = tied);
        let engine = Engine::load(checkpoint.path(), &options()).unwrap();
        engine.logits(&[5, 6], None).unwrap()
    };
    assert_eq!(logits(Value::Null), logits(json!(false)));
    assert_ne!(logits(Value::Null), logits(json!(true)));
}

#[test]
fn errors_name_the_key_and_the_file() {
    for (key, value) in [
        ("attention_bias", json!("yes")),
        ("mlp_bias", json!(1)),
        ("rope_theta", json!("1e4")),
        ("max_position_embeddings", json!(2048.5)),
        ("hidden_size", json!("64")),
        ("vocab_size", json!([272])),
        ("num_hidden_layers", json!(-1)),
        ("num_hidden_layers", json!(1e30)),
        ("num_attention_heads", Value::Null),
        ("intermediate_size", json!({})),
        ("rope_scaling", json!("linear")),
        ("rope_scaling", json!({"type": "linear", "factor": "2"})),
        ("head_dim", json!(31)),
        ("quantization", json!({"bits": "four"})),
        ("quantization", json!(4)),
        ("model_type", json!(7)),
        ("tie_word_embeddings", json!(3)),
        ("eos_token_id", json!("x")),
        ("eos_token_id", json!([1, "2"])),
        ("eos_token_id", json!(2.5)),
        ("hidden_act", json!(5)),
        ("torch_dtype", json!(7)),
        ("dtype", json!(["float16"])),
        ("text_config", json!(3)),
        ("rope_parameters", json!(5)),
        (
            "rope_scaling",
            json!({"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": "256"}),
        ),
        ("quantization_config", json!("awq")),
        ("quantization_config", json!({"quant_method": 5})),
        (
            "quantization_config",
            json!({"quant_method": "awq", "group_size": "128"}),
        ),
    ] {
        let checkpoint = Checkpoint::new("llama-f16");
        checkpoint.edit_config(|config| config[key] = value.clone());
        let error = checkpoint.error();
        assert!(
            matches!(error, LoadError::InvalidConfig { .. }),
            "{key} {value}: {error}"
        );
        assert_says(&error, &["config.json", key]);
    }
    let checkpoint = Checkpoint::new("llama-f16");
    insert_line(&checkpoint, "config.json", "\"head_dim\": Infinity");
    assert_says(
        &checkpoint.error(),
        &["config.json", "`head_dim` must be finite, not Infinity"],
    );
}

#[test]
fn errors_of_a_text_config_name_the_key() {
    for (key, value) in [
        ("hidden_size", json!("64")),
        ("sliding_window_pattern", json!(0)),
        ("num_hidden_layers", json!(1_u64 << 40)),
        ("tie_word_embeddings", json!("no")),
        ("eos_token_id", json!("x")),
        ("hidden_activation", json!(5)),
        ("rope_parameters", json!({"full_attention": 3})),
    ] {
        let checkpoint = Checkpoint::new("gemma3-window-8");
        checkpoint.edit_config(|config| {
            let mut text = config.take();
            text[key] = value.clone();
            *config = json!({"model_type": "gemma3", "text_config": text});
        });
        assert_says(&checkpoint.error(), &["config.json", key]);
    }
}

#[test]
fn text_model_of_a_vision_model_is_loaded() {
    let logits = |checkpoint: &Checkpoint| {
        let engine = Engine::load(checkpoint.path(), &options()).unwrap();
        engine.logits(&[5, 6], None).unwrap()
    };
    let text = Checkpoint::new("llama-f16");
    let (info, _) = inspect(text.path(), &options()).unwrap();
    assert!(!info.ignores_images);
    for model_type in ["llava", "mistral3"] {
        let checkpoint = Checkpoint::new("llama-f16");
        checkpoint.edit_config(|config| {
            let text = config.take();
            *config = json!({"model_type": model_type, "text_config": text});
        });
        let (info, _) = inspect(checkpoint.path(), &options()).unwrap();
        assert!(info.ignores_images, "{model_type}");
        assert_eq!(info.model_type, model_type);
        assert_eq!(logits(&checkpoint), logits(&text), "{model_type}");
        checkpoint.edit_config(|config| config["text_config"] = Value::Null);
        assert_says(&checkpoint.error(), &["config.json", "`text_config`"]);
    }
}

#[test]
fn values_that_an_architecture_does_not_support_are_rejected() {
    let sizes = json!({
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "vocab_size": 96, "rms_norm_eps": 1e-5,
        "head_dim": 32, "model_dim": 64, "num_transformer_layers": 2, "ffn_dim_divisor": 64,
        "num_query_heads": [2, 2], "num_kv_heads": [1, 1], "ffn_multipliers": [1.0, 1.0],
    });
    let attention = |attention: Value| json!([{"attention": attention}, {"attention": attention}]);
    for (model_type, key, value, said) in [
        (
            "hunyuan_v1_dense",
            "rope_scaling",
            json!({"type": "linear", "alpha": 2}),
            "`rope_scaling.type`",
        ),
        (
            "hunyuan_v1_dense",
            "rope_scaling",
            json!({"type": "dynamic", "alpha": 0}),
            "`rope_scaling.alpha`",
        ),
        (
            "ministral3",
            "rope_parameters",
            json!({"llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 0}),
            "`rope_parameters.original_max_position_embeddings`",
        ),
        (
            "plamo3",
            "sliding_window_pattern",
            json!(0),
            "`sliding_window_pattern`",
        ),
        ("openelm", "num_kv_heads", json!([1]), "`num_kv_heads`"),
        (
            "openelm",
            "num_kv_heads",
            json!([1, 3]),
            "`num_key_value_heads`",
        ),
        ("openelm", "num_query_heads", json!([]), "`num_query_heads`"),
        ("openelm", "ffn_dim_divisor", json!(0), "`ffn_dim_divisor`"),
        ("openelm", "ffn_with_glu", json!(false), "`ffn_with_glu`"),
        (
            "nemotron-nas",
            "block_configs",
            json!([{}]),
            "`block_configs`",
        ),
        (
            "nemotron-nas",
            "block_configs",
            attention(json!({"no_op": true})),
            "`block_configs`",
        ),
        (
            "nemotron-nas",
            "block_configs",
            attention(json!({"n_heads_in_group": 0})),
            "n_heads_in_group",
        ),
        (
            "nemotron-nas",
            "block_configs",
            attention(json!({"n_heads_in_group": 2, "window_length": 8})),
            "window_length",
        ),
        (
            "nemotron-nas",
            "block_configs",
            attention(json!({"n_heads_in_group": 2})),
            "ffn_mult",
        ),
        (
            "mistral3",
            "text_config",
            json!({"model_type": "mistral4"}),
            "`mistral4`",
        ),
    ] {
        let checkpoint = Checkpoint::new("llama-f16");
        checkpoint.edit_config(|config| {
            *config = sizes.clone();
            config["model_type"] = model_type.into();
            config[key] = value.clone();
        });
        let error = checkpoint.error();
        assert!(
            matches!(error, LoadError::InvalidConfig { .. }),
            "{model_type} {key}: {error}"
        );
        assert_says(&error, &["config.json", said]);
    }
}

#[test]
fn wrong_type_of_a_key_that_the_model_does_not_parse_is_rejected() {
    // Gemma 3 always ties its embeddings, and StarCoder 2 does not scale its RoPE.
    for (name, key, value) in [
        ("gemma3-window-8", "tie_word_embeddings", json!(3)),
        ("starcoder2-5bit", "rope_scaling", json!("linear")),
    ] {
        let checkpoint = Checkpoint::new(name);
        checkpoint.edit_config(|config| config[key] = value.clone());
        assert_says(&checkpoint.error(), &["config.json", key]);
    }
    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint.write(
        "hf_quant_config.json",
        r#"{"quantization": {"quant_algo": 4}}"#,
    );
    assert_says(
        &checkpoint.error(),
        &["hf_quant_config.json", "`quantization.quant_algo`"],
    );
}

#[test]
fn forms_of_keys_in_real_files_are_accepted() {
    for (key, value) in [
        ("eos_token_id", json!([1, 2])),
        ("eos_token_id", json!(-1)),
        ("torch_dtype", json!("bfloat16")),
        ("dtype", json!({"text_config": "bfloat16"})),
        ("rope_scaling", json!({})),
        (
            "rope_parameters",
            json!({"rope_type": null, "rope_theta": 10_000.0}),
        ),
    ] {
        let checkpoint = Checkpoint::new("llama-f16");
        checkpoint.edit_config(|config| config[key] = value.clone());
        let loaded = inspect(checkpoint.path(), &options());
        assert!(loaded.is_ok(), "{key} {value}: {:?}", loaded.err());
    }
}

#[test]
fn wrong_eos_token_ids_of_a_generation_config_are_ignored() {
    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint.edit_config(|values| values["eos_token_id"] = json!(7));
    for (generation, expected) in [(json!("8"), vec![7]), (json!([8, "9"]), vec![7, 8])] {
        checkpoint.write(
            "generation_config.json",
            &json!({"eos_token_id": generation}).to_string(),
        );
        let (info, _) = inspect(checkpoint.path(), &options()).unwrap();
        let ids = info.eos_token_ids;
        assert!(
            expected.iter().all(|id| ids.contains(id)),
            "{ids:?} {expected:?}"
        );
    }
}

#[test]
fn absurd_sizes_are_rejected_before_memory_is_used() {
    for name in ["llama-f16", "llama-4bit", "gemma3-window-8"] {
        for key in [
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "vocab_size",
            "hidden_size",
            "intermediate_size",
        ] {
            for size in [1_u64 << 12, 1 << 20, 1 << 31, i64::MAX as u64, u64::MAX] {
                // 4096 is not absurd by itself, but must not take long either.
                let checkpoint = Checkpoint::new(name);
                checkpoint.edit_config(|config| config[key] = json!(size));
                let start = Instant::now();
                let error = checkpoint.error();
                assert!(
                    start.elapsed() < Duration::from_secs(1),
                    "{name} {key} {size}"
                );
                if size > 1 << 12 {
                    assert!(matches!(error, LoadError::InvalidConfig { .. }), "{error}");
                    assert_says(&error, &["config.json", key]);
                }
            }
        }
    }
}

#[test]
fn missing_tensors_of_a_large_configuration_take_no_memory() {
    let checkpoint = Checkpoint::new("llama-f16");
    checkpoint.edit_config(|config| config["num_hidden_layers"] = json!(15));
    let error = checkpoint.error();
    assert!(matches!(error, LoadError::MissingTensors { .. }), "{error}");
    assert_says(&error, &["model.layers.2.", "more"]);
}

#[test]
fn eos_token_ids_of_all_files_are_united() {
    let checkpoint = Checkpoint::new("llama-f16");
    for (config, generation, expected) in [
        (json!([1, 106]), json!([1]), vec![1, 106]),
        (json!(7), json!([8, 9]), vec![7, 8, 9]),
        (Value::Null, json!(8), vec![8]),
        (json!(7), Value::Null, vec![7]),
    ] {
        checkpoint.edit_config(|values| values["eos_token_id"] = config);
        checkpoint.write(
            "generation_config.json",
            &json!({"eos_token_id": generation}).to_string(),
        );
        let ids = inspect(checkpoint.path(), &options())
            .unwrap()
            .0
            .eos_token_ids;
        assert!(
            expected.iter().all(|id| ids.contains(id)),
            "{ids:?} {expected:?}"
        );
    }
}

#[test]
fn parameters_are_counted_by_quantization() {
    let (info, _) = inspect(golden("llama-f16"), &options()).unwrap();
    let [(None, unquantized)] = info.parameters_by_quantization[..] else {
        panic!("{:?}", info.parameters_by_quantization);
    };
    // All but five norms of 64.
    assert_eq!(info.parameters, unquantized + 5 * 64);

    let (info, _) = inspect(golden("qwen3-6bit-mixed"), &options()).unwrap();
    let counts = &info.parameters_by_quantization;
    let of = |wanted: Option<u32>| -> u64 {
        counts
            .iter()
            .filter(|(spec, _)| spec.map(|spec| spec.bits) == wanted)
            .map(|(_, count)| count)
            .sum()
    };
    // The embeddings and a down projection have 8 bits, a value projection is not quantized.
    assert_eq!(of(Some(8)), 160 * 64 + 64 * 64);
    assert_eq!(of(None), 32 * 64);
    assert!(of(Some(6)) > of(Some(8)));
    assert!(counts.is_sorted_by(|a, b| a.1 >= b.1), "{counts:?}");
}

#[test]
fn values_that_a_model_cannot_have_name_their_key() {
    let sizes = json!({
        "vocab_size": 96, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-5, "norm_eps": 1e-5, "sliding_window": 8,
        "n_embd": 64, "n_head": 4, "n_layer": 3,
    });
    let ropes = json!({"sliding_attention": {}, "full_attention": {}});
    for (model_type, key, changes) in [
        ("cohere2", "head_dim", json!({"head_dim": 32})),
        ("cohere2", "hidden_size", json!({"hidden_size": "64"})),
        ("gptj", "rotary_dim", json!({"rotary_dim": 32})),
        ("plamo", "n_shared_head", json!({"n_shared_head": 3})),
        (
            "nemotron",
            "rope_scaling",
            json!({"rope_scaling": {"type": "yarn", "factor": 2.0}}),
        ),
        (
            "spark2_5",
            "rope_parameters",
            json!({"rope_parameters": {"full_attention": {}}}),
        ),
        (
            "spark2_5",
            "hidden_act",
            json!({"rope_parameters": ropes, "hidden_act": "silu"}),
        ),
        (
            "spark2_5",
            "layer_types",
            json!({"rope_parameters": ropes, "layer_types": ["full_attention"]}),
        ),
        ("nanbeige", "num_loops", json!({"num_loops": 0})),
        ("nanbeige", "loop_share_kv", json!({"loop_share_kv": true})),
    ] {
        let mut values = sizes.as_object().unwrap().clone();
        values.extend(changes.as_object().unwrap().clone());
        let config = CheckpointConfig {
            folder: "model".into(),
            values,
            generation: serde_json::Map::new(),
            model_type: model_type.into(),
        };
        let message = read_model_config(&config).unwrap_err().to_string();
        assert!(
            message.contains(&format!("`{key}")),
            "{model_type}: {message}"
        );
    }
}
