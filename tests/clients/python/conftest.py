"""Fixtures: a server and clients for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
from anthropic import Anthropic
from openai import OpenAI

from server import Server

#: The program that writes checkpoints which recite texts.
RECITER = Path(__file__).parents[2] / "reciter"

# Requests to the local server must not go through a proxy.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
# Settings of the environment must not affect the tests.
for _name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
    del os.environ[_name]


def _path(variable: str) -> Path:
    named = os.environ.get(variable)
    if not named:
        pytest.exit(f"{variable} is not set: `cargo xtask test --only clients` sets it", returncode=1)
    return Path(named)


@pytest.fixture(scope="session")
def program() -> Path:
    """The `mlxm` program."""
    return _path("MLXM_BIN")


@pytest.fixture(scope="session")
def starter_model() -> Path:
    """Directory of the converted starter model."""
    return _path("MLXM_STARTER_MODEL")


@pytest.fixture(scope="session")
def server(program: Path, starter_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without an API key."""
    log = tmp_path_factory.mktemp("server") / "log"
    running = Server(program, starter_model, log, "--context-length", "2048")
    try:
        yield running
        running.close()
    finally:
        running.process.kill()
        print(log.read_text()[-4000:], file=sys.stderr)


@pytest.fixture(scope="session")
def openai(server: Server) -> Iterator[OpenAI]:
    """An OpenAI client. It does not retry, because retries would hide failures."""
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def anthropic(server: Server) -> Iterator[Anthropic]:
    """An Anthropic client without retries."""
    with Anthropic(base_url=server.url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def reciter(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """An OpenAI client for a server whose model recites the texts of `tests/reciter/texts`."""
    node = shutil.which("node")
    if node is None:
        pytest.exit("node is not installed: it writes the checkpoint that recites texts", returncode=1)
    folder = tmp_path_factory.mktemp("reciter")
    subprocess.run([node, RECITER / "reciter.cjs", folder / "model"], check=True)
    running = Server(program, folder / "model", folder / "log")
    try:
        with OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
            yield client
        running.close()
    finally:
        running.process.kill()
        print((folder / "log").read_text()[-4000:], file=sys.stderr)
