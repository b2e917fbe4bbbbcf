"""Models named by a repository id: downloaded only when asked for, and Ctrl-C stops a download."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest

import mlxm
from conftest import GOLDEN

REPOSITORY = "someone/tiny-llama"
COMMIT = "c" * 40
FOLDER = GOLDEN / "llama-f16"
FILES = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.name != "oracle.safetensors"}


class Hub(BaseHTTPRequestHandler):
    """The responses of the hub that a download needs."""

    protocol_version = "HTTP/1.1"
    #: Time to wait after each thousand bytes of the weights.
    delay_seconds = 0.0

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            self.json([self.entry(name, content) for name, content in FILES.items()])
        elif path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name} for name in FILES]
            about = {"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "private": False, "gated": False}
            self.json(about | {"disabled": False, "downloads": 1, "likes": 1, "tags": ["mlx"], "siblings": siblings})
        elif found := re.fullmatch(f"/{REPOSITORY}/resolve/[^/]+/(.+)", path):
            self.file(FILES[found[1]])
        else:
            self.send_error(404)

    @staticmethod
    def entry(name: str, content: bytes) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(content), "oid": Hub.oid(content)}

    @staticmethod
    def oid(content: bytes) -> str:
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def json(self, value: Any) -> None:
        self.respond(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def file(self, content: bytes) -> None:
        headers = {"ETag": f'"{self.oid(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            start, end = int(wanted[1]), int(wanted[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            self.respond(206, content[start : end + 1], headers)
        else:
            self.respond(200, content, headers)

    def respond(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for start in range(0, len(body), 1000):
                self.wfile.write(body[start : start + 1000])
                if len(body) > 100_000:
                    time.sleep(self.delay_seconds)
        except OSError:
            self.close_connection = True  # the other side has gone


class SlowHub(Hub):
    delay_seconds = 0.5


@pytest.fixture
def hub(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub of one model, and an empty machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for variable in [name for name in os.environ if name.startswith(("HF_", "HUGGING_FACE"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("MLXM_HOME", str(tmp_path / "mlxm"))
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("hub", [Hub], indirect=True)
def test_pull_downloads_once(hub: None, tmp_path: Path) -> None:
    with pytest.raises(mlxm.ModelNotFoundError):
        mlxm.Model(REPOSITORY)
    with mlxm.Model(REPOSITORY, pull=True) as model:
        assert Path(model.info.path).is_relative_to(tmp_path)
        first = model.generate([3], temperature=0, max_tokens=3).tokens
    with mlxm.Model(REPOSITORY) as model, mlxm.Model(REPOSITORY, revision=COMMIT) as same:
        assert model.info.path == same.info.path
        assert model.generate([3], temperature=0, max_tokens=3).tokens == first
    with pytest.raises(mlxm.ModelNotFoundError, match="no-such-branch"):
        mlxm.Model(REPOSITORY, revision="no-such-branch")


@pytest.mark.parametrize("hub", [Hub], indirect=True)
def test_pull_of_an_unknown_repository_fails(hub: None) -> None:
    with pytest.raises(mlxm.LoadError, match="someone/else"):
        mlxm.Model("someone/else", pull=True)


@pytest.mark.parametrize("hub", [SlowHub], indirect=True)
def test_keyboard_interrupt_stops_a_download(hub: None, tmp_path: Path) -> None:
    script = f"""
import mlxm, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background starts with it ignored
print("ready", flush=True)
try:
    mlxm.Model({REPOSITORY!r}, pull=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        while not any(path.is_file() for path in (tmp_path / "huggingface").rglob("*")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert output == "stopped\n"
