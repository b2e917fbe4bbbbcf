"""Reasoning, tool calls and markup in responses, which a checkpoint recites."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from server import MODEL

TEXTS = Path(__file__).parents[2] / "reciter/texts"

READ_FILE: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "The lines of a file.",
        "parameters": {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "lines": {
                    "type": "object",
                    "properties": {"from": {"type": "integer"}, "to": {"type": "integer"}},
                    "required": ["from", "to"],
                    "additionalProperties": False,
                },
            },
            "required": ["path", "lines"],
            "additionalProperties": False,
        },
    },
}


def asked(name: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": f"Recite {name}"}]


def text(name: str) -> str:
    return (TEXTS / f"{name}.md").read_text().strip()


@pytest.mark.parametrize("name", ["hello", "latex", "mermaid", "code", "attack"])
def test_texts_are_recited_unchanged(reciter: OpenAI, name: str) -> None:
    completion = reciter.chat.completions.create(model=MODEL, messages=asked(name))
    [choice] = completion.choices
    assert choice.finish_reason == "stop"
    assert (choice.message.content or "").strip() == text(name)


def test_deltas_of_a_stream_are_the_text(reciter: OpenAI) -> None:
    stream = reciter.chat.completions.create(model=MODEL, messages=asked("code"), stream=True)
    deltas = [choice.delta.content or "" for chunk in stream for choice in chunk.choices]
    assert len(deltas) > 10
    assert "".join(deltas).strip() == text("code")


def test_reasoning_is_separate_from_the_text(reciter: OpenAI) -> None:
    completion = reciter.chat.completions.create(model=MODEL, messages=asked("thinking"))
    [choice] = completion.choices
    reasoning = (choice.message.model_extra or {}).get("reasoning_content", "")
    assert "Six times seven is forty-two" in reasoning
    assert "<think>" not in reasoning
    assert (choice.message.content or "").strip() == "The product is **42**."


def test_reasoning_can_be_turned_off(reciter: OpenAI) -> None:
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    completion = reciter.chat.completions.create(model=MODEL, messages=asked("thinking"), extra_body=off)
    [choice] = completion.choices
    assert (choice.message.content or "").strip() == text("thinking-direct")


def test_tool_is_called_and_its_result_is_used(reciter: OpenAI) -> None:
    messages = asked("tool")
    completion = reciter.chat.completions.create(model=MODEL, messages=messages, tools=[READ_FILE])
    [choice] = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert (choice.message.content or "").strip() == "I read the file first."
    [call] = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "read_file"
    assert json.loads(call.function.arguments) == {"path": "src/retry.rs", "lines": {"from": 1, "to": 20}}
    messages += [
        {
            "role": "assistant",
            "content": choice.message.content,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "fn retry() {}"},
    ]
    completion = reciter.chat.completions.create(model=MODEL, messages=messages, tools=[READ_FILE])
    assert (completion.choices[0].message.content or "").strip() == text("tool-result")


def test_endless_text_ends_at_the_limit_of_tokens(reciter: OpenAI) -> None:
    completion = reciter.chat.completions.create(model=MODEL, messages=asked("endless"), max_tokens=200)
    [choice] = completion.choices
    assert choice.finish_reason == "length"
    assert (choice.message.content or "").count("This paragraph is repeated") > 1
