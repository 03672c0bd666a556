"""Situation: how the followed tables stand, gathered for one decision.

What belongs here: asking catalogue, warehouse and Dagster's memory, each once for all tables. What follows from it is
`statbank.sweep`'s.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from dagster import DagsterInstance

from varro_assets import follow
from varro_assets.defs.unattended import attempts
from varro_assets.defs.unattended.attempts import Tried
from varro_assets.defs.unattended.dead_runs import launch_lock
from varro_assets.defs.unattended.requests import sweep_of
from varro_assets.engine import locks
from varro_assets.engine.planning import Scope
from varro_assets.engine.postgres import Connection
from varro_assets.follow import FollowFile
from varro_assets.settings import Settings
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps import due
from varro_assets.statbank.sweeps.due import State, Synced
from varro_assets.statbank.sweeps.sweep import Candidate, Situation
from varro_assets.statbank.sweeps.workload import Workload


@dataclass(frozen=True)
class Gathered:
    """What one decision is made of.

    Attributes:
        situation: how the followed tables stand.
        workload: what those that are due need, looked up when asked for.
        busy: whether any followed table is under way, due or not.
    """

    situation: Situation
    workload: Workload
    busy: bool


def gather(
    settings: Settings,
    instance: DagsterInstance,
    connection: Connection,
    sources: Sources,
    catalogue: Catalogue,
    loaded: Collection[str],
    now: datetime,
    *,
    polling: bool,
    after: str,
) -> Gathered:
    """Ask everybody.

    Args:
        settings: where `varro.toml` lies, and how many tables may be under way.
        instance: Dagster's.
        connection: to the warehouse.
        sources: folders; the publisher is not asked.
        catalogue: the last poll.
        loaded: the tables that are in the loaded graph.
        now: the present.
        polling: whether a poll is under way.
        after: table at which the decision before ran out of time.
    """
    file = follow.read(settings.follow_file)
    followed = file.resolve(catalogue.entries.keys(), catalogue.tables_by_subject)
    # before what is held as well as after: what ends in between has stored what is not seen here
    writing = _busy(instance, connection, followed)
    synced = due.synced(connection)
    states = due.states(followed, catalogue, synced, sources.tables_dir)
    open_tables = [table for table, state in states.items() if state not in {State.CURRENT, State.GONE}]
    updated = {table: catalogue.entries[table].updated for table in open_tables}
    since = {table: synced[table].ended for table in open_tables if table in synced}
    tried = attempts.of_tables(instance, updated, since, now)
    writing |= _busy(instance, connection, followed)
    busy = writing | {table for table, one in tried.items() if one.under_way}
    candidates = []
    for table in followed:
        if states[table] is State.CURRENT:
            # it counts among those under way when a run of it has not ended
            candidates.append(Candidate(table, State.CURRENT, under_way=table in busy, in_graph=table in loaded))
        else:
            one = _candidate(table, states[table], updated.get(table, ""), synced.get(table), tried.get(table, Tried()))
            one = replace(one, under_way=table in busy, in_graph=table in loaded)
            candidates.append(_by_description(one, sources, synced.get(table), tried.get(table), catalogue, polling))
    situation = Situation(candidates, settings.varro_max_tables, polling, after)
    changed = [table for table, state in states.items() if state is State.CHANGED]
    workload = Workload(
        sources, catalogue, connection, changed, lambda table: _scope(file, table), instance.get_dynamic_partitions, now
    )
    return Gathered(situation, workload, bool(busy))


def _scope(file: FollowFile, table: str) -> Scope:
    options = file.options(table)
    return Scope(trailing=options.trailing, refresh=options.refresh)


def _busy(instance: DagsterInstance, connection: Connection, followed: Collection[str]) -> set[str]:
    """Tables that somebody writes, by whatever means, or that a run is queued for."""
    held = locks.held(connection, [*followed, *map(launch_lock, followed)])
    running = attempts.tables_under_way(instance)
    return {table for table in followed if table in running or table in held or launch_lock(table) in held}


def _candidate(table: str, state: State, updated: str, row: Synced | None, tried: Tried) -> Candidate:
    return Candidate(table, state, updated, rows=row.rows if row else 0, attempts=tried.attempts)


def _by_description(
    one: Candidate,
    sources: Sources,
    row: Synced | None,
    tried: Tried | None,
    catalogue: Catalogue,
    polling: bool,
) -> Candidate:
    """What only the description at hand tells, where it is asked: reading those of all tables would take seconds."""
    done_already = tried is not None and sweep_of(catalogue) in tried.sweeps
    if one.state in {State.GONE, State.REFILL} or not (polling or done_already):
        return one
    info = sources.catalogue.tableinfo(one.table)
    described = info is not None and info.updated == one.updated
    # the publisher published once more after the poll, and a run of this sweep has it: the next poll will say so
    later = done_already and info is not None and row is not None and row.present and info.updated == row.updated
    return replace(one, described=described, later_held=later)
