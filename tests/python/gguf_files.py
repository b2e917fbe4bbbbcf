"""GGUF files for the conversion tests, written with the `gguf` package: its tables of names are independent of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from gguf_layouts import FUSED_QKV, OUTPUT_COPY, stored_tensors

#: GGUF names of the architectures, and the `model_type` of each where it differs.
ARCHITECTURES = [
    "llama",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3",
    "phi3",
    "granite",
    "olmo2",
    "starcoder2",
    "smollm3",
    "seed_oss",
    "ernie4_5",
    "minicpm",
    "command-r",
    "cohere2",
    "exaone4",
    "nemotron",
    "glm4",
    "olmo3",
    "apertus",
    "chatglm",
    "deci",
    "exaone",
    "gpt2",
    "gptj",
    "gptneox",
    "hunyuan-dense",
    "internlm2",
    "mistral",
    "mistral3",
    "olmo",
    "openelm",
    "phi2",
    "plamo",
    "qwen",
    "qwen2vl",
    "qwen3vl",
    "stablelm",
    "starcoder",
]
MODEL_TYPES = {
    "chatglm": "glm",
    "command-r": "cohere",
    "deci": "nemotron-nas",
    "gemma3": "gemma3_text",
    "gptneox": "gpt_neox",
    "hunyuan-dense": "hunyuan_v1_dense",
    "mistral3": "ministral3",
    "phi2": "phi",
    "qwen2vl": "qwen2_vl",
    "qwen3vl": "qwen3_vl",
    "starcoder": "gpt_bigcode",
}

#: Architectures with the GGUF name of another one.
GGUF_NAMES = {"olmo3": "olmo2", "mistral": "mistral3"}

#: Name of a case → architecture, changes to the configuration of the checkpoint, and the form of the file.
CASES: dict[str, tuple[str, dict[str, Any], str]] = {name: (name, {}, "") for name in ARCHITECTURES} | {
    "chatglm, fused": ("chatglm", {}, FUSED_QKV),
    "phi2, fused": ("phi2", {}, FUSED_QKV),
    "gpt2, copy": ("gpt2", {}, OUTPUT_COPY),
    "gptneox, serial": ("gptneox", {"use_parallel_residual": False, "rotary_pct": 1.0}, ""),
    "hunyuan-dense, untied": ("hunyuan-dense", {"use_qk_norm": False, "attention_bias": True, "tie_word_embeddings": False}, ""),
    "internlm2, biases": ("internlm2", {"bias": True}, ""),
    "mistral3, plain rope": (
        "mistral3",
        {"rope_parameters": {"rope_theta": 1e4, "llama_4_scaling_beta": 0.3, "original_max_position_embeddings": 7}},
        "",
    ),
    "qwen, biases": ("qwen", {"no_bias": False}, ""),
    "stablelm, parallel": ("stablelm", {"use_parallel_residual": True, "qk_layernorm": True, "use_qkv_bias": True}, ""),
    "starcoder, all heads": ("starcoder", {"multi_query": False, "attention_bias": False, "mlp_bias": False}, ""),
}

#: Types whose values are compared with the `gguf` package's own decoder.
ROUND_TRIPS = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]

#: Whose norms are layer norms.
LAYER_NORMS = {"starcoder2", "nemotron", "command-r", "cohere2", "phi2", "stablelm", "gptneox", "gptj", "gpt2", "starcoder", "exaone", "olmo"}

#: Names of the same key of config.json.
HIDDEN = ("hidden_size", "n_embd", "model_dim", "d_model")
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "num_transformer_layers", "n_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads")
CONTEXT = ("max_position_embeddings", "n_positions", "max_context_length", "max_sequence_length")
EPSILONS = ("norm_epsilon", "norm_eps", "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps")

#: Scaling that the package can only state as factors.
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def settings(architecture: str, config: dict[str, Any]) -> dict[str, Any]:
    """The changes to a test configuration that let GGUF hold it: the scale of queries is implied by the head."""
    if architecture in ("gemma2", "gemma3"):
        return {"query_pre_attn_scalar": head_dim(config)}
    if architecture == "cohere2":
        return {"sliding_window_pattern": 4}
    if architecture == "deci":
        blocks = json.loads(json.dumps(config["block_configs"]))
        # There is no name for a linear layer in place of an MLP.
        blocks[2]["ffn"] = {"ffn_mult": 1.0}
        return {"block_configs": blocks, "rope_scaling": LLAMA3}
    if architecture == "olmo":
        # A token for each row.
        return {"vocab_size": config["embedding_size"]}
    if architecture == "plamo":
        # With two heads that read two heads each, the order would be its own inverse.
        return {"num_attention_heads": 8}
    return {"n_inner": 4 * config["n_embd"]} if architecture == "starcoder" else {}


def head_dim(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or _first(config, *HIDDEN) // _first(config, *HEADS))


def _first(config: dict[str, Any], *keys: str) -> Any:
    """The value of the first key that the configuration has."""
    return next(config[key] for key in keys if key in config)


def write(source: Path, path: Path, architecture: str, form: str = "") -> None:
    """The float32 checkpoint in `source` as a GGUF file."""
    from safetensors.numpy import load_file

    config = json.loads((source / "config.json").read_text())
    config = config.get("text_config", config)
    arrays = load_file(source / "model.safetensors")
    name_in_gguf = GGUF_NAMES.get(architecture, architecture)
    writer = gguf.GGUFWriter(path, name_in_gguf)
    _add_metadata(writer, architecture, config)
    _add_word_tokenizer(writer, config["vocab_size"])
    if architecture in ("deci", "openelm"):
        _add_sizes_of_layers(writer, architecture, config, arrays)
    if architecture == "apertus":
        _add_xielu(writer, config["num_hidden_layers"], arrays)
    layers = _first(config, *LAYERS)
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(numbers[name_in_gguf], layers)
    for name, array in stored_tensors(architecture, config, arrays, form):
        mapped = name if name.startswith("blk.") else names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert mapped, f"{architecture} has no {name}"
        writer.add_tensor(mapped, np.ascontiguousarray(array))
    if config.get("rope_scaling") == LLAMA3:
        writer.add_tensor("rope_freqs.weight", _llama3_factors(head_dim(config), config["rope_theta"]))
    _finish(writer)


def _add_metadata(writer: gguf.GGUFWriter, architecture: str, config: dict[str, Any]) -> None:
    hidden = _first(config, *HIDDEN)
    writer.add_context_length(_first(config, *CONTEXT))
    writer.add_embedding_length(hidden)
    writer.add_block_count(_first(config, *LAYERS))
    if architecture not in ("deci", "openelm"):
        heads = _first(config, *HEADS)
        of_gate_and_up = config.get("mlp_hidden_size", 8 * hidden)
        writer.add_feed_forward_length(config.get("intermediate_size") or of_gate_and_up // 2)
        writer.add_head_count(heads)
        if architecture == "starcoder":
            writer.add_head_count_kv(1 if config.get("multi_query", True) else heads)
        elif architecture == "plamo":
            writer.add_head_count_kv(heads // config["n_shared_head"])
        elif "num_key_value_heads" in config:
            writer.add_head_count_kv(config["num_key_value_heads"])
    if theta := config.get("rope_theta") or config.get("rope_freq_constant"):
        if architecture == "hunyuan-dense":
            theta *= config["rope_scaling"]["alpha"] ** (head_dim(config) / (head_dim(config) - 2))
            writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
            writer.add_rope_scaling_factor(1)
        writer.add_rope_freq_base(theta)
    if "head_dim" in config or architecture == "deci":
        writer.add_key_length(head_dim(config))
        writer.add_value_length(head_dim(config))
    epsilon = 1e-5 if architecture == "olmo" else _first(config, *EPSILONS)
    if architecture in LAYER_NORMS:
        writer.add_layer_norm_eps(epsilon)
    else:
        writer.add_layer_norm_rms_eps(epsilon)
    if architecture == "phi3":
        rotated = int(head_dim(config) * config.get("partial_rotary_factor", 1.0))
        writer.add_rope_dimension_count(rotated)
        writer.add_rope_scaling_orig_ctx_len(config["original_max_position_embeddings"])
    if architecture == "granite":
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if architecture == "gemma3":
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern(config["sliding_window_pattern"])
    if architecture == "minicpm":
        writer.add_embedding_scale(config["scale_emb"])
        writer.add_residual_scale(config["scale_depth"] / config["num_hidden_layers"] ** 0.5)
        writer.add_logit_scale(config["hidden_size"] / config["dim_model_base"])
    if architecture in ("command-r", "cohere2"):
        writer.add_logit_scale(config["logit_scale"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    if architecture == "cohere2":
        writer.add_sliding_window(config["sliding_window"])
    if architecture in ("nemotron", "glm4", "chatglm", "phi2", "stablelm", "gptneox"):
        writer.add_rope_dimension_count(int(head_dim(config) * _first(config, "partial_rotary_factor", "rotary_pct")))
    if architecture == "gptj":
        writer.add_rope_dimension_count(config["rotary_dim"])
    if architecture in ("stablelm", "gptneox"):
        # StableLM has it even without the key, but only of its layers.
        writer.add_parallel_residual(config.get("use_parallel_residual", True))
    if architecture == "qwen2vl":
        writer.add_rope_dimension_sections([*config["rope_scaling"]["mrope_section"], 0])
    if architecture == "mistral3":
        _add_ministral3(writer, config["rope_parameters"])
    if architecture == "exaone4":
        layers, pattern = config["num_hidden_layers"], config["sliding_window_pattern"]
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern([pattern[i % len(pattern)] == "L" for i in range(layers)])
    if architecture == "olmo3":
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern([(i + 1) % 4 != 0 for i in range(config["num_hidden_layers"])])


def _add_ministral3(writer: gguf.GGUFWriter, rope: dict[str, Any]) -> None:
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope.get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])


def _add_sizes_of_layers(writer: gguf.GGUFWriter, architecture: str, config: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Heads and MLP widths as arrays; 0 for what a layer does not have."""
    if architecture == "openelm":
        writer.add_head_count(config["num_query_heads"])
        writer.add_head_count_kv(config["num_kv_heads"])
        layers = range(config["num_transformer_layers"])
        writer.add_feed_forward_length([arrays[f"transformer.layers.{i}.ffn.proj_2.weight"].shape[1] for i in layers])
        return
    heads = config["num_attention_heads"]
    attention = [block["attention"] for block in config["block_configs"]]
    writer.add_head_count([0 if block.get("no_op") else heads for block in attention])
    writer.add_head_count_kv([heads // block["n_heads_in_group"] if "n_heads_in_group" in block else 0 for block in attention])
    downs = [arrays.get(f"model.layers.{i}.mlp.down_proj.weight") for i in range(len(attention))]
    writer.add_feed_forward_length([0 if down is None else down.shape[1] for down in downs])


def _add_xielu(writer: gguf.GGUFWriter, layers: int, arrays: dict[str, np.ndarray]) -> None:
    def values(leaf: str) -> list[float]:
        return [float(arrays[f"model.layers.{i}.mlp.act_fn.{leaf}"]) for i in range(layers)]

    writer.add_xielu_alpha_p(values("alpha_p"))
    writer.add_xielu_alpha_n(values("alpha_n"))
    writer.add_xielu_beta(values("beta"))
    writer.add_xielu_eps(values("eps"))


def _llama3_factors(dims: int, theta: float) -> np.ndarray:
    """What the wavelength of each frequency is multiplied with."""
    wavelengths = 2 * np.pi * theta ** (np.arange(0, dims, 2) / dims)
    rotations = LLAMA3["original_max_position_embeddings"] / wavelengths
    low, high, factor = LLAMA3["low_freq_factor"], LLAMA3["high_freq_factor"], LLAMA3["factor"]
    kept = np.clip((rotations - low) / (high - low), 0, 1)
    return (1 / ((1 - kept) / factor + kept)).astype(np.float32)


def _add_word_tokenizer(writer: gguf.GGUFWriter, size: int) -> None:
    """The least that is a byte-level tokenizer. Tokens of letters would have to be encoded from them."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list((["a", "b", "ab"] + [f"[{i}]" for i in range(size)])[:size])
    writer.add_token_types([gguf.TokenType.NORMAL] * size)
    writer.add_token_merges(["a b"])


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tiny(path: Path) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "llama")
    config = {
        "max_position_embeddings": 64,
        "hidden_size": 256,
        "num_hidden_layers": 1,
        "intermediate_size": 256,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5,
    }
    _add_metadata(writer, "llama", config)
    return writer


def _add_layer(writer: gguf.GGUFWriter) -> None:
    """All tensors of the model of `_tiny` but its embedding."""
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(256, dtype=np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((256, 256), dtype=np.float32))


def write_one_matrix(path: Path, kind: str) -> np.ndarray:
    """A model with an embedding of random blocks; returns its values."""
    rows, columns = 8, 256
    number = gguf.GGMLQuantizationType[kind]
    values, size = gguf.GGML_QUANT_SIZES[number]
    data = np.random.default_rng(0).integers(0, 256, (rows, columns // values * size), dtype=np.uint8)
    if kind == "MXFP4":
        data[:, ::size] = 100 + data[:, ::size] % 50
    else:
        # No half-precision number in a block is infinite.
        data[:, 1::2] &= 0xBF
    writer = _tiny(path)
    _add_word_tokenizer(writer, rows)
    if kind in ("F16", "BF16"):
        writer.add_tensor("token_embd.weight", data, raw_shape=data.shape, raw_dtype=number)
    else:
        writer.add_tensor("token_embd.weight", data, raw_dtype=number)
    _add_layer(writer)
    _finish(writer)
    return gguf.quants.dequantize(data, number)


def write_sentencepiece(path: Path, tokenizer: Any) -> None:
    """A model with the vocabulary of a SentencePiece model."""
    kinds = {
        gguf.TokenType.UNKNOWN: tokenizer.is_unknown,
        gguf.TokenType.CONTROL: tokenizer.is_control,
        gguf.TokenType.BYTE: tokenizer.is_byte,
        gguf.TokenType.UNUSED: tokenizer.is_unused,
    }
    size = tokenizer.get_piece_size()
    writer = _tiny(path)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([tokenizer.id_to_piece(i) for i in range(size)])
    writer.add_token_scores([tokenizer.get_score(i) for i in range(size)])
    writer.add_token_types([next((kind for kind, holds in kinds.items() if holds(i)), gguf.TokenType.NORMAL) for i in range(size)])
    writer.add_bos_token_id(tokenizer.bos_id())
    writer.add_eos_token_id(tokenizer.eos_id())
    writer.add_tensor("token_embd.weight", np.zeros((size, 256), dtype=np.float32))
    _add_layer(writer)
    _finish(writer)
