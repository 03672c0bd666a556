"""GeoJSON as it comes: what is taken, and what is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
import shapely

from varro_assets.context.maps import geo_features
from varro_assets.context.maps.geo_layers import layer
from varro_assets.errors import InvalidBoundaries
from varro_assets_tests.map_material import collection, feature, square

KOMMUNER = layer("kommuner")
GOOD = feature(square(0), kode="0101", navn="København")


def read(content: bytes) -> list[geo_features.Feature]:
    return geo_features.read(content, KOMMUNER, "kommuner from a test")


def test_a_feature_has_key_name_and_shape_in_metres() -> None:
    (found,) = read(collection([GOOD]))
    assert (found.key, found.navn, found.repaired) == ("0101", "København", False)
    assert found.shape is not None
    assert found.shape.area / 1e6 == pytest.approx(69.4, rel=0.01)


@pytest.mark.parametrize("kode", ["0101", " 0101 ", 101, 101.0])
def test_keys_may_be_written_as_numbers(kode: Any) -> None:
    (found,) = read(collection([feature(square(0), kode=kode)]))
    assert int(found.key) == 101
    assert found.navn == ""


def test_other_programs_name_the_key_otherwise() -> None:
    (found,) = read(collection([feature(square(0), KOMKODE="0101", NAVN="København")]))
    assert (found.key, found.navn) == ("0101", "København")


def test_a_byte_order_mark_and_a_third_coordinate_are_taken() -> None:
    tall = square(0)
    tall["coordinates"][0] = [[*point, 12.5] for point in tall["coordinates"][0]]
    (found,) = read(b"\xef\xbb\xbf" + collection([feature(tall, kode="0101")]))
    assert found.shape is not None
    assert not found.shape.has_z


def test_a_stated_coordinate_system_is_believed() -> None:
    (degrees,) = read(collection([GOOD]))
    assert degrees.shape is not None
    metres = feature(json.loads(shapely.to_geojson(degrees.shape)), kode="0101")
    stated = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}
    (found,) = read(collection([metres], crs=stated))
    assert found.shape is not None
    assert shapely.equals_exact(found.shape, degrees.shape, tolerance=1e-6)


def test_a_bow_tie_is_repaired_and_said() -> None:
    ring = [[9.0, 56.0], [9.1, 56.1], [9.1, 56.0], [9.0, 56.1], [9.0, 56.0]]
    (found,) = read(collection([feature({"type": "Polygon", "coordinates": [ring]}, kode="0101")]))
    assert found.repaired
    assert found.shape is not None
    assert found.shape.is_valid
    assert len(found.shape.geoms) == 2


def test_a_feature_without_area_has_no_shape() -> None:
    line = [[9.0, 56.0], [9.1, 56.0], [9.0, 56.0], [9.0, 56.0]]
    flat = feature({"type": "Polygon", "coordinates": [line]}, kode="0102")
    empty = feature({"type": "MultiPolygon", "coordinates": []}, kode="0103")
    found = read(collection([GOOD, flat, empty, feature(None, kode="0104")]))
    assert [shape.shape is None for shape in found] == [False, True, True, True]


SWAPPED = {"type": "Polygon", "coordinates": [[[y, x] for x, y in square(0)["coordinates"][0]]]}
HUGE = {"type": "Polygon", "coordinates": [[[1e999, 56.0], [9.1, 56.0], [9.1, 56.1], [1e999, 56.0]]]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON"),
        (b"<html><body>Closed</body></html>", "no JSON"),
        (b'{"type": "FeatureCollection", "features": [', "no JSON"),
        (b"\xff\xfe{}", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "instead of a FeatureCollection"),
        (json.dumps(GOOD).encode(), "instead of a FeatureCollection"),
        (b'{"type": "FeatureCollection"}', "without features"),
        (collection([]), "without features"),
        (collection([GOOD, 7]), "feature 2 without properties"),
        (collection([{"type": "Feature", "geometry": square(0)}]), "feature 1 without properties"),
        (collection([feature(square(0), navn="København")]), "no property kode or kommunekode or komkode; it has navn"),
        (collection([feature(square(0), kode="")]), "no property kode"),
        (collection([feature(square(0), kode=True)]), "no property kode"),
        (collection([feature({"type": "Point", "coordinates": [9, 56]}, kode="0101")]), "'Point' instead of a polygon"),
        (
            collection([feature({"type": "Polygon", "coordinates": [[[9, 56], [9.1, 56]]]}, kode="1")]),
            "cannot be drawn",
        ),
        (collection([feature({"type": "Polygon", "coordinates": "x"}, kode="1")]), "cannot be drawn"),
        (collection([feature({"type": "Polygon"}, kode="1")]), "cannot be drawn"),
        (collection([feature(None, kode="0101")]), "no feature with a shape"),
        (collection([feature(SWAPPED, kode="0101")]), "not of Denmark"),
        (collection([feature(HUGE, kode="0101")]).replace(b"Infinity", b"1e999"), "cannot be drawn"),
        (collection([feature(HUGE, kode="0101")]), "Infinity is no coordinate"),
        (collection([GOOD], crs={"type": "name", "properties": {"name": "EPSG:25832"}}), "not of Denmark"),
        (
            collection([GOOD], crs={"type": "name", "properties": {"name": "Atlantis"}}),
            "'Atlantis', which is not known",
        ),
        (collection([GOOD], crs={"type": "name", "properties": []}), "which is not known"),
        (collection([GOOD], crs={"type": "name", "properties": {"name": 7}}), "which is not known"),
        (collection([GOOD], crs=[1, 2]), "which is not known"),
        (collection([GOOD], crs={"type": "name", "properties": {"name": "EPSG:5703"}}), "which is none of a map"),
    ],
)
def test_what_cannot_be_used_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidBoundaries) as refused:
        read(content)
    assert reason in refused.value.got
    assert refused.value.on == "kommuner from a test"
    assert "admin_regions" in refused.value.todo
