"""Map material: small squares with codes, and the dimension they belong to, for tests of the map layers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from varro_assets.dimensions.models import Dimension, Member

WEST, SOUTH = 9.0, 56.0
SIDE = 0.1
"""Degrees; about 6 by 11 km."""


def square(column: int, row: int = 0, side: float = SIDE) -> dict[str, Any]:
    """A square of a grid in Jutland, as a GeoJSON polygon; neighbours share their corners."""
    west, south = round(WEST + column * SIDE, 6), round(SOUTH + row * SIDE, 6)
    east, north = round(west + side, 6), round(south + side, 6)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def feature(geometry: dict[str, Any] | None, **properties: Any) -> dict[str, Any]:
    """A GeoJSON feature."""
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def collection(features: Sequence[Any], **members: Any) -> bytes:
    """A FeatureCollection as bytes."""
    return json.dumps({"type": "FeatureCollection", "features": list(features), **members}, ensure_ascii=False).encode()


def nuts(*members: tuple[str, int, str]) -> Dimension:
    """A dimension of these codes, levels and titles; three regions, landsdele and municipalities without any."""
    listed = members or (
        ("084", 1, "Region Hovedstaden"),
        ("01", 2, "Landsdel Byen København"),
        ("101", 3, "København"),
        ("147", 3, "Frederiksberg"),
        ("082", 1, "Region Midtjylland"),
        ("09", 2, "Landsdel Østjylland"),
        ("751", 3, "Aarhus"),
        ("10", 2, "Landsdel Vestjylland"),
    )
    return Dimension("nuts", "Regioner", tuple(Member(*member) for member in listed), "test")
