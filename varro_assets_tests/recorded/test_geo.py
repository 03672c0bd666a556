"""Real borders: recorded municipalities, landsdele and regions go through and lie at the codes they should."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from varro_assets.context.maps.geo import build, write
from varro_assets.context.maps.geo_layers import layer
from varro_assets.dimensions.models import Dimension, Member
from varro_assets.simulator import boundaries
from varro_assets.simulator.codelists import areas

SENT = {
    # layer -> (property, how the service writes the recorded number)
    "kommuner": ("kode", lambda number: f"{number:04}"),
    "regioner": ("kode", lambda number: str(number + 1000)),
    "landsdele": ("kode", str),
}
COUNTS = {"kommuner": 99, "landsdele": 11, "regioner": 5}


def nuts() -> Dimension:
    members = [Member(code.id, 1 if code.parts else 3, code.da) for code in areas() if code.id != "000"]
    return Dimension("nuts", "NUTS", (*members, *(Member(f"{n:02}", 2, f"Landsdel {n}") for n in range(1, 12))), "test")


def recorded_layer(recorded: Path, name: str) -> gpd.GeoDataFrame:
    path = recorded / "geo" / f"{name}.parquet"
    if not path.is_file():
        pytest.skip("no recorded borders")
    return gpd.read_parquet(path)


@pytest.mark.parametrize("name", SENT)
def test_real_borders_go_through(recorded: Path, tmp_path: Path, name: str) -> None:
    before = recorded_layer(recorded, name)
    key, written = SENT[name]
    sent = before.reset_index(drop=True).assign(**{key: [written(int(number)) for number in before.index]})
    made = build(layer(name), sent.to_json().encode(), nuts())
    report = made.report
    assert (report.shapes, report.unknown, report.missing, report.empty) == (COUNTS[name], (), (), ())
    assert sorted(map(int, made.frame.index)) == sorted(map(int, before.index))
    assert made.frame.geometry.is_valid.all()
    # a shape lies where it lay, by its number and not by its place in the list
    now = made.frame.set_index(made.frame.index.astype(int)).to_crs(25832).geometry
    then = before.set_index(before.index.astype(int)).to_crs(25832).geometry
    common = now.intersection(then.reindex(now.index)).area / now.union(then.reindex(now.index)).area
    assert common.min() > 0.98, common.idxmin()
    assert write(tmp_path / f"{name}.parquet", made.frame)
    assert not write(tmp_path / f"{name}.parquet", made.frame)
    assert (tmp_path / f"{name}.parquet").stat().st_size < (recorded / "geo" / f"{name}.parquet").stat().st_size * 1.1


def test_names_of_provinces_stand_by_the_right_number(recorded: Path) -> None:
    """The publishers count Vestjylland and Østjylland the other way round: NUTS 3 DK041 is landsdel 10."""
    names = recorded_layer(recorded, "landsdele")["navn"]
    numbers = layer("landsdele").numbers
    by_number = {int(number): name for number, name in names.items()}
    assert by_number[numbers["DK041"]] == "Vestjylland"
    assert by_number[numbers["DK042"]] == "Østjylland"
    assert by_number[numbers["DK011"]] == "Byen København"


def test_invented_borders_lie_where_the_real_places_are(recorded: Path) -> None:
    real = recorded_layer(recorded, "kommuner").to_crs(25832)
    invented = build(layer("kommuner"), boundaries.geojson("kommuner") or b"", nuts()).frame.to_crs(25832)
    invented.index = invented.index.astype(int)
    away = real.centroid.distance(invented.centroid.reindex(real.index.astype(int)).set_axis(real.index))
    assert away.max() < 12_000
    # schematic: no corner of any real border is in it
    corners = [
        {tuple(point) for point in shapely.get_coordinates(frame.to_crs(4326).geometry.values).round(5)}
        for frame in (real, invented)
    ]
    assert not corners[0] & corners[1]
