"""The sensor under attack: clocks, cancelled runs, broken files, a publisher and a database that are away.

What is due stays due, is asked for again, and whoever looks is told why it waits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus, RunRequest

from varro_assets.defs import keys
from varro_assets.defs.unattended import changes, dead_runs, polling
from varro_assets.defs.unattended.attempts import Tried
from varro_assets.engine import locks
from varro_assets.engine.postgres import Connection
from varro_assets.errors import ConfigurationError, DatabaseUnavailable
from varro_assets.statbank import catalog, sync
from varro_assets.statbank.sweeps import due
from varro_assets.statbank.sweeps.due import State, Synced
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.defs.conftest import DUE
from varro_assets_tests.defs.daemon import Daemon
from varro_assets_tests.oracle import World, slowly

pytestmark = (
    pytest.mark.slow
)  # each case is a home of its own; the rules themselves are tested in properties/test_sweep.py

TABLE, OTHER, SPAN = "KORN2", "KORD1", "BARLOV1"
"""The periods of the last have names, and the catalogue's need not be the description's."""
TimeGoes = Callable[[timedelta], None]


def polls(requests: list[RunRequest]) -> list[RunRequest]:
    return [request for request in requests if keys.POLL_TAG in request.tags]


def tables(requests: list[RunRequest]) -> list[str]:
    return [request.tags[keys.TABLE_TAG] for request in requests if keys.TABLE_TAG in request.tags]


def published_anew(daemon: Daemon) -> None:
    """A new publication, polled outside Dagster, as the command does."""
    lab = daemon.lab
    lab.simulator.universe.publish_period(TABLE, "2025H1")
    catalogue = catalog.poll(lab.sources.client, lab.sources.catalogue).catalogue
    catalog.describe(lab.sources.client, lab.sources.catalogue, [TABLE], catalogue)


def test_what_somebody_cancelled_is_asked_for_again_after_a_while(held: Daemon, time_goes: TimeGoes) -> None:
    published_anew(held)
    (request,) = held.tick()
    held.lab.instance.report_run_canceled(held.begin(request))
    assert held.tick() == []
    assert f"({TABLE}: it was cancelled)" in held.skipped
    time_goes(timedelta(minutes=6))
    (again,) = held.tick()
    assert (again.tags[keys.ATTEMPT_TAG], again.tags[keys.SEGMENT_TAG]) == ("2", request.tags[keys.SEGMENT_TAG])


def test_a_first_poll_that_was_cancelled_is_asked_for_again(daemon: Daemon, time_goes: TimeGoes) -> None:
    (daemon.lab.sources.catalogue.folder / "catalog.json").unlink()
    (first,) = daemon.tick()
    run = daemon.begin(first)
    assert daemon.tick() == []
    daemon.lab.instance.report_run_canceled(run)
    time_goes(timedelta(minutes=6))
    (again,) = daemon.tick()
    assert keys.POLL_TAG in again.tags
    # and one that went well does not answer for a catalogue that was lost since
    assert daemon.execute(again).success
    (daemon.lab.sources.catalogue.folder / "catalog.json").unlink()
    time_goes(timedelta(minutes=6))
    assert len(polls(daemon.tick())) == 1


def test_a_poll_killed_between_two_descriptions_is_made_again(daemon: Daemon, time_goes: TimeGoes) -> None:
    lab = daemon.lab
    daemon.follow(TABLE, OTHER)
    run = daemon.begin(daemon.schedule()[0])
    catalogue = catalog.poll(lab.sources.client, lab.sources.catalogue).catalogue
    catalog.describe(lab.sources.client, lab.sources.catalogue, [TABLE], catalogue)
    # while it may live it is left to describe the other; what is described need not wait
    (request,) = daemon.tick()
    assert tables([request]) == [TABLE]
    lab.instance.report_run_failed(daemon.begin(request))
    for _ in range(3):
        time_goes(timedelta(seconds=45))
        requested = daemon.tick()
    assert daemon.status(run) is DagsterRunStatus.FAILURE
    assert tables(requested) == [OTHER]
    time_goes(timedelta(minutes=6))
    assert len(polls(daemon.tick())) == 1


@pytest.mark.parametrize("kind", ["html", *slowly("server_error", "error_200")])
def test_a_description_that_fails_keeps_nobody_waiting_and_makes_no_key(daemon: Daemon, kind: str) -> None:
    lab = daemon.lab
    daemon.follow(TABLE, SPAN)
    lab.simulator.fault(kind, path="tableinfo", table=SPAN, count=None)
    assert daemon.poll().success
    requested = {request.tags[keys.TABLE_TAG]: request for request in daemon.tick()}
    assert set(requested) == {TABLE, SPAN}
    assert list(lab.instance.get_dynamic_partitions(SPAN)) == []
    lab.simulator.faults.clear()
    result = daemon.execute(requested[SPAN])
    assert result.success, lab.why(result)
    lab.table = SPAN
    assert set(lab.colours(keys.fact(SPAN)).values()) == {"MATERIALIZED"}
    assert daemon.state() is State.CURRENT


@pytest.mark.parametrize("ahead", [timedelta(days=365), *slowly(timedelta(hours=1), timedelta(days=1))])
def test_a_clock_set_back_does_not_take_the_wait_away(held: Daemon, time_goes: TimeGoes, ahead: timedelta) -> None:
    World(held.lab.simulator, held.lab.sources).query("UPDATE meta.table_sync SET synced_at = now() + %s", ahead)
    held.rest()
    published_anew(held)
    (request,) = held.tick()
    held.lab.instance.report_run_failed(held.begin(request))
    assert held.tick() == []
    assert "1 waits after a failure and is tried again at" in held.skipped
    time_goes(timedelta(minutes=6))
    assert tables(held.tick()) == [TABLE]


def test_a_tick_says_that_it_requests_the_shared_documents(held: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    """ "Nothing is due" and then a run, which Dagster tells in the next line, would be a riddle."""
    for run in held.lab.instance.get_runs():
        held.lab.instance.delete_run(run.run_id)  # the one that wrote them
    (shared,) = held.tick()
    assert shared.asset_selection == [keys.SUBJECTS]
    said = capfd.readouterr().err
    assert "No table is due. Subject pages and other shared documents are brought up to date (1 run)." in said


def test_a_table_that_fails_for_ever_waits_longer_and_longer(held: Daemon, time_goes: TimeGoes) -> None:
    published_anew(held)
    keys_of, waits, waited = set(), [], timedelta(0)
    definitions = held.definitions()
    for _ in range(3):
        (request,) = held.tick()
        keys_of.add(request.run_key)
        held.lab.instance.report_run_failed(held.begin(request))
        # what fails is stamped by the real clock, so each wait is told from the beginning
        while not held.evaluate(definitions).run_requests:
            time_goes(timedelta(minutes=5))
            waited += timedelta(minutes=5)
        waits.append(waited)
    assert len(keys_of) == 3
    assert waits == [timedelta(minutes=minutes) for minutes in (5, 10, 20)]


def test_a_follow_file_that_cannot_be_read_is_named_and_nothing_is_forgotten(held: Daemon) -> None:
    published_anew(held)
    good = held.lab.settings.follow_file.read_text("utf-8")
    definitions = held.definitions()
    held.lab.settings.follow_file.write_text("[tables]\nfollow = [", "utf-8")
    with pytest.raises(ConfigurationError, match=r"varro\.toml"):
        held.evaluate(definitions)
    held.lab.settings.follow_file.write_text(good, "utf-8")
    assert tables(held.tick()) == [TABLE]


def test_a_warehouse_that_is_down_is_named_and_nothing_is_forgotten(
    held: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    published_anew(held)
    up = held.lab.sources.warehouse.get_secret_value()
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(DatabaseUnavailable):
        held.evaluate()
    monkeypatch.setenv("DATABASE_URL", up)
    assert tables(held.tick()) == [TABLE]


def test_a_table_unfollowed_while_it_is_due_is_left_alone(held: Daemon) -> None:
    published_anew(held)
    definitions = held.definitions()
    held.follow()
    assert held.evaluate(definitions).skip_message == "Nothing is due: 0 of 0 followed tables are up to date."
    held.follow(TABLE)
    assert tables(held.tick()) == [TABLE]


def test_two_daemons_ask_for_the_same_runs(held: Daemon) -> None:
    published_anew(held)
    one, other = held.evaluate(), held.evaluate()
    assert [request.run_key for request in one.run_requests] == [request.run_key for request in other.run_requests]
    assert one.dynamic_partitions_requests == other.dynamic_partitions_requests
    # another that has lost the cursor, too
    held.cursor = None
    assert [request.run_key for request in held.tick()] == [request.run_key for request in one.run_requests]


def test_a_first_poll_that_ends_during_a_tick_is_not_asked_for_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    (daemon.lab.sources.catalogue.folder / "catalog.json").unlink()
    (first,) = daemon.tick()
    real, results = polling.earlier_polls, list[Any]()

    def earlier_polls(instance: DagsterInstance, now: datetime) -> Tried:
        if not results:
            results.append(daemon.execute(first))
        return real(instance, now)

    monkeypatch.setattr(polling, "earlier_polls", earlier_polls)
    assert polls(daemon.tick()) == []
    assert [result.success for result in results] == [True]


def test_a_table_that_comes_in_during_a_tick_is_not_asked_for_again(
    held: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes it while it is read that it is not held, and has ended when it is asked who writes."""
    lab, real = held.lab, due.synced
    lab.query(f"DROP TABLE fact.{TABLE} CASCADE; SELECT 1")
    assert held.state() is State.REFILL
    with contextlib.ExitStack() as writer:
        writer.enter_context(locks.table_lock(lab.sources.warehouse, TABLE))

        def synced(connection: Connection) -> dict[str, Synced]:
            found = real(connection)
            writer.close()
            monkeypatch.setattr(due, "synced", real)
            sync.load_table(lab.sources, TABLE, Recorder())
            return found

        monkeypatch.setattr(due, "synced", synced)
        assert held.tick() == []
    assert held.skipped == "1 table is due: 1 under way."
    assert held.state() is State.CURRENT


@pytest.mark.slow  # a whole sync
def test_keys_of_a_dead_run_are_mended_also_if_the_tick_dies_that_marked_it(
    held: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, real = held.lab, changes.gather
    lab.good(config=DUE)
    job = held.definitions().resolve_implicit_global_asset_job_def()
    # by its creation the keys are planned; with the machine it died
    dead = lab.instance.create_run_for_job(
        job, asset_selection=frozenset(lab.synced_assets), tags={"dagster/partition": lab.periods[0]}
    )
    start = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=dead.job_name)
    lab.instance.report_dagster_event(start, dead.run_id)
    monkeypatch.setattr(dead_runs, "GRACE", dict.fromkeys(dead_runs.GRACE, timedelta(0)))
    monkeypatch.setattr(dead_runs, "is_ours", lambda run: run.run_id == dead.run_id)

    def die(*_: object, **__: object) -> NoReturn:
        raise DatabaseUnavailable("read what is synced", got="the daemon was killed")

    monkeypatch.setattr(changes, "gather", die)
    with pytest.raises(DatabaseUnavailable):
        held.tick()
    assert held.status(dead) is DagsterRunStatus.FAILURE
    assert lab.colours(lab.fact)[lab.periods[0]] == "FAILED"
    monkeypatch.setattr(changes, "gather", real)
    held.tick()
    assert set(lab.colours(lab.fact).values()) == {"MATERIALIZED"}
    assert set(lab.colours(lab.published).values()) == {"MATERIALIZED"}


@pytest.mark.slow  # two whole syncs
def test_a_backfill_from_the_ui_and_the_sensor_share_the_work(held: Daemon) -> None:
    lab = held.lab
    held.follow(TABLE, more=f'[table.{TABLE}]\nrefresh = "full"\n')
    published_anew(held)
    (request,) = held.tick()
    chosen = sorted(lab.periods)[-3:]
    lab.simulator.forget_requests()
    result = lab.run(chosen[0], chosen[-1])
    assert result.success, lab.why(result)
    assert held.execute(request).success
    asked = [code for batch in lab.asked() for code in batch]
    assert sorted(asked) == sorted(lab.periods), "each period once, whoever asked for it"
    World(lab.simulator, lab.sources).check(TABLE)
    assert held.state() is State.CURRENT


@pytest.mark.slow  # two whole syncs
def test_a_table_withdrawn_while_it_is_due_comes_in_when_it_is_back(held: Daemon, time_goes: TimeGoes) -> None:
    lab, universe = held.lab, held.lab.simulator.universe
    published_anew(held)
    (request,) = held.tick()
    universe.withdraw(TABLE, vanish=True)
    assert not held.execute(request).success
    held.tick()
    assert f"({TABLE}: " in held.skipped
    held.poll()
    held.tick()
    assert f"Followed and not in the catalogue: {TABLE}" in held.skipped
    universe.reinstate(TABLE)
    held.poll()
    time_goes(timedelta(minutes=6))
    assert all(result.success for result in held.settle())
    World(lab.simulator, lab.sources).check(TABLE)


def test_a_home_beside_does_not_answer_for_the_first_poll(daemon: Daemon) -> None:
    """Two homes on one storage of Dagster's: not a way to live, but neither must hang."""
    assert daemon.poll().success
    another = Daemon(replace(daemon.lab, instance=daemon.lab.instance))
    with contextlib.suppress(FileNotFoundError):
        (daemon.lab.sources.catalogue.folder / "catalog.json").unlink()
    assert len(polls(another.tick())) == 1
