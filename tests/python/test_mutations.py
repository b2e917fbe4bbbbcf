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
MINICPM = MATRIX["minicpm", "f32"]
EXAONE4 = MATRIX["exaone4", "f32"]
OLMO3 = MATRIX["olmo3", "f32"]
GEMMA3 = MATRIX["gemma3_text", "f32"]

COHERE = MATRIX["cohere", "f32"]
COHERE2 = MATRIX["cohere2", "f32"]
SPARK = MATRIX["spark2_5", "f32"]
SPARK_ROPE = SPARK["config"]["rope_parameters"]
MINISTRAL3 = MATRIX["ministral3", "f32"]
ROPE3 = MINISTRAL3["config"]["rope_parameters"]
HUNYUAN = MATRIX["hunyuan_v1_dense", "f32"]
PLAMO3 = MATRIX["plamo3", "f32"]

EPSILONS = ("rms_norm_eps", "norm_epsilon", "layer_norm_eps", "layer_norm_epsilon", "norm_eps")

#: name → (case, changes to config.json). A value of a nested key is given as a whole.
MUTATIONS: dict[str, tuple[oracle.Case, dict[str, Any]]] = {
    **{
        f"{name}: {key} × 10": (MATRIX[name, "f32"], {key: 10 * oracle.config(name)[key]})
        for name in oracle.architectures()
        for key in EPSILONS
        if key in oracle.config(name)
    },
    **{
        f"{name}: rope base + 1%": (MATRIX[name, "f32"], {"rope_theta": 1.01 * oracle.config(name)["rope_theta"]})
        for name in oracle.architectures()
        if "rope_theta" in oracle.config(name)
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
    **{
        f"{name}: rope on halves": (MATRIX[name, "f32"], {"model_type": "llama"}) for name in ("ernie4_5", "helium")
    },
    "glm: default partial rotary": (MATRIX["glm", "f32"], {"partial_rotary_factor": None}),
    "glm4: rope on halves": (MATRIX["glm4", "f32"], {"rope_traditional": False}),
    "glm4: partial rotary": (MATRIX["glm4", "f32"], {"partial_rotary_factor": 0.75}),
    "minicpm: embedding scale": (MINICPM, {"scale_emb": 12.1}),
    "minicpm: residual scale": (MINICPM, {"scale_depth": 1.41}),
    "minicpm: logits scale": (MINICPM, {"dim_model_base": 65}),
    "minicpm: default rope base": (CORNERS["shapes", "minicpm theta absent"], {"rope_theta": 10000.0}),
    "exaone4: window + 1": (EXAONE4, {"sliding_window": 9}),
    "exaone4: window - 1": (EXAONE4, {"sliding_window": 7}),
    "exaone4: window pattern": (EXAONE4, {"sliding_window_pattern": "LG"}),
    "exaone4: rope in layers with full attention": (EXAONE4, {"sliding_window": 300, "sliding_window_pattern": ""}),
    "olmo: rope of adjacent pairs": (MATRIX["olmo", "f32"], {"rope_traditional": True}),
    "olmo: default rope base": (
        CORNERS["shapes", "olmo tied, traditional rope, width of the MLP by ratio"],
        {"rope_theta": 10100.0},
    ),
    "olmo3: window + 1": (OLMO3, {"sliding_window": 9}),
    "olmo3: window - 1": (OLMO3, {"sliding_window": 7}),
    "olmo3: layer types": (OLMO3, {"layer_types": [*SLIDING, "full_attention"]}),
    "olmo3: no scaling": (CORNERS["rope", "yarn olmo3"], {"rope_scaling": None}),
    "telechat3-yarn: factor": (
        CORNERS["rope", "telechat3-yarn"],
        {"rope_scaling": {**CORNERS["rope", "telechat3-yarn"]["config"]["rope_scaling"], "factor": 4.04}},
    ),
    "internlm2: dynamic rope": (CORNERS["rope", "dynamic past its length internlm2"], {"rope_scaling": None, "max_position_embeddings": 80}),
    "cohere: logit scale": (COHERE, {"logit_scale": 0.301}),
    "cohere2: logit scale": (COHERE2, {"logit_scale": 0.301}),
    "cohere2: window + 1": (COHERE2, {"sliding_window": 9}),
    "cohere2: window - 1": (COHERE2, {"sliding_window": 7}),
    "cohere2: window pattern": (COHERE2, {"sliding_window_pattern": 2}),
    "gpt_neox: serial residual": (MATRIX["gpt_neox", "f32"], {"use_parallel_residual": False}),
    "gpt_neox: parallel residual": (CORNERS["shapes", "gpt_neox serial"], {"use_parallel_residual": True}),
    "gpt_neox: rope base": (MATRIX["gpt_neox", "f32"], {"rotary_emb_base": 10100}),
    "gpt_neox: partial rotary": (MATRIX["gpt_neox", "f32"], {"rotary_pct": 0.5}),
    "phi: partial rotary": (MATRIX["phi", "f32"], {"partial_rotary_factor": 0.75}),
    "phi: default partial rotary": (CORNERS["shapes", "phi defaults"], {"partial_rotary_factor": 0.5}),
    "gptj: partial rotary": (MATRIX["gptj", "f32"], {"rotary_dim": 14}),
    "nemotron: partial rotary": (MATRIX["nemotron", "f32"], {"partial_rotary_factor": 0.75}),
    "nemotron: factor": (CORNERS["rope", "linear nemotron"], {"rope_scaling": {"type": "linear", "factor": 4.04}}),
    "spark2_5: window + 1": (SPARK, {"sliding_window": 9}),
    "spark2_5: window - 1": (SPARK, {"sliding_window": 7}),
    "spark2_5: rope of the other layers": (SPARK, {"rope_parameters": dict.fromkeys(SPARK_ROPE, SPARK_ROPE["full_attention"])}),
    "spark2_5: default layers": (SPARK, {"layer_types": [*SLIDING, "sliding_attention"]}),
    "nanbeige: loops": (MATRIX["nanbeige", "f32"], {"num_loops": 3}),
    "nanbeige: no norm between loops": (MATRIX["nanbeige", "f32"], {"skip_loop_final_norm": True}),
    "nanbeige: loop weights": (CORNERS["rope", "yarn nanbeige"], {"loop_loss_weights": None}),
    "smollm3: rope in every layer": (MATRIX["smollm3", "f32"], {"no_rope_layers": [1, 1, 1, 1]}),
    "ministral3: query scale": (MINISTRAL3, {"rope_parameters": {**ROPE3, "llama_4_scaling_beta": 0.101}}),
    "ministral3: original length": (
        CORNERS["rope", "ministral3 without yarn"],
        {"rope_parameters": {"rope_theta": 1e4, "llama_4_scaling_beta": 0.3, "original_max_position_embeddings": 8}},
    ),
    "ministral3: plain llama": (MINISTRAL3, {"model_type": "llama"}),
    "ministral3: window + 1": (CORNERS["window", "ministral3 window 8"], {"sliding_window": 9}),
    "mistral3: plain llama": (MATRIX["mistral3", "f32"], {"text_config": oracle.config("mistral3", model_type="llama")["text_config"]}),
    "pixtral: rope base + 1%": (MATRIX["pixtral", "f32"], {"text_config": oracle.config("pixtral", rope_theta=1.01e6)["text_config"]}),
    "qwen3_vl: rope base + 1%": (MATRIX["qwen3_vl", "f32"], {"text_config": oracle.config("qwen3_vl", rope_theta=5.05e6)["text_config"]}),
    "hunyuan_v1_dense: alpha": (HUNYUAN, {"rope_scaling": {**HUNYUAN["config"]["rope_scaling"], "alpha": 1010.0}}),
    "hunyuan_v1_dense: no scaling": (HUNYUAN, {"rope_scaling": None}),
    "openelm: rope base + 1%": (MATRIX["openelm", "f32"], {"rope_freq_constant": 10100}),
    "nemotron-nas: exact GELU for SiLU": (MATRIX["nemotron-nas", "f32"], {"hidden_act": "gelu"}),
    "nemotron-nas: tanh GELU": (
        CORNERS["shapes", "nemotron-nas biases, tied, gelu_new"],
        {"hidden_act": "gelu"},
    ),
    "plamo3: window + 1": (PLAMO3, {"window_size": 9}),
    "plamo3: window - 1": (PLAMO3, {"window_size": 7}),
    "plamo3: key that takes precedence": (CORNERS["window", "plamo3 both keys"], {"sliding_window": None}),
    "plamo3: window pattern": (PLAMO3, {"sliding_window_pattern": 4}),
    "plamo3: local rope base + 1%": (PLAMO3, {"rope_local_theta": 10100.0}),
    "stablelm: partial rotary": (MATRIX["stablelm", "f32"], {"partial_rotary_factor": 0.5}),
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
    "gpt_bigcode: tanh GELU": ("gpt_bigcode", "approximate gelu"),
    "spark2_5: tanh GELU": ("spark2_5", "approximate gelu"),
    **{f"{name}: exact GELU": (name, "exact gelu") for name in ("gpt2", "gpt_neox", "gptj", "phi")},
    "olmo: gate before up": ("olmo", "swapped gate"),
    "olmo: epsilon × 10": ("olmo", "larger epsilon"),
    "plamo: grouped heads": ("plamo", "grouped heads"),
    "nemotron: ReLU": ("nemotron", "relu for squared relu"),
    "apertus: alphas": ("apertus", "swapped xielu"),
    "spark2_5: tanh for sigmoid": ("spark2_5", "tanh gate"),
    "llama: sigmoid GELU for SiLU": ("llama", "quick gelu for silu"),
    "plamo3: offset of all norms is 1": ("plamo3", "unit offsets"),
    "llama: ReLU for SiLU": ("llama", "relu for silu"),
}


def deviation(folder: Path, reference: Path, context_length: int | None = None) -> float:
    """Deviation of our engine on `folder` from the logits kept in `reference`."""
    ids, expected = oracle.read(reference)
    with mlxm.Model(folder, activation_dtype="f32", threads=1, context_length=context_length) as model:
        return oracle.deviation(expected, model.logits(ids))


@pytest.mark.parametrize("name", MUTATIONS)
def test_wrong_configuration_is_noticed(name: str, tmp_path: Path) -> None:
    case_, changes = MUTATIONS[name]
    original = oracle.build(case_)
    context_length = case_.get("context_length")
    assert deviation(original, original, context_length) <= BAR, "the unchanged checkpoint must agree"
    settings = json.loads((original / "config.json").read_text())
    assert settings | changes != settings, "the mutation changes nothing"
    shutil.copytree(original, tmp_path / "mutant")
    (tmp_path / "mutant/config.json").write_text(json.dumps(settings | changes))
    assert deviation(tmp_path / "mutant", original, context_length) > BAR


@pytest.mark.parametrize("name", PATCHED)
def test_wrong_activation_is_noticed(name: str) -> None:
    architecture, patch = PATCHED[name]
    right = oracle.build(case(architecture))
    wrong = oracle.build(case(architecture, patch=patch))
    assert deviation(right, right) <= BAR, "the unchanged checkpoint must agree"
    assert deviation(right, wrong) > BAR
