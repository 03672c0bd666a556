"""The StatBank family's definitions: the catalogue and every followed table.

What belongs here: building definitions from the catalogue snapshot on disk. Touches no network and no database, and
reads no table's description (a full catalogue has 2,240).
"""

from __future__ import annotations

from collections.abc import Collection

from dagster import AssetsDefinition, Definitions, in_process_executor

from varro_assets import follow
from varro_assets.defs.catalogue import catalogue_asset
from varro_assets.defs.resources import StatBankResource
from varro_assets.defs.tables import table_assets
from varro_assets.defs.watcher import Watcher
from varro_assets.settings import Settings
from varro_assets.statbank.catalog import Catalogue, CatalogueFolder


def statbank_definitions(
    settings: Settings, *, only: Collection[str] | None = None, watcher: Watcher | None = None
) -> Definitions:
    """Assets of the followed tables.

    Args:
        settings: where things lie.
        only: build just these tables, for a run that needs no others.
        watcher: told of everything a sync does.
    """
    known = CatalogueFolder(settings.metadata_dir).read()
    tables = _tables(settings, known, only) if known else []
    assets = tables if only is not None else [catalogue_asset(settings), *tables]
    return Definitions(
        assets=assets,
        resources={"statbank": StatBankResource(home=str(settings.home)), "watcher": watcher or Watcher()},
        # every process of a multiprocess run would load all definitions again
        executor=in_process_executor,
    )


def _tables(settings: Settings, known: Catalogue, only: Collection[str] | None) -> list[AssetsDefinition]:
    file = follow.read(settings.follow_file)
    wanted = file.resolve(known.entries.keys(), known.tables_by_subject) if only is None else only
    return [
        table_assets(known.entries[table], known.places.get(table, []), settings.varro_owner, file.options(table))
        for table in wanted
        if table in known.entries
    ]
