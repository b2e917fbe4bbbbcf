"""Configurations of clients that the gateway describes: code that runs as it is, and files that follow the clients' documentation."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Iterator, Literal
from urllib.request import urlopen

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from server import Gateway, wait_until

#: Name of the model.
MODEL = "starter"

#: Code of the chat page with many settings, which its own tests compare with what it shows, and the address in it.
CHAT_CODE = Path(__file__).parent.parent / "chat"
CHAT_ORIGIN = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def gateway(program: Path, starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with the starter model, and a hub that is not reachable."""
    home = tmp_path_factory.mktemp("gateway")
    models = home / "folder"
    models.mkdir()
    (models / MODEL).symlink_to(starter_model.resolve())
    running = Gateway(program, home, models, "http://127.0.0.1:9")
    try:
        yield running
        running.close()
    finally:
        running.process.kill()


def get(gateway: Gateway, path: str) -> Any:
    """A response of the management API."""
    with urlopen(f"{gateway.url}{path}") as response:
        return json.load(response)


def setup(gateway: Gateway, client: str) -> dict[str, Any]:
    """The configuration of a client."""
    return get(gateway, f"/api/clients/{client}?model={MODEL}")


def run(code: str, variables: dict[str, str]) -> str:
    """The output of Python code, with these variables and none of this machine's for SDKs."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ANTHROPIC_"))}
    completed = subprocess.run(
        [sys.executable, "-c", code], env=own | variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


@pytest.mark.parametrize("client", ["openai-python", "anthropic-python"])
def test_code_prints_a_completion(gateway: Gateway, client: str) -> None:
    described = setup(gateway, client)
    code = described["snippets"][0]["text"]
    assert run(code, {}).strip()

    # The same with the variables.
    without = re.sub(r"\(base_url=.*\)", "()", code)
    assert gateway.url not in without
    variables = {variable["name"]: variable["value"] for variable in described["environment"]}
    assert run(without, variables).strip()

    def has_sent() -> bool:
        activity = get(gateway, "/api/clients")["activity"]
        return any(each["client"] == client and each["requests"] == 2 and not each["errors"] for each in activity)

    wait_until(f"two requests of {client}", has_sent)


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_code_of_a_chat_prints_a_completion(gateway: Gateway, protocol: str) -> None:
    code = (CHAT_CODE / f"{protocol}.py").read_text(encoding="utf-8")
    assert CHAT_ORIGIN in code
    assert run(code.replace(CHAT_ORIGIN, gateway.url), {}).strip()


class Strict(BaseModel):
    """An object with the documented members only."""

    model_config = ConfigDict(extra="forbid")


class ClaudeSettings(Strict):
    """`env` of Claude Code's settings: variables are strings."""

    env: dict[str, str]


class CodexProvider(Strict):
    """`model_providers.*` of Codex."""

    name: str
    base_url: HttpUrl
    wire_api: Literal["responses"]
    env_key: str | None = None


class CodexProfile(Strict):
    """A profile of Codex: a layer of its configuration."""

    model: str
    model_provider: str
    model_context_window: int = Field(gt=0)
    model_providers: dict[str, CodexProvider]


class OpenCodeLimit(Strict):
    """Limits of a model in OpenCode, in tokens."""

    context: int = Field(gt=0)
    output: int = Field(gt=0)


class OpenCodeModel(Strict):
    """A model of a provider in OpenCode."""

    name: str
    limit: OpenCodeLimit


class OpenCodeOptions(Strict):
    """Options of an OpenAI-compatible provider in OpenCode."""

    baseURL: HttpUrl
    apiKey: str
    headers: dict[str, str]


class OpenCodeProvider(Strict):
    """`provider.*` of OpenCode."""

    npm: Literal["@ai-sdk/openai-compatible"]
    name: str
    options: OpenCodeOptions
    models: dict[str, OpenCodeModel]


class OpenCodeConfig(Strict):
    """The part of OpenCode's configuration that is changed."""

    provider: dict[str, OpenCodeProvider]


class ZedCapabilities(Strict):
    """What a model can do, in Zed."""

    tools: bool
    images: bool
    parallel_tool_calls: bool
    prompt_cache_key: bool


class ZedModel(Strict):
    """A model of an OpenAI-compatible provider in Zed."""

    name: str
    display_name: str
    max_tokens: int = Field(gt=0)
    capabilities: ZedCapabilities


class ZedProvider(Strict):
    """An OpenAI-compatible provider in Zed."""

    api_url: HttpUrl
    available_models: list[ZedModel] = Field(min_length=1)


class ZedLanguageModels(Strict):
    """`language_models` of Zed."""

    openai_compatible: dict[str, ZedProvider]


class ZedSettings(Strict):
    """The part of Zed's settings that is changed."""

    language_models: ZedLanguageModels


class ContinueOptions(Strict):
    """`defaultCompletionOptions` of Continue, in tokens."""

    contextLength: int = Field(gt=0)
    maxTokens: int = Field(gt=0)


class ContinueRequests(Strict):
    """`requestOptions` of Continue."""

    headers: dict[str, str]


class ContinueModel(Strict):
    """A model of Continue."""

    name: str
    provider: Literal["openai"]
    model: str
    apiBase: HttpUrl
    apiKey: str
    roles: list[Literal["chat", "autocomplete", "embed", "rerank", "edit", "apply", "summarize"]]
    capabilities: list[Literal["tool_use", "image_input"]]
    defaultCompletionOptions: ContinueOptions
    requestOptions: ContinueRequests


class ContinueBlock(Strict):
    """A block of models for all configurations of Continue."""

    name: str
    version: str
    schema_: Literal["v1"] = Field(alias="schema")
    models: list[ContinueModel] = Field(min_length=1)


class GooseModel(Strict):
    """A model of a custom provider of Goose."""

    name: str
    context_limit: int = Field(gt=0)


class GooseProvider(Strict):
    """A custom provider of Goose."""

    name: str
    engine: Literal["openai", "anthropic", "ollama"]
    display_name: str
    description: str
    api_key_env: str
    base_url: HttpUrl
    models: list[GooseModel] = Field(min_length=1)
    headers: dict[str, str]
    supports_streaming: bool
    requires_auth: bool


PARSERS = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}


@pytest.mark.parametrize(
    ("client", "schema"),
    [
        ("claude-code", ClaudeSettings),
        ("codex", CodexProfile),
        ("opencode", OpenCodeConfig),
        ("zed", ZedSettings),
        ("continue", ContinueBlock),
        ("goose", GooseProvider),
    ],
)
def test_file_follows_the_documentation(gateway: Gateway, client: str, schema: type[BaseModel]) -> None:
    # The context length is known once the model has been described.
    wait_until("the model is described", lambda: setup(gateway, client)["context_length"] is not None)
    described = setup(gateway, client)
    (file,) = described["files"]
    value = PARSERS[file["format"]](file["content"])
    schema.model_validate(value)
    text = json.dumps(value)
    assert gateway.url in text
    assert MODEL in text


def test_commands_and_variables_follow_the_documentation(gateway: Gateway) -> None:
    cline = setup(gateway, "cline")
    assert cline["setup"] == [["cline", "auth", "-p", "openai", "-k", "mlxm", "-m", MODEL, "-b", f"{gateway.url}/v1"]]
    assert cline["files"][0]["is_written_by_setup"]
    webui = setup(gateway, "open-webui")
    variables = {variable["name"]: variable["value"] for variable in webui["environment"]}
    assert variables["OPENAI_API_BASE_URL"] == f"{gateway.url}/v1"
    assert variables["OPENAI_API_KEY"]
    goose = setup(gateway, "goose")
    variables = {variable["name"]: variable["value"] for variable in goose["environment"]}
    assert variables == {"GOOSE_PROVIDER": "mlxm", "GOOSE_MODEL": MODEL}
