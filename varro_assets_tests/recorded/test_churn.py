"""What two polls differ in: made up, and the real catalogues of February and September 2025."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.models import CatalogueEntry
from varro_assets.statbank.sweeps import churn, due
from varro_assets.statbank.sweeps.churn import Change
from varro_assets.statbank.sweeps.due import State, Synced
from varro_assets_tests.recorded.conftest import only
from varro_assets_tests.table_bodies import entry

Entries = Mapping[str, CatalogueEntry]
EARLY, LATE = "2025-02-11T08:00:00", "2025-08-12T08:00:00"


def made(**changes: object) -> CatalogueEntry:
    fields = {"updated": EARLY, "firstPeriod": "2008K1", "latestPeriod": "2025K1"} | changes
    return CatalogueEntry.model_validate(entry("FOLK1A") | fields)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {Change.UNCHANGED}),
        ({"updated": LATE}, {Change.REVISED}),
        ({"updated": LATE, "latestPeriod": "2025K2"}, {Change.EXTENDED}),
        ({"updated": LATE, "latestPeriod": "2024K4"}, {Change.CUT_BACK}),
        ({"updated": LATE, "firstPeriod": "2009K1"}, {Change.HISTORY, Change.REVISED}),
        ({"updated": LATE, "variables": ["område", "køn", "tid"]}, {Change.RESHAPED, Change.REVISED}),
        ({"updated": "2025-01-01T08:00:00"}, {Change.TAKEN_BACK, Change.REVISED}),
        ({"latestPeriod": "2025K2"}, {Change.EXTENDED, Change.UNANNOUNCED}),
    ],
)
def test_what_may_happen_to_a_table(changed: dict[str, object], expected: set[Change]) -> None:
    assert set(churn.changes({"FOLK1A": made()}, {"FOLK1A": made(**changed)})["FOLK1A"]) == expected


def test_tables_come_and_go() -> None:
    found = churn.changes({"OLD1": made(), "FOLK1A": made()}, {"FOLK1A": made(), "NEW1": made()})
    assert found == {"FOLK1A": (Change.UNCHANGED,), "NEW1": (Change.NEW,), "OLD1": (Change.GONE,)}
    assert churn.as_markdown(found).splitlines()[2:] == [
        "| new | 1 | NEW1 |",
        "| gone | 1 | OLD1 |",
        "| unchanged | 1 |  |",
    ]
    many = {f"T{number}": made() for number in range(30)}
    assert "T19 and 10 more" in churn.as_markdown(churn.changes({}, many))


@pytest.fixture(scope="module")
def real(recorded: Path) -> tuple[Entries, Entries]:
    """February as it would have been polled in Danish, and September."""
    lines = json.loads(only(recorded, "tables/tables_active_da*.json").read_text("utf-8"))
    after = {line["id"]: CatalogueEntry.model_validate(line) for line in lines}
    with only(recorded, "tables/tables_active_en*.csv").open(encoding="utf-8", newline="") as file:
        before = {row["id"]: _in_danish(row, after.get(row["id"])) for row in csv.DictReader(file)}
    return before, after


def _in_danish(row: Mapping[str, str], later: CatalogueEntry | None) -> CatalogueEntry:
    """February was recorded in English: quarters are Q and weeks W, and variables have English names."""
    names = row["variables"].split(",")
    same = later is not None and len(later.variables) == len(names)
    periods = {key: re.sub(r"^(\d{4})([QW])", _danish, row[key]) for key in ("firstPeriod", "latestPeriod")}
    return CatalogueEntry.model_validate(
        {**row, **periods, "active": row["active"] == "True", "variables": later.variables if same else names}  # type: ignore[union-attr]
    )


def _danish(match: re.Match[str]) -> str:
    return match[1] + {"Q": "K", "W": "U"}[match[2]]


def test_half_a_year_of_the_real_catalogue(real: tuple[Entries, Entries]) -> None:
    """statbank-api 8."""
    found = churn.changes(*real)
    counts = churn.count(found)
    assert counts[Change.GONE] == 148
    assert counts[Change.NEW] == 162
    assert counts[Change.UNCHANGED] == 706
    assert counts[Change.HISTORY] == 6
    assert counts[Change.RESHAPED] == 1
    assert Change.RESHAPED in found["EJ99"]
    assert [counts.get(change, 0) for change in (Change.TAKEN_BACK, Change.CUT_BACK, Change.UNANNOUNCED)] == [0, 0, 0]
    in_both = len(found) - counts[Change.NEW] - counts[Change.GONE]
    assert in_both == 2072
    assert counts[Change.REVISED] == 82
    assert counts[Change.REVISED] + counts[Change.EXTENDED] + counts[Change.UNCHANGED] == in_both


def test_every_table_of_it_is_decided_right(real: tuple[Entries, Entries], tmp_path: Path) -> None:
    """A home that held all of February, and follows all that it ever held and all that there is."""
    before, after = real
    synced = {table: Synced(one.updated, "2025-02-25T00:00:00Z", 1, 1, True) for table, one in before.items()}
    states = due.states([*after, *(before.keys() - after.keys())], Catalogue("here", "now", after), synced, tmp_path)
    expected = {Change.NEW: State.NEVER, Change.GONE: State.GONE, Change.UNCHANGED: State.CURRENT}
    for table, kinds in churn.changes(before, after).items():
        assert states[table] is expected.get(kinds[0], State.CHANGED), (table, kinds)
    assert sum(state is State.CHANGED for state in states.values()) == 2072 - 706
