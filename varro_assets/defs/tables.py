"""StatBank tables as assets: one op per table writes parquet, fact table and summary.

What belongs here: specs, config and the op body, which only translates between Dagster and `statbank.sync`.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Config,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from varro_assets.defs import checks, keys
from varro_assets.defs.columns import column_schema
from varro_assets.defs.events import PartitionEvents, difference_metadata
from varro_assets.defs.failures import named_failures
from varro_assets.defs.loading import op_body
from varro_assets.defs.resources import StatBankResource
from varro_assets.defs.unattended.dead_runs import alive
from varro_assets.defs.watcher import Watcher
from varro_assets.engine import periods as period_codes
from varro_assets.engine.periods import Frequency
from varro_assets.engine.planning import Scope
from varro_assets.engine.revisions import differences
from varro_assets.errors import InvalidPeriod
from varro_assets.follow import TableOptions
from varro_assets.settings import Settings
from varro_assets.statbank import facts, manifest, preview, sync
from varro_assets.statbank.catalog import Place
from varro_assets.statbank.models import CatalogueEntry, TableInfo
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sync_report import Outcome, SyncReport


class Periods(Enum):
    """Which periods a run fetches."""

    SELECTED = "selected"
    """Exactly the partition keys of the run."""
    DUE = "due"
    """What is new and what the refresh policy has read again, whatever the keys of the run."""
    DUE_SELECTED = "due_selected"
    """Those of the run's partition keys that are due and not yet read of the present publication."""
    ALL = "all"
    """Every published period."""


class SyncConfig(Config):
    """How a run syncs its table.

    The ops take it, and their resources, from the context: what an argument's annotation says Dagster works out anew
    for each of some thousand tables.

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

    def scope(self, selected: Sequence[str], options: TableOptions) -> Scope:
        """The scope of the sync."""
        only = tuple(selected) if self.periods is Periods.SELECTED and selected else None
        return Scope(
            full=self.periods is Periods.ALL,
            since=self.since,
            only=only,
            within=tuple(selected) if self.periods is Periods.DUE_SELECTED else None,
            # also where `only` says what is read: whether the table is complete then is for its own policy to say
            trailing=options.trailing,
            refresh=options.refresh,
        )


_CONFIG_SCHEMA = SyncConfig.to_fields_dict()


def table_assets(
    entry: CatalogueEntry, places: Sequence[Place], settings: Settings, options: TableOptions | None = None
) -> AssetsDefinition:
    """The assets of one followed table.

    Args:
        entry: its line in the catalogue.
        places: where it stands in the subject tree.
        settings: whose table it is, and where its files lie.
        options: what varro.toml says of it.
    """
    table = entry.id
    kept = options or TableOptions()

    @multi_asset(
        name=keys.op_name(table),
        specs=_specs(entry, places, settings),
        check_specs=checks.specs(table),
        can_subset=True,  # the UI may leave checks out, or run them alone
        backfill_policy=BackfillPolicy.single_run(),
        op_tags={keys.TABLE_TAG: table},
        config_schema=_CONFIG_SCHEMA,
        required_resource_keys={"statbank", "watcher"},
    )
    @op_body
    def sync_op(context: AssetExecutionContext) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
        config = SyncConfig(**context.op_execution_context.op_config)
        yield from _sync(context, config, context.resources.statbank, context.resources.watcher, table, kept)

    return sync_op


def _sync(
    context: AssetExecutionContext,
    config: SyncConfig,
    statbank: StatBankResource,
    watcher: Watcher,
    table: str,
    options: TableOptions,
) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    began, chosen = time.monotonic(), {key.name for key in context.selected_asset_check_keys}
    with (
        named_failures(),
        statbank.open(on_retry=context.log.warning) as sources,
        alive(sources.warehouse, context.run.run_id),
    ):
        if not context.selected_asset_keys:
            yield from checks.alone(sources, table, chosen, config.wait_seconds)
            return
        report = SyncReport(table)
        watcher.began(report)
        events = PartitionEvents(
            context, table, _written(context, table), watcher, sources.catalogue.tableinfo(table), report
        )
        try:
            _bring_in(context, config, sources, events, report, options)
            events.finished(report)
        except BaseException as error:  # also an interruption, which Dagster raises as one of its own
            report.error = str(error)
            events.failed(sync.held_periods(sources, table), report)
            raise
        finally:
            events.flush()
        if report.unsettled:
            context.log.warning(f"{table}: {len(report.unsettled)} periods did not come in: {report.unsettled[:10]}")
        info = events.went_by or _stated(sources, table)
        if keys.summary(table) in context.selected_asset_keys:
            yield MaterializeResult(asset_key=keys.summary(table), metadata=_summary(sources, report, info, began))
        if chosen:
            # one that is filled anew from parquet is looked at whole
            refilled = config.periods is not Periods.SELECTED and not _fetches(context, table)
            touched = None if refilled else events.range
            yield from checks.after_sync(
                sources, context.instance, report, info, touched, chosen, wait=config.wait_seconds
            )


def _stated(sources: Sources, table: str) -> TableInfo | None:
    """The description that a table filled from its files goes by."""
    stated = manifest.read_usable(sources.store(table).folder)
    return stated.info if stated else None


def _bring_in(
    context: AssetExecutionContext,
    config: SyncConfig,
    sources: Sources,
    events: PartitionEvents,
    report: SyncReport,
    options: TableOptions,
) -> None:
    table, run_id, wait = report.table, context.run.run_id, config.wait_seconds
    if not _fetches(context, table):
        only = events.range if config.periods is Periods.SELECTED else None
        sync.load_table(sources, table, events, only=only, run_id=run_id, wait=wait, report=report)
        return
    sync.sync_table(
        sources,
        table,
        events,
        scope=config.scope(sorted(events.range), options),
        accept_shrink=config.accept_shrink,
        load=_loads(context, table),
        keep_revisions=options.revisions,
        run_id=run_id,
        wait=wait,
        report=report,
    )


def _written(context: AssetExecutionContext, table: str) -> list[AssetKey]:
    """The partitioned assets that the sync writes."""
    written = ((keys.published(table), _fetches(context, table)), (keys.fact(table), _loads(context, table)))
    return [key for key, does in written if does]


def _fetches(context: AssetExecutionContext, table: str) -> bool:
    """Whether the API is to be asked: not when the fact table is selected alone (it is filled from parquet)."""
    selected = context.selected_asset_keys
    return keys.published(table) in selected or keys.fact(table) not in selected


def _loads(context: AssetExecutionContext, table: str) -> bool:
    """Whether the fact table is to be loaded: not when only the parquet files are selected."""
    return bool(context.selected_asset_keys != {keys.published(table)})


# -- what the UI shows ---------------------------------------------------------------------------------------------


def _specs(entry: CatalogueEntry, places: Sequence[Place], settings: Settings) -> list[AssetSpec]:
    table = entry.id
    url = facts.SOURCE_URL.format(table=table)
    metadata: dict[str, Any] = {
        "statbank.dk": MetadataValue.url(url),
        "unit": entry.unit,
        # the newest one would be of the day on which the graph was loaded
        "first period": entry.firstPeriod,
        "subjects": MetadataValue.md("\n".join(f"- {place.path}" for place in places) or "none"),
    }
    shared: dict[str, Any] = {
        "group_name": keys.group(places[0].titles[0] if places else None),
        "owners": [settings.varro_owner],
        "skippable": True,
    }
    variables = ", ".join(entry.variables[:-1])  # the last is the period
    relation = f"{facts.SCHEMA}.{facts.relation_name(table)}"
    return [
        AssetSpec(
            keys.published(table),
            description=f"{entry.text} by {variables}. As published: one parquet file per period, codes as text.",
            partitions_def=keys.partitions(table),
            kinds={"statbank", "parquet"},
            metadata={**metadata, "path": MetadataValue.path(settings.tables_dir / table)},
            **shared,
        ),
        AssetSpec(
            keys.fact(table),
            deps=[keys.published(table)],
            description=f"{entry.text} by {variables}. Typed rows in Postgres table `{relation}`.",
            partitions_def=keys.partitions(table),
            kinds={"postgres"},
            metadata={**metadata, "dagster/table_name": relation},
            **shared,
        ),
        AssetSpec(
            keys.summary(table),
            deps=[keys.fact(table)],
            description=f"{entry.text} ({table}). Materialise it alone to sync the table: new periods, and what its"
            " refresh policy has read again. Its events are the summaries of the table's syncs.",
            kinds={"postgres"},
            metadata={**metadata, "dagster/table_name": relation},
            freshness_policy=_fresh(entry),
            **shared,
        ),
    ]


def _by_outcome(report: SyncReport) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code, outcome in report.outcomes.items():
        found.setdefault(str(outcome), []).append(code)
    return found


def _by_reason(report: SyncReport) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for code, reason in (report.plan.fetch if report.plan else {}).items():
        reasons.setdefault(str(reason), []).append(code)
    return reasons


LONGEST_DAYS: Mapping[Frequency, int] = {
    Frequency.DAILY: 7,
    Frequency.WEEKLY: 21,
    Frequency.MONTHLY: 75,
    Frequency.QUARTERLY: 150,
    Frequency.HALF_YEARLY: 270,
    Frequency.YEARLY: 460,
}
"""Days after which a table that was not synced is worth a look: its step, and how much later it may come.

Of the real catalogue of 6 September 2025 these had not been published for longer: 1 of 6 daily tables, 0 of 2 weekly,
14 of 209 monthly, 10 of 232 quarterly, 2 of 9 half-yearly, 82 of 1,712 yearly: mostly those that were given up. It is a
backstop: Dagster sees when a table was last synced, not which period it holds, and that is what `newest_period_held`
is for.
"""
_POLICIES = {
    frequency: FreshnessPolicy.time_window(fail_window=timedelta(days=days), warn_window=timedelta(days=days * 0.8))
    for frequency, days in LONGEST_DAYS.items()
}


def _fresh(entry: CatalogueEntry) -> FreshnessPolicy | None:
    """By the newest period's label, which in Danish is its code; none for a table of no known step."""
    try:
        return _POLICIES.get(period_codes.frequency([entry.latestPeriod]))
    except InvalidPeriod:
        return None


def _summary(sources: Sources, report: SyncReport, info: TableInfo | None, began: float) -> dict[str, Any]:
    """Dagster shows it in this order: first what people read, last the long lists."""
    held = report.held
    revised = difference_metadata(differences.total(report.revisions.values()))
    return {
        "updated": report.updated or "not complete",
        "dagster/row_count": sum(part.rows for part in held.values()),
        "periods": len(held),
        **(_described(sources, report, info) if info else {}),
        "document": MetadataValue.asset(keys.document(report.table)),
        "bytes": sum(part.bytes for part in held.values()),
        "rows_fetched": report.rows_fetched,
        "rows_written": report.rows_written,
        "requests": report.requests,
        "seconds": round(time.monotonic() - began, 3),
        **{f"periods_{outcome}": report.count(outcome) for outcome in Outcome},
        "periods_unsettled": len(report.unsettled),
        # the rows of a new period are none of these
        **{f"{name}_in_revised_periods": number for name, number in revised.items()},
        "settled": MetadataValue.json(_by_outcome(report)),
        "planned": MetadataValue.json(_by_reason(report)),
    }


def _described(sources: Sources, report: SyncReport, info: TableInfo) -> dict[str, Any]:
    """What only the description tells."""
    published = period_codes.in_order(info.tids)
    return {
        "published periods": f"{published[0]} to {published[-1]}" if published else "none",
        "preview": MetadataValue.md(preview.preview(sources.store(report.table), info, report.held)),
        "dagster/column_schema": column_schema(info, facts.period_table(info, report.held)),
    }
