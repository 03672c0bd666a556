"""Retention: old runs are deleted from Dagster, those with the last word on something are not.

What belongs here: which runs may go, the weekly job that deletes them, and its schedule. Dagster itself keeps runs for
ever; deleting one deletes its events, and with them the last materialisation of a period that nobody revised since.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    OpExecutionContext,
    RunRecord,
    RunsFilter,
    ScheduleDefinition,
    job,
    op,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import func, select

from varro_assets.defs import keys
from varro_assets.defs.failures import named_failures
from varro_assets.defs.unattended.dead_runs import alive
from varro_assets.engine import clock
from varro_assets.errors import ConfigurationError
from varro_assets.settings import Settings
from varro_assets.statbank.catalog import CatalogueFolder
from varro_assets.warehouse import open_warehouse

JOB = "delete_old_runs"
WEEKLY = "30 3 * * 1"
"""Monday 03:30 UTC: after the weekly poll and what follows from it."""
PORTION = 200
"""So many runs are looked at together: what is in memory at once."""
LONGEST_SECONDS = 3600.0
"""A job that took longer goes on next week; one of 5,000 runs takes a minute."""
FINISHED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
LAST_WORDS = [
    DagsterEventType.ASSET_MATERIALIZATION.value,
    DagsterEventType.ASSET_OBSERVATION.value,
    # a period shows as failed by the last run that planned it and did not make it
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
]


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended.

    Attributes:
        ended: seconds since 1970.
        table: that it wrote; empty if it was about something else.
        updated: the publication that made the table due; empty if nobody said.
    """

    run_id: str
    ended: float
    table: str = ""
    updated: str = ""


@dataclass
class Deleted:
    """What came of it.

    Attributes:
        runs: deleted.
        kept: old enough, and kept all the same.
        is_complete: whether all old runs were looked at before the time was up.
    """

    runs: int = 0
    kept: int = 0
    is_complete: bool = True


def deletable(
    runs: Iterable[FinishedRun], before: float, last_words: Collection[str], present: Mapping[str, str]
) -> list[str]:
    """The runs that may go, in the order given.

    Args:
        runs: that have ended.
        before: seconds since 1970; what ended then or later stays.
        last_words: runs that hold the last word on something.
        present: table -> its present publication: attempts at it are counted from their runs.
    """
    return [
        run.run_id
        for run in runs
        if run.ended < before
        and run.run_id not in last_words
        and not (run.table and run.updated and present.get(run.table) == run.updated)
    ]


def last_words(instance: DagsterInstance) -> set[str]:
    """Runs that hold the last event of a kind on an asset or a partition of it, or the last evaluation of a check.

    One question each over the whole log, which no call of Dagster's answers for less than a question per asset.

    Raises:
        ConfigurationError: Dagster's storage is of a kind that cannot be asked.
    """
    log, checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
    last = (
        select(func.max(log.id))
        .where(log.asset_key.is_not(None), log.dagster_event_type.in_(LAST_WORDS))
        .group_by(log.asset_key, log.partition, log.dagster_event_type)
    )
    evaluated = select(func.max(checks.id)).group_by(checks.asset_key, checks.check_name, checks.partition)
    # a check that was planned and not made hides what was found before; both are shown
    completed = evaluated.where(checks.execution_status != AssetCheckExecutionRecordStatus.PLANNED.value)
    found: set[str] = set()
    with _event_log(instance).index_connection() as connection:
        for statement in (
            select(log.run_id).where(log.id.in_(last)).distinct(),
            select(checks.run_id).where(checks.id.in_(evaluated) | checks.id.in_(completed)).distinct(),
            # the run that the list of assets links to
            select(AssetKeyTable.c.last_run_id).distinct(),
        ):
            found.update(run_id for (run_id,) in connection.execute(statement) if run_id)
    return found


def delete_old_runs(
    instance: DagsterInstance,
    before: datetime,
    present: Mapping[str, str],
    *,
    portion: int = PORTION,
    longest: float = LONGEST_SECONDS,
) -> Deleted:
    """Delete what `deletable` allows, oldest first.

    A crash leaves whole runs: the row of a run goes last, so that what is half deleted is found again.

    Args:
        instance: Dagster's.
        before: runs that ended then or later stay.
        present: table -> its present publication.
        portion: runs looked at together.
        longest: seconds after which the rest is left for the next time.
    """
    done = Deleted()
    holding = last_words(instance)
    filters = RunsFilter(statuses=FINISHED, created_before=before)
    until = time.monotonic() + longest
    cursor: str | None = None
    while records := instance.get_run_records(filters, limit=portion, cursor=cursor, ascending=True):
        going = set(deletable(map(_finished, records), before.timestamp(), holding, present))
        staying = [record.dagster_run.run_id for record in records if record.dagster_run.run_id not in going]
        for record in records:
            if record.dagster_run.run_id not in going:
                continue
            if time.monotonic() > until:
                done.is_complete = False
                return done
            _delete(instance, record.dagster_run.run_id)
            done.runs += 1
        done.kept += len(staying)
        # a place in the list is named by a run, which must still be there
        cursor = staying[-1] if staying else cursor
    return done


def _finished(record: RunRecord) -> FinishedRun:
    tags = record.dagster_run.tags
    ended = record.end_time if record.end_time is not None else record.update_timestamp.timestamp()
    return FinishedRun(record.dagster_run.run_id, ended, tags.get(keys.TABLE_TAG, ""), tags.get(keys.UPDATED_TAG, ""))


def _delete(instance: DagsterInstance, run_id: str) -> None:
    # Dagster's own `delete_run` begins with the run, leaves its events if it is killed then, and never touches the rest
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    log = _event_log(instance)
    log.delete_events(run_id)
    with log.index_connection() as connection:
        connection.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id))
    instance.run_storage.delete_run(run_id)


def _event_log(instance: DagsterInstance) -> SqlEventLogStorage:
    log = instance.event_log_storage
    # storages may stand behind one that carries them
    log = getattr(log, "event_log_storage", log)
    if not isinstance(log, SqlEventLogStorage):
        raise ConfigurationError(
            "find the old runs in Dagster's storage",
            got=f"it is a {type(log).__name__}, which is not asked in SQL",
            todo="Name Postgres as the storage in dagster.yaml.",
        )
    return log


def retention(settings: Settings) -> ScheduleDefinition:
    """The weekly schedule with its job: deletes what ended more than ``VARRO_KEEP_RUNS_DAYS`` ago."""

    @op(name="delete_runs", description="Deletes old runs, but for those with the last word on something.")
    def delete(context: OpExecutionContext) -> None:
        before = clock.now() - timedelta(days=settings.varro_keep_runs_days)
        # the warehouse is needed for nothing but the sign of life
        with named_failures(), open_warehouse(settings) as warehouse, alive(warehouse.url, context.run_id):
            known = CatalogueFolder(settings.metadata_dir).read()
            present = {table: str(entry.updated) for table, entry in known.entries.items()} if known else {}
            done = delete_old_runs(context.instance, before, present)
        rest = "" if done.is_complete else "; the time was up, the rest goes next time"
        context.log.info(
            f"{done.runs:,} runs from before {before:%Y-%m-%d} deleted; {done.kept:,} older ones kept, since they hold"
            f" the last word on a period or a check, or are attempts at what is published now{rest}"
        )

    @job(name=JOB, description=f"Deletes runs older than {settings.varro_keep_runs_days} days.")
    def delete_job() -> None:
        delete()

    return ScheduleDefinition(
        name=f"{JOB}_weekly",
        job=delete_job,
        cron_schedule=WEEKLY,
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
        description="Deletes what Dagster would keep for ever.",
    )
