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
        ["*embed*", {"bits": 8, "group_size": 64}],
        # Other names of the same.
        ["*.0.attention.wo", False],
        ["*.0.feed_forward.*", {"bits": 8}],
        ["*.wqkv", {"group_size": 64}],
        ["*.0.attn.*", {"bits": 8}],
        ["*.1.attn.*", {"bits": 3, "group_size": 128, "mode": "affine"}],
        ["*.0.attention.dense", False],
        ["*.1.attention.*", {"bits": 3, "group_size": 128, "mode": "affine"}],
        ["*.h.0.mlp.*", {"bits": 8}],
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


#: mlx-lm keeps a token less in the cache of a window than it sees in one pass.
DEPENDS_ON_CHUNKS = ("plamo3",)

#: mlx-lm adds a mask that is a string to the scores of more than one token.
TOKEN_BY_TOKEN = ("olmo",)


def case(architecture: str, quantize: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **rest: Any) -> Case:
    built: Case = {"config": config(architecture, **(settings or {})), **rest}
    if architecture in DEPENDS_ON_CHUNKS:
        built["depends_on_chunks"] = True
    if architecture in TOKEN_BY_TOKEN:
        built["token_by_token"] = True
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
#: Extends to the length of the prompt, so that the planned context is what mlx-lm computes the base from in one pass.
DYNAMIC_PAST = {"max_position_embeddings": 32, "rope_scaling": {"type": "dynamic", "rope_type": "dynamic", "factor": 2.5}}
MINISTRAL3 = config("ministral3")["rope_parameters"]
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
    **{
        ("tying", f"{name} tied"): case(name, settings={"tie_word_embeddings": True})
        for name in ("helium", "internlm2", "seed_oss")
    },
    ("tying", "minicpm key absent"): case("minicpm", settings={"tie_word_embeddings": None}),
    ("tying", "exaone untied"): case("exaone", settings={"tie_word_embeddings": False}),
    ("tying", "glm key absent"): case("glm", settings={"tie_word_embeddings": None}),
    ("tying", "nemotron tied"): case("nemotron", settings={"tie_word_embeddings": True}),
    ("tying", "gpt_bigcode untied"): case("gpt_bigcode", settings={"tie_word_embeddings": False}),
    ("tying", "starcoder2 untied"): case("starcoder2", settings={"tie_word_embeddings": False}),
    # Files.
    ("files", "two shards, wrong index"): case("llama", shards=2),
    ("files", "three shards 4-bit"): case("qwen3", {"bits": 4, "group_size": 64}, shards=3),
    ("files", "inv_freq dropped"): case("llama", extra={"model.layers.0.self_attn.rotary_emb.inv_freq": [16]}),
    ("files", "internlm2 inv_freq dropped"): case("internlm2", extra={"model.layers.0.attention.rope.inv_freq": [16]}),
    ("files", "mimo mtp_layers dropped"): case("mimo", extra={"model.mtp_layers.0.input_proj.weight": [8, 8]}),
    ("files", "gpt2 unconverted"): case("gpt2", unconverted=True, extra={"h.0.attn.bias": [1, 1, 4, 4]}),
    ("files", "gptj unconverted"): case(
        "gptj", unconverted=True, extra={"transformer.h.0.attn.bias": [1, 1, 4, 4], "transformer.h.0.attn.masked_bias": [1]}
    ),
    ("files", "gpt_neox unconverted"): case(
        "gpt_neox",
        unconverted=True,
        extra={"gpt_neox.layers.0.attention.bias": [1, 1, 4, 4], "gpt_neox.layers.0.attention.rotary_emb.inv_freq": [4]},
    ),
    ("files", "apertus unconverted"): case("apertus", unconverted=True),
    ("files", "spare lm_head dropped"): case(
        "llama", settings={"tie_word_embeddings": True}, extra={"lm_head.weight": [320, 128]}
    ),
    ("files", "vision tower dropped"): case(
        "gemma3", extra={"vision_tower.encoder.weight": [8, 8], "multi_modal_projector.mm_input_projection_weight": [8, 8]}
    ),
    **{
        ("files", f"{name} {part} dropped"): case(name, extra={f"{part}.blocks.0.weight": [8, 8]})
        for name, part in {
            "mistral3": "vision_tower",
            "pixtral": "vision_tower",
            "qwen2_vl": "visual",
            "qwen3_vl": "vision_tower",
        }.items()
    },
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
    ("window", "exaone4 without pattern"): case("exaone4", settings={"sliding_window_pattern": ""}),
    ("window", "olmo3 explicit layers"): case(
        "olmo3", settings={"layer_types": ["full_attention", *SLIDING], "sliding_window": 33, "rope_scaling": YARN}
    ),
    ("window", "cohere2 window 33, biases"): case(
        "cohere2", settings={"sliding_window": 33, "attention_bias": True, "layer_norm_bias": True}
    ),
    ("window", "spark2_5 explicit layers, biases"): case(
        "spark2_5",
        settings={
            "layer_types": ["full_attention", *SLIDING],
            "attention_bias": True,
            "mlp_bias": True,
            "tie_word_embeddings": False,
        },
    ),
    ("window", "ministral3 window 8"): case("ministral3", settings={"layer_types": SLIDING, "sliding_window": 8}),
    ("window", "mistral3 window 8"): case("mistral3", settings={"layer_types": SLIDING, "sliding_window": 8}),
    ("window", "plamo3 both keys"): case("plamo3", settings={"sliding_window": 33}),
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
    **{
        ("rope", f"dynamic past its length {name}"): case(name, settings=DYNAMIC_PAST, context_length=80, depends_on_chunks=True)
        for name in ("internlm2", "internlm3")
    },
    ("rope", "llama3 apertus"): case(
        "apertus", settings={"rope_scaling": LLAMA3, "rope_traditional": True, "mlp_bias": True, "tie_word_embeddings": True}
    ),
    ("rope", "linear nemotron"): case("nemotron", settings={"rope_scaling": LINEAR, "partial_rotary_factor": None, "head_dim": 64}),
    ("rope", "whole heads gptj"): case("gptj", settings={"rotary_dim": 0}),
    ("rope", "yarn nanbeige"): case("nanbeige", settings={"rope_scaling": YARN, "loop_loss_weights": [0.1, 0.2]}),
    ("rope", "telechat3-yarn"): case("telechat3", settings={"rope_scaling": {**YARN, "rope_type": "telechat3-yarn"}}),
    ("rope", "yarn exaone4"): case("exaone4", settings={"rope_scaling": YARN}),
    ("rope", "yarn olmo3"): case("olmo3", settings={"rope_scaling": YARN}),
    ("rope", "glm4 on halves"): case("glm4", settings={"rope_traditional": False, "partial_rotary_factor": 0.75}),
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
    ("rope", "hunyuan_v1_dense without scaling"): case("hunyuan_v1_dense", settings={"rope_scaling": None, "rope_theta": None}),
    ("rope", "ministral3 shorter than its original length"): case(
        "ministral3", settings={"rope_parameters": {**MINISTRAL3, "original_max_position_embeddings": 100}}
    ),
    ("rope", "ministral3 without yarn"): case(
        "ministral3",
        settings={"rope_parameters": {"rope_theta": 1e4, "llama_4_scaling_beta": 0.3, "original_max_position_embeddings": 7}},
    ),
    # Text models of other types than that of the small configuration.
    ("text", "mistral3 with a llama"): {
        "config": config("pixtral") | {"model_type": "mistral3"},
    },
    ("text", "mistral3 with a llama, tied 4-bit"): {
        "config": config("pixtral", tie_word_embeddings=True) | {"model_type": "mistral3"},
        "quantize": {"bits": 4, "group_size": 64},
    },
    ("text", "qwen2_vl nested"): {"config": {"model_type": "qwen2_5_vl", "text_config": config("qwen2_vl")}},
    ("text", "qwen2_vl tied by default"): case("qwen2_vl", settings={"tie_word_embeddings": None}),
    ("text", "qwen3_vl flat"): {"config": config("qwen3_vl")["text_config"] | {"model_type": "qwen3_vl"}},
    ("text", "pixtral default heads"): case("pixtral", settings={"num_attention_heads": None, "head_dim": 16}),
    # Shapes, biases and defaults.
    ("shapes", "stablelm biases"): case("stablelm", settings={"use_qkv_bias": True}),
    ("shapes", "stablelm parallel, qk norms"): case("stablelm", settings={"use_parallel_residual": True, "qk_layernorm": True}),
    ("shapes", "stablelm qk norms 4-bit"): case("stablelm", {"bits": 4, "group_size": 64}, {"qk_layernorm": True}),
    ("shapes", "hunyuan_v1_dense without norms, biases, untied"): case(
        "hunyuan_v1_dense",
        settings={"use_qk_norm": False, "attention_bias": True, "head_dim": None, "tie_word_embeddings": None},
    ),
    ("shapes", "openelm without norms, untied"): case(
        "openelm",
        settings={"normalize_qk_projections": False, "share_input_output_layers": False, "rope_freq_constant": None, "rms_norm_eps": None},
    ),
    ("shapes", "nemotron-nas biases, tied, gelu_new"): case(
        "nemotron-nas",
        {"bits": 4, "group_size": 64},
        {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True, "hidden_act": "gelu_new"},
    ),
    ("shapes", "nemotron-nas defaults"): case(
        "nemotron-nas", settings={"rms_norm_eps": None, "rope_theta": None, "rope_scaling": None, "tie_word_embeddings": None}
    ),
    ("shapes", "plamo3 defaults"): case(
        "plamo3", settings={"rms_norm_eps": None, "rope_theta": None, "rope_local_theta": None, "tie_word_embeddings": None}
    ),
    ("shapes", "llama all biases"): case("llama", settings={"attention_bias": True, "mlp_bias": True}),
    ("shapes", "llama all biases 4-bit"): case(
        "llama", {"bits": 4, "group_size": 64}, {"attention_bias": True, "mlp_bias": True}
    ),
    ("shapes", "granite all biases"): case("granite", settings={"attention_bias": True, "mlp_bias": True}),
    **{
        ("shapes", f"{name} biases"): case(name, settings=biases)
        for name, biases in {
            "ernie4_5": {"use_bias": True},
            "exaone": {"attention_bias": True, "mlp_bias": True},
            "helium": {"attention_bias": True, "mlp_bias": True},
            "internlm2": {"bias": None},
            "internlm3": {"qkv_bias": True, "bias": True},
            "olmo3": {"attention_bias": True},
            "qwen": {"no_bias": False},
            "seed_oss": {"attention_bias": False, "attention_out_bias": True, "mlp_bias": True},
            "telechat3": {"attention_bias": True, "mlp_bias": True},
        }.items()
    },
    ("shapes", "internlm2 biases 4-bit"): case("internlm2", {"bits": 4, "group_size": 64}, {"bias": True}),
    ("shapes", "glm without biases"): case("glm", settings={"attention_bias": None}),
    ("shapes", "lille-130m width of the MLP rounded half to even"): case("lille-130m", settings={"n_embd": 240}),
    ("shapes", "cohere defaults, biases"): case(
        "cohere",
        settings={
            "use_qk_norm": None,
            "logit_scale": None,
            "rope_theta": None,
            "layer_norm_eps": None,
            "attention_bias": True,
            "layer_norm_bias": True,
        },
    ),
    ("shapes", "cohere2 defaults"): case(
        "cohere2", settings={"logit_scale": None, "rope_theta": None, "layer_norm_eps": None, "sliding_window_pattern": None}
    ),
    ("shapes", "gpt_neox serial"): case("gpt_neox", settings={"use_parallel_residual": False, "rotary_pct": 1.0}),
    ("shapes", "phi defaults"): case(
        "phi", settings={"partial_rotary_factor": None, "rope_theta": None, "layer_norm_eps": None}
    ),
    ("shapes", "plamo four key heads"): case(
        "plamo", {"bits": 4, "group_size": 32}, {"num_attention_heads": 8, "rope_traditional": True}
    ),
    ("shapes", "nemotron biases"): case("nemotron", settings={"attention_bias": True, "mlp_bias": True}),
    ("shapes", "gpt_bigcode without biases, all heads"): case(
        "gpt_bigcode", settings={"multi_query": False, "attention_bias": False, "mlp_bias": False}
    ),
    ("shapes", "nanbeige norm at the end, biases"): case(
        "nanbeige",
        settings={"skip_loop_final_norm": True, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": None},
    ),
    ("shapes", "olmo tied, traditional rope, width of the MLP by ratio"): {
        "config": config("olmo", weight_tying=True, rope_traditional=True, rope_theta=None, embedding_size=300)
        | {"mlp_hidden_size": None},
        "token_by_token": True,
    },
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
        for name in ("llama", "phi3", "smollm3", "olmo2", "olmo3", "internlm2")
    },
    ("shapes", "llama theta absent"): case("llama", settings={"rope_theta": None}),
    ("shapes", "qwen2 theta absent"): case("qwen2", settings={"rope_theta": None}),
    ("shapes", "minicpm theta absent"): case("minicpm", settings={"rope_theta": None}),
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
