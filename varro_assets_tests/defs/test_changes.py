"""The sensor and the schedule on a real instance: what is published is synced without a hand, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from dagster import DagsterRunStatus, RunsFilter, build_sensor_context

from varro_assets.defs import graph, keys
from varro_assets.defs.unattended import changes, dead_runs, polling
from varro_assets.defs.unattended.dead_runs import launch_lock
from varro_assets.engine import locks
from varro_assets.settings import Settings
from varro_assets.statbank import catalog, fetching
from varro_assets.statbank.sweeps.due import State
from varro_assets_tests.defs.daemon import Daemon
from varro_assets_tests.oracle import World, slowly

TABLE, OTHER = "KORN2", "KORD1"
POLL = keys.CATALOGUE.to_user_string()


def test_a_table_comes_in_and_stays_current_by_itself(daemon: Daemon) -> None:
    lab = daemon.lab
    assert daemon.poll().success
    (request,) = daemon.tick()
    assert request.tags[keys.TABLE_TAG] == TABLE
    assert request.tags[keys.LAUNCHER_TAG] == "sensor"
    assert request.tags[keys.ATTEMPT_TAG] == "1"
    assert daemon.execute(request).success
    # what tables share follows when they are at rest, and then there is peace
    (shared,) = daemon.tick()
    assert shared.asset_selection == [keys.SUBJECTS]
    assert daemon.execute(shared).success
    assert daemon.tick() == []
    assert daemon.skipped == "Nothing is due: 1 of 1 followed tables are up to date."
    # published anew
    lab.simulator.universe.publish_period(TABLE, "2025H1")
    assert daemon.tick() == []
    lab.simulator.forget_requests()
    assert daemon.poll().success
    (request,) = daemon.tick()
    updated = lab.sources.catalogue.read().entries[TABLE].updated  # type: ignore[union-attr]
    assert request.tags[keys.UPDATED_TAG] == updated
    assert daemon.execute(request).success
    daemon.settle()
    assert "2025H1" in lab.loaded()
    assert set(lab.colours(lab.fact).values()) == {"MATERIALIZED"}
    sweeps = {run.tags.get(keys.SWEEP_TAG) for run in lab.instance.get_runs()[:3]}
    assert len(sweeps) == 1, "the poll, the table's run and that of the shared documents are one sweep"


def test_a_poll_without_change_is_one_request_and_a_tick_is_none(held: Daemon) -> None:
    assert held.poll().success
    assert len(held.lab.simulator.requests) == 1
    assert held.tick() == []
    assert len(held.lab.simulator.requests) == 1


@pytest.mark.slow  # three whole syncs
def test_segments_are_what_is_due_and_one_failure_is_repaired_alone(
    held: Daemon, time_goes: Callable[[timedelta], None]
) -> None:
    lab, world = held.lab, World(held.lab.simulator, held.lab.sources)
    # a first load that goes over the turn of a second reads the newest earlier
    world.query("UPDATE meta.period_read SET read_at = (SELECT min(read_at) FROM meta.period_read)")
    held.follow(TABLE, more=f'[table.{TABLE}]\nrefresh = "trailing"\ntrailing = 1\n')
    lab.simulator.universe.publish_period(TABLE, "2025H1")
    held.poll()
    # the new one, and the longest unread at the other end
    good, bad = held.tick()
    assert [good.tags[keys.SEGMENT_TAG], bad.tags[keys.SEGMENT_TAG]] == ["2019H1...2019H1", "2025H1...2025H1"]
    assert held.execute(good).success
    # asked twice, by a second daemon say, it finds nothing left to read
    assert held.execute(good).success
    assert lab.asked() == [["2019H1"]]
    lab.simulator.fault("garbage", path="data", count=None)
    assert not held.execute(bad).success
    lab.simulator.faults.clear()
    lab.simulator.forget_requests()
    assert held.tick() == []
    assert "1 table is due: 1 waits after a failure and is tried again at" in held.skipped
    assert f"({TABLE}: " in held.skipped
    time_goes(timedelta(minutes=6))
    (again,) = held.tick()
    assert (again.tags[keys.ATTEMPT_TAG], again.tags[keys.SEGMENT_TAG]) == ("2", bad.tags[keys.SEGMENT_TAG])
    assert held.execute(again).success
    held.settle()
    assert lab.asked() == [["2025H1"]], "only what was not yet read of this publication is read again"
    world.check(TABLE)


@pytest.mark.slow  # five runs
def test_after_a_lost_warehouse_no_run_is_asked_for_in_vain(
    daemon: Daemon, time_goes: Callable[[timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filled from the files it does not know when these were read; only a run does, which looks into them."""
    lab, world = daemon.lab, World(daemon.lab.simulator, daemon.lab.sources)
    daemon.follow(TABLE, more=f'[table.{TABLE}]\nrefresh = "trailing"\ntrailing = 1\n')
    real = fetching._fetch_batch

    def slow(*arguments: Any, **options: Any) -> Any:
        time_goes(timedelta(seconds=10))
        return real(*arguments, **options)

    # a first load of several requests, as at the real publisher: the newest is read first
    monkeypatch.setattr(fetching, "_fetch_batch", slow)
    monkeypatch.setattr(fetching, "TARGET_BYTES", 1)
    daemon.poll()
    daemon.settle()
    world.query(f"DROP TABLE fact.{TABLE.lower()}")
    world.query("TRUNCATE meta.period_read, meta.period_load, meta.table_sync")
    time_goes(timedelta(hours=1))  # the first load is to the new database an attempt in vain
    daemon.settle()
    assert world.state(TABLE) is State.CURRENT
    for new, turn, runs in (("2025H1", ["2024H2"], 1), ("2025H2", ["2019H1", "2019H2"], 2)):
        time_goes(timedelta(days=7))
        lab.simulator.universe.publish_period(TABLE, new)
        daemon.poll()
        lab.simulator.forget_requests()
        before = len(daemon.launched)
        daemon.settle()
        asked = [request for request in daemon.launched[before:] if keys.TABLE_TAG in request.tags]
        # one that finds out by itself, and then one for each stretch
        assert [request.tags[keys.ATTEMPT_TAG] for request in asked] == ["1"] * runs
        assert sorted(code for batch in lab.asked() for code in batch) == [*turn, new]
        assert world.state(TABLE) is State.CURRENT
    world.check(TABLE)


def test_who_is_under_way_is_left_alone(daemon: Daemon) -> None:
    daemon.poll()
    with locks.table_lock(daemon.lab.sources.warehouse, TABLE):
        assert daemon.tick() == []
        assert daemon.skipped == "1 table is due: 1 under way."
    # by the command, between two of its steps
    with locks.table_lock(daemon.lab.sources.warehouse, launch_lock(TABLE)):
        assert daemon.tick() == []
    (request,) = daemon.tick()
    daemon.begin(request)
    assert daemon.tick() == []


def test_a_run_whose_process_died_is_marked_and_asked_for_again(
    daemon: Daemon, time_goes: Callable[[timedelta], None]
) -> None:
    daemon.poll()
    (request,) = daemon.tick()
    run = daemon.begin(request)

    def looks(number: int, after: timedelta = timedelta(seconds=31)) -> DagsterRunStatus:
        for _ in range(number):
            time_goes(after)
            daemon.tick()
        return daemon.status(run)

    assert daemon.tick() == []
    # it lives: an op of it holds its lock
    with locks.table_lock(daemon.lab.sources.warehouse, f"run:{run.run_id}"):
        assert looks(4) is DagsterRunStatus.STARTED
    assert looks(3) is DagsterRunStatus.STARTED
    assert looks(1) is DagsterRunStatus.FAILURE
    time_goes(timedelta(minutes=6))
    (again,) = daemon.tick()
    assert again.tags[keys.ATTEMPT_TAG] == "2"
    assert again.run_key != request.run_key


def test_the_tick_that_marks_a_dead_run_asks_for_no_other(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_runs, "GRACE", dict.fromkeys(dead_runs.GRACE, timedelta(0)))
    daemon.poll()
    (request,) = daemon.tick()
    run = daemon.begin(request)
    # its end lies after the moment at which the tick began; Dagster may begin it again, and else it has its pause
    assert [daemon.tick(), daemon.tick()] == [[], []]
    assert daemon.status(run) is DagsterRunStatus.FAILURE


@pytest.mark.parametrize("jump", [timedelta(days=1), *slowly(timedelta(hours=-1), timedelta(days=-365))])
def test_a_run_is_not_dead_because_the_clock_was_set_or_the_machine_slept(
    daemon: Daemon, time_goes: Callable[[timedelta], None], jump: timedelta
) -> None:
    daemon.poll()
    (request,) = daemon.tick()
    run = daemon.begin(request)
    daemon.tick()
    time_goes(jump)
    daemon.tick()
    assert daemon.status(run) is DagsterRunStatus.STARTED
    for _ in range(2):
        time_goes(timedelta(seconds=61))
        daemon.tick()
    assert daemon.status(run) is DagsterRunStatus.FAILURE, "it is dead all the same"


@pytest.mark.parametrize(
    "cursor",
    [
        None,
        '{"silent": {"run": "2025-09-05T08:00:00+00:00"}}',  # of an earlier version
        *slowly("", "{", "null", "[]", '{"silent": 3}', '{"after": "NO1"}', '{"looked_at": "2025-09-05T08:00:00"}'),
    ],
)
def test_a_cursor_that_is_lost_loses_nothing(daemon: Daemon, cursor: str | None) -> None:
    daemon.poll()
    daemon.cursor = cursor
    assert len(daemon.tick()) == 1


def test_a_restart_between_registering_and_requesting_loses_nothing(held: Daemon) -> None:
    lab = held.lab
    lab.simulator.universe.publish_period(TABLE, "2025H1")
    catalogue = catalog.poll(lab.sources.client, lab.sources.catalogue).catalogue
    catalog.describe(lab.sources.client, lab.sources.catalogue, [TABLE], catalogue)
    assert held.tick(asked_also=False) == []
    assert "2025H1" in lab.instance.get_dynamic_partitions(TABLE)
    assert [request.tags[keys.ATTEMPT_TAG] for request in held.tick()] == ["1"]


def test_a_poll_that_fails_half_way_is_asked_for_again(daemon: Daemon, time_goes: Callable[[timedelta], None]) -> None:
    lab = daemon.lab
    lab.simulator.fault("html", path="tables", count=None)
    assert not daemon.poll().success
    lab.simulator.faults.clear()
    daemon.follow()
    assert daemon.tick() == []
    assert daemon.skipped.startswith("The last poll came to nothing (Could not fetch the catalogue"), daemon.skipped
    daemon.follow(TABLE)
    time_goes(timedelta(minutes=6))
    (again,) = [request for request in daemon.tick() if keys.POLL_TAG in request.tags]
    # a second daemon, or a tick before it has run, asks by the same key
    assert [r.run_key for r in Daemon(lab).tick() if keys.POLL_TAG in r.tags] == [again.run_key]
    assert daemon.execute(again).success
    assert [request for request in daemon.tick() if keys.POLL_TAG in request.tags] == []


@pytest.mark.slow  # several whole syncs each
@pytest.mark.parametrize("what", ["regress", "reshape", "drop", "front", "end", "insert"])
def test_what_the_publisher_may_do(held: Daemon, what: str) -> None:
    lab, universe = held.lab, held.lab.simulator.universe
    before = universe.table(TABLE)
    first, second, *_middle, last = lab.periods if lab.periods[0] < lab.periods[-1] else lab.periods[::-1]
    gone = {"drop": [first], "front": [first, second], "end": [last], "insert": ["2020H2"]}.get(what, [])
    if what == "regress":
        universe.regress(TABLE)
    elif what == "reshape":
        universe.change_dimensions(TABLE)
    for code in gone:
        universe.drop_period(TABLE, code)
    held.poll()
    assert held.tick()
    assert all(result.success for result in held.settle())
    world = World(lab.simulator, lab.sources)
    world.check(TABLE, kept=dict.fromkeys(gone, before))
    if what == "insert":
        universe.insert_period(TABLE, *gone)
        held.poll()
        assert all(result.success for result in held.settle())
        world.check(TABLE)
    assert held.settle() == []
    assert held.skipped.startswith("Nothing is due")


def test_a_table_that_left_the_catalogue_is_told_of(held: Daemon) -> None:
    held.lab.simulator.universe.withdraw(TABLE)
    held.poll()
    assert held.tick() == []
    assert f"Followed and not in the catalogue: {TABLE}" in held.skipped
    # and is as it was when it is back
    held.lab.simulator.universe.reinstate(TABLE)
    catalog.poll(held.lab.sources.client, held.lab.sources.catalogue)
    held.tick()
    assert "not in the catalogue" not in held.skipped


@pytest.mark.slow  # a whole sync
def test_a_dropped_table_is_refilled_without_a_request(held: Daemon) -> None:
    lab = held.lab
    world = World(lab.simulator, lab.sources)
    world.query(f"DROP TABLE fact.{TABLE.lower()}")
    (request,) = held.tick()
    assert keys.published(TABLE) not in (request.asset_selection or ())
    assert held.execute(request).success
    assert not list(lab.simulator.requests)
    world.check(TABLE)


@pytest.mark.slow  # several whole syncs
def test_a_publication_after_the_poll_is_not_asked_for_over_and_over(daemon: Daemon) -> None:
    daemon.poll()
    daemon.lab.simulator.universe.touch(TABLE)
    daemon.settle()
    assert daemon.tick() == []
    daemon.poll()
    assert daemon.settle() == []


def test_a_table_followed_since_is_asked_to_be_loaded(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = daemon.lab
    daemon.poll()
    asked: list[str] = []
    monkeypatch.setattr("varro_assets.defs.unattended.reloading.reload", lambda url: asked.append(url) or [])
    definitions = graph.definitions(lab.settings)
    daemon.follow(TABLE, OTHER)
    sensor = definitions.resolve_sensor_def(changes.NAME)
    cursor = None
    for _ in range(2):
        context = build_sensor_context(instance=lab.instance, cursor=cursor, definitions=definitions)
        data = sensor.evaluate_tick(context)  # type: ignore[union-attr]
        cursor = data.cursor
        assert [request.tags[keys.TABLE_TAG] for request in data.run_requests or ()] == [TABLE]
    assert asked == [lab.settings.varro_ui_url]


def test_no_web_server_is_said(held: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = held.lab
    monkeypatch.setenv("VARRO_UI_URL", "http://127.0.0.1:9")
    definitions = graph.definitions(lab.settings)
    held.follow(TABLE, OTHER)
    context = build_sensor_context(instance=lab.instance, definitions=definitions)
    data = definitions.resolve_sensor_def(changes.NAME).evaluate_tick(context)  # type: ignore[union-attr]
    assert "Set VARRO_UI_URL" in (data.skip_message or "")


@pytest.mark.parametrize(
    ("poll", "cron", "zone"),
    [
        ("weekly", "0 22 * * 0", "UTC"),
        ("daily", "5 8 * * *", "Europe/Copenhagen"),
        ("*/5 * * * *", "*/5 * * * *", "UTC"),
    ],
)
def test_the_schedule(settings: Settings, poll: str, cron: str, zone: str) -> None:
    schedule = polling.poll_schedule(settings.model_copy(update={"varro_poll": poll}))
    assert schedule is not None
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, zone)


def test_a_poll_that_is_under_way_is_not_scheduled_again(daemon: Daemon) -> None:
    lab = daemon.lab
    (request,) = daemon.schedule()
    job = graph.definitions(lab.settings).resolve_implicit_global_asset_job_def()
    lab.instance.create_run_for_job(job, tags=dict(request.tags))
    assert daemon.schedule() == []
    assert lab.instance.get_runs(RunsFilter(tags={keys.POLL_TAG: POLL}))


def test_no_schedule_if_it_is_off(settings: Settings) -> None:
    assert polling.poll_schedule(settings.model_copy(update={"varro_poll": "off"})) is None
