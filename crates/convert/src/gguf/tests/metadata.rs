//! Metadata of single architectures, and what their configurations cannot express.

use serde_json::{Map, Value, json};

use super::super::architecture::Architecture;
use super::super::config::{Metadata, config};
use super::super::dimensions::Dimensions;
use super::super::reader::Gguf;
use super::super::xielu::xielu;
use super::builder::{GgufBuilder, metadata_of};

/// The configuration of a file with the embedding and these other tensors.
fn configuration(builder: &GgufBuilder, tensors: &[&str]) -> Result<Map<String, Value>, String> {
    let zeros = [0.0; 4 * 256];
    let builder = tensors
        .iter()
        .fold(builder.clone(), |builder, name| {
            builder.f32_tensor(name, &[1], &[0.0])
        })
        .f32_tensor("token_embd.weight", &[4, 256], &zeros);
    let bytes = builder.build();
    let gguf = Gguf::parse(&bytes).unwrap();
    let name = gguf.str("general.architecture").unwrap();
    let metadata = Metadata {
        gguf: &gguf,
        architecture: Architecture::find(name, |key| gguf.get(key).is_some()).unwrap(),
    };
    let read = || {
        let dimensions = Dimensions::read(&metadata)?;
        xielu(&metadata, dimensions)?;
        config(&metadata, dimensions)
    };
    read().map_err(|error: crate::ConvertError| error.to_string())
}

fn model(architecture: &str) -> GgufBuilder {
    let epsilon = format!("{architecture}.attention.layer_norm_epsilon");
    metadata_of(architecture, 64, 256, 2).f32(&epsilon, 1e-5)
}

#[test]
fn models_without_tied_embeddings_need_an_output_layer() {
    for architecture in ["phi2", "stablelm", "gptneox", "gptj", "qwen", "plamo"] {
        let message = configuration(&model(architecture), &[]).unwrap_err();
        assert!(
            message.contains("output.weight"),
            "{architecture}: {message}"
        );
        assert!(configuration(&model(architecture), &["output.weight"]).is_ok());
    }
    let found = configuration(&model("exaone"), &[]).unwrap();
    assert_eq!(found["tie_word_embeddings"], true);
}

#[test]
fn olmo_rejects_what_its_configuration_cannot_express() {
    let found = configuration(&model("olmo"), &[]).unwrap();
    assert_eq!(found["mlp_hidden_size"], 512);
    assert_eq!(found["embedding_size"], 4);
    assert_eq!(found["weight_tying"], true);
    let epsilon = 1e-6_f32.to_bits();
    for (file, expected) in [
        (
            model("olmo").f32("olmo.attention.clamp_kqv", 8.0),
            "clamp_kqv",
        ),
        (
            model("olmo").with_u32("olmo.attention.head_count_kv", 1),
            "head_count_kv",
        ),
        (
            model("olmo").with_u32("olmo.attention.layer_norm_epsilon", epsilon),
            "epsilon",
        ),
    ] {
        let message = configuration(&file, &[]).unwrap_err();
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let unlimited = model("olmo").f32("olmo.attention.clamp_kqv", 0.0);
    assert!(configuration(&unlimited, &[]).is_ok());
}

#[test]
fn fixed_base_of_rope_is_checked() {
    for architecture in ["qwen", "gptj"] {
        let key = format!("{architecture}.rope.freq_base");
        let file = model(architecture).with_u32(&key, 5e5_f32.to_bits());
        let message = configuration(&file, &["output.weight"]).unwrap_err();
        assert!(message.contains(&key), "{message}");
    }
}

#[test]
fn unsupported_rope_scaling_is_rejected() {
    for (architecture, kind) in [
        ("phi2", "linear"),
        ("chatglm", "yarn"),
        ("internlm2", "yarn"),
    ] {
        let file = model(architecture)
            .text(&format!("{architecture}.rope.scaling.type"), kind)
            .f32(&format!("{architecture}.rope.scaling.factor"), 4.0)
            .u32(
                &format!("{architecture}.rope.scaling.original_context_length"),
                32,
            );
        let message = configuration(&file, &["output.weight"]).unwrap_err();
        assert!(message.contains(kind), "{message}");
    }
}

#[test]
fn rotated_part_survives_the_truncation_of_its_product() {
    for head_dim in [49, 64, 80, 98] {
        for rotated in (2..head_dim).step_by(2) {
            let file = model("phi2")
                .with_u32("phi2.embedding_length", 2 * head_dim)
                .u32("phi2.rope.dimension_count", rotated);
            let found = configuration(&file, &["output.weight"]).unwrap();
            let factor = found["partial_rotary_factor"].as_f64().unwrap();
            assert_eq!((factor * f64::from(head_dim)) as u32, rotated);
        }
    }
}

#[test]
fn ministral3_has_its_rope_in_one_object() {
    let file = model("mistral3").f32("mistral3.attention.temperature_scale", 0.1);
    let found = configuration(&file, &[]).unwrap();
    assert_eq!(found["model_type"], "ministral3");
    assert_eq!(found.get("rope_theta"), None);
    let plain = &found["rope_parameters"];
    assert_eq!(plain["llama_4_scaling_beta"], 0.1);
    assert_eq!(plain["original_max_position_embeddings"], 64);
    let yarn = file
        .text("mistral3.rope.scaling.type", "yarn")
        .f32("mistral3.rope.scaling.factor", 4.0)
        .u32("mistral3.rope.scaling.original_context_length", 16);
    let message = configuration(&yarn, &[]).unwrap_err();
    assert!(message.contains("yarn_log_multiplier"), "{message}");
    let yarn = yarn.f32("mistral3.rope.scaling.yarn_log_multiplier", 0.5);
    let found = configuration(&yarn, &[]).unwrap();
    assert_eq!(found["rope_parameters"]["mscale_all_dim"], 0.5);
    assert_eq!(
        found["rope_parameters"]["original_max_position_embeddings"],
        16
    );
    // Without the scaling of queries it is another model.
    let found = configuration(&model("mistral3"), &[]).unwrap();
    assert_eq!(found["model_type"], "mistral");
}

#[test]
fn hunyuan_has_the_factor_of_the_base_or_the_base() {
    let file = model("hunyuan-dense");
    assert_eq!(
        configuration(&file, &[]).unwrap()["rope_scaling"],
        Value::Null
    );
    let file = file.f32("hunyuan-dense.rope.scaling.alpha", 50.0);
    let found = configuration(&file, &[]).unwrap();
    assert_eq!(found["rope_scaling"]["alpha"], 50.0);
    assert_eq!(found["rope_scaling"]["type"], "dynamic");
}

#[test]
fn parameters_of_xielu_are_required() {
    let message = configuration(&model("apertus"), &[]).unwrap_err();
    assert!(message.contains("xielu.alpha_p"), "{message}");
    let file = ["alpha_p", "alpha_n", "beta", "eps"]
        .iter()
        .fold(model("apertus"), |file, leaf| {
            file.f32s(&format!("xielu.{leaf}"), &[0.5, 0.5])
        });
    let message = configuration(&file, &[]).unwrap_err();
    assert!(message.contains("2 values"), "{message}");
}

/// A model with two layers, whose sizes are these arrays.
fn layers(
    architecture: &str,
    heads: &[i32],
    key_value_heads: &[i32],
    widths: &[i32],
) -> GgufBuilder {
    let key = |name: &str| format!("{architecture}.{name}");
    GgufBuilder::default()
        .text("general.architecture", architecture)
        .u32(&key("block_count"), 2)
        .u32(&key("context_length"), 64)
        .u32(&key("embedding_length"), 128)
        .u32(&key("attention.key_length"), 32)
        .f32(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .i32s(&key("attention.head_count"), heads)
        .i32s(&key("attention.head_count_kv"), key_value_heads)
        .i32s(&key("feed_forward_length"), widths)
}

#[test]
fn sizes_of_layers_become_blocks_or_lists() {
    let tensors = ["output.weight"];
    let file = layers("deci", &[4, 4], &[2, 0], &[0, 256]);
    let found = configuration(&file, &tensors).unwrap();
    assert_eq!(
        found["block_configs"],
        json!([
            {"attention": {"n_heads_in_group": 2}, "ffn": {"no_op": true}},
            {"attention": {"replace_with_linear": true}, "ffn": {"ffn_mult": 3.0}},
        ])
    );
    let file = layers("deci", &[4, 0], &[1, 0], &[256, 256]);
    let found = configuration(&file, &tensors).unwrap();
    assert_eq!(
        found["block_configs"][1]["attention"],
        json!({"no_op": true})
    );
    let file = layers("openelm", &[4, 8], &[1, 2], &[64, 192]);
    let found = configuration(&file, &tensors).unwrap();
    assert_eq!(found["num_query_heads"], json!([4, 8]));
    assert_eq!(found["ffn_multipliers"], json!([0.5, 1.5]));
    let file = layers("llama", &[4, 4], &[2, 2], &[256, 256]);
    let found = configuration(&file, &tensors).unwrap();
    assert_eq!(found["num_key_value_heads"], 2);
}

#[test]
fn invalid_sizes_of_layers_are_rejected() {
    let error = |file: GgufBuilder| configuration(&file, &["output.weight"]).unwrap_err();
    let message = error(layers("llama", &[4, 4], &[2, 1], &[256, 256]));
    assert!(
        message.contains("llama.attention.head_count_kv differs"),
        "{message}"
    );
    let message = error(layers("deci", &[4, 4], &[2], &[256, 256]));
    assert!(
        message.contains("one for each of the 2 layers"),
        "{message}"
    );
    let message = error(layers("deci", &[4, 4], &[2, -1], &[256, 256]));
    assert!(message.contains("-1 for a layer"), "{message}");
    let message = error(layers("deci", &[4, 4], &[2, 3], &[256, 256]));
    assert!(message.contains("layer 1 has 4 heads and 3"), "{message}");
    let message = error(layers("deci", &[4, 4], &[2, 2], &[256, 100]));
    assert!(
        message.contains("deci.feed_forward_length of layer 1 is 100"),
        "{message}"
    );
}
