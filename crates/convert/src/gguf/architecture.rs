//! How each supported architecture names and stores its tensors in GGUF.

use crate::ConvertError;

/// An architecture in GGUF and in `config.json`.
#[derive(Debug)]
pub(super) struct Architecture {
    /// `general.architecture`.
    pub(super) gguf: &'static str,
    /// `model_type` in `config.json`.
    pub(super) model_type: &'static str,
    /// The class in `architectures` of `config.json`.
    pub(super) class: &'static str,
    /// Whether the rows of the query and key projections are permuted for interleaved RoPE (`permute` in llama.cpp's
    /// `convert_hf_to_gguf.py`).
    pub(super) permuted_qk: bool,
    /// Added to the weights of norms in GGUF.
    pub(super) norm_offset: f32,
    /// A key of the metadata, without the name of the architecture, that only files of this one among those with its GGUF
    /// name have.
    marker: Option<&'static str>,
    /// Modules of a block in addition to [`ATTENTION`]: names in GGUF and in MLX.
    modules: &'static [(&'static str, &'static str)],
}

const ATTENTION: &[(&str, &str)] = &[
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
];

const GATED_MLP: &[(&str, &str)] = &[
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

const GATED_MLP_FOUR_NORMS: &[(&str, &str)] = &[
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Norms after the blocks, and on queries and keys.
const GATED_MLP_POST_NORMS: &[(&str, &str)] = &[
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Attention and MLP after the same norm.
const PARALLEL_GATED_MLP: &[(&str, &str)] = &[
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

const fn architecture(
    gguf: &'static str,
    model_type: &'static str,
    class: &'static str,
    modules: &'static [(&'static str, &'static str)],
) -> Architecture {
    Architecture {
        gguf,
        model_type,
        class,
        permuted_qk: false,
        norm_offset: 0.0,
        marker: None,
        modules,
    }
}

const ARCHITECTURES: &[Architecture] = &[
    Architecture {
        permuted_qk: true,
        ..architecture("llama", "llama", "LlamaForCausalLM", GATED_MLP)
    },
    architecture("qwen2", "qwen2", "Qwen2ForCausalLM", GATED_MLP),
    architecture(
        "qwen3",
        "qwen3",
        "Qwen3ForCausalLM",
        &[
            ("attn_q_norm", "self_attn.q_norm"),
            ("attn_k_norm", "self_attn.k_norm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ],
    ),
    Architecture {
        norm_offset: 1.0,
        ..architecture("gemma", "gemma", "GemmaForCausalLM", GATED_MLP)
    },
    Architecture {
        norm_offset: 1.0,
        ..architecture(
            "gemma2",
            "gemma2",
            "Gemma2ForCausalLM",
            GATED_MLP_FOUR_NORMS,
        )
    },
    Architecture {
        norm_offset: 1.0,
        ..architecture(
            "gemma3",
            "gemma3_text",
            "Gemma3ForCausalLM",
            GATED_MLP_FOUR_NORMS,
        )
    },
    architecture(
        "phi3",
        "phi3",
        "Phi3ForCausalLM",
        &[
            ("attn_qkv", "self_attn.qkv_proj"),
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_up", "mlp.gate_up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ],
    ),
    Architecture {
        permuted_qk: true,
        ..architecture("granite", "granite", "GraniteForCausalLM", GATED_MLP)
    },
    Architecture {
        marker: Some("attention.sliding_window"),
        ..architecture("olmo2", "olmo3", "Olmo3ForCausalLM", GATED_MLP_POST_NORMS)
    },
    architecture("olmo2", "olmo2", "Olmo2ForCausalLM", GATED_MLP_POST_NORMS),
    architecture(
        "starcoder2",
        "starcoder2",
        "Starcoder2ForCausalLM",
        &[
            ("ffn_norm", "post_attention_layernorm"),
            ("ffn_up", "mlp.c_fc"),
            ("ffn_down", "mlp.c_proj"),
        ],
    ),
    Architecture {
        permuted_qk: true,
        ..architecture("smollm3", "smollm3", "SmolLM3ForCausalLM", GATED_MLP)
    },
    architecture(
        "seed_oss",
        "seed_oss",
        "SeedOssForCausalLM",
        &[
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ],
    ),
    architecture("ernie4_5", "ernie4_5", "Ernie4_5ForCausalLM", GATED_MLP),
    Architecture {
        permuted_qk: true,
        ..architecture("minicpm", "minicpm", "MiniCPMForCausalLM", GATED_MLP)
    },
    architecture(
        "command-r",
        "cohere",
        "CohereForCausalLM",
        PARALLEL_GATED_MLP,
    ),
    architecture(
        "cohere2",
        "cohere2",
        "Cohere2ForCausalLM",
        PARALLEL_GATED_MLP,
    ),
    architecture(
        "exaone4",
        "exaone4",
        "Exaone4ForCausalLM",
        GATED_MLP_POST_NORMS,
    ),
    Architecture {
        norm_offset: 1.0,
        ..architecture(
            "nemotron",
            "nemotron",
            "NemotronForCausalLM",
            &[
                ("ffn_norm", "post_attention_layernorm"),
                ("ffn_up", "mlp.up_proj"),
                ("ffn_down", "mlp.down_proj"),
            ],
        )
    },
    architecture(
        "glm4",
        "glm4",
        "Glm4ForCausalLM",
        &[
            ("post_attention_norm", "post_self_attn_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("post_ffw_norm", "post_mlp_layernorm"),
            ("ffn_up", "mlp.gate_up_proj"),
            ("ffn_down", "mlp.down_proj"),
        ],
    ),
];

/// The use of a tensor of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// A parameter of the module at path `module`.
    Parameter {
        module: String,
        /// `weight` or `bias`.
        leaf: &'static str,
        heads: Option<Heads>,
        is_norm: bool,
    },
    /// RoPE frequency factors, which become part of the configuration.
    RopeFactors,
}

/// The kind of heads that the rows of a projection belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    Query,
    KeyValue,
}

/// The architectures of GGUF files that are converted: `general.architecture` and the `model_type` of the checkpoint.
pub fn gguf_architectures() -> impl Iterator<Item = (&'static str, &'static str)> {
    ARCHITECTURES
        .iter()
        .map(|architecture| (architecture.gguf, architecture.model_type))
}

impl Architecture {
    /// The architecture of files with this name and metadata.
    pub(super) fn find(
        name: &str,
        has_key: impl Fn(&str) -> bool,
    ) -> Result<&'static Self, ConvertError> {
        ARCHITECTURES
            .iter()
            .filter(|architecture| architecture.gguf == name)
            .find(|architecture| {
                let marker = architecture.marker;
                marker.is_none_or(|marker| has_key(&format!("{name}.{marker}")))
            })
            .ok_or_else(|| {
                let mut supported: Vec<&str> = ARCHITECTURES
                    .iter()
                    .map(|architecture| architecture.gguf)
                    .collect();
                supported.dedup();
                ConvertError::Architecture {
                    found: name.to_owned(),
                    supported,
                }
            })
    }

    /// The role of the tensor `name`; `None` if the architecture does not have it.
    pub(super) fn role(&self, name: &str) -> Option<Role> {
        if matches!(
            name,
            "rope_freqs.weight" | "rope_factors_long.weight" | "rope_factors_short.weight"
        ) {
            return Some(Role::RopeFactors);
        }
        let (module, leaf) = match name.rsplit_once('.')? {
            (module, "weight") => (module, "weight"),
            (module, "bias") => (module, "bias"),
            _ => return None,
        };
        let parameter = |path: String, heads| {
            Some(Role::Parameter {
                is_norm: path.ends_with("norm"),
                module: path,
                leaf,
                heads,
            })
        };
        match module {
            "token_embd" => return parameter("model.embed_tokens".to_owned(), None),
            "output_norm" => return parameter("model.norm".to_owned(), None),
            "output" => return parameter("lm_head".to_owned(), None),
            _ => {}
        }
        let (layer, part) = module.strip_prefix("blk.")?.split_once('.')?;
        let layer: usize = layer.parse().ok()?;
        let (_, path) = self
            .modules
            .iter()
            .chain(ATTENTION)
            .find(|(gguf, _)| *gguf == part)?;
        let heads = match part {
            "attn_q" => Some(Heads::Query),
            "attn_k" => Some(Heads::KeyValue),
            _ => None,
        };
        parameter(format!("model.layers.{layer}.{path}"), heads)
    }
}
