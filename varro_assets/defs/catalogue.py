"""The catalogue as an asset: one poll of the publisher.

What belongs here: the spec and the op body around `statbank.catalog.poll`.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

from datetime import datetime
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    DagsterInstance,
    MaterializeResult,
    MetadataValue,
    asset,
)

from varro_assets import follow
from varro_assets.defs import keys
from varro_assets.defs.events import register_periods
from varro_assets.defs.failures import named_failures
from varro_assets.defs.resources import StatBankResource
from varro_assets.settings import Settings
from varro_assets.statbank import catalog


def catalogue_asset(settings: Settings) -> AssetsDefinition:
    """The asset ``statbank/catalog``."""

    @asset(
        key=keys.CATALOGUE,
        group_name="catalogue",
        owners=[settings.varro_owner],
        kinds={"statbank", "json"},
        description="The publisher's list of tables and subjects, and the description of every followed table that"
        " changed. Materialise it to see what is due; new periods become partition keys.",
        metadata={"path": MetadataValue.path(settings.metadata_dir / "catalog.json"), "api": settings.dst_api_url},
    )
    def statbank_catalog(context: AssetExecutionContext, statbank: StatBankResource) -> MaterializeResult[Any]:
        with named_failures(), statbank.open(on_retry=context.log.warning) as sources:
            poll = catalog.poll(sources.client, sources.catalogue)
            followed = follow.read(settings.follow_file).resolve(
                poll.catalogue.entries.keys(), poll.catalogue.tables_by_subject
            )
            described, failed = catalog.describe(sources.client, sources.catalogue, followed, poll.catalogue)
            added = 0
            for table in followed:
                info = sources.catalogue.tableinfo(table)
                if info is not None:
                    added += len(register_periods(context.instance, table, info.tids))
        for table, reason in failed.items():
            context.log.error(f"{table}: {reason}")
        lost = [table for table in followed if table not in poll.catalogue.entries]
        if lost:
            context.log.warning(f"Followed, and not in the catalogue: {', '.join(lost)}")
        return MaterializeResult(
            metadata={
                "tables": len(poll.catalogue.entries),
                "followed": len(followed),
                "changed since the poll before": len(poll.moved),
                "gone since the poll before": len(poll.gone),
                "descriptions fetched": len(described),
                "descriptions failed": MetadataValue.json(failed),
                "followed but not in the catalogue": len(lost),
                "partition keys added": added,
                "source": poll.catalogue.source,
            }
        )

    return statbank_catalog


def report_poll(instance: DagsterInstance, catalogue: catalog.Catalogue, followed: int) -> None:
    """Report a poll that was made outside a run, unless Dagster knows of it."""
    latest = instance.get_latest_materialization_event(keys.CATALOGUE)
    if latest is not None and latest.timestamp >= datetime.fromisoformat(catalogue.fetched_at).timestamp():
        return
    metadata: dict[str, Any] = {"tables": len(catalogue.entries), "followed": followed, "source": catalogue.source}
    instance.report_runless_asset_event(AssetMaterialization(keys.CATALOGUE, metadata=metadata))
