"""Structured output with the OpenAI client."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import openai as sdk
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, Field

from server import MODEL

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Describe the city of Paris."}]


class Place(BaseModel):
    country: Literal["France", "Italy"]
    is_capital: bool
    districts: int = Field(ge=1, le=99)
    rivers: list[Literal["Seine", "Tiber"]] = Field(max_length=2)


def test_chat_completion_matches_a_pydantic_model(openai: OpenAI) -> None:
    completion = openai.chat.completions.parse(
        model=MODEL, messages=QUESTION, response_format=Place, temperature=0, max_tokens=200
    )
    (choice,) = completion.choices
    assert choice.finish_reason == "stop"
    place = choice.message.parsed
    assert place is not None and 1 <= place.districts <= 99


def test_response_matches_a_pydantic_model(openai: OpenAI) -> None:
    response = openai.responses.parse(
        model=MODEL, input="Describe the city of Paris.", text_format=Place, temperature=0, max_output_tokens=200
    )
    assert response.status == "completed"
    assert response.output_parsed is not None and 1 <= response.output_parsed.districts <= 99


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_stream_matches_schema(openai: OpenAI, temperature: float) -> None:
    with openai.chat.completions.stream(
        model=MODEL, messages=QUESTION, response_format=Place, temperature=temperature, seed=1, max_tokens=200
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed is not None


def test_content_matches_a_regular_expression(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        temperature=0,
        max_tokens=40,
        extra_body={"response_format": {"type": "regex", "regex": "(north|south) [0-9]{2}"}},
    )
    assert re.fullmatch("(north|south) [0-9]{2}", completion.choices[0].message.content or "")
    assert completion.choices[0].finish_reason == "stop"


def test_content_matches_a_grammar(openai: OpenAI) -> None:
    grammar = 'start: word ("," word)* "."\nword: "red" | "blue"'
    completion = openai.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        temperature=1,
        seed=1,
        max_tokens=100,
        extra_body={"response_format": {"type": "grammar", "grammar": grammar}},
    )
    (choice,) = completion.choices
    if choice.finish_reason == "stop":
        assert re.fullmatch(r"(red|blue)(,(red|blue))*\.", choice.message.content or "")
    else:
        assert re.match(r"(red|blue)", choice.message.content or "")


def test_json_object_format_returns_an_object(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(
        model=MODEL, messages=QUESTION, response_format={"type": "json_object"}, temperature=0, max_tokens=60
    )
    (choice,) = completion.choices
    assert (choice.message.content or "").startswith("{")
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content or ""), dict)


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "array", "contains": {"type": "null"}}, "contains"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unsupported_schema_is_rejected_by_name(openai: OpenAI, schema: dict[str, Any], named: str) -> None:
    with pytest.raises(sdk.BadRequestError, match=named) as caught:
        openai.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )
    assert caught.value.param == "response_format"
