"""API key authentication."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import anthropic
import openai
import pytest

from server import MODEL, Server

KEY = "test key"


@pytest.fixture(scope="module")
def server_with_key(program: Path, starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server_with_key") / "log"
    running = Server(program, starter_model, log, "--context-length", "256", key=KEY)
    try:
        yield running
        running.close()
    finally:
        running.process.kill()


def test_openai_client_needs_the_key(server_with_key: Server) -> None:
    with openai.OpenAI(base_url=f"{server_with_key.url}/v1", api_key=KEY, max_retries=0) as client:
        assert client.models.list().data
        assert client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=1
        ).choices
    with openai.OpenAI(base_url=f"{server_with_key.url}/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}])


def test_anthropic_client_needs_the_key(server_with_key: Server) -> None:
    for header in ({"api_key": KEY}, {"auth_token": KEY}):
        with anthropic.Anthropic(base_url=server_with_key.url, max_retries=0, **header) as client:  # type: ignore[arg-type]
            message = client.messages.create(
                model=MODEL, max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
            )
            assert message.usage.output_tokens == 1
    with anthropic.Anthropic(base_url=server_with_key.url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            client.messages.create(model=MODEL, max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
        assert caught.value.body["error"]["type"] == "authentication_error"  # type: ignore[index]


def test_health_and_metrics_need_no_key(server_with_key: Server) -> None:
    assert server_with_key.metric("mlxm_num_requests_running") == 0
