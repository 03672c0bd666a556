"""A fact, its dimension and its map layer meet by one text: the query of the map index, run."""

from __future__ import annotations

import contextlib

import pandas as pd
from pydantic import SecretStr

from varro_assets.context.maps.geo import build
from varro_assets.context.maps.geo_index import LayerPage, MapColumn, example_sql
from varro_assets.context.maps.geo_layers import layer
from varro_assets.engine import postgres
from varro_assets.warehouse import prepare
from varro_assets_tests.map_material import collection, feature, nuts, square

ROWS = [
    # newest quarter
    ("101", "TOT", "2025-07-01", 660.0),
    ("147", "TOT", "2025-07-01", 105.0),
    ("084", "TOT", "2025-07-01", 765.0),
    ("000", "TOT", "2025-07-01", 6000.0),
    ("101", "1", "2025-07-01", 330.0),
    # the one before
    ("101", "TOT", "2025-04-01", 659.0),
]


def test_fact_dimension_and_layer_join(warehouse_url: str) -> None:
    url = SecretStr(warehouse_url)
    prepare(url)
    dimension = nuts()
    made = build(
        layer("kommuner"),
        collection([feature(square(n), kode=kode) for n, kode in enumerate(("0101", "0147", "0751"))]),
        dimension,
    )
    page = LayerPage(made.report, (MapColumn("FOLK1A", "omrade", "f.omrade = d.kode", 2, {"kon": "TOT"}),))
    query = example_sql(page)
    assert query is not None
    with contextlib.closing(postgres.connect(url, "test")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE dim.nuts (kode text, niveau integer, titel text, PRIMARY KEY (kode, niveau));"
            "CREATE TABLE fact.folk1a (omrade text, kon text, tid date, indhold double precision)"
        )
        cursor.executemany(
            "INSERT INTO dim.nuts VALUES (%s, %s, %s)", [(m.kode, m.niveau, m.titel) for m in dimension.members]
        )
        cursor.executemany("INSERT INTO fact.folk1a VALUES (%s, %s, %s, %s)", ROWS)
        cursor.execute(query)
        rows = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])
    joined = made.frame.join(rows.set_index("dim_kode"), how="left")
    assert joined["indhold"].dropna().to_dict() == {"101": 660.0, "147": 105.0}
    assert joined.index.tolist() == ["101", "147", "751"]
