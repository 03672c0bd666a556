"""What Dagster shows of a table against what is held: partition keys and materialisations that are missing.

What belongs here: the comparison, and reporting again from the files (parquet is the truth, Dagster the view).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dagster import DagsterInstance, DagsterRun, RunsFilter

from varro_assets.defs import keys
from varro_assets.defs.events import materialization, register_periods, shown_wrong
from varro_assets.defs.unattended.dead_runs import UNFINISHED, run_lock
from varro_assets.engine import locks
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.postgres import Connection
from varro_assets.errors import TableBusy


def unreported(instance: DagsterInstance, table: str, held: Mapping[str, PartitionInfo]) -> list[str]:
    """Held periods that are no partition keys, or that Dagster shows as missing or failed; oldest first."""
    known = set(instance.get_dynamic_partitions(table))
    wrong = shown_wrong(instance, table, (keys.published(table), keys.fact(table)))
    return [code for code in held if code not in known or code in wrong]


def settled_unreported(
    instance: DagsterInstance,
    connection: Connection,
    table: str,
    held: Callable[[], Mapping[str, PartitionInfo]],
    *,
    wait: float,
) -> dict[str, PartitionInfo]:
    """`unreported` of a table that others may sync, with the files that were seen.

    A sync puts files in place first and tells Dagster of them later, some when it has given back the table's lock: till
    then its run gives its sign of life. Where all is shown the lock is not taken.

    Args:
        instance: Dagster's.
        connection: to the warehouse; idle.
        table: id.
        held: reads what is held now.
        wait: seconds to wait for a writer of the table.

    Raises:
        TableBusy: something is not shown, and somebody is at the table.
    """
    if not unreported(instance, table, held()):
        return {}
    with locks.short_lock(connection, table, wait=wait):
        runs = [run for run in instance.get_runs(RunsFilter(statuses=list(UNFINISHED))) if _may_sync(run, table)]
        if locks.held(connection, [run_lock(run.run_id) for run in runs]):
            raise TableBusy("compare with Dagster", on=table, got="a run of it is under way", todo="Wait for its end.")
        parts = held()
        return {code: parts[code] for code in unreported(instance, table, parts)}


def _may_sync(run: DagsterRun, table: str) -> bool:
    if keys.TABLE_TAG in run.tags:
        return run.tags[keys.TABLE_TAG] == table
    # launched in the UI, whose runs have no such tag, and no selection where everything was asked for
    return not run.asset_selection or table in map(keys.table, run.asset_selection)


def report_again(instance: DagsterInstance, table: str, held: Mapping[str, PartitionInfo]) -> list[str]:
    """Report what `unreported` finds, from the files; returns the periods reported."""
    codes = unreported(instance, table, held)
    register_periods(instance, table, held)
    for code in codes:
        for key in (keys.published(table), keys.fact(table)):
            instance.report_runless_asset_event(materialization(key, held[code], "reported again"))
    return codes
