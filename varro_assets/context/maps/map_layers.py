"""Map layers: fetching boundaries, making the layers of them, and the index that says what they join.

What belongs here: the steps. A layer itself is `geo`, the text of the index `geo_index`. Importing this takes a second,
for geopandas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow.parquet as pq

from varro_assets.context import doc_file, table_documents
from varro_assets.context.cards import TableCard
from varro_assets.context.holdings import Holding
from varro_assets.context.maps import geo, geo_index, geo_layers, geo_source
from varro_assets.context.maps.geo import LayerReport
from varro_assets.context.maps.geo_index import LayerPage, MapColumn
from varro_assets.context.maps.geo_layers import FOLDER, Layer
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.context.text import examples
from varro_assets.context.text.examples import Example
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import VarroError

_JOINING = "SELECT DISTINCT table_id FROM meta.dimension_link WHERE dimension = ANY(%s)"
ENDING = ".parquet"
INDEX = "index.md"


@dataclass
class LayersReport:
    """What making layers did.

    Attributes:
        layers: those that were made now.
        changed: files that were rewritten.
    """

    layers: list[LayerReport] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)


def path_of(sources: ContextSources, layer: str) -> Path:
    """``context/geo/kommuner.parquet``."""
    return sources.folder / FOLDER / f"{layer}{ENDING}"


def write(sources: ContextSources, snapshot: Snapshot, names: Iterable[str]) -> LayersReport:
    """Make layers anew, of the user's own ``data/admin_regions/<layer>.geojson`` or of what the service sends.

    Raises:
        ConfigurationError: a name that is no layer.
        InvalidBoundaries: what came is no map of Denmark by code; the layer that is there stays.
        SourceUnavailable, SourceRefused, ...: as `geo_source.fetch`.
    """
    report = LayersReport()
    session = sources.session(sources.geo_url)
    try:
        for layer in map(geo_layers.layer, names):
            own = sources.boundaries_dir / f"{layer.name}.geojson"
            content = own.read_bytes() if own.is_file() else geo_source.fetch(session, sources.geo_url, layer)
            dimension = snapshot.dimensions.get(layer.dimension) if layer.dimension else None
            made = geo.build(
                layer, content, dimension, source=str(own) if own.is_file() else sources.called(sources.geo_url)
            )
            if geo.write(path_of(sources, layer.name), made.frame):
                report.changed.append(path_of(sources, layer.name))
            report.layers.append(made.report)
    finally:
        session.close()
    return report


def write_index(
    sources: ContextSources,
    snapshot: Snapshot,
    connection: Connection,
    held: Mapping[str, Holding],
    made: Sequence[LayerReport] = (),
) -> list[Path]:
    """Write the index of the layers that are there; nothing if there are none.

    Args:
        sources: folders.
        snapshot: of this moment.
        connection: to the warehouse, to run the example that is shown.
        held: every table with a loaded period.
        made: reports of layers that were just made; of the others only the files are known.

    Raises:
        HandEdited: somebody wrote above the line ``notes:``.
        ExampleFailed: the example does not run on the database.
    """
    known = {report.layer: report for report in made}
    joining = _joining(connection, {str(layer.dimension) for layer in geo_layers.LAYERS.values() if layer.dimension})
    cards = _cards(sources, snapshot, [holding for table, holding in held.items() if table in joining])
    links = {table: [one.link for one in card.linked if one.link is not None] for table, card in cards.items()}
    pages = []
    for layer in geo_layers.LAYERS.values():
        path = path_of(sources, layer.name)
        if path.is_file():
            report = known.get(layer.name) or _of_file(path, layer, snapshot)
            pages.append(LayerPage(report, geo_index.map_columns(report, links)))
    if not pages:
        return []
    path = sources.folder / FOLDER / INDEX
    example = _example(connection, cards, pages)
    return [path] if doc_file.write(path, geo_index.text(pages, example)) else []


def _of_file(path: Path, layer: Layer, snapshot: Snapshot) -> LayerReport:
    """What the file itself shows: how many shapes, and how they agree with the dimension."""
    codes = pq.read_table(path, columns=[geo.INDEX]).column(geo.INDEX).to_pylist()
    dimension = snapshot.dimensions.get(layer.dimension) if layer.dimension else None
    members = [member.kode for member in dimension.at(layer.niveau or 0)] if dimension else []
    known, there = set(members), set(codes)
    return LayerReport(
        layer=layer.name,
        dimension=dimension.name if dimension else None,
        niveau=layer.niveau if dimension else None,
        features=len(codes),
        shapes=len(codes),
        unknown=tuple(code for code in codes if code not in known) if dimension else (),
        missing=tuple(code for code in members if code not in there),
    )


def _joining(connection: Connection, dimensions: set[str]) -> set[str]:
    """Tables that join any of these: a full catalogue has thousands that have nothing to do with a map."""
    with postgres.transaction(connection, "read which tables join a map") as cursor:
        cursor.execute(_JOINING, (sorted(dimensions),))
        return {table for (table,) in cursor.fetchall()}


def _cards(sources: ContextSources, snapshot: Snapshot, held: Iterable[Holding]) -> dict[str, TableCard]:
    found: dict[str, TableCard] = {}
    for holding in held:
        try:
            found[holding.table] = table_documents.gather(sources, snapshot, holding)
        except (VarroError, OSError):
            continue  # such a table has no document either, which its own check reports
    return found


def _example(
    connection: Connection, cards: Mapping[str, TableCard], pages: Sequence[LayerPage]
) -> tuple[str, str] | None:
    """A query that gives each place of the layer with most places one value; None where no table allows one."""
    for page in sorted(pages, key=lambda page: -page.report.shapes):
        for column in page.columns:
            picks = _picks(cards[column.table], column)
            if picks is None:
                continue
            query = geo_index.example_sql(replace(page, columns=(replace(column, picks=picks),)))
            # one that takes too long shows nothing either; the next table may be smaller
            if query and examples.verified(connection, [Example("", query)], on_slow=lambda _example: None):
                return page.report.layer, query
    return None


def _picks(card: TableCard, mapped: MapColumn) -> dict[str, str] | None:
    """Column -> code that leaves one value a place; None where a column has no such code."""
    found: dict[str, str] = {}
    for column in card.columns:
        if column.name == mapped.column:
            continue
        if column.pick is None:
            return None
        found[column.name] = column.pick
    return found
