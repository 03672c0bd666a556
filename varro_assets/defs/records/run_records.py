"""Run records: what Dagster remembers of sweeps, as the plain records that `engine.sweep_report` judges.

What belongs here: the questions to Dagster's storage for runs, each bounded, and translating what comes back; what they
said is `event_records`'s. A sweep of 300 tables is some ten questions, whatever else is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RunsFilter,
)
from dagster._core.storage.dagster_run import RunRecord as StoredRun
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    ROOT_RUN_ID_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
    WILL_RETRY_TAG,
)

from varro_assets.defs import keys
from varro_assets.defs.records.event_records import events, parts
from varro_assets.engine import sweep_report
from varro_assets.engine.sweeps import (
    EventRecord,
    RunRecord,
    RunState,
    Stage,
    SweepReport,
    SweepStatus,
    Target,
)

PAGE = 200
"""Runs asked for at once."""
MOST_RUNS = 20_000
"""Runs looked through for a sweep by the beginning of its id, or for the newest sweeps."""
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
_BY_PREFIX = {
    "fact": Stage.LOAD,
    "table": Stage.SUMMARY,
    "dimension_links": Stage.LINKS,
    "classification": Stage.SHARED,
    "dim": Stage.SHARED,
}


# -- sweeps --------------------------------------------------------------------------------------------------------


def newest_names(instance: DagsterInstance, limit: int, since: datetime | None = None) -> list[str]:
    """Ids of the newest sweeps, newest first, no more than the limit; ``since``: only of runs made after this."""
    return list(_newest(instance, limit, RunsFilter(created_after=since)))


def folded(instance: DagsterInstance, limit: int, since: datetime | None = None) -> list[tuple[SweepReport, int]]:
    """Counted reports of the newest sweeps, newest first; polls in a row that had no work stand as the newest of them.

    Args:
        instance: Dagster's.
        limit: at most so many sweeps, such polls not counted.
        since: only of runs made after this.

    Returns:
        Report and number of sweeps that it stands for.
    """
    bare = _bare_polls(instance, limit, since)
    newest = [name for name, is_bare in bare.items() if is_bare][:1]
    # what the newest poll found due may still be asked for; what an earlier one did never will
    bare |= {report.sweep: False for report in counted(instance, newest) if report.status is not SweepStatus.NO_WORK}
    groups: list[list[str]] = []
    for is_bare, names in groupby(bare, key=bare.__getitem__):
        together = list(names)
        groups += [together] if is_bare else [[name] for name in together]
    reports = {report.sweep: report for report in counted(instance, [names[0] for names in groups])}
    return [(reports[names[0]], len(names)) for names in groups if names[0] in reports]


def newest_with_work(
    instance: DagsterInstance, since: datetime | None = None
) -> tuple[str | None, list[tuple[SweepReport, int]]]:
    """Id of the newest sweep that did more than look for work, and what came after it, as `folded`.

    If none did, it is the newest of all; None if there is none.
    """
    rows: list[tuple[SweepReport, int]] = []
    for limit in (1, 5, PAGE):  # not only a bare poll is idle, but mostly
        rows = folded(instance, limit, since)
        for place, (report, _) in enumerate(rows):
            if not report.idle:
                return report.sweep, rows[:place]
    return (rows[0][0].sweep if rows else None), []


def _bare_polls(instance: DagsterInstance, limit: int, since: datetime | None) -> dict[str, bool]:
    """The newest sweeps, and whether each is nothing but a poll that went well; these do not count to the limit."""
    found: dict[str, bool] = {}
    others = 0
    for stored in _stored(instance, RunsFilter(created_after=since)):
        run = stored.dagster_run
        name, bare = sweep_of(run), run.status is DagsterRunStatus.SUCCESS and _selected(run) == {keys.CATALOGUE}
        if name not in found and others == limit:
            break
        others += found.get(name, True) and not bare
        found[name] = found.get(name, True) and bare
    return found


def touched(instance: DagsterInstance, limit: int, since: datetime | None) -> dict[str, dict[str, float]]:
    """The newest sweeps of which something changed, with those of their runs that did, and when.

    Args:
        instance: Dagster's.
        limit: at most so many sweeps.
        since: only what changed after this.
    """
    return _newest(instance, limit, RunsFilter(updated_after=since))


def _newest(instance: DagsterInstance, limit: int, filters: RunsFilter) -> dict[str, dict[str, float]]:
    sweeps: dict[str, dict[str, float]] = {}
    for stored in _stored(instance, filters):
        name = sweep_of(stored.dagster_run)
        if name not in sweeps and len(sweeps) == limit:
            break
        sweeps.setdefault(name, {})[stored.dagster_run.run_id] = stored.update_timestamp.timestamp()
    return sweeps


def _stored(instance: DagsterInstance, filters: RunsFilter) -> Iterator[StoredRun]:
    """Runs, newest first, as many as are asked of it."""
    cursor: str | None = None
    for _page in range(MOST_RUNS // PAGE):
        found = instance.get_run_records(filters, limit=PAGE, cursor=cursor)
        yield from found
        if len(found) < PAGE:
            break
        cursor = found[-1].dagster_run.run_id


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


def ids(instance: DagsterInstance) -> set[str]:
    """All that `find` goes by: ids of sweeps and of runs."""
    tagged = instance.get_run_tags([keys.SWEEP_TAG])
    return {*instance.get_run_ids(limit=MOST_RUNS), *(value for _, values in tagged for value in values)}


def sweep_of(run: DagsterRun) -> str:
    """What the run belongs to; a run of nobody's is, with its retries, a sweep of its own."""
    for tag in (keys.SWEEP_TAG, BACKFILL_ID_TAG, ROOT_RUN_ID_TAG):
        if value := run.tags.get(tag):
            return value
    return run.run_id


def members(instance: DagsterInstance, names: Sequence[str]) -> dict[str, list[RunRecord]]:
    """Sweep -> all its runs, for the sweeps that have any."""
    found: dict[str, list[RunRecord]] = {}
    wanted = set(names)
    for part in parts(names, PAGE):
        for filters in (
            RunsFilter(tags={keys.SWEEP_TAG: part}),
            RunsFilter(run_ids=part),
            RunsFilter(tags={ROOT_RUN_ID_TAG: part}),
            RunsFilter(tags={BACKFILL_ID_TAG: part}),
        ):
            for stored in instance.get_run_records(filters, limit=MOST_RUNS):
                run = stored.dagster_run
                if run.run_id not in found and sweep_of(run) in wanted:
                    found[run.run_id] = run_records(stored)
    runs: dict[str, list[RunRecord]] = {}
    for records in found.values():
        runs.setdefault(records[0].sweep, []).extend(records)
    return runs


def newest_poll(instance: DagsterInstance, before: float | None = None) -> str | None:
    """Id of the run that polled last and well, of those before that moment; empty if it was none of Dagster's runs."""
    chosen = AssetRecordsFilter(keys.CATALOGUE, before_timestamp=before)
    found = instance.fetch_materializations(chosen, limit=1).records
    return found[0].run_id if found else None


def _reports(
    instance: DagsterInstance, names: Sequence[str], runs: Mapping[str, Sequence[RunRecord]], *, named: bool
) -> list[SweepReport]:
    there = [name for name in names if runs.get(name)]
    happened = events(instance, [run for name in there for run in runs[name]], named=named)
    by_run: dict[str, list[EventRecord]] = {}
    for event in happened:
        by_run.setdefault(event.run_id, []).append(event)
    poll = newest_poll(instance)
    reports = []
    for name in there:
        run_ids = dict.fromkeys(run.run_id for run in runs[name])
        mine = [event for run_id in run_ids for event in by_run.get(run_id, [])]
        reports.append(sweep_report.report(name, runs[name], mine, superseded=poll not in run_ids))
    return reports


# -- runs ----------------------------------------------------------------------------------------------------------


def run_records(stored: StoredRun) -> list[RunRecord]:
    """One run: a record for each table that it writes, and one for what is of none."""
    run, tags = stored.dagster_run, stored.dagster_run.tags
    state, changed = _STATES[run.status], stored.update_timestamp.timestamp()
    whole = RunRecord(
        run_id=run.run_id,
        sweep=sweep_of(run),
        state=state,
        targets=frozenset(),
        launcher=_launcher(tags),
        created=stored.create_timestamp.timestamp(),
        started=stored.start_time,
        # one that ended without having begun has no end in Dagster's books
        ended=stored.end_time or (changed if state.ended else None),
        touched=changed,
        segment=tags.get(keys.SEGMENT_TAG) or _range(tags),
        updated=tags.get(keys.UPDATED_TAG, ""),
        will_retry=_will_retry(run),
    )
    return [
        replace(whole, table=table, targets=frozenset(targets), wish=_wish(run, table))
        for table, targets in _by_table(run).items()
    ]


def _will_retry(run: DagsterRun) -> bool:
    """Whether Dagster's daemon is going to.

    Dagster says so of whatever died, but its daemon launches again only what came of a code location: never a run of
    the command.
    """
    tags = run.tags
    announced = tags.get(WILL_RETRY_TAG) == "true" and AUTO_RETRY_RUN_ID_TAG not in tags
    return announced and run.remote_job_origin is not None


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


def _by_table(run: DagsterRun) -> dict[str, set[Target]]:
    """What the run is to write, by table; only one launched in the UI writes several."""
    selected, tagged = _selected(run), run.tags.get(keys.TABLE_TAG)
    if tagged:
        return {tagged: {target(key) for key in selected}}
    found: dict[str, set[Target]] = {}
    for key in selected:
        found.setdefault(keys.table(key) or "", set()).add(target(key))
    return found or {"": set()}


def _selected(run: DagsterRun) -> Collection[AssetKey]:
    """The assets; Dagster notes none for a run of the schedule, whose job is the poll and nothing else."""
    return run.asset_selection or ({keys.CATALOGUE} if keys.POLL_TAG in run.tags else ())


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


def _wish(run: DagsterRun, table: str) -> dict[str, Any]:
    """What was asked of the table's sync beyond what is due; a run by partition keys asks for these."""
    ops: Any = run.run_config.get("ops") or {}
    config = (ops.get(keys.op_name(table)) or {}).get("config") or {}
    return {key: value for key, value in config.items() if key in {"periods", "since", "accept_shrink"}}
