"""Kill: a sync that dies at any moment leaves no half period, and running it again gives exactly what is published."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO

import pytest

from varro_assets.engine.planning import Scope
from varro_assets.simulator import Simulator
from varro_assets.simulator.table import Table
from varro_assets.statbank.sources import Sources
from varro_assets_tests.conftest import PROJECT
from varro_assets_tests.oracle import Rows, World, tid_type, tid_value

pytestmark = pytest.mark.timeout(3600)  # a deadline, no measure: twenty times kill, look and heal
TABLES = ["KORD1", "BY1", "STRAF42", "HISB7"]
PUBLICATIONS = ["restate", "revise", "publish_period", "insert_period", "drop_period", "add_code", "change_dimensions"]
BYTES_A_SECOND = 400_000


class Victim:
    """A process that syncs in children of its own, one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout

    def start(self) -> int:
        """Begin to sync all tables; returns the child's process id as soon as its first request is answered."""
        self._in.write(" ".join([*TABLES, "--full", "--wait", "60"]) + "\n")
        self._in.flush()
        word, child = self._out.readline().split()
        assert word == "child"
        assert self._out.readline() == "ready\n"
        return int(child)

    def end(self) -> int:
        """Wait until the child has ended; returns its exit code, negative for a signal."""
        for line in self._out:
            if line.startswith("ended"):
                return int(line.split()[1])
        raise AssertionError("the process itself is gone")


@pytest.fixture
def world(simulator: Simulator, sources: Sources) -> World:
    return World(simulator, sources)


@pytest.fixture
def victim(world: World) -> Iterator[Victim]:
    process = subprocess.Popen(
        [sys.executable, "-m", "varro_assets_tests.e2e.sync_once", "--serve"],
        env=world.environment(),
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Victim(process)
    finally:
        process.communicate(timeout=600)


class History:
    """What must be held of each table: as published now, and as it was of periods no longer published."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.last: dict[str, Table] = {}
        self._gone: dict[str, dict[str, Table]] = {name: {} for name in TABLES}

    def publish(self, chance: random.Random) -> None:
        """Something happens to two of the tables."""
        for name in chance.sample(TABLES, 2):
            self._world.universe.publish(chance.choice(PUBLICATIONS), name)

    def check_whole(self) -> None:
        """Right after a kill: every period in the warehouse is as it was or as it is, never a mixture, never twice."""
        for name in TABLES:
            if self._world.query("SELECT to_regclass(%s)", f"fact.{name.lower()}") == [(None,)]:
                assert name not in self.last
                continue
            states = [self._world.universe.table(name), *([self.last[name]] if name in self.last else [])]
            states += self._gone[name].values()
            found: dict[object, list[tuple[object, ...]]] = {}
            for row, times in self._world.rows(name).items():
                assert times == 1
                found.setdefault(row[-2], []).append((*row[:-2], row[-1]))
            kind = tid_type({code: state for state in states for code in state.periods})
            for tid, rows in found.items():
                versions = [
                    sorted(map(repr, state.rows(code)))
                    for state in states
                    for code in state.periods
                    if tid_value(code, kind) == tid
                ]
                assert sorted(map(repr, rows)) in versions, f"{name} {tid} is a mixture"

    def heal(self) -> None:
        """The same command again, and everything is as published."""
        for name in TABLES:
            self._world.sync(name, scope=Scope(full=True), wait=60.0)
            now, gone = self._world.universe.table(name), self._gone[name]
            if name in self.last:
                gone |= {code: self.last[name] for code in self.last[name].periods if code not in now.periods}
            for code in now.periods:
                gone.pop(code, None)
            shape = [dimension.id for dimension in now.dimensions]
            fitting = {code: s for code, s in gone.items() if [d.id for d in s.dimensions] == shape}
            self._world.check(name, kept=fitting, left={c: s for c, s in gone.items() if c not in fitting})
            self.last[name] = now


def _kill_and_heal(world: World, victim: Victim, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    print(f"seed {seed}")
    _slow_down(world)
    history = History(world)
    # how long a whole first load takes, to know among which moments to choose; its result is thrown away again
    started = time.monotonic()
    child = victim.start()
    assert victim.end() == 0
    whole = time.monotonic() - started
    for name in TABLES:
        world.check(name)
        history.last[name] = world.universe.table(name)
    survived = turns = 0
    # the first load may have been slow by other work: if every later sync was done in time, go on, with earlier moments
    while turns < kills or (survived == turns and turns < 5 * kills):
        turns += 1
        history.publish(chance)
        child = victim.start()
        time.sleep(chance.uniform(0, whole * kills / max(turns, kills)))
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            survived += 1  # it was done before its time had come
        assert victim.end() in {0, -signal.SIGKILL}
        history.check_whole()
        world.simulator.faults.clear()
        history.heal()
        _slow_down(world)
    assert survived < turns


@pytest.mark.slow
def test_a_killed_sync_heals_by_running_again(world: World, victim: Victim) -> None:
    _kill_and_heal(world, victim, kills=4, seed=random.SystemRandom().randrange(10**6))


@pytest.mark.slow
def test_twenty_killed_syncs_heal_by_running_again(world: World, victim: Victim) -> None:
    _kill_and_heal(world, victim, kills=20, seed=random.SystemRandom().randrange(10**6))


@pytest.mark.slow
@pytest.mark.parametrize("kills", [4, 20])
def test_a_first_load_killed_again_and_again_arrives(world: World, victim: Victim, kills: int) -> None:
    """Without anybody healing it in between; the publisher publishes meanwhile."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    _slow_down(world)
    for _ in range(kills):
        child = victim.start()
        time.sleep(chance.uniform(0, 1.0))
        world.universe.publish(chance.choice(["restate", "revise", "change_dimensions"]), chance.choice(TABLES))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        victim.end()
        for name in TABLES:
            if world.query("SELECT to_regclass(%s)", f"fact.{name.lower()}") != [(None,)]:
                assert not _doubles(world.rows(name))
    world.simulator.faults.clear()
    for name in TABLES:
        world.sync(name, scope=Scope(full=True), wait=60.0)
        world.check(name)


def _slow_down(world: World) -> None:
    """Let the answers take their time, so that a kill also meets a stream under way."""
    world.simulator.fault("slow", path="data", rate=BYTES_A_SECOND, count=None)


def _doubles(rows: Rows) -> list[tuple[object, ...]]:
    return [row for row, times in rows.items() if times > 1]
