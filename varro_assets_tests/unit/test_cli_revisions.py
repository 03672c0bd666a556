"""`varro revisions`: what was revised, and tables as they were."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from varro_assets.engine import clock
from varro_assets.engine.partitions import PartitionStore
from varro_assets.statbank import catalog
from varro_assets.statbank.sources import open_sources
from varro_assets.statbank.sync import sync_table
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.unit.conftest import Varro

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def revised(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> Varro:
    """KORD1 came in on 1 March, one period was revised on the 2nd, all with another variable on the 3rd."""
    with monkeypatch.context() as patch:
        sources = open_sources(varro.settings, SecretStr(varro.database))
        universe = varro.simulator.universe

        def sync(day: int) -> None:
            patch.setattr(clock, "now", lambda: START + timedelta(days=day))
            catalog.poll(sources.client, sources.catalogue)
            sync_table(sources, "KORD1", Recorder(), run_id=f"run {day}")

        sync(0)
        universe.revise("KORD1", tid="2021", cells=1)
        sync(1)
        universe.change_dimensions("KORD1")
        sync(2)
    return varro


def test_revisions(revised: Varro, tmp_path: Path) -> None:
    """One home for all questions: it takes a second to fill."""
    universe = revised.simulator.universe
    everything = revised.good("revisions").out.splitlines()
    assert everything[0].split("\t")[:5] == ["noticed", "table", "periods", "what", "published"]
    assert [line.split("\t")[:4] for line in everything[1:]] == [
        ["2026-03-03 12:00", "KORD1", "5: 2020 to 2024", "reshaped"],
        ["2026-03-02 12:00", "KORD1", "2021", "revised"],
    ]
    one = revised.good("revisions", "kord1", "--period", "2021").out.splitlines()
    assert [line.split("\t")[:3] for line in one[1:]] == [
        ["2026-03-03 12:00", "2021", "reshaped"],
        ["2026-03-02 12:00", "2021", "revised"],
    ]
    assert len(revised.good("revisions", "KORD1", "--since", "2026-03-03").out.splitlines()) == 1 + 5
    few = revised.good("revisions", "KORD1", "--limit", "2")
    assert "Showing 2" in few.err
    assert "No revision of KORD1" in revised.good("revisions", "KORD1", "--since", "2026-04-01").words

    rows: list[dict[str, Any]] = json.loads(revised.good("revisions", "KORD1", "--json", "--cells").out)
    revision = rows[-1]
    assert (revision["period"], revision["kind"], revision["run_id"]) == ("2021", "revised", "run 1")
    assert revision["values_changed"] == len(revision["cells"]) > 0
    cell = revision["cells"][0]
    assert cell["change"] == "changed"
    assert cell["labels"]["USER"] in {"Dagligt", "Ugentligt", "Sjældnere", "I alt"}
    assert revision["largest_change"] == max(abs(cell["new"] - cell["old"]) for cell in revision["cells"])
    shown = revised.good("revisions", "KORD1", "--cells").words
    assert "no row" in shown
    assert "Sjældnere" in shown or "Dagligt" in shown
    one = revised.good("revisions", "KORD1", "--cells", "--period", "2021").out.splitlines()
    start = next(place for place, line in enumerate(one) if "revised" in line) + 2
    sizes = [abs(float(line.split("\t")[-1])) for line in one[start:] if line.strip()]
    assert sizes == sorted(sizes, reverse=True), "the largest change comes first"
    assert sizes[0] == revision["largest_change"]

    before = revised.good("revisions", "KORD1", "--as-of", "2026-03-01").out.splitlines()
    assert [line.split("\t")[0] for line in before[1:]] == list(universe.table("KORD1").periods)
    assert "Nothing of KORD1 was held" in (said := revised("revisions", "KORD1", "--as-of", "2026-02-28")).words
    assert said.code == 1

    for name in ("then.csv", "then.parquet", "then"):
        out = tmp_path / "out" / name
        said = revised.good("revisions", "KORD1", "--as-of", "2026-03-01", "--out", str(out))
        assert "5 periods, 2020 to 2024, 40 rows" in said.words
        said = revised("revisions", "KORD1", "--as-of", "2026-03-01", "--out", str(out))
        assert said.code == 2
        assert "is there already" in said.words
    as_csv = pacsv.read_csv(tmp_path / "out" / "then.csv")
    as_parquet = pq.read_table(tmp_path / "out" / "then.parquet")
    store = PartitionStore(tmp_path / "out" / "then", "KORD1")
    assert as_csv.column("INDHOLD").to_pylist() == as_parquet.column("INDHOLD").to_pylist()
    assert as_parquet.column_names == ["USER", "ORDER", "TID", "INDHOLD"]
    assert sum(info.rows for info in store.infos().values()) == as_parquet.num_rows == 40
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["then", "then.csv", "then.parquet"]


def test_a_moment_to_come_is_now(revised: Varro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 3, 3, 19, 40, tzinfo=UTC))
    arguments = ("revisions", "KORD1", "--out", str(tmp_path / "then"), "--as-of")
    assert "KORD1 as held now, 2026-03-03 19:40: 5 periods" in revised.good(*arguments, "2026-03-03").words


def test_the_limit_is_of_each_period_and_what_is_cut_is_told(revised: Varro) -> None:
    every = revised.good("revisions", "KORD1").out.splitlines()
    assert len(every) > 2
    for option in ((), ("--json",)):
        said = revised("revisions", "KORD1", "--limit", "1", *option)
        assert "Showing 1; --limit shows more." in said.err
    cells = revised.good("revisions", "KORD1", "--cells", "--limit", "1").out
    noticed = [line for line in cells.splitlines() if "noticed" in line]
    # a line of headings and the periods
    assert len(noticed) == len(every) - 1
    assert len(cells.splitlines()) < len(revised.good("revisions", "KORD1", "--cells").out.splitlines())


def test_a_period_without_a_revision_is_named(revised: Varro) -> None:
    assert "No revision of KORD1 1999 was noticed." in revised("revisions", "KORD1", "--period", "1999").err
    assert "No revision of KORD1 2020H1 was noticed." in revised("revisions", "kord1", "--period", "2020h1").err


@pytest.mark.slow  # a whole `varro sync`
def test_periods_of_other_columns_do_not_go_into_one_file(revised: Varro, tmp_path: Path) -> None:
    universe = revised.simulator.universe
    universe.drop_period("KORD1", tid="2020")
    universe.change_dimensions("KORD1")
    revised.good("sync", "KORD1")
    later = datetime.now(UTC) + timedelta(days=400)
    arguments = ("revisions", "KORD1", "--as-of", later.isoformat(timespec="seconds"), "--out")
    said = revised(*arguments, str(tmp_path / "all.parquet"))
    assert said.code == 1
    assert "Name a folder" in said.words
    assert not (tmp_path / "all.parquet").exists()
    revised.good(*arguments, str(tmp_path / "all"))
    assert len(list((tmp_path / "all").iterdir())) == 5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--cells",), 2, "need a TABLE"),
        (("KORD1", "--out", "x"), 2, "needs --as-of"),
        (("KORD1", "--as-of", "2026-03-03", "--period", "2020"), 2, "goes without --cells, --period and --since"),
        (("KORD1", "--as-of", "2026-03-03", "--cells"), 2, "goes without --cells, --period and --since"),
        (("KORD1",), 1, "nothing is held of it"),
        (("no/table",), 1, "no/table"),
        (("--since", "yesterday"), 2, "is no date"),
    ],
)
def test_what_makes_no_sense_is_said(varro: Varro, arguments: tuple[str, ...], code: int, words: str) -> None:
    said = varro("revisions", *arguments)
    assert said.code == code
    assert words in said.words.lower() or words in said.words
