"""The parity bar notices mistakes: each of these must push a comparison over it.

Most mistakes are made in a copy of config.json, so that our engine runs a slightly different model from mlx-lm's. What no
key expresses is done wrong in the oracle instead.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import mlxm
import oracle
from cases import CORNERS, MATRIX, SLIDING, case, longrope
from test_parity import BAR

PHI3_LONG = CORNERS["rope", "longrope phi3"]
GRANITE = MATRIX["granite", "f32"]
GEMMA2 = MATRIX["gemma2", "f32"]
GEMMA3 = MATRIX["gemma3_text", "f32"]

#: name → (case, changes to config.json). A value of a nested key is given as a whole.
MUTATIONS: dict[str, tuple[oracle.Case, dict[str, Any]]] = {
    **{
        f"{name}: epsilon × 10": (MATRIX[name, "f32"], {"rms_norm_eps": 10 * oracle.config(name)["rms_norm_eps"]})
        for name in oracle.architectures()
        if name not in ("starcoder2", "gemma3")
    },
    "starcoder2: epsilon × 10": (MATRIX["starcoder2", "f32"], {"norm_epsilon": 1e-4}),
    **{
        f"{name}: rope base + 1%": (MATRIX[name, "f32"], {"rope_theta": 1.01 * oracle.config(name)["rope_theta"]})
        for name in oracle.architectures()
        if name != "gemma3"
    },
    "gemma3_text: local rope base + 1%": (GEMMA3, {"rope_local_base_freq": 10100.0}),
    "gemma3_text: window + 1": (GEMMA3, {"sliding_window": 9}),
    "gemma3_text: window - 1": (GEMMA3, {"sliding_window": 7}),
    "gemma3_text: window pattern": (GEMMA3, {"sliding_window_pattern": 4}),
    "gemma3_text: attention scale": (GEMMA3, {"query_pre_attn_scalar": 49}),
    "llama: window + 1": (CORNERS["window", "llama window 8"], {"sliding_window": 9}),
    "llama: window - 1": (CORNERS["window", "llama window 8"], {"sliding_window": 7}),
    "llama: window on the wrong layers": (CORNERS["window", "llama window 8"], {"layer_types": SLIDING[::-1][1:] + SLIDING[:1]}),
    "gemma2: attention softcap + 1%": (GEMMA2, {"attn_logit_softcapping": 20.2}),
    "gemma2: final softcap + 1%": (GEMMA2, {"final_logit_softcapping": 2.02}),
    "gemma2: attention scale": (GEMMA2, {"query_pre_attn_scalar": 49.0}),
    "granite: attention multiplier": (GRANITE, {"attention_multiplier": 0.126}),
    "granite: embedding multiplier": (GRANITE, {"embedding_multiplier": 12.1}),
    "granite: residual multiplier": (GRANITE, {"residual_multiplier": 0.221}),
    "granite: logits scaling": (GRANITE, {"logits_scaling": 8.1}),
    "smollm3: rope in every layer": (MATRIX["smollm3", "f32"], {"no_rope_layers": [1, 1, 1, 1]}),
    "llama: traditional rope": (MATRIX["llama", "f32"], {"rope_traditional": True}),
    "phi3: partial rotary": (CORNERS["rope", "partial phi3"], {"partial_rotary_factor": 0.75}),
    "llama3: factor": (CORNERS["rope", "llama3"], {"rope_scaling": {**CORNERS["rope", "llama3"]["config"]["rope_scaling"], "factor": 8.1}}),
    "llama3: no scaling": (CORNERS["rope", "llama3"], {"rope_scaling": None}),
    "linear: factor": (CORNERS["rope", "linear"], {"rope_scaling": {"type": "linear", "factor": 4.04}}),
    "yarn: factor": (CORNERS["rope", "yarn"], {"rope_scaling": {**CORNERS["rope", "yarn"]["config"]["rope_scaling"], "factor": 4.04}}),
    "yarn: no mscale": (
        CORNERS["rope", "yarn"],
        {"rope_scaling": {**CORNERS["rope", "yarn"]["config"]["rope_scaling"], "mscale": 1.0, "mscale_all_dim": 1.0}},
    ),
    "longrope: factors": (PHI3_LONG, {"rope_scaling": {**longrope(32), "long_factor": longrope(32)["short_factor"]}}),
    "longrope: attention factor": (PHI3_LONG, {"max_position_embeddings": 260}),
}

#: Mistakes of the oracle: (right case, name of the patch).
PATCHED = {
    "gemma: tanh GELU": ("gemma", "approximate gelu"),
    "gemma2: exact GELU": ("gemma2", "exact gelu"),
    "gemma3_text: exact GELU": ("gemma3_text", "exact gelu"),
    "starcoder2: tanh GELU": ("starcoder2", "approximate gelu"),
    "llama: sigmoid GELU for SiLU": ("llama", "quick gelu for silu"),
    "llama: ReLU for SiLU": ("llama", "relu for silu"),
}


def deviation(folder: Path, reference: Path) -> float:
    """Deviation of our engine on `folder` from the logits kept in `reference`."""
    ids, expected = oracle.read(reference)
    with mlxm.Model(folder, activation_dtype="f32") as model:
        return oracle.deviation(expected, model.logits(ids))


@pytest.mark.parametrize("name", MUTATIONS)
def test_wrong_configuration_is_noticed(name: str, tmp_path: Path) -> None:
    case_, changes = MUTATIONS[name]
    original = oracle.build(case_)
    assert deviation(original, original) <= BAR, "the unchanged checkpoint must agree"
    settings = json.loads((original / "config.json").read_text())
    assert settings | changes != settings, "the mutation changes nothing"
    shutil.copytree(original, tmp_path / "mutant")
    (tmp_path / "mutant/config.json").write_text(json.dumps(settings | changes))
    assert deviation(tmp_path / "mutant", original) > BAR


@pytest.mark.parametrize("name", PATCHED)
def test_wrong_activation_is_noticed(name: str) -> None:
    architecture, patch = PATCHED[name]
    right = oracle.build(case(architecture))
    wrong = oracle.build(case(architecture, patch=patch))
    assert deviation(right, right) <= BAR, "the unchanged checkpoint must agree"
    assert deviation(right, wrong) > BAR
