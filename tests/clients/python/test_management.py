"""The gateway conforms to the OpenAPI document of its management API, for valid and invalid requests.

Random requests do not name what exists, so most of them fail. The tests of servers, profiles, aliases and downloads send the
requests that succeed, and some random ones get the name of what exists.

`stream_events` gets no random requests: its stream ends with the gateway. The gateway has no operation that stops it or restores
a backup; those are commands.
"""

from __future__ import annotations

import json
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Iterator

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from server import Gateway, wait_until

#: Random requests for each operation, in addition to those derived from its schema.
EXAMPLES = 10

#: Name of the profile that exists.
PROFILE = "existing"

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]

#: Operations with the id or name of something, which half of the random requests get: they read, or change only what these
#: tests have made.
NAMED = {
    "get_server": "model",
    "pin_server": "model",
    "get_model": "model",
    "get_profile": "profile",
    "export_profile": "profile",
    "duplicate_profile": "profile",
}


class Hub(BaseHTTPRequestHandler):
    """A hub without repositories."""

    def do_GET(self) -> None:
        is_search = self.path.startswith("/api/models?")
        body = b"[]" if is_search else b'{"error": "Repository not found"}'
        self.send_response(200 if is_search else 404)
        if not is_search:
            self.send_header("x-error-code", "RepoNotFound")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def gateway(
    program: Path, starter_model: Path, hub: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with a profile, and with the starter model in memory."""
    running = Gateway(program, tmp_path_factory.mktemp("gateway"), starter_model.parent, hub)
    try:
        load = {"context_length": 512, "max_sequences": 1}
        profile = {"name": PROFILE, "model": starter_model.name, "load": load}
        requests.post(f"{running.url}/api/profiles", json=profile).raise_for_status()
        requests.post(f"{running.url}/api/servers", json={"profile": PROFILE}).raise_for_status()
        wait_until("the starter model is loaded", lambda: states(running) == ["ready"])
        yield running
        running.close()
    finally:
        running.process.kill()
        print(running.log.read_text()[-4000:], file=sys.stderr)


def servers(gateway: Gateway) -> list[dict[str, Any]]:
    response = requests.get(f"{gateway.url}/api/servers")
    response.raise_for_status()
    return response.json()["servers"]


def states(gateway: Gateway) -> list[str]:
    return [server["state"] for server in servers(gateway)]


@pytest.fixture(scope="module")
def management(gateway: Gateway) -> BaseSchema:
    config = schemathesis.Config(seed=1)
    return schemathesis.openapi.from_url(f"{gateway.url}/api/openapi.json", config=config)


schema = schemathesis.pytest.from_fixture("management").exclude(operation_id="stream_events")


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_responses_to_random_requests_match_the_document(case: schemathesis.Case, starter_model: Path) -> None:
    adapt(case, starter_model.name)
    case.call_and_validate(checks=CHECKS)


def adapt(case: schemathesis.Case, model: str) -> None:
    """Names what exists in some requests, and follows no log, which never ends. Values of a wrong type are not changed."""
    parameters = case.path_parameters or {}
    query = case.query or {}
    if query.get("follow") in (True, "true"):
        query["follow"] = False
    kind = NAMED.get(case.operation.definition.raw["operationId"])
    if kind is not None and is_chosen(parameters) and isinstance(parameters.get("id"), str):
        parameters["id"] = model if kind == "model" else PROFILE
    if isinstance(case.body, dict) and case.path in ("/api/servers", "/api/pool/plan"):
        name_model(case.body, model, is_start=case.path == "/api/servers")


def name_model(body: dict[str, Any], model: str, *, is_start: bool) -> None:
    """Names the starter model in place of another one. It is not loaded: each of its sizes would be another server."""
    if isinstance(body.get("model"), str) and is_chosen(body):
        body["model"] = model
        body.pop("profile", None)
        if is_start:
            body["dry_run"] = True


def is_chosen(value: object) -> bool:
    """Whether a request is one of half of all."""
    return zlib.crc32(repr(value).encode()) % 2 == 1


class Caller:
    """Sends requests whose status is known, and compares the responses with the document."""

    def __init__(self, document: BaseSchema) -> None:
        self.document = document

    def __call__(
        self, operation: str, status: int, body: object = None, query: dict[str, Any] | None = None, **path: str
    ) -> Any:
        """The body of the response: a value if it is JSON, otherwise its text."""
        method, route = operation.split(" ")
        content = {} if body is None else {"body": body, "media_type": "application/json"}
        case = self.document[route][method].Case(path_parameters=path, query=query or {}, **content)
        response = case.call()
        text = response.content.decode()
        assert response.status_code == status, text
        is_stream = response.headers.get("content-type") == ["text/event-stream"]
        # The check of events expects a schema of all their fields; the document has that of their data.
        checks = [check for check in CHECKS if not is_stream or check is not response_schema_conformance]
        case.validate_response(response, checks=checks)
        is_json = response.headers.get("content-type", [""])[0].endswith("json")
        return json.loads(text) if is_json and text else text


@pytest.fixture(scope="module")
def call(management: BaseSchema) -> Caller:
    return Caller(management)


def test_profiles(call: Caller, starter_model: Path) -> None:
    request = {"temperature": 0.5, "stop": ["END"], "thinking": "low", "logit_bias": {"1": -2.5}}
    config = {"name": "new", "model": starter_model.name, "request": request}
    profile = call("POST /api/profiles", 201, config)
    call("POST /api/profiles", 409, config)
    assert call("GET /api/profiles/{id}", 200, id=profile["id"]) == profile
    call("PUT /api/profiles/{id}", 200, config | {"description": "changed"}, id="new")
    copy = call("POST /api/profiles/{id}/duplicate", 201, {}, id="new")
    for kind in ("json", "modelfile"):
        exported = call("GET /api/profiles/{id}/export", 200, query={"format": kind}, id="new")
        content = {"name": f"from {kind}", "format": kind, "content": exported["content"]}
        call("POST /api/profiles/import", 201, content)
    assert len(call("GET /api/profiles", 200)["profiles"]) >= 5
    for name in (copy["config"]["name"], "from json", "from modelfile", "new"):
        call("DELETE /api/profiles/{id}", 204, id=name)
    call("DELETE /api/profiles/{id}", 404, id="new")


def test_aliases(call: Caller) -> None:
    call("POST /api/aliases", 200, {"name": "fast-*", "target": PROFILE})
    assert [alias["target"] for alias in call("GET /api/aliases", 200)["aliases"]].count(PROFILE) == 1
    call("DELETE /api/aliases/{name}", 204, name="fast-*")


def test_downloads(call: Caller) -> None:
    request = {"repo_id": "someone/missing"}
    added = call("POST /api/downloads", 201, request)

    def state() -> str:
        return call("GET /api/downloads/{id}", 200, id=added["id"])["state"]

    wait_until("the hub has no such repository", lambda: state() == "failed")
    call("POST /api/downloads", 200, request)
    call("PUT /api/downloads/order", 200, {"first": [added["id"]]})
    # The download has ended, so the stream does.
    assert "failed" in call("GET /api/downloads/{id}/events", 200, id=added["id"])
    call("POST /api/downloads/{id}/pause", 409, id=added["id"])
    call("POST /api/downloads/{id}/cancel", 200, id=added["id"])
    call("POST /api/downloads/{id}/resume", 200, id=added["id"])
    call("DELETE /api/downloads/{id}", 204, id=added["id"])


def test_settings(call: Caller) -> None:
    key = "downloads.bytes_per_second"
    call("PATCH /api/settings", 200, {"values": {key: 1_000_000}})
    call("PATCH /api/settings", 400, {"values": {key: "fast"}})
    call("PATCH /api/settings", 404, {"values": {"downloads.speed": 1}})
    call("PATCH /api/settings", 409, {"values": {"server.port": 1}})
    call("POST /api/settings/reset", 200, {"keys": [key]})


def test_audit(call: Caller, gateway: Gateway) -> None:
    completion = {"model": PROFILE, "prompt": "Call me", "max_tokens": 1}
    requests.post(f"{gateway.url}/v1/completions", json=completion).raise_for_status()

    def rows() -> list[dict[str, Any]]:
        return call("GET /api/audit", 200, query={"limit": 1})["rows"]

    wait_until("the request has a row", lambda: len(rows()) == 1)
    call("GET /api/audit/totals", 200)
    for kind in ("csv", "jsonl"):
        assert PROFILE in call("GET /api/audit/export", 200, query={"format": kind})


def test_servers(call: Caller, gateway: Gateway) -> None:
    call("POST /api/servers", 202, {"profile": PROFILE})
    call("POST /api/servers", 200, {"profile": PROFILE, "dry_run": True})
    call("POST /api/pool/plan", 200, {"profile": PROFILE, "settings": {"context_length": 1024}})
    for pinned in (True, False):
        call("POST /api/servers/{id}/pin", 200, {"pinned": pinned}, id=PROFILE)
    first = call("GET /api/servers/{id}", 200, id=PROFILE)["id"]
    assert call("GET /api/servers/{id}/logs", 200, query={"lines": 5}, id=first)["lines"]
    assert call("GET /api/logs", 200, query={"lines": 5})["lines"]
    call("POST /api/servers/{id}/restart", 202, id=first)

    def is_restarted() -> bool:
        return [(server["id"] != first, server["state"]) for server in servers(gateway)] == [(True, "ready")]

    wait_until("the server is restarted", is_restarted)
    call("DELETE /api/servers/{id}", 202, query={"now": "true"}, id=PROFILE)
    wait_until("the server is gone", lambda: servers(gateway) == [])
    call("GET /api/servers", 200)
