"""Every example of a document runs on a real database, and none can change it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlglot
from psycopg2 import sql
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from varro_assets.context.cards import TableCard
from varro_assets.context.text import examples
from varro_assets.context.text.examples import Example, dim_examples, fact_examples, verified
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.engine import periods
from varro_assets.engine.postgres import Connection, connect
from varro_assets.errors import DatabaseUnavailable, ExampleFailed
from varro_assets.warehouse import prepare
from varro_assets_tests.context_material import ENHED, KON, NUTS, OMRADE, USER, carded, info, links_of, values


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[Connection]:
    """A migrated warehouse with the dimension."""
    prepare(SecretStr(warehouse_url))
    opened = connect(SecretStr(warehouse_url), "test")
    DimTables(opened).load(NUTS)
    opened.commit()
    yield opened
    opened.close()


def filled(connection: Connection, card: TableCard) -> TableCard:
    """The card's table with every combination of codes; value = 1, 2, ..."""
    names = [column.name for column in card.columns]
    fields = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in names)
    table = sql.Identifier("fact", card.name)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TABLE {} ({}, tid {}, indhold double precision)").format(
                table, fields, sql.SQL(str(card.tid_type))
            )
        )
        rows: list[list[Any]] = [[]]
        for column in card.columns:
            rows = [[*row, code.id] for row in rows for code in column.column.codes]
        marks = ", ".join(["%s"] * (len(names) + 2))
        for period in card.periods:
            value = periods.parse(period).database_value(card.tid_type)
            for number, row in enumerate(rows, 1):
                cursor.execute(sql.SQL(f"INSERT INTO {{}} VALUES ({marks})").format(table), [*row, value, number])
    connection.commit()
    return card


def rows(connection: Connection, example: Example) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(example.sql)
        found = cursor.fetchall()
    connection.rollback()
    return found


def named(found: tuple[Example, ...], part: str) -> Example:
    return next(example for example in found if part in example.title)


V_KOMK = {"id": "KOMK", "text": "kommune", "values": values("V101 København", "V147 Frederiksberg", "V253 Greve")}
AWKWARD = {
    "id": "GRUPPE",
    "text": "gruppe",
    "values": [{"id": ":a%s'\\{x}?", "text": "I alt"}, {"id": "b", "text": "B"}],
}
TABLES = {
    "linked": (info(), True),
    "prefix": (info(variables=(V_KOMK, KON)), "prefix V"),
    "keyword": (info(variables=(USER, OMRADE)), True),
    "selector": (info(unit="-", variables=(OMRADE, ENHED)), True),
    "ranges": (info(tids=("1840:1849", "1850:1859")), True),
    "texts": (info(tids=("2006/2007", "AUG - DEC 2019")), True),
    "spans as texts": (info(tids=("1840:1849", "2020")), True),
    "awkward": (info(variables=(AWKWARD, OMRADE)), True),
    "unlinked": (info(variables=(KON, USER)), False),
    "digit": (info(id="10A"), True),
}


def card_of(kind: str) -> TableCard:
    table, way = TABLES[kind]
    if way == "prefix V":
        return carded(table, links=links_of(table, NUTS, "KOMK", "prefix V"))
    return carded(table, linked=bool(way))


@pytest.mark.parametrize("kind", TABLES)
def test_every_example_runs_and_finds_something(connection: Connection, warehouse_url: str, kind: str) -> None:
    card = filled(connection, card_of(kind))
    all_of_them = fact_examples(card) + dim_examples(NUTS, card)
    assert verified(connection, all_of_them) == all_of_them
    engine = create_engine(warehouse_url)
    with engine.connect() as programs:
        for example in all_of_them:
            assert "::" not in example.sql
            assert ";" not in example.sql
            # a program that binds parameters sees none, and a parser sees one statement
            statement = text(example.sql)
            assert not statement._bindparams
            assert len(programs.execute(statement).fetchall()) == len(rows(connection, example)) > 0
            assert programs.exec_driver_sql(example.sql, {"x": 1}).fetchall()
            assert len(sqlglot.parse(example.sql, dialect="postgres")) == 1
    engine.dispose()


def test_what_the_examples_find(connection: Connection) -> None:
    card = filled(connection, carded())
    found = fact_examples(card)
    # codes in order: 7 areas times 3 sexes, numbered from 1
    assert [row[1] for row in rows(connection, named(found, "totals picked"))] == [1.0]
    by_region = rows(connection, named(found, "newest period by level 1"))
    assert by_region == [("085", "Region Sjælland", 13.0), ("084", "Region Hovedstaden", 4.0)]
    summed = rows(connection, named(found, "level 3 (Kommune) of dim.nuts summed up to level 2 (Landsdel)"))
    assert summed == [("01", "Landsdel Byen København", 7.0 + 10.0), ("05", "Landsdel Østsjælland", 16.0)]
    found = dim_examples(NUTS, card)
    summed = rows(connection, named(found, "summed up to level 1"))
    assert summed == [("084", "Region Hovedstaden", 17.0), ("085", "Region Sjælland", 16.0)]
    assert rows(connection, named(found, "directly below 084")) == [("01", 2, "Landsdel Byen København")]
    assert [row[0] for row in rows(connection, named(found, "branch 084"))] == ["084", "01", "101", "147"]


def test_a_mean_is_not_summed(connection: Connection) -> None:
    card = filled(connection, carded(info(unit="Gns.")))
    found = fact_examples(card) + dim_examples(NUTS, card)
    assert len(found) == 5
    assert not any("SUM" in example.sql for example in found)
    assert verified(connection, found) == found


def test_an_example_that_finds_nothing_is_left_out(connection: Connection) -> None:
    good, empty = Example("good", "SELECT 1"), Example("empty", "SELECT 1 WHERE false")
    assert verified(connection, [empty, good]) == (good,)
    assert verified(connection, []) == ()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM fact.nowhere",
        "SELECT f.gone FROM dim.nuts f",
        "DELETE FROM dim.nuts",
        "WITH x AS (DELETE FROM dim.nuts RETURNING kode) SELECT * FROM x",
        "SELECT 1) AS x; DELETE FROM dim.nuts; SELECT 1 FROM (SELECT 1",
        "SELECT nextval('s')",
        "SELECT 1 --",
    ],
)
def test_one_that_fails_says_so_and_changes_nothing(connection: Connection, query: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE s")
    connection.commit()
    if query == "SELECT 1 --":
        assert verified(connection, [Example("comment", query)])
        return
    with pytest.raises(ExampleFailed) as caught:
        verified(connection, [Example("a bad one", query)])
    assert "a bad one" in str(caught.value)
    assert query in str(caught.value)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM dim.nuts")
        assert cursor.fetchone() == (len(NUTS.members),)
        cursor.execute("INSERT INTO dim.nuts (kode, niveau, titel) VALUES ('x', 1, 'still writable')")
    connection.rollback()


def test_one_that_takes_too_long(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "TIMEOUT_SECONDS", 0.05)
    with pytest.raises(ExampleFailed, match="timeout"):
        verified(connection, [Example("slow", "SELECT pg_sleep(30)")])


def test_a_lost_connection_is_not_the_examples_fault(connection: Connection, warehouse_url: str) -> None:
    other = connect(SecretStr(warehouse_url), "test")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", (connection.get_backend_pid(),))
    other.commit()
    other.close()
    with pytest.raises(DatabaseUnavailable):
        verified(connection, [Example("good", "SELECT 1")])


def test_no_examples_of_what_is_not_loaded() -> None:
    assert fact_examples(carded(held=())) == ()
    assert [example.title for example in dim_examples(NUTS, carded(held=()))] == [
        example.title for example in dim_examples(NUTS, None)
    ]
