"""Dimension table: equal to the dimension, replaced in place, in one transaction, and never somebody else's."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from varro_assets.dimensions import dim_table
from varro_assets.dimensions.classifications import hierarchy
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.dimensions.models import Dimension, Member
from varro_assets.engine import postgres
from varro_assets.errors import ConfigurationError, DatabaseRefused, DatabaseUnavailable, InvalidHierarchy
from varro_assets.warehouse import prepare
from varro_assets_tests.postgres_fixture import PATIENCE

Rows = list[tuple[Any, ...]]


def _dimension(*lines: tuple[str, int, str], name: str = "byganv", **fields: Any) -> Dimension:
    rows = [PublishedRow(number, number, *line) for number, line in enumerate(lines, 1)]
    return hierarchy.dimension(name, fields.pop("title", "Bygningers anvendelse"), rows, source="https://x/y", **fields)


# 110 stands on levels 2 and 3; labels hold what CSV, SQL and the driver's own placeholders stumble over
BYGANV = _dimension(
    ("1", 1, "Helårsbeboelse"),
    ("110", 2, 'Stuehus; "til" landbrug, 100 % %s {}'),
    ("110", 3, "Stuehus"),
    ("120", 2, "Parcelhus\nfritliggende"),
    ("121", 3, "Sammenbygget"),
    ("2", 1, "\\."),
    ("002", 2, "Ærø's"),
    level_names={1: "Gruppe", 3: "Anvendelse"},
)
REVISED = _dimension(("1", 1, "Helårsbeboelse"), ("110", 2, "Stuehus (ny)"), ("9", 1, "Andet"))


@pytest.fixture
def connect(warehouse_url: str) -> Iterator[Callable[..., postgres.Connection]]:
    """Opens connections to the warehouse, as its owner or by another URL."""
    prepare(SecretStr(warehouse_url))
    with contextlib.ExitStack() as stack:
        yield lambda url=warehouse_url: stack.enter_context(
            contextlib.closing(postgres.connect(SecretStr(url), "test"))
        )


@pytest.fixture
def connection(connect: Callable[..., postgres.Connection]) -> postgres.Connection:
    return connect()


@pytest.fixture
def tables(connect: Callable[..., postgres.Connection]) -> DimTables:
    return DimTables(connect())


def _run(connection: postgres.Connection, statement: str, *values: Any) -> Rows:
    with postgres.transaction(connection, "test") as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def _stored(connection: postgres.Connection, name: str = "byganv") -> set[tuple[Any, ...]]:
    return set(_run(connection, f"SELECT kode, niveau, titel, parent_kode, parent_niveau FROM dim.{name}"))


def _expected(dimension: Dimension) -> set[tuple[Any, ...]]:
    return {(m.kode, m.niveau, m.titel, m.parent_kode, m.parent_niveau) for m in dimension.members}


def _oid(connection: postgres.Connection, name: str = "byganv") -> int:
    return int(_run(connection, "SELECT CAST(CAST(%s AS regclass) AS oid)::bigint", f"dim.{name}")[0][0])


def test_the_table_holds_the_members_as_text(tables: DimTables, connection: postgres.Connection) -> None:
    assert tables.read_names() == []
    assert tables.load(BYGANV) is True
    assert _stored(connection) == _expected(BYGANV)
    assert tables.read_names() == ["byganv"]
    assert _run(
        connection,
        "SELECT a.attname, format_type(a.atttypid, NULL), a.attnotnull, c.collname FROM pg_attribute a"
        " LEFT JOIN pg_collation c ON c.oid = a.attcollation AND c.collname <> 'default'"
        " WHERE a.attrelid = CAST('dim.byganv' AS regclass) AND a.attnum > 0 ORDER BY a.attnum",
    ) == [
        ("kode", "text", True, "C"),
        ("niveau", "integer", True, None),
        ("titel", "text", True, None),
        ("parent_kode", "text", False, "C"),
        ("parent_niveau", "integer", False, None),
    ]
    indexes = _run(connection, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'dim' AND tablename = 'byganv'")
    assert sorted(row[0].partition("USING btree ")[2] for row in indexes) == [
        "(kode, niveau)",
        "(niveau)",
        "(parent_kode, parent_niveau)",
    ]


def test_comments_and_the_record_say_what_it_is(tables: DimTables, connection: postgres.Connection) -> None:
    tables.load(replace(BYGANV, page="https://x/page"))
    assert _run(connection, "SELECT obj_description(CAST('dim.byganv' AS regclass), 'pg_class')") == [
        ("Bygningers anvendelse. Source: https://x/y. https://x/page",)
    ]
    comments = [
        row[0]
        for row in _run(
            connection,
            "SELECT col_description(CAST('dim.byganv' AS regclass), place) FROM generate_series(1, 5) place",
        )
    ]
    assert all(comments)
    assert comments[1] == "Level, 1 = top: 1 Gruppe, 3 Anvendelse"
    assert _run(
        connection,
        "SELECT name, title, source, page, levels, members, content_hash, relation_oid::bigint FROM meta.dimension",
    ) == [
        (
            "byganv",
            "Bygningers anvendelse",
            "https://x/y",
            "https://x/page",
            3,
            7,
            replace(BYGANV, page="https://x/page").content_hash,
            _oid(connection),
        )
    ]
    assert _run(connection, "SELECT reltuples FROM pg_class WHERE oid = CAST('dim.byganv' AS regclass)") == [(7,)]


def test_the_tree_tells_the_members_of_one_code_apart(tables: DimTables, connection: postgres.Connection) -> None:
    tables.load(BYGANV)
    tree = _run(
        connection,
        "SELECT kode, niveau, titel, parent_kode, parent_niveau, path_codes, root_kode, root_titel"
        " FROM dim.byganv_tree",
    )
    assert {row[:5] for row in tree} == _expected(BYGANV)
    assert len(tree) == len(BYGANV.members)
    ways = {(row[0], row[1]): (row[5], row[6], row[7]) for row in tree}
    assert ways["110", 2] == (["1", "110"], "1", "Helårsbeboelse")
    assert ways["110", 3] == (["1", "110", "110"], "1", "Helårsbeboelse")
    assert ways["121", 3] == (["1", "120", "121"], "1", "Helårsbeboelse")
    assert ways["2", 1] == (["2"], "2", "\\.")
    assert _run(connection, "SELECT path FROM dim.byganv_tree WHERE kode = '002'") == [("\\. / Ærø's",)]


def test_the_same_content_is_not_written_again(tables: DimTables, connection: postgres.Connection) -> None:
    tables.load(BYGANV)
    before = _run(connection, "SELECT xmin::text, ctid::text FROM dim.byganv")
    assert tables.load(BYGANV) is False
    assert _run(connection, "SELECT xmin::text, ctid::text FROM dim.byganv") == before


def test_new_content_is_put_in_place(tables: DimTables, connection: postgres.Connection) -> None:
    tables.load(BYGANV)
    oid = _oid(connection)
    _run(connection, "CREATE SCHEMA mine")
    _run(connection, "CREATE VIEW mine.tops AS SELECT kode FROM dim.byganv_tree WHERE niveau = 1")
    _run(connection, "CREATE VIEW mine.codes AS SELECT DISTINCT kode FROM dim.byganv")
    _run(connection, "GRANT SELECT ON dim.byganv TO PUBLIC")
    grants = _run(connection, "SELECT relacl::text FROM pg_class WHERE oid = %s", oid)
    assert tables.load(REVISED) is True
    assert _stored(connection) == _expected(REVISED)
    assert _oid(connection) == oid
    assert _run(connection, "SELECT kode FROM mine.tops ORDER BY 1") == [("1",), ("9",)]
    assert _run(connection, "SELECT relacl::text FROM pg_class WHERE oid = %s", oid) == grants
    assert tables.load(REVISED) is False


def test_a_new_title_alone_is_a_change(tables: DimTables, connection: postgres.Connection) -> None:
    tables.load(BYGANV)
    assert tables.load(replace(BYGANV, title="Anvendelse")) is True
    assert _run(connection, "SELECT title FROM meta.dimension") == [("Anvendelse",)]


def test_more_members_than_one_batch(tables: DimTables, connection: postgres.Connection) -> None:
    count = dim_table._COPY_ROWS + 3
    big = _dimension(*((f"{number:06}", 1, f"nr. {number}") for number in range(count)), name="big")
    tables.load(big)
    assert _run(connection, "SELECT count(*), max(kode) FROM dim.big") == [(count, f"{count - 1:06}")]


@pytest.mark.parametrize(
    "loss",
    [
        "DROP TABLE dim.byganv CASCADE",
        "DROP VIEW dim.byganv_tree",
        "COMMENT ON VIEW dim.byganv_tree IS 'edition 0'",
        "ALTER TABLE dim.byganv SET SCHEMA build",
        "ALTER TABLE dim.byganv RENAME TO byganv_old",
    ],
)
def test_what_is_gone_or_old_is_made_anew(tables: DimTables, connection: postgres.Connection, loss: str) -> None:
    tables.load(BYGANV)
    _run(connection, loss)
    assert tables.load(BYGANV) is True
    assert _stored(connection) == _expected(BYGANV)
    assert tables.load(BYGANV) is False
    tables.load(REVISED)
    # not of the table that was renamed or moved
    assert _run(connection, "SELECT count(*) FROM dim.byganv_tree") == [(len(REVISED.members),)]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM dim.byganv WHERE niveau = 3", "2 of 7 members are not in it, 0 other rows are"),
        ("UPDATE dim.byganv SET titel = 'mine' WHERE kode = '002'", "1 of 7 members are not in it, 1 other rows are"),
        ("DROP VIEW dim.byganv_tree", "its tree view is gone"),
        ("DROP TABLE dim.byganv CASCADE", "there is no such table"),
        ("UPDATE meta.dimension SET content_hash = ''", "it is not recorded"),
    ],
)
def test_a_difference_is_told_and_a_load_anew_mends_it(
    tables: DimTables, connection: postgres.Connection, damage: str, said: str
) -> None:
    assert tables.difference(BYGANV) == "there is no such table"
    tables.load(BYGANV)
    assert tables.difference(BYGANV) is None
    _run(connection, damage)
    assert said in (tables.difference(BYGANV) or "")
    assert said in (tables.difference(BYGANV) or ""), "looking mends nothing"
    assert tables.load(BYGANV, anew=True)
    assert tables.difference(BYGANV) is None
    assert _stored(connection) == _expected(BYGANV)


def test_a_table_from_a_backup_is_filled_anew(tables: DimTables, connection: postgres.Connection) -> None:
    tables.load(BYGANV)
    _run(connection, "DROP VIEW dim.byganv_tree")
    _run(connection, "ALTER TABLE dim.byganv RENAME TO old")
    _run(connection, "CREATE TABLE dim.byganv (LIKE dim.old INCLUDING ALL)")
    _run(connection, "INSERT INTO dim.byganv SELECT * FROM dim.old LIMIT 2")
    restored = _oid(connection)
    assert tables.load(BYGANV) is True
    assert _stored(connection) == _expected(BYGANV)
    assert _oid(connection) == restored


FOREIGN = [
    ("CREATE TABLE dim.byganv (kode text)", "is not recorded in meta.dimension"),
    ("CREATE VIEW dim.byganv AS SELECT 1 AS kode", "is no table"),
    ("CREATE VIEW dim.byganv_tree AS SELECT 1 AS kode", "was there before dim.byganv"),
    ("CREATE TABLE dim.byganv_tree (kode text)", "is no view"),
]


@pytest.mark.parametrize(("statement", "why"), FOREIGN, ids=[why for _, why in FOREIGN])
def test_what_we_did_not_make_is_left_alone(
    tables: DimTables, connection: postgres.Connection, statement: str, why: str
) -> None:
    _run(connection, statement)
    relations = "SELECT oid, relname FROM pg_class WHERE relnamespace = CAST('dim' AS regnamespace) ORDER BY 1"
    before = _run(connection, relations)
    for attempt in (lambda: tables.load(BYGANV), lambda: tables.drop("byganv")):
        with pytest.raises(DatabaseRefused, match=why):
            attempt()
    assert _run(connection, relations) == before
    assert tables.read_names() == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE dim.byganv ADD COLUMN farve text",
        "ALTER TABLE dim.byganv ALTER parent_niveau TYPE bigint",
        "ALTER TABLE dim.byganv DROP CONSTRAINT byganv_pkey",
        "ALTER TABLE dim.byganv ALTER titel DROP NOT NULL",
    ],
)
def test_a_table_that_somebody_altered_is_refused(
    tables: DimTables, connection: postgres.Connection, change: str
) -> None:
    tables.load(BYGANV)
    _run(connection, "DROP VIEW dim.byganv_tree")
    _run(connection, change)
    with pytest.raises(DatabaseRefused, match="has other columns") as refused:
        tables.load(REVISED)
    assert "drop it" in refused.value.todo
    assert _stored(connection) == _expected(BYGANV)


@pytest.mark.parametrize("name", ["nuts_tree", "Nuts", "nuts-x", "1x", 'x"; DROP', "x" * 41, ""])
def test_a_name_that_cannot_be_one_is_refused(tables: DimTables, name: str) -> None:
    for attempt in (lambda: tables.load(replace(BYGANV, name=name)), lambda: tables.drop(name)):
        with pytest.raises(ConfigurationError):
            attempt()


@pytest.mark.parametrize("name", ["user", "select", "order", "x" * 40])
def test_any_other_name_will_do(tables: DimTables, connection: postgres.Connection, name: str) -> None:
    assert tables.load(replace(BYGANV, name=name)) is True
    assert tables.read_names() == [name]
    assert _run(connection, f'SELECT count(*) FROM dim."{name}_tree"') == [(7,)]
    assert tables.drop(name) is True


def test_members_that_are_no_tree_are_refused_before_anything_is_written(
    tables: DimTables, connection: postgres.Connection
) -> None:
    tables.load(BYGANV)
    for members in ((), (Member("1", 1, "a"), Member("1", 1, "b")), (Member("1", 2, "a", "0", 1),)):
        with pytest.raises(InvalidHierarchy):
            tables.load(replace(BYGANV, members=members))
    for broken in (replace(BYGANV, title="a\0b"), replace(BYGANV, members=(Member("1", 1, "a\0b"),))):
        with pytest.raises(InvalidHierarchy, match="NUL"):
            tables.load(broken)
    assert _stored(connection) == _expected(BYGANV)


def test_dropping(tables: DimTables, connection: postgres.Connection) -> None:
    assert tables.drop("byganv") is False
    tables.load(BYGANV)
    tables.load(replace(BYGANV, name="other"))
    assert tables.drop("byganv") is True
    assert tables.read_names() == ["other"]
    assert _run(connection, "SELECT to_regclass('dim.byganv'), to_regclass('dim.byganv_tree')") == [(None, None)]
    _run(connection, "CREATE VIEW build.mine AS SELECT kode FROM dim.other")
    with pytest.raises(DatabaseRefused, match=r"build\.mine"):
        tables.drop("other")
    assert tables.read_names() == ["other"]
    _run(connection, "DROP TABLE dim.other CASCADE")
    assert tables.read_names() == []
    assert tables.drop("other") is True


def test_the_reader_reads_table_and_tree(
    tables: DimTables, connect: Callable[..., postgres.Connection], reader_url: str
) -> None:
    tables.load(BYGANV)
    tables.load(REVISED)
    reader = connect(reader_url)
    assert _stored(reader) == _expected(REVISED)
    assert _run(reader, "SELECT count(*) FROM dim.byganv_tree") == [(3,)]
    assert _run(reader, "SELECT name FROM meta.dimension") == [("byganv",)]
    with pytest.raises(DatabaseRefused, match="read-only transaction"):
        _run(reader, "DELETE FROM dim.byganv")


def test_a_reader_keeps_what_it_began_with_and_keeps_nobody_waiting(
    tables: DimTables, connect: Callable[..., postgres.Connection], reader_url: str
) -> None:
    tables.load(BYGANV)
    reader = connect(reader_url)
    reader.set_session(isolation_level="REPEATABLE READ")
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dim.byganv")
        # its transaction stays open, with its lock on table and view
        cursor.execute("SELECT count(*) FROM dim.byganv_tree")
        assert cursor.fetchone() == (7,)
        assert tables.load(REVISED) is True
        cursor.execute("SELECT count(*) FROM dim.byganv")
        assert cursor.fetchone() == (7,)
    reader.rollback()
    assert _stored(reader) == _expected(REVISED)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that is held up for as long as the test takes to look does not give up meanwhile."""
    monkeypatch.setattr(dim_table, "_PATIENCE", f"SET LOCAL lock_timeout = '{PATIENCE:.0f}s'")


class _Loader(threading.Thread):
    """A load in another thread, on a connection of its own."""

    def __init__(self, connection: postgres.Connection, dimension: Dimension) -> None:
        super().__init__(daemon=True)
        self.pid = connection.get_backend_pid()
        self._connection, self._dimension = connection, dimension
        self.result: bool | Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = DimTables(self._connection).load(self._dimension)
        except Exception as error:  # noqa: BLE001 - handed to the test
            self.result = error

    def blocked(self, onlooker: postgres.Connection) -> None:
        """Wait until it waits for a lock."""
        deadline = time.monotonic() + PATIENCE
        while not _run(
            onlooker, "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'", self.pid
        ):
            assert time.monotonic() < deadline, self.result
            time.sleep(0.01)


def _hold_the_record(connection: postgres.Connection) -> None:
    """Keep the record's row, so that a load stops after its rows and before its end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM meta.dimension WHERE name = 'byganv' FOR UPDATE")


@pytest.mark.usefixtures("patient")
def test_until_a_load_is_complete_the_old_content_is_read(
    tables: DimTables, connect: Callable[..., postgres.Connection], connection: postgres.Connection
) -> None:
    tables.load(BYGANV)
    holder = connect()
    _hold_the_record(holder)
    loader = _Loader(connect(), REVISED)
    loader.blocked(connection)
    assert _stored(connection) == _expected(BYGANV)
    assert _run(connection, "SELECT count(*) FROM dim.byganv_tree") == [(7,)]
    holder.rollback()
    loader.join(PATIENCE)
    assert loader.result is True
    assert _stored(connection) == _expected(REVISED)


@pytest.mark.usefixtures("patient")
def test_a_load_that_is_killed_leaves_the_old_content(
    tables: DimTables, connect: Callable[..., postgres.Connection], connection: postgres.Connection
) -> None:
    tables.load(BYGANV)
    holder = connect()
    _hold_the_record(holder)
    loader = _Loader(connect(), REVISED)
    loader.blocked(connection)
    _run(connection, "SELECT pg_terminate_backend(%s)", loader.pid)
    loader.join(PATIENCE)
    holder.rollback()
    assert isinstance(loader.result, DatabaseUnavailable)
    assert _stored(connection) == _expected(BYGANV)
    assert tables.load(BYGANV) is False
    assert tables.load(REVISED) is True


@pytest.mark.usefixtures("patient")
def test_a_first_load_that_is_killed_leaves_nothing(
    tables: DimTables, connect: Callable[..., postgres.Connection], connection: postgres.Connection
) -> None:
    holder = connect()
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE meta.dimension IN SHARE MODE")
    loader = _Loader(connect(), BYGANV)
    loader.blocked(connection)
    _run(connection, "SELECT pg_terminate_backend(%s)", loader.pid)
    loader.join(PATIENCE)
    holder.rollback()
    assert isinstance(loader.result, DatabaseUnavailable)
    assert _run(connection, "SELECT to_regclass('dim.byganv')") == [(None,)]
    assert tables.load(BYGANV) is True


@pytest.mark.usefixtures("patient")
def test_two_loads_at_once_give_one_result(
    tables: DimTables, connect: Callable[..., postgres.Connection], connection: postgres.Connection
) -> None:
    holder = connect()
    with holder.cursor() as cursor:
        # the lock that loads of this dimension take first
        cursor.execute(dim_table._ALONE, ("byganv",))
    loaders = [_Loader(connect(), BYGANV) for _ in range(3)]
    for loader in loaders:
        loader.blocked(connection)
    holder.rollback()
    for loader in loaders:
        loader.join(PATIENCE)
    assert sorted(str(loader.result) for loader in loaders) == ["False", "False", "True"]
    assert _stored(connection) == _expected(BYGANV)
    assert len(_run(connection, "SELECT 1 FROM dim.byganv")) == 7


def test_a_lock_that_is_never_let_go_ends_the_load(
    tables: DimTables,
    connect: Callable[..., postgres.Connection],
    connection: postgres.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables.load(BYGANV)
    monkeypatch.setattr(dim_table, "_PATIENCE", "SET LOCAL lock_timeout = '50ms'")
    holder = connect()
    _hold_the_record(holder)
    with pytest.raises(DatabaseUnavailable, match="lock timeout"):
        tables.load(REVISED)
    holder.rollback()
    assert _stored(connection) == _expected(BYGANV)
    assert _run(connection, "SHOW lock_timeout") == [("0",)]
