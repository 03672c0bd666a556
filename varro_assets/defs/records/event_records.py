"""Event records: what the runs of sweeps said, as the plain records that `engine.sweep_report` judges.

What belongs here: the questions to Dagster's event log, each bounded, and translating what comes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as db
from dagster import AssetKey, DagsterEventType, DagsterExecutionInterruptedError, DagsterInstance
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.sqlalchemy_compat import db_select
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
)

RUNS_AT_ONCE = 200
"""Runs whose events are asked for at once."""
MOST_EVENTS = 5_000
"""Events of periods read for one report; beyond that periods are counted and not named."""
_WRITTEN, _PLANNED = DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_FAILURES = {
    DagsterEventType.STEP_FAILURE: EventKind.STEP_FAILED,
    DagsterEventType.RUN_FAILURE: EventKind.RUN_FAILED,
    DagsterEventType.RUN_CANCELED: EventKind.RUN_FAILED,
}
_STEPS = {"sync": SYNC_STAGES, "document": DOCUMENT_STAGES}
"""Beginning of a step's name -> what it does of the table that the rest names."""


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
    # what a step does that is not of a table
    stages = {run.run_id: frozenset(target.stage for target in run.targets) for run in runs if not run.table}
    found = [
        event
        for entry in _entries(instance, _ids(runs), db.or_(whole, broken))
        if (event := _event(entry, stages)) is not None
    ]
    if not named:
        return found
    listed = {(event.run_id, event.table) for event in found if "settled" in event.figures}
    unnamed = [run for run in runs if run.table and (run.run_id, run.table) not in listed]
    failed = [run for run in unnamed if run.state in {RunState.FAILED, RunState.STOPPED}]
    found += _planned(instance, _ids(failed))
    periods = db.and_(table.dagster_event_type == _WRITTEN.value, table.partition.is_not(None))
    entries = _entries(instance, _ids(unnamed), periods, limit=MOST_EVENTS)
    found += [event for entry in entries if (event := _event(entry, stages)) is not None]
    return found


def _ids(runs: Iterable[RunRecord]) -> list[str]:
    return list(dict.fromkeys(run.run_id for run in runs))


def _planned(instance: DagsterInstance, run_ids: Sequence[str]) -> Iterator[EventRecord]:
    """Planned periods: key and period stand in columns, so that no event need be read for them."""
    table = SqlEventLogStorageTable.c
    chosen = db.and_(table.dagster_event_type == _PLANNED.value, table.partition.is_not(None))
    for run_id, asset, period in _rows(instance, run_ids, [table.run_id, table.asset_key, table.partition], chosen):
        key = AssetKey.from_db_string(asset)
        if key is not None:
            name = "/".join(key.path)
            yield EventRecord(run_id, EventKind.PLANNED, 0.0, name, period, table=keys.table(key) or "")


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
    size = 1 if isinstance(storage, SqliteEventLogStorage) else RUNS_AT_ONCE
    left = limit
    for part in parts(run_ids, size):
        if left is not None and left <= 0:
            return
        query = db_select(columns).where(SqlEventLogStorageTable.c.run_id.in_(part)).where(chosen)
        query = query.order_by(SqlEventLogStorageTable.c.id)
        with storage.run_connection(part[0]) as connection:
            rows = connection.execute(query if left is None else query.limit(left)).fetchall()
        left = left if left is None else left - len(rows)
        yield from rows


def parts(items: Sequence[str], size: int) -> Iterator[list[str]]:
    """So many of them at a time."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _event(entry: EventLogEntry, stages: Mapping[str, Collection[Stage]]) -> EventRecord | None:
    event = entry.dagster_event
    if event is None:
        return None
    if event.event_type is _WRITTEN:
        written = event.step_materialization_data.materialization
        figures = {name: value.value for name, value in written.metadata.items() if hasattr(value, "value")}
        key = written.asset_key
        return EventRecord(
            entry.run_id,
            EventKind.WRITTEN,
            entry.timestamp,
            "/".join(key.path),
            written.partition,
            figures=figures,
            table=keys.table(key) or "",
        )
    record = EventRecord(entry.run_id, _FAILURES[event.event_type], entry.timestamp, text=_text(entry))
    if record.kind is not EventKind.STEP_FAILED:
        return record
    # that of a table syncs it or documents it, any other does all there is beside
    does, _, name = (event.step_key or "").partition("_")
    if does in _STEPS:
        return replace(record, table=name.upper(), stages=frozenset(_STEPS[does]))
    return replace(record, stages=frozenset(stages.get(entry.run_id, ())))


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
