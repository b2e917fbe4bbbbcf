"""Shared pieces of the Python tests: the parity table that a run prints and writes to target/parity.md."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "crates/engine/tests/golden"
STARTER_VARIABLE = "MLXM_STARTER_MODEL"


class ParityTable:
    """Largest deviation of each (row, column), whatever way the prompt was fed."""

    def __init__(self) -> None:
        self.worst: dict[str, dict[str, float]] = defaultdict(dict)
        self.corners: dict[str, dict[str, float]] = defaultdict(dict)

    def record(self, table: dict[str, dict[str, float]], row: str, column: str, value: float) -> None:
        table[row][column] = max(value, table[row].get(column, 0.0))

    def lines(self) -> list[str]:
        columns = list(dict.fromkeys(column for row in self.worst.values() for column in row))
        lines = ["| max abs(Δ) / logit range | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for name in sorted(self.worst):
            cells = [f"{self.worst[name][column]:.1e}" if column in self.worst[name] else "" for column in columns]
            lines.append("| " + " | ".join([name, *cells]) + " |")
        if self.corners:
            lines += ["", "| corner | cases | worst | max abs(Δ) / logit range |", "|---|---|---|---|"]
            for group, values in self.corners.items():
                worst = max(values, key=lambda name: values[name])
                lines.append(f"| {group} | {len(values)} | {worst} | {values[worst]:.1e} |")
        return lines


_TABLE = ParityTable()


#: Of a property of a test's report, which also the processes of pytest-xdist send.
PARITY = "parity"

#: Whose tests share nothing, so that they can run in different processes.
INDEPENDENT = ("test_convert", "test_mutations", "test_parity")

#: These take minutes in one process, so they start first.
LONGEST = ("test_precision", "test_starter")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of other modules share models and servers: one process of pytest-xdist runs all of a module."""
    for item in items:
        if item.path.stem not in INDEPENDENT:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, value in report.user_properties:
        if name == PARITY:
            table, row, column, deviation = value
            _TABLE.record(getattr(_TABLE, table), row, column, deviation)


@pytest.fixture(scope="session")
def starter_model() -> Path:
    """Folder of the converted starter model."""
    named = os.environ.get(STARTER_VARIABLE)
    if not named:
        pytest.skip(f"{STARTER_VARIABLE} is not set: `cargo xtask test` converts the starter model and sets it")
    return Path(named)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _TABLE.worst and not _TABLE.corners:
        return
    lines = _TABLE.lines()
    terminalreporter.section("parity with mlx-lm")
    for line in lines:
        terminalreporter.write_line(line)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")
    target.mkdir(parents=True, exist_ok=True)
    (target / "parity.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
