"""Kill: a migration that dies at any moment loses no legacy file, and running it again ends as if nothing had been."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from varro_assets.simulator import Simulator
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps.due import State
from varro_assets_tests import legacy_files
from varro_assets_tests.conftest import PROJECT
from varro_assets_tests.oracle import World

TABLES = ["KORD1", "BY1", "STRAF42", "HISB7", "BIL10"]
KILLS = 12
LONGEST_SECONDS = 1.2
"""From the first word of the process; all five tables take about as long."""


@pytest.mark.timeout(3600)
@pytest.mark.slow  # a dozen processes, each loading everything
def test_killed_at_any_moment_and_run_again(simulator: Simulator, sources: Sources, tmp_path: Path) -> None:
    world, chance = World(simulator, sources), random.Random(4)
    legacy, archive = tmp_path / "legacy", tmp_path / "archive"
    for name in TABLES:
        sources.catalogue.write_tableinfo(name, sources.client.tableinfo(name)[1])
        legacy_files.write_whole(legacy, world.universe.table(name))
    contents = {path.name: path.read_bytes() for path in legacy.iterdir()}
    codes = []
    for _kill in range(KILLS):
        codes.append(_run(world, legacy, archive, chance.uniform(0, LONGEST_SECONDS)))
        for name, content in contents.items():
            copies = [folder / name for folder in (legacy, archive) if (folder / name).exists()]
            assert copies, f"{name} is lost"
            assert all(copy.read_bytes() == content for copy in copies)
    assert -signal.SIGKILL in codes, "none was killed in time"
    assert _run(world, legacy, archive, None) == 0
    assert sorted(path.name for path in archive.iterdir()) == sorted(contents)
    assert list(legacy.iterdir()) == []
    for name in TABLES:
        assert world.rows(name).total() == world.universe.table(name).row_count()
        assert world.state(name) is State.CHANGED
        migrated = world.parquet_files(name).keys()
        world.sync(name)
        world.check(name)
        assert world.parquet_files(name).keys() == migrated


def _run(world: World, legacy: Path, archive: Path, seconds: float | None) -> int:
    """Migrate, for so many seconds at most; returns the exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "varro_assets_tests.e2e.migrate_once", str(legacy), str(archive), *TABLES],
        env=world.environment(),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if seconds is not None:
        time.sleep(seconds)
        process.kill()
    process.communicate(timeout=600)
    return process.returncode
