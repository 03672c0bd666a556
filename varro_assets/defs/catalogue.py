"""The catalogue as an asset: one poll of the publisher.

What belongs here: the spec and the op body around `statbank.catalog.poll`.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

import contextlib
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    DagsterInstance,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    asset,
)

from varro_assets import follow
from varro_assets.defs import keys
from varro_assets.defs.events import DATA_VERSION_TAG, register_periods
from varro_assets.defs.failures import named_failures
from varro_assets.defs.resources import StatBankResource
from varro_assets.defs.unattended.dead_runs import alive
from varro_assets.defs.unattended.requests import sweep_of
from varro_assets.engine import postgres
from varro_assets.settings import Settings
from varro_assets.statbank import catalog
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps import churn, due
from varro_assets.statbank.sweeps.due import State


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
        run_id = context.run.run_id
        # also of a run that somebody launched in the UI, so that its failure is noticed
        context.instance.add_run_tags(run_id, {keys.POLL_TAG: keys.CATALOGUE.to_user_string()})
        with (
            named_failures(),
            statbank.open(on_retry=context.log.warning) as sources,
            alive(sources.warehouse, run_id),
        ):
            before = sources.catalogue.read()
            poll = catalog.poll(sources.client, sources.catalogue)
            context.instance.add_run_tags(run_id, {keys.SWEEP_TAG: sweep_of(poll.catalogue)})
            found = churn.changes(before.entries if before else {}, poll.catalogue.entries)
            followed = follow.read(settings.follow_file).resolve(
                poll.catalogue.entries.keys(), poll.catalogue.tables_by_subject
            )
            described, failed = catalog.describe(sources.client, sources.catalogue, followed, poll.catalogue)
            added = 0
            for table in followed:
                info = sources.catalogue.tableinfo(table)
                if info is not None:
                    added += len(register_periods(context.instance, table, info.tids))
            states = _states(sources, followed, poll.catalogue)
            requests = sources.client.request_count
        for table, reason in failed.items():
            context.log.error(f"{table}: {reason}")
        lost = [table for table in followed if table not in poll.catalogue.entries]
        if lost:
            context.log.warning(f"Followed, and not in the catalogue: {', '.join(lost)}")
        context.log.info(churn.say(found))
        return MaterializeResult(
            data_version=DataVersion(version_of(poll.catalogue)),
            metadata={
                "tables": len(poll.catalogue.entries),
                "followed": len(followed),
                "changed since the poll before": len(poll.moved),
                "gone since the poll before": len(poll.gone),
                "descriptions fetched": len(described),
                "descriptions failed": MetadataValue.json(failed),
                "followed but not in the catalogue": len(lost),
                "partition keys added": added,
                "requests": requests,
                # how many were due, for the report of the sweep that this poll begins
                "due": sum(state not in {State.CURRENT, State.GONE} for state in states.values()),
                "source": poll.catalogue.source,
                "changes": MetadataValue.md(churn.as_markdown(found)),
            },
        )

    return statbank_catalog


def _states(sources: Sources, followed: Sequence[str], catalogue: Catalogue) -> dict[str, State]:
    with contextlib.closing(postgres.connect(sources.warehouse, "poll")) as connection:
        return due.states(followed, catalogue, due.synced(connection), sources.tables_dir)


def version_of(catalogue: Catalogue) -> str:
    """The catalogue's data version: changes with what subject pages take from it, which is where each table stands.

    When a table was published is left out: what follows from that is each table's own. Else the pages would show as out
    of date whenever any table of the publisher's is published, followed or not.
    """
    places = {table: [[place.ids, place.titles] for place in found] for table, found in catalogue.places.items()}
    return hashlib.sha256(json.dumps(places, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def report_poll(instance: DagsterInstance, catalogue: Catalogue, followed: int) -> None:
    """Report a poll that was made outside a run, unless Dagster knows of it."""
    latest = instance.get_latest_materialization_event(keys.CATALOGUE)
    if latest is not None and latest.timestamp >= datetime.fromisoformat(catalogue.fetched_at).timestamp():
        return
    metadata: dict[str, Any] = {"tables": len(catalogue.entries), "followed": followed, "source": catalogue.source}
    tags = {DATA_VERSION_TAG: version_of(catalogue)}
    instance.report_runless_asset_event(AssetMaterialization(keys.CATALOGUE, metadata=metadata, tags=tags))
