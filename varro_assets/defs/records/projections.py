"""Projections: what happened, as files for programs that read the folder: the state of every table, a file per sweep.

What belongs here: writing them out of Dagster's memory, with the keys that readers of the folder know. Nothing reads
them back, so that they may be deleted at any time; those of Dagster's memory come again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, RunsFilter

from varro_assets import follow
from varro_assets.defs import keys
from varro_assets.defs.records import event_records, run_records
from varro_assets.engine import periods, sweep_report
from varro_assets.engine.files import by_age, write_text
from varro_assets.engine.sweep_report import NEW, REVISED, SHRUNK, TOO_SMALL, UNCHANGED
from varro_assets.engine.sweeps import (
    EventRecord,
    RunRecord,
    RunState,
    Stage,
    SweepReport,
    SweepStatus,
    TableReport,
    TableStatus,
    iso,
)
from varro_assets.errors import InvalidPeriod
from varro_assets.settings import Settings
from varro_assets.statbank import manifest
from varro_assets.statbank.catalog import Catalogue, CatalogueFolder

RUNS_FOLDER = "runs"
MOST_AT_ONCE = 200
"""Sweeps written at one call, the newest; a home whose files were deleted gets so many of them again."""
MOST_FILES = 1_000
"""Sweeps whose file is kept: a demo polls every minute."""
OVERLAP = timedelta(minutes=1)
"""What was stored so shortly before the last call is looked at again: transactions end out of order, clocks differ."""
_File = tuple[int, int]
"""Which file it is, whatever its name: inode and time of its content (an inode may be used again)."""
_looked_at: dict[Path, tuple[_File | None, dict[str, float]]] = {}
"""State file -> the one that this process left there last (None if another's took its place at once), and the runs that
were looked at for it with the time each was touched. What is as it was is not judged again: the sensor calls every half
minute, and a sweep may have thousands of runs. Lost with the process, it costs one more look."""
_STATUS = {
    TableStatus.OK: "synced",
    TableStatus.PARTIAL: "partial",
    TableStatus.FAILED: "failed",
    TableStatus.UNFINISHED: "running",
    TableStatus.NOTHING: "skipped",
}


def write_projections(instance: DagsterInstance, settings: Settings) -> list[Path]:
    """Write what the sweeps that ended since the last call brought, and how every followed table stands.

    Called again it writes nothing, unless something happened. Files of sweeps that ended `VARRO_KEEP_RUNS_DAYS` before
    the newest are deleted.

    Args:
        instance: Dagster's.
        settings: whose home it is.

    Returns:
        The files written.

    Raises:
        StorageFull: the disk is full; the old files are untouched.
    """
    folder, state_file = settings.dst_dir / RUNS_FOLDER, settings.state_file
    file, seen = _found(state_file)
    touched = run_records.touched(instance, MOST_AT_ONCE, seen - OVERLAP if seen else None)
    fresh = {run: moment for runs in touched.values() for run, moment in runs.items()}
    left, earlier = _looked_at.get(state_file, (None, {}))
    # what another process put there may be older than what this one knows: it worked it out, and then stood still
    if file is not None and file == left and fresh.items() <= earlier.items():
        return []
    names = [*touched, *(_awaiting(instance, folder, seen, touched) if seen else ())]
    catalogues = CatalogueFolder(settings.metadata_dir)
    known = catalogues.read()
    written: list[Path] = []
    # read before they are judged: what changes in between is judged once too often, never too seldom
    members = run_records.members(instance, names)
    for report in run_records.named(instance, names):
        if report.status is SweepStatus.INCOMPLETE or report.ended is None:
            continue
        path = _manifest_file(folder, report.sweep)
        if _write(path, _manifest(report, known, catalogues)):
            written.append(path)
        with contextlib.suppress(FileNotFoundError):  # another process may find it old and delete it
            os.utime(path, (report.ended, report.ended))
    _delete_old(folder, settings.varro_keep_runs_days)
    state = _state(instance, settings, known, catalogues, list(touched))
    if _write(state_file, state):
        written.append(state_file)
    looked_at = {run.run_id: run.touched for runs in members.values() for run in runs}
    # Dagster's own time, not the clock's: what changed after it is to be looked at the next time
    _looked_at[state_file] = _stamped(state_file, state, max(looked_at.values(), default=None)), looked_at
    return written


def _awaiting(instance: DagsterInstance, folder: Path, seen: datetime, known: Collection[str]) -> list[str]:
    """The sweep of the poll that was the newest at the last call, if it awaited its runs then.

    A later poll ends it, and nothing of its own changes with that.
    """
    poll = instance.get_run_by_id(run_records.newest_poll(instance, before=seen.timestamp()) or "")
    name = run_records.sweep_of(poll) if poll else ""
    return [name] if name and name not in known and not _manifest_file(folder, name).exists() else []


# -- one sweep -----------------------------------------------------------------------------------------------------


def _manifest(report: SweepReport, known: Catalogue | None, catalogues: CatalogueFolder) -> dict[str, Any]:
    tables = {name: _table(table, catalogues) for name, table in report.tables.items()}
    return {
        "run_id": report.sweep,
        "started_at": iso(report.started),
        "finished_at": iso(report.ended),
        "status": str(report.status),
        "launcher": report.launcher,
        "catalog": _catalogue(known, polled=Stage.POLL in report.stages),
        "tables": tables,
        "db_apply": _applied(report, tables),
        "summary": {
            "tables_total": len(tables),
            "tables_synced": _having(tables, "synced"),
            "tables_partial": _having(tables, "partial"),
            "tables_skipped": _having(tables, "skipped"),
            "tables_failed": _having(tables, "failed"),
            "tables_with_changed_tids": sum(1 for table in tables.values() if table["changed_tids"]),
            "rows_fetched": report.rows_fetched,
            "requests": report.requests,
        },
    }


def _table(report: TableReport, catalogues: CatalogueFolder) -> dict[str, Any]:
    changed = report.periods(NEW, REVISED)
    held_before = sum(report.counts.get(outcome, 0) for outcome in (REVISED, UNCHANGED, SHRUNK))
    error = {"error": report.error} if report.error else {}
    return {
        "status": _STATUS[report.status],
        "catalog_updated": report.due or report.updated or None,
        "bootstrap": bool(report.counts.get(NEW)) and not held_before,
        "frequency": _frequency(report.table, catalogues, report.outcomes),
        "new_periods": report.periods(NEW),
        "refresh_periods": report.periods(REVISED, UNCHANGED, SHRUNK),
        "changed_tids": changed,
        "rows_written": report.rows_written,
        "files_written": report.counts.get(NEW, 0) + report.counts.get(REVISED, 0),
        **error,
    }


def _applied(report: SweepReport, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What got into the database, of the tables that something came in of."""
    applied: dict[str, dict[str, Any]] = {}
    for name, table in report.tables.items():
        failed = Stage.LOAD in table.failed_stages
        if failed or table.rows_written or tables[name]["changed_tids"]:
            applied[name] = {
                "table": name,
                "status": "failed" if failed else "applied",
                "changed_tids": tables[name]["changed_tids"],
                "inserted_rows": table.rows_written,
                **({"error": table.error} if failed else {}),
            }
    failures = _having(applied, "failed")
    return {
        "run_id": report.sweep,
        "started_at": iso(report.started),
        "finished_at": iso(report.ended),
        "status": "partial_failure" if failures else "success",
        "tables": applied,
        "summary": {
            "tables_total": len(applied),
            "tables_applied": _having(applied, "applied"),
            "tables_skipped": 0,
            "tables_failed": failures,
        },
    }


def _having(tables: Mapping[str, Mapping[str, Any]], status: str) -> int:
    return sum(1 for table in tables.values() if table["status"] == status)


def _catalogue(known: Catalogue | None, *, polled: bool | None = None) -> dict[str, Any]:
    said: dict[str, Any] = {} if polled is None else {"polled": polled}
    if known is not None:
        said |= {"table_count": len(known.entries), "polled_at": known.fetched_at, "source": known.source}
    return said


def _frequency(table: str, catalogues: CatalogueFolder, otherwise: Iterable[str] = ()) -> str:
    info = catalogues.tableinfo(table)
    try:
        return periods.frequency(periods.in_order(info.tids if info else otherwise)).replace("-", "_")
    except InvalidPeriod:
        return periods.Frequency.OTHER


# -- every table ---------------------------------------------------------------------------------------------------


def _state(
    instance: DagsterInstance,
    settings: Settings,
    known: Catalogue | None,
    catalogues: CatalogueFolder,
    names: Sequence[str],
) -> dict[str, Any]:
    followed = follow.read(settings.follow_file).resolve(known.entries.keys(), known.tables_by_subject) if known else []
    by_key = {keys.summary(table): table for table in followed}
    entries = {
        by_key[record.asset_entry.asset_key]: record.asset_entry for record in instance.get_asset_records(list(by_key))
    }
    runs = _runs(instance, [entry.last_run_id for entry in entries.values() if entry.last_run_id])
    errors = _errors(instance, runs.values())
    tables: dict[str, Any] = {}
    for table in sorted(entries):
        entry = entries[table]
        event, last = entry.last_materialization, (entry.last_run_id or "", table)
        run, error = runs.get(last), errors.get(last)
        written = event.asset_materialization if event else None
        figures = {name: value.value for name, value in written.metadata.items()} if written else {}
        updated = _held_completely(settings, table, figures) if event else ""
        synced = event is not None and event.run_id == entry.last_run_id
        status = _last_status(run, figures, synced=synced, ended_badly=error is not None)
        tables[table] = {
            "last_seen_updated": updated or None,
            "last_sync_at": iso(event.timestamp) if event else None,
            "frequency": _frequency(table, catalogues),
            "bootstrap_complete": bool(updated),
            "last_status": status,
            "last_error": error or (TOO_SMALL if status == "partial" else None),
            "last_run_id": run.sweep if run else None,
            "rows": figures.get("dagster/row_count"),
            "periods": figures.get("periods"),
        }
    return {
        "last_catalog_poll_at": known.fetched_at if known else None,
        "last_run_id": names[0] if names else None,
        "catalog": _catalogue(known),
        "tables": tables,
    }


def _held_completely(settings: Settings, table: str, figures: Mapping[str, Any]) -> str:
    """The publication that a table is held of completely; empty if none ever was.

    A sync that left something out says none of itself; the folder's manifest still tells of the last that did not,
    which Dagster may have deleted by now.
    """
    updated = str(figures.get("updated") or "")
    if updated[:1].isdigit():
        return updated
    stated = manifest.read_usable(settings.tables_dir / table)
    return stated.info.updated if stated else ""


def _last_status(run: RunRecord | None, figures: Mapping[str, Any], *, synced: bool, ended_badly: bool) -> str:
    if synced or run is None:
        return "partial" if figures.get("periods_shrunk") or ended_badly else "synced"
    if not run.state.ended:
        return "running"
    return "failed" if run.state is not RunState.SUCCEEDED else "synced"


def _runs(instance: DagsterInstance, run_ids: Sequence[str]) -> dict[tuple[str, str], RunRecord]:
    """Run and table -> what the run did of it."""
    if not run_ids:
        return {}
    found = instance.get_run_records(RunsFilter(run_ids=sorted(set(run_ids))))
    return {(run.run_id, run.table): run for stored in found for run in run_records.run_records(stored) if run.table}


def _errors(instance: DagsterInstance, runs: Iterable[RunRecord]) -> dict[tuple[str, str], str]:
    """Run and table -> what failed of it, if something did: of a run of several tables it may be another."""
    bad = [run for run in runs if run.state in {RunState.FAILED, RunState.STOPPED}]
    said: dict[str, list[EventRecord]] = {}
    for event in event_records.events(instance, bad, named=False):
        said.setdefault(event.run_id, []).append(event)
    reports = [(run, sweep_report.report(run.sweep, [run], said.get(run.run_id, []))) for run in bad]
    return {
        (run.run_id, run.table): report.tables[run.table].error
        for run, report in reports
        if report.tables[run.table].status not in {TableStatus.OK, TableStatus.NOTHING}
    }


# -- files ---------------------------------------------------------------------------------------------------------


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _write(path: Path, content: Mapping[str, Any]) -> bool:
    text = _text(content)
    try:
        if path.read_text(encoding="utf-8") == text:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        pass  # none, or not ours: written anew
    write_text(path, text)
    return True


def _stamped(path: Path, content: Mapping[str, Any], moment: float | None) -> _File | None:
    """Set the time of the file with this content; None if another process has put its own there."""
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError), path.open(encoding="utf-8") as stream:
        if stream.read() == _text(content):
            if moment is not None:
                os.utime(stream.fileno(), (moment, moment))
            return _file(os.fstat(stream.fileno()))
    return None


def _found(path: Path) -> tuple[_File | None, datetime | None]:
    """Which file is there, and the time it has; None for both if there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None, None
    return _file(stat), datetime.fromtimestamp(stat.st_mtime, UTC)


def _file(stat: os.stat_result) -> _File:
    return stat.st_ino, stat.st_mtime_ns


def _delete_old(folder: Path, days: int) -> None:
    ages = by_age(folder.glob("*.json"))[::-1]
    if not ages:
        return
    oldest = ages[0][0] - timedelta(days=days).total_seconds()
    for place, (moment, path) in enumerate(ages):
        if place >= MOST_FILES or moment < oldest:
            path.unlink(missing_ok=True)


def _manifest_file(folder: Path, sweep: str) -> Path:
    return folder / f"{_file_name(sweep)}.json"


def _file_name(sweep: str) -> str:
    """The id as a file name: a tag can hold anything."""
    return "".join(letter if letter.isalnum() or letter in "-_+." else "-" for letter in sweep).lstrip(".") or "-"
