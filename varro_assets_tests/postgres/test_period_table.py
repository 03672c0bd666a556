"""Period table: replaced whole, in one transaction, by the stored value, with the record beside the rows."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extras import NumericRange
from pydantic import SecretStr

from varro_assets.engine import migrations, period_table, postgres
from varro_assets.engine.partition_files import Origin, write
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.period_table import Column, Load, PeriodTable, PeriodTables
from varro_assets.engine.periods import TidType, parse
from varro_assets.errors import DatabaseRefused, DatabaseUnavailable
from varro_assets_tests.unit.test_partitions import GivenRows

Rows = Sequence[tuple[str, str, float | None]]
ROWS: Rows = [("000", "M", 1.5), ("084", "K", None), ("000", "K", 0.0), ("NA", "M", -7.0)]


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[postgres.Connection]:
    with contextlib.closing(postgres.connect(SecretStr(warehouse_url), "test")) as opened:
        migrations.migrate(opened)
        yield opened


@pytest.fixture
def tables(connection: postgres.Connection) -> PeriodTables:
    return PeriodTables(connection, "run-1", copy_rows=2)


@pytest.fixture
def store(tmp_path: Path) -> PartitionStore:
    return PartitionStore(tmp_path / "T1", "T1")


def _table(tid_type: str = "date", columns: int = 2, name: str = "t1") -> PeriodTable:
    names = [Column("omrade", "OMRÅDE", "område", indexed=True), Column("kon", "KØN")]
    return PeriodTable("fact", name, "T1", "shape", tuple(names[:columns]), tid_type, "INDHOLD", "a 'comment' 100 %")


def _load(store: PartitionStore, period: str, rows: Rows = ROWS, tid_type: str = "date") -> Load:
    with store.staging() as staging, staging.attempt() as folder:
        path = staging.path(folder, period)
        part = write(path, "T1", period, GivenRows(rows, period), Origin("2025-01-01T08:00:00", "shape", "now"))
        return Load(store.promote(part), parse(period).database_value(TidType(tid_type)))


def _all(connection: postgres.Connection, statement: str = "SELECT * FROM fact.t1") -> Counter[tuple[Any, ...]]:
    with postgres.transaction(connection, "test") as cursor:
        cursor.execute(statement)
        return Counter(cursor.fetchall())


def _expected(tid: Any, rows: Rows = ROWS) -> Counter[tuple[Any, ...]]:
    return Counter((area, sex, tid, value) for area, sex, value in rows)


CODES = [
    ("2025M03", "date", date(2025, 3, 1)),
    ("2025", "date", date(2025, 1, 1)),
    ("2020U53", "date", date(2020, 12, 28)),
    ("2025M06D16", "date", date(2025, 6, 16)),
    ("1840:1849", "int4range", NumericRange(1840, 1850)),
    ("2006/2007", "text", "2006/2007"),
    ("AUG - DEC 2019", "text", "AUG - DEC 2019"),
]


@pytest.mark.parametrize(("code", "tid_type", "value"), CODES, ids=[code for code, *_ in CODES])
def test_a_period_is_replaced_by_its_stored_value(
    connection: postgres.Connection, tables: PeriodTables, store: PartitionStore, code: str, tid_type: str, value: Any
) -> None:
    table = _table(tid_type)
    tables.create(table)
    assert tables.replace(store, table, [_load(store, code, tid_type=tid_type)]) == 4
    assert _all(connection) == _expected(value)
    changed: Rows = [("000", "M", 2.5)]
    tables.replace(store, table, [_load(store, code, changed, tid_type=tid_type)])
    assert _all(connection) == _expected(value, changed)
    tables.remove(table, [code])
    assert _all(connection) == Counter()
    assert tables.loaded("T1") == {}


def test_the_record_says_what_was_loaded(
    connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
) -> None:
    table = _table()
    oid = tables.create(table)
    load, empty = _load(store, "2025M03"), _load(store, "2025M04", [])
    tables.replace(store, table, [load, empty])
    loaded = tables.loaded("T1")
    assert {code: (row.rows, row.fact_oid, row.tid_value) for code, row in loaded.items()} == {
        "2025M03": (4, oid, "2025-03-01"),
        "2025M04": (0, oid, "2025-04-01"),
    }
    assert tables.is_loaded(load, oid, loaded)
    assert not tables.is_loaded(load, oid + 1, loaded)
    assert not tables.is_loaded(load, None, loaded)
    assert not tables.is_loaded(Load(load.info, "2025-03-02"), oid, loaded)
    assert _all(connection, "SELECT count(*) FROM fact.t1") == Counter([(4,)])


def test_text_of_any_kind_survives_the_copy(
    connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
) -> None:
    codes = ["", " ", "a,b", 'a"b', "a'b", "\\.", "\\N", "NULL", "æøå", "a\nb", "a\r\nb", "😀", ";", "0", "00"]
    rows: Rows = [(code, "M", float(place)) for place, code in enumerate(codes)]
    table = _table()
    tables.create(table)
    tables.replace(store, table, [_load(store, "2025", rows)])
    assert _all(connection) == _expected(date(2025, 1, 1), rows)


def test_numbers_of_any_kind_survive_the_copy(
    connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
) -> None:
    numbers = [0.1, 1 / 3, 1e308, 5e-324, -1e-7, 123456789012345.67, 2**53 + 0.0, 0.0, None]
    rows: Rows = [(f"{place:03}", "M", number) for place, number in enumerate(numbers)]
    table = _table()
    tables.create(table)
    tables.replace(store, table, [_load(store, "2025", rows)])
    assert _all(connection) == _expected(date(2025, 1, 1), rows)


def test_codes_sort_by_their_bytes(
    connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
) -> None:
    table = _table()
    tables.create(table)
    rows: Rows = [(code, "M", 1.0) for code in ("å", "a", "B", "10", "9")]
    tables.replace(store, table, [_load(store, "2025", rows)])
    with postgres.transaction(connection, "test") as cursor:
        cursor.execute("SELECT omrade FROM fact.t1 ORDER BY omrade")
        assert [code for (code,) in cursor.fetchall()] == ["10", "9", "B", "a", "å"]


def test_all_periods_of_one_call_are_in_or_none(
    connection: postgres.Connection, tables: PeriodTables, store: PartitionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _table()
    tables.create(table)
    tables.replace(store, table, [_load(store, "2025M03")])
    before = _all(connection), tables.loaded("T1")
    loads = [_load(store, code, [("1", "M", 9.0)]) for code in ("2025M03", "2025M04")]
    loads[1].info.path.unlink()
    with pytest.raises(Exception, match=r"2025M04\.parquet"):
        tables.replace(store, table, loads)
    assert (_all(connection), tables.loaded("T1")) == before
    # and the connection is as good as before
    tables.replace(store, table, [_load(store, "2025M04")])
    assert len(_all(connection)) == 8


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_interrupts_the_reading_is_not_renamed(
    tables: PeriodTables, store: PartitionStore, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    """psycopg2 makes of it a cancelled COPY, which would pass for a lost connection."""
    table = _table()
    tables.create(table)
    load = _load(store, "2025")

    def interrupted(*_arguments: Any) -> Iterator[Any]:
        raise raised("stop")
        yield

    monkeypatch.setattr(PartitionStore, "batches", interrupted)
    with pytest.raises(raised):
        tables.replace(store, table, [load])
    assert tables.loaded("T1") == {}


def test_a_table_that_is_not_there_is_named(tables: PeriodTables, store: PartitionStore) -> None:
    with pytest.raises(DatabaseRefused) as caught:
        tables.replace(store, _table(), [_load(store, "2025")])
    assert "fact.t1" in str(caught.value)
    assert "varro rebuild T1" in str(caught.value)
    tables.remove(_table(), ["2025"])


def test_a_lost_connection_is_named(
    connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
) -> None:
    tables.create(_table())
    connection.close()
    with pytest.raises(DatabaseUnavailable):
        tables.replace(store, _table(), [_load(store, "2025")])


class TestRebuild:
    def test_it_holds_exactly_what_it_is_given(
        self, connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
    ) -> None:
        table = _table()
        old = tables.create(table)
        tables.replace(store, table, [_load(store, "2025M03"), _load(store, "2025M04")])
        assert tables.rebuild(store, table, [_load(store, "2025M04", [("1", "M", 1.0)])]) == 1
        assert _all(connection) == _expected(date(2025, 4, 1), [("1", "M", 1.0)])
        assert tables.loaded("T1").keys() == {"2025M04"}
        assert tables.oid(("fact", "t1")) != old
        assert tables.oid(("build", "t1")) is None

    def test_what_a_dead_process_left_in_the_workshop_is_no_hindrance(
        self, connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
    ) -> None:
        _all(connection, "CREATE TABLE build.t1 (x int); SELECT 1")
        tables.rebuild(store, _table(), [_load(store, "2025")])
        assert _all(connection) == _expected(date(2025, 1, 1))

    def test_a_failure_leaves_the_old_table(
        self, connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
    ) -> None:
        table = _table()
        oid = tables.create(table)
        load = _load(store, "2025")
        tables.replace(store, table, [load])
        before = _all(connection), tables.loaded("T1")
        load.info.path.write_bytes(b"")
        with pytest.raises(Exception, match=r"2025\.parquet"):
            tables.rebuild(store, table, [load])
        assert (_all(connection), tables.loaded("T1")) == before
        assert tables.oid(("fact", "t1")) == oid

    def test_indexes_are_made_once(
        self, connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
    ) -> None:
        indexes = "SELECT indexrelid, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'fact.t1'::regclass"
        tables.rebuild(store, _table(), [_load(store, "2025")])
        made = _all(connection, indexes)
        assert len(made) == 2
        tables.finish(_table())
        tables.finish(_table(), analyze=False)
        assert _all(connection, indexes) == made
        assert _all(connection, "SELECT obj_description('fact.t1'::regclass)") == Counter([("a 'comment' 100 %",)])

    def test_other_columns_take_the_place_of_the_old_ones(
        self, connection: postgres.Connection, tables: PeriodTables, store: PartitionStore
    ) -> None:
        tables.create(_table())
        _all(connection, "CREATE VIEW fact.mine AS TABLE fact.t1; SELECT 1")
        with pytest.raises(DatabaseRefused) as caught:
            tables.rebuild(store, _table("text"), [])
        assert "fact.mine" in str(caught.value)
        _all(connection, "DROP VIEW fact.mine; SELECT 1")
        tables.rebuild(store, _table("text"), [_load(store, "2025", tid_type="text")])
        assert _all(connection) == _expected("2025")

    @pytest.mark.parametrize("given", [True, False])
    def test_rights_are_those_at_the_end(
        self,
        connection: postgres.Connection,
        tables: PeriodTables,
        store: PartitionStore,
        warehouse_url: str,
        monkeypatch: pytest.MonkeyPatch,
        *,
        given: bool,
    ) -> None:
        """Copying the rows takes minutes; meanwhile somebody gives a right, or takes one away."""
        table, load, copy = _table(), _load(store, "2025"), PeriodTables._copy
        tables.create(table)
        give, take = "GRANT SELECT ON fact.t1 TO PUBLIC", "REVOKE SELECT ON fact.t1 FROM PUBLIC"
        if not given:
            _run(warehouse_url, give)

        def meanwhile(*arguments: Any) -> int:
            _run(warehouse_url, give if given else take)
            return copy(*arguments)

        monkeypatch.setattr(PeriodTables, "_copy", meanwhile)
        tables.rebuild(store, table, [load])
        rights = "SELECT count(*) FROM pg_class, aclexplode(relacl) WHERE oid = 'fact.t1'::regclass AND grantee = 0"
        assert _all(connection, rights) == Counter([(int(given),)])

    def test_once_rights_are_read_nobody_changes_them(
        self, tables: PeriodTables, store: PartitionStore, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table, grants = _table(), period_table._grants
        tables.create(table)
        written: list[object] = []

        def read(cursor: postgres.Cursor, oid: int) -> list[tuple[str, str, bool]]:
            found = grants(cursor, oid)
            with pytest.raises(DatabaseUnavailable, match="lock timeout"):
                _run(warehouse_url, "SET lock_timeout = '100ms'", "GRANT SELECT ON fact.t1 TO PUBLIC")
            # what keeps a GRANT out on older servers as well: the row that it must write has been written here
            cursor.execute("SELECT xmin::text = txid_current()::text FROM pg_class WHERE oid = %s", (oid,))
            written.append(cursor.fetchone())
            return found

        monkeypatch.setattr(period_table, "_grants", read)
        tables.rebuild(store, table, [_load(store, "2025")])
        assert written == [(True,)]


def _run(url: str, *statements: str) -> None:
    """As somebody else."""
    with (
        contextlib.closing(postgres.connect(SecretStr(url), "somebody")) as other,
        postgres.transaction(other, "run") as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)
