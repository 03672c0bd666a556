"""Tables that are odd in themselves: columns named like those of a dimension, no rows, very long lists."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from varro_assets.dimensions.models import Dimension as Held
from varro_assets.simulator import Simulator, Universe
from varro_assets.simulator.cube import ALL, Code, Dimension
from varro_assets.simulator.table import Table
from varro_assets_tests.documents.conftest import Home

REGIONS = ("084 Region Hovedstaden", "085 Region Sjælland", "083 Region Syddanmark", "082 Region Midtjylland",
           "081 Region Nordjylland")  # fmt: skip
LONG = 6_000


def table(name: str, *dimensions: Dimension, empty: tuple[str, ...] = ()) -> Table:
    periods = ("2021", "2022", "2023")
    words = (f"{name} (simuleret)", f"{name} (simulated)", "Antal", "Number")
    return Table(name, *words, dimensions, periods, "2025-02-11T08:00:00", ("20021",), empty=frozenset(empty))


def dimension(name: str, *listed: str, total: bool = True) -> Dimension:
    codes = [Code(code, label, label) for code, _, label in (one.partition(" ") for one in listed)]
    return Dimension(name, name.lower(), name.lower(), (*([Code("TOT", "I alt", "Total", parts=ALL)] * total), *codes))


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    tables = [
        table("NAVNE1", dimension("KODE", *REGIONS), dimension("NIVEAU", "1 Et", "2 To"), dimension("ORDER", "1 Et")),
        table("TOM1", dimension("OMRÅDE", *REGIONS), empty=("2023",)),
        table("TOM2", dimension("OMRÅDE", *REGIONS), empty=("2021", "2022", "2023")),
        table("LANG1", dimension("VARE", *(f"{number:05} Vare {number}" for number in range(LONG)), total=False)),
    ]
    with Simulator(Universe(tables)) as running:
        yield running


@pytest.mark.slow
def test_odd_tables_are_documented(home: Home) -> None:
    assert isinstance(home.context.library.dimension("nuts"), Held)
    home.sync("NAVNE1", "TOM1", "TOM2", "LANG1")
    report = home.document()
    assert report.problems == {}
    assert {done.table for done in report.tables} == {"NAVNE1", "TOM1", "TOM2", "LANG1"}
    named = home.fact_doc("NAVNE1").read_text("utf-8")
    assert "f.kode = d.kode" in named
    assert 'f."order"' in named
    # nothing is found in the newest period: no query is shown that shows nothing
    for name in ("TOM1", "TOM2"):
        assert "to 2023-01-01" in home.fact_doc(name).read_text("utf-8")
    assert len(home.fact_doc("LANG1").read_bytes()) < 20_000
    assert home.rows("SELECT count(*) FROM meta.code WHERE table_id = 'TOM2' AND first_period IS NOT NULL") == [(0,)]
    assert home.document(everything=True).changed == []


def test_a_period_that_gets_its_rows_later(home: Home) -> None:
    home.sync("TOM1")
    assert home.document().problems == {}
    home.simulator.universe.publish_period("TOM1")
    home.sync("TOM1")
    assert [done.table for done in home.document().tables] == ["TOM1"]
    assert "```sql" in home.fact_doc("TOM1").read_text("utf-8")
