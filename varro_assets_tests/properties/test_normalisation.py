"""Normalisations: what the database joins is what has equal keys in Python, for any codes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2 import sql
from pydantic import SecretStr

from varro_assets.dimensions.links.join_condition import checked_join, join_of
from varro_assets.dimensions.links.normalisation import IDENTITY, NORMALISATIONS, Normalisation, named, prefixed, quoted
from varro_assets.engine.postgres import Connection, connect
from varro_assets.errors import InvalidLink

ALL = (*NORMALISATIONS, prefixed("V"), prefixed("CO"))
codes = st.text(alphabet="00012.  VCOA", min_size=1, max_size=6).filter(str.strip)
pairs = st.lists(codes, min_size=1, max_size=25, unique=True)


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[Connection]:
    with contextlib.closing(connect(SecretStr(warehouse_url), "test")) as opened:
        with opened.cursor() as cursor:
            cursor.execute('CREATE TABLE f ("user" text COLLATE "C"); CREATE TABLE d (kode text COLLATE "C")')
        yield opened


def joined(connection: Connection, condition: str, fact: str, dimension: str) -> set[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(f'SELECT "user", kode FROM {fact} JOIN {dimension} ON {condition}'))
        return set(cursor.fetchall())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=pairs, dims=pairs)
def test_the_database_agrees(connection: Connection, facts: list[str], dims: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE f, d")
        cursor.execute("INSERT INTO f SELECT unnest(%s)", (facts,))
        cursor.execute("INSERT INTO d SELECT unnest(%s)", (dims,))
    for one in ALL:
        expected = {
            (code, kode)
            for code in facts
            for kode in dims
            if one.fact_key(code) is not None and one.fact_key(code) == one.dim_key(kode)
        }
        join = one.join_sql("user")
        assert joined(connection, join, "f", "d") == expected, one.name
        assert joined(connection, checked_join(join, "user", on="test"), "f", "d") == expected, one.name
        override = one.override_sql("user")
        if override is not None:
            assert joined(connection, override, "f", "d") == expected, one.name
            assert joined(connection, join_of(override, "user", on="test"), "f", "d") == expected, one.name


@given(code=codes)
@settings(deadline=None)
def test_nothing_is_left_means_nothing_joins(code: str) -> None:
    for one in ALL:
        assert one.fact_key(code) != ""
        assert one.dim_key(code) != ""


def test_zeros_are_no_key() -> None:
    zeros = named("zeros")
    assert zeros.fact_key("000") is zeros.dim_key("0") is None
    assert zeros.fact_key("0101") == zeros.dim_key("101") == "101"


def test_known_spellings() -> None:
    assert named("marks").fact_key("0101 21 00") == named("marks").dim_key("0101.21.00") == "01012100"
    assert prefixed("V").fact_key("V01000") == "01000"
    assert prefixed("V").fact_key("01000") is None
    assert named("letters behind").fact_key("111AVA") == "111"


def test_sql_is_fit_for_readers() -> None:
    for one in ALL:
        texts = [one.join_sql("omrade"), one.override_sql("omrade") or ""]
        assert not any(mark in text for text in texts for mark in ("::", "%", ":", ";", "--"))
        assert named(one.name).join_sql("omrade") == texts[0]
    assert IDENTITY.join_sql("user") == 'f."user" = d.kode'
    assert IDENTITY.override_sql("user") is None


@pytest.mark.parametrize("name", ["", "none", "prefix", "prefix v", "prefix VVV", "prefix '", "prefix Å"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(InvalidLink):
        named(name)


def test_every_reserved_word_is_quoted(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
        words = [row[0] for row in cursor.fetchall()]
    assert len(words) > 90
    assert [word for word in words if quoted(word) == word] == []
    assert (quoted("omrade"), quoted("_1"), quoted('a"b'), quoted("Ø")) == ("omrade", "_1", '"a""b"', '"Ø"')


def test_names_are_unique() -> None:
    assert len({one.name for one in ALL}) == len(ALL)
    assert all(isinstance(one, Normalisation) and one.meaning for one in ALL)
