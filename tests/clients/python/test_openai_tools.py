"""Tool calls with the OpenAI client."""

from __future__ import annotations

import json
from typing import Literal

import openai as sdk
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from server import MODEL

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
        },
    },
}
TIME: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "The time in a zone.",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"enum": ["UTC", "CET"]}},
            "required": ["zone"],
            "additionalProperties": False,
        },
    },
}
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Rome?"}]


def test_tool_choice_auto_returns_text_or_a_valid_call(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(
        model=MODEL, messages=QUESTION, tools=[WEATHER], tool_choice="auto", temperature=0, max_tokens=48
    )
    (choice,) = completion.choices
    if choice.message.tool_calls:
        for call in choice.message.tool_calls:
            assert call.type == "function" and call.function.name == "get_weather" and call.id
            json.loads(call.function.arguments)
        assert choice.finish_reason in {"tool_calls", "length"}
    else:
        assert choice.message.content
        assert choice.finish_reason in {"stop", "length"}
    assert "<tool_call>" not in (choice.message.content or "")


def test_tools_are_part_of_the_prompt_with_every_tool_choice(openai: OpenAI) -> None:
    def prompt_tokens(**more: object) -> int:
        completion = openai.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=1, **more)  # type: ignore[call-overload]
        return int(completion.usage.prompt_tokens)

    with_tools = prompt_tokens(tools=[WEATHER])
    assert with_tools > prompt_tokens() + 20
    # The prefix of the prompt stays cached.
    assert prompt_tokens(tools=[WEATHER], tool_choice="none") == with_tools


def test_tool_result_is_accepted(openai: OpenAI) -> None:
    conversation: list[ChatCompletionMessageParam] = [
        *QUESTION,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "27 degrees and sunny"},
    ]
    completion = openai.chat.completions.create(
        model=MODEL, messages=conversation, tools=[WEATHER], temperature=0, max_tokens=24
    )
    assert completion.choices[0].message.content or completion.choices[0].message.tool_calls
    prompt = openai.post(
        "../apply-template", cast_to=dict[str, str], body={"messages": conversation, "tools": [WEATHER]}
    )["prompt"]
    assert '"city"' in prompt and "27 degrees and sunny" in prompt


@pytest.mark.parametrize("named", [False, True])
def test_required_and_named_tool_choice_force_a_call(openai: OpenAI, named: bool) -> None:
    completion = openai.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Say hello."}],
        tools=[WEATHER, TIME] if named else [TIME],
        tool_choice={"type": "function", "function": {"name": "get_time"}} if named else "required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=200,
    )
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "get_time"
    assert json.loads(call.function.arguments)["zone"] in {"UTC", "CET"}


def test_forced_call_is_streamed_without_content(openai: OpenAI) -> None:
    chunks = openai.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Say hello."}],
        tools=[TIME],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        max_tokens=200,
        stream=True,
    )
    names: list[str] = []
    arguments = ""
    reason = None
    for chunk in chunks:
        (choice,) = chunk.choices
        assert not choice.delta.content, "a call must not appear as content"
        for call in choice.delta.tool_calls or []:
            assert call.index == 0 and call.function is not None
            names += [call.function.name] if call.function.name else []
            arguments += call.function.arguments or ""
        reason = choice.finish_reason or reason
    assert names == ["get_time"]
    assert json.loads(arguments)["zone"] in {"UTC", "CET"}
    assert reason == "tool_calls"


def test_unknown_tool_choice_is_rejected(openai: OpenAI) -> None:
    with pytest.raises(sdk.BadRequestError, match="unknown") as caught:
        openai.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            tools=[TIME],
            tool_choice={"type": "function", "function": {"name": "unknown"}},
        )
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize("seed", range(4))
def test_completion_with_tools_is_a_call_or_matches_response_format(openai: OpenAI, seed: int) -> None:
    class Sky(BaseModel):
        colour: Literal["blue", "grey"]

    completion = openai.chat.completions.parse(
        model=MODEL,
        messages=QUESTION,
        tools=[{**TIME, "function": {**TIME["function"], "strict": True}}],
        parallel_tool_calls=False,
        response_format=Sky,
        temperature=1.2,
        seed=seed,
        max_tokens=200,
    )
    (choice,) = completion.choices
    assert choice.finish_reason in ("stop", "tool_calls")
    if choice.message.tool_calls:
        assert choice.message.content is None
    else:
        assert isinstance(choice.message.parsed, Sky)
