"""Model.chat parses output and applies constraints as the server does."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlxm
import pytest
from conftest import GOLDEN, REPOSITORY

sys.path.append(str(REPOSITORY / "tests/clients/python"))

from server import MODEL, Server  # noqa: E402

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
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
QUESTION = [{"role": "user", "content": "What is the weather in Bern?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}

#: Keyword arguments of Model.chat, which are also the fields of a request to the server.
REQUESTS: dict[str, dict[str, Any]] = {
    "text": {"messages": QUESTION},
    "system": {"messages": [{"role": "system", "content": "Answer in one word."}, *QUESTION]},
    "length": {"messages": QUESTION, "max_tokens": 3},
    "stop string": {"messages": QUESTION, "stop": ["e"]},
    "continued": {
        "messages": [*QUESTION, {"role": "assistant", "content": "The weather in Bern is"}],
        "continue_final_message": True,
    },
    "tools": {"messages": QUESTION, "tools": [WEATHER]},
    "no tools": {"messages": QUESTION, "tools": [WEATHER], "tool_choice": "none"},
    "required": {
        "messages": QUESTION,
        "tools": [WEATHER, *TOOLS],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    },
    "named": {
        "messages": QUESTION,
        "tools": [WEATHER, *TOOLS],
        "tool_choice": {"type": "function", "function": {"name": "now"}},
        "parallel_tool_calls": False,
    },
    "truncated call": {"messages": QUESTION, "tools": [WEATHER], "tool_choice": "required", "max_tokens": 12},
    "JSON schema": {
        "messages": QUESTION,
        "response_format": {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}},
    },
    "regex": {"messages": QUESTION, "response_format": {"type": "regex", "regex": "(cold|warm), [0-9]{1,2} degrees"}},
    "tools or JSON": {
        "messages": QUESTION,
        "tools": [WEATHER],
        "response_format": {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}},
    },
}


@pytest.fixture(scope="module")
def model() -> Iterator[mlxm.Model]:
    with mlxm.Model(GOLDEN / "llama-4bit") as model:
        yield model


@pytest.fixture(scope="module")
def server(starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    program = os.environ.get("MLXM_BIN")
    if not program:
        pytest.fail("MLXM_BIN is not set: `cargo xtask test --only python` builds the program and sets it")
    log = tmp_path_factory.mktemp("server") / "log"
    running = Server(Path(program), starter_model, log, "--context-length", "1024")
    try:
        yield running
        running.close()
    finally:
        running.process.kill()


@pytest.fixture(scope="module")
def starter(starter_model: Path) -> Iterator[mlxm.Model]:
    with mlxm.Model(starter_model, context_length=1024) as model:
        yield model


def copied(folder: Path) -> Path:
    """A copy of the tiny checkpoint that can be changed."""
    for path in (GOLDEN / "llama-4bit").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copied(tmp_path_factory.mktemp("model"))
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: <think>\n"
    (folder / "chat_template.jinja").write_text(template)
    return folder


def arguments(request: dict[str, Any]) -> dict[str, Any]:
    return {"temperature": 0, "max_tokens": 40, **request}


def parts(completion: mlxm.ChatCompletion) -> dict[str, Any]:
    """Everything that the server also returns, except for random ids."""
    return {
        "content": completion.content,
        "reasoning": completion.reasoning,
        "tool_calls": [(call.name, call.arguments) for call in completion.tool_calls],
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.metrics.prompt_tokens,
        "completion_tokens": completion.metrics.generated_tokens,
    }


def from_server(url: str, request: dict[str, Any]) -> dict[str, Any]:
    """The same parts of the server's response."""
    body = json.dumps({"model": MODEL, **arguments(request)}).encode()
    headers = {"Content-Type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(f"{url}/v1/chat/completions", body, headers)) as response:
        completion = json.load(response)
    (choice,) = completion["choices"]
    message, usage = choice["message"], completion["usage"]
    calls = [call["function"] for call in message.get("tool_calls", [])]
    return {
        "content": message["content"] or "",
        "reasoning": message.get("reasoning_content"),
        "tool_calls": [(call["name"], call["arguments"]) for call in calls],
        "finish_reason": choice["finish_reason"],
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"],
    }


def assert_stream_equals(completion: mlxm.ChatCompletion, chunks: list[mlxm.ChatChunk]) -> None:
    calls: list[tuple[str, str]] = []
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        if delta.index == len(calls):
            assert delta.id is not None and delta.name is not None
            calls.append((delta.name, delta.arguments))
        else:
            assert delta.id is None and delta.name is None
            name, before = calls[delta.index]
            calls[delta.index] = (name, before + delta.arguments)
    last = chunks[-1]
    assert all(chunk.finish_reason is None and chunk.metrics is None for chunk in chunks[:-1])
    assert last.metrics is not None
    assert parts(completion) == {
        "content": "".join(chunk.content for chunk in chunks),
        "reasoning": "".join(chunk.reasoning or "" for chunk in chunks) or None,
        "tool_calls": calls,
        "finish_reason": last.finish_reason,
        "prompt_tokens": last.metrics.prompt_tokens,
        "completion_tokens": last.metrics.generated_tokens,
    }
    assert last.stop_string == completion.stop_string


class TestStarterModel:
    """The starter model in this process and in a server."""

    @pytest.mark.parametrize("name", REQUESTS)
    def test_chat_equals_server(self, name: str, starter: mlxm.Model, server: Server) -> None:
        completion = starter.chat(**arguments(REQUESTS[name]))
        assert parts(completion) == from_server(server.url, REQUESTS[name])

    @pytest.mark.parametrize("name", REQUESTS)
    def test_stream_equals_chat(self, name: str, starter: mlxm.Model) -> None:
        completion = starter.chat(**arguments(REQUESTS[name]))
        assert_stream_equals(completion, list(starter.chat(**arguments(REQUESTS[name]), stream=True)))


class TestReasoning:
    """A checkpoint with random weights whose prompt ends with an opening reasoning tag."""

    def test_reasoning_is_separated_and_limited(self, folder: Path) -> None:
        options: dict[str, Any] = {"seed": 3, "max_tokens": 60, "ignore_eos": True, "thinking_budget": 5}
        with mlxm.Model(folder) as model:
            completion = model.chat(MESSAGES, **options)
            chunks = list(model.chat(MESSAGES, stream=True, **options))
        assert completion.reasoning
        assert completion.content
        assert "</think>" not in completion.reasoning + completion.content
        assert_stream_equals(completion, chunks)


def test_chat_equals_generate_without_tools(model: mlxm.Model) -> None:
    completion = model.chat(MESSAGES, max_tokens=4, temperature=0)
    assert completion.tokens == model.generate(MESSAGES, max_tokens=4, temperature=0).tokens
    assert completion.metrics.generated_tokens == len(completion.tokens)
    assert completion.tool_calls == []
    assert completion.reasoning is None


def test_response_format_is_enforced(model: mlxm.Model) -> None:
    schema = {"enum": ["yes", "no"]}
    completion = model.chat(
        MESSAGES, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}, seed=1
    )
    assert json.loads(completion.content) in schema["enum"]
    assert completion.finish_reason == "stop"


def test_required_tool_call_is_parsed(tmp_path: Path) -> None:
    # The description of the tool is longer than the checkpoint's context.
    folder = copied(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 2048}))
    with mlxm.Model(folder) as model:
        completion = model.chat(MESSAGES, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, seed=1)
    assert completion.finish_reason == "tool_calls"
    (call,) = completion.tool_calls
    assert call.name == "now"
    assert call.id.startswith("call_")
    assert json.loads(call.arguments) == {"zone": "UTC"}


def test_stream_can_be_closed(model: mlxm.Model) -> None:
    with model.chat(MESSAGES, stream=True, ignore_eos=True) as stream:
        next(stream)
    assert list(stream) == []


def test_logprobs_are_streamed(model: mlxm.Model) -> None:
    completion = model.chat(MESSAGES, max_tokens=4, temperature=0, logprobs=1)
    chunks = list(model.chat(MESSAGES, max_tokens=4, temperature=0, logprobs=1, stream=True))
    assert completion.logprobs is not None
    streamed = [chunk.logprob for chunk in chunks if chunk.logprob]
    assert [(one.token, one.logprob) for one in streamed] == [(one.token, one.logprob) for one in completion.logprobs]


@pytest.mark.parametrize(
    "options",
    [
        {"tool_choice": "perhaps"},
        {"tool_choice": "required"},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "unknown"}}},
        {"response_format": {"type": "xml"}},
        {"max_tokens": 0},
        {"messages": []},
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_invalid_requests_raise(model: mlxm.Model, options: dict[str, Any], stream: bool) -> None:
    with pytest.raises((mlxm.RequestError, mlxm.TemplateError)):
        model.chat(**{"messages": MESSAGES, "stream": stream, **options})


@pytest.mark.parametrize("options", [{"n": 2}, {"response_format": "json"}, {"tools": "now"}])
def test_unsupported_arguments_raise(model: mlxm.Model, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        model.chat(MESSAGES, **options)
