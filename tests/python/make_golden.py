"""make_golden.py: write the checkpoints of crates/engine/tests/golden, so that `cargo test` alone has parity.

Each folder is a whole tiny checkpoint with `oracle.safetensors`: `input_ids` u32 [T] and mlx-lm's `logits` f32 [T, V]. Two of them
carry a tokenizer and a chat template and serve wherever a test needs a complete model; the weights are random, so what they
say is gibberish, but always the same.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import oracle
from cases import LLAMA3, longrope
from conftest import GOLDEN

SMALL = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCABULARY = 272

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

CORPUS = [
    "The capital of France is Paris. The quick brown fox jumps over the lazy dog.",
    "What is the time? It is time to go. Tell me a story about the sea and the stars.",
]


def case(architecture: str, vocab_size: int, settings: dict[str, Any], **rest: Any) -> oracle.Case:
    config = oracle.config(architecture, **(SMALL | settings))
    config["vocab_size"] = vocab_size
    return {"config": config, "dtype": "float16", "tokens": 40, **rest}


GOLDENS: dict[str, oracle.Case] = {
    "llama-f16": case("llama", VOCABULARY, {"tie_word_embeddings": True}),
    "llama-4bit": case(
        "llama",
        VOCABULARY,
        {"rope_scaling": LLAMA3, "num_hidden_layers": 3},
        quantize={"bits": 4, "group_size": 32},
        tokens=72,
    ),
    "qwen3-6bit-mixed": case(
        "qwen3",
        160,
        {"head_dim": 32},
        quantize={
            "bits": 6,
            "group_size": 32,
            "overrides": [
                ["*layers.0.self_attn.v_proj", False],
                ["*layers.0.mlp.down_proj", {"bits": 8}],
                ["*layers.1.mlp.down_proj", {"group_size": 32}],
                ["*embed_tokens", {"bits": 8, "group_size": 64}],
            ],
        },
        tokens=72,
    ),
    "gemma3-window-8": case(
        "gemma3_text", 96, {"head_dim": 32, "num_hidden_layers": 3}, tied_by_absence=True, tokens=72, dtype="bfloat16"
    ),
    "phi3-longrope": case(
        "phi3", 96, {"rope_scaling": longrope(32), "original_max_position_embeddings": 32}, tokens=72
    ),
    "starcoder2-5bit": case("starcoder2", 96, {}, quantize={"bits": 5, "group_size": 64}, tokens=72),
}


def write_tokenizer(folder: Path, template_in_its_own_file: bool) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
    }
    if template_in_its_own_file:
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    else:
        settings["chat_template"] = CHAT_TEMPLATE
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0]}) + "\n")


def main() -> None:
    from safetensors.numpy import save_file

    shutil.rmtree(GOLDEN, ignore_errors=True)
    for name, golden in GOLDENS.items():
        folder = GOLDEN / name
        folder.mkdir(parents=True)
        built = oracle.build(golden)
        ids, logits = oracle.read(built)
        shutil.copy(built / "config.json", folder)
        shutil.copy(built / "model.safetensors", folder)
        shutil.copy(built / "tokenizer.json", folder)
        save_file({"input_ids": ids, "logits": logits}, folder / "oracle.safetensors")
        if golden["config"]["vocab_size"] == VOCABULARY:
            settings = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(settings | {"eos_token_id": 2}, indent=2))
            write_tokenizer(folder, template_in_its_own_file=name == "llama-4bit")
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{name}: {size // 1024} KB, logits {logits.shape}, standard deviation {logits.std():.2f}")


if __name__ == "__main__":
    main()
