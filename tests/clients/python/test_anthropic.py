"""Messages with the Anthropic client."""

from __future__ import annotations

import json
from typing import Any

import anthropic as sdk
import pytest
from anthropic import Anthropic
from anthropic.types import Message, MessageParam, ToolParam

from server import MODEL

QUESTION: list[MessageParam] = [
    {"role": "user", "content": "What is the capital of France? Answer in one sentence."}
]
#: The client has no sampling parameters any more, but the API accepts them.
GREEDY = {"temperature": 0}
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def text(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_message_has_text_usage_and_stop_reason(anthropic: Anthropic) -> None:
    message = anthropic.messages.create(model=MODEL, messages=QUESTION, max_tokens=40, extra_body=GREEDY)
    assert message.type == "message" and message.role == "assistant" and message.model == MODEL
    assert message.id.startswith("msg_")
    assert "Paris" in text(message)
    assert message.stop_reason == "end_turn" and message.stop_sequence is None
    assert 0 < message.usage.output_tokens < 40


def test_message_stops_at_max_tokens(anthropic: Anthropic) -> None:
    message = anthropic.messages.create(model=MODEL, messages=QUESTION, max_tokens=2, extra_body=GREEDY)
    assert message.stop_reason == "max_tokens" and message.usage.output_tokens == 2


def test_stop_sequence_ends_the_message_and_is_reported(anthropic: Anthropic) -> None:
    whole = anthropic.messages.create(model=MODEL, messages=QUESTION, max_tokens=40, extra_body=GREEDY)
    message = anthropic.messages.create(
        model=MODEL, messages=QUESTION, max_tokens=40, extra_body=GREEDY, stop_sequences=["not generated", "France"]
    )
    assert text(message) == text(whole).partition("France")[0]
    assert message.stop_reason == "stop_sequence" and message.stop_sequence == "France"


def test_system_prompt_is_part_of_the_prompt(anthropic: Anthropic) -> None:
    def tokens(system: Any) -> int:
        return anthropic.messages.count_tokens(model=MODEL, messages=QUESTION, system=system).input_tokens

    long = "You are a sailor who has seen every harbour of the world and tells about them."
    assert tokens(long) > tokens("Hi") + 8
    assert tokens(long) == tokens([{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}])


def test_count_tokens_matches_usage(anthropic: Anthropic) -> None:
    counted = anthropic.messages.count_tokens(
        model=MODEL, messages=QUESTION, system="Be brief.", tools=[WEATHER]
    ).input_tokens
    used = anthropic.messages.create(
        model=MODEL, messages=QUESTION, system="Be brief.", tools=[WEATHER], max_tokens=1
    ).usage
    assert counted == used.input_tokens + (used.cache_read_input_tokens or 0)


def test_stream_has_events_in_order_and_the_text_of_the_message(anthropic: Anthropic) -> None:
    whole = anthropic.messages.create(model=MODEL, messages=QUESTION, max_tokens=40, extra_body=GREEDY)
    stream = anthropic.messages.create(model=MODEL, messages=QUESTION, max_tokens=40, extra_body=GREEDY, stream=True)
    events = list(stream)
    kinds = [event.type for event in events]
    deltas = kinds.count("content_block_delta")
    assert deltas > 1
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert (
        "".join(
            event.delta.text
            for event in events
            if event.type == "content_block_delta" and event.delta.type == "text_delta"
        )
        == text(whole)
    )


def test_stream_helper_accumulates_the_message(anthropic: Anthropic) -> None:
    whole = anthropic.messages.create(model=MODEL, messages=QUESTION, max_tokens=40, extra_body=GREEDY)
    with anthropic.messages.stream(model=MODEL, messages=QUESTION, max_tokens=40, extra_body=GREEDY) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 1 and "".join(pieces) == text(whole)
    assert text(final) == text(whole)
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_tool_choice_auto_returns_text_or_a_valid_call(anthropic: Anthropic) -> None:
    message = anthropic.messages.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is the weather in Rome?"}],
        tools=[WEATHER],
        max_tokens=48,
        extra_body=GREEDY,
    )
    uses = [block for block in message.content if block.type == "tool_use"]
    assert all(use.name == "get_weather" and isinstance(use.input, dict) for use in uses)
    assert message.stop_reason in ({"tool_use", "max_tokens"} if uses else {"end_turn", "max_tokens"})
    assert "<tool_call>" not in text(message)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}], ids=["any", "tool"])
def test_forced_tool_call_matches_its_schema_and_accepts_a_result(anthropic: Anthropic, choice: Any) -> None:
    tool: ToolParam = {
        **WEATHER,
        "input_schema": {
            "type": "object",
            "properties": {"city": {"enum": ["Rome", "Oslo"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    conversation: list[MessageParam] = [{"role": "user", "content": "What is the weather in Rome?"}]
    with anthropic.messages.stream(
        model=MODEL,
        messages=conversation,
        tools=[tool],
        tool_choice={**choice, "disable_parallel_tool_use": True},
        max_tokens=200,
        extra_body=GREEDY,
    ) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    (use,) = message.content
    assert use.type == "tool_use" and use.name == "get_weather"
    assert use.input["city"] in {"Rome", "Oslo"}
    conversation += [
        {"role": "assistant", "content": message.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "27 degrees and sunny"}],
        },
    ]
    reply = anthropic.messages.create(
        model=MODEL, messages=conversation, tools=[tool], max_tokens=24, extra_body=GREEDY
    )
    assert reply.content and reply.usage.cache_read_input_tokens


def test_response_matches_schema(anthropic: Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"enum": ["Paris", "Rome"]}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    message = anthropic.messages.create(
        model=MODEL,
        messages=QUESTION,
        max_tokens=60,
        output_config={"format": {"type": "json_schema", "schema": schema}},
        extra_body=GREEDY,
    )
    assert message.stop_reason == "end_turn"
    assert json.loads(text(message))["capital"] in {"Paris", "Rome"}


def test_tool_result_is_accepted(anthropic: Anthropic) -> None:
    conversation: list[MessageParam] = [
        {"role": "user", "content": "What is the weather in Rome?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I will look."},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "27 degrees and sunny"}],
                },
                {"type": "text", "text": "So what do I wear?"},
            ],
        },
    ]
    message = anthropic.messages.create(
        model=MODEL, messages=conversation, tools=[WEATHER], max_tokens=24, extra_body=GREEDY
    )
    assert message.content

    def tokens(result: str) -> int:
        conversation[2]["content"][0]["content"] = result  # type: ignore[index, typeddict-unknown-key]
        return anthropic.messages.count_tokens(model=MODEL, messages=conversation, tools=[WEATHER]).input_tokens

    assert tokens("sunny " * 20) >= tokens("sunny") + 19, "the tool result must be part of the prompt"


def test_response_can_be_prefilled(anthropic: Anthropic) -> None:
    message = anthropic.messages.create(
        model=MODEL,
        messages=[*QUESTION, {"role": "assistant", "content": "The capital of France is"}],
        max_tokens=8,
        extra_body=GREEDY,
    )
    assert text(message).lstrip().startswith("Paris")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"tool_choice": {"type": "tool", "name": "unknown"}, "tools": [WEATHER]}, "unknown"),
        ({"thinking": {"type": "loudly"}}, "thinking"),
        ({"top_k": "many"}, "top_k"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_invalid_field_is_rejected(anthropic: Anthropic, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        anthropic.messages.create(model=MODEL, messages=QUESTION, max_tokens=1, extra_body=fields)
    body = caught.value.body
    assert isinstance(body, dict) and body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert named in body["error"]["message"]


def test_thinking_of_a_model_without_reasoning_is_named_in_the_warning_header(anthropic: Anthropic) -> None:
    raw = anthropic.messages.with_raw_response.create(
        model=MODEL, messages=QUESTION, max_tokens=16, thinking={"type": "enabled", "budget_tokens": 1024}
    )
    assert "thinking was ignored" in raw.headers["warning"]
    assert raw.parse().content


def test_unknown_model_is_not_found(anthropic: Anthropic) -> None:
    with pytest.raises(sdk.NotFoundError) as caught:
        anthropic.messages.create(model="someone-else", messages=QUESTION, max_tokens=1)
    assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


def test_max_tokens_is_required(anthropic: Anthropic) -> None:
    with pytest.raises(sdk.BadRequestError, match="max_tokens"):
        anthropic.post("/v1/messages", cast_to=object, body={"model": MODEL, "messages": QUESTION})
