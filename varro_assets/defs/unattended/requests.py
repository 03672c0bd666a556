"""Requests: a demand of the sweep as a run that Dagster is asked for.

What belongs here: selection, config and tags. Which runs are demanded is `statbank.sweep`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import AddDynamicPartitionsRequest, AssetKey, RunRequest

from varro_assets.defs import keys
from varro_assets.defs.tables import Periods
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.sweeps.sweep import Demand, How

LAUNCHER = "sensor"
_PERIODS = {How.REFILL: Periods.ALL, How.DUE: Periods.DUE, How.SEGMENT: Periods.DUE_SELECTED}


def sweep_of(catalogue: Catalogue) -> str:
    """The sweep that a poll began: its runs carry this."""
    return f"{catalogue.fetched_at.removesuffix('+00:00').replace(':', '-')}-poll"


def of_table(demand: Demand, sweep: str) -> RunRequest:
    """The run for one demand."""
    table = demand.table
    tags = {
        keys.TABLE_TAG: table,
        keys.SWEEP_TAG: sweep,
        keys.UPDATED_TAG: demand.updated,
        keys.SEGMENT_TAG: demand.segment,
        keys.ATTEMPT_TAG: str(demand.attempt),
        keys.LAUNCHER_TAG: LAUNCHER,
    }
    if demand.first:
        tags |= {keys.RANGE_START: demand.first, keys.RANGE_END: demand.last}
    if demand.never:
        # a table that nobody has used yet may wait for those that are in use
        tags[keys.PRIORITY_TAG] = "-1"
    return RunRequest(
        run_key=demand.key,
        asset_selection=selection(table, refill=demand.how is How.REFILL, keyed=bool(demand.first)),
        run_config={"ops": {keys.op_name(table): {"config": {"periods": _PERIODS[demand.how].name}}}},
        tags=tags,
    )


def selection(table: str, *, refill: bool = False, keyed: bool = True) -> list[AssetKey]:
    """What a run of a table writes; without the published files the facts are filled from them.

    A table of which no partition key is known is run by its summary, which brings in the rest all the same.
    """
    follows = [keys.summary(table), keys.links(table), keys.document(table)]
    if not keyed:
        return follows
    written = [keys.fact(table), *follows]
    return written if refill else [keys.published(table), *written]


def of_shared(state: str, attempt: int, sweep: str) -> RunRequest:
    """The run that brings up to date what tables share."""
    return RunRequest(
        run_key=f"shared {state} {attempt}",
        asset_selection=[keys.SUBJECTS],
        run_config={"ops": {keys.SUBJECTS.to_python_identifier(): {"config": {"everything": False}}}},
        tags={
            keys.SHARED_TAG: state,
            keys.SWEEP_TAG: sweep,
            keys.ATTEMPT_TAG: str(attempt),
            keys.LAUNCHER_TAG: LAUNCHER,
        },
    )


def of_keys(register: Mapping[str, tuple[str, ...]]) -> list[AddDynamicPartitionsRequest]:
    """The partition keys to add, in this order."""
    return [keys.partitions(table).build_add_request(list(codes)) for table, codes in register.items()]
