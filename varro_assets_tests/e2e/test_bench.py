"""The benchmarks run and every load is exact. How fast anything is, no test says: that is the machine's affair too."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def printed() -> str:
    """What the quick mode prints, all stages."""
    # not pytest's own folder: root's server runs as another account, which must pass through
    with tempfile.TemporaryDirectory(prefix="varro-bench-test-") as folder:
        Path(folder).chmod(0o711)
        command = [sys.executable, "-m", "benchmarks", "--quick", "--folder", folder]
        done = subprocess.run(command, check=False, cwd=PROJECT, capture_output=True, text=True)
        left = list(Path(folder).iterdir())
    assert done.returncode == 0, done.stdout + done.stderr
    assert left == []
    return done.stdout


def test_ours_is_exact(printed: str) -> None:
    verdicts = [line.split(":")[0] for line in printed.splitlines() if line.startswith(("PASS", "FAIL"))]
    assert verdicts[:2] == ["PASS  exact, small", "PASS  exact, load small"]
    linking = [f"PASS  linking {figure}, {part}" for part in ("all", "held-out") for figure in ("precision", "recall")]
    assert verdicts[2:6] == linking
    assert verdicts[6:] == ["PASS  documents are those of what changed"]


def test_documents_are_written_once_and_then_only_of_what_changed(printed: str) -> None:
    block = printed.split("\ndocuments\n", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    steps = {line[:20].strip(): line[20:].split() for line in block}
    # seconds, tables looked at, files written, files removed, files there
    tables, written, removed, there = steps["from nothing"][1:5]
    assert (tables, removed) == ("60", "0")
    assert written == there
    assert steps["nothing to do"][1:5] == ["0", "0", "0", there]
    assert steps["one table changed"][1] == "1"


@pytest.mark.parametrize("title", ["replace 4 periods", "first load with indexes", "nothing to load"])
def test_prints_a_line_for_each_way(printed: str, title: str) -> None:
    block = printed.split(f"\n{title}\n", 1)[1].split("\n\n", 1)[0].splitlines()
    ways = [line.split()[0] for line in block[2:]]
    expected = {
        "replace 4 periods": {"psql_text", "psql_binary", "ours", "predecessor", "polars", "duckdb", "to_sql"},
        "first load with indexes": {"psql", "psql_indexed", "ours", "predecessor"},
        "nothing to load": {"period", "table"},
    }[title]
    assert set(ways) - {"adbc"} == expected


def test_every_way_of_loading_is_exact(printed: str) -> None:
    # unlike with BULK bodies, where the others' faults are part of the comparison, a load that is not exact compares
    # something else
    loads = printed.split("\nreplace 4 periods\n", 1)[1].split("\nnothing to load\n", 1)[0]
    lines = [line for line in loads.splitlines() if "  " in line and not line.startswith(("way", "-"))]
    assert lines
    assert all(line.endswith("yes") for line in lines), loads
