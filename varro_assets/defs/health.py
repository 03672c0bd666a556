"""What Dagster shows of a table against what is held: partition keys and materialisations that are missing.

What belongs here: the comparison, and reporting again from the files (parquet is the truth, Dagster the view).
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import DagsterInstance

from varro_assets.defs import keys
from varro_assets.defs.events import materialization, register_periods, shown_wrong
from varro_assets.engine.partitions import PartitionInfo


def unreported(instance: DagsterInstance, table: str, held: Mapping[str, PartitionInfo]) -> list[str]:
    """Held periods that are no partition keys, or that Dagster shows as missing or failed; oldest first."""
    known = set(instance.get_dynamic_partitions(table))
    wrong = shown_wrong(instance, table, (keys.published(table), keys.fact(table)))
    return [code for code in held if code not in known or code in wrong]


def report_again(instance: DagsterInstance, table: str, held: Mapping[str, PartitionInfo]) -> list[str]:
    """Report what `unreported` finds, from the files; returns the periods reported."""
    codes = unreported(instance, table, held)
    register_periods(instance, table, held)
    for code in codes:
        for key in (keys.published(table), keys.fact(table)):
            instance.report_runless_asset_event(materialization(key, held[code], "reported again"))
    return codes
