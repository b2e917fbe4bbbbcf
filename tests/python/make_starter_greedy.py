"""make_starter_greedy.py MODEL: write starter_greedy.json, mlx-lm's greedy completions of twenty prompts.

MODEL is the folder of the converted starter model. mlx-lm runs it dequantized in float32, which on a CPU is some fifty
times faster than packed and adds no rounding. The result is committed: it takes a minute to make and only changes with the
weights, whose fingerprint it carries.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path

RESULT = Path(__file__).parent / "starter_greedy.json"
TOKENS = 40

PROMPTS = [
    "Explain in three sentences why the sky is blue.",
    "Write a short story about a lighthouse keeper and a whale.",
    "List five tips for learning a new language.",
    "What is photosynthesis, and why does it matter?",
    "Describe how to make a cup of tea, step by step.",
    "Write a Python function that reverses a string and explain it.",
    "Who was Marie Curie and what did she discover?",
    "Explain the difference between weather and climate.",
    "Write a polite email asking to move a meeting to Friday.",
    "Summarize the plot of Romeo and Juliet.",
    "How does a bicycle stay upright? Explain to a child.",
    "Compare cats and dogs as pets.",
    "Write a poem about the sea in winter.",
    "What are the main causes of the seasons on Earth?",
    "Give me a packing list for a weekend in the mountains.",
    "Explain what a hash table is and when to use one.",
    "Translate 'Good morning, how are you?' into French and explain each word.",
    "Why do we dream? Describe two theories.",
    "Tell me about the history of the printing press.",
    "Describe a day in the life of an astronaut on a space station.",
]


def fingerprint(model: Path) -> str:
    """Hash of every tensor's name, type, shape and bytes, whatever files they are in."""
    from safetensors import safe_open

    found = {}
    for path in model.glob("model*.safetensors"):
        with safe_open(path, "numpy") as tensors:
            for name in tensors.keys():
                value = tensors.get_tensor(name)
                found[name] = hashlib.sha256(f"{value.dtype}{value.shape}".encode() + value.tobytes()).hexdigest()
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def complete(model: object, ids: list[int], end: set[int]) -> dict[str, list]:
    import mlx.core as mx
    from mlx_lm.models.cache import make_prompt_cache

    kept = make_prompt_cache(model)
    row = model(mx.array(ids)[None], cache=kept)[0, -1]
    tokens, gaps = [], []
    while len(tokens) < TOKENS:
        best, second = (-mx.sort(-row))[:2].tolist()
        tokens.append(int(mx.argmax(row)))
        gaps.append(round(best - second, 5))
        if tokens[-1] in end:
            break
        row = model(mx.array(tokens[-1:])[None], cache=kept)[0, -1]
    return {"tokens": tokens, "gaps": gaps}


def main() -> None:
    import mlx.core as mx
    from mlx.utils import tree_map
    from mlx_lm.utils import dequantize_model, load_model
    from transformers import AutoTokenizer

    mx.set_default_device(mx.cpu)
    folder = Path(sys.argv[1])
    model, _ = load_model(folder)
    model.update(tree_map(lambda v: v.astype(mx.float32) if mx.issubdtype(v.dtype, mx.floating) else v, model.parameters()))
    model = dequantize_model(model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers = []
    for prompt in PROMPTS:
        messages = [{"role": "user", "content": prompt}]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        found = complete(model, ids, {tokenizer.eos_token_id})
        print(len(found["tokens"]), min(found["gaps"]), repr(tokenizer.decode(found["tokens"])), flush=True)
        assert len(found["tokens"]) >= 32, "choose a prompt with a longer completion"
        answers.append({"prompt": prompt, "prompt_tokens": ids, **found})
    made_with = {name: importlib.metadata.version(name) for name in ("mlx", "mlx-lm")}
    rows = ",\n".join("  " + json.dumps(row) for row in answers)
    head = f'"weights": "{fingerprint(folder)}",\n "made_with": {json.dumps(made_with)}'
    RESULT.write_text(f'{{\n {head},\n "answers": [\n{rows}\n ]\n}}\n')


if __name__ == "__main__":
    main()
