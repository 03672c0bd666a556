"""The recorded classification of municipality groups, from the file as published to the store and back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from varro_assets.dimensions.classifications import csv_file
from varro_assets.dimensions.classifications.registry import BUILT_IN
from varro_assets.dimensions.classifications.store import Classification, ClassificationStore
from varro_assets.dimensions.library import dimension_of

GROUPS = {"1": 24, "2": 3, "3": 16, "4": 24, "5": 31}


def _data(recorded: Path) -> bytes:
    return (recorded / "classification" / "komgrp_kommunegrupper_da.csv").read_bytes()


def test_its_lines(recorded: Path) -> None:
    rows = csv_file.parse(_data(recorded), on="kommunegrupper")
    assert Counter(row.niveau for row in rows) == {1: 5, 2: 98}
    assert (rows[0].kode, rows[0].titel) == ("1", "Hovedstadskommuner")
    assert (rows[1].kode, rows[1].titel, rows[1].line) == ("101", "København", 3)
    assert [row.sekvens for row in rows] == list(range(1, 104))


def test_from_file_to_store_to_dimension(recorded: Path, tmp_path: Path) -> None:
    rows = csv_file.parse(_data(recorded), on="kommunegrupper")
    store = ClassificationStore(tmp_path)
    store.write(Classification("kommunegrupper", "Kommunegrupper", rows, None, "", "", "file", ""))
    held = store.read("kommunegrupper")
    assert held is not None
    dimension = dimension_of(held, BUILT_IN["kommunegrupper"])
    assert Counter(member.parent_kode for member in dimension.at(2)) == GROUPS
    assert dimension.level_names == {1: "Kommunegruppe", 2: "Kommune"}
