"""StatBank tables as assets: one op per table writes parquet, fact table and summary.

What belongs here: specs, config and the op body, which only translates between Dagster and `statbank.sync`.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Config,
    Failure,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
    multi_asset,
)

from varro_assets.defs import keys
from varro_assets.defs.events import PartitionEvents
from varro_assets.defs.resources import StatBankResource
from varro_assets.defs.watcher import Watcher
from varro_assets.engine.period_table import PeriodTable
from varro_assets.engine.planning import Scope
from varro_assets.errors import VarroError
from varro_assets.follow import TableOptions
from varro_assets.statbank import facts, sync
from varro_assets.statbank.catalog import Place
from varro_assets.statbank.models import CatalogueEntry, TableInfo
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sync_report import Outcome, SyncReport


class Periods(Enum):
    """Which periods a run fetches."""

    SELECTED = "selected"
    """Exactly the partition keys of the run."""
    DUE = "due"
    """New periods and the trailing window, whatever the keys of the run."""
    ALL = "all"
    """Every published period."""


class SyncConfig(Config):
    """How a run syncs its table.

    Attributes:
        periods: which periods to fetch.
        since: also every period from this one on.
        accept_shrink: believe a period that comes back with far fewer rows.
        wait_seconds: how long to wait for another writer of the table.
    """

    periods: Periods = Periods.SELECTED
    since: str | None = None
    accept_shrink: bool = False
    wait_seconds: float = 30.0

    def scope(self, selected: Sequence[str], trailing: int | None) -> Scope:
        """The scope of the sync."""
        if self.periods is Periods.SELECTED and selected:
            return Scope(only=tuple(selected))
        return Scope(full=self.periods is Periods.ALL, since=self.since, trailing=trailing)


def table_assets(
    entry: CatalogueEntry, places: Sequence[Place], owner: str, options: TableOptions | None = None
) -> AssetsDefinition:
    """The assets of one followed table.

    Args:
        entry: its line in the catalogue.
        places: where it stands in the subject tree.
        owner: shown on every asset.
        options: what varro.toml says of it.
    """
    table = entry.id
    trailing = options.trailing if options else None

    @multi_asset(
        name=keys.op_name(table),
        specs=_specs(entry, places, owner),
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
        op_tags={keys.TABLE_TAG: table},
    )
    def sync_op(
        context: AssetExecutionContext,
        config: SyncConfig,
        statbank: StatBankResource,
        watcher: ResourceParam[Watcher],
    ) -> Iterator[MaterializeResult[Any]]:
        yield from _sync(context, config, statbank, watcher, table, trailing)

    return sync_op


def _sync(
    context: AssetExecutionContext,
    config: SyncConfig,
    statbank: StatBankResource,
    watcher: Watcher,
    table: str,
    trailing: int | None,
) -> Iterator[MaterializeResult[Any]]:
    with statbank.open(on_retry=context.log.warning) as sources:
        report = SyncReport(table)
        watcher.began(report)
        events = PartitionEvents(context, table, watcher, _event_metadata(sources, table))
        try:
            if keys.fact(table) in context.selected_asset_keys and not _fetches(context, table):
                sync.load_table(
                    sources,
                    table,
                    events,
                    only=events.range if config.periods is Periods.SELECTED else None,
                    run_id=context.run_id,
                    wait=config.wait_seconds,
                    report=report,
                )
            else:
                sync.sync_table(
                    sources,
                    table,
                    events,
                    scope=config.scope(sorted(events.range), trailing),
                    accept_shrink=config.accept_shrink,
                    load=_loads(context, table),
                    run_id=context.run_id,
                    wait=config.wait_seconds,
                    report=report,
                )
        except VarroError as error:
            report.error = str(error)
            events.failed(sync.held_periods(sources, table))
            raise Failure(
                description=str(error),
                metadata={"error": type(error).__name__, "settled_periods": len(report.outcomes)},
                allow_retries=error.transient,
            ) from error
        events.finished(report)
        if report.unsettled:
            context.log.warning(f"{table}: {len(report.unsettled)} periods did not come in: {report.unsettled[:10]}")
        if keys.summary(table) in context.selected_asset_keys:
            yield MaterializeResult(asset_key=keys.summary(table), metadata=_summary(sources, report))


def _fetches(context: AssetExecutionContext, table: str) -> bool:
    """Whether the API is to be asked: not when only the fact table is selected (it is filled from parquet)."""
    return keys.published(table) in context.selected_asset_keys


def _loads(context: AssetExecutionContext, table: str) -> bool:
    """Whether the fact table is to be loaded: not when only the parquet files are selected."""
    return bool(context.selected_asset_keys != {keys.published(table)})


# -- what the UI shows ---------------------------------------------------------------------------------------------


def _specs(entry: CatalogueEntry, places: Sequence[Place], owner: str) -> list[AssetSpec]:
    table = entry.id
    url = facts.SOURCE_URL.format(table=table)
    metadata: dict[str, Any] = {
        "statbank.dk": MetadataValue.url(url),
        "unit": entry.unit,
        "published periods": f"{entry.firstPeriod} to {entry.latestPeriod}",
        "subjects": MetadataValue.md("\n".join(f"- {place.path}" for place in places) or "none"),
    }
    shared: dict[str, Any] = {
        "group_name": keys.group(places[0].titles[0] if places else None),
        "owners": [owner],
        "skippable": True,
    }
    variables = ", ".join(entry.variables)
    relation = f"{facts.SCHEMA}.{facts.relation_name(table)}"
    return [
        AssetSpec(
            keys.published(table),
            description=f"**{entry.text}** by {variables}. As published: one parquet file per period, codes as text.",
            partitions_def=keys.partitions(table),
            kinds={"statbank", "parquet"},
            metadata=metadata,
            **shared,
        ),
        AssetSpec(
            keys.fact(table),
            deps=[keys.published(table)],
            description=f"**{entry.text}** by {variables}. Typed rows in Postgres table `{relation}`.",
            partitions_def=keys.partitions(table),
            kinds={"postgres"},
            metadata={**metadata, "dagster/table_name": relation},
            **shared,
        ),
        AssetSpec(
            keys.summary(table),
            deps=[keys.fact(table)],
            description=f"Summary of the last sync of **{table}**, {entry.text}. Materialise it alone to sync the"
            " table: new periods and the trailing window.",
            kinds={"postgres"},
            metadata={**metadata, "dagster/table_name": relation},
            **shared,
        ),
    ]


def _event_metadata(sources: Sources, table: str) -> dict[AssetKey, dict[str, Any]]:
    info = sources.catalogue.tableinfo(table)
    if info is None:
        return {}
    return {keys.fact(table): {"dagster/column_schema": column_schema(info, facts.period_table(info))}}


def column_schema(info: TableInfo, table: PeriodTable) -> TableSchema:
    """The fact table's columns for the UI."""
    described = {variable.id: variable for variable in info.dimensions}
    constraints = TableColumnConstraints(nullable=False)
    codes = [
        TableColumn(
            column.name,
            "text",
            description=f"{column.label}: {len(described[column.source].values)} codes ({column.source})",
            constraints=constraints,
        )
        for column in table.columns
    ]
    tid = TableColumn(table.tid_name, table.tid_type, description=f"period ({info.time.id})", constraints=constraints)
    value = TableColumn(table.value_name, "double precision", description=f"{info.unit}; NULL = published as missing")
    return TableSchema(columns=[*codes, tid, value])


def _summary(sources: Sources, report: SyncReport) -> dict[str, Any]:
    held = report.held
    metadata: dict[str, Any] = {
        "dagster/row_count": sum(part.rows for part in held.values()),
        "periods": len(held),
        "bytes": sum(part.bytes for part in held.values()),
        "updated": report.updated or "not complete",
        "rows_fetched": report.rows_fetched,
        "rows_written": report.rows_written,
        "requests": report.requests,
        **{f"periods_{outcome}": report.count(outcome) for outcome in Outcome},
    }
    info = sources.catalogue.tableinfo(report.table)
    if info is not None:
        metadata["dagster/column_schema"] = column_schema(info, facts.period_table(info, held))
    return metadata
