"""Feature: one shape of a map as it was sent, with the key and the name it carries.

What belongs here: reading GeoJSON (RFC 7946, and the ``crs`` of the 2008 version that map programs still write) and
judging it before use. Which dimension a key belongs to is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError

from varro_assets.context.maps.geo_layers import Layer
from varro_assets.errors import InvalidBoundaries

WGS84 = "EPSG:4326"
PLANE = "EPSG:25832"
"""ETRS89 / UTM zone 32N, in metres: what Danish maps are made in."""
_DENMARK = (3.0, 53.0, 19.0, 60.0)
"""Degrees: west, south, east, north; with sea around. A map outside has its axes swapped or states a wrong system."""
_NAMES = ("navn", "name")
_ADVICE = "Nothing was replaced. Check the file in data/admin_regions, or GEO_URL."


@dataclass(frozen=True, slots=True)
class Feature:
    """One shape.

    Attributes:
        key: as published, blanks around it removed; a number as its digits.
        navn: name as published; empty if it has none.
        shape: its polygons in the plane (`PLANE`), valid; None if it has no area.
        repaired: its rings crossed or were not closed well, and were put right.
    """

    key: str
    navn: str
    shape: shapely.MultiPolygon | None
    repaired: bool


def refuse(on: str, got: str) -> NoReturn:
    """Raise for boundaries that cannot be used."""
    raise InvalidBoundaries("use the boundaries", on=on, got=got, todo=_ADVICE)


def collection(content: bytes, on: str) -> dict[str, Any]:
    """The bytes as a FeatureCollection with features; nothing inside them is judged yet.

    Args:
        content: GeoJSON in UTF-8, with or without BOM.
        on: for errors: which layer, and where from.

    Raises:
        InvalidBoundaries: they are something else.
    """
    try:
        body = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        start = content[:60].decode("utf-8", "replace")
        refuse(on, f"no JSON ({type(error).__name__}: {error}); it begins {start!r}")
    if not isinstance(body, dict) or body.get("type") != "FeatureCollection":
        kind = body.get("type") if isinstance(body, dict) else type(body).__name__
        refuse(on, f"{kind!r} instead of a FeatureCollection")
    features = body.get("features")
    if not isinstance(features, list) or not features:
        refuse(on, "a FeatureCollection without features")
    return body


def read(content: bytes, layer: Layer, on: str) -> list[Feature]:
    """All features, in the order sent, in the plane.

    Raises:
        InvalidBoundaries: no GeoJSON, a feature without its key or with something other than polygons, an unknown
            coordinate system, or a place outside Denmark.
    """
    body = collection(content, on)
    system = _system(body, on)
    named = [_named(feature, layer, number, on) for number, feature in enumerate(body["features"], 1)]
    drawn = [_drawn(feature, number, on) for number, feature in enumerate(body["features"], 1)]
    shapes = _in_plane(drawn, system, on)
    return [
        Feature(key, navn, _polygons(shape), shape is not None and not shapely.is_valid(shape))
        for (key, navn), shape in zip(named, shapes, strict=True)
    ]


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no coordinate")


def _system(body: Mapping[str, Any], on: str) -> pyproj.CRS:
    stated = body.get("crs")
    if stated is None:
        return pyproj.CRS.from_user_input(WGS84)
    properties = stated.get("properties") if isinstance(stated, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else stated
    try:
        system = pyproj.CRS.from_user_input(name)
    except (CRSError, TypeError, ValueError):
        refuse(on, f"the coordinate system {str(name)[:80]!r}, which is not known")
    if not (system.is_geographic or system.is_projected):
        refuse(on, f"the coordinate system {str(name)[:80]!r}, which is none of a map")
    return system


def _named(feature: Any, layer: Layer, number: int, on: str) -> tuple[str, str]:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    if not isinstance(properties, dict):
        refuse(on, f"feature {number} without properties")
    folded = {name.lower(): value for name, value in properties.items()}
    key = next(filter(None, (_text(folded.get(name)) for name in layer.keys)), "")
    if not key:
        wanted = " or ".join(layer.keys)
        refuse(on, f"feature {number} has no property {wanted}; it has {', '.join(sorted(properties)[:12]) or 'none'}")
    return key, next(filter(None, (_text(folded.get(name)) for name in _NAMES)), "")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        # map programs write a whole number as 101.0
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _drawn(feature: Mapping[str, Any], number: int, on: str) -> shapely.Geometry | None:
    geometry = feature.get("geometry")
    if geometry is None:
        return None
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in {"Polygon", "MultiPolygon"}:
        refuse(on, f"feature {number} is {str(kind)[:40]!r} instead of a polygon")
    try:
        shape = shapely.from_geojson(json.dumps(geometry))
    except (shapely.errors.ShapelyError, ValueError) as error:
        refuse(on, f"feature {number} cannot be drawn: {error}")
    return None if shape.is_empty else shapely.force_2d(shape)


def _in_plane(shapes: list[shapely.Geometry | None], system: pyproj.CRS, on: str) -> list[shapely.Geometry | None]:
    drawn = [shape for shape in shapes if shape is not None]
    if not drawn:
        refuse(on, "no feature with a shape")
    corners = np.array(shapely.total_bounds(drawn)).reshape(2, 2)
    to_degrees = pyproj.Transformer.from_crs(system, WGS84, always_xy=True)
    west, south, east, north = (float(edge) for point in corners for edge in to_degrees.transform(*point))
    if not (_DENMARK[0] <= west <= east <= _DENMARK[2] and _DENMARK[1] <= south <= north <= _DENMARK[3]):
        got = f"a map from {west:.2f}, {south:.2f} to {east:.2f}, {north:.2f} (longitude, latitude), not of Denmark"
        refuse(on, f"{got}; coordinates are {system.to_string()}")
    to_plane = pyproj.Transformer.from_crs(system, PLANE, always_xy=True)

    def project(points: Any) -> Any:
        return np.column_stack(to_plane.transform(points[:, 0], points[:, 1]))

    return [None if shape is None else shapely.transform(shape, project) for shape in shapes]


def _polygons(shape: shapely.Geometry | None) -> shapely.MultiPolygon | None:
    """The valid polygons of a shape; lines and points that putting it right leaves over have no area."""
    return None if shape is None else polygons(shapely.make_valid(shape))


def polygons(shape: shapely.Geometry) -> shapely.MultiPolygon | None:
    """All polygons in a shape as one; None if there are none."""
    flat = shapely.get_parts(shapely.get_parts(shape))
    areas = [part for part in flat if isinstance(part, shapely.Polygon) and not part.is_empty]
    return shapely.MultiPolygon(areas) if areas else None
