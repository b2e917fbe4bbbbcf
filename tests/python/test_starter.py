"""Greedy completions of the starter model equal those of mlx-lm, which `make_starter_greedy.py` records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import mlxm
from make_starter_greedy import RESULT, fingerprint

KNOWN = json.loads(RESULT.read_text())

#: Two tokens whose logits are this close may come in either order: the sums were made in another order.
TIE = 1e-2


@pytest.fixture(scope="module")
def model(starter_model: Path) -> Iterator[mlxm.Model]:
    assert fingerprint(starter_model) == KNOWN["weights"], (
        "the starter model's tensors differ from those that mlx-lm ran with; if the conversion changed on purpose, run "
        f"make_starter_greedy.py {starter_model}"
    )
    # Another module's tests use the other CPU.
    with mlxm.Model(starter_model, activation_dtype="f32", threads=1) as model:
        yield model


@pytest.mark.parametrize("known", KNOWN["answers"], ids=lambda known: known["prompt"])
def test_greedy_completion(
    known: dict[str, Any], model: mlxm.Model, record_property: Callable[[str, object], None]
) -> None:
    messages = [{"role": "user", "content": known["prompt"]}]
    assert model.apply_chat_template(messages) == known["prompt_tokens"]
    expected = known["tokens"]
    assert len(expected) >= 32
    found = model.generate(messages, temperature=0, max_tokens=len(expected)).tokens
    differing = next((i for i, (a, b) in enumerate(zip(expected, found)) if a != b), None)
    if differing is None:
        assert found == expected
        return
    gap = known["gaps"][differing]
    shown = f"token {differing}: mlx-lm {expected[differing]}, ours {found[differing]}, gap of the two best logits {gap}"
    record_property("first difference", shown)
    print(shown)
    assert gap <= TIE, shown


def test_capital_of_france(model: mlxm.Model) -> None:
    messages = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
    completion = model.generate(messages, temperature=0, max_tokens=40)
    assert completion.text == "The capital of France is Paris."
    assert completion.finish_reason == "stop"
