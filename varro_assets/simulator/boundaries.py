"""Boundaries: the map that the simulator serves beside the API, the way Denmark's address service serves the real one.

What belongs here: invented, schematic shapes. Names, codes, membership, rough centres and areas are facts; the borders
are not: each municipality is the ground nearest to its centre, cut off where a disc of about its area ends, so that
Denmark is recognised and islands stay islands. Nothing of any published border is in it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable
from typing import Any

import shapely

from varro_assets.simulator.codelists import areas

_PLACES = {
    ("DK011", "Byen København", "084"): (
        "101 12.55 55.68 92, 147 12.52 55.68 9, 155 12.62 55.58 18, 185 12.64 55.62 66"
    ),
    ("DK012", "Københavns omegn", "084"): (
        "165 12.35 55.68 24, 151 12.36 55.73 34, 153 12.42 55.64 21, 157 12.55 55.75 26, 159 12.47 55.75 25, "
        "161 12.41 55.68 13, 163 12.43 55.73 12, 167 12.47 55.63 23, 169 12.24 55.66 78, 183 12.31 55.62 27, "
        "173 12.51 55.79 39, 175 12.45 55.69 12, 187 12.37 55.63 10"
    ),
    ("DK013", "Nordsjælland", "084"): (
        "201 12.32 55.86 68, 240 12.23 55.77 125, 210 12.44 55.95 112, 250 12.01 55.82 251, 190 12.37 55.80 57, "
        "270 12.23 56.05 280, 260 12.00 55.97 123, 217 12.50 56.04 122, 219 12.24 55.93 213, 223 12.49 55.88 31, "
        "230 12.49 55.83 73"
    ),
    ("DK014", "Bornholm", "084"): ("400 14.91 55.12 590, 411 15.19 55.32 0.4"),
    ("DK021", "Østsjælland", "085"): (
        "253 12.25 55.59 61, 259 12.07 55.46 259, 350 11.92 55.64 241, 265 12.10 55.64 212, 269 12.17 55.54 41"
    ),
    ("DK022", "Vest- og Sydsjælland", "085"): (
        "320 12.06 55.29 405, 376 11.83 54.79 904, 316 11.62 55.66 580, 326 11.23 55.63 606, "
        "360 11.30 54.80 896, 370 11.73 55.26 685, 306 11.56 55.85 358, 329 11.82 55.46 295, "
        "330 11.34 55.34 571, 340 11.56 55.49 309, 336 12.31 55.33 250, 390 12.10 55.03 626"
    ),
    ("DK031", "Fyn", "083"): (
        "420 10.07 55.30 512, 430 10.37 55.20 638, 440 10.62 55.46 208, 482 10.78 54.92 292, 410 9.89 55.45 300, "
        "480 10.25 55.52 453, 450 10.70 55.29 278, 461 10.37 55.39 305, 479 10.60 55.09 418, 492 10.38 54.88 91"
    ),
    ("DK032", "Sydjylland", "083"): (
        "530 8.97 55.74 540, 561 8.68 55.42 758, 563 8.42 55.41 66, 607 9.68 55.57 135, 510 9.34 55.25 814, "
        "621 9.44 55.46 604, 540 9.79 54.95 496, 550 8.87 55.08 1184, 573 8.48 55.68 1237, 575 9.05 55.47 814, "
        "630 9.37 55.74 1062, 580 9.32 54.98 941"
    ),
    ("DK042", "Østjylland", "082"): (
        "710 9.93 56.31 541, 766 9.74 55.79 552, 615 9.78 55.93 524, 707 10.64 56.46 724, 727 10.15 55.94 226, "
        "730 10.07 56.52 747, 741 10.59 55.86 115, 740 9.52 56.19 865, 746 9.87 56.08 455, 706 10.53 56.30 698, "
        "751 10.16 56.16 472"
    ),
    ("DK041", "Vestjylland", "082"): (
        "657 8.88 56.16 1323, 661 8.60 56.37 804, 756 9.23 56.04 735, 665 8.28 56.50 518, 760 8.47 56.02 1494, "
        "779 8.98 56.64 690, 671 8.55 56.52 247, 791 9.40 56.46 1421"
    ),
    ("DK050", "Nordjylland", "081"): (
        "773 8.73 56.80 366, 787 8.60 56.94 1097, 810 10.12 57.23 634, 813 10.41 57.42 653, 820 9.38 56.82 769, "
        "825 11.02 57.27 119, 840 9.82 56.82 622, 846 9.95 56.69 725, 849 9.50 57.14 866, 851 9.96 57.01 1139, "
        "860 10.06 57.46 927"
    ),
}
"""NUTS 3 code, name and region of a landsdel -> its municipalities: code, longitude, latitude, km²."""
_NUTS2 = {"084": "DK01", "085": "DK02", "083": "DK03", "082": "DK04", "081": "DK05"}
_MAINLAND = {"DK031": "Fyn", "DK032": "Jylland", "DK041": "Jylland", "DK042": "Jylland", "DK050": "Jylland"}
"""NUTS 3 code -> the large land that it lies on; Sjælland for all others."""
_ISLANDS = {
    "360": "Lolland-Falster", "376": "Lolland-Falster", "400": "Bornholm", "411": "Christiansø", "482": "Langeland",
    "492": "Ærø", "563": "Fanø", "741": "Samsø", "773": "Mors", "825": "Læsø",
}  # fmt: skip
"""Municipalities that lie elsewhere."""
_KM_PER_DEGREE = 111.2
_NARROWING = math.cos(math.radians(56.0))
"""A degree of longitude is this much shorter than one of latitude in the middle of Denmark."""
_STRETCH = 1.1
"""Discs are larger than the areas they stand for, since neighbours' discs overlap and leave gaps."""
_CLOSED = 10.0
"""km; gaps between the discs of one land up to twice this wide are land too."""
_STRAIT = 1.0
"""km; half of the water between two lands that would touch."""
_DECIMALS = 5


def geojson(layer: str) -> bytes | None:
    """A layer as GeoJSON, WGS 84: ``kommuner`` (99), ``landsdele`` (11) or ``regioner`` (5); None for any other.

    Properties are named, and codes written, as the real service does: ``kode`` "0101" and "1084", ``nuts3`` "DK011".
    """
    build = {"kommuner": _municipalities, "landsdele": _provinces, "regioner": _regions}.get(layer)
    if build is None:
        return None
    collection = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "EPSG:4326"}},
        "note": "Invented, schematic borders of the simulated StatBank",
        "features": [
            {"type": "Feature", "properties": properties, "geometry": json.loads(shapely.to_geojson(shape))}
            for properties, shape in build()
        ],
    }
    return json.dumps(collection, ensure_ascii=False, separators=(",", ":")).encode()


def _municipalities() -> Iterable[tuple[dict[str, Any], shapely.MultiPolygon]]:
    names = _names()
    region_of = {code: region for (_, _, region), codes in _members().items() for code in codes}
    for code, shape in sorted(_shapes().items()):
        region = region_of[code]
        properties = {
            "kode": f"0{code}",
            "navn": names[code],
            "udenforkommuneinddeling": code == "411",
            "regionskode": f"1{region}",
            "regionsnavn": names[region],
        }
        yield properties, shape


def _provinces() -> Iterable[tuple[dict[str, Any], shapely.MultiPolygon]]:
    names = _names()
    for (nuts3, name, region), codes in _members().items():
        properties = {"nuts3": nuts3, "navn": name, "regionskode": f"1{region}", "regionsnavn": names[region]}
        yield properties, _together(codes)


def _regions() -> Iterable[tuple[dict[str, Any], shapely.MultiPolygon]]:
    names = _names()
    for region in sorted(_NUTS2):
        codes = [code for (_, _, above), members in _members().items() if above == region for code in members]
        yield {"kode": f"1{region}", "nuts2": _NUTS2[region], "navn": names[region]}, _together(codes)


def _names() -> dict[str, str]:
    return {code.id: code.da for code in areas()}


@functools.cache
def _members() -> dict[tuple[str, str, str], dict[str, tuple[float, float, float]]]:
    """Landsdel -> municipality -> x and y in km, and km²."""
    found: dict[tuple[str, str, str], dict[str, tuple[float, float, float]]] = {}
    for landsdel, text in _PLACES.items():
        entries = [entry.split() for entry in text.split(", ")]
        found[landsdel] = {code: (*_to_plane(float(x), float(y)), float(size)) for code, x, y, size in entries}
    return found


def _to_plane(longitude: float, latitude: float) -> tuple[float, float]:
    return longitude * _KM_PER_DEGREE * _NARROWING, latitude * _KM_PER_DEGREE


@functools.cache
def _shapes() -> dict[str, shapely.MultiPolygon]:
    """Municipality -> its shape in degrees. Neighbours share their border vertex by vertex."""
    places = {code: place for members in _members().values() for code, place in members.items()}
    land_of = {
        code: _ISLANDS.get(code, _MAINLAND.get(nuts3, "Sjælland"))
        for (nuts3, _, _), members in _members().items()
        for code in members
    }
    centres = shapely.points([(x, y) for x, y, _ in places.values()])
    frame = shapely.box(*shapely.total_bounds(centres)).buffer(100)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(centres), extend_to=frame, ordered=True))
    cell_of = dict(zip(places, cells, strict=True))
    lands = _lands(places, land_of, cell_of)
    return {code: _in_degrees(cell_of[code].intersection(lands[land_of[code]])) for code in places}


def _lands(
    places: dict[str, tuple[float, float, float]], land_of: dict[str, str], cell_of: dict[str, shapely.Polygon]
) -> dict[str, shapely.Geometry]:
    """Land -> its outline in the plane, with water towards every other land."""
    outline: dict[str, shapely.Geometry] = {}
    for land in dict.fromkeys(land_of.values()):
        mine = [code for code in places if land_of[code] == land]
        sized = (places[code] for code in mine)
        discs = [shapely.Point(x, y).buffer(_STRETCH * math.sqrt(size / math.pi)) for x, y, size in sized]
        closed = shapely.union_all(discs).buffer(_CLOSED).buffer(-_CLOSED)
        outline[land] = closed.intersection(shapely.union_all([cell_of[code] for code in mine]))
    coast = {land: shape.buffer(_STRAIT) for land, shape in outline.items()}
    return {
        land: shape.difference(shapely.union_all([wet for other, wet in coast.items() if other != land]))
        for land, shape in outline.items()
    }


def _in_degrees(shape: shapely.Geometry) -> shapely.MultiPolygon:
    def degrees(points: Any) -> Any:
        return (points / [_KM_PER_DEGREE * _NARROWING, _KM_PER_DEGREE]).round(_DECIMALS)

    return _multi(shapely.transform(shape, degrees))


def _together(codes: Iterable[str]) -> shapely.MultiPolygon:
    return _multi(shapely.union_all([_shapes()[code] for code in codes]))


def _multi(shape: shapely.Geometry) -> shapely.MultiPolygon:
    """All polygons of a shape as one, rings wound as RFC 7946 asks, in an order that does not hang on the library."""
    parts = [part for part in shapely.get_parts(shape) if isinstance(part, shapely.Polygon)]
    whole = shapely.normalize(shapely.MultiPolygon(parts))
    return shapely.orient_polygons(whole, exterior_cw=False)
