"""make_starter_perplexity.py MODEL: write starter_perplexity.json, how well the starter model predicts a text.

MODEL is the folder of the converted starter model. Every window is scored by mlxm's exact path, and the first few by mlx-lm
as well, dequantized in float32, which takes minutes on a CPU. The result is committed, so that a test of a faster
precision need not wait for the exact path; it only changes with the weights, the tokenizer or the text.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path

import mlxm
from make_starter_greedy import fingerprint

RESULT = Path(__file__).parent / "starter_perplexity.json"
TEXT = Path(__file__).parents[1] / "data/moby-dick.txt"
#: Tokens that are predicted from each other; every one but the first is scored.
WINDOW = 512
#: Windows that mlx-lm scores, too.
ORACLE_WINDOWS = 2


def windows(tokens: list[int]) -> list[list[int]]:
    """The complete windows of a text, one after the other."""
    return [tokens[start : start + WINDOW] for start in range(0, len(tokens) - WINDOW + 1, WINDOW)]


def digest(tokens: list[int]) -> str:
    return hashlib.sha256(json.dumps(tokens).encode()).hexdigest()


def loss(model: mlxm.Model, window: list[int]) -> float:
    """Mean negative log-likelihood of a window's tokens but the first."""
    return -float(model.token_logprobs(window).mean(dtype="float64"))


def by_mlx_lm(folder: Path, windows: list[list[int]]) -> list[float]:
    import mlx.core as mx
    import numpy as np
    from mlx.utils import tree_map
    from mlx_lm.utils import dequantize_model, load_model

    mx.set_default_device(mx.cpu)
    model, _ = load_model(folder)
    model.update(tree_map(lambda v: v.astype(mx.float32) if mx.issubdtype(v.dtype, mx.floating) else v, model.parameters()))
    model = dequantize_model(model)

    def loss(window: list[int]) -> float:
        # In double precision: mlx's own sum over the vocabulary is 1e-4 too small.
        logits = np.array(model(mx.array(window[:-1])[None])[0]).astype(np.float64)
        most = logits.max(axis=1)
        log_sums = most + np.log(np.exp(logits - most[:, None]).sum(axis=1))
        return (log_sums - logits[np.arange(len(logits)), window[1:]]).mean()

    return [round(loss(window), 6) for window in windows]


def main() -> None:
    folder = Path(sys.argv[1])
    with mlxm.Model(folder, activation_dtype="f32", context_length=WINDOW) as model:
        tokens = list(model.tokenizer.encode(TEXT.read_text()))
        losses = [round(loss(model, window), 6) for window in windows(tokens)]
    result = {
        "weights": fingerprint(folder),
        "tokens": digest(tokens),
        "window": WINDOW,
        "exact": losses,
        "mlx_lm": by_mlx_lm(folder, windows(tokens)[:ORACLE_WINDOWS]),
        "made_with": {name: importlib.metadata.version(name) for name in ("mlx", "mlx-lm")},
    }
    RESULT.write_text("{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in result.items()) + "\n}\n")


if __name__ == "__main__":
    main()
