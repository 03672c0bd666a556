"""Real rows all the way: bytes to period files to Postgres, equal to what was received."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from varro_assets.engine import periods, postgres
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.engine.period_table import PeriodTables
from varro_assets.errors import UndeclaredCode
from varro_assets.statbank import bulk, facts
from varro_assets.statbank.bulk import Extract
from varro_assets.statbank.loading import FactLoader, SyncCounts
from varro_assets.statbank.models import TableInfo
from varro_assets.warehouse import prepare
from varro_assets_tests.recorded.conftest import only
from varro_assets_tests.table_bodies import info

Rows = list[list[str]]


def lines_of(content: bytes) -> tuple[list[str], Rows]:
    """Header and rows, read in the plainest way there is."""
    header, *lines = content.decode("utf-8-sig").split()
    return header.split(";"), [line.split(";") for line in lines]


def matching(table: str, content: bytes) -> TableInfo:
    """A description that declares exactly the codes in these rows."""
    header, rows = lines_of(content)
    columns = {name: tuple(dict.fromkeys(row[place] for row in rows)) for place, name in enumerate(header[:-1])}
    tids = columns.pop("TID")
    return info(table, dimensions=columns, tids=periods.in_order(tids))


def extract_of(described: TableInfo, tids: Sequence[str] | None = None) -> Extract:
    return Extract(
        table=described.id,
        columns=described.columns,
        codes={variable.id: variable.codes for variable in described.dimensions},
        periods=tuple(tids or described.tids),
        updated=described.updated,
        shape_hash=facts.shape_hash(described),
        fetched_at="2025-11-01T00:00:00+00:00",
    )


def stored(
    store: PartitionStore, described: TableInfo, content: bytes, chunk: int = 65_536
) -> dict[str, PartitionInfo]:
    chunks = [content[start : start + chunk] for start in range(0, len(content), chunk)]
    with store.staging() as staging:
        store.promote_all(bulk.split(chunks, extract_of(described), staging).values())
    return store.infos()


def in_files(store: PartitionStore) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for period in store.periods():
        for batch in store.batches(period):
            found.update(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return found


def number(text: str) -> float | None:
    return None if text == ".." else float(text.replace(",", "."))


@pytest.fixture
def folk1a(material: Path) -> bytes:
    return only(material, "data/FOLK1A*csv_codes*.csv").read_bytes()


def test_folk1a_reaches_the_warehouse_as_it_was_received(folk1a: bytes, tmp_path: Path, warehouse_url: str) -> None:
    described = matching("FOLK1A", folk1a)
    _, rows = lines_of(folk1a)
    store = PartitionStore(tmp_path / "FOLK1A", "FOLK1A")
    held = stored(store, described, folk1a)
    assert list(held) == list(described.tids)
    assert sum(part.rows for part in held.values()) == len(rows)
    assert in_files(store) == Counter((*row[:-1], number(row[-1])) for row in rows)

    url = SecretStr(warehouse_url)
    prepare(url)
    with contextlib.closing(postgres.connect(url, "test")) as connection:
        table = facts.period_table(described)
        loader = FactLoader(PeriodTables(connection), store, described, table, "Borgere/Befolkning")
        assert loader.load_all(held) == len(rows)
        loader.describe()
        loader.complete(SyncCounts(new=len(held)))
        assert loader.load_all(held) == 0, "what is loaded is not loaded again"
        with postgres.transaction(connection, "look") as cursor:
            cursor.execute("SELECT omrade, kon, alder, tid, indhold FROM fact.folk1a")
            loaded = Counter(cursor.fetchall())
            starts = {code: periods.parse(code).start for code in described.tids}
            assert loaded == Counter((*row[:3], starts[row[3]], number(row[4])) for row in rows)
            cursor.execute("SELECT DISTINCT omrade FROM fact.folk1a ORDER BY 1")
            areas = [row[0] for row in cursor.fetchall()]
            assert areas == sorted({row[0] for row in rows})
            assert areas[0] == "000"
            cursor.execute(
                "SELECT code, text, span::text FROM meta.code WHERE table_id = 'FOLK1A' AND column_name = 'alder'"
                " ORDER BY position"
            )
            ages = described.dimensions[2].values
            assert cursor.fetchall() == [(age.id, age.text, facts.code_span(age.id)) for age in ages]
            cursor.execute("SELECT column_name, variable_id, role, sql_type FROM meta.fact_column ORDER BY position")
            assert cursor.fetchall() == [
                ("omrade", "OMRÅDE", "dimension", 'text COLLATE "C"'),
                ("kon", "KØN", "dimension", 'text COLLATE "C"'),
                ("alder", "ALDER", "dimension", 'text COLLATE "C"'),
                ("tid", "Tid", "time", "date"),
                ("indhold", "INDHOLD", "value", "double precision"),
            ]
            cursor.execute("SELECT relation, frequency, first_period, last_period, subject_path FROM meta.fact_table")
            assert cursor.fetchall() == [
                ("fact.folk1a", "quarterly", described.tids[0], described.tids[-1], "Borgere/Befolkning")
            ]
            cursor.execute("SELECT periods, rows, new_periods FROM meta.table_sync")
            assert cursor.fetchall() == [(len(held), len(rows), len(held))]


def test_a_withdrawn_code_keeps_its_label(tmp_path: Path, warehouse_url: str) -> None:
    url = SecretStr(warehouse_url)
    prepare(url)
    wide = info(dimensions={"OMRÅDE": ("000", "084"), "KØN": ("M", "K")})
    narrow = info(dimensions={"OMRÅDE": ("084",)}, text="Renamed", footnote=None, documentation=None)
    with contextlib.closing(postgres.connect(url, "test")) as connection:
        for described in (wide, wide, narrow):
            with postgres.transaction(connection, "describe") as cursor:
                facts.describe(cursor, described, facts.period_table(described), subject_path=None)
        with postgres.transaction(connection, "look") as cursor:
            cursor.execute("SELECT column_name, code, declared FROM meta.code ORDER BY 1, 2")
            assert cursor.fetchall() == [
                ("omrade", "000", False),
                ("omrade", "084", True),
                ("tid", "2024K1", True),
                ("tid", "2024K2", True),
            ]
            cursor.execute("SELECT column_name FROM meta.fact_column ORDER BY position")
            assert cursor.fetchall() == [("omrade",), ("tid",), ("indhold",)]
            cursor.execute("SELECT title, footnote, documentation_url FROM meta.fact_table")
            assert cursor.fetchall() == [("Renamed", None, None)]


def test_the_same_rows_in_other_pieces_and_order_are_the_same_content(folk1a: bytes, tmp_path: Path) -> None:
    described = matching("FOLK1A", folk1a)
    header, *lines = folk1a.splitlines(keepends=True)
    shuffled = b"".join([header, *sorted(lines, reverse=True)]).replace(b"\n", b"\r\n")
    one = stored(PartitionStore(tmp_path / "a", "FOLK1A"), described, folk1a, chunk=len(folk1a))
    two = stored(PartitionStore(tmp_path / "b", "FOLK1A"), described, shuffled, chunk=997)
    assert [part.content_hash for part in one.values()] == [part.content_hash for part in two.values()]
    assert len({part.content_hash for part in one.values()}) == len(one)


def test_a_code_that_was_not_asked_for_is_refused(folk1a: bytes, tmp_path: Path) -> None:
    header, rows = lines_of(folk1a)
    without = "\n".join([";".join(header), *(";".join(row) for row in rows if row[0] != "000")]) + "\n"
    store = PartitionStore(tmp_path / "FOLK1A", "FOLK1A")
    with pytest.raises(UndeclaredCode, match="000"):
        stored(store, matching("FOLK1A", without.encode()), folk1a)
    assert store.periods() == []


@pytest.mark.parametrize(("table", "pattern"), [("METROX1", "METROX1_bulk*.txt"), ("STRAF42", "STRAF42_csv*.csv")])
def test_other_extracts(material: Path, tmp_path: Path, table: str, pattern: str) -> None:
    """A weekly BULK with gaps and decimal commas; a CSV with a byte order mark."""
    # the notebook that recorded METROX1 added an empty line at its end
    content = only(material / "data", pattern).read_bytes().rstrip() + b"\n"
    described = matching(table, content)
    store = PartitionStore(tmp_path / table, table)
    held = stored(store, described, content, chunk=7)
    _, rows = lines_of(content)
    assert list(held) == periods.in_order(row[-2] for row in rows)
    assert in_files(store) == Counter((*row[:-1], number(row[-1])) for row in rows)
    assert sum(part.nulls for part in held.values()) == sum(row[-1] == ".." for row in rows)
