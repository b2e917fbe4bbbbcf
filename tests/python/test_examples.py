"""The Python example runs, and stays short enough to read at a glance."""

from __future__ import annotations

import subprocess
import sys

from conftest import GOLDEN, REPOSITORY

STREAM = REPOSITORY / "examples/stream.py"


def test_stream_prints_a_completion() -> None:
    command = [sys.executable, str(STREAM), str(GOLDEN / "llama-f16"), "Hello"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip()
    assert "tokens per second" in finished.stderr


def test_stream_explains_a_missing_model() -> None:
    command = [sys.executable, str(STREAM), "./no-such-model", "Hello"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 1
    assert "no-such-model" in finished.stderr and "Traceback" not in finished.stderr


def test_examples_are_under_forty_lines() -> None:
    for path in (REPOSITORY / "examples").glob("*.*"):
        if path.suffix in (".rs", ".py"):
            assert len(path.read_text().splitlines()) < 40, path.name
