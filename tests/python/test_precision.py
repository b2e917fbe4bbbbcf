"""int8 activations predict a text as well as f32 activations, and the directions of the logits agree."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import pytest

import mlxm
from make_starter_greedy import fingerprint
from make_starter_perplexity import RESULT, TEXT, WINDOW, digest, loss, windows

KNOWN = json.loads(RESULT.read_text())

#: How far the perplexity may be from the exact path's.
PERPLEXITY_BAR = 0.005
#: Cosine of the angle between the logits of both paths: on average, and at the worst position. A few positions have
#: activations of very different size in one group, of which the small ones lose most to rounding.
COSINE_BAR = 0.999
WORST_COSINE_BAR = 0.99
#: Tokens whose logits are compared.
SAMPLE_TOKENS = 256


def load(folder: Path, activation_dtype: str) -> mlxm.Model:
    # Another module's tests use the other CPU.
    return mlxm.Model(folder, activation_dtype=activation_dtype, threads=1, context_length=WINDOW)


@pytest.fixture(scope="module")
def exact(starter_model: Path) -> Iterator[mlxm.Model]:
    assert fingerprint(starter_model) == KNOWN["weights"], (
        f"the starter model has changed; if on purpose, run make_starter_perplexity.py {starter_model}"
    )
    with load(starter_model, "f32") as model:
        yield model


@pytest.fixture(scope="module")
def int8(starter_model: Path) -> Iterator[mlxm.Model]:
    with load(starter_model, "int8") as model:
        yield model


@pytest.fixture(scope="module")
def text(exact: mlxm.Model) -> list[list[int]]:
    tokens = list(exact.tokenizer.encode(TEXT.read_text()))
    assert digest(tokens) == KNOWN["tokens"], "text or tokenizer have changed"
    return windows(tokens)


def test_f32_perplexity_matches_reference(exact: mlxm.Model, text: list[list[int]]) -> None:
    for window, by_mlx_lm, by_exact_path in zip(text, KNOWN["mlx_lm"], KNOWN["exact"]):
        found = loss(exact, window)
        assert found == pytest.approx(by_mlx_lm, rel=1e-5)
        assert found == pytest.approx(by_exact_path, rel=1e-5)


def test_perplexity(int8: mlxm.Model, text: list[list[int]], record_property: Callable[[str, object], None]) -> None:
    assert len(text) * (WINDOW - 1) >= 20_000
    assert len(text) == len(KNOWN["exact"])
    expected = math.exp(np.mean(KNOWN["exact"]))
    found = math.exp(np.mean([loss(int8, window) for window in text]))
    shown = f"perplexity {found:.4f}, exact {expected:.4f}, {100 * (found / expected - 1):+.3f}%"
    record_property("perplexity", shown)
    print(shown)
    assert abs(found / expected - 1) <= PERPLEXITY_BAR, shown


def test_logits_have_the_same_direction(
    exact: mlxm.Model, int8: mlxm.Model, text: list[list[int]], record_property: Callable[[str, object], None]
) -> None:
    sample = text[len(text) // 2][:SAMPLE_TOKENS]
    a, b = exact.logits(sample), int8.logits(sample)
    cosines = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    shown = f"cosine at least {cosines.min():.6f}, {cosines.mean():.6f} on average"
    record_property("cosine", shown)
    print(shown)
    assert cosines.mean() >= COSINE_BAR, shown
    assert cosines.min() >= WORST_COSINE_BAR, shown
