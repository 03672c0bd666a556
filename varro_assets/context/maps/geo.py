"""Map layer: shapes by a dimension's own codes, small enough to draw and true at the borders.

What belongs here: making the layer from what the publisher of boundaries sent, and its GeoParquet file
``context/geo/<layer>.parquet``. Reading GeoJSON is `geo_features`, the registry `geo_layers`, the request `geo_source`,
the text for readers `geo_index`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely

from varro_assets.context.maps import geo_features
from varro_assets.context.maps.geo_features import PLANE, WGS84, Feature
from varro_assets.context.maps.geo_layers import Layer
from varro_assets.dimensions.models import Dimension, Member
from varro_assets.engine.files import write_bytes

MOST_NAMED = 20
"""Codes named in a remark."""
INDEX = "dim_kode"
NAME, LEVEL, SHAPE = "navn", "niveau", "geometry"
DECIMALS = 6
"""Of a degree: a tenth of a metre."""


@dataclass(frozen=True)
class LayerReport:
    """What making a layer showed; for metadata and for people.

    Attributes:
        layer: name.
        dimension: name of the dimension it was joined with; None where there was none.
        niveau: level of that dimension.
        features: as sent.
        shapes: rows of the layer.
        merged: codes that several features share; they are one shape now.
        empty: codes of which no feature has an area; they are not in the layer.
        repaired: codes with a shape that had to be made valid.
        unknown: codes the dimension does not have on that level; kept, with their own text.
        missing: members of that level without a shape.
        shared_borders: neighbours share their borders vertex by vertex; False where the map as sent has gaps or
            overlaps.
    """

    layer: str
    dimension: str | None
    niveau: int | None
    features: int
    shapes: int
    merged: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    shared_borders: bool = True

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is worth a person's look, one sentence each; empty for a layer without flaw."""
        said = [
            (self.unknown, f"not in dim.{self.dimension} on level {self.niveau}"),
            (self.missing, f"in dim.{self.dimension} on level {self.niveau} but without a shape"),
            (self.empty, "sent without an area"),
            (self.merged, "put together of several features"),
            (self.repaired, "of invalid shape, repaired"),
        ]
        listed = [f"{what}: {_some(codes)}." for codes, what in said if codes]
        listed = [f"{text[0].upper()}{text[1:]}" for text in listed]
        if not self.shared_borders:
            listed.append("The map as sent has gaps or overlaps: neighbours do not share their borders exactly.")
        return tuple(listed)


def _some(codes: tuple[str, ...]) -> str:
    more = [f"and {len(codes) - MOST_NAMED} more"] if len(codes) > MOST_NAMED else []
    return ", ".join([*codes[:MOST_NAMED], *more])


@dataclass(frozen=True)
class MapLayer:
    """A layer ready to be written.

    Attributes:
        frame: EPSG:4326, 6 decimals, all MultiPolygon; index ``dim_kode`` (text), sorted; columns ``navn``,
            ``niveau`` (nullable integer; only if a dimension was given; empty for a code it lacks), ``geometry``.
        report: what was noticed.
    """

    frame: gpd.GeoDataFrame
    report: LayerReport


def build(layer: Layer, geojson: bytes, dimension: Dimension | None, *, source: str = "") -> MapLayer:
    """Make the layer: valid, one shape per code, simplified with its borders, by the dimension's codes.

    Args:
        layer: which one.
        geojson: as published, or the user's own.
        dimension: the layer's dimension; None if it has none, or while it is not there: codes are then padded the
            way Statistics Denmark pads them, and ``niveau`` is left out.
        source: file or address, for errors.

    Raises:
        InvalidBoundaries: nothing that can be drawn (see `geo_features.read`), or no code that the dimension has.
    """
    on = f"{layer.name} from {source}" if source else layer.name
    features = geo_features.read(geojson, layer, on)
    members = {} if dimension is None else layer.members(dimension)
    groups: dict[str, list[Feature]] = {}
    known: dict[str, Member] = {}
    for feature in features:
        member = layer.member(feature.key, members)
        code = member.kode if member else layer.own_code(feature.key)
        groups.setdefault(code, []).append(feature)
        if member:
            known[code] = member
    if dimension is not None and not known:
        some = ", ".join(sorted(groups)[:3])
        geo_features.refuse(on, f"codes such as {some}, none of them in {dimension.relation} on level {layer.niveau}")
    outlines = {code: shape for code in sorted(groups) if (shape := _together(groups[code])) is not None}
    shapes, shared = _simplified(list(outlines.values()), layer.tolerance)
    frame = _frame(outlines, groups, known, shapes, leveled=dimension is not None)
    level = dimension.at(layer.niveau or 0) if dimension else ()
    report = LayerReport(
        layer.name,
        dimension.name if dimension else None,
        layer.niveau if dimension else None,
        len(features),
        len(outlines),
        merged=tuple(code for code in outlines if sum(f.shape is not None for f in groups[code]) > 1),
        empty=tuple(code for code in sorted(groups) if code not in outlines),
        repaired=tuple(code for code in outlines if any(feature.repaired for feature in groups[code])),
        unknown=tuple(code for code in outlines if dimension is not None and code not in known),
        missing=tuple(member.kode for member in level if member.kode not in outlines),
        shared_borders=shared,
    )
    return MapLayer(frame, report)


def write(path: Path, frame: gpd.GeoDataFrame) -> bool:
    """Write the layer as GeoParquet; the same frame gives the same bytes, and the same content writes nothing.

    Returns:
        Whether the file was written. A file that cannot be read counts as different.

    Raises:
        StorageFull: the disk is full; the old file is untouched.
    """
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=True, compression="zstd", schema_version="1.1.0")
    content = buffer.getvalue()
    if _content(path) == _table(content):
        return False
    write_bytes(path, content)
    return True


def _together(features: list[Feature]) -> shapely.MultiPolygon | None:
    shapes = [feature.shape for feature in features if feature.shape is not None]
    if len(shapes) < 2:
        return shapes[0] if shapes else None
    return geo_features.polygons(shapely.union_all(shapes))


def _simplified(shapes: list[shapely.MultiPolygon], tolerance: float) -> tuple[list[shapely.MultiPolygon], bool]:
    """The shapes with less detail, in degrees; and whether they are a coverage: no gap, no overlap, at any border.

    Borders that match vertex by vertex are simplified once for both neighbours, also where others do not match. A shape
    that comes out of it damaged is simplified by itself.
    """
    plane = np.array(shapes, dtype=object)
    together = shapely.coverage_simplify(plane, tolerance)
    alone = shapely.simplify(plane, tolerance, preserve_topology=True)
    moved = np.abs(shapely.area(together) - shapely.area(plane))
    sound = shapely.is_valid(together) & (moved <= tolerance * shapely.length(plane))
    finished = [_finished(*pair) for pair in zip(np.where(sound, together, alone), plane, strict=True)]
    return finished, bool(shapely.coverage_is_valid(finished))


def _finished(simple: shapely.Geometry, detailed: shapely.MultiPolygon) -> shapely.MultiPolygon:
    """In rounded degrees, valid, rings and points in an order of their own. What became nothing keeps its detail."""
    for shape in (simple, detailed):
        rounded = shapely.transform(shape, _degrees)
        whole = geo_features.polygons(rounded if shapely.is_valid(rounded) else shapely.make_valid(rounded))
        if whole is not None:
            return shapely.orient_polygons(shapely.normalize(whole), exterior_cw=False)
    # smaller than a square decimetre: not rounded, it is still a place
    return shapely.normalize(shapely.transform(detailed, lambda points: _degrees(points, None)))


_TO_DEGREES = pyproj.Transformer.from_crs(PLANE, WGS84, always_xy=True)


def _degrees(points: Any, decimals: int | None = DECIMALS) -> Any:
    turned = np.column_stack(_TO_DEGREES.transform(points[:, 0], points[:, 1]))
    return turned if decimals is None else turned.round(decimals)


def _frame(
    outlines: Mapping[str, shapely.MultiPolygon],
    groups: Mapping[str, list[Feature]],
    known: Mapping[str, Member],
    shapes: list[shapely.MultiPolygon],
    *,
    leveled: bool,
) -> gpd.GeoDataFrame:
    codes = pd.Index(list(outlines), dtype="object", name=INDEX)
    columns: dict[str, Any] = {
        NAME: pd.array([_name(groups[code], known.get(code), code) for code in outlines], "object")
    }
    if leveled:
        columns[LEVEL] = pd.array([known[code].niveau if code in known else None for code in outlines], dtype="Int32")
    return gpd.GeoDataFrame(columns, index=codes, geometry=shapes, crs=WGS84)


def _name(features: list[Feature], member: Member | None, code: str) -> str:
    sent = next((feature.navn for feature in features if feature.navn), "")
    return sent or (member.titel if member else code)


def _content(path: Path) -> pa.Table | None:
    try:
        return _table(path.read_bytes())
    except (OSError, pa.ArrowException):
        return None


def _table(content: bytes) -> pa.Table | None:
    """Rows and the columns' types, not what the writing library says of itself; None if it is no GeoParquet."""
    table = pq.read_table(pa.BufferReader(content))
    return table.replace_schema_metadata(None) if b"geo" in (table.schema.metadata or {}) else None
