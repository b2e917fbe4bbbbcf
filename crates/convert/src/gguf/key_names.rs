//! The names of keys in `config.json` where they differ from those of Llama.

use serde_json::{Map, Value};

type Names = &'static [(&'static str, &'static str)];

const GPT2: Names = &[
    ("hidden_size", "n_embd"),
    ("intermediate_size", "n_inner"),
    ("num_hidden_layers", "n_layer"),
    ("num_attention_heads", "n_head"),
    ("max_position_embeddings", "n_positions"),
];

/// Key and value heads and RoPE, which GPT-2 and its successors have not or not as keys.
const GPT2_ABSENT: &[&str] = &[
    "num_key_value_heads",
    "head_dim",
    "rope_theta",
    "rope_scaling",
];

/// Keys by their name in the configuration of Llama.
fn names(model_type: &str) -> Names {
    match model_type {
        "gpt2" | "gpt_bigcode" | "gptj" => GPT2,
        "gpt_neox" => &[("rope_theta", "rotary_emb_base")],
        "exaone" => &[("num_hidden_layers", "num_layers")],
        "qwen" => &[("head_dim", "kv_channels")],
        "olmo" => &[
            ("hidden_size", "d_model"),
            ("num_hidden_layers", "n_layers"),
            ("num_attention_heads", "n_heads"),
            ("max_position_embeddings", "max_sequence_length"),
            ("tie_word_embeddings", "weight_tying"),
        ],
        "openelm" => &[
            ("hidden_size", "model_dim"),
            ("num_hidden_layers", "num_transformer_layers"),
            ("max_position_embeddings", "max_context_length"),
            ("rope_theta", "rope_freq_constant"),
            ("tie_word_embeddings", "share_input_output_layers"),
        ],
        _ => &[],
    }
}

/// Keys of the configuration of Llama that this one does not have.
fn absent(model_type: &str) -> &'static [&'static str] {
    match model_type {
        "gpt2" | "gpt_bigcode" | "gptj" => GPT2_ABSENT,
        "gpt_neox" => &["num_key_value_heads", "head_dim", "rope_scaling"],
        "qwen" => &["num_key_value_heads", "rope_theta", "rope_scaling"],
        "phi" | "stablelm" => &["head_dim", "rope_scaling"],
        "plamo" => &["head_dim", "num_key_value_heads", "rope_scaling"],
        "internlm2" | "apertus" => &["head_dim"],
        "ministral3" => &["rope_theta", "rope_scaling"],
        "olmo" => &[
            "num_key_value_heads",
            "head_dim",
            "intermediate_size",
            "rope_scaling",
        ],
        "nemotron-nas" => &["head_dim", "num_key_value_heads", "intermediate_size"],
        "openelm" => &[
            "num_attention_heads",
            "num_key_value_heads",
            "intermediate_size",
            "rope_scaling",
        ],
        _ => &[],
    }
}

/// Renames and removes keys of a configuration with the keys of Llama.
pub(super) fn rename_keys(model_type: &str, config: &mut Map<String, Value>) {
    for key in absent(model_type) {
        config.remove(*key);
    }
    for (from, to) in names(model_type) {
        if let Some(value) = config.remove(*from) {
            config.insert((*to).to_owned(), value);
        }
    }
}
