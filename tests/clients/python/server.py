"""Processes of `mlxm serve`: a server with the starter model, and a gateway."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Callable

#: Model name used by the tests.
MODEL = "starter"

#: Another name of the model, in the form of a repository name.
REPOSITORY = "someone/starter"

#: Seconds to wait for a condition.
TIMEOUT = 120.0


class Process:
    """`mlxm serve` on a free port; it logs to the file `log`."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        with log.open("w") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
        assert self.process.stdout is not None
        events = map(json.loads, self.process.stdout)
        ready = next((event for event in events if event["event"] == "ready"), None)
        if ready is None:
            self.process.wait()
            sys.exit(f"the server did not start:\n{log.read_text()}")
        self.url: str = ready["url"]

    def close(self) -> None:
        """Stops the server and checks its exit code."""
        self.process.terminate()
        try:
            assert self.process.wait(TIMEOUT) == 0
        finally:
            self.process.kill()
            self.process.wait()


class Server(Process):
    """A server of one model."""

    def __init__(self, program: Path, model: Path, log: Path, *options: str, key: str | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "MLXM_API_KEY"}
        if key is not None:
            environment["MLXM_API_KEY"] = key
        command = [str(program), "serve", "--model", str(model), "--port", "0", "--json", "--exit-with-parent"]
        names = ["--alias", MODEL, "--alias", REPOSITORY]
        super().__init__([*command, *names, *options], environment, log)

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        with urllib.request.urlopen(f"{self.url}/metrics") as response:
            text = response.read().decode()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found, f"/metrics has no {name}:\n{text}"
        return float(found[1])


class Gateway(Process):
    """A gateway with a home directory of its own, and the models in the directory `models`, which it does not change."""

    def __init__(self, program: Path, home: Path, models: Path, hub: str) -> None:
        foreign = ("MLXM_", "HF_", "HUGGING", "TRANSFORMERS_", "DATABASE_URL")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environment |= {
            "MLXM_HOME": str(home),
            "MLXM_MODEL_FOLDERS": str(models),
            "HF_HOME": str(home / "hub"),
            "HF_ENDPOINT": hub,
        }
        self.log = home / "log"
        super().__init__([str(program), "serve", "--port", "0", "--json"], environment, self.log)


def wait_until(description: str, condition: Callable[[], bool]) -> None:
    """Waits until `condition` is true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"timed out after {TIMEOUT:.0f} s: {description}"
        time.sleep(0.02)
