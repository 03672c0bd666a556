"""Code lists and hierarchies of the real publisher: FOLK1A's OMRÅDE, and the classification of municipality groups."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from varro_assets.dimensions.classifications import code_list, hierarchy
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.models import Code, Dimension, FactColumn
from varro_assets.statbank.models import TableInfo
from varro_assets_tests.recorded.conftest import only

REGIONS = {"084": 30, "085": 17, "083": 22, "082": 19, "081": 11}


def _columns(recorded: Path, table: str) -> list[FactColumn]:
    info = TableInfo.model_validate(json.loads(only(recorded / "tableinfo", f"{table}_*da*.json").read_text("utf-8")))
    return [
        FactColumn(
            table, variable.id, variable.id.lower(), variable.text,
            tuple(Code(value.id, value.text) for value in variable.values), variable.map, variable.elimination,
        )
        for variable in info.dimensions
    ]  # fmt: skip


@pytest.fixture
def areas(recorded: Path) -> Dimension:
    column = next(column for column in _columns(recorded, "FOLK1A") if column.variable == "OMRÅDE")
    assert column.map is not None
    return code_list.dimension_of(column, name=code_list.map_dimension_name(column.map))


def test_five_regions_and_their_municipalities(areas: Dimension) -> None:
    assert areas.name == "denmark_municipality_07"
    assert areas.title == "område (Denmark_municipality_07)"
    assert [(member.kode, member.titel[:7]) for member in areas.at(1)] == [(kode, "Region ") for kode in REGIONS]
    assert len(areas.at(2)) == 99
    assert areas.levels == (1, 2)
    assert areas.level_names == {1: "Region", 2: "Kommune"}
    assert "000" not in areas.by_code


def test_each_municipality_is_below_its_region(areas: Dimension) -> None:
    parents = {member.kode: member.parent_kode for member in areas.at(2)}
    assert (parents["101"], parents["400"], parents["411"]) == ("084", "084", "084")
    assert (parents["253"], parents["461"], parents["751"], parents["851"]) == ("085", "083", "082", "081")
    assert Counter(parents.values()) == REGIONS


@pytest.mark.parametrize("table", ["FOLK1A", "BIL10", "STRAF42"])
def test_any_real_code_list_makes_a_dimension(recorded: Path, table: str) -> None:
    for column in _columns(recorded, table):
        made = code_list.dimension_of(column, name="x")
        hierarchy.check(made)
        assert len(column.codes) - len(made.members) in (0, 1)
        if column.map is None:
            assert made.levels == (1,)


def test_municipality_groups(recorded: Path) -> None:
    with only(recorded / "classification", "*_da.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = [
            PublishedRow(number, int(line["SEKVENS"]), line["KODE"], int(line["NIVEAU"]), line["TITEL"])
            for number, line in enumerate(csv.DictReader(stream, delimiter=";"), 2)
        ]
    made = hierarchy.dimension("kommunegrupper", "Kommunegrupper", rows, source="s")
    hierarchy.check(made)
    assert [member.kode for member in made.at(1)] == ["1", "2", "3", "4", "5"]
    assert {member.kode: member.parent_kode for member in made.at(2)}["101"] == "1"
    assert made.levels == (1, 2)
    assert len(made.members) == len(rows)
