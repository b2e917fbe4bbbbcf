"""Logits of the exact path against mlx-lm, in one pass and through the cache."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pytest

import mlxm
import oracle
from cases import CORNERS, MATRIX
from conftest import PARITY

#: Of the logit range. A wrong epsilon or GELU is well above it, the oracle's own noise well below.
BAR = 2e-5


RecordProperty = Callable[[str, object], None]


def compare(model: mlxm.Model, ids: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Deviation of each way of feeding the prompt."""
    block = model.info.block_size
    found = {"one pass": oracle.deviation(expected, model.logits(ids))}
    for chunk in (1, 3, 7, block - 1, block + 1):
        found[f"chunks of {chunk}"] = oracle.deviation(expected, model.logits(ids, chunk=chunk))
    return found


def check(case: oracle.Case) -> float:
    folder = oracle.build(case)
    ids, expected = oracle.read(folder)
    with mlxm.Model(folder, activation_dtype="f32", threads=1, context_length=case.get("context_length")) as model:
        found = compare(model, ids, expected)
    too_far = {way: f"{value:.1e}" for way, value in found.items() if not value <= BAR}
    assert not too_far, f"{folder}: deviations from mlx-lm above {BAR}: {too_far}"
    return max(found.values())


@pytest.mark.parametrize("key", MATRIX, ids=lambda key: " ".join(key))
def test_matrix(key: tuple[str, str], record_property: RecordProperty) -> None:
    record_property(PARITY, ("worst", *key, check(MATRIX[key])))


@pytest.mark.parametrize("key", CORNERS, ids=lambda key: ": ".join(key))
def test_corner(key: tuple[str, str], record_property: RecordProperty) -> None:
    record_property(PARITY, ("corners", *key, check(CORNERS[key])))
