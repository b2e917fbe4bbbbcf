"""GGUF files for the conversion tests, written with the `gguf` package: its tables of names are independent of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

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
]
MODEL_TYPES = {"gemma3": "gemma3_text", "command-r": "cohere"}

#: Architectures with the GGUF name of another one.
GGUF_NAMES = {"olmo3": "olmo2"}

#: Whose norms are stored with one added.
NORM_PLUS_ONE = {"gemma", "gemma2", "gemma3", "nemotron"}

#: Types whose values are compared with the `gguf` package's own decoder.
ROUND_TRIPS = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]

ROTARY_PAIRS = {"llama", "granite", "smollm3", "minicpm"}


def settings(architecture: str, config: dict[str, Any]) -> dict[str, Any]:
    """The changes to a test configuration that let GGUF hold it: the scale of queries is implied by the head."""
    if architecture in ("gemma2", "gemma3"):
        return {"query_pre_attn_scalar": head_dim(config)}
    return {"sliding_window_pattern": 4} if architecture == "cohere2" else {}


def head_dim(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def write(source: Path, path: Path, architecture: str) -> None:
    """The float32 checkpoint in `source` as a GGUF file."""
    from safetensors.numpy import load_file

    config = json.loads((source / "config.json").read_text())
    name_in_gguf = GGUF_NAMES.get(architecture, architecture)
    writer = gguf.GGUFWriter(path, name_in_gguf)
    _add_metadata(writer, architecture, config)
    _add_word_tokenizer(writer, config["vocab_size"])
    layers = config["num_hidden_layers"]
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(numbers[name_in_gguf], layers)
    for name, array in load_file(source / "model.safetensors").items():
        if name.endswith("norm.weight") and architecture in NORM_PLUS_ONE:
            array = array + np.float32(1)
        if architecture in ROTARY_PAIRS and ".self_attn.q_proj." in name:
            array = _rotary_pairs(array, config["num_attention_heads"])
        if architecture in ROTARY_PAIRS and ".self_attn.k_proj." in name:
            array = _rotary_pairs(array, config["num_key_value_heads"])
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert mapped, f"{architecture} has no {name}"
        writer.add_tensor(mapped, np.ascontiguousarray(array))
    _finish(writer)


def _rotary_pairs(array: np.ndarray, heads: int) -> np.ndarray:
    """Each head's halves interleaved, as llama.cpp stores what it rotates in pairs."""
    halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)


def _add_metadata(writer: gguf.GGUFWriter, architecture: str, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    if "rope_theta" in config:
        writer.add_rope_freq_base(config["rope_theta"])
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if epsilon := config.get("norm_epsilon") or config.get("norm_eps") or config.get("layer_norm_eps"):
        writer.add_layer_norm_eps(epsilon)
    else:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
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
    if architecture in ("nemotron", "glm4"):
        writer.add_rope_dimension_count(int(head_dim(config) * config["partial_rotary_factor"]))
    if architecture == "exaone4":
        layers, pattern = config["num_hidden_layers"], config["sliding_window_pattern"]
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern([pattern[i % len(pattern)] == "L" for i in range(layers)])
    if architecture == "olmo3":
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern([(i + 1) % 4 != 0 for i in range(config["num_hidden_layers"])])


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
