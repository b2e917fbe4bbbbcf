"""The server does what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import inspect
import json
import zlib
from typing import Any, Callable

import hypothesis
import pytest
import schemathesis
from anthropic import Anthropic
from openai import OpenAI
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from server import MODEL, Server

#: Random requests for each operation, in addition to the systematic cases of its schema.
EXAMPLES = 20

#: Tokens of an answer at most: the shapes of answers are tested, not what they say.
LENGTH = 2

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]

#: Where answers are generated, and the field that limits their length.
LENGTHS = {
    "/v1/chat/completions": "max_tokens",
    "/v1/completions": "max_tokens",
    "/v1/responses": "max_output_tokens",
    "/v1/messages": "max_tokens",
}


@pytest.fixture(scope="session")
def api(server: Server) -> BaseSchema:
    config = schemathesis.Config(seed=1)
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=config)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_random_requests_match_the_document(case: schemathesis.Case) -> None:
    if isinstance(case.body, dict):
        adapt(case.body, LENGTHS.get(case.path))
        if case.path in LENGTHS and is_left_out(case.body):
            return
    case.call_and_validate(checks=CHECKS)


def adapt(body: dict[str, Any], limit: str | None) -> None:
    """Makes of a request that no model could answer one that the starter model can; a wrong type stays wrong."""
    if isinstance(body.get("model"), str):
        body["model"] = MODEL
    if limit is not None:
        for name in {limit, "max_completion_tokens"} & body.keys() | {limit}:
            if body.get(name) is None or is_more(body[name], LENGTH):
                body[name] = LENGTH
    if is_more(body.get("n"), 2):
        body["n"] = 2
    if isinstance(body.get("reasoning_effort"), str):
        body["reasoning_effort"] = "none"
    reasoning = body.get("reasoning")
    if isinstance(reasoning, dict):
        body["reasoning"] = {"effort": "none"}
    body.pop("previous_response_id", None)
    if isinstance(body.get("thinking"), dict):
        body["thinking"] = {"type": "disabled"}
    if body.get("stream") is not True:
        body.pop("stream_options", None)
    if body.get("logprobs") is not True and isinstance(body.get("top_logprobs"), int):
        body["top_logprobs"] = 0
    if not body.get("tools"):
        body.pop("tool_choice", None)
    bias = body.get("logit_bias")
    if isinstance(bias, dict):
        body["logit_bias"] = {small(token): value for token, value in bias.items()}


def small(token: str) -> str:
    """A token id that is in every vocabulary; what is none stays as it is."""
    return str(int(token) % 1000) if token.isascii() and token.isdigit() else token


def is_left_out(body: dict[str, Any]) -> bool:
    """Every other request that could make an answer: the cases of a schema are many, and a test build is slow."""
    return zlib.crc32(json.dumps(body, sort_keys=True).encode()) % 2 == 1


def is_more(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > most


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/chat/completions", OpenAI(api_key="unused").chat.completions.create),
        ("/v1/completions", OpenAI(api_key="unused").completions.create),
        ("/v1/responses", OpenAI(api_key="unused").responses.create),
        ("/v1/messages", Anthropic(api_key="unused").messages.create),
        ("/v1/messages/count_tokens", Anthropic(api_key="unused").messages.count_tokens),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_client_fields_are_documented(api: BaseSchema, path: str, method: Callable[..., object]) -> None:
    body = api[path]["POST"].definition.raw["requestBody"]["content"]["application/json"]["schema"]
    of_the_client = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
    unknown = set(inspect.signature(method).parameters) - of_the_client - set(body["properties"])
    assert not unknown, "fields that the server would name in a warning"
