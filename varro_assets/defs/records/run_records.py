"""Run records: what Dagster remembers of sweeps, as the plain records that `engine.sweep_report` judges.

What belongs here: the questions to Dagster's storage, each bounded, and translating what comes back. A sweep of 300
tables is some ten questions, whatever else is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as db
from dagster import (
    AssetKey,
    DagsterEventType,
    DagsterExecutionInterruptedError,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunsFilter,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.dagster_run import RunRecord as StoredRun
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.sqlalchemy_compat import db_select
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    ROOT_RUN_ID_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
    WILL_RETRY_TAG,
)
from dagster._serdes import deserialize_value

from varro_assets.defs import keys
from varro_assets.engine import sweep_report
from varro_assets.engine.sweeps import (
    DOCUMENT_STAGES,
    SYNC_STAGES,
    EventKind,
    EventRecord,
    RunRecord,
    RunState,
    Stage,
    SweepReport,
    Target,
)

PAGE = 200
"""Runs asked for at once, and runs whose events are."""
MOST_RUNS = 20_000
"""Runs looked through for a sweep by the beginning of its id, or for the newest sweeps."""
MOST_EVENTS = 5_000
"""Events of periods read for one report; beyond that periods are counted and not named."""
_RANGE = (keys.RANGE_START, keys.RANGE_END, "dagster/partition")
_STATES = {
    DagsterRunStatus.QUEUED: RunState.QUEUED,
    DagsterRunStatus.NOT_STARTED: RunState.QUEUED,
    DagsterRunStatus.MANAGED: RunState.QUEUED,
    DagsterRunStatus.STARTING: RunState.QUEUED,
    DagsterRunStatus.STARTED: RunState.STARTED,
    DagsterRunStatus.CANCELING: RunState.STARTED,
    DagsterRunStatus.SUCCESS: RunState.SUCCEEDED,
    DagsterRunStatus.FAILURE: RunState.FAILED,
    DagsterRunStatus.CANCELED: RunState.STOPPED,
}
_WRITTEN, _PLANNED = DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_FAILURES = {
    DagsterEventType.STEP_FAILURE: EventKind.STEP_FAILED,
    DagsterEventType.RUN_FAILURE: EventKind.RUN_FAILED,
    DagsterEventType.RUN_CANCELED: EventKind.RUN_FAILED,
}
_BY_PREFIX = {
    "fact": Stage.LOAD,
    "table": Stage.SUMMARY,
    "dimension_links": Stage.LINKS,
    "classification": Stage.SHARED,
    "dim": Stage.SHARED,
}


# -- sweeps --------------------------------------------------------------------------------------------------------


def newest_names(
    instance: DagsterInstance,
    limit: int,
    since: datetime | None = None,
    *,
    touched: datetime | None = None,
) -> list[str]:
    """Ids of the newest sweeps, newest first.

    Args:
        instance: Dagster's.
        limit: at most so many.
        since: only runs made after this.
        touched: only runs of which something changed after this.
    """
    names: dict[str, None] = {}
    filters = RunsFilter(created_after=since, updated_after=touched)
    cursor: str | None = None
    for _page in range(MOST_RUNS // PAGE):
        found = instance.get_run_records(filters, limit=PAGE, cursor=cursor)
        for record in found:
            names.setdefault(sweep_of(record.dagster_run))
            if len(names) > limit:
                break
        if len(found) < PAGE or len(names) > limit:
            break
        cursor = found[-1].dagster_run.run_id
    return list(names)[:limit]


def named(instance: DagsterInstance, names: Sequence[str]) -> list[SweepReport]:
    """Whole reports of these sweeps, as far as there is a run of them; the periods are named."""
    return _reports(instance, names, members(instance, names), named=True)


def counted(instance: DagsterInstance, names: Sequence[str]) -> list[SweepReport]:
    """Reports of these sweeps from their runs' summaries alone: periods are counted, not named."""
    return _reports(instance, names, members(instance, names), named=False)


def find(instance: DagsterInstance, beginning: str) -> list[str]:
    """Ids of the sweeps meant: of exactly that id, or that have a run of that id; else all that begin so.

    Returns:
        None, one, or several where the beginning is not unique (then no more than a few).
    """
    if beginning in members(instance, [beginning]):
        return [beginning]
    exact = instance.get_run_by_id(beginning)
    if exact is not None:
        return [sweep_of(exact)]
    tagged = instance.get_run_tags([keys.SWEEP_TAG], value_prefix=beginning, limit=5)
    found = {value for _, values in tagged for value in values}
    runs = [run for run in instance.get_run_ids(limit=MOST_RUNS) if run.startswith(beginning)][:5]
    if runs:
        found |= {sweep_of(run) for run in instance.get_runs(RunsFilter(run_ids=runs))}
    return sorted(found)


def sweep_of(run: DagsterRun) -> str:
    """What the run belongs to; a run of nobody's is, with its retries, a sweep of its own."""
    for tag in (keys.SWEEP_TAG, BACKFILL_ID_TAG, ROOT_RUN_ID_TAG):
        if value := run.tags.get(tag):
            return value
    return run.run_id


def members(instance: DagsterInstance, names: Sequence[str]) -> dict[str, list[RunRecord]]:
    """Sweep -> all its runs, for the sweeps that have any."""
    found: dict[str, RunRecord] = {}
    wanted = set(names)
    for part in _parts(list(names)):
        for filters in (
            RunsFilter(tags={keys.SWEEP_TAG: part}),
            RunsFilter(run_ids=part),
            RunsFilter(tags={ROOT_RUN_ID_TAG: part}),
            RunsFilter(tags={BACKFILL_ID_TAG: part}),
        ):
            for stored in instance.get_run_records(filters, limit=MOST_RUNS):
                if sweep_of(stored.dagster_run) in wanted:
                    found.setdefault(stored.dagster_run.run_id, run_record(stored))
    runs: dict[str, list[RunRecord]] = {}
    for run in found.values():
        runs.setdefault(run.sweep, []).append(run)
    return runs


def _reports(
    instance: DagsterInstance, names: Sequence[str], runs: Mapping[str, Sequence[RunRecord]], *, named: bool
) -> list[SweepReport]:
    there = [name for name in names if runs.get(name)]
    happened = events(instance, [run for name in there for run in runs[name]], named=named)
    by_run: dict[str, list[EventRecord]] = {}
    for event in happened:
        by_run.setdefault(event.run_id, []).append(event)
    return [
        sweep_report.report(name, runs[name], [e for run in runs[name] for e in by_run.get(run.run_id, [])])
        for name in there
    ]


# -- runs ----------------------------------------------------------------------------------------------------------


def run_record(stored: StoredRun) -> RunRecord:
    """One run."""
    run, tags = stored.dagster_run, stored.dagster_run.tags
    state, touched = _STATES[run.status], stored.update_timestamp.timestamp()
    return RunRecord(
        run_id=run.run_id,
        sweep=sweep_of(run),
        state=state,
        targets=frozenset(target(key) for key in run.asset_selection or ()),
        launcher=_launcher(tags),
        created=stored.create_timestamp.timestamp(),
        started=stored.start_time,
        # one that ended without having begun has no end in Dagster's books
        ended=stored.end_time or (touched if state.ended else None),
        touched=touched,
        table=_table(run),
        segment=tags.get(keys.SEGMENT_TAG) or _range(tags),
        updated=tags.get(keys.UPDATED_TAG, ""),
        wish=_wish(run),
        will_retry=tags.get(WILL_RETRY_TAG) == "true" and AUTO_RETRY_RUN_ID_TAG not in tags,
    )


def target(key: AssetKey) -> Target:
    """An asset and the kind of work that writes it."""
    return Target(_stage(key), "/".join(key.path))


def _stage(key: AssetKey) -> Stage:
    if key == keys.CATALOGUE:
        return Stage.POLL
    first = key.path[0]
    if first == "statbank":
        return Stage.FETCH
    if first == "context":
        return Stage.DOCUMENTS if len(key.path) > 1 and key.path[1] == "fact" else Stage.SHARED
    return _BY_PREFIX.get(first, Stage.SHARED)


def _table(run: DagsterRun) -> str:
    if table := run.tags.get(keys.TABLE_TAG):
        return table
    # launched in the UI: one table at most, else it is a run of many
    found = {table for key in run.asset_selection or () if (table := keys.table(key))}
    return found.pop() if len(found) == 1 else ""


def _launcher(tags: Mapping[str, str]) -> str:
    if SCHEDULE_NAME_TAG in tags:
        return "schedule"
    if SENSOR_NAME_TAG in tags:
        return "sensor"
    if BACKFILL_ID_TAG in tags:
        return "backfill"
    said = tags.get(keys.LAUNCHER_TAG, "UI")
    return "command" if said == "cli" else said


def _range(tags: Mapping[str, str]) -> str:
    """Runs of one backfill that differ in their periods are different work; elsewhere the range is a detail."""
    return "...".join(tags[name] for name in _RANGE if name in tags) if BACKFILL_ID_TAG in tags else ""


def _wish(run: DagsterRun) -> dict[str, Any]:
    """What was asked of the sync beyond what is due; a run by partition keys asks for these."""
    ops: Any = run.run_config.get("ops") or {}
    for name, given in ops.items():
        if name.startswith("sync_"):
            config = dict((given or {}).get("config") or {})
            return {key: value for key, value in config.items() if key in {"periods", "since", "accept_shrink"}}
    return {}


# -- events --------------------------------------------------------------------------------------------------------


def events(instance: DagsterInstance, runs: Sequence[RunRecord], *, named: bool = True) -> list[EventRecord]:
    """What a report needs to know of these runs.

    Args:
        instance: Dagster's.
        runs: of which.
        named: also of single periods: what failed runs had planned and reported, and what those settled whose summary
            does not list it.
    """
    table = SqlEventLogStorageTable.c
    whole = db.and_(table.dagster_event_type == _WRITTEN.value, table.partition.is_(None))
    broken = table.dagster_event_type.in_([kind.value for kind in _FAILURES])
    stages = {run.run_id: frozenset(target.stage for target in run.targets) for run in runs}
    found = [
        event
        for entry in _entries(instance, [run.run_id for run in runs], db.or_(whole, broken))
        if (event := _event(entry, stages)) is not None
    ]
    if not named:
        return found
    listed = {event.run_id for event in found if "settled" in event.figures}
    unnamed = [run for run in runs if run.run_id not in listed and run.table]
    failed = [run.run_id for run in unnamed if run.state in {RunState.FAILED, RunState.STOPPED}]
    found += _planned(instance, failed)
    periods = db.and_(table.dagster_event_type == _WRITTEN.value, table.partition.is_not(None))
    ids = [run.run_id for run in unnamed]
    entries = _entries(instance, ids, periods, limit=MOST_EVENTS)
    found += [event for entry in entries if (event := _event(entry, stages)) is not None]
    return found


def _planned(instance: DagsterInstance, run_ids: Sequence[str]) -> Iterator[EventRecord]:
    """Planned periods: key and period stand in columns, so that no event need be read for them."""
    table = SqlEventLogStorageTable.c
    chosen = db.and_(table.dagster_event_type == _PLANNED.value, table.partition.is_not(None))
    for run_id, asset, period in _rows(instance, run_ids, [table.run_id, table.asset_key, table.partition], chosen):
        key = AssetKey.from_db_string(asset)
        if key is not None:
            yield EventRecord(run_id, EventKind.PLANNED, 0.0, "/".join(key.path), period)


def _entries(
    instance: DagsterInstance, run_ids: Sequence[str], chosen: db.ColumnElement[bool], limit: int | None = None
) -> Iterator[EventLogEntry]:
    for (text,) in _rows(instance, run_ids, [SqlEventLogStorageTable.c.event], chosen, limit):
        yield deserialize_value(text, EventLogEntry)


def _rows(
    instance: DagsterInstance,
    run_ids: Sequence[str],
    columns: Sequence[db.Column[Any]],
    chosen: db.ColumnElement[bool],
    limit: int | None = None,
) -> Iterator[Sequence[Any]]:
    """Rows of the event log, in the order stored; many runs at a time, which Dagster's own interface cannot ask for."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"the event log is not kept in a database: {type(storage).__name__}")
    # SQLite has a file for each run
    size = 1 if isinstance(storage, SqliteEventLogStorage) else PAGE
    left = limit
    for part in _parts(run_ids, size):
        if left is not None and left <= 0:
            return
        query = db_select(columns).where(SqlEventLogStorageTable.c.run_id.in_(part)).where(chosen)
        query = query.order_by(SqlEventLogStorageTable.c.id)
        with storage.run_connection(part[0]) as connection:
            rows = connection.execute(query if left is None else query.limit(left)).fetchall()
        left = left if left is None else left - len(rows)
        yield from rows


def _parts(items: Sequence[str], size: int = PAGE) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _event(entry: EventLogEntry, stages: Mapping[str, Collection[Stage]]) -> EventRecord | None:
    event = entry.dagster_event
    if event is None:
        return None
    if event.event_type is _WRITTEN:
        written = event.step_materialization_data.materialization
        figures = {name: value.value for name, value in written.metadata.items() if hasattr(value, "value")}
        asset = "/".join(written.asset_key.path)
        return EventRecord(entry.run_id, EventKind.WRITTEN, entry.timestamp, asset, written.partition, figures=figures)
    kind = _FAILURES[event.event_type]
    broken = _stages_of(event.step_key or "", stages.get(entry.run_id, ())) if kind is EventKind.STEP_FAILED else ()
    return EventRecord(entry.run_id, kind, entry.timestamp, stages=frozenset(broken), text=_text(entry))


def _stages_of(step: str, of_run: Iterable[Stage]) -> Iterable[Stage]:
    """What a step does: that of a table syncs it or documents it, any other all there is."""
    if step.startswith("sync_"):
        return SYNC_STAGES
    return DOCUMENT_STAGES if step.startswith("document_") else of_run


def _text(entry: EventLogEntry) -> str:
    """The error in words: our own where there is one, else the innermost of Dagster's."""
    event = entry.dagster_event
    if event is None:
        return ""
    if event.event_type is not DagsterEventType.STEP_FAILURE:
        return event.message or ""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    if error is not None and error.cls_name == DagsterExecutionInterruptedError.__name__:
        return sweep_report.STOPPED
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.message if error is not None else event.message or "").strip()
