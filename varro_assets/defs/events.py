"""Events: what a sync did, as Dagster sees it, partition by partition.

What belongs here: registering periods as partition keys and reporting materialisations with their metadata. Which keys
get an event follows from how Dagster derives a key's status (docs/architecture.md, "Status of the keys").
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dagster import AssetExecutionContext, AssetKey, AssetMaterialization, DagsterInstance, MetadataValue
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from varro_assets.defs import keys
from varro_assets.defs.columns import column_schema
from varro_assets.engine import periods
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Plan
from varro_assets.engine.revisions.differences import Difference
from varro_assets.statbank import facts
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sync_report import Observer, Outcome, SyncReport

DATA_VERSION_TAG = "dagster/data_version"
BATCH_SIZE = 100
"""So many events are stored at once, if Dagster is told so (`Session.dagster_environment`); else they go one by one."""


def register_periods(instance: DagsterInstance, table: str, codes: Iterable[str]) -> list[str]:
    """Add the codes that are not yet partition keys, in order of time; returns those added."""
    known = set(instance.get_dynamic_partitions(table))
    fresh = [code for code in periods.in_order(codes) if code not in known]
    if fresh:
        instance.add_dynamic_partitions(table, fresh)
    return fresh


def shown_wrong(instance: DagsterInstance, table: str, assets: Iterable[AssetKey]) -> set[str]:
    """The partition keys that Dagster shows as missing or failed, in any of these assets of the table."""
    known = instance.get_dynamic_partitions(table)
    fine = {AssetPartitionStatus.MATERIALIZED, AssetPartitionStatus.IN_PROGRESS}
    wrong: set[str] = set()
    for asset in assets:
        statuses = instance.get_status_by_partition(asset, known, keys.partitions(table)) or {}
        wrong.update(code for code in known if statuses.get(code) not in fine)
    return wrong


class PartitionEvents(Observer):
    """Reports each settled period to Dagster while the sync goes on.

    Dagster knows a key as failed when a run that had it in its range ended badly without an event for it, and keeps it
    so until an event comes. So an event is due for what is new or changed, for every key of this run's range, and for
    held keys that Dagster shows as missing or failed; unchanged keys beyond that get none, since each costs some 7 KB.

    Events wait until there is a batch of them or something else happens; `flush` must end the sync. What a killed
    process did not get to report, `finished` of the next sync does.

    Args:
        context: of the op.
        table: id.
        assets: that the sync writes, selected or not: who materialises only the summary changes these as well.
        watcher: also told of everything.
        info: the description known beforehand, if any; a plan brings a fresher one.
        report: of the sync; knows how much was revised.

    Attributes:
        went_by: the description the last plan went by, which is of the publication that is stored in the end; a poll
            may have replaced it in the cache by then. None where nothing was planned.
    """

    def __init__(
        self,
        context: AssetExecutionContext,
        table: str,
        assets: Sequence[AssetKey],
        watcher: Observer,
        info: TableInfo | None = None,
        report: SyncReport | None = None,
    ) -> None:
        self._revisions: Mapping[str, Difference] = report.revisions if report else {}
        self._context, self._table, self._watcher, self._info = context, table, watcher, info
        self.went_by: TableInfo | None = None
        self._assets = assets
        self.range = (
            set(context.partition_keys) if context.has_partition_key_range or context.has_partition_key else set()
        )
        self._logged: set[str] = set()
        self._waiting: list[tuple[str, PartitionInfo]] = []
        self._held_before = {key: context.instance.get_materialized_partitions(key) for key in self._assets}
        self._wrong = self._shown_wrong()

    def _shown_wrong(self) -> set[str]:
        """Keys that Dagster shows as missing or failed, in any of the assets."""
        return shown_wrong(self._context.instance, self._table, self._assets)

    def planned(self, plan: Plan, info: TableInfo) -> None:
        """Register what is new, so that its progress shows."""
        self._info = self.went_by = info
        added = register_periods(self._context.instance, self._table, [*info.tids, *plan.vanished])
        reasons = ", ".join(f"{count} {reason}" for reason, count in plan.count().items()) or "nothing"
        self._context.log.info(
            f"{self._table}: fetching {len(plan.fetch)} of {len(info.tids)} periods ({reasons}); {len(added)} new keys"
        )
        self._watcher.planned(plan, info)

    def rows(self, count: int) -> None:
        """Too fine for the event log."""
        self.flush()
        self._watcher.rows(count)

    def message(self, text: str) -> None:
        """Into the run's log."""
        self._context.log.warning(text)
        self._watcher.message(text)

    def settled(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        """Report the period if its key would otherwise show wrong or old."""
        if outcome in {Outcome.NEW, Outcome.REVISED, Outcome.SHRUNK} or period in self.range or period in self._wrong:
            self._log(period, str(outcome), part)
        self._watcher.settled(period, outcome, part)

    def finished(self, report: SyncReport) -> None:
        """Report held keys that no event speaks of: a crash between storing and reporting leaves such."""
        register_periods(self._context.instance, self._table, report.held)
        known = set(self._context.instance.get_dynamic_partitions(self._table))
        for code in report.held:
            unknown = any(code not in held for held in self._held_before.values())
            if code in known and code not in self._logged and (unknown or code in self._wrong | self.range):
                self._log(code, "held", report.held[code])

    def failed(self, held: Mapping[str, PartitionInfo], report: SyncReport) -> None:
        """Before the run fails: keys of its range that are as good as before must not turn red with it.

        A period that changed in the files and was not reported did not get into the warehouse: its key may turn red.
        """
        changed = {code for code, outcome in report.outcomes.items() if outcome in {Outcome.NEW, Outcome.REVISED}}
        for code in self.range - self._logged - changed:
            if code in held and all(code in before for before in self._held_before.values()):
                self._log(code, "held", held[code])

    def flush(self) -> None:
        """Store the events that wait; a batch is of one asset, oldest period first."""
        waiting, self._waiting = self._waiting, []
        step = self._context.get_step_execution_context()
        for asset in self._assets:
            extra = self._extra(asset)
            batch = str(uuid.uuid4())
            for place, (outcome, part) in enumerate(waiting, start=1):
                found = self._revisions.get(part.period)
                event = materialization(
                    asset, part, outcome, {**extra, **(difference_metadata(found) if found else {})}
                )
                is_last = place == len(waiting)
                DagsterEvent.asset_materialization(step, event, DagsterEventBatchMetadata(batch, is_last))

    def _extra(self, asset: AssetKey) -> dict[str, Any]:
        if self._info is None or asset != keys.fact(self._table):
            return {}
        return {"dagster/column_schema": column_schema(self._info, facts.period_table(self._info))}

    def _log(self, period: str, outcome: str, part: PartitionInfo) -> None:
        self._logged.add(period)
        self._waiting.append((outcome, part))
        if len(self._waiting) >= BATCH_SIZE:
            self.flush()


def materialization(
    asset: AssetKey, part: PartitionInfo, outcome: str, extra: Mapping[str, Any] | None = None
) -> AssetMaterialization:
    """The event that says a period is held: its content is the data version."""
    return AssetMaterialization(
        asset_key=asset,
        partition=part.period,
        description=f"{part.period}: {outcome}, {part.rows:,} rows",
        metadata={**period_metadata(part, outcome), **(extra or {})},
        tags={DATA_VERSION_TAG: part.content_hash},
    )


def difference_metadata(found: Difference) -> dict[str, Any]:
    """What the UI shows of a revision; the largest change is left out where no number changed into another."""
    numbers: dict[str, Any] = {
        "rows_added": found.rows_added,
        "rows_removed": found.rows_removed,
        "values_changed": found.values_changed,
    }
    # JSON, by which the UI is told, knows no infinity
    if found.largest_change is not None and math.isfinite(found.largest_change):
        numbers["largest_change"] = found.largest_change
    return numbers


def period_metadata(part: PartitionInfo, outcome: str) -> dict[str, Any]:
    """What the UI shows of one period."""
    return {
        "dagster/partition_row_count": part.rows,
        "nulls": part.nulls,
        "bytes": part.bytes,
        "outcome": outcome,
        "updated": part.updated,
        "fetched_at": part.fetched_at,
        "content_hash": part.content_hash,
        "path": MetadataValue.path(part.path),
    }
