"""Code spans and column names as laws, against what Postgres itself makes of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2 import sql

from varro_assets.engine.postgres import Cursor
from varro_assets.errors import ColumnCollision
from varro_assets.statbank import facts
from varro_assets_tests.table_bodies import info

_numbers = st.one_of(
    st.integers(0, 130).map(str),
    st.integers(0, 2**33).map(str),
    st.integers(2**31 - 3, 2**31 + 3).map(str),
    st.integers(0, 999).map("{:06}".format),
)
_codes = st.one_of(
    _numbers,
    st.tuples(_numbers, _numbers).map("-".join),
    st.tuples(_numbers, st.sampled_from(["-", "+", "OV"])).map("".join),
    st.text(max_size=12),
)


@contextlib.contextmanager
def open_cursor(url: str) -> Iterator[Cursor]:
    """A cursor of a connection of its own, nothing of which is kept."""
    with contextlib.closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection:
        yield connection.cursor()


@given(st.lists(_codes, min_size=1, max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_postgres_takes_every_span_as_it_is_written(warehouse_url: str, codes: list[str]) -> None:
    spans = [span for code in codes if (span := facts.code_span(code)) is not None]
    with open_cursor(warehouse_url) as cursor:
        cursor.execute(
            "SELECT array(SELECT unnest(%s::int4range[])::text),"
            " NOT EXISTS (SELECT 1 FROM unnest(%s::int4range[]) s WHERE isempty(s))",
            (spans, spans),
        )
        assert cursor.fetchone() == (spans, True)


@given(st.integers(0, 2**31 - 2), st.integers(0, 2**31 - 2), st.integers(0, 2**31 - 2))
@settings(deadline=None)
def test_a_span_holds_the_numbers_its_code_says(low: int, high: int, number: int) -> None:
    def holds(span: str | None) -> bool:
        if span is None:
            return False
        first, _, last = span.strip("[)").partition(",")
        return int(first) <= number and (not last or number < int(last))

    assert holds(facts.code_span(str(low))) == (number == low)
    assert holds(facts.code_span(f"{low}-{high}")) == (low <= number <= high)
    assert holds(facts.code_span(f"{low}-")) == holds(facts.code_span(f"{low}OV")) == (number >= low)


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_code_has_a_span_or_none(code: str) -> None:
    span = facts.code_span(code)
    assert span is None or code[0].isdigit()


@given(st.text(min_size=1, max_size=60))
@settings(deadline=None)
def test_any_variable_has_a_plain_name(variable: str) -> None:
    name = facts.column_name(variable)
    assert name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert not name[0].isdigit()
    assert facts.column_name(name) == name


def create(url: str, variables: list[str]) -> None:
    """Create a table with the columns we make of these variables."""
    columns = facts.columns(info(dimensions=dict.fromkeys(variables, ("1",))))
    assert [column.source for column in columns] == variables
    names = [sql.SQL("{} text").format(sql.Identifier(column.name)) for column in columns]
    names += [sql.SQL("tid date"), sql.SQL("indhold double precision")]
    with open_cursor(url) as cursor:
        cursor.execute(sql.SQL("CREATE TEMPORARY TABLE t ({})").format(sql.SQL(", ").join(names)))


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=6, unique=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_postgres_takes_every_set_of_columns_we_take(warehouse_url: str, variables: list[str]) -> None:
    with contextlib.suppress(ColumnCollision):
        create(warehouse_url, variables)


def test_key_words_are_columns_like_any_other(warehouse_url: str) -> None:
    create(warehouse_url, ["USER", "ORDER", "SELECT", "TABLE", "GROUP", "END", "ALL", "OID", "ROW"])
