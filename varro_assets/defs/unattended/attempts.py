"""Attempts: what Dagster remembers of earlier runs, as the decisions need it.

What belongs here: reading runs and folding them to `statbank.sweep.Attempts`. Which run is dead is `dead_runs`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from varro_assets.defs import keys
from varro_assets.defs.unattended.dead_runs import CLI, UNFINISHED, moment
from varro_assets.statbank.sweeps.sweep import Attempts

LONGEST_RETRY_WAIT = timedelta(minutes=30)
"""A run that Dagster means to retry counts as under way for so long: a daemon that forgot it must not stop a table."""
_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_MANY, _NEWEST = 5_000, 25


@dataclass(frozen=True)
class Tried:
    """What became of the runs for one thing.

    Attributes:
        under_way: one of them has not ended, or will be retried by Dagster itself.
        sweeps: those that had a run which ended well.
        good: the run that ended well last; empty for none, and where nobody asked.
    """

    attempts: Attempts = field(default_factory=Attempts)
    under_way: bool = False
    sweeps: frozenset[str] = frozenset()
    good: str = ""

    @property
    def succeeded(self) -> bool:
        """One of them ended well."""
        return bool(self.sweeps)


def tables_under_way(instance: DagsterInstance) -> set[str]:
    """The tables that a run is queued or executed for."""
    runs = instance.get_runs(RunsFilter(statuses=list(UNFINISHED)))
    return {run.tags[keys.TABLE_TAG] for run in runs if keys.TABLE_TAG in run.tags}


def of_tables(
    instance: DagsterInstance, updated: Mapping[str, str], since: Mapping[str, datetime], now: datetime
) -> dict[str, Tried]:
    """What was tried for the present publication of each table; two queries for all.

    Args:
        instance: Dagster's.
        updated: table -> its present publication.
        since: table -> when it was last complete; what ended before is none of the attempts in vain.
        now: the present.
    """
    if not updated:
        return {}
    # the values of one tag only: tables and publications crossed would be joined twice
    filters = RunsFilter(tags={keys.UPDATED_TAG: sorted(set(updated.values()))})
    of_table: dict[str, list[RunRecord]] = {}
    for record in instance.get_run_records(filters, limit=_MANY):
        tags = record.dagster_run.tags
        table = tags.get(keys.TABLE_TAG, "")
        if updated.get(table) == tags[keys.UPDATED_TAG]:
            of_table.setdefault(table, []).append(record)
    # stamped before the clock was set back, it says nothing of what came before and what after
    past = {table: moment for table, moment in since.items() if moment <= now}
    return {table: fold(records, now, past.get(table)) for table, records in of_table.items()}


def with_tag(
    instance: DagsterInstance, tags: Mapping[str, str], now: datetime, *, since_success: bool = False
) -> Tried:
    """What became of the newest runs with these tags; with ``since_success`` only of those after the last good one."""
    records = list(instance.get_run_records(RunsFilter(tags=dict(tags)), limit=_NEWEST))
    good = [place for place, one in enumerate(records) if one.dagster_run.status is DagsterRunStatus.SUCCESS][:1]
    last_good = records[good[0]].dagster_run.run_id if good else ""
    if since_success and good:
        records = records[: good[0]]
    return replace(fold(records, now), good=last_good)


def fold(records: Iterable[RunRecord], now: datetime, since: datetime | None = None) -> Tried:
    """The runs for one thing, newest first, as one."""
    last, under_way, run_id = 0, False, ""
    rounds: dict[str, datetime] = {}
    sweeps: set[str] = set()
    for record in records:
        run = record.dagster_run
        number = run.tags.get(keys.ATTEMPT_TAG, "")
        last = max(last, int(number) if number.isascii() and number.isdecimal() else 0)
        if run.status not in _ENDED:
            under_way = True
            continue
        ended = moment(record.end_time) if record.end_time else record.update_timestamp.astimezone(now.tzinfo)
        if _will_be_retried(record, ended, now):
            under_way = True
        if run.status is DagsterRunStatus.SUCCESS:
            sweeps.add(run.tags.get(keys.SWEEP_TAG, ""))
        if since is not None and (moment(record.start_time) if record.start_time else ended) <= since:
            continue  # the run that completed it began before that, and ended after
        if run.status is not DagsterRunStatus.SUCCESS:
            run_id = run_id or run.run_id
        # segments of one attempt, and what Dagster retries, are one round; the command's runs have no number
        round_of = number or run.run_id
        rounds[round_of] = max(rounds.get(round_of, ended), ended)
    # the newest round, not the latest end: a clock that was set back makes earlier ends lie in the future
    ended_last = next(iter(rounds.values()), None)
    return Tried(Attempts(last, len(rounds), ended_last, run_id), under_way, frozenset(sweeps))


def _will_be_retried(record: RunRecord, ended: datetime, now: datetime) -> bool:
    run = record.dagster_run
    if run.status is not DagsterRunStatus.FAILURE or run.tags.get(keys.LAUNCHER_TAG) == CLI:
        return False
    announced = run.tags.get(WILL_RETRY_TAG) == "true" and AUTO_RETRY_RUN_ID_TAG not in run.tags
    return announced and timedelta(0) <= now - ended < LONGEST_RETRY_WAIT


def error_of(instance: DagsterInstance, run_id: str) -> str:
    """The first sentence of what ended a run; empty if nothing says."""
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status is DagsterRunStatus.CANCELED:
        return "it was cancelled"
    for kind in (DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE):
        for record in instance.get_records_for_run(run_id, of_type=kind, limit=1).records:
            event = record.event_log_entry.dagster_event
            if event is None:
                continue
            text = str(event.message or "")
            if event.is_step_failure:
                data = event.step_failure_data
                said = data.user_failure_data.description if data.user_failure_data else None
                text = said or (data.error.message if data.error else text)
            return " ".join(text.split())[:300].rstrip(".")
    return ""
