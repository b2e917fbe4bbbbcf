"""Random tiny checkpoints and the logits mlx-lm computes for them.

A *case* is a plain dictionary, so that its JSON form is its identity:

    config      config.json of the model, without quantization
    dtype       element type of the weights on disk (default float32)
    quantize    {"bits", "group_size", "mode", "overrides": [[path pattern, false | true | {...}], ...]}, or absent
    declared    what config.json says about quantization where that differs from what was done
    awq         pack the linear layers as AutoAWQ does: "symmetric" without zero points, "zeros" with them
    extra       {tensor name: shape} of tensors that the model does not use
    unconverted     write the names and layouts of the original checkpoint, from which mlx-lm converts
    tied_by_absence  leave out lm_head.weight, which means tied embeddings to architectures without a key for it
    shards      number of weight files (default 1); more than one come with an index that is wrong
    token_by_token  mlx-lm fails on more than one token, so the reference is computed through its cache
    depends_on_chunks  mlx-lm's result depends on how the prompt is cut: only its single pass is the reference
    context_length  context length that our engine is loaded with (default its own)
    tokens      length of the prompt (default 80)
    patch       name of a deliberate mistake (see PATCHES), to prove that a comparison would notice it

`build(case)` returns a folder holding the checkpoint and `oracle.npz`; it is made once and kept in a cache directory
under the hash of the case, of this file and of the versions of mlx and mlx-lm.

The reference logits are computed in float32 from the weights as they are on disk: MLX accumulates in the element type
of the weights on a CPU, so half-precision results would say more about its rounding than about the model.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

import numpy as np

# mlx-lm does not load OLMo without this package, of which it uses nothing.
sys.modules.setdefault("hf_olmo", ModuleType("hf_olmo"))

Case = dict[str, Any]
CONFIGS = Path(__file__).parent / "configs"
#: What architectures call their embedding table.
EMBEDDINGS = ("embed_tokens", "embed_in", "embedding", "tok_embeddings", "wte")
#: mlx-lm's own difference between one pass and its cache, relative to the logit range, stays far below the parity bar.
ORACLE_NOISE = 4e-6


def architectures() -> list[str]:
    return sorted(path.stem for path in CONFIGS.glob("*.json"))


def config(architecture: str, **changes: Any) -> dict[str, Any]:
    """The small configuration of an architecture with some keys replaced (None removes one)."""
    base = json.loads((CONFIGS / f"{architecture}.json").read_text())
    target = base.get("text_config", base)
    for key, value in changes.items():
        target[key] = value
        if value is None:
            del target[key]
    return base


def cache_directory() -> Path:
    if named := os.environ.get("MLXM_TEST_CACHE"):
        return Path(named) / "oracle"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/mlxm-tests/oracle"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlxm-tests/oracle"


@cache
def _environment() -> str:
    versions = {name: importlib.metadata.version(name) for name in ("mlx", "mlx-lm", "numpy")}
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest() + json.dumps(versions)


def build(case: Case) -> Path:
    """Folder of the checkpoint of a case, with mlx-lm's logits next to it."""
    identity = json.dumps(case, sort_keys=True) + _environment()
    folder = cache_directory() / hashlib.sha256(identity.encode()).hexdigest()[:32]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            # Another process may have made it since.
            if not folder.exists():
                work = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
                try:
                    _write_checkpoint(case, work)
                    _write_logits(case, work)
                    work.rename(folder)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Excludes other processes that make the same case."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Prompt [T] and logits [T, V] of a built case."""
    with np.load(folder / "oracle.npz") as arrays:
        return arrays["input_ids"], arrays["logits"]


def _write_checkpoint(case: Case, folder: Path) -> None:
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten, tree_unflatten
    from mlx_lm.utils import _get_classes

    settings = json.loads(json.dumps(case["config"]))
    # On a Mac the default would be the GPU, whose random numbers and sums are others.
    mx.set_default_device(mx.cpu)
    mx.random.seed(case.get("seed", 0))
    model_class, arguments = _get_classes(settings)
    model = model_class(arguments.from_dict(json.loads(json.dumps(settings))))
    dtype = getattr(mx, case.get("dtype", "float32"))
    # Gains that are stored as offsets from one.
    offset = settings["model_type"].startswith("gemma") or settings["model_type"] == "nemotron"

    def spread(name: str, value: Any) -> Any:
        # Unit-variance activations everywhere, and nothing at a value that would hide a mistake (a bias of 0, a gain of 1).
        noise = mx.random.normal(value.shape)
        gain = ("norm" in name or ".ln_" in name) and name.endswith("weight")
        if value.ndim > 1 and not gain:
            # Small embeddings, because an epsilon matters where a norm's input is small.
            embedding = any(part in EMBEDDINGS for part in name.split("."))
            return noise / np.sqrt(value.shape[-1]) * (0.25 if embedding else 1.0)
        if name.endswith("act_fn.eps"):
            return value  # of xIELU, which is discontinuous with a larger one
        return 0.2 * noise + (1.0 if gain and not offset else 0.0)

    parameters = [(name, spread(name, value).astype(dtype)) for name, value in tree_flatten(model.parameters())]
    if case.get("tied_by_absence"):
        parameters = [(name, value) for name, value in parameters if not name.endswith("lm_head.weight")]
        model.sanitize(dict(parameters))
    model.update(tree_unflatten(parameters))

    if quantize := case.get("quantize"):
        common = {key: quantize[key] for key in ("group_size", "bits", "mode") if key in quantize}
        chosen: dict[str, Any] = {}

        def choose(path: str, module: Any) -> Any:
            if not hasattr(module, "to_quantized"):
                return False
            for pattern, value in quantize.get("overrides", []):
                if fnmatch(path, pattern):
                    chosen[path] = value
                    return dict(value) if isinstance(value, dict) else value
            return True

        nn.quantize(model, class_predicate=choose, **common)
        settings["quantization"] = common | chosen
    tensors = dict(tree_flatten(model.parameters()))
    if "awq" in case:
        tensors = dict(_awq_layout(tensors, case["awq"] == "zeros"))
    if case.get("unconverted"):
        tensors = dict(UNCONVERTED[settings["model_type"]](name, value) for name, value in tensors.items())
    if "declared" in case:
        settings.pop("quantization", None)
        settings |= case["declared"]

    for name, shape in case.get("extra", {}).items():
        tensors[name] = mx.random.normal(shape).astype(dtype)
    shards = case.get("shards", 1)
    for index in range(shards):
        part = dict(list(tensors.items())[index::shards])
        name = "model.safetensors" if shards == 1 else f"model-{index + 1:05}-of-{shards:05}.safetensors"
        mx.save_safetensors(str(folder / name), part, metadata={"format": "mlx"})
    if shards > 1:
        stale = {"metadata": {"total_size": 1}, "weight_map": {"model.embed_tokens.weight": "model-00009-of-00009.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(stale))
    (folder / "config.json").write_text(json.dumps(settings, indent=2))
    write_word_tokenizer(folder, vocabulary_size(case))


def vocabulary_size(case: Case) -> int:
    return case["config"].get("vocab_size") or case["config"]["text_config"]["vocab_size"]


def write_word_tokenizer(folder: Path, size: int) -> None:
    """The least that is a tokenizer: token n is the word n."""
    model = {"type": "WordLevel", "vocab": {str(i): i for i in range(size)}, "unk_token": "0"}
    tokenizer = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": model}
    missing = ("truncation", "padding", "normalizer", "post_processor", "decoder")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | dict.fromkeys(missing)))


def _unconverted_gpt2(name: str, value: Any) -> tuple[str, Any]:
    transposed = name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
    return name.removeprefix("model."), value.T if transposed else value


def _unconverted_gpt_neox(name: str, value: Any) -> tuple[str, Any]:
    name = name.replace("model.h.", "model.layers.")
    return name.removeprefix("model.") if "embed_out" in name else name.replace("model.", "gpt_neox."), value


UNCONVERTED = {
    "gpt2": _unconverted_gpt2,
    "gpt_neox": _unconverted_gpt_neox,
    "gptj": lambda name, value: (name.replace("model.", "transformer."), value),
    "apertus": lambda name, value: (name, value[None] if "alpha_" in name else value),
}


def _awq_layout(tensors: dict[str, Any], zeros: bool) -> Iterator[tuple[str, Any]]:
    """Random 4-bit weights of group 32 for every projection: columns packed eight to a word, in AutoAWQ's odd order."""
    import mlx.core as mx

    random = np.random.default_rng(2)
    order = np.array([0, 2, 4, 6, 1, 3, 5, 7])
    pack = lambda q: mx.array((q.reshape(len(q), -1, 8)[..., order].astype(np.uint32) << (4 * np.arange(8, dtype=np.uint32))).sum(-1, dtype=np.uint32))  # noqa: E731,E501
    for name, value in tensors.items():
        if not name.endswith("_proj.weight"):
            yield name, value
            continue
        (outputs, inputs), path = value.shape, name.removesuffix(".weight")
        yield f"{path}.qweight", pack(random.integers(0, 16, (inputs, outputs)))
        scales = random.uniform(0.1, 0.3, (inputs // 32, outputs)) / np.sqrt(inputs)
        yield f"{path}.scales", mx.array(scales).astype(value.dtype)
        if zeros:
            yield f"{path}.qzeros", pack(random.integers(0, 16, (inputs // 32, outputs)))


def _write_logits(case: Case, folder: Path) -> None:
    import mlx.core as mx

    with PATCHES[case["patch"]]() if "patch" in case else contextlib.nullcontext():
        model = load(folder)
        tokens = case.get("tokens", 80)
        ids = np.random.default_rng(1).integers(0, vocabulary_size(case), tokens).astype(np.uint32)
        if case.get("token_by_token"):
            logits = logits_through_cache(model, ids, 0)
        else:
            logits = np.array(model(mx.array(ids)[None])[0])
            if not case.get("depends_on_chunks"):
                # Windows only show in mlx-lm's cache once it holds more than a window, so the cache is walked as well.
                noise = deviation(logits, logits_through_cache(model, ids, tokens // 2))
                assert noise <= ORACLE_NOISE, f"mlx-lm disagrees with itself by {noise:.1e}: {case}"
    np.savez(folder / "oracle.npz", input_ids=ids, logits=logits)


def logits_through_cache(model: Any, ids: np.ndarray, first: int) -> np.ndarray:
    """Logits [T, V] of a prompt of which `first` tokens are one pass, and the others a pass each."""
    import mlx.core as mx
    from mlx_lm.models.cache import make_prompt_cache

    cache, prompt = make_prompt_cache(model), mx.array(ids)[None]
    parts = [prompt[:, :first]] if first else []
    parts += [prompt[:, i : i + 1] for i in range(first, len(ids))]
    results = [model(part, cache=cache) for part in parts]
    # A tied OLMo returns its cache as well.
    results = [result[0] if isinstance(result, tuple) else result for result in results]
    return np.array(mx.concatenate(results, axis=1)[0].astype(mx.float32))


def load(folder: Path) -> Any:
    """mlx-lm's model of a checkpoint, with every floating-point weight widened to float32."""
    import mlx.core as mx
    from mlx.utils import tree_map
    from mlx_lm.utils import load_model

    model, _ = load_model(folder)
    widen = lambda value: value.astype(mx.float32) if mx.issubdtype(value.dtype, mx.floating) else value  # noqa: E731
    model.update(tree_map(widen, model.parameters()))
    return model


def deviation(expected: np.ndarray, actual: np.ndarray) -> float:
    """Largest absolute difference, relative to the range of the expected logits."""
    assert expected.shape == actual.shape, f"{expected.shape} expected, {actual.shape} found"
    span = float(expected.max() - expected.min())
    worst = float(np.abs(expected.astype(np.float64) - actual).max())
    return worst / span if np.isfinite(worst) else float("inf")


@contextlib.contextmanager
def _replace(holder: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, original)


def _exact_gelu() -> Any:
    import mlx.nn as nn

    return _replace(nn, "gelu_approx", nn.gelu)


def _approximate_gelu() -> Any:
    import mlx.nn as nn

    return _replace(nn, "gelu", nn.gelu_approx)


def _quick_gelu_in_swiglu() -> Any:
    import mlx.nn as nn
    from mlx_lm.models import llama

    return _replace(llama, "swiglu", lambda gate, x: nn.gelu_fast_approx(gate) * x)


def _relu_in_swiglu() -> Any:
    import mlx.nn as nn
    from mlx_lm.models import llama

    return _replace(llama, "swiglu", lambda gate, x: nn.relu(gate) * x)


def _grouped_heads_in_plamo() -> Any:
    import mlx.core as mx

    return _replace(mx, "tile", lambda heads, repeats: mx.repeat(heads, repeats[1], axis=1))


def _relu_in_nemotron() -> Any:
    import mlx.nn as nn
    from mlx_lm.models import nemotron

    return _replace(nemotron, "relu_squared", nn.relu)


def _swapped_xielu() -> Any:
    from mlx_lm.models import activations

    xielu = activations.xielu
    return _replace(activations, "xielu", lambda x, alpha_p, alpha_n, *rest: xielu(x, alpha_n, alpha_p, *rest))


def _tanh_gate() -> Any:
    import mlx.core as mx

    return _replace(mx, "sigmoid", mx.tanh)


def _swapped_gate_in_olmo() -> Any:
    import mlx.nn as nn
    from mlx_lm.models import olmo

    return _replace(olmo, "swiglu", lambda gate, x: nn.silu(x) * gate)


def _larger_epsilon_of_layer_norms() -> Any:
    import mlx.nn as nn

    original = nn.LayerNorm
    return _replace(nn, "LayerNorm", lambda dims, affine=True: original(dims, eps=1e-4, affine=affine))


def _unit_offsets() -> Any:
    from mlx_lm.models import plamo3

    class UnitOffset(plamo3.RMSNorm):
        def __init__(self, hidden_size: int, eps: float = 1e-6, offset: float = 1.0) -> None:
            super().__init__(hidden_size, eps, 1.0)

    return _replace(plamo3, "RMSNorm", UnitOffset)


#: Deliberate mistakes in the oracle, for what no key of config.json expresses.
PATCHES = {
    "exact gelu": _exact_gelu,
    "approximate gelu": _approximate_gelu,
    "quick gelu for silu": _quick_gelu_in_swiglu,
    "relu for silu": _relu_in_swiglu,
    "grouped heads": _grouped_heads_in_plamo,
    "relu for squared relu": _relu_in_nemotron,
    "swapped xielu": _swapped_xielu,
    "tanh gate": _tanh_gate,
    "unit offsets": _unit_offsets,
    "swapped gate": _swapped_gate_in_olmo,
    "larger epsilon": _larger_epsilon_of_layer_norms,
}
