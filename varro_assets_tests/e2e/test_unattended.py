"""``varro --demo up`` left to itself: what is published comes in, what is killed is done again, what fails is told.

Nothing here launches a run. Slow: real services, and a poll a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests

from varro_assets_tests.e2e.conftest import PATIENCE, Home, make_home, wait_for
from varro_assets_tests.e2e.dagster_ui import RUNS, Up, running
from varro_assets_tests.postgres_fixture import reachable
from varro_assets_tests.scripted_server import Reply, ScriptedServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
TABLES = ("KORD1", "KORN2")
POLLED = 900
"""Seconds, a deadline and no measure: a poll comes every minute, a tick every ten seconds, a run loads its table first,
and what could not be had for once is asked for again after five minutes."""


@pytest.fixture(scope="module")
def hook() -> Iterator[ScriptedServer]:
    with ScriptedServer([Reply(500), Reply(200)]).running() as server:
        yield server


@pytest.fixture(scope="module")
def up(hook: ScriptedServer) -> Iterator[Up]:
    """A new home that follows two tables and holds none; it is told of nothing but where its webhook is."""
    with reachable() as folder:
        home = make_home(folder / "home")
        home.environment["VARRO_WEBHOOK_URL"] = f"{hook.url}/hook"
        follow(home, *TABLES)
        try:
            with running(home) as started:
                yield started
        finally:
            home.end()


def follow(home: Home, *tables: str) -> None:
    demo = home.folder / "data" / "demo"
    demo.mkdir(parents=True, exist_ok=True)
    (demo / "varro.toml").write_text(f"[tables]\nfollow = {list(tables)}\n".replace("'", '"'), encoding="utf-8")


def told(up: Up) -> str:
    """How things stand, for a failure."""
    runs = up.ask(RUNS, filter={})["runsOrError"]["results"]
    lines = [f"{run['status']} {[tag['value'] for tag in run['tags']]}" for run in runs]
    return "\n".join([*lines, up.home.log()[-3000:]])


def holds(up: Up, table: str, newest: str) -> bool:
    """Whether the table is in, newest period and all, in both its assets and its document."""
    for path in (("statbank", table), ("fact", table.lower())):
        found = up.partitions(*path)
        stats = found.get("partitionStats") or {}
        if not stats or newest not in found["partitionKeys"] or stats["numMaterialized"] != stats["numPartitions"]:
            return False
    return f"{newest}" in document(up.home, table)


def document(home: Home, table: str) -> str:
    found = (home.folder / "data" / "demo" / "context" / "fact").rglob(f"{table.lower()}.md")
    return "".join(path.read_text(encoding="utf-8") for path in found)


def of_table(up: Up, table: str) -> list[dict[str, Any]]:
    """Its runs, newest first."""
    runs = up.ask(RUNS, filter={"tags": [{"key": "varro/table", "value": table}]})["runsOrError"]["results"]
    return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in runs]


def all_over(up: Up, table: str) -> bool:
    """Whether none of its runs is left that has not ended: its last words come after what `holds` sees."""
    return all(run["status"] in {"SUCCESS", "FAILURE", "CANCELED"} for run in of_table(up, table))


def fault(up: Up, **fields: Any) -> None:
    assert requests.post(f"{up.simulator}/faults", json=fields, timeout=PATIENCE).ok


def no_faults(up: Up) -> None:
    assert requests.delete(f"{up.simulator}/faults", timeout=PATIENCE).ok


def newest(table: str) -> str:
    return {"KORD1": "2024", "KORN2": "2024H2"}[table]


def test_a_new_home_fills_itself(up: Up) -> None:
    for table in TABLES:
        wait_for(lambda table=table: holds(up, table, newest(table)), POLLED, but=lambda: told(up))
        assert {run["tags"]["varro/launcher"] for run in of_table(up, table)} == {"sensor"}
        wait_for(lambda table=table: all_over(up, table), POLLED, but=lambda: told(up))
        for run in of_table(up, table):
            assert f"Loading the definitions of {table} alone." in up.messages(run["runId"])


def test_what_is_published_comes_in_by_itself(up: Up) -> None:
    before = len(of_table(up, "KORD1"))
    up.fetched("KORN2")
    up.publish(kind="publish_period", table="KORN2", tid="2025H1")
    wait_for(lambda: holds(up, "KORN2", "2025H1"), POLLED, but=lambda: told(up))
    assert "2025H1" in {code for batch in up.fetched("KORN2") for code in batch}
    assert "2025" in up.home.good("--demo", "sql", "SELECT max(tid) FROM fact.korn2")
    for table in TABLES:
        wait_for(lambda table=table: all_over(up, table), POLLED, but=lambda: told(up))
    # the table that did not change was left alone
    assert len(of_table(up, "KORD1")) == before
    assert "All is well" in up.home.good("--demo", "doctor")


def hanging_run(up: Up, table: str, tid: str) -> tuple[str, psutil.Process]:
    """Publish, and let the publisher hang: the run that fetches it, in the middle, and its process."""
    known = {run["runId"] for run in of_table(up, table)}
    fault(up, kind="timeout", table=table, path="data", seconds=3600, count=1)
    # emptied before there is anything to ask for
    up.fetched(table)
    up.publish(kind="publish_period", table=table, tid=tid)
    found: list[tuple[str, psutil.Process]] = []

    def there() -> bool:
        for run in of_table(up, table):
            if run["runId"] not in known and run["status"] == "STARTED":
                process = up.worker(run["runId"])
                log = requests.get(f"{up.simulator}/requests", timeout=PATIENCE).json()
                # the request that hangs is logged when it has its answer: the description before it is enough
                if process and any(line["table"] == table for line in log):
                    found.append((run["runId"], psutil.Process(process)))
                    return True
        return False

    wait_for(there, POLLED, but=lambda: told(up))
    time.sleep(2)
    return found[0]


def test_a_killed_worker_is_replaced(up: Up) -> None:
    run_id, process = hanging_run(up, "KORN2", "2025H2")
    process.kill()
    no_faults(up)
    wait_for(lambda: holds(up, "KORN2", "2025H2"), POLLED, but=lambda: told(up))
    (killed,) = [run for run in of_table(up, "KORN2") if run["runId"] == run_id]
    assert killed["status"] == "FAILURE"
    # begun again by Dagster itself, not by the sensor
    assert killed["tags"]["dagster/will_retry"] == "true"
    assert up.ended(killed["tags"]["dagster/auto_retry_run_id"]) == "SUCCESS"


def test_a_failure_that_will_not_pass_is_told_once_and_not_retried(up: Up, hook: ScriptedServer) -> None:
    assert hook.requests == [], "the killed worker was replaced, which is nobody's business"
    fault(up, kind="wrong_header", table="KORD1", path="data", count=None)
    up.publish(kind="publish_period", table="KORD1", tid="2025")
    wait_for(lambda: any(run["status"] == "FAILURE" for run in of_table(up, "KORD1")), POLLED, but=lambda: told(up))
    # the sensor tries again after five minutes; the webhook may hear of the first failure only after that
    no_faults(up)
    # the webhook is down the first time
    wait_for(lambda: len(hook.requests) >= 2, POLLED, but=lambda: told(up))
    first, second = (body for _, body in hook.requests[:2])
    assert first == second
    assert second["table"] == "KORD1"
    (run,) = [run for run in of_table(up, "KORD1") if run["status"] == "FAILURE"]
    assert second["run_id"] == run["runId"]
    assert run["tags"]["dagster/will_retry"] == "false"
    assert hook.url not in up.home.log()
    # more than a look of the sensor that tells
    time.sleep(70)
    assert len(hook.requests) == 2
