"""The map the simulator serves: the real service's names and codes, invented borders that fit together."""

from __future__ import annotations

import json
from typing import Any

import pytest
import shapely

from varro_assets.simulator import boundaries
from varro_assets.simulator.codelists import areas

COUNTS = {"kommuner": 99, "landsdele": 11, "regioner": 5}


def features(layer: str) -> list[dict[str, Any]]:
    content = boundaries.geojson(layer)
    assert content is not None
    body = json.loads(content)
    assert body["type"] == "FeatureCollection"
    return body["features"]


def shapes(layer: str) -> list[shapely.Geometry]:
    return [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in features(layer)]


@pytest.mark.parametrize(("layer", "count"), COUNTS.items())
def test_a_layer_is_whole_and_fits_together(layer: str, count: int) -> None:
    drawn = shapes(layer)
    assert len(drawn) == count
    assert all(shapely.is_valid(drawn))
    assert all(shapely.area(drawn) > 0)
    assert shapely.coverage_is_valid(drawn)
    west, south, east, north = shapely.total_bounds(drawn)
    assert (west, south) > (7.5, 54.3)
    assert west < 8.3
    assert 15 < east < 16
    assert 57.5 < north < 58.3


def test_codes_are_written_as_the_real_service_writes_them() -> None:
    municipalities = {feature["properties"]["kode"]: feature["properties"] for feature in features("kommuner")}
    assert set(municipalities) == {f"0{code.id}" for code in areas() if not code.parts}
    assert municipalities["0101"] == {
        "kode": "0101",
        "navn": "København",
        "udenforkommuneinddeling": False,
        "regionskode": "1084",
        "regionsnavn": "Region Hovedstaden",
    }
    assert [code for code, found in municipalities.items() if found["udenforkommuneinddeling"]] == ["0411"]
    assert {feature["properties"]["kode"] for feature in features("regioner")} == {
        "1081",
        "1082",
        "1083",
        "1084",
        "1085",
    }
    provinces = {feature["properties"]["nuts3"]: feature["properties"]["navn"] for feature in features("landsdele")}
    assert len(provinces) == 11
    assert provinces["DK041"] == "Vestjylland"
    assert provinces["DK042"] == "Østjylland"


def test_each_municipality_lies_in_the_region_it_names() -> None:
    regions = {
        feature["properties"]["kode"]: shape
        for feature, shape in zip(features("regioner"), shapes("regioner"), strict=True)
    }
    for feature, shape in zip(features("kommuner"), shapes("kommuner"), strict=True):
        inside = shape.intersection(regions[feature["properties"]["regionskode"]]).area
        assert inside == pytest.approx(shape.area), feature["properties"]["navn"]
    provinces = shapely.union_all(shapes("landsdele"))
    assert provinces.area == pytest.approx(shapely.union_all(shapes("kommuner")).area)


def test_membership_of_regions_is_that_of_the_code_list() -> None:
    below = {code.id: set(code.parts) for code in areas() if code.parts and code.id != "000"}
    found: dict[str, set[str]] = {}
    for feature in features("kommuner"):
        found.setdefault(feature["properties"]["regionskode"][1:], set()).add(feature["properties"]["kode"][1:])
    assert found == below


def test_islands_are_islands() -> None:
    by_code = dict(
        zip((feature["properties"]["kode"] for feature in features("kommuner")), shapes("kommuner"), strict=True)
    )
    for island in ("0400", "0411", "0492", "0563", "0741", "0825"):
        others = shapely.union_all([shape for code, shape in by_code.items() if code != island])
        assert by_code[island].distance(others) > 0.01, island
    jutland, funen = by_code["0607"], by_code["0410"]
    assert 0 < jutland.distance(funen) < 0.2


def test_it_is_the_same_every_time_and_nothing_else_is_served() -> None:
    first = boundaries.geojson("kommuner")
    boundaries._shapes.cache_clear()
    boundaries._members.cache_clear()
    assert boundaries.geojson("kommuner") == first
    assert boundaries.geojson("sogne") is None
    assert boundaries.geojson("../kommuner") is None
