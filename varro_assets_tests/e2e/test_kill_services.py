"""``varro --demo up`` with each of its processes killed in the middle of a sweep: all that is due ends done, by itself.

Slow: real services. Nothing here launches a run but the poll, which would come by itself within a minute.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from varro_assets.defs.unattended import reloading
from varro_assets.engine.server.server import EmbeddedServer
from varro_assets.errors import WebServerUnavailable
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator, Universe
from varro_assets.statbank.sources import open_sources
from varro_assets.warehouse import open_warehouse
from varro_assets_tests.e2e.conftest import PATIENCE, Home, make_home, wait_for
from varro_assets_tests.e2e.dagster_ui import RUNS, Up, running
from varro_assets_tests.oracle import World
from varro_assets_tests.postgres_fixture import reachable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
TABLES = ("KORD1", "KORN2", "BIL10")
PERIODS = {
    "KORD1": [str(year) for year in range(2025, 2035)],
    "KORN2": [f"{year}H{half}" for year in range(2025, 2030) for half in (1, 2)],
    "BIL10": [str(year) for year in range(2026, 2036)],
}
TWICE = """
SELECT table_id, tid_code FROM meta.revision WHERE kind = 'new' GROUP BY 1, 2 HAVING count(*) > 1
"""
HANGS = 36_000.0
"""Seconds for which the publisher keeps a request waiting: longer than anybody waits for an answer. Every request for
data is kept so until the faults are cleared, so that the moment in which something is killed cannot be missed. Longer
than all tests here as well: it is logged when it is answered, and must not pass for a request of the next test."""
DONE = 900.0
"""A deadline, no measure: what a killed worker leaves takes two minutes, what fails is asked for again after five."""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with reachable() as folder:
        made = make_home(folder / "home")
        # how long a run waits for an answer that does not come
        made.environment["DST_API_TIMEOUT_SECONDS"] = "45"
        demo = made.folder / "data" / "demo"
        demo.mkdir(parents=True)
        (demo / "varro.toml").write_text(f"[tables]\nfollow = {list(TABLES)}\n".replace("'", '"'), encoding="utf-8")
        made.good("--demo", "sync")
        yield made
        made.end()


@pytest.fixture(scope="module")
def up(home: Home) -> Iterator[Up]:
    with running(home) as started:
        wait_for(lambda: idle(started), DONE, but=lambda: told(started))
        yield started


def told(up: Up) -> str:
    """How things stand, for a failure."""
    lines = []
    try:
        lines = [f"{run['status']} {run['tags']}" for run in runs(up)[:15]]
    except (requests.RequestException, ValueError) as error:
        lines = [type(error).__name__]
    return "\n".join([*lines, *map(str, up.home.processes()), up.home.log()[-3000:]])


def runs(up: Up) -> list[dict[str, object]]:
    """All, newest first."""
    return list(up.ask(RUNS, filter={})["runsOrError"]["results"])


def idle(up: Up) -> bool:
    """Whether no run is left that is not over."""
    return all(run["status"] in {"SUCCESS", "FAILURE", "CANCELED"} for run in runs(up))


def publish(up: Up) -> dict[str, str]:
    """Each table is published with a period more, and the publisher hangs at the data of each; table -> period."""
    made = {}
    for table in TABLES:
        tid = PERIODS[table].pop(0)
        fault = {"kind": "timeout", "table": table, "path": "data", "seconds": HANGS, "count": None}
        assert requests.post(f"{up.simulator}/faults", json=fault, timeout=PATIENCE).ok
        up.publish(kind="publish_period", table=table, tid=tid)
        made[table] = tid
    requests.delete(f"{up.simulator}/requests", timeout=PATIENCE)
    up.launch(("statbank", "catalog"))
    return made


def hanging(up: Up) -> dict[str, str]:
    """Table -> run of those that wait for their data now."""
    log = requests.get(f"{up.simulator}/requests", timeout=PATIENCE).json()
    # the request that hangs is logged when it has its answer; before it the description is asked for
    described = {line["table"] for line in log if line["function"] == "tableinfo"}
    answered = {line["table"] for line in log if line["function"] == "data"}
    found = {}
    for run in runs(up):
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}  # type: ignore[attr-defined]
        table = tags.get("varro/table", "")
        if run["status"] == "STARTED" and table in described - answered:
            found[table] = str(run["runId"])
    return found


def in_the_middle(up: Up) -> dict[str, str]:
    """Wait until at least two tables are being fetched, and go on being so until `answer_again`."""
    found: dict[str, str] = {}

    def begun() -> bool:
        nonlocal found
        # a worker that is killed before it has begun is given ten minutes, which would be waited for here
        waiting = {"QUEUED", "NOT_STARTED", "STARTING"}
        found = hanging(up)
        return len(found) >= 2 and not any(run["status"] in waiting for run in runs(up))

    wait_for(begun, DONE, but=lambda: told(up))
    return found


def answer_again(up: Up) -> None:
    """The publisher answers again. Who waits now goes on waiting until its patience ends, and is answered then.

    To be called after the kill: a patience may end at any moment, and who is answered then is done in a second.
    """
    assert requests.delete(f"{up.simulator}/faults", timeout=PATIENCE).ok


def loaded(up: Up) -> bool:
    """Whether the web server says that the graph is there."""
    try:
        return reloading.unloaded(up.url) == []
    except WebServerUnavailable:
        return False  # busy, which is no answer


def kill_a_backend(postmaster: psutil.Process) -> None:
    """Kill one that serves us; connections come and go, and so do they."""

    def killed() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in postmaster.children():
                if command(one).startswith("postgres: varro "):
                    one.kill()
                    return True
        return False

    wait_for(killed)


def named(home: Home, part: str) -> psutil.Process:
    """The process of this home with these words in its command."""
    return next(one for one in home.processes() if part in command(one))


def command(process: psutil.Process) -> str:
    """Its words; none if it has ended since it was found."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def is_done(up: Up, made: dict[str, str]) -> bool:
    """Whether all that was published is in and shows, and nothing is under way."""
    try:
        for table, tid in made.items():
            for path in (("statbank", table), ("fact", table.lower())):
                found = up.partitions(*path)
                stats = found.get("partitionStats") or {}
                if tid not in found.get("partitionKeys", ()) or stats["numMaterialized"] != stats["numPartitions"]:
                    return False
            context = up.home.folder / "data" / "demo" / "context"
            if not any(tid in file.read_text("utf-8") for file in context.rglob(f"{table.lower()}.md")):
                return False
        return idle(up)
    except (requests.RequestException, AssertionError, ValueError, KeyError):
        return False


def proved(up: Up, folder: Path) -> None:
    """Files, database and records hold what is published, no more and no less."""
    settings = Settings.load(up.home.folder).for_demo()
    state = folder / "publications.jsonl"
    shutil.copyfile(settings.data_dir / "simulator" / "publications.jsonl", state)
    with Simulator(Universe.demo(), state_file=state) as replayed, open_warehouse(settings) as warehouse:
        world = World(replayed, open_sources(settings, warehouse.url))
        for table in TABLES:
            world.check(table)
        assert world.query(TWICE) == []
    assert "All is well" in up.home.good("--demo", "doctor")


def all_done(up: Up, made: dict[str, str], folder: Path) -> None:
    wait_for(lambda: is_done(up, made), DONE, but=lambda: told(up))
    proved(up, folder)


def test_a_worker_and_both_code_servers(up: Up, tmp_path: Path) -> None:
    made = publish(up)
    victim = next(iter(in_the_middle(up).values()))
    wait_for(lambda: up.worker(victim), DONE, but=lambda: told(up))
    worker = up.worker(victim)
    assert worker is not None
    said = up.home.log().count("it is loaded anew")
    os.kill(worker, signal.SIGKILL)
    named(up.home, "dagster api grpc").kill()
    answer_again(up)
    wait_for(lambda: up.home.log().count("it is loaded anew") > said, DONE, but=lambda: told(up))
    wait_for(lambda: loaded(up), DONE, but=lambda: told(up))
    named(up.home, "dagster code-server").kill()
    all_done(up, made, tmp_path)


def test_postgres_and_the_daemon(up: Up, tmp_path: Path) -> None:
    made = publish(up)
    in_the_middle(up)
    server = EmbeddedServer(Settings.load(up.home.folder).for_demo().postgres_dir)
    # by its own file: what it has just forked bears its name as well
    pid = server.status().pid
    assert pid is not None
    postmaster = psutil.Process(pid)
    kill_a_backend(postmaster)
    time.sleep(1)
    postmaster.kill()
    answer_again(up)
    # mostly it is `varro up` that starts it again, and says so; a run or a tick that needs it just then may be first
    wait_for(lambda: server.status().pid not in {None, pid}, DONE, but=lambda: told(up))
    # Dagster's services survive that, or begin again by themselves
    wait_for(lambda: loaded(up), DONE, but=lambda: told(up))
    said = up.home.log().count("they begin again")
    daemon = named(up.home, "dagster._daemon")
    daemon.kill()
    wait_for(lambda: up.home.log().count("they begin again") > said, DONE, but=lambda: told(up))
    all_done(up, made, tmp_path)
    assert up.process.poll() is None
    assert named(up.home, "dagster._daemon").pid != daemon.pid


def test_everything_dies_with_the_command_and_the_next_start_goes_on(up: Up, home: Home, tmp_path: Path) -> None:
    made = publish(up)
    in_the_middle(up)
    up.process.kill()
    up.process.wait(PATIENCE)
    # Postgres lives on until somebody uses it and leaves
    wait_for(lambda: all("postgres" in words for words in map(command, home.processes()) if words))
    with running(home) as again:
        all_done(again, made, tmp_path)
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(PATIENCE) == 0
        wait_for(lambda: not home.processes(), but=lambda: str(home.processes()))
