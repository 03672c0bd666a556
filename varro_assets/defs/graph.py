"""The asset graph: the definitions of every followed table, every dimension, every document.

What belongs here: putting them together from the catalogue snapshot and the registry on disk. Touches no network and no
database, and reads no table's description (a full catalogue has 2,240) and no classification.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dagster import AssetsDefinition, Definitions, in_process_executor

from varro_assets import follow
from varro_assets.context.maps.geo_layers import DEFAULT, LAYERS
from varro_assets.context.places import DocumentPaths
from varro_assets.context.sources import ContextSources
from varro_assets.defs.catalogue import catalogue_asset
from varro_assets.defs.dimensions import dimension_assets
from varro_assets.defs.documents import document_assets
from varro_assets.defs.logs import loggers
from varro_assets.defs.pages import map_layer_assets, subject_pages
from varro_assets.defs.resources import ContextResource, StatBankResource
from varro_assets.defs.tables import table_assets
from varro_assets.defs.unattended.alerts import alerts
from varro_assets.defs.unattended.changes import changes_sensor
from varro_assets.defs.unattended.polling import poll_schedule
from varro_assets.defs.unattended.retention import retention
from varro_assets.defs.watcher import Watcher
from varro_assets.dimensions.classifications import registry
from varro_assets.settings import Settings
from varro_assets.statbank.catalog import Catalogue, CatalogueFolder


def definitions(
    settings: Settings, *, only: Collection[str] | None = None, watcher: Watcher | None = None
) -> Definitions:
    """The whole graph.

    Args:
        settings: where things lie.
        only: build just these tables and their documents, for a run that needs no others.
        watcher: told of everything a sync does.
    """
    known = CatalogueFolder(settings.metadata_dir).read()
    tables = _tables(settings, known, only) if known else []
    whole = only is None
    shared = _shared(settings) if whole else []
    poll = poll_schedule(settings) if whole else None
    home = str(settings.home)
    return Definitions(
        assets=[*shared, *tables],
        resources={
            "statbank": StatBankResource(home=home),
            "documents": ContextResource(home=home),
            "watcher": watcher or Watcher(),
        },
        schedules=[*([poll] if poll else []), retention(settings)] if whole else [],
        sensors=[changes_sensor(settings), *alerts(settings)] if whole else [],
        loggers=loggers(settings),
        # every process of a multiprocess run would load all definitions again
        executor=in_process_executor,
    )


def _tables(settings: Settings, known: Catalogue, only: Collection[str] | None) -> list[AssetsDefinition]:
    file = follow.read(settings.follow_file)
    wanted = file.resolve(known.entries.keys(), known.tables_by_subject) if only is None else only
    paths = DocumentPaths(place for places in known.places.values() for place in places)
    assets = []
    for table in wanted:
        if table in known.entries:
            entry, places = known.entries[table], known.places.get(table, [])
            assets.append(table_assets(entry, places, settings, file.options(table)))
            assets.append(document_assets(entry, places, settings, paths))
    return assets


def _shared(settings: Settings) -> list[AssetsDefinition]:
    """The catalogue, the dimensions and what speaks of many tables.

    Dimensions are those that are held, and those that the user added; never every classification whose address is
    known. Layers come with the dimension whose codes they carry.
    """
    sources = registry.read(settings.home / registry.FILE_NAME)
    held = {path.parent.name for path in settings.classifications_dir.glob("*/table_da.parquet")}
    names = sorted(held | (sources.keys() - registry.BUILT_IN.keys()))
    dimensions = [dimension_assets(name, _page(settings, sources, name), settings) for name in names]
    layers = [layer for layer in DEFAULT if LAYERS[layer].dimension in names]
    maps = [map_layer_assets(settings, layers)] if layers else []
    return [catalogue_asset(settings), subject_pages(settings), *dimensions, *maps]


def _page(settings: Settings, sources: Mapping[str, registry.Source], name: str) -> str:
    page = sources[name].page_da if name in sources else ""
    return f"{ContextSources.called(settings.dst_site_url)}{page}" if page.startswith("/") else page
