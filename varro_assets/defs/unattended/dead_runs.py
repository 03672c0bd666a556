"""Dead runs: runs that Dagster still takes for running though nobody executes them any more.

What belongs here: the sign of life of a run, and marking as failed those that give none. Dagster itself learns of the
death of a process from the one that started it, which may have died too: a machine that lost its power, a code server
that was killed, a command that runs in its own process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from pydantic import SecretStr

from varro_assets.defs import keys
from varro_assets.engine import locks
from varro_assets.engine.postgres import Connection
from varro_assets.errors import TableBusy

DEFINITIONS = "varro_assets.definitions"
"""The module that our code location loads. Others may stand in the same Dagster, with jobs and assets of the same
names; their runs give no sign of life."""
OF_OURS = frozenset({keys.TABLE_TAG, keys.POLL_TAG, keys.SHARED_TAG})
"""A run with one of these tags is ours wherever its definitions came from: the command has them of no code location."""
CLI = "cli"
"""Value of `keys.LAUNCHER_TAG`: by the command, in its own process, under `launch_lock`."""
UNFINISHED = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)
GRACE: Mapping[DagsterRunStatus, timedelta] = {
    DagsterRunStatus.STARTED: timedelta(seconds=90),
    DagsterRunStatus.CANCELING: timedelta(seconds=90),
    # a worker may load the whole graph before it starts, and the daemon resumes what it had requested when it died
    DagsterRunStatus.STARTING: timedelta(minutes=10),
    DagsterRunStatus.NOT_STARTED: timedelta(minutes=10),
}
"""How long a run may give no sign of life; what is queued waits for the daemon, however long that takes."""
DEAD_TAG, MENDED = "varro/dead", "mended"
"""Run tag of what was marked here: the run's own id until what turned red with it is `MENDED`. A retry, which Dagster
makes with the tags of its parent, has the parent's."""
LONGEST_LOOK = timedelta(minutes=1)
"""From one look to the next no more than this counts: the machine may have slept, or its clock been set, and the run
with it. So a run is seen silent three times at least before it is taken for dead."""


def launch_lock(table: str) -> str:
    """Held around a run launched by the command; the table's own lock is taken by the op inside it."""
    return f"{CLI}:{table}"


def run_lock(run_id: str) -> str:
    """Held by every op of the run while it executes."""
    return f"run:{run_id}"


@contextlib.contextmanager
def alive(warehouse: SecretStr, run_id: str) -> Iterator[None]:
    """Give a sign of life while the block lasts; the server itself takes it back when the process dies.

    Each op of a run gives its own: several may execute at once, and any of them may end first.
    """
    with locks.shared_lock(warehouse, run_lock(run_id)):
        yield


@dataclass(frozen=True)
class Silent:
    """What is known of runs without a sign of life.

    Attributes:
        seconds: run -> for how long it was seen so, without an interruption.
        ended: runs marked as failed now.
    """

    seconds: Mapping[str, float]
    ended: tuple[str, ...] = ()


def end_silent_runs(
    instance: DagsterInstance, connection: Connection, known: Mapping[str, float], since: timedelta
) -> Silent:
    """Mark as failed the runs of ours that have given no sign of life for longer than `GRACE`.

    Between two ops of a run, and before the first, there is none either; so a run must be seen silent again and again
    for that long. Dagster may then retry it.

    Args:
        instance: Dagster's.
        connection: to the warehouse.
        known: `Silent.seconds` of the last time.
        since: how long ago that was; less than nothing if the clock was set back.
    """
    more = min(max(since, timedelta(0)), LONGEST_LOOK).total_seconds()
    ours = list(filter(is_ours, instance.get_runs(RunsFilter(statuses=list(GRACE)))))
    names = {name for run in ours for name in _signs(run)}
    held = locks.held(connection, names) if names else set()
    seconds: dict[str, float] = {}
    ended: list[str] = []
    for run in ours:
        if held.intersection(_signs(run)):
            continue
        silent = known[run.run_id] + more if run.run_id in known else 0.0
        if silent < GRACE[run.status].total_seconds():
            seconds[run.run_id] = silent
            continue
        if _is_silent_still(instance, connection, run):
            _end(instance, run, "Nobody executes this run any more: its process is gone.")
            ended.append(run.run_id)
    return Silent(seconds, tuple(ended))


def is_ours(run: DagsterRun) -> bool:
    """Whether all ops of the run are ours, and so give their signs of life, whoever launched it and by whatever means.

    A backfill is not a run: those that it requests are, and each has a process of its own.
    """
    origin = run.job_code_origin
    # a pointer to a file has no module
    module = getattr(origin.get_repo_pointer(), "module", None) if origin is not None else None
    return module == DEFINITIONS or not OF_OURS.isdisjoint(run.tags)


def _signs(run: DagsterRun) -> list[str]:
    """The locks by which a run shows that it lives."""
    table = run.tags.get(keys.TABLE_TAG)
    by_command = run.tags.get(keys.LAUNCHER_TAG) == CLI and table is not None
    return [run_lock(run.run_id), *([launch_lock(str(table))] if by_command else [])]


def _is_silent_still(instance: DagsterInstance, connection: Connection, run: DagsterRun) -> bool:
    """Whether it has neither shown that it lives nor ended since the runs were read: we may have stood still."""
    if locks.held(connection, _signs(run)):
        return False
    # last: what is marked after its good end stays so, what is marked and lives ends well all the same
    present = instance.get_run_by_id(run.run_id)
    return present is not None and present.status is run.status


def _end(instance: DagsterInstance, run: DagsterRun, why: str) -> None:
    # before it ends: whoever ends it may die then
    instance.add_run_tags(run.run_id, {DEAD_TAG: run.run_id})
    if run.status is DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, why)
    else:
        instance.report_run_failed(run, why)


def to_be_mended(instance: DagsterInstance) -> list[DagsterRun]:
    """The runs that `end_silent_runs` ended and nobody has called `mended` since."""
    tagged = {value for _, values in instance.get_run_tags([DEAD_TAG]) for value in values} - {MENDED}
    if not tagged:
        return []
    ended = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    runs = instance.get_runs(RunsFilter(run_ids=sorted(tagged), statuses=ended))
    # Dagster keeps tags twice, and two that write different ones at once leave only one of them in the run
    return [run for run in runs if run.tags.get(DEAD_TAG, run.run_id) == run.run_id]


def mended(instance: DagsterInstance, run: DagsterRun) -> None:
    """What turned red with the run is as it should be."""
    instance.add_run_tags(run.run_id, {DEAD_TAG: MENDED})


def end_dead_runs(instance: DagsterInstance, table: str) -> list[str]:
    """Mark as failed the runs of a table that the command launched and whose process is gone; returns them.

    The caller holds the launch lock, so whoever launched an unfinished run of this table does so no more.
    """
    filters = RunsFilter(tags={keys.TABLE_TAG: table, keys.LAUNCHER_TAG: CLI}, statuses=list(UNFINISHED))
    dead = instance.get_runs(filters)
    for run in dead:
        instance.report_run_failed(run, f"The process of this run is gone: nobody syncs {table} any more.")
    return [run.run_id for run in dead]


def end_all_dead_runs(instance: DagsterInstance, warehouse: SecretStr) -> list[str]:
    """`end_dead_runs` for every table that has an unfinished run and is not being synced."""
    filters = RunsFilter(tags={keys.LAUNCHER_TAG: CLI}, statuses=list(UNFINISHED))
    ended: list[str] = []
    for table in sorted({run.tags.get(keys.TABLE_TAG, "") for run in instance.get_runs(filters)}):
        with contextlib.suppress(TableBusy), locks.table_lock(warehouse, launch_lock(table)):
            ended += end_dead_runs(instance, table)
    return ended


def moment(stamp: float) -> datetime:
    """One of Dagster's time stamps."""
    return datetime.fromtimestamp(stamp, UTC)
