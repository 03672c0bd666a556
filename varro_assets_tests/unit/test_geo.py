"""Map layers: by the dimension's own codes, valid, neighbours' borders shared, written only when changed."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import geopandas as gpd
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.context.maps import geo
from varro_assets.context.maps.geo import INDEX, build, write
from varro_assets.context.maps.geo_layers import DEFAULT, layer
from varro_assets.dimensions.models import Dimension, Member
from varro_assets.errors import InvalidBoundaries
from varro_assets.simulator import boundaries
from varro_assets.simulator.codelists import areas
from varro_assets_tests.map_material import collection, feature, nuts, square

KOMMUNER = layer("kommuner")
THREE = [
    feature(square(1), kode="0751", navn="Aarhus"),
    feature(square(0), kode="0101", navn="København"),
    feature(square(2), kode="0147", navn="Frederiksberg"),
]


def simulated(name: str) -> bytes:
    content = boundaries.geojson(name)
    assert content is not None
    return content


def whole_nuts() -> Dimension:
    members = [Member(code.id, 1 if code.parts else 3, code.da) for code in areas() if code.id != "000"]
    provinces = [Member(f"{number:02}", 2, f"Landsdel {number}") for number in range(1, 12)]
    return Dimension("nuts", "NUTS", (*members, *provinces), "test")


# -- codes -------------------------------------------------------------------------------------------------------------


def test_a_layer_is_indexed_by_the_dimensions_codes() -> None:
    made = build(KOMMUNER, collection(THREE), nuts())
    assert made.frame.index.name == INDEX
    assert list(made.frame.index) == ["101", "147", "751"]
    assert list(made.frame.columns) == ["navn", "niveau", "geometry"]
    assert list(made.frame["navn"]) == ["København", "Frederiksberg", "Aarhus"]
    assert list(made.frame["niveau"]) == [3, 3, 3]
    assert made.frame.crs.to_epsg() == 4326
    assert set(made.frame.geom_type) == {"MultiPolygon"}
    report = made.report
    assert (report.features, report.shapes, report.shared_borders) == (3, 3, True)
    assert report.remarks == ()


def test_a_code_the_dimension_lacks_stays_and_is_reported() -> None:
    made = build(KOMMUNER, collection([*THREE[:2], feature(square(5), kode="0999", navn="Atlantis")]), nuts())
    assert list(made.frame.index) == ["101", "751", "999"]
    assert made.frame["niveau"].isna().tolist() == [False, False, True]
    assert made.report.unknown == ("999",)
    assert made.report.missing == ("147",)
    assert made.report.remarks == (
        "Not in dim.nuts on level 3: 999.",
        "In dim.nuts on level 3 but without a shape: 147.",
    )


def test_a_layer_of_which_no_code_is_known_is_refused() -> None:
    with pytest.raises(InvalidBoundaries, match=r"none of them in dim\.nuts on level 3") as refused:
        build(KOMMUNER, collection([feature(square(0), kode="0999")]), nuts(), source="kommuner.geojson")
    assert refused.value.on == "kommuner from kommuner.geojson"


def test_without_a_dimension_codes_are_padded_as_published_and_have_no_level() -> None:
    made = build(KOMMUNER, collection(THREE), None)
    assert list(made.frame.index) == ["101", "147", "751"]
    assert list(made.frame.columns) == ["navn", "geometry"]
    assert (made.report.dimension, made.report.niveau, made.report.missing) == (None, None, ())
    parishes = build(layer("sogne"), collection([feature(square(0), kode="7001", navn="Vor Frue")]), None)
    assert list(parishes.frame.index) == ["7001"]


def test_a_name_is_taken_from_the_dimension_where_none_was_sent() -> None:
    sent = [feature(square(0), kode="0101"), feature(square(1), kode="0999")]
    assert list(build(KOMMUNER, collection(sent), nuts()).frame["navn"]) == ["København", "999"]


# -- shapes ------------------------------------------------------------------------------------------------------------


def test_several_features_of_one_place_become_one() -> None:
    sent = [*THREE, feature(square(0, 1), kode="101", navn="København"), feature(square(8, 8), kode="0101")]
    made = build(KOMMUNER, collection(sent), nuts())
    assert list(made.frame.index) == ["101", "147", "751"]
    assert made.report.merged == ("101",)
    assert made.report.features == 5
    # two neighbours became one polygon, the third is far away
    assert len(made.frame.geometry["101"].geoms) == 2


def test_a_place_without_area_is_reported_and_left_out() -> None:
    made = build(KOMMUNER, collection([*THREE[:2], feature(None, kode="0147")]), nuts())
    assert list(made.frame.index) == ["101", "751"]
    assert made.report.empty == ("147",)
    assert made.report.missing == ("147",)


def test_a_repaired_place_is_reported() -> None:
    ring = [[9.5, 56.0], [9.6, 56.1], [9.6, 56.0], [9.5, 56.1], [9.5, 56.0]]
    bow_tie = feature({"type": "Polygon", "coordinates": [ring]}, kode="0147")
    made = build(KOMMUNER, collection([*THREE[:2], bow_tie]), nuts())
    assert made.report.repaired == ("147",)
    assert made.frame.geometry.is_valid.all()


def test_overlapping_places_are_taken_and_the_overlap_is_said() -> None:
    sent = [feature(square(0, side=0.15), kode="0101"), feature(square(1), kode="0751")]
    made = build(KOMMUNER, collection(sent), nuts())
    assert not made.report.shared_borders
    assert "overlaps" in made.report.remarks[-1]
    assert made.frame.geometry.is_valid.all()
    assert len(made.frame) == 2


def test_a_speck_smaller_than_the_detail_left_out_stays_on_the_map() -> None:
    speck = feature(square(5, side=0.00002), kode="0147")
    ring = [[9.7, 56.0], [9.7000001, 56.0], [9.7000001, 56.0000001], [9.7, 56.0]]
    dust = feature({"type": "Polygon", "coordinates": [ring]}, kode="0751")
    made = build(KOMMUNER, collection([THREE[1], speck, dust]), nuts())
    assert (made.frame.to_crs(25832).area > 0).all()
    assert list(made.frame.index) == ["101", "147", "751"]


@pytest.mark.parametrize("name", DEFAULT)
def test_simulated_boundaries_lose_detail_but_no_border(name: str) -> None:
    made = build(layer(name), simulated(name), whole_nuts())
    before = gpd.read_file(io.BytesIO(simulated(name)))
    assert made.report.remarks == ()
    assert made.report.shapes == len(before)
    assert shapely.coverage_is_valid(made.frame.geometry.values)
    points = shapely.get_num_coordinates
    assert points(made.frame.geometry.values).sum() < 0.95 * points(before.geometry.values).sum()
    assert made.frame.to_crs(25832).area.sum() == pytest.approx(before.to_crs(25832).area.sum(), rel=0.01)
    moved = shapely.hausdorff_distance(made.frame.to_crs(25832).union_all(), before.to_crs(25832).union_all())
    assert moved < 5 * layer(name).tolerance
    rounded = shapely.get_coordinates(made.frame.geometry.values)
    assert (rounded == rounded.round(geo.DECIMALS)).all()


def test_a_border_with_much_detail_is_simplified_once_for_both_sides() -> None:
    zigzag = [[9.1 + (0.0004 if number % 2 else 0.0), round(56.0 + number * 0.001, 6)] for number in range(101)]
    west = [[9.0, 56.0], *zigzag, [9.0, 56.1], [9.0, 56.0]]
    east = [[9.2, 56.0], [9.2, 56.1], *reversed(zigzag), [9.2, 56.0]]
    sent = [
        feature({"type": "Polygon", "coordinates": [ring]}, kode=kode)
        for ring, kode in ((west, "0101"), (east, "0751"))
    ]
    made = build(KOMMUNER, collection(sent), nuts())
    assert shapely.get_num_coordinates(made.frame.geometry.values).max() < 40
    assert shapely.coverage_is_valid(made.frame.geometry.values)
    left, right = made.frame.geometry["101"], made.frame.geometry["751"]
    shared = left.boundary.intersection(right.boundary)
    assert shared.length == pytest.approx(0.1, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.sampled_from([0.1, 0.13]))
def test_the_order_sent_makes_no_difference(order: list[int], side: float) -> None:
    codes = ["0101", "0147", "0751", "0999", "0101", "0998"]
    sent = [feature(square(number, side=side), kode=kode) for number, kode in enumerate(codes)]
    first, second = (build(KOMMUNER, collection(some), nuts()) for some in (sent, [sent[number] for number in order]))
    assert first.report == second.report
    assert first.frame.index.tolist() == second.frame.index.tolist()
    assert first.frame.geometry.to_wkb().tolist() == second.frame.geometry.to_wkb().tolist()


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_file_is_geoparquet_by_dim_kode(tmp_path: Path) -> None:
    made = build(KOMMUNER, collection([*THREE, feature(square(5), kode="0999")]), nuts())
    path = tmp_path / "geo" / "kommuner.parquet"
    assert write(path, made.frame)
    read = gpd.read_parquet(path)
    assert read.index.name == INDEX
    assert read.index.tolist() == ["101", "147", "751", "999"]
    assert read["niveau"].tolist()[:3] == [3, 3, 3]
    assert read["niveau"].isna().tolist() == [False, False, False, True]
    assert read.geometry.geom_equals_exact(made.frame.geometry, 0).all()
    assert read.crs.to_epsg() == 4326
    facts = json.loads(pq.read_metadata(path).metadata[b"geo"])
    assert facts["primary_column"] == "geometry"
    assert facts["columns"]["geometry"]["geometry_types"] == ["MultiPolygon"]


def test_the_same_content_is_the_same_bytes_and_is_written_once(tmp_path: Path) -> None:
    path, other = tmp_path / "kommuner.parquet", tmp_path / "other.parquet"
    assert write(path, build(KOMMUNER, collection(THREE), nuts()).frame)
    content = path.read_bytes()
    os.utime(path, ns=(1, 1))
    assert not write(path, build(KOMMUNER, collection(reversed(THREE)), nuts()).frame)
    assert path.stat().st_mtime_ns == 1
    assert write(other, build(KOMMUNER, collection(THREE), nuts()).frame)
    assert other.read_bytes() == content


@pytest.mark.parametrize("change", ["name", "shape", "code", "level"])
def test_any_change_of_content_is_written(tmp_path: Path, change: str) -> None:
    path = tmp_path / "kommuner.parquet"
    write(path, build(KOMMUNER, collection(THREE), nuts()).frame)
    changed = {
        "name": feature(square(1), kode="0751", navn="Århus"),
        "shape": feature(square(1, side=0.09), kode="0751", navn="Aarhus"),
        "code": feature(square(1), kode="0752", navn="Aarhus"),
        "level": THREE[0],
    }[change]
    dimension = None if change == "level" else nuts()
    assert write(path, build(KOMMUNER, collection([changed, *THREE[1:]]), dimension).frame)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("damage", [b"", b"PAR1 no parquet", None])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "kommuner.parquet"
    frame = build(KOMMUNER, collection(THREE), nuts()).frame
    if damage is None:
        # the rows without what says that they are a map
        write(path, frame)
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    else:
        path.write_bytes(damage)
    assert write(path, frame)
    assert len(gpd.read_parquet(path)) == 3
