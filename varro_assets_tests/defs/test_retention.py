"""Retention: old runs go, and nothing that Dagster shows of periods and checks changes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as db
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    DynamicPartitionsDefinition,
    MetadataValue,
)
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import AssetMaterializationPlannedData, JobFailureData, StepMaterializationData
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.test_utils import create_run_for_test
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from varro_assets.defs import keys
from varro_assets.defs.unattended import retention
from varro_assets.defs.unattended.retention import FinishedRun, deletable, delete_old_runs
from varro_assets.engine import clock
from varro_assets.settings import Settings

pytestmark = pytest.mark.slow  # each case is years of runs

TABLE, YEARS = "KORN2", [str(year) for year in range(2019, 2025)]
NOW = datetime.now(UTC)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PERIODS = DynamicPartitionsDefinition(name=TABLE)
SUMMARY = keys.summary(TABLE)


@pytest.fixture
def stored(warehouse_url: str, tmp_path: Path) -> Iterator[DagsterInstance]:
    """Dagster with Postgres behind it, as in earnest."""
    storage = {"storage": {"postgres": {"postgres_url": warehouse_url}}, "telemetry": {"enabled": False}}
    (tmp_path / "dagster.yaml").write_text(json.dumps(storage), encoding="utf-8")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        # it keeps its connections; else it opens one for each of some thousand questions
        instance.optimize_for_webserver(statement_timeout=240_000, pool_recycle=60, max_overflow=5)
        yield instance


def run(instance: DagsterInstance, *writing: str, age_days: float, **tags: str) -> str:
    """A run that ended so long ago, by its events; without periods it fails, in the newest one."""
    published, check = keys.published(TABLE), AssetCheckKey(SUMMARY, "complete")
    made = create_run_for_test(
        instance,
        job_name="sync",
        tags={keys.TABLE_TAG: TABLE, **{f"varro/{name}": value for name, value in tags.items()}},
    )
    run_id = made.run_id

    def event(kind: DagsterEventType, data: Any, step: str | None = "sync") -> None:
        instance.report_dagster_event(DagsterEvent(kind.value, "sync", step_key=step, event_specific_data=data), run_id)

    event(DagsterEventType.RUN_START, None, None)
    for period in writing or YEARS[-1:]:
        planned = AssetMaterializationPlannedData(published, partition=period)
        event(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, planned)
    event(
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        AssetCheckEvaluationPlanned(asset_key=SUMMARY, check_name=check.name),
    )
    for period in writing:
        materialization = AssetMaterialization(published, partition=period, metadata={"run": run_id})
        event(DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(materialization))
    if writing:
        summary = AssetMaterialization(SUMMARY, metadata={"periods": len(writing)})
        event(DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(summary))
        found = AssetCheckEvaluation(
            asset_key=SUMMARY, check_name=check.name, passed=True, metadata={"n": MetadataValue.int(len(writing))}
        )
        event(DagsterEventType.ASSET_CHECK_EVALUATION, found)
        event(DagsterEventType.RUN_SUCCESS, None, None)
    else:
        event(DagsterEventType.RUN_FAILURE, JobFailureData(None), None)
    logs = Path(instance.storage_directory()) / run_id / "compute_logs"
    logs.mkdir(parents=True)
    (logs / "sync.err").write_text("something", encoding="utf-8")
    aged(instance, run_id, age_days)
    return run_id


def aged(instance: DagsterInstance, run_id: str, days: float) -> None:
    moment = NOW - timedelta(days=days)
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.execute(
            RunsTable.update()
            .where(RunsTable.c.run_id == run_id)
            .values(
                create_timestamp=moment.replace(tzinfo=None),
                start_time=moment.timestamp(),
                end_time=moment.timestamp() + 5,
            )
        )


def shown(instance: DagsterInstance) -> dict[str, Any]:
    """What the UI says of the table: each period's colour and metadata, the summary, the check."""
    published = keys.published(TABLE)
    known = instance.get_dynamic_partitions(TABLE)
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        published, DagsterEventType.ASSET_MATERIALIZATION
    )
    summary = instance.get_latest_materialization_event(SUMMARY)
    (check,) = instance.event_log_storage.get_asset_check_summary_records([AssetCheckKey(SUMMARY, "complete")]).values()
    evaluation = check.last_check_execution_record
    return {
        "colours": instance.get_status_by_partition(published, known, PERIODS),
        "places": dict(latest),
        "metadata": {
            period: instance.fetch_materializations(AssetRecordsFilter(published, asset_partitions=[period]), limit=1)
            .records[0]
            .asset_materialization.metadata  # type: ignore[union-attr]
            for period in latest
        },
        "summary": summary and summary.asset_materialization and summary.asset_materialization.metadata,
        "check": evaluation and (evaluation.status, evaluation.run_id, evaluation.event),
        "asset": instance.get_asset_records([SUMMARY])[0].asset_entry.last_run_id,
    }


def counts(instance: DagsterInstance) -> dict[str, int]:
    """Rows by table of Dagster's."""
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return {
            name: connection.execute(db.text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in ("runs", "event_logs", "asset_check_executions", "run_tags")
        }


def years_of_runs(instance: DagsterInstance) -> list[str]:
    """A first load three years ago, then half a year's syncs of the newest two, one failure in between."""
    instance.add_dynamic_partitions(TABLE, YEARS)
    first = run(instance, *YEARS, age_days=1000)
    syncs = [run(instance, *YEARS[-2:], age_days=900 - 30 * month) for month in range(6)]
    failed = run(instance, age_days=650)
    newest = run(instance, *YEARS[-2:], age_days=600)
    return [first, *syncs, failed, newest]


def delete(instance: DagsterInstance, present: dict[str, str] | None = None, **options: Any) -> retention.Deleted:
    return delete_old_runs(instance, NOW - timedelta(days=90), present or {}, **options)


def test_old_runs_go_and_what_is_shown_stays(stored: DagsterInstance) -> None:
    first, *superseded, newest = years_of_runs(stored)
    before, rows = shown(stored), counts(stored)
    assert delete(stored) == retention.Deleted(runs=7, kept=2)
    assert {one.run_id for one in stored.get_runs()} == {first, newest}
    assert shown(stored) == before
    left = counts(stored)
    assert all(left[name] < rows[name] / 2 for name in rows), (rows, left)
    assert not stored.get_records_for_run(superseded[0]).records
    assert not any((Path(stored.storage_directory()) / one).exists() for one in superseded)
    assert (Path(stored.storage_directory()) / newest).exists()
    # and once more there is nothing to do
    assert delete(stored) == retention.Deleted(runs=0, kept=2)


def test_a_period_that_shows_as_failed_stays_so(instance: DagsterInstance) -> None:
    instance.add_dynamic_partitions(TABLE, YEARS)
    run(instance, *YEARS, age_days=1000)
    for age in (900, 800):
        run(instance, age_days=age)
    before = shown(instance)
    assert "FAILED" in str(before["colours"][YEARS[-1]])
    assert delete(instance).runs == 1
    assert shown(instance) == before


def test_what_is_young_or_unfinished_stays(instance: DagsterInstance) -> None:
    instance.add_dynamic_partitions(TABLE, YEARS)
    for age in (89, 30, 1):
        run(instance, *YEARS, age_days=age)
    hanging = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
    aged(instance, hanging.run_id, 400)
    # begun long ago, ended lately
    late = run(instance, age_days=91)
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.execute(
            RunsTable.update().where(RunsTable.c.run_id == late).values(end_time=(NOW - timedelta(days=1)).timestamp())
        )
    assert delete(instance).runs == 0
    assert instance.get_runs_count() == 5


def test_attempts_at_what_is_published_now_stay(instance: DagsterInstance) -> None:
    instance.add_dynamic_partitions(TABLE, YEARS)
    run(instance, *YEARS, age_days=1000, updated="old")
    present = [run(instance, age_days=400 - day, updated="new") for day in range(3)]
    older = run(instance, age_days=500, updated="old")
    run(instance, *YEARS, age_days=1)
    delete(instance, {TABLE: "new"})
    left = {one.run_id for one in instance.get_runs()}
    assert set(present) <= left
    assert older not in left


@pytest.mark.parametrize("portion", [1, 3, 100])
def test_portions_make_no_difference(instance: DagsterInstance, portion: int) -> None:
    first, *_, newest = years_of_runs(instance)
    assert delete(instance, portion=portion) == retention.Deleted(runs=7, kept=2)
    assert {one.run_id for one in instance.get_runs()} == {first, newest}


def test_when_the_time_is_up_the_rest_goes_next_time(instance: DagsterInstance) -> None:
    years_of_runs(instance)
    assert delete(instance, longest=-1) == retention.Deleted(runs=0, kept=0, is_complete=False)
    assert delete(instance).runs == 7


@pytest.mark.parametrize(
    "dies_in",
    ["delete_run", pytest.param("delete_events", marks=pytest.mark.slow)],  # slow: the same a step earlier
)
def test_a_crash_in_the_middle_is_harmless(
    stored: DagsterInstance, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    years_of_runs(stored)
    before = shown(stored)
    storage: Any = stored.event_log_storage if dies_in == "delete_events" else stored.run_storage
    deleted = []

    def dying(run_id: str) -> None:
        if len(deleted) == 3:
            raise ConnectionError("the server is gone")
        deleted.append(run_id)
        getattr(type(storage), dies_in)(storage, run_id)

    with monkeypatch.context() as patched:
        patched.setattr(storage, dies_in, dying)
        with pytest.raises(ConnectionError):
            delete(stored)
    assert len(deleted) == 3
    assert shown(stored) == before
    assert delete(stored) == retention.Deleted(runs=4, kept=2)
    assert shown(stored) == before
    with stored.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        orphans = "SELECT count(*) FROM {} WHERE run_id NOT IN (SELECT run_id FROM runs)"
        for name in ("event_logs", "asset_check_executions", "run_tags"):
            assert connection.execute(db.text(orphans.format(name))).scalar_one() == 0


def test_the_weekly_job(instance: DagsterInstance, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # one is named so that none is created beside
    settings = settings.model_copy(update={"dagster_database_url": settings.database_url})
    schedule = retention.retention(settings)
    assert schedule.cron_schedule == retention.WEEKLY
    definitions = Definitions(schedules=[schedule])
    years_of_runs(instance)
    definitions.get_repository_def().load_all_definitions()
    weekly = definitions.resolve_job_def(retention.JOB)
    assert weekly.execute_in_process(instance=instance, run_config=QUIET).success
    assert instance.get_runs_count() == 3  # with its own
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(days=settings.varro_keep_runs_days + 1))
    assert weekly.execute_in_process(instance=instance, run_config=QUIET).success
    assert instance.get_runs_count() == 3  # the one before went


runs_of_any_kind = st.builds(
    FinishedRun,
    st.uuids().map(str),
    st.floats(0, 200),
    st.sampled_from(["", "A", "B"]),
    st.sampled_from(["", "1", "2"]),
)


# drawing is a matter of milliseconds, and a machine that stops for a second meanwhile proves nothing against it
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(runs_of_any_kind, unique_by=lambda one: one.run_id), st.floats(0, 200), st.data())
def test_what_may_go(runs: list[FinishedRun], before: float, data: st.DataObject) -> None:
    ids = [one.run_id for one in runs]
    holding = set(data.draw(st.lists(st.sampled_from(ids)))) if ids else set()
    present = {"A": "1", "B": "2"}
    going = deletable(runs, before, holding, present)
    assert going == [one for one in ids if one in set(going)]
    for one in runs:
        needed = one.run_id in holding or one.ended >= before or (one.table, one.updated) in present.items()
        assert (one.run_id in going) is not needed


@pytest.mark.slow
@pytest.mark.timeout(1500)  # two minutes on a busy machine; this only ends a wait without hope
def test_five_thousand_runs(stored: DagsterInstance, capsys: pytest.CaptureFixture[str]) -> None:
    """Slow: the runs alone take minutes to make. Prints what it took; what it must do is in the others."""
    years_of_runs(stored)
    template = run(stored, *YEARS, age_days=700)
    copies = 5000
    with stored.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(
            db.text(
                "INSERT INTO runs (run_id, snapshot_id, pipeline_name, status, run_body, create_timestamp,"
                " update_timestamp, start_time, end_time) SELECT 'copy-' || n, snapshot_id, pipeline_name, status,"
                " replace(run_body, run_id, 'copy-' || n), create_timestamp, update_timestamp, start_time, end_time"
                " FROM runs, generate_series(1, :copies) n WHERE run_id = :template"
            ),
            {"copies": copies, "template": template},
        )
        connection.execute(
            db.text(
                "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)"
                " SELECT 'copy-' || n, replace(event, run_id, 'copy-' || n), dagster_event_type, timestamp, step_key,"
                " asset_key, partition FROM event_logs, generate_series(1, :copies) n WHERE run_id = :template"
            ),
            {"copies": copies, "template": template},
        )
    run(stored, *YEARS, age_days=1)
    before, rows = shown(stored), counts(stored)
    began = time.process_time(), time.monotonic()
    holding = retention.last_words(stored)
    asked = time.monotonic() - began[1]
    done = delete(stored)
    with capsys.disabled():
        print(
            f"\n{done.runs} runs, {rows['event_logs'] - counts(stored)['event_logs']} events deleted in"
            f" {time.monotonic() - began[1]:.1f} s ({time.process_time() - began[0]:.1f} s of ours);"
            f" {len(holding)} hold a last word, found in {asked:.2f} s; pid {os.getpid()}"
        )
    assert done.runs >= copies
    assert shown(stored) == before
