"""Integers over 64 bits in calls and tools keep their digits, as with transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlxm
from conftest import GOLDEN

MESSAGES = [{"role": "user", "content": "Tell me a story."}]


def test_integers_of_any_size_reach_the_template(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "llama-4bit", tmp_path / "model")
    template = "{{ messages[0].tool_calls[0].function.arguments | tojson }}{{ tools | tojson }}"
    (tmp_path / "model/chat_template.jinja").write_text(template)
    with mlxm.Model(tmp_path / "model") as model:
        for number in (2**64, -(2**63) - 1, 10**30 + 1, -(10**400) - 1, 2**63, 1.5):
            arguments = {"n": [number], "s": str(number)}
            call = {"type": "function", "function": {"name": "f", "arguments": arguments}}
            schema = {"type": "object", "properties": {"n": {"maximum": number, "enum": [number]}}}
            tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
            messages = [{"role": "assistant", "content": "", "tool_calls": [call]}]
            rendered = model.apply_chat_template(messages, tools=tools, tokenize=False)
            assert rendered == json.dumps(arguments) + json.dumps(tools)


def test_integers_of_any_size_reach_a_chat() -> None:
    def prompt_tokens(model: mlxm.Model, arguments: Any) -> int:
        call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
        messages = [*MESSAGES, {"role": "assistant", "content": "", "tool_calls": [call]}, *MESSAGES]
        return model.chat(messages, max_tokens=1).metrics.prompt_tokens

    number = 10**30 + 1
    with mlxm.Model(GOLDEN / "llama-f16") as model:
        expected = prompt_tokens(model, json.dumps({"n": number}))
        assert prompt_tokens(model, {"n": number}) == expected != prompt_tokens(model, {"n": 1e30})
