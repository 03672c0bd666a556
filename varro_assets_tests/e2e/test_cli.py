"""The command as a process: Ctrl-C, a kill, two at once, and the embedded server around it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from varro_assets.simulator import Simulator
from varro_assets_tests.e2e.conftest import PATIENCE, Home, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def real(home: Home, simulator: Simulator) -> Home:
    """A home whose publisher is the test's simulator; it follows three small tables."""
    home.environment["DST_API_URL"] = simulator.url
    (home.folder / "varro.toml").write_text('[tables]\nfollow = ["IDRTIL01", "KORD1", "KORN2"]\n', encoding="utf-8")
    return home


def _asked(simulator: Simulator, table: str) -> list[list[str]]:
    bodies = [json.loads(line.body) for line in simulator.requests if (line.function, line.table) == ("data", table)]
    return [next(v["values"] for v in body["variables"] if v["code"].lower() == "tid") for body in bodies]


def _hanging(home: Home, simulator: Simulator) -> None:
    """`varro sync` has brought in one table and the newest period of the next, and waits for an answer."""
    # longer than the client waits (two minutes, after which it asks again and is answered)
    fault = simulator.fault("timeout", table="KORN2", path="data", nth=2, seconds=600)
    home.start("sync")
    wait_for(lambda: fault.seen >= 2, but=home.log)


def test_ctrl_c_ends_a_sync_in_order_and_the_next_one_goes_on(real: Home, simulator: Simulator) -> None:
    _hanging(real, simulator)
    process = real._started[-1]

    process.send_signal(signal.SIGINT)

    assert process.wait(PATIENCE) == 130, real.log()
    assert "Traceback" not in real.log()
    assert "Stopped" in real.log()
    assert "varro sync" in real.log()
    # Dagster's copies of a step's output end a moment after it
    wait_for(lambda: not real.processes(), 120, but=lambda: str(real.processes()))
    assert "STARTED" not in real.run_statuses()

    simulator.faults.clear()
    simulator.forget_requests()
    real.good("sync")
    newest = simulator.universe.table("KORN2").periods[-1]
    assert newest not in [code for batch in _asked(simulator, "KORN2") for code in batch]
    assert "All is well: 3 tables" in real.good("doctor")


def test_a_killed_sync_leaves_nothing_that_the_next_does_not_mend(real: Home, simulator: Simulator) -> None:
    _hanging(real, simulator)
    process = real._started[-1]

    process.kill()
    process.wait(PATIENCE)

    assert real.run_statuses()[0] == "STARTED"
    simulator.faults.clear()
    simulator.forget_requests()
    real.good("sync")
    assert sorted(real.run_statuses()) == ["FAILURE", "SUCCESS", "SUCCESS", "SUCCESS"]
    newest = simulator.universe.table("KORN2").periods[-1]
    assert newest not in [code for batch in _asked(simulator, "KORN2") for code in batch]
    assert not list(real.folder.glob("data/dst/statbank_tables/*/.staging*"))
    assert "All is well: 3 tables" in real.good("doctor")


def test_two_syncs_at_once_do_each_table_once(real: Home, simulator: Simulator) -> None:
    fault = simulator.fault("timeout", table="KORN2", path="data", seconds=15)
    first = real.start("sync", "KORN2")
    wait_for(lambda: fault.seen >= 1, but=real.log)
    # it stands still in the middle of its work for as long as the other takes, which begins with a start of seconds
    first.send_signal(signal.SIGSTOP)
    try:
        second = real("sync", "KORN2")
    finally:
        first.send_signal(signal.SIGCONT)

    assert second.returncode == 1
    words = " ".join(second.stdout.split())
    assert "KORN2" in words
    assert "held by" in words
    assert "Wait for it to finish" in words
    assert first.wait(PATIENCE) == 0, real.log()
    asked = [code for batch in _asked(simulator, "KORN2") for code in batch]
    assert len(asked) == len(set(asked))


def test_the_embedded_server_can_be_kept_asked_and_stopped(real: Home, simulator: Simulator) -> None:
    real.good("sync", "KORD1")
    assert "stopped" in real.good("db", "status")
    real.good("db", "start")
    status = real.good("db", "status")
    assert "running" in status
    assert "kept running" in status
    url = real.good("db", "url").strip()
    assert url.startswith("postgresql://varro_reader:")
    assert "40" in real.good("psql", "-c", "SELECT count(*) FROM fact.kord1")
    refused = real("psql", "-c", "DELETE FROM fact.kord1")
    assert refused.returncode != 0
    assert "read-only transaction" in refused.stderr
    real.good("db", "stop")
    assert "stopped" in real.good("db", "status")
    wait_for(lambda: not real.processes(), 120, but=lambda: str(real.processes()))


def test_outside_of_any_project_it_says_where_to_go(home: Home, tmp_path: Path) -> None:
    home.environment.pop("VARRO_HOME")
    home.folder = tmp_path
    done = home("sync")
    assert done.returncode == 1
    assert "no varro.toml there" in done.stderr
    assert "Traceback" not in done.stderr
