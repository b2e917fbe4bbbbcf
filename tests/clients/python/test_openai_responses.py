"""Responses with the OpenAI client."""

from __future__ import annotations

import json
from typing import Any

import openai as sdk
import pytest
from openai import OpenAI
from openai.types.responses import FunctionToolParam, Response
from pydantic import BaseModel

from server import MODEL

QUESTION = "What is the capital of France? Answer in one sentence."
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


def ask(openai: OpenAI, question: Any = QUESTION, **more: Any) -> Response:
    more = {"temperature": 0, "max_output_tokens": 40, **more}
    return openai.responses.create(model=MODEL, input=question, **more)


def validate(response: Response) -> None:
    """Checks all types, which the client itself does not."""
    assert Response.model_validate(response.to_dict()).id == response.id


def test_response_has_text_usage_and_request_fields(openai: OpenAI) -> None:
    response = ask(openai, metadata={"purpose": "test"}, user="me", store=False)
    validate(response)
    assert "Paris" in response.output_text
    assert (response.object, response.status, response.model) == ("response", "completed", MODEL)
    assert response.incomplete_details is None and response.error is None
    (message,) = response.output
    assert message.type == "message" and message.role == "assistant" and message.status == "completed"
    assert response.usage
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.output_tokens_details.reasoning_tokens == 0
    assert response.metadata == {"purpose": "test"}
    assert (response.temperature, response.max_output_tokens, response.store) == (0, 40, False)


def test_truncated_response_is_incomplete(openai: OpenAI) -> None:
    response = ask(openai, max_output_tokens=2)
    assert response.status == "incomplete"
    assert response.incomplete_details and response.incomplete_details.reason == "max_output_tokens"
    assert response.usage and response.usage.output_tokens == 2


def test_stream_has_ordered_events_and_the_text_of_the_response(openai: OpenAI) -> None:
    whole = ask(openai, include=["message.output_text.logprobs"], top_logprobs=2)
    text = ""
    numbers = []
    names = []
    with openai.responses.stream(
        model=MODEL,
        input=QUESTION,
        temperature=0,
        max_output_tokens=40,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    ) as stream:
        for event in stream:
            numbers.append(event.sequence_number)
            if not names or names[-1] != event.type:
                names.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
                assert event.snapshot == text
                assert all(len(logprob.top_logprobs or []) == 2 for logprob in event.logprobs)
        final = stream.get_final_response()
    validate(final)
    assert text == final.output_text == whole.output_text
    assert numbers == list(range(len(numbers)))
    assert names == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert openai.responses.retrieve(final.id).output_text == text


def test_previous_response_is_continued(openai: OpenAI) -> None:
    first = ask(openai, "My name is Ada.", instructions="Be brief.")
    assert first.instructions == "Be brief."
    second = ask(openai, "What is my name?", previous_response_id=first.id)
    assert second.previous_response_id == first.id and second.instructions is None
    explicit = ask(
        openai,
        [{"role": "user", "content": "My name is Ada."}, *first.output, {"role": "user", "content": "What is my name?"}],
    )
    assert second.output_text == explicit.output_text
    items = openai.responses.input_items.list(second.id, order="asc", limit=2)
    assert [item.type for item in items] == ["message"] * 3
    assert items.has_more

    openai.responses.delete(first.id)
    with pytest.raises(sdk.NotFoundError):
        openai.responses.retrieve(first.id)
    with pytest.raises(sdk.BadRequestError) as caught:
        ask(openai, previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"
    assert ask(openai, "And?", previous_response_id=second.id).output_text


def test_unstored_response_is_not_found(openai: OpenAI) -> None:
    response = ask(openai, store=False)
    with pytest.raises(sdk.NotFoundError):
        openai.responses.retrieve(response.id)


def test_tools_and_their_results_are_part_of_the_prompt(openai: OpenAI) -> None:
    def tokens(**more: Any) -> int:
        usage = ask(openai, "What is the weather in Rome?", max_output_tokens=1, **more).usage
        assert usage
        return usage.input_tokens

    with_tools = tokens(tools=[WEATHER])
    assert with_tools > tokens() + 20
    # The prefix of the prompt stays cached.
    assert tokens(tools=[WEATHER], tool_choice="none") == with_tools
    response = ask(
        openai,
        [
            {"role": "user", "content": "What is the weather in Rome?"},
            {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Rome"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "27 degrees and sunny"},
        ],
        tools=[WEATHER],
        max_output_tokens=16,
    )
    validate(response)
    assert response.output
    items = openai.responses.input_items.list(response.id, order="asc")
    assert [item.type for item in items] == ["message", "function_call", "function_call_output"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"input": [{"role": "king", "content": "x"}]}, "input[0].role"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_invalid_field_is_rejected(openai: OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        openai.responses.create(**{"model": MODEL, "input": QUESTION, **fields})
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"truncation": "auto"}, "truncation"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"tools": [WEATHER, {"type": "web_search"}]}, "tools[1]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hint_without_effect_is_named_in_the_warning_header(openai: OpenAI, fields: dict[str, Any], name: str) -> None:
    request = {"model": MODEL, "input": QUESTION, "max_output_tokens": 16, **fields}
    raw = openai.responses.with_raw_response.create(**request)
    assert f"{name} was ignored" in raw.headers["warning"]
    validate(raw.parse())


class Person(BaseModel):
    name: str
    age: int


def test_parse_returns_an_instance_of_the_model_class(openai: OpenAI) -> None:
    response = openai.responses.parse(
        model=MODEL,
        input="Ann is 30 years old. Who is it?",
        text_format=Person,
        temperature=0,
        max_output_tokens=100,
    )
    assert response.status == "completed"
    assert isinstance(response.output_parsed, Person)


def test_forced_call_is_streamed(openai: OpenAI) -> None:
    with openai.responses.stream(
        model=MODEL,
        input="What is the weather in Rome?",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        parallel_tool_calls=False,
        temperature=0,
        max_output_tokens=100,
    ) as stream:
        pieces = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        final = stream.get_final_response()
    validate(final)
    (call,) = final.output
    if final.status == "incomplete":
        # A call that is not whole is text.
        assert call.type == "message" and not pieces
        return
    assert call.type == "function_call" and call.name == "get_weather" and call.call_id
    assert "".join(pieces) == call.arguments
    assert isinstance(json.loads(call.arguments)["city"], str)
