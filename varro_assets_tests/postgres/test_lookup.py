"""Values of columns and dimensions, looked up in a warehouse with tables, links and lives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from varro_assets.context import code_lives
from varro_assets.context.asking import lookup
from varro_assets.context.asking.lookup import ValueRow
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.dimensions.models import Dimension, Member
from varro_assets.engine import postgres
from varro_assets.errors import ConfigurationError, InvalidLink, UnknownColumn, UnknownTable
from varro_assets.settings import Settings
from varro_assets_tests.oracle import World
from varro_assets_tests.postgres_fixture import PATIENCE
from varro_assets_tests.ready_homes import ReadyHomes

AREAS = Dimension(
    name="areas",
    title="Områder",
    members=(
        Member("084", 1, "Region Hovedstaden"),
        Member("101", 2, "København", "084", 1),
        Member("147", 2, "Frederiksberg", "084", 1),
        Member("999", 2, "Ingensteds", "084", 1),
        Member("083", 1, "Region Syddanmark"),
        Member("084", 2, "Et andet 084", "083", 1),
    ),
    source="test",
)
LINK = """
INSERT INTO meta.dimension_link
    (table_id, column_name, variable_id, dimension, match_type, join_sql, coverage, levels, not_in_dimension, score,
     note, made_by)
VALUES (%s, %s, 'x', %s, 'approx', %s, 1, %s, '{}', 1, '', 'hand')
ON CONFLICT (table_id, column_name) DO UPDATE SET join_sql = EXCLUDED.join_sql, levels = EXCLUDED.levels
"""


def _link(world: World, table: str, column: str, join: str, levels: list[int], dimension: str = "areas") -> None:
    world.query(LINK, table, column, dimension, join, levels)


def _lives(world: World, table: str) -> int:
    store = world.sources.store(table)
    found = code_lives.lives(store, store.periods())
    with world.database() as connection:
        connection.autocommit = False
        with postgres.transaction(connection, "write lives") as cursor:
            return code_lives.write(cursor, table, found)


@pytest.fixture
def folk(world: World, settings: Settings, warehouse_database: str, ready_homes: ReadyHomes) -> World:
    """FOLK1A with its lives, and a dimension of some of its areas."""

    def fill() -> None:
        world.sync("FOLK1A")
        _lives(world, "FOLK1A")
        with world.database() as connection:
            connection.autocommit = False
            DimTables(connection).load(AREAS)

    ready_homes.bring("folk", settings.home, warehouse_database, fill)
    return world


@pytest.fixture
def reader(folk: World, reader_url: str) -> Iterator[postgres.Connection]:
    """The analyst's connection."""
    with contextlib.closing(postgres.connect(SecretStr(reader_url), "values")) as connection:
        yield connection


def _values(
    connection: postgres.Connection,
    table: str,
    column: str,
    *,
    match: str | None = None,
    for_table: str | None = None,
    limit: int = 1000,
) -> list[ValueRow]:
    return lookup.values(connection, table, column, match=match, for_table=for_table, limit=limit)


def test_lives_are_what_the_fact_table_has(folk: World) -> None:
    for column in ("omrade", "alder", "kon", "civilstand", "tid"):
        wrong = folk.query(
            f"""
            WITH life AS (
                SELECT CAST(f.{column} AS text) AS code, min(p.tid_code) AS first, max(p.tid_code) AS last
                  FROM fact.folk1a f JOIN meta.period_load p
                    ON p.table_id = 'FOLK1A' AND p.tid_value = CAST(f.tid AS text)
                 GROUP BY 1
            )
            SELECT * FROM meta.code c LEFT JOIN life
                ON life.code = CASE WHEN c.column_name = 'tid'
                    THEN (SELECT tid_value FROM meta.period_load l WHERE (l.table_id, l.tid_code) = ('FOLK1A', c.code))
                    ELSE c.code END
             WHERE c.table_id = 'FOLK1A' AND c.column_name = '{column}'
               AND (c.first_period, c.last_period) IS DISTINCT FROM (life.first, life.last)
            """
        )
        assert wrong == []


def test_only_lives_that_differ_are_written(folk: World) -> None:
    versions = "SELECT xmin::text, ctid::text FROM meta.code WHERE table_id = 'FOLK1A' ORDER BY 2"
    before = folk.query(versions)
    assert _lives(folk, "FOLK1A") == 0
    assert folk.query(versions) == before
    folk.query("UPDATE meta.code SET first_period = '1900' WHERE table_id = 'FOLK1A' AND code IN ('101', 'TOT')")
    assert _lives(folk, "FOLK1A") >= 2
    assert folk.query("SELECT count(*) FROM meta.code WHERE first_period = '1900'") == [(0,)]
    with folk.database() as connection:
        connection.autocommit = False
        with postgres.transaction(connection, "forget") as cursor:
            assert code_lives.write(cursor, "FOLK1A", {}) == len(before)
            assert code_lives.write(cursor, "FOLK1A", {"OMRÅDE": {"no such code": ("2024K1", "2024K1")}}) == 0
    assert folk.query("SELECT count(*) FROM meta.code WHERE first_period IS NOT NULL") == [(0,)]


def test_lives_are_not_written_while_a_sync_says_what_there_is(folk: World) -> None:
    """Both write rows of meta.code: in two orders at once, one of them would be told of a deadlock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted"
    with folk.database() as sync, folk.database() as documents, ThreadPoolExecutor(1) as pool:
        sync.autocommit = documents.autocommit = False

        def state() -> int:
            with postgres.transaction(documents, "write lives") as cursor:
                return code_lives.write(cursor, "FOLK1A", {})

        with postgres.transaction(sync, "describe") as cursor:
            cursor.execute("UPDATE meta.fact_table SET title = title WHERE table_id = 'FOLK1A'")
            written = pool.submit(state)
            while folk.query(waiting, documents.info.backend_pid) == [(0,)]:
                assert not written.done()
            cursor.execute("UPDATE meta.code SET declared = false WHERE table_id = 'FOLK1A'")
        assert written.result(timeout=PATIENCE) > 100


@pytest.mark.parametrize("table", ["FOLK1A", "folk1a", "fact.folk1a", " Folk1a "])
@pytest.mark.parametrize("column", ["omrade", "OMRÅDE", "område", "Omraade"])
def test_a_column_goes_by_its_name_or_the_publishers_id(
    reader: postgres.Connection, folk: World, table: str, column: str
) -> None:
    found = _values(reader, table, column, limit=2)
    held = folk.sources.store("FOLK1A").periods()
    assert found == [
        ValueRow("000", "Hele landet", first_period=held[0], last_period=held[-1]),
        ValueRow("084", "Region Hovedstaden", first_period=held[0], last_period=held[-1]),
    ]


def test_periods_are_values_too(reader: postgres.Connection, folk: World) -> None:
    found = _values(reader, "FOLK1A", "tid")
    assert sorted(row.code for row in found) == folk.sources.store("FOLK1A").periods()
    assert all(row.first_period == row.last_period == row.code for row in found)


@pytest.mark.parametrize("text", ["kobenhavn", "koebenhavn", "København", "101"])
def test_a_label_is_found_as_one_can_type_it(reader: postgres.Connection, text: str) -> None:
    for table, column in (("FOLK1A", "omrade"), ("areas", "titel")):
        assert _values(reader, table, column, match=text)[0].code == "101"


def test_a_linked_column_has_level_and_parent(reader: postgres.Connection, folk: World) -> None:
    _link(folk, "FOLK1A", "omrade", "f.omrade = d.kode", [1, 2])
    found = _values(reader, "FOLK1A", "omrade")
    assert len(found) == 106
    by_code: dict[str, list[ValueRow]] = {}
    for row in found:
        by_code.setdefault(row.code, []).append(row)
    assert [(row.level, row.parent, row.parent_label) for row in by_code["084"]] == [
        (1, None, None),
        (2, "083", "Region Syddanmark"),
    ]
    (copenhagen,) = by_code["101"]
    assert (copenhagen.level, copenhagen.parent, copenhagen.parent_label) == (2, "084", "Region Hovedstaden")
    assert by_code["000"][0].level is None
    assert [row.code for row in found][:2] == ["000", "084"]

    _link(folk, "FOLK1A", "omrade", "f.omrade = d.kode", [2])
    assert [row.level for row in _values(reader, "FOLK1A", "omrade", match="084")] == [2]
    folk.query("DROP TABLE dim.areas CASCADE")
    assert _values(reader, "FOLK1A", "omrade", match="101")[0].level is None


def test_a_dimension_lists_its_members(reader: postgres.Connection) -> None:
    for table in ("areas", "dim.areas", "AREAS"):
        found = _values(reader, table, "titel")
        assert [(row.code, row.level, row.parent) for row in found] == [
            ("083", 1, None),
            ("084", 1, None),
            ("084", 2, "083"),
            ("101", 2, "084"),
            ("147", 2, "084"),
            ("999", 2, "084"),
        ]
        assert {row.first_period for row in found} == {None}


def test_a_dimension_can_be_limited_to_what_occurs(reader: postgres.Connection, folk: World) -> None:
    with pytest.raises(UnknownColumn, match="varro links show FOLK1A"):
        _values(reader, "areas", "titel", for_table="FOLK1A")
    _link(folk, "FOLK1A", "omrade", "f.omrade = d.kode", [])
    found = _values(reader, "areas", "titel", for_table="fact.folk1a")
    assert [(row.code, row.level) for row in found] == [("083", 1), ("084", 1), ("084", 2), ("101", 2), ("147", 2)]
    held = folk.sources.store("FOLK1A").periods()
    assert {(row.first_period, row.last_period) for row in found} == {(held[0], held[-1])}
    folk.query("UPDATE meta.code SET first_period = NULL, last_period = NULL WHERE code = '147'")
    assert "147" not in {row.code for row in _values(reader, "areas", "titel", for_table="FOLK1A")}
    assert [row.code for row in _values(reader, "areas", "kode", for_table="FOLK1A", match="frederiksberg")] == []


def test_a_member_in_two_columns_lives_as_long_as_either(reader: postgres.Connection, folk: World) -> None:
    _link(folk, "FOLK1A", "omrade", "f.omrade = d.kode", [2])
    _link(folk, "FOLK1A", "kon", "f.kon = d.kode", [2])
    folk.query("UPDATE meta.code SET first_period = '2023K1', last_period = '2023K2' WHERE code = '101'")
    folk.query(
        "UPDATE meta.code SET code = '101', first_period = '2024K4', last_period = '2025K1'"
        " WHERE column_name = 'kon' AND code = (SELECT min(code) FROM meta.code WHERE column_name = 'kon')"
    )
    (found,) = _values(reader, "areas", "titel", for_table="FOLK1A", match="101")
    assert (found.first_period, found.last_period) == ("2023K1", "2025K1")


def test_columns_named_like_keywords_and_a_join_with_a_percent_sign(folk: World, reader: postgres.Connection) -> None:
    folk.sync("KORD1")
    assert len(_values(reader, "KORD1", "order")) == 2
    _link(folk, "KORD1", "user", "REPLACE(f.\"user\", '%s', '') = d.kode", [1])
    assert len(_values(reader, "KORD1", "user")) == 4


def test_a_join_that_is_more_than_a_join_is_not_run(folk: World, reader: postgres.Connection) -> None:
    _link(folk, "FOLK1A", "omrade", "true) LEFT JOIN (SELECT 1 FROM meta.code", [1])
    with pytest.raises(InvalidLink):
        _values(reader, "FOLK1A", "omrade")
    assert len(_values(reader, "FOLK1A", "kon")) == 3


def test_what_is_not_there_is_named_with_what_is_near(reader: postgres.Connection) -> None:
    with pytest.raises(UnknownTable, match=r"fact\.folk1a"):
        _values(reader, "FOLK1B", "omrade")
    with pytest.raises(UnknownTable, match=r"dim\.areas"):
        _values(reader, "arias", "titel")
    with pytest.raises(UnknownTable):
        _values(reader, "dim.folk1a", "omrade")
    with pytest.raises(UnknownColumn, match="omrade, kon, alder, civilstand, tid"):
        _values(reader, "FOLK1A", "områder'; --")
    with pytest.raises(UnknownColumn):
        _values(reader, "FOLK1A", "indhold")
    with pytest.raises(UnknownColumn, match="kode, titel"):
        _values(reader, "areas", "niveau")
    with pytest.raises(UnknownTable):
        _values(reader, "areas", "titel", for_table="XYZ")
    with pytest.raises(ConfigurationError, match="--for-table"):
        _values(reader, "FOLK1A", "omrade", for_table="KORD1")


def test_the_limit_is_kept_and_the_connection_stays_usable(reader: postgres.Connection) -> None:
    assert len(_values(reader, "FOLK1A", "omrade", limit=7)) == 7
    assert len(_values(reader, "FOLK1A", "omrade", match="b", limit=3)) == 3
    with pytest.raises(UnknownTable):
        _values(reader, "nothing", "x")
    assert _values(reader, "FOLK1A", "omrade", match="xyzzy") == []
