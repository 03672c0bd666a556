"""The sync op under Dagster: what it fetches for which run, what it reports, and what turns red."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, Failure
from psycopg2 import sql
from pydantic import SecretStr

from varro_assets.defs import keys
from varro_assets.defs.events import DATA_VERSION_TAG, PartitionEvents, register_periods
from varro_assets.defs.tables import Periods, SyncConfig
from varro_assets.defs.unattended import dead_runs
from varro_assets.engine import locks
from varro_assets.engine.planning import Refresh
from varro_assets.engine.server.provision import OWNER
from varro_assets.engine.server.server import Endpoint
from varro_assets.follow import TableOptions
from varro_assets.statbank import catalog, fetching, sync
from varro_assets.statbank.sweeps.due import State
from varro_assets_tests.defs.conftest import DUE, Lab
from varro_assets_tests.defs.daemon import Daemon
from varro_assets_tests.postgres_fixture import administrator, when_left

GREEN, RED, GREY = "MATERIALIZED", "FAILED", "MISSING"


# -- what is fetched and reported ----------------------------------------------------------------------------------


def test_first_run_with_a_range_of_one_key_brings_in_and_reports_everything(lab: Lab) -> None:
    lab.good(config=DUE)

    assert lab.instance.get_dynamic_partitions(lab.table)[1:] == lab.periods[1:]
    for asset in (lab.published, lab.fact):
        assert sorted(lab.reported(asset)) == sorted(lab.periods)
        assert set(lab.colours(asset).values()) == {GREEN}
        assert set(lab.outcomes(asset).values()) == {"new"}
    assert lab.reported(lab.summary) == [None]


def test_an_event_says_how_much_is_held_and_its_data_version_is_the_content(lab: Lab) -> None:
    lab.run(config=DUE)

    held = sync.held_periods(lab.sources, lab.table)
    for asset in (lab.published, lab.fact):
        for entry in lab.records(asset):
            part = held[entry.dagster_event.partition]
            event = entry.asset_materialization
            said = {name: value.value for name, value in event.metadata.items()}
            assert said["dagster/partition_row_count"] == part.rows > 0
            assert said["bytes"] == part.path.stat().st_size
            assert said["nulls"] == part.nulls
            assert said["content_hash"] == part.content_hash == event.tags[DATA_VERSION_TAG]
            assert said["updated"] == "2025-05-27T08:00:00"
            assert said["path"] == str(part.path)
            assert part.period in event.description


def test_the_fact_event_carries_the_columns_with_their_meaning(lab: Lab) -> None:
    lab.run(config=DUE)

    schema = lab.records(lab.fact)[0].asset_materialization.metadata["dagster/column_schema"].schema
    assert [column.name for column in schema.columns] == ["afgrode", "aktor", "tid", "indhold"]
    assert [column.type for column in schema.columns] == ["text", "text", "date", "double precision"]
    assert all(column.description for column in schema.columns)


def test_the_first_key_that_is_registered_is_the_oldest(lab: Lab) -> None:
    lab.run(unpartitioned=True, select=[lab.summary])

    assert lab.instance.get_dynamic_partitions(lab.table) == lab.periods


def test_a_single_key_fetches_exactly_that_key(lab: Lab) -> None:
    lab.synced()
    newest = lab.periods[-1]

    result = lab.good(newest)

    assert lab.asked() == [[newest]]
    assert lab.outcomes(lab.published, result) == {newest: "unchanged"}


def test_a_single_key_of_a_table_never_synced_fetches_exactly_that_key(lab: Lab) -> None:
    wanted = lab.periods[3]

    lab.good(wanted)

    assert lab.asked() == [[wanted]]
    assert set(lab.loaded()) == {wanted}
    colours = lab.colours(lab.fact)
    assert colours.pop(wanted) == GREEN
    assert set(colours.values()) == {GREY}
    # not all of it is in, so the table must stay due
    assert lab.query("SELECT count(*) FROM meta.table_sync") == [(0,)]


def test_a_range_fetches_its_keys(lab: Lab) -> None:
    lab.synced()
    first, *_between, last = wanted = lab.periods[2:6]

    result = lab.good(first, last)

    assert sorted(code for batch in lab.asked() for code in batch) == wanted
    assert sorted(lab.outcomes(lab.fact, result)) == wanted


def test_whether_selected_keys_complete_a_table_is_for_its_own_policy_to_say(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    Daemon(lab).follow(lab.table, more=f'[table.{lab.table}]\nrefresh = "full"\n')
    lab.synced()
    monkeypatch.setattr(fetching, "TARGET_BYTES", 1)  # by default such a table would not be read whole
    # the newest six and the longest unread of the others: all that would be due by default
    selected = lab.periods[-7:]
    lab.query(
        f"UPDATE meta.period_read SET read_at = read_at - interval '1 h' WHERE tid_code = '{selected[0]}' RETURNING 1"
    )
    lab.simulator.universe.revise(lab.table, lab.periods[0])
    catalog.poll(lab.sources.client, lab.sources.catalogue)

    lab.good(selected[0], selected[-1])

    assert sorted(code for batch in lab.asked() for code in batch) == selected
    assert Daemon(lab).state() is State.CHANGED

    lab.good(config={"periods": "DUE"})

    assert sorted(code for batch in lab.asked() for code in batch) == lab.periods
    assert Daemon(lab).state() is State.CURRENT


@pytest.mark.parametrize("periods", list(Periods))
def test_every_scope_carries_the_policy_of_the_table(periods: Periods) -> None:
    options = TableOptions(trailing=3, refresh=Refresh.FULL)
    scope = SyncConfig(periods=periods).scope(["2024"], options)
    assert (scope.trailing, scope.refresh) == (3, Refresh.FULL)
    assert scope.only == (("2024",) if periods is Periods.SELECTED else None)


def test_only_what_changed_is_reported_beyond_the_range(lab: Lab) -> None:
    lab.synced()
    revised, unasked = lab.periods[-3], lab.periods[0]
    lab.simulator.universe.revise(lab.table, revised)

    result = lab.good(unasked, config=DUE)

    assert sorted(code for batch in lab.asked() for code in batch) == lab.periods
    assert lab.outcomes(lab.published, result) == {unasked: "unchanged", revised: "revised"}


def test_the_summary_alone_is_a_sync_without_any_partition(lab: Lab) -> None:
    lab.good(unpartitioned=True, select=[lab.summary])

    assert set(lab.loaded()) == set(lab.periods)
    said = {name: value.value for name, value in lab.records(lab.summary)[0].asset_materialization.metadata.items()}
    assert said["periods"] == said["periods_new"] == len(lab.periods)
    assert said["dagster/row_count"] == sum(lab.loaded().values())
    assert said["updated"] == "2025-05-27T08:00:00"


def test_the_summary_alone_shows_what_it_changed_in_the_other_two(lab: Lab) -> None:
    lab.run(unpartitioned=True, select=[lab.summary])

    for asset in (lab.published, lab.fact):
        assert set(lab.colours(asset).values()) == {GREEN}
        assert sorted(lab.reported(asset)) == sorted(lab.periods)


def test_the_fact_alone_is_filled_without_asking_the_publisher(lab: Lab) -> None:
    lab.synced()
    lab.query("DROP TABLE fact.korn2; SELECT 1")

    result = lab.good(lab.periods[0], select=[lab.fact], config={"periods": "ALL"})

    assert lab.simulator.requests == []
    assert set(lab.loaded()) == set(lab.periods)
    assert lab.query("SELECT count(*) FROM fact.korn2") == [(sum(lab.loaded().values()),)]
    assert lab.reported(lab.published, result) == []


def test_a_single_fact_key_is_loaded_from_its_file(lab: Lab) -> None:
    lab.synced()
    code = lab.periods[2]

    result = lab.good(code, select=[lab.fact])

    assert lab.simulator.requests == []
    assert lab.outcomes(lab.fact, result) == {code: "unchanged"}


def test_parquet_alone_leaves_the_warehouse_as_it_is(lab: Lab) -> None:
    lab.good(select=[lab.published], config=DUE)

    assert sorted(sync.held_periods(lab.sources, lab.table)) == sorted(lab.periods)
    assert lab.loaded() == {}
    assert lab.reported(lab.fact) == []
    assert lab.query("SELECT count(*) FROM meta.table_sync") == [(0,)]


def test_periods_that_are_no_longer_published_stay(lab: Lab) -> None:
    lab.synced()
    gone = lab.periods[-1]
    lab.simulator.universe.drop_period(lab.table, gone)

    result = lab.good(lab.periods[0], config=DUE)

    assert gone not in [code for batch in lab.asked() for code in batch]
    assert lab.colours(lab.published)[gone] == lab.colours(lab.fact)[gone] == GREEN
    summary = lab.records(lab.summary, result)[0].asset_materialization.metadata
    assert summary["periods_kept"].value == 1


def test_a_new_period_in_the_middle_is_added_at_the_end_of_the_stored_keys(lab: Lab) -> None:
    lab.synced()
    before = lab.instance.get_dynamic_partitions(lab.table)
    lab.simulator.universe.insert_period(lab.table)
    (inserted,) = set(lab.periods) - set(before)

    result = lab.good(before[-1], config=DUE)

    assert lab.instance.get_dynamic_partitions(lab.table) == [*before, inserted]
    assert lab.outcomes(lab.fact, result)[inserted] == "new"


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_failing_run_turns_no_key_red_that_is_as_good_as_before(lab: Lab) -> None:
    lab.synced()
    lab.simulator.universe.touch(lab.table)
    lab.simulator.fault("garbage", table=lab.table, path="data")

    result = lab.run(lab.periods[-6], lab.periods[-1], config=DUE)

    assert not result.success
    assert set(lab.colours(lab.published).values()) == set(lab.colours(lab.fact).values()) == {GREEN}
    assert set(lab.outcomes(lab.fact, result).values()) == {"held"}


def test_a_new_key_that_failed_is_red_until_the_next_good_run_even_beyond_its_range(lab: Lab) -> None:
    lab.synced()
    lab.simulator.universe.publish_period(lab.table)
    new = lab.periods[-1]
    register_periods(lab.instance, lab.table, [new])
    lab.simulator.fault("garbage", table=lab.table, path="data")

    failed = lab.run(lab.periods[-3], new, config=DUE)

    assert not failed.success
    colours = lab.colours(lab.published)
    assert colours.pop(new) == RED
    assert set(colours.values()) == {GREEN}

    lab.good(lab.periods[0], config=DUE)

    assert set(lab.colours(lab.published).values()) == set(lab.colours(lab.fact).values()) == {GREEN}


def test_a_permanent_failure_must_not_be_retried(lab: Lab) -> None:
    lab.simulator.fault("garbage", table=lab.table, path="data")

    with pytest.raises(Failure) as failed:
        lab.run(config=DUE, raising=True)

    assert "KORN2" in str(failed.value.description)
    assert failed.value.metadata["error"].value == "InvalidValue"
    assert failed.value.allow_retries is False


def test_a_transient_failure_may_be_retried(lab: Lab) -> None:
    lab.simulator.fault("cut", table=lab.table, path="data", count=None, bytes=30)

    with pytest.raises(Failure) as failed:
        lab.run(config=DUE, raising=True)

    assert failed.value.metadata["error"].value == "BrokenStream"
    assert failed.value.allow_retries is True


def test_a_database_that_cannot_be_reached_may_be_retried(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/nothing")

    with pytest.raises(Failure) as failed:
        lab.run(config=DUE, raising=True)

    assert failed.value.allow_retries is True
    assert "secret" not in str(failed.value.description)


def test_a_period_that_reached_the_files_and_not_the_warehouse_is_red_and_healed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.synced()
    revised = lab.periods[-2]
    lab.simulator.universe.revise(lab.table, revised)

    def refuse(*_: Any, **__: Any) -> int:
        from varro_assets.errors import DatabaseUnavailable

        raise DatabaseUnavailable("load", on="fact.korn2", got="the server went away")

    with monkeypatch.context() as broken:
        broken.setattr("varro_assets.statbank.sync.FactLoader.load_all", refuse)
        failed = lab.run(lab.periods[-6], lab.periods[-1], config=DUE)

    assert not failed.success
    assert lab.colours(lab.fact)[revised] == RED
    assert list(lab.colours(lab.fact).values()).count(RED) == 1

    lab.good(lab.periods[0], config=DUE)
    assert set(lab.colours(lab.fact).values()) == {GREEN}
    assert lab.outcomes(lab.fact)[revised] in {"unchanged", "revised", "held"}


def test_what_a_killed_run_stored_and_did_not_report_is_reported_by_the_next(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As sudden as a kill: nothing of ours handles it."""

    def die(_self: object, _report: object) -> None:
        raise Killed

    with monkeypatch.context() as broken, contextlib.suppress(Killed):
        broken.setattr(PartitionEvents, "flush", lambda _self: None)
        broken.setattr(PartitionEvents, "finished", die)
        lab.run(config=DUE)
    assert sorted(sync.held_periods(lab.sources, lab.table)) == sorted(lab.periods)
    assert lab.reported(lab.published) == []

    lab.good(lab.periods[0], config=DUE)

    assert set(lab.colours(lab.published).values()) == set(lab.colours(lab.fact).values()) == {GREEN}


def test_a_run_after_a_failed_first_load_fetches_only_what_is_missing(lab: Lab) -> None:
    lab.simulator.fault("garbage", table=lab.table, path="data", nth=2)
    failed = lab.run(config=DUE)
    assert not failed.success
    in_already = [code for code, colour in lab.colours(lab.fact).items() if colour == GREEN]
    assert in_already == [lab.periods[-1]]
    lab.simulator.forget_requests()

    lab.good(lab.periods[-1], config=DUE)

    asked = sorted(code for batch in lab.asked() for code in batch)
    assert asked == sorted(set(lab.periods) - set(in_already))
    assert set(lab.colours(lab.fact).values()) == {GREEN}


def test_a_period_that_shrinks_is_not_believed_until_told_so(lab: Lab) -> None:
    lab.synced()
    code = lab.periods[-1]
    before = lab.loaded()[code]
    lab.simulator.universe.shrink(lab.table, code, keep=0.2)

    doubted = lab.run(code, config=DUE)

    assert doubted.success
    assert lab.outcomes(lab.fact, doubted)[code] == "shrunk"
    assert lab.loaded()[code] == before

    believed = lab.run(code, config={**DUE, "accept_shrink": True})

    assert lab.outcomes(lab.fact, believed)[code] == "revised"
    assert lab.loaded()[code] < before


# -- Dagster's storage in Postgres -----------------------------------------------------------------------------------


@pytest.fixture
def postgres_instance(postgres_server: Endpoint, warehouse_database: str, tmp_path: Any) -> Iterator[DagsterInstance]:
    name = f"{warehouse_database}_dagster"
    connection = administrator(postgres_server)
    with connection.cursor() as cursor:
        when_left(cursor, sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
    url = postgres_server.url(name, OWNER).get_secret_value()
    home = tmp_path / "dagster_home"
    home.mkdir()
    storage = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    with DagsterInstance.local_temp(str(home), overrides=storage) as instance:
        yield instance
    with connection.cursor() as cursor:
        when_left(cursor, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", ["0", "4", "100"])
def test_in_postgres_events_read_the_same_stored_in_batches_or_one_by_one(
    make_lab: Callable[[DagsterInstance], Lab],
    postgres_instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: str,
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", batch_size)
    lab = make_lab(postgres_instance)

    lab.good(config=DUE)

    for asset in (lab.published, lab.fact):
        assert sorted(lab.reported(asset)) == sorted(lab.periods)
        assert set(lab.colours(asset).values()) == {GREEN}
        versions = {entry.asset_materialization.tags[DATA_VERSION_TAG] for entry in lab.records(asset)}
        assert versions == {part.content_hash for part in sync.held_periods(lab.sources, lab.table).values()}
        last = postgres_instance.get_latest_materialization_event(asset)
        assert last is not None
        assert last.dagster_event is not None
        assert last.dagster_event.partition in lab.periods
    assert {AssetKey(["statbank", "KORN2"]), AssetKey(["fact", "korn2"])} <= set(postgres_instance.all_asset_keys())


def test_two_tables_in_one_run_wait_for_nobody(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the UI launches what is selected together: every op of the run shows that it lives."""
    lab = daemon.lab
    daemon.follow("KORN2", "KORD1")

    def refuse(seconds: float) -> None:
        pytest.fail(f"somebody waits for a lock: {seconds} s")

    # the name in that module alone: others of this process, its threads too, may sleep
    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=time.monotonic, sleep=refuse))
    tables = ("KORN2", "KORD1")
    result = lab.materialise(*(key(table) for table in tables for key in (keys.summary, keys.links, keys.document)))
    assert result.success, lab.why(result)
    assert len(lab.steps(result)) == 4
    assert set(lab.query("SELECT table_id FROM meta.table_sync")) == {("KORN2",), ("KORD1",)}


def test_an_op_that_ends_leaves_the_sign_of_life_of_another(warehouse_url: str) -> None:
    url = SecretStr(warehouse_url)
    with dead_runs.alive(url, "1"):
        with dead_runs.alive(url, "1"):
            pass
        assert locks.holder(url, dead_runs.run_lock("1"))
    assert locks.holder(url, dead_runs.run_lock("1")) is None
