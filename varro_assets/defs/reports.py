"""Reports: what was written outside a run, as Dagster sees it.

What belongs here: dimensions, subject pages and map layers that the commands wrote. A table's periods are `health`, its
documents `documents`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dagster import AssetKey, AssetMaterialization, DagsterInstance, MetadataValue

from varro_assets.context.maps.geo_layers import DEFAULT, FOLDER
from varro_assets.context.places import SUBJECTS, dim_path
from varro_assets.context.sources import ContextSources
from varro_assets.defs import keys
from varro_assets.defs.dimensions import held_metadata


def report_shared(instance: DagsterInstance, sources: ContextSources, *, but: AssetKey | None = None) -> list[AssetKey]:
    """Report what lies there and is newer than what Dagster knows; returns the keys.

    Args:
        instance: Dagster's.
        sources: whose dimension tables are up to date with their files.
        but: what the run that calls this reports itself.
    """
    written = {
        key: (path.stat().st_mtime, metadata)
        for key, path, metadata in _written(sources)
        if key != but and path.exists()
    }
    known = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization.timestamp
        for record in instance.get_asset_records(list(written))
        if record.asset_entry.last_materialization is not None
    }
    late = [key for key, (moment, _) in written.items() if key not in known or known[key] < moment]
    for key in late:
        instance.report_runless_asset_event(AssetMaterialization(key, metadata=written[key][1]))
    return late


def _written(sources: ContextSources) -> Iterator[tuple[AssetKey, Path, dict[str, Any]]]:
    """Key, the file that changes whenever the asset does, metadata."""
    for name, dimension in sources.library.all().items():
        held, document = sources.library.store.folder / name / "table_da.parquet", sources.folder / dim_path(name)
        yield keys.classification(name), held, held_metadata(dimension)
        yield keys.dimension(name), held, held_metadata(dimension) | {"dagster/table_name": dimension.relation}
        yield keys.dimension_document(name), document, {"path": MetadataValue.path(document)}
    pages = sorted((sources.folder / SUBJECTS).rglob("*.md"), key=lambda page: page.stat().st_mtime)
    if pages:
        # the index is none of the pages
        yield keys.SUBJECTS, pages[-1], {"pages": len(pages) - 1}
    for layer in DEFAULT:
        path = sources.folder / FOLDER / f"{layer}.parquet"
        yield keys.layer(layer), path, {"path": MetadataValue.path(path)}
