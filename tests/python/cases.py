"""What the parity suite compares: every architecture in every variant, and the corners of each rule by itself."""

from __future__ import annotations

from typing import Any

from oracle import Case, architectures, config

#: Overrides in every form they take. Globals are 6-bit group 32, so a key that a dictionary lacks must come from the
#: defaults of the mode (4-bit, group 64) to be right.
MIXED = {
    "bits": 6,
    "group_size": 32,
    "overrides": [
        ["*layers.0.self_attn.o_proj", False],
        ["*layers.0.mlp.*", {"bits": 8}],
        ["*layers.1.mlp.*", {"group_size": 32}],
        ["*layers.1.self_attn.o_proj", True],
        ["*layers.1.self_attn.*", {"bits": 3, "group_size": 128, "mode": "affine"}],
        ["*embed_tokens", {"bits": 8, "group_size": 64}],
    ],
}

VARIANTS: dict[str, dict[str, Any] | None] = {
    "f32": None,
    "4-bit g64": {"bits": 4, "group_size": 64},
    "8-bit g32": {"bits": 8, "group_size": 32},
    "mixed": MIXED,
    "3-bit g64": {"bits": 3, "group_size": 64},
    "5-bit g64": {"bits": 5, "group_size": 64},
    "6-bit g64": {"bits": 6, "group_size": 64},
}


def case(architecture: str, quantize: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **rest: Any) -> Case:
    built: Case = {"config": config(architecture, **(settings or {})), **rest}
    if quantize:
        built["quantize"] = quantize
    return built


MATRIX: dict[tuple[str, str], Case] = {
    (architecture, variant): case(architecture, quantize)
    for architecture in architectures()
    for variant, quantize in VARIANTS.items()
}

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
LINEAR = {"type": "linear", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0}


def longrope(width: int, **extra: Any) -> dict[str, Any]:
    """Factors that differ in each frequency, for a rotary width."""
    return {
        "type": "longrope",
        "short_factor": [1.0 + 0.05 * i for i in range(width // 2)],
        "long_factor": [1.0 + 0.6 * i for i in range(width // 2)],
        **extra,
    }


SLIDING = ["sliding_attention", "full_attention", "sliding_attention"]
PHI3_LONG = {"original_max_position_embeddings": 32}

#: (group, name) → case. The group is the row of the table it is reported under.
CORNERS: dict[tuple[str, str], Case] = {
    # Element types on disk.
    ("types", "llama f16"): case("llama", dtype="float16"),
    ("types", "llama bf16"): case("llama", dtype="bfloat16"),
    ("types", "gemma3_text bf16"): case("gemma3_text", dtype="bfloat16"),
    ("types", "starcoder2 f16"): case("starcoder2", dtype="float16"),
    ("types", "qwen3 4-bit bf16 scales"): case("qwen3", {"bits": 4, "group_size": 64}, dtype="bfloat16"),
    ("types", "qwen2 8-bit f16 scales"): case("qwen2", {"bits": 8, "group_size": 32}, dtype="float16"),
    ("types", "gemma2 mixed bf16"): case("gemma2", MIXED, dtype="bfloat16"),
    # Floating-point modes.
    ("modes", "mxfp4"): case("llama", {"bits": 4, "group_size": 32, "mode": "mxfp4"}),
    ("modes", "nvfp4"): case("llama", {"bits": 4, "group_size": 16, "mode": "nvfp4"}),
    ("modes", "mxfp8"): case("llama", {"bits": 8, "group_size": 32, "mode": "mxfp8"}),
    ("modes", "mxfp4 bf16 qwen3"): case("qwen3", {"bits": 4, "group_size": 32, "mode": "mxfp4"}, dtype="bfloat16"),
    ("modes", "modes mixed by override"): case(
        "llama",
        {
            "bits": 4,
            "group_size": 64,
            "overrides": [
                ["*layers.0.mlp.*", {"mode": "mxfp4"}],
                ["*layers.1.mlp.*", {"mode": "nvfp4"}],
                ["*layers.2.mlp.*", {"mode": "mxfp8", "group_size": 32, "bits": 8}],
            ],
        },
    ),
    ("modes", "quant_method mxfp4"): case(
        "llama", {"bits": 4, "group_size": 32, "mode": "mxfp4"}, declared={"quantization_config": {"quant_method": "mxfp4"}}
    ),
    ("modes", "quant_method mxfp8"): case(
        "llama", {"bits": 8, "group_size": 32, "mode": "mxfp8"}, declared={"quantization_config": {"quant_method": "mxfp8"}}
    ),
    ("modes", "compressed-tensors nvfp4"): case(
        "llama",
        {"bits": 4, "group_size": 16, "mode": "nvfp4"},
        declared={"quantization_config": {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}},
    ),
    ("modes", "modelopt nvfp4"): case(
        "llama",
        {"bits": 4, "group_size": 16, "mode": "nvfp4"},
        declared={"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
    ),
    **{
        ("modes", f"{method} {form}"): case(
            "llama",
            dtype="float16",
            awq=form,
            declared={"quantization_config": {"quant_method": method, "bits": 4, "group_size": 32}},
        )
        for method in ("awq",)
        for form in ("symmetric", "zeros")
    },
    # How quantization is declared.
    ("declared", "globals only, tensors differ"): case(
        "llama", MIXED, declared={"quantization": {"bits": 4, "group_size": 64}}
    ),
    ("declared", "mode absent"): case(
        "qwen2", {"bits": 5, "group_size": 32}, declared={"quantization": {"bits": 5, "group_size": 32}}
    ),
    ("declared", "only embeddings quantized"): case(
        "llama", {"bits": 4, "group_size": 32, "overrides": [["*embed_tokens", True], ["*", False]]}
    ),
    ("declared", "all but embeddings quantized"): case(
        "qwen2", {"bits": 4, "group_size": 32, "overrides": [["*embed_tokens", False]]}
    ),
    ("declared", "dense by absence of scales"): case(
        "llama",
        {"bits": 4, "group_size": 64, "overrides": [["*self_attn*", False]]},
        declared={"quantization": {"bits": 4, "group_size": 64}},
    ),
    ("declared", "empty override"): case("llama", {"bits": 8, "group_size": 128, "overrides": [["*mlp.up_proj", {}]]}),
    # Tied and untied.
    ("tying", "llama tied"): case("llama", settings={"tie_word_embeddings": True}),
    ("tying", "llama tied 4-bit"): case("llama", {"bits": 4, "group_size": 64}, {"tie_word_embeddings": True}),
    ("tying", "llama key absent"): case("llama", settings={"tie_word_embeddings": None}),
    ("tying", "qwen2 key absent"): case("qwen2", settings={"tie_word_embeddings": None}),
    ("tying", "qwen2 untied 6-bit"): case("qwen2", {"bits": 6, "group_size": 64}, {"tie_word_embeddings": False}),
    ("tying", "qwen3 untied"): case("qwen3", settings={"tie_word_embeddings": False}),
    ("tying", "gemma3_text tied"): case("gemma3_text", tied_by_absence=True),
    ("tying", "gemma3_text tied 4-bit"): case("gemma3_text", {"bits": 4, "group_size": 64}, tied_by_absence=True),
    ("tying", "gemma3 tied 8-bit"): case("gemma3", {"bits": 8, "group_size": 64}, tied_by_absence=True),
    ("tying", "phi3 tied"): case("phi3", settings={"tie_word_embeddings": True}),
    ("tying", "phi3 key absent"): case("phi3", settings={"tie_word_embeddings": None}),
    ("tying", "smollm3 untied"): case("smollm3", settings={"tie_word_embeddings": False}),
    ("tying", "granite tied"): case("granite", settings={"tie_word_embeddings": True}),
    ("tying", "olmo2 tied"): case("olmo2", settings={"tie_word_embeddings": True}),
    ("tying", "starcoder2 untied"): case("starcoder2", settings={"tie_word_embeddings": False}),
    # Files.
    ("files", "two shards, wrong index"): case("llama", shards=2),
    ("files", "three shards 4-bit"): case("qwen3", {"bits": 4, "group_size": 64}, shards=3),
    ("files", "inv_freq dropped"): case("llama", extra={"model.layers.0.self_attn.rotary_emb.inv_freq": [16]}),
    ("files", "spare lm_head dropped"): case(
        "llama", settings={"tie_word_embeddings": True}, extra={"lm_head.weight": [320, 128]}
    ),
    ("files", "vision tower dropped"): case(
        "gemma3", extra={"vision_tower.encoder.weight": [8, 8], "multi_modal_projector.mm_input_projection_weight": [8, 8]}
    ),
    # Sliding windows.
    ("window", "llama window 8"): case("llama", settings={"layer_types": SLIDING, "sliding_window": 8}),
    ("window", "llama window 8 4-bit"): case(
        "llama", {"bits": 4, "group_size": 64}, {"layer_types": SLIDING, "sliding_window": 8}
    ),
    ("window", "llama window 2"): case("llama", settings={"layer_types": SLIDING, "sliding_window": 2}),
    ("window", "gemma3_text window 31"): case("gemma3_text", settings={"sliding_window": 31}),
    ("window", "gemma3_text window 32"): case("gemma3_text", settings={"sliding_window": 32}),
    ("window", "gemma3_text window 33"): case("gemma3_text", settings={"sliding_window": 33}, tokens=130),
    ("window", "gemma3_text every layer global"): case("gemma3_text", settings={"sliding_window_pattern": 1}),
    ("window", "mistral window without layer types"): case("mistral", settings={"sliding_window": 8}),
    # Rotary embeddings past twice the original length.
    ("rope", "llama3"): case("llama", settings={"rope_scaling": LLAMA3}),
    ("rope", "llama3 wide head"): case("llama", settings={"rope_scaling": LLAMA3, "head_dim": 64}),
    ("rope", "llama3 keys absent"): case("llama", settings={"rope_scaling": {"type": "llama3", "factor": 2.0}}),
    ("rope", "linear"): case("llama", settings={"rope_scaling": LINEAR}),
    ("rope", "linear qwen2"): case("qwen2", settings={"rope_scaling": {"rope_type": "linear", "factor": 3.0}}),
    ("rope", "linear granite"): case("granite", settings={"rope_scaling": LINEAR}),
    ("rope", "default named"): case("llama", settings={"rope_scaling": {"rope_type": "default"}}),
    ("rope", "yarn"): case("llama", settings={"rope_scaling": YARN}),
    ("rope", "yarn betas"): case("qwen2", settings={"rope_scaling": {**YARN, "beta_fast": 4, "beta_slow": 0.5}, "rope_theta": 1000.0}),
    ("rope", "yarn mscale"): case("olmo2", settings={"rope_scaling": {**YARN, "mscale": 0.7, "mscale_all_dim": 0.3}}),
    ("rope", "yarn qwen3"): case("qwen3", settings={"rope_scaling": YARN}),
    ("rope", "yarn mistral"): case("mistral", settings={"rope_scaling": {**YARN, "type": "yarn"}}),
    ("rope", "longrope llama"): case(
        "llama", settings={"rope_scaling": longrope(32, original_max_position_embeddings=32), "max_position_embeddings": 256}
    ),
    ("rope", "longrope phi3"): case("phi3", settings={"rope_scaling": longrope(32), **PHI3_LONG}),
    ("rope", "longrope phi3 4-bit"): case(
        "phi3", {"bits": 4, "group_size": 64}, {"rope_scaling": longrope(32), **PHI3_LONG}
    ),
    ("rope", "su phi3, same length"): case(
        "phi3", settings={"rope_scaling": {**longrope(32), "type": "su"}, "max_position_embeddings": 96, "original_max_position_embeddings": 96}
    ),
    ("rope", "longrope phi3 partial"): case(
        "phi3", settings={"rope_scaling": longrope(24), "partial_rotary_factor": 0.75, **PHI3_LONG}
    ),
    ("rope", "linear phi3"): case("phi3", settings={"rope_scaling": {**longrope(32), "type": "linear", "factor": 2.0}}),
    ("rope", "unknown kind on phi3"): case("phi3", settings={"rope_scaling": {**longrope(32), "type": "yarn"}}),
    ("rope", "dynamic below its length"): case("llama", settings={"rope_scaling": DYNAMIC}),
    ("rope", "gemma3_text linear"): case("gemma3_text", settings={"rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    ("rope", "qwen3 rope_parameters"): case(
        "qwen3", settings={"rope_theta": None, "rope_parameters": {"rope_theta": 20000.0, **YARN}}
    ),
    ("rope", "partial phi3"): case("phi3", settings={"partial_rotary_factor": 0.5}),
    ("rope", "partial phi3 traditional"): case("phi3", settings={"partial_rotary_factor": 0.75, "rope_traditional": True}),
    **{
        ("rope", f"traditional {name}"): case(name, settings={"rope_traditional": True})
        for name in ("llama", "qwen2", "gemma", "gemma2", "olmo2", "smollm3")
    },
    ("rope", "traditional llama3"): case("llama", settings={"rope_scaling": LLAMA3, "rope_traditional": True}),
    ("rope", "traditional yarn"): case("llama", settings={"rope_scaling": YARN, "rope_traditional": True}),
    # Shapes, biases and defaults.
    ("shapes", "llama all biases"): case("llama", settings={"attention_bias": True, "mlp_bias": True}),
    ("shapes", "llama all biases 4-bit"): case(
        "llama", {"bits": 4, "group_size": 64}, {"attention_bias": True, "mlp_bias": True}
    ),
    ("shapes", "granite all biases"): case("granite", settings={"attention_bias": True, "mlp_bias": True}),
    ("shapes", "olmo2 attention bias"): case("olmo2", settings={"attention_bias": True}),
    ("shapes", "smollm3 attention bias"): case("smollm3", settings={"attention_bias": True, "mlp_bias": True}),
    ("shapes", "smollm3 explicit layers"): case("smollm3", settings={"no_rope_layers": [0, 1, 1, 0]}),
    ("shapes", "smollm3 interval 2"): case("smollm3", settings={"no_rope_layer_interval": 2}),
    ("shapes", "llama head 48"): case("llama", {"bits": 4, "group_size": 32}, {"head_dim": 48}),
    ("shapes", "llama head 80"): case("llama", settings={"head_dim": 80}),
    ("shapes", "olmo2 head 64"): case("olmo2", settings={"head_dim": 64}),
    ("shapes", "odd sizes"): case(
        "llama",
        settings={"hidden_size": 72, "intermediate_size": 100, "vocab_size": 131, "num_attention_heads": 3, "num_key_value_heads": 3},
    ),
    ("shapes", "odd rows 4-bit"): case("llama", {"bits": 4, "group_size": 32}, {"vocab_size": 131, "intermediate_size": 224}),
    ("shapes", "one layer, seven query heads to one"): case(
        "qwen2", settings={"hidden_size": 224, "num_attention_heads": 7, "num_key_value_heads": 1, "num_hidden_layers": 1}
    ),
    **{
        ("shapes", f"{name} without key heads"): case(name, settings={"num_key_value_heads": None})
        for name in ("llama", "phi3", "smollm3", "olmo2")
    },
    ("shapes", "llama theta absent"): case("llama", settings={"rope_theta": None}),
    ("shapes", "qwen2 theta absent"): case("qwen2", settings={"rope_theta": None}),
    ("shapes", "starcoder2 defaults"): case("starcoder2", settings={"rope_theta": None, "norm_epsilon": None}),
    ("shapes", "gemma2 defaults"): case(
        "gemma2",
        settings={"attn_logit_softcapping": None, "final_logit_softcapping": None, "query_pre_attn_scalar": None},
    ),
    ("shapes", "gemma3_text defaults"): case(
        "gemma3_text",
        settings={"rope_theta": None, "rope_local_base_freq": None, "rms_norm_eps": None, "query_pre_attn_scalar": None},
    ),
    ("shapes", "gemma3 default heads"): case(
        "gemma3", settings={"num_attention_heads": None, "num_key_value_heads": None, "head_dim": 32}
    ),
    # Every width and group, on one architecture.
    **{
        ("packing", f"{bits}-bit g{group}"): case("llama", {"bits": bits, "group_size": group})
        for bits in (2, 3, 4, 5, 6, 8)
        for group in (32, 64, 128)
    },
}
