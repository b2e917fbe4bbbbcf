//! What a model is, from its configuration or from its name and tags. Weights are not read, only their headers.

use std::fs;
use std::path::Path;

use mlxm_chat::ChatCapabilities;
use mlxm_engine::LoadOptions;
use mlxm_engine::checkpoint::CheckpointConfig;
use mlxm_engine::models::{read_model_config, supported};
use mlxm_hub::ModelSummary;
use serde_json::{Map, Value};

use super::parameters;
use crate::wire::models::{Badge, Characteristics, ModelKind, Quantization};

/// Configurations and templates are smaller.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// Families by the beginning of a model type or of a name, longer ones first.
const FAMILIES: [(&str, &str); 26] = [
    ("starcoder", "StarCoder"),
    ("codellama", "Llama"),
    ("internlm", "InternLM"),
    ("baichuan", "Baichuan"),
    ("deepseek", "DeepSeek"),
    ("nemotron", "Nemotron"),
    ("granite", "Granite"),
    ("mixtral", "Mixtral"),
    ("ministral", "Mistral"),
    ("mistral", "Mistral"),
    ("minimax", "MiniMax"),
    ("gpt_oss", "gpt-oss"),
    ("gpt-oss", "gpt-oss"),
    ("smollm", "SmolLM"),
    ("chatglm", "GLM"),
    ("cohere", "Cohere"),
    ("falcon", "Falcon"),
    ("gemma", "Gemma"),
    ("llama", "Llama"),
    ("qwen", "Qwen"),
    ("olmo", "OLMo"),
    ("lfm", "LFM"),
    ("phi", "Phi"),
    ("glm", "GLM"),
    ("kimi", "Kimi"),
    ("yi-", "Yi"),
];

/// What the files of a model directory say; `None` without a readable configuration. Blocks.
pub fn of_directory(name: &str, path: &Path) -> Option<Characteristics> {
    if !can_be_read(path) {
        return None;
    }
    let config = CheckpointConfig::open(path).ok()?;
    let mut found = of_config(name, &config.values);
    found.context_length = config
        .rope_scaled_context()
        .map(|tokens| tokens as u64)
        .or(found.context_length);
    match read_model_config(&config) {
        Ok((_, model)) => {
            found.supported = Some(true);
            let dtype = LoadOptions::default().kv_cache_dtype();
            let layers = model.cache_layers();
            let bytes = layers.iter().map(|layer| layer.bytes_per_token(dtype));
            found.kv_bytes_per_token = Some(bytes.sum());
        }
        Err(error) => {
            found.supported = Some(false);
            found.unsupported_reason = Some(error.to_string());
        }
    }
    found.parameters = parameters::count(path, &config.values).or(found.parameters);
    let chat = ChatCapabilities::from_dir(path);
    add_badge(&mut found, Badge::Tools, chat.supports_tools);
    add_badge(&mut found, Badge::Thinking, chat.supports_thinking);
    found.has_thinking_switch = chat.has_thinking_switch;
    found.has_reasoning_effort = chat.has_reasoning_effort;
    let sentence_files = ["modules.json", "config_sentence_transformers.json"];
    if sentence_files.iter().any(|file| path.join(file).exists()) {
        set_kind(&mut found, ModelKind::Embeddings);
    }
    Some(found)
}

/// Whether reading the configurations and templates of a directory ends: no file is a pipe or a device, and none is too large.
pub fn can_be_read(directory: &Path) -> bool {
    let templates = directory.join("additional_chat_templates");
    let folders = [directory, templates.as_path()].into_iter();
    let mut entries = folders
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten();
    entries.all(|entry| {
        let path = entry.path();
        let is_text = path
            .extension()
            .is_some_and(|extension| extension == "json" || extension == "jinja");
        // Of a link that leads nowhere, reading fails at once.
        let Ok(metadata) = fs::metadata(path) else {
            return true;
        };
        let fits = !is_text || metadata.len() <= MAX_TEXT_BYTES;
        metadata.is_dir() || (metadata.is_file() && fits)
    })
}

/// What a configuration says.
pub fn of_config(name: &str, config: &Map<String, Value>) -> Characteristics {
    let model_type = config.get("model_type").and_then(Value::as_str);
    let text = config.get("text_config").and_then(Value::as_object);
    let number = |key: &str| {
        let inner = text.and_then(|text| text.get(key));
        config.get(key).or(inner).and_then(Value::as_u64)
    };
    let mut found = Characteristics {
        family: model_type.and_then(family).or_else(|| family(name)),
        architecture: model_type.map(str::to_owned),
        parameters: parameters_in_name(name),
        context_length: number("max_position_embeddings"),
        quantization: quantization(config),
        ..Characteristics::default()
    };
    set_kind(
        &mut found,
        kind(name, model_type.unwrap_or_default(), config),
    );
    add_badge(&mut found, Badge::Code, is_for_code(name));
    let experts = ["num_experts", "num_local_experts", "n_routed_experts"];
    let has_experts = experts.iter().any(|key| number(key).unwrap_or(0) > 1);
    add_badge(&mut found, Badge::MixtureOfExperts, has_experts);
    let has_video = config.contains_key("video_token_id");
    add_badge(&mut found, Badge::Video, has_video);
    if found.kind == ModelKind::Embeddings {
        found.embedding_dimensions = number("hidden_size");
    }
    found
}

/// What the name and the tags of a repository say.
pub fn of_summary(summary: &ModelSummary) -> Characteristics {
    let name = summary.repo.as_str();
    let has_tag = |tag: &str| summary.tags.iter().any(|other| other == tag);
    let architecture = supported().into_iter().find(|name| has_tag(name));
    let bits = bits_in_name(name).or_else(|| {
        [2, 3, 4, 5, 6, 8]
            .into_iter()
            .find(|bits| has_tag(&format!("{bits}-bit")))
    });
    let mut found = Characteristics {
        family: architecture
            .and_then(family)
            .or_else(|| family(repository_name(name))),
        architecture: architecture.map(str::to_owned),
        parameters: parameters_in_name(name),
        quantization: bits.map(|bits| Quantization {
            bits,
            group_size: None,
            mode: None,
        }),
        supported: architecture.map(|_| true),
        ..Characteristics::default()
    };
    let kind = match summary.pipeline_tag.as_deref() {
        Some("image-text-to-text" | "image-to-text" | "visual-question-answering") => {
            ModelKind::Vision
        }
        Some("automatic-speech-recognition" | "text-to-speech" | "text-to-audio") => {
            ModelKind::Audio
        }
        Some("feature-extraction" | "sentence-similarity") => ModelKind::Embeddings,
        Some("text-ranking") => ModelKind::Rerank,
        _ => kind(name, "", &Map::new()),
    };
    set_kind(&mut found, kind);
    add_badge(&mut found, Badge::Code, is_for_code(name));
    found
}

fn family(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let text = text.trim_start_matches("meta-");
    let found = FAMILIES.iter().find(|(start, _)| text.starts_with(start));
    found.map(|(_, family)| (*family).to_owned())
}

/// The part after the owner.
fn repository_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn kind(name: &str, model_type: &str, config: &Map<String, Value>) -> ModelKind {
    let name = repository_name(name).to_lowercase();
    let has = |keys: &[&str]| keys.iter().any(|key| config.contains_key(*key));
    let is_named = |words: &[&str]| {
        let mut parts = name.split(['-', '_', '.']);
        parts.any(|part| words.contains(&part))
    };
    if has(&[
        "vision_config",
        "image_token_id",
        "image_token_index",
        "video_token_id",
    ]) || model_type.ends_with("vl")
        || model_type.contains("_vl_")
        || is_named(&["vl", "vlm", "vision"])
    {
        ModelKind::Vision
    } else if has(&["audio_config", "codec_config", "vocoder_config"])
        || is_named(&["whisper", "tts", "stt", "asr", "parakeet", "kokoro"])
    {
        ModelKind::Audio
    } else if is_named(&["reranker", "rerank"]) {
        ModelKind::Rerank
    } else if model_type.contains("bert") || is_named(&["embedding", "embed", "e5", "bge", "gte"]) {
        ModelKind::Embeddings
    } else {
        ModelKind::Text
    }
}

/// Sets the kind, and its badge.
fn set_kind(found: &mut Characteristics, kind: ModelKind) {
    found.kind = kind;
    add_badge(found, Badge::Vision, kind == ModelKind::Vision);
    add_badge(found, Badge::Audio, kind == ModelKind::Audio);
    add_badge(found, Badge::Embeddings, kind == ModelKind::Embeddings);
}

fn add_badge(found: &mut Characteristics, badge: Badge, has: bool) {
    if has && !found.badges.contains(&badge) {
        found.badges.push(badge);
    }
}

fn is_for_code(name: &str) -> bool {
    let name = repository_name(name).to_lowercase();
    ["code", "coder", "codestral", "devstral"]
        .iter()
        .any(|word| name.contains(word))
}

fn quantization(config: &Map<String, Value>) -> Option<Quantization> {
    let settings = config
        .get("quantization")
        .or_else(|| config.get("quantization_config"))?;
    let number = |key: &str| u32::try_from(settings.get(key)?.as_u64()?).ok();
    let mode = settings.get("mode").and_then(Value::as_str);
    Some(Quantization {
        bits: number("bits")?,
        group_size: number("group_size"),
        mode: mode.map(str::to_owned),
    })
}

/// `0.6B` in `Qwen3-0.6B-4bit`.
fn parameters_in_name(name: &str) -> Option<u64> {
    let mut parts = repository_name(name).split(['-', '_']);
    parts.find_map(|part| {
        let (count, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let factor = match unit {
            "B" | "b" => 1e9,
            "M" | "m" => 1e6,
            _ => return None,
        };
        let count: f64 = count.parse().ok()?;
        (count.is_finite() && count > 0.0 && count < 1e5).then(|| (count * factor).round() as u64)
    })
}

/// 4 in `Qwen3-0.6B-4bit`.
fn bits_in_name(name: &str) -> Option<u32> {
    let mut parts = repository_name(name).split(['-', '_']);
    parts.find_map(|part| {
        let bits = part.to_lowercase().strip_suffix("bit")?.parse().ok()?;
        (2..=8).contains(&bits).then_some(bits)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> Map<String, Value> {
        let Value::Object(config) = value else {
            panic!("not an object");
        };
        config
    }

    #[test]
    fn configuration_tells_family_size_context_and_quantization() {
        let found = of_config(
            "mlx-community/Qwen3-0.6B-4bit",
            &config(json!({
                "model_type": "qwen3",
                "max_position_embeddings": 40960,
                "quantization": {"bits": 4, "group_size": 64, "mode": "affine"},
            })),
        );
        assert_eq!(found.family.as_deref(), Some("Qwen"));
        assert_eq!(found.parameters, Some(600_000_000));
        assert_eq!(found.context_length, Some(40960));
        let quantization = found.quantization.unwrap();
        assert_eq!((quantization.bits, quantization.group_size), (4, Some(64)));
        assert_eq!(found.kind, ModelKind::Text);
    }

    #[test]
    fn kinds_follow_configuration_and_name() {
        for (name, value, kind) in [
            ("a/Qwen2.5-VL-7B", json!({}), ModelKind::Vision),
            ("a/b", json!({"vision_config": {}}), ModelKind::Vision),
            ("a/whisper-large", json!({}), ModelKind::Audio),
            (
                "a/bge-m3",
                json!({"model_type": "xlm-roberta"}),
                ModelKind::Embeddings,
            ),
            ("a/Qwen3-Reranker-0.6B", json!({}), ModelKind::Rerank),
            ("a/evlog", json!({"model_type": "llama"}), ModelKind::Text),
        ] {
            assert_eq!(of_config(name, &config(value)).kind, kind, "{name}");
        }
        let experts = of_config(
            "a/b-Coder",
            &config(json!({"text_config": {"num_experts": 128}})),
        );
        assert_eq!(experts.badges, [Badge::Code, Badge::MixtureOfExperts]);
    }

    #[test]
    fn names_have_parameters_and_bits() {
        for (name, parameters, bits) in [
            (
                "mlx-community/Qwen3-30B-A3B-4bit",
                Some(30_000_000_000),
                Some(4),
            ),
            ("a/SmolLM2-135M-Instruct-8bit", Some(135_000_000), Some(8)),
            ("a/gemma-3-4b-it-bf16", Some(4_000_000_000), None),
            ("a/b", None, None),
            ("a/64bit-é", None, None),
        ] {
            assert_eq!(
                (parameters_in_name(name), bits_in_name(name)),
                (parameters, bits),
                "{name}"
            );
        }
    }

    #[test]
    fn tags_of_a_repository_tell_whether_it_is_supported() {
        let summary = |tags: &[&str], pipeline_tag: &str| ModelSummary {
            repo: "mlx-community/Meta-Llama-3-8B".to_owned(),
            downloads: None,
            likes: None,
            last_modified: None,
            pipeline_tag: Some(pipeline_tag.to_owned()),
            library: None,
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            gated: false,
            private: false,
            weights_bytes: None,
        };
        let found = of_summary(&summary(&["mlx", "llama", "4-bit"], "text-generation"));
        assert_eq!(
            (found.supported, found.family.as_deref()),
            (Some(true), Some("Llama"))
        );
        assert_eq!(
            found.quantization.map(|quantization| quantization.bits),
            Some(4)
        );
        let found = of_summary(&summary(&["mlx"], "image-text-to-text"));
        assert_eq!((found.supported, found.kind), (None, ModelKind::Vision));
    }
}
