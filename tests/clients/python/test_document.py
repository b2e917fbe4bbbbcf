"""The server conforms to its OpenAPI document, for valid and invalid requests."""

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

#: Random requests for each operation, in addition to those derived from its schema.
EXAMPLES = 20

#: Generated tokens per request: only the format of responses is tested.
MAX_TOKENS = 2

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]

#: Routes that generate tokens, and the field that limits their number.
LIMIT_FIELDS = {
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
def test_responses_to_random_requests_match_the_document(case: schemathesis.Case) -> None:
    if isinstance(case.body, dict):
        adapt(case.body, LIMIT_FIELDS.get(case.path))
        if case.path in LIMIT_FIELDS and is_skipped(case.body):
            return
    case.call_and_validate(checks=CHECKS)


def adapt(body: dict[str, Any], limit: str | None) -> None:
    """Changes a request so that the starter model can handle it in little time. Values of a wrong type are not changed."""
    if isinstance(body.get("model"), str):
        body["model"] = MODEL
    if limit is not None:
        for name in {limit, "max_completion_tokens"} & body.keys() | {limit}:
            if body.get(name) is None or exceeds(body[name], MAX_TOKENS):
                body[name] = MAX_TOKENS
    if exceeds(body.get("n"), 2):
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
        body["logit_bias"] = {small_token_id(token): value for token, value in bias.items()}


def small_token_id(token: str) -> str:
    """A token id that every vocabulary has. Invalid ids are not changed."""
    return str(int(token) % 1000) if token.isascii() and token.isdigit() else token


def is_skipped(body: dict[str, Any]) -> bool:
    """Whether the request is skipped. Half of the generation requests are, because there are many and a test build is slow."""
    return zlib.crc32(json.dumps(body, sort_keys=True).encode()) % 2 == 1


def exceeds(value: object, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > limit


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
def test_document_lists_all_parameters_of_the_client(api: BaseSchema, path: str, method: Callable[..., object]) -> None:
    body = api[path]["POST"].definition.raw["requestBody"]["content"]["application/json"]["schema"]
    client_options = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
    unknown = set(inspect.signature(method).parameters) - client_options - set(body["properties"])
    assert not unknown, "the server would name these fields in a warning"
