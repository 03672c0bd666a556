"""An AI analyst that already exists finds what it looks for: its paths, its columns, its way of writing a join.

What it does with a home, as its published code has it: links are a JSON list read for ``column`` and ``dimension``;
values are parquet read with pandas; a ``join_override`` gets its aliases by putting ``f.`` before the first occurrence
of the column and ``d.`` before the first ``kode``; documents are opened by the paths that pages name; shapes are merged
on ``dim_kode``.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
import pytest
from rapidfuzz import process

from varro_assets.context import snapshot
from varro_assets.context.maps import map_layers
from varro_assets.engine import postgres
from varro_assets_tests.documents.conftest import SMALL, Home


def column_named(variable: str) -> str:
    """The reader's own idea of a column's name."""
    return variable.lower().replace("å", "a").replace("ø", "o").replace("æ", "ae")


def links(home: Home, table: str) -> list[dict[str, Any]]:
    path = home.settings.links_dir / f"{table.upper()}.json"
    listed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    assert isinstance(listed, list)
    return listed


def aliased(override: str, column: str) -> str:
    """The reader's condition; it leaves one alone that has aliases already."""
    if "f." in override or "d." in override:
        return override
    override = re.sub(rf"\b{re.escape(column)}\b", f"f.{column}", override, count=1)
    return re.sub(r"\bkode\b", "d.kode", override, count=1)


def condition(link: dict[str, Any]) -> str:
    column = column_named(link["column"])
    override = link.get("join_override")
    return aliased(override, column) if override else f"f.{column} = d.kode"


def values_of(home: Home, table: str, column: str) -> pd.DataFrame:
    return pd.read_parquet(home.settings.context_dir / "column_values" / table / f"{column}.parquet")


def members_of(home: Home, dimension: str) -> pd.DataFrame:
    return pd.read_parquet(home.settings.context_dir / "column_values" / f"{dimension}.parquet")


def from_root(home: Home, path: str) -> Path:
    """A path as documents print it, from the folder of the documents."""
    assert path.startswith("/")
    return home.settings.context_dir / path[1:]


def test_every_link_of_the_file_joins_and_loses_only_what_it_says(documented: Home) -> None:
    joined = 0
    for table in SMALL:
        for link in links(documented, table):
            assert link["match_type"] in {"exact", "approx"}
            column, fact = column_named(link["column"]), f"fact.{table.lower()}"
            missing = documented.rows(
                f"SELECT DISTINCT f.{column} FROM {fact} f LEFT JOIN dim.{link['dimension']} d ON {condition(link)} "
                "WHERE d.kode IS NULL"
            )
            codes = {str(code) for (code,) in missing}
            labels = values_of(documented, table.lower(), column).set_index("id")["text"]
            document = documented.fact_doc(table).read_text("utf-8")
            assert all(f"{code}={labels[code]}" in document for code in codes)
            assert link["match_type"] == "approx" or len(codes) <= 1
            joined += 1
    assert joined >= 7
    assert any(link.get("join_override") for link in links(documented, "NABB69"))


def test_a_join_with_its_own_condition_gives_the_right_sum(documented: Home) -> None:
    (link,) = links(documented, "NABB69")
    ((joined, whole),) = documented.rows(
        f"SELECT SUM(f.indhold), (SELECT SUM(g.indhold) FROM fact.nabb69 g WHERE g.branche <> 'V') FROM fact.nabb69 f "
        f"JOIN dim.{link['dimension']} d ON {condition(link)} AND d.niveau = 4"
    )
    assert joined == whole > 0


@pytest.mark.parametrize("table", SMALL)
def test_every_code_column_has_its_values(documented: Home, table: str) -> None:
    found = documented.rows(
        "SELECT column_name FROM information_schema.columns "
        f"WHERE table_schema = 'fact' AND table_name = '{table.lower()}' AND column_name NOT IN ('tid', 'indhold')"
    )
    for (column,) in found:
        values = values_of(documented, table.lower(), str(column))
        assert list(values.columns) == ["id", "text"]
        occurring = {code for (code,) in documented.rows(f"SELECT DISTINCT {column} FROM fact.{table.lower()}")}
        assert occurring <= set(values["id"])
        assert values.notna().all(axis=None)


def test_values_of_a_dimension_limited_to_a_table(documented: Home) -> None:
    """As it browses: members whose code occurs in the table, then the nearest title."""
    members = members_of(documented, "nuts")
    assert list(members.columns) == ["kode", "niveau", "titel", "parent_kode"]
    column = next(column_named(one["column"]) for one in links(documented, "FOLK1A") if one["dimension"] == "nuts")
    codes = set(values_of(documented, "folk1a", column)["id"].astype(str))
    here = members[members["kode"].astype(str).isin(codes)]
    assert sorted(set(here["niveau"])) == [1, 3]
    nearest = process.extractOne("Kobenhavn", here["titel"].tolist())
    assert here.iloc[nearest[2]]["kode"] == "101"
    # what a parent is found by
    above = members[(members["kode"] == "01") & (members["niveau"] == 2)]
    assert members.loc[members["kode"] == "101", "parent_kode"].tolist() == above["kode"].tolist()


def test_pages_lead_to_documents_and_documents_to_dimensions(documented: Home) -> None:
    context = documented.settings.context_dir
    seen = set()
    for page in sorted((context / "subjects").glob("*/*/*.md")):
        text = page.read_text("utf-8")
        body = text.split("<fact tables>\n", 1)[1].split("</fact tables>", 1)[0]
        assert body.count("<table>") == body.count("</table>")
        tables = re.findall(r"^id:\s*(\S+)", text, re.MULTILINE)
        documents = re.findall(r"^doc:\s*(\S+)", text, re.MULTILINE)
        assert len(tables) == len(documents) == body.count("<table>")
        for table, path in zip(tables, documents, strict=True):
            document = from_root(documented, path).read_text("utf-8")
            assert document.splitlines()[0] == f"table: fact.{table}"
            seen.add(table.upper())
            named = re.findall(r"^dim docs: (.*)$", document, re.MULTILINE)[0]
            dimensions = [] if named == "none" else named.split(", ")
            assert {Path(one).stem for one in dimensions} == {one["dimension"] for one in links(documented, table)}
            assert all(from_root(documented, one).is_file() for one in dimensions)
            assert "\nnotes:\n" in document
    assert seen == set(SMALL)
    index = (context / "subjects" / "index.md").read_text("utf-8")
    folders = re.findall(r"\bin (/subjects/\S+)$", index, re.MULTILINE)
    assert folders
    assert all(list(from_root(documented, folder).glob("*.md")) for folder in folders)


def test_conditions_of_a_document_are_those_of_the_link_file(documented: Home) -> None:
    """It reads ``join dim.x on ...`` in the document, and adds the aliases the same way."""
    for table in SMALL:
        document = documented.fact_doc(table).read_text("utf-8")
        said = re.findall(r"^- (\w+): join dim\.(\w+) on (.+?); levels \[([\d, ]*)\]", document, re.MULTILINE)
        wanted = {column_named(one["column"]): (one["dimension"], condition(one)) for one in links(documented, table)}
        read = {
            column: (name, aliased(on, column).replace(f"f.{column}=d.kode", f"f.{column} = d.kode"))
            for column, name, on, _ in said
        }
        assert read == wanted
        for column, name, on, levels in said:
            stand = documented.rows(
                f"SELECT DISTINCT d.niveau FROM fact.{table.lower()} f "
                f"JOIN dim.{name} d ON {aliased(on, column)} ORDER BY 1"
            )
            assert [int(level) for level in levels.split(", ")] == [level for (level,) in stand]


def test_shapes_take_figures_by_dim_kode(documented: Home) -> None:
    levels = {"kommuner": 3, "regioner": 1}
    with contextlib.closing(postgres.connect(documented.url, "test")) as connection:
        map_layers.write(documented.context, snapshot.take(documented.context, connection), levels)
    for layer, niveau in levels.items():
        shapes = geopandas.read_parquet(documented.settings.context_dir / "geo" / f"{layer}.parquet")
        assert shapes.index.name == "dim_kode"
        assert shapes.crs == "EPSG:4326"
        rows = pd.DataFrame(
            documented.rows(
                "SELECT d.kode, f.indhold FROM fact.folk1a f JOIN dim.nuts d ON f.omrade = d.kode "
                f"WHERE d.niveau = {niveau} AND f.kon = 'TOT' AND f.alder = 'IALT' AND f.civilstand = 'TOT' "
                "AND f.tid = (SELECT MAX(tid) FROM fact.folk1a)"
            ),
            columns=["dim_kode", "indhold"],
        )
        merged = shapes.merge(rows, on="dim_kode", how="left")
        assert len(merged) == len(shapes) == len(rows)
        assert merged["indhold"].notna().all()
