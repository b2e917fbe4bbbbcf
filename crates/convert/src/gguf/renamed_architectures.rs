//! The architectures whose modules have other names than Llama's, such as those of GPT-2.

use super::architecture::{Architecture, Input, Layout, Modules, Names, Qkv};

/// Norms of the blocks of GPT-2 and its successors.
const GPT_NORMS: Modules = &[("attn_norm", "ln_1"), ("ffn_norm", "ln_2")];

const GPT2: &[Modules] = &[
    GPT_NORMS,
    &[
        ("attn_qkv", "attn.c_attn"),
        ("attn_output", "attn.c_proj"),
        ("ffn_up", "mlp.c_fc"),
        ("ffn_down", "mlp.c_proj"),
    ],
];

/// The names of GPT-2 in a module `transformer`.
const TRANSFORMER: Names = Names {
    token_embd: "transformer.wte",
    position_embd: None,
    output_norm: "transformer.ln_f",
    output: Some("lm_head"),
    blocks: "transformer.h",
};

/// The names of GPT-2 in a module `model`.
const MODEL: Names = Names {
    token_embd: "model.wte",
    position_embd: None,
    output_norm: "model.ln_f",
    output: Some("lm_head"),
    blocks: "model.h",
};

pub(super) const RENAMED_ARCHITECTURES: &[Architecture] = &[
    Architecture::new(
        "gpt2",
        "gpt2",
        "GPT2LMHeadModel",
        Names {
            position_embd: Some("model.wpe"),
            output: None,
            ..MODEL
        },
        GPT2,
    ),
    Architecture::new(
        "starcoder",
        "gpt_bigcode",
        "GPTBigCodeForCausalLM",
        Names {
            position_embd: Some("transformer.wpe"),
            ..TRANSFORMER
        },
        GPT2,
    ),
    Architecture::new(
        "gptj",
        "gptj",
        "GPTJForCausalLM",
        MODEL,
        &[
            GPT_NORMS,
            &[
                ("attn_q", "attn.q_proj"),
                ("attn_k", "attn.k_proj"),
                ("attn_v", "attn.v_proj"),
                ("attn_output", "attn.out_proj"),
                ("ffn_up", "mlp.fc_in"),
                ("ffn_down", "mlp.fc_out"),
            ],
        ],
    ),
    Architecture {
        layouts: &[("attn_qkv", Layout::QkvToGroups)],
        ..Architecture::new(
            "gptneox",
            "gpt_neox",
            "GPTNeoXForCausalLM",
            Names {
                token_embd: "model.embed_in",
                output_norm: "model.final_layer_norm",
                output: Some("model.embed_out"),
                ..MODEL
            },
            &[&[
                ("attn_norm", "input_layernorm"),
                ("attn_qkv", "attention.query_key_value"),
                ("attn_output", "attention.dense"),
                ("ffn_norm", "post_attention_layernorm"),
                ("ffn_up", "mlp.dense_h_to_4h"),
                ("ffn_down", "mlp.dense_4h_to_h"),
            ]],
        )
    },
    Architecture::new(
        "exaone",
        "exaone",
        "ExaoneForCausalLM",
        TRANSFORMER,
        &[
            GPT_NORMS,
            &[
                ("attn_q", "attn.attention.q_proj"),
                ("attn_k", "attn.attention.k_proj"),
                ("attn_v", "attn.attention.v_proj"),
                ("attn_output", "attn.attention.out_proj"),
                ("ffn_gate", "mlp.c_fc_0"),
                ("ffn_up", "mlp.c_fc_1"),
                ("ffn_down", "mlp.c_proj"),
            ],
        ],
    ),
    Architecture::new(
        "qwen",
        "qwen",
        "QWenLMHeadModel",
        TRANSFORMER,
        &[
            GPT_NORMS,
            &[
                ("attn_qkv", "attn.c_attn"),
                ("attn_output", "attn.c_proj"),
                ("ffn_gate", "mlp.w2"),
                ("ffn_up", "mlp.w1"),
                ("ffn_down", "mlp.c_proj"),
            ],
        ],
    ),
    Architecture {
        layouts: &[
            ("attn_q", Layout::InQkvGroups(Qkv::Query)),
            ("attn_k", Layout::InQkvGroups(Qkv::Key)),
            ("attn_v", Layout::InQkvGroups(Qkv::Value)),
        ],
        ..Architecture::new(
            "internlm2",
            "internlm2",
            "InternLM2ForCausalLM",
            Names {
                token_embd: "model.tok_embeddings",
                output: Some("output"),
                ..Names::LLAMA
            },
            &[&[
                ("attn_norm", "attention_norm"),
                ("attn_q", "attention.wqkv"),
                ("attn_k", "attention.wqkv"),
                ("attn_v", "attention.wqkv"),
                ("attn_output", "attention.wo"),
                ("ffn_norm", "ffn_norm"),
                ("ffn_gate", "feed_forward.w1"),
                ("ffn_up", "feed_forward.w3"),
                ("ffn_down", "feed_forward.w2"),
            ]],
        )
    },
    Architecture {
        layouts: &[
            ("attn_q", Layout::InQkv(Qkv::Query)),
            ("attn_k", Layout::InQkv(Qkv::Key)),
            ("attn_v", Layout::InQkv(Qkv::Value)),
            ("ffn_gate", Layout::StackedGateLast(Input::Gate)),
            ("ffn_up", Layout::StackedGateLast(Input::Up)),
        ],
        ..Architecture::new(
            "olmo",
            "olmo",
            "OLMoForCausalLM",
            Names {
                token_embd: "model.transformer.wte",
                position_embd: None,
                output_norm: "model.transformer.norm",
                output: Some("model.transformer.ff_out"),
                blocks: "model.transformer.blocks",
            },
            &[&[
                ("attn_q", "att_proj"),
                ("attn_k", "att_proj"),
                ("attn_v", "att_proj"),
                ("attn_output", "attn_out"),
                ("ffn_gate", "ff_proj"),
                ("ffn_up", "ff_proj"),
                ("ffn_down", "ff_out"),
            ]],
        )
    },
    Architecture {
        layouts: &[
            ("ffn_gate", Layout::Stacked(Input::Gate)),
            ("ffn_up", Layout::Stacked(Input::Up)),
        ],
        ..Architecture::new(
            "openelm",
            "openelm",
            "OpenELMForCausalLM",
            Names {
                token_embd: "transformer.token_embeddings",
                output_norm: "transformer.norm",
                blocks: "transformer.layers",
                ..TRANSFORMER
            },
            &[&[
                ("attn_norm", "attn_norm"),
                ("attn_qkv", "attn.qkv_proj"),
                ("attn_q_norm", "attn.q_norm"),
                ("attn_k_norm", "attn.k_norm"),
                ("attn_output", "attn.out_proj"),
                ("ffn_norm", "ffn_norm"),
                ("ffn_gate", "ffn.proj_1"),
                ("ffn_up", "ffn.proj_1"),
                ("ffn_down", "ffn.proj_2"),
            ]],
        )
    },
];
