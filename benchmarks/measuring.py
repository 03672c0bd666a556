"""Measuring, for every stage: contenders in processes of their own, rounds, tables and verdicts.

What belongs here: nothing that knows what is measured. This module and the stages' own processes import no library with
a large memory, since a child's peak is never reported lower than what its parent held when it was forked.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OLD_PYTHON = ROOT / ".venv-predecessor" / "bin" / "python"
"""Has the libraries of the predecessor's time (predecessor.lock); made by `make bench`."""


@dataclass(frozen=True)
class Options:
    """What the command line asks of a stage."""

    rounds: int
    quick: bool
    folder: Path  # scratch space on a real disk


@dataclass(frozen=True)
class Verdict:
    """One figure against what it should be."""

    name: str
    found: str
    wanted: str
    passed: bool

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.name}: {self.found} (wanted {self.wanted})"


@dataclass
class Series:
    """One contender's measurements, one per round."""

    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)  # MB
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak(self) -> float:
        return max(self.peaks)


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Median of the ratios round by round: what else the machine did in a round then hits both."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def run(module: str, *arguments: object, python: str | Path = sys.executable) -> tuple[dict[str, Any], float]:
    """Run `python -m module arguments`; the JSON it prints last, and its peak memory in MB.

    Raises:
        RuntimeError: it failed.
    """
    command = [str(python), "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout
        output = process.stdout.read()
        # not process.wait(): wait4 tells the memory of this child alone
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return json.loads(output.splitlines()[-1]), usage.ru_maxrss / scale


@contextmanager
def serving(module: str, *arguments: object) -> Iterator[dict[str, Any]]:
    """A process that serves others for as long as the block lasts: `python -m module arguments`.

    Yields:
        The JSON it prints once it is ready. It ends when its standard input does.

    Raises:
        RuntimeError: it ended instead of getting ready.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            line = server.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(command)} did not get ready")
            yield json.loads(line)
        finally:
            server.stdin.close()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Text columns; the first to the left, the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )
