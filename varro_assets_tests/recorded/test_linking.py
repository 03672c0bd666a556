"""Linking the real FOLK1A and STRAF42 to the real Kommunegrupper and to the classifications the simulator has."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from varro_assets.dimensions.links.linking import propose
from varro_assets.dimensions.models import Dimension, FactColumn, Link, MatchType, Unmatched
from varro_assets.statbank import models
from varro_assets.statbank.models import TableInfo
from varro_assets_tests.linking_examples import column, dimension, published


def real(recorded: Path, name: str) -> dict[str, FactColumn]:
    """The code columns of a recorded description."""
    (path,) = (recorded / "tableinfo").glob(f"{name}_da*.json")
    info = models.parse(TableInfo, json.loads(path.read_text("utf-8")), what="read", on=name)
    return {
        it.id: column(it.id, it.text, {value.id: value.text for value in it.values}, table=info.id, on_map=it.map)
        for it in info.dimensions
    }


def groups(recorded: Path) -> Dimension:
    """Kommunegrupper as published."""
    text = (recorded / "classification" / "komgrp_kommunegrupper_da.csv").read_text("utf-8-sig")
    rows = [(row["KODE"], int(row["NIVEAU"]), row["TITEL"]) for row in csv.DictReader(text.splitlines(), delimiter=";")]
    return dimension("kommunegrupper", "Kommunegrupper", rows)


def links(recorded: Path, name: str) -> dict[str, Link]:
    dimensions = list((published() | {"kommunegrupper": groups(recorded)}).values())
    found = {variable: propose(one, dimensions) for variable, one in real(recorded, name).items()}
    return {variable: link for variable, link in found.items() if link}


def test_folk1a(recorded: Path) -> None:
    found = links(recorded, "FOLK1A")
    assert set(found) == {"OMRÅDE"}
    area = found["OMRÅDE"]
    assert (area.dimension, area.match_type) == ("nuts", MatchType.EXACT)
    assert area.unmatched == (Unmatched("000", "Hele landet", total=True),)
    assert dict(area.level_coverage) == {1: (5, 5), 3: (99, 99)}


def test_folk1a_to_groups_alone(recorded: Path) -> None:
    link = propose(real(recorded, "FOLK1A")["OMRÅDE"], [groups(recorded)])
    assert link is not None
    assert link.match_type is MatchType.APPROX
    missing = {one.code: one.total for one in link.unmatched}
    assert missing == {"000": True} | dict.fromkeys(["084", "085", "083", "082", "081", "411"], False)


def test_straf42_and_bil10(recorded: Path) -> None:
    assert set(links(recorded, "STRAF42")) <= {"OVERTRÆD"}
    assert links(recorded, "BIL10") == {}
