"""How llama.cpp stores the tensors of a checkpoint: under which names, in which order of rows, in how many tensors."""

from __future__ import annotations

import re
from typing import Any, Iterator

import gguf
import numpy as np

#: Whose norms are stored with one added.
NORM_PLUS_ONE = {"gemma", "gemma2", "gemma3", "nemotron"}

#: Whose heads of queries and keys are rotated in pairs.
ROTARY_PAIRS = {"llama", "granite", "smollm3", "minicpm", "mistral", "mistral3", "deci"}

#: Files that were made with older versions of llama.cpp, in which queries, keys and values are one tensor, or the embedding is
#: also the output layer.
FUSED_QKV = "queries, keys and values in one tensor"
OUTPUT_COPY = "a copy of the embedding as the output layer"

#: MLX's names at the start of a name, and those of the checkpoints that llama.cpp converts.
PREFIXES = {
    "gpt2": {"model.": ""},
    "gptj": {"model.": "transformer."},
    "gptneox": {"model.h.": "gpt_neox.layers.", "model.embed_out": "embed_out", "model.": "gpt_neox."},
    "qwen2vl": {"language_model.": ""},
    "qwen3vl": {"language_model.": ""},
}

Tensors = Iterator[tuple[str, np.ndarray]]


def stored_tensors(architecture: str, config: dict[str, Any], arrays: dict[str, np.ndarray], form: str) -> Tensors:
    """The names in the original checkpoint, or those in the file (`blk.…`), and the arrays to store."""
    if architecture in SPLITS:
        split = SPLITS[architecture]
        arrays = dict(stored for name, array in arrays.items() for stored in split(name, array, config))
    if architecture == "stablelm":
        arrays = _stacked_norms(arrays)
    if form == FUSED_QKV:
        arrays = _fused_qkv(arrays)
    for name, array in arrays.items():
        if ".act_fn." in name:
            # They are part of the metadata.
            continue
        if name.endswith("norm.weight") and architecture in NORM_PLUS_ONE:
            array = array + np.float32(1)
        if architecture in ROTARY_PAIRS and ".self_attn.q_proj." in name:
            array = rotary_pairs(array, config["num_attention_heads"])
        if architecture in ROTARY_PAIRS and ".self_attn.k_proj." in name:
            array = rotary_pairs(array, _key_value_heads(config, name))
        for ours, theirs in PREFIXES.get(architecture, {}).items():
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
                break
        yield name.replace("self_attn.linear.", "self_attn.linear_attn."), array
        if form == OUTPUT_COPY and name == "wte.weight":
            yield "lm_head.weight", array


def rotary_pairs(array: np.ndarray, heads: int) -> np.ndarray:
    """Each head's halves interleaved, as llama.cpp stores what it rotates in pairs."""
    halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
    return halves.swapaxes(1, 2).reshape(array.shape)


def _key_value_heads(config: dict[str, Any], name: str) -> int:
    if "block_configs" not in config:
        return int(config["num_key_value_heads"])
    block = config["block_configs"][_layer(name)]
    return int(config["num_attention_heads"] // block["attention"]["n_heads_in_group"])


def _layer(name: str) -> int:
    found = re.search(r"\.(\d+)\.", name)
    assert found, name
    return int(found[1])


def _in_block(name: str, tensor: gguf.MODEL_TENSOR) -> str:
    """The name of a tensor in the block of `name`."""
    return f"{gguf.TENSOR_NAMES[tensor].format(bid=_layer(name))}.{name.rpartition('.')[2]}"


def _split_internlm2(name: str, array: np.ndarray, config: dict[str, Any]) -> Tensors:
    """Queries, keys and values, which the checkpoint has by key and value head."""
    if ".wqkv." not in name:
        yield name, array
        return
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    width = array.shape[0] // (heads + 2 * groups)
    by_group = array.reshape(groups, heads // groups + 2, width, *array.shape[1:])

    def flat(part: np.ndarray) -> np.ndarray:
        return part.reshape(-1, *array.shape[1:])

    yield _in_block(name, gguf.MODEL_TENSOR.ATTN_Q), rotary_pairs(flat(by_group[:, :-2]), heads)
    yield _in_block(name, gguf.MODEL_TENSOR.ATTN_K), rotary_pairs(flat(by_group[:, -2]), groups)
    yield _in_block(name, gguf.MODEL_TENSOR.ATTN_V), flat(by_group[:, -1])


def _split_gptneox(name: str, array: np.ndarray, config: dict[str, Any]) -> Tensors:
    """All queries, then all keys, then all values, which the checkpoint has by head."""
    if ".query_key_value." in name:
        heads = config["num_attention_heads"]
        by_head = array.reshape(heads, 3, array.shape[0] // heads // 3, *array.shape[1:])
        array = by_head.swapaxes(0, 1).reshape(array.shape)
    yield name, array


def _split_openelm(name: str, array: np.ndarray, _config: dict[str, Any]) -> Tensors:
    """The gate of the MLP and its other input."""
    if ".ffn.proj_1." not in name:
        yield name, array
        return
    gate, up = np.split(array, 2)
    yield _in_block(name, gguf.MODEL_TENSOR.FFN_GATE), gate
    yield _in_block(name, gguf.MODEL_TENSOR.FFN_UP), up


def _split_olmo(name: str, array: np.ndarray, config: dict[str, Any]) -> Tensors:
    """Queries, keys and values, and the MLP's gate, which comes after its other input in the checkpoint."""
    if ".att_proj." in name:
        queries, keys, values = np.split(array, 3)
        yield _in_block(name, gguf.MODEL_TENSOR.ATTN_Q), rotary_pairs(queries, config["n_heads"])
        yield _in_block(name, gguf.MODEL_TENSOR.ATTN_K), rotary_pairs(keys, config["n_heads"])
        yield _in_block(name, gguf.MODEL_TENSOR.ATTN_V), values
    elif ".ff_proj." in name:
        up, gate = np.split(array, 2)
        yield _in_block(name, gguf.MODEL_TENSOR.FFN_UP), up
        yield _in_block(name, gguf.MODEL_TENSOR.FFN_GATE), gate
    else:
        yield name, array


def _split_plamo(name: str, array: np.ndarray, config: dict[str, Any]) -> Tensors:
    """Query heads that read the same key and value head next to each other."""
    heads, shared = config["num_attention_heads"], config["n_shared_head"]
    if ".q_proj." in name:
        by_head = array.reshape(shared, heads // shared, array.shape[0] // heads, array.shape[1])
        array = by_head.swapaxes(0, 1).reshape(array.shape)
    if ".o_proj." in name:
        by_head = array.reshape(array.shape[0], shared, heads // shared, array.shape[1] // heads)
        array = by_head.swapaxes(1, 2).reshape(array.shape)
    yield name, array


SPLITS = {
    "gptneox": _split_gptneox,
    "internlm2": _split_internlm2,
    "olmo": _split_olmo,
    "openelm": _split_openelm,
    "plamo": _split_plamo,
}


def _stacked_norms(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The norms of all heads as one tensor."""
    stacked: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if ".norms." not in name:
            stacked[name] = array
            continue
        start = name.rpartition(".norms.")[0]
        heads = sum(other.startswith(f"{start}.norms.") for other in arrays)
        stacked[f"{start}.weight"] = np.stack([arrays[f"{start}.norms.{head}.weight"] for head in range(heads)])
    return stacked


def _fused_qkv(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    fused: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if ".q_proj." in name:
            parts = [arrays[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            fused[_in_block(name, gguf.MODEL_TENSOR.ATTN_QKV)] = np.concatenate(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            fused[name] = array
    return fused
