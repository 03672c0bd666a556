"""docs/make_choropleth.py: the picture is drawn from rows and shapes alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from varro_assets.context.maps.geo import build
from varro_assets.context.maps.geo_layers import layer
from varro_assets.simulator import boundaries

pytestmark = pytest.mark.slow  # the drawing library alone takes seconds to load

SCRIPT = Path(__file__).parents[2] / "docs" / "make_choropleth.py"
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_choropleth", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("rows", [99, 98])
def test_a_map_is_drawn_small_enough_for_the_documents(script: ModuleType, tmp_path: Path, rows: int) -> None:
    shapes = build(layer("kommuner"), boundaries.geojson("kommuner") or b"", None).frame.to_crs(25832)
    shapes["landsdel"] = ["04" if code in {"400", "411"} else "01" if code < "200" else "05" for code in shapes.index]
    shapes["tid"] = "2025-07-01"
    shapes["density"] = pd.Series(np.geomspace(11, 9_800, 99)[:rows], index=shapes.index[:rows])
    script.draw(shapes, tmp_path / "one.png")
    script.draw(shapes, tmp_path / "two.png")
    drawn = (tmp_path / "one.png").read_bytes()
    assert drawn.startswith(PNG)
    assert 20_000 < len(drawn) < 300_000
    assert drawn == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("values", "edges"),
    [((11, 320), (20, 50, 100, 200)), ((20, 50), ()), ((0.3, 4), (0.5, 1, 2)), ((9, 10.5), (10,))],
)
def test_classes_end_at_round_numbers(script: ModuleType, values: tuple[float, ...], edges: tuple[float, ...]) -> None:
    assert script.class_edges(pd.Series(values)) == pytest.approx(edges)


def test_the_picture_in_the_documents_is_there_and_small() -> None:
    picture = SCRIPT.with_name("choropleth.png").read_bytes()
    assert picture.startswith(PNG)
    assert len(picture) < 300_000
