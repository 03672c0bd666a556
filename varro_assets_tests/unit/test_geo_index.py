"""The map index: which file joins which dimension and which columns, and an example that can be run."""

from __future__ import annotations

import ast
import re
from typing import Any

import sqlglot

from varro_assets.context.maps import geo_index
from varro_assets.context.maps.geo import LayerReport
from varro_assets.context.maps.geo_index import LayerPage, MapColumn, example_sql, map_columns, text
from varro_assets.dimensions.models import Link, MatchType

KOMMUNER = LayerReport("kommuner", "nuts", 3, features=99, shapes=99)
SOGNE = LayerReport("sogne", None, None, features=2100, shapes=2100)
FOLK1A = MapColumn("FOLK1A", "omrade", "f.omrade = d.kode", 99, {"kon": "TOT", "alder": "IALT"})


def link(column: str = "OMRÅDE", dimension: str = "nuts", **fields: Any) -> Link:
    defaults: dict[str, Any] = {"levels": (1, 3), "level_coverage": {1: (5, 5), 3: (98, 99)}}
    return Link(column, dimension, MatchType.EXACT, "f.omrade = d.kode", **defaults | fields)


def test_columns_are_those_linked_on_the_layers_level() -> None:
    links = {
        "ZZZ1": [link(level_coverage={3: (99, 99)})],
        "FOLK1A": [link(), link("KOMGRP", "kommunegrupper")],
        "REG1": [link(levels=(1,), level_coverage={1: (5, 5)})],
        "AAA1": [link("BOPOMR", level_coverage={3: (98, 99)})],
    }
    found = map_columns(KOMMUNER, links)
    assert [(column.table, column.column, column.places) for column in found] == [
        ("ZZZ1", "omrade", 99),
        ("AAA1", "bopomr", 98),
        ("FOLK1A", "omrade", 98),
    ]
    assert map_columns(SOGNE, links) == ()


def test_the_example_is_one_select_with_one_value_per_place() -> None:
    query = example_sql(LayerPage(KOMMUNER, (FOLK1A,)))
    assert query is not None
    assert "::" not in query
    (parsed,) = sqlglot.parse(query, dialect="postgres")
    assert parsed is not None
    assert {table.sql() for table in parsed.find_all(sqlglot.exp.Table)} >= {"fact.folk1a AS f", "dim.nuts AS d"}
    assert "d.niveau = 3" in query
    assert "f.kon = 'TOT'" in query
    assert example_sql(LayerPage(SOGNE)) is None
    assert example_sql(LayerPage(KOMMUNER)) is None


def test_a_quote_in_a_code_stays_inside_its_literal() -> None:
    column = MapColumn("T1", "omrade", "f.omrade = d.kode", 99, {"kon": "x' OR '1'='1"})
    query = example_sql(LayerPage(KOMMUNER, (column,)))
    assert query is not None
    (literal,) = [
        node for node in sqlglot.parse_one(query, dialect="postgres").find_all(sqlglot.exp.Literal) if "OR" in node.name
    ]
    assert literal.name == "x' OR '1'='1"


def test_the_document_says_what_joins() -> None:
    page = LayerPage(KOMMUNER, (FOLK1A,), source="https://api.dataforsyningen.dk/kommuner")
    query = example_sql(page)
    assert query is not None
    said = text([page, LayerPage(SOGNE)], ("kommuner", query))
    assert "## kommuner.parquet\n\nMunicipalities: 99 shapes, detail below 100 m left out." in said
    assert "`dim_kode = d.kode AND d.niveau = 3`" in said
    assert "| `f.omrade` | `f.omrade = d.kode` | FOLK1A (99) |" in said
    assert "Borders: https://api.dataforsyningen.dk/kommuner" in said
    assert "## sogne.parquet" in said
    assert "No dimension" in said
    assert query in said
    assert text([page, LayerPage(SOGNE)], ("kommuner", query)) == said
    assert "\n\n\n" not in said
    assert said.endswith("```\n")


def test_remarks_of_the_layer_are_passed_on() -> None:
    report = LayerReport("kommuner", "nuts", 3, 98, 98, missing=("411",), shared_borders=False)
    said = text([LayerPage(report)])
    assert "- In dim.nuts on level 3 but without a shape: 411." in said
    assert "- The map as sent has gaps or overlaps" in said
    assert "No fact column links to this level yet." in said


def test_the_python_example_is_python() -> None:
    said = text([LayerPage(KOMMUNER, (FOLK1A,))], ("kommuner", "SELECT 1"))
    (code,) = re.findall(r"```python\n(.*?)```", said, re.DOTALL)
    ast.parse(code)
    assert 'read_parquet("context/geo/kommuner.parquet")' in code


def test_a_thousand_tables_are_counted_not_listed() -> None:
    many = tuple(MapColumn(f"T{number:04}", "omrade", "f.omrade = d.kode", 99) for number in range(1000))
    said = text([LayerPage(KOMMUNER, (*many, MapColumn("X1", "bopomr", "f.bopomr = d.kode || '0'", 90)))])
    assert "T0000 (99), T0001 (99)" in said
    assert f"and {1000 - geo_index.MOST_TABLES} more |" in said
    assert len(said) < 4_000
    assert "| `f.bopomr` | `f.bopomr = d.kode \\|\\| '0'` | X1 (90) |" in said


def test_a_layer_made_without_its_dimension_says_so() -> None:
    said = text([LayerPage(LayerReport("kommuner", None, None, 99, 99))])
    assert "`dim.nuts` was not there when the layer was made" in said
    assert "d.niveau =" not in said


def test_many_codes_without_a_shape_are_counted() -> None:
    report = LayerReport("kommuner", "nuts", 3, 1, 1, missing=tuple(f"{number:03}" for number in range(100, 199)))
    (remark,) = report.remarks
    assert remark.endswith("118, 119, and 79 more.")


def test_no_layer_at_all_is_said() -> None:
    assert "No layer has been made yet." in text([])
