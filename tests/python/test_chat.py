"""Model.chat parses output and applies constraints as the server does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import mlxm
import pytest
from conftest import GOLDEN

MESSAGES = [{"role": "user", "content": "Hi"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "now",
            "parameters": {
                "type": "object",
                "properties": {"zone": {"enum": ["UTC"]}},
                "required": ["zone"],
                "additionalProperties": False,
            },
        },
    }
]


@pytest.fixture(scope="module")
def model() -> Iterator[mlxm.Model]:
    with mlxm.Model(GOLDEN / "llama-4bit") as model:
        yield model


def test_chat_equals_generate_without_tools(model: mlxm.Model) -> None:
    reply = model.chat(MESSAGES, max_tokens=4, temperature=0)
    assert reply.tokens == model.generate(MESSAGES, max_tokens=4, temperature=0).tokens
    assert reply.metrics.generated_tokens == len(reply.tokens)
    assert reply.tool_calls == []
    assert reply.reasoning is None


def test_response_format_is_enforced(model: mlxm.Model) -> None:
    schema = {"enum": ["yes", "no"]}
    reply = model.chat(
        MESSAGES, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}, seed=1
    )
    assert json.loads(reply.content) in schema["enum"]
    assert reply.finish_reason == "stop"


def test_required_tool_call_is_parsed(model: mlxm.Model) -> None:
    reply = model.chat(MESSAGES, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, seed=1)
    assert reply.finish_reason == "tool_calls"
    (call,) = reply.tool_calls
    assert call.name == "now"
    assert call.id.startswith("call_")
    assert json.loads(call.arguments) == {"zone": "UTC"}


@pytest.mark.parametrize(
    "options",
    [
        {"tool_choice": "perhaps"},
        {"tool_choice": "required"},
        {"response_format": {"type": "xml"}},
        {"max_tokens": 0},
    ],
)
def test_invalid_requests_raise(model: mlxm.Model, options: dict[str, object]) -> None:
    with pytest.raises(mlxm.RequestError):
        model.chat(MESSAGES, **options)  # type: ignore[arg-type]
