"""Dimensions as assets: a classification as published, its table in Postgres, its document.

What belongs here: specs and op bodies, which only translate between Dagster and `dimensions` and `context`.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

import contextlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    multi_asset,
)

from varro_assets.context import dimension_documents, holdings, snapshot
from varro_assets.context.places import dim_path
from varro_assets.context.sources import ContextSources
from varro_assets.defs import keys
from varro_assets.defs.failures import named_failures
from varro_assets.defs.resources import ContextResource
from varro_assets.defs.unattended.dead_runs import alive
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.dimensions.models import SCHEMA, Dimension
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import UnknownDimension
from varro_assets.settings import Settings

GROUP = "dimensions"


def dimension_assets(name: str, page: str, settings: Settings) -> AssetsDefinition:
    """The three assets of one dimension.

    Args:
        name: of the dimension.
        page: address of the page that explains it; empty for one that is made of a StatBank code list.
        settings: whose files they are, and where these lie.
    """

    @multi_asset(name=f"dimension_{name}", specs=_specs(name, page, settings), can_subset=True)
    def dimension_op(context: AssetExecutionContext, documents: ContextResource) -> Iterator[MaterializeResult[Any]]:
        with (
            named_failures(),
            documents.open(on_retry=context.log.warning) as sources,
            alive(sources.warehouse, context.run.run_id),
            contextlib.closing(postgres.connect(sources.warehouse, f"dimension {name}")) as connection,
        ):
            yield from _bring_in(context.selected_asset_keys, sources, connection, name)

    return dimension_op


def _bring_in(
    selected: AbstractSet[AssetKey], sources: ContextSources, connection: Connection, name: str
) -> Iterator[MaterializeResult[Any]]:
    if keys.classification(name) in selected:
        changed = dimension_documents.fetch(sources, connection, name)
        fetched = _held(sources, name)
        yield MaterializeResult(
            asset_key=keys.classification(name),
            metadata=held_metadata(fetched) | {"changed": changed},
            data_version=DataVersion(fetched.content_hash),
        )
    dimension = _held(sources, name)
    if keys.dimension(name) in selected:
        tables = DimTables(connection)
        # whoever materialises the table wants it right, also where its rows were changed behind our back
        changed = tables.load(dimension, anew=tables.difference(dimension) is not None)
        metadata = held_metadata(dimension) | {"changed": changed, "dagster/table_name": dimension.relation}
        # map layers made of the same content are not out of date
        version = DataVersion(dimension.content_hash)
        yield MaterializeResult(asset_key=keys.dimension(name), metadata=metadata, data_version=version)
    if keys.dimension_document(name) in selected:
        taken, held = snapshot.take(sources, connection), holdings.holdings(connection)
        report = dimension_documents.write(sources, taken, connection, dimension, held)
        metadata = {
            "path": MetadataValue.path(report.path),
            "tables that join it": len(report.tables),
            "files rewritten": len(report.changed),
        }
        yield MaterializeResult(asset_key=keys.dimension_document(name), metadata=metadata)


def _held(sources: ContextSources, name: str) -> Dimension:
    dimension = sources.library.dimension(name)
    if dimension is None:
        raise UnknownDimension(
            "load the dimension", on=name, got="its classification is not held", todo=f"varro dims sync {name}"
        )
    return dimension


def held_metadata(dimension: Dimension) -> dict[str, Any]:
    """What Dagster shows of a dimension: members by level."""
    rows = [
        f"| {level} | {dimension.level_names.get(level, '')} | {len(dimension.at(level)):,} |"
        for level in dimension.levels
    ]
    return {
        "dagster/row_count": len(dimension.members),
        "source": dimension.source,
        "levels": MetadataValue.md("\n".join(["| niveau | name | members |", "|---|---|---|", *rows])),
    }


def _specs(name: str, page: str, settings: Settings) -> list[AssetSpec]:
    shared: dict[str, Any] = {"group_name": GROUP, "owners": [settings.varro_owner], "skippable": True}
    metadata: dict[str, Any] = {"page": MetadataValue.url(page)} if page else {}
    title = _title(settings.classifications_dir / name / "table_da.parquet")
    said = f"{title}. " if title else ""
    return [
        AssetSpec(
            keys.classification(name),
            description=f"{said}The classification {name} as published: parquet, and the description as Markdown.",
            kinds={"csv", "parquet"},
            metadata={**metadata, "path": MetadataValue.path(settings.classifications_dir / name)},
            **shared,
        ),
        AssetSpec(
            keys.dimension(name),
            deps=[keys.classification(name)],
            description=f"{said}In Postgres: `{SCHEMA}.{name}` with kode, niveau, titel and the parent of each"
            f" member, and the view `{SCHEMA}.{name}_tree`.",
            kinds={"postgres"},
            metadata={**metadata, "dagster/table_name": f"{SCHEMA}.{name}"},
            **shared,
        ),
        AssetSpec(
            keys.dimension_document(name),
            deps=[keys.dimension(name)],
            description=f"{said}What to read before joining `{SCHEMA}.{name}`, and its members as parquet.",
            kinds={"markdown", "parquet"},
            metadata={**metadata, "path": MetadataValue.path(settings.context_dir / dim_path(name))},
            **shared,
        ),
    ]


def _title(path: Path) -> str:
    """As the footer of the classification's file has it; empty where nothing is held, or nothing that can be read.

    The footer alone is read: all definitions are loaded with it. A file that cannot be read is reported by those who
    need its lines.
    """
    try:
        stated: dict[bytes, bytes] = pq.read_metadata(path).metadata or {}
        return stated.get(b"title", b"").decode().rstrip(" .")
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return ""
