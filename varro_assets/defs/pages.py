"""Pages and layers as assets: what speaks of many tables at once.

What belongs here: the subject pages with their index, and the map layers. Specs and op bodies.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    Config,
    MaterializeResult,
    MetadataValue,
    asset,
    multi_asset,
)

from varro_assets.context import holdings, snapshot, subject_documents
from varro_assets.context.documents import DocumentsReport, write_index_of_maps
from varro_assets.context.documents import write as write_documents
from varro_assets.context.maps.geo_layers import FOLDER, LAYERS
from varro_assets.context.places import SUBJECTS
from varro_assets.context.sources import ContextSources
from varro_assets.defs import keys
from varro_assets.defs.documents import report_written
from varro_assets.defs.failures import named_failures
from varro_assets.defs.reports import report_shared
from varro_assets.defs.resources import ContextResource
from varro_assets.defs.unattended.dead_runs import alive
from varro_assets.engine import postgres
from varro_assets.settings import Settings

if TYPE_CHECKING:
    from varro_assets.context.maps.geo import LayerReport

GROUP = "documents"


class PagesConfig(Config):
    """How the pages are looked at.

    Attributes:
        everything: look at every page; without it only at those of which something has changed.
    """

    everything: bool = True


def subject_pages(settings: Settings) -> AssetsDefinition:
    """The asset ``context/subjects``."""

    @asset(
        key=keys.SUBJECTS,
        deps=[keys.CATALOGUE],
        group_name=GROUP,
        owners=[settings.varro_owner],
        kinds={"markdown"},
        description="A page for each subject with tables that are held, and their index; and what else is out of date:"
        " documents of dimensions, of tables whose dimensions changed, the index of maps. A table's own run writes the"
        " pages it stands on; this run follows when all tables of a sweep are done.",
        metadata={"path": MetadataValue.path(settings.context_dir / SUBJECTS)},
    )
    def context_subjects(
        context: AssetExecutionContext, config: PagesConfig, documents: ContextResource
    ) -> MaterializeResult[Any]:
        with (
            named_failures(),
            documents.open(on_retry=context.log.warning) as sources,
            alive(sources.warehouse, context.run.run_id),
        ):
            report = write_documents(sources)
            if config.everything:
                _write_every_page(sources, report)
            write_index_of_maps(sources, report)
            for table in report.tables:
                if table.changed:
                    report_written(context.instance, table)
            report_shared(context.instance, sources, but=keys.SUBJECTS)
        for on, problem in report.problems.items():
            context.log.error(f"{on}: {problem}")
        for remark in report.remarks:
            context.log.warning(remark)
        return MaterializeResult(
            metadata={
                "pages": report.pages,
                "files rewritten": len(report.changed),
                "problems": len(report.problems),
            }
        )

    return context_subjects


def _write_every_page(sources: ContextSources, report: DocumentsReport) -> None:
    with contextlib.closing(postgres.connect(sources.warehouse, "subject pages")) as connection:
        taken = snapshot.take(sources, connection)
        held = holdings.holdings(connection)
        pages = subject_documents.write_all(sources, taken, connection, held, {}, everything=True)
    report.pages = pages.pages
    report.changed.extend(pages.changed)
    report.problems.update(pages.problems)


def map_layer_assets(settings: Settings, layers: Sequence[str]) -> AssetsDefinition:
    """The assets ``context/geo/<layer>``, made together: one index speaks of all of them."""

    @multi_asset(
        name="map_layers",
        specs=[
            AssetSpec(
                keys.layer(name),
                deps=[keys.dimension(str(LAYERS[name].dimension))],
                group_name=GROUP,
                owners=[settings.varro_owner],
                kinds={"geoparquet"},
                description=f"{LAYERS[name].title}: shapes by the codes of `dim.{LAYERS[name].dimension}`, level"
                f" {LAYERS[name].niveau}, EPSG:4326.",
                metadata={"path": MetadataValue.path(settings.context_dir / FOLDER / f"{name}.parquet")},
            )
            for name in layers
        ],
    )
    def map_layers_op(context: AssetExecutionContext, documents: ContextResource) -> Iterator[MaterializeResult[Any]]:
        with (
            named_failures(),
            documents.open(on_retry=context.log.warning) as sources,
            alive(sources.warehouse, context.run.run_id),
            contextlib.closing(postgres.connect(sources.warehouse, "map layers")) as connection,
        ):
            # imported here: geopandas takes a third of a second to load, which every other run would pay
            from varro_assets.context.maps import map_layers

            taken = snapshot.take(sources, connection)
            report = map_layers.write(sources, taken, layers)
            map_layers.write_index(sources, taken, connection, holdings.holdings(connection), report.layers)
            for layer in report.layers:
                path = map_layers.path_of(sources, layer.layer)
                yield MaterializeResult(
                    asset_key=keys.layer(layer.layer), metadata={"path": MetadataValue.path(path), **_metadata(layer)}
                )

    return map_layers_op


def _metadata(layer: "LayerReport") -> dict[str, Any]:
    return {
        "dagster/row_count": layer.shapes,
        "codes without a member": len(layer.unknown),
        "members without a shape": len(layer.missing),
        "remarks": MetadataValue.md("\n".join(f"- {remark}" for remark in layer.remarks) or "none"),
    }
