"""Errors raised by the OpenAI client."""

from __future__ import annotations

from typing import Any

import openai as sdk
import pytest
from openai import OpenAI

from server import MODEL
from test_openai_chat import QUESTION


def test_unknown_model_is_not_found(openai: OpenAI) -> None:
    with pytest.raises(sdk.NotFoundError) as caught:
        openai.chat.completions.create(model="someone-else", messages=QUESTION)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert "someone-else" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -2}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 100}, "top_logprobs"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_invalid_field_is_rejected(openai: OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        openai.chat.completions.create(**{"model": MODEL, "messages": QUESTION, "max_tokens": 1, **fields})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"verbosity": "low"}, "verbosity"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hint_without_effect_is_named_in_the_warning_header(openai: OpenAI, fields: dict[str, Any], name: str) -> None:
    request = {"model": MODEL, "messages": QUESTION, "max_tokens": 1, **fields}
    raw = openai.chat.completions.with_raw_response.create(**request)
    assert f"{name} was ignored" in raw.headers["warning"]
    assert raw.parse().choices


def test_image_for_text_model_is_rejected(openai: OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(sdk.BadRequestError, match="only text is supported") as caught:
        openai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [image]}])  # type: ignore[list-item, misc]
    assert caught.value.code == "unsupported_parameter"


def test_too_long_prompt_is_rejected(openai: OpenAI) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        openai.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 3000}])
    assert caught.value.code == "context_length_exceeded"


def test_embeddings_are_rejected(openai: OpenAI) -> None:
    with pytest.raises(sdk.BadRequestError, match="require an embedding model") as caught:
        openai.embeddings.create(model=MODEL, input="text")
    assert caught.value.param == "model"


def test_unknown_route_is_not_found(openai: OpenAI) -> None:
    with pytest.raises(sdk.NotFoundError, match="/v1/files"):
        openai.files.list()


def test_server_is_healthy_after_errors(openai: OpenAI) -> None:
    assert openai.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=1).choices
