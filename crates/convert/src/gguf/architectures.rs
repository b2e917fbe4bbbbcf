//! The architectures whose modules have the names of Llama's, with few exceptions.

use super::architecture::{Architecture, Heads, Layout, Modules, Names};

const ATTENTION: Modules = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
];

/// Norms on the heads of queries and keys.
const QK_NORMS: Modules = &[
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
];

const FFN_NORM: Modules = &[("ffn_norm", "post_attention_layernorm")];

const GATED_MLP: Modules = &[
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Gate and up are one tensor.
const FUSED_GATED_MLP: Modules = &[
    ("ffn_up", "mlp.gate_up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

const MLP: Modules = &[("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj")];

const FOUR_NORMS: Modules = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

const POST_NORMS: Modules = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// Queries, keys and values are one tensor, as in files of older versions of llama.cpp.
const SPLIT_QKV: Modules = &[("attn_qkv", "self_attn")];

const LLAMA: &[Modules] = &[ATTENTION, FFN_NORM, GATED_MLP];
const LLAMA_QK_NORMS: &[Modules] = &[ATTENTION, QK_NORMS, FFN_NORM, GATED_MLP];
const GEMMA: &[Modules] = &[ATTENTION, QK_NORMS, FOUR_NORMS, GATED_MLP];
/// Norms after the blocks.
const OLMO2: &[Modules] = &[ATTENTION, QK_NORMS, POST_NORMS, GATED_MLP];
/// Attention and MLP after the same norm.
const COHERE: &[Modules] = &[ATTENTION, QK_NORMS, GATED_MLP];

/// Queries and keys for interleaved RoPE.
const INTERLEAVED_ROPE: &[(&str, Layout)] = &[
    ("attn_q", Layout::InterleavedRope(Heads::Query)),
    ("attn_k", Layout::InterleavedRope(Heads::KeyValue)),
];

/// The names of the text model of a model with a vision tower.
const LANGUAGE_MODEL: Names = Names {
    token_embd: "language_model.model.embed_tokens",
    output_norm: "language_model.model.norm",
    output: Some("language_model.lm_head"),
    blocks: "language_model.model.layers",
    ..Names::LLAMA
};

/// An architecture with the names of Llama.
const fn architecture(
    gguf: &'static str,
    model_type: &'static str,
    class: &'static str,
    modules: &'static [Modules],
) -> Architecture {
    Architecture::new(gguf, model_type, class, Names::LLAMA, modules)
}

pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        layouts: INTERLEAVED_ROPE,
        ..architecture("llama", "llama", "LlamaForCausalLM", LLAMA)
    },
    architecture("qwen2", "qwen2", "Qwen2ForCausalLM", LLAMA),
    architecture("qwen3", "qwen3", "Qwen3ForCausalLM", LLAMA_QK_NORMS),
    Architecture {
        norm_offset: 1.0,
        ..architecture("gemma", "gemma", "GemmaForCausalLM", LLAMA)
    },
    Architecture {
        norm_offset: 1.0,
        ..architecture("gemma2", "gemma2", "Gemma2ForCausalLM", GEMMA)
    },
    Architecture {
        norm_offset: 1.0,
        ..architecture("gemma3", "gemma3_text", "Gemma3ForCausalLM", GEMMA)
    },
    architecture(
        "phi3",
        "phi3",
        "Phi3ForCausalLM",
        &[
            &[("attn_qkv", "self_attn.qkv_proj")],
            ATTENTION,
            FFN_NORM,
            FUSED_GATED_MLP,
        ],
    ),
    Architecture {
        layouts: INTERLEAVED_ROPE,
        ..architecture("granite", "granite", "GraniteForCausalLM", LLAMA)
    },
    Architecture {
        marker: Some("attention.sliding_window"),
        ..architecture("olmo2", "olmo3", "Olmo3ForCausalLM", OLMO2)
    },
    architecture("olmo2", "olmo2", "Olmo2ForCausalLM", OLMO2),
    architecture(
        "starcoder2",
        "starcoder2",
        "Starcoder2ForCausalLM",
        &[
            ATTENTION,
            FFN_NORM,
            &[("ffn_up", "mlp.c_fc"), ("ffn_down", "mlp.c_proj")],
        ],
    ),
    Architecture {
        layouts: INTERLEAVED_ROPE,
        ..architecture("smollm3", "smollm3", "SmolLM3ForCausalLM", LLAMA)
    },
    architecture(
        "seed_oss",
        "seed_oss",
        "SeedOssForCausalLM",
        &[
            ATTENTION,
            &[("post_attention_norm", "post_attention_layernorm")],
            GATED_MLP,
        ],
    ),
    architecture("ernie4_5", "ernie4_5", "Ernie4_5ForCausalLM", LLAMA),
    Architecture {
        layouts: INTERLEAVED_ROPE,
        ..architecture("minicpm", "minicpm", "MiniCPMForCausalLM", LLAMA)
    },
    architecture("command-r", "cohere", "CohereForCausalLM", COHERE),
    architecture("cohere2", "cohere2", "Cohere2ForCausalLM", COHERE),
    architecture("exaone4", "exaone4", "Exaone4ForCausalLM", OLMO2),
    Architecture {
        norm_offset: 1.0,
        ..architecture(
            "nemotron",
            "nemotron",
            "NemotronForCausalLM",
            &[ATTENTION, FFN_NORM, MLP],
        )
    },
    architecture(
        "glm4",
        "glm4",
        "Glm4ForCausalLM",
        &[
            ATTENTION,
            &[
                ("post_attention_norm", "post_self_attn_layernorm"),
                ("ffn_norm", "post_attention_layernorm"),
                ("post_ffw_norm", "post_mlp_layernorm"),
            ],
            FUSED_GATED_MLP,
        ],
    ),
    Architecture {
        layouts: &[("attn_qkv", Layout::QkvToModules)],
        ..architecture(
            "chatglm",
            "glm",
            "GlmForCausalLM",
            &[SPLIT_QKV, ATTENTION, FFN_NORM, FUSED_GATED_MLP],
        )
    },
    Architecture {
        names: Names {
            output_norm: "model.final_layernorm",
            ..Names::LLAMA
        },
        layouts: &[("attn_qkv", Layout::QkvToModules)],
        ..architecture(
            "phi2",
            "phi",
            "PhiForCausalLM",
            &[
                SPLIT_QKV,
                &[
                    ("attn_output", "self_attn.dense"),
                    ("ffn_up", "mlp.fc1"),
                    ("ffn_down", "mlp.fc2"),
                ],
                ATTENTION,
            ],
        )
    },
    Architecture {
        layouts: &[
            ("attn_q_norm", Layout::HeadsToModules(Heads::Query)),
            ("attn_k_norm", Layout::HeadsToModules(Heads::KeyValue)),
        ],
        ..architecture(
            "stablelm",
            "stablelm",
            "StableLmForCausalLM",
            &[
                ATTENTION,
                &[
                    ("attn_q_norm", "self_attn.q_layernorm.norms"),
                    ("attn_k_norm", "self_attn.k_layernorm.norms"),
                ],
                FFN_NORM,
                GATED_MLP,
            ],
        )
    },
    Architecture {
        names: LANGUAGE_MODEL,
        ..architecture(
            "qwen2vl",
            "qwen2_vl",
            "Qwen2VLForConditionalGeneration",
            LLAMA,
        )
    },
    Architecture {
        names: LANGUAGE_MODEL,
        ..architecture(
            "qwen3vl",
            "qwen3_vl",
            "Qwen3VLForConditionalGeneration",
            LLAMA_QK_NORMS,
        )
    },
    Architecture {
        layouts: INTERLEAVED_ROPE,
        marker: Some("attention.temperature_scale"),
        ..architecture("mistral3", "ministral3", "Ministral3ForCausalLM", LLAMA)
    },
    Architecture {
        layouts: INTERLEAVED_ROPE,
        ..architecture("mistral3", "mistral", "MistralForCausalLM", LLAMA)
    },
    architecture(
        "hunyuan-dense",
        "hunyuan_v1_dense",
        "HunYuanDenseV1ForCausalLM",
        &[
            ATTENTION,
            &[
                ("attn_q_norm", "self_attn.query_layernorm"),
                ("attn_k_norm", "self_attn.key_layernorm"),
            ],
            FFN_NORM,
            GATED_MLP,
        ],
    ),
    architecture(
        "apertus",
        "apertus",
        "ApertusForCausalLM",
        &[
            &[
                ("attn_norm", "attention_layernorm"),
                ("ffn_norm", "feedforward_layernorm"),
            ],
            ATTENTION,
            QK_NORMS,
            MLP,
        ],
    ),
    Architecture {
        layouts: &[
            ("attn_q", Layout::InterleavedRope(Heads::Query)),
            ("attn_k", Layout::InterleavedRope(Heads::KeyValue)),
            ("attn_output", Layout::OutputOrLinear),
        ],
        ..architecture("deci", "nemotron-nas", "DeciLMForCausalLM", LLAMA)
    },
    Architecture {
        names: Names {
            blocks: "model.layers.layers",
            ..Names::LLAMA
        },
        layouts: &[
            ("attn_q", Layout::ByKeyValueHead),
            ("attn_output", Layout::ColumnsByKeyValueHead),
        ],
        ..architecture(
            "plamo",
            "plamo",
            "PlamoForCausalLM",
            &[&[("attn_norm", "norm")], ATTENTION, GATED_MLP],
        )
    },
];
