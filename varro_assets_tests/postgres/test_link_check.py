"""Link checks on a real database: what joins, what does not, and what `meta` says of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from psycopg2 import sql
from pydantic import SecretStr

from varro_assets.dimensions.dim_table import DimTables
from varro_assets.dimensions.links import link_check
from varro_assets.dimensions.links.linking import propose
from varro_assets.dimensions.models import FactColumn, Link, MadeBy, MatchType, Unmatched
from varro_assets.engine.postgres import Connection, connect, transaction
from varro_assets.errors import DatabaseRefused, DatabaseUnavailable, InvalidLink
from varro_assets.warehouse import prepare
from varro_assets_tests.linking_examples import column, dimension, published

DIMENSIONS = published()
AREA = column("OMRÅDE", "område", {"000": "Hele landet"} | {m.kode: m.titel for m in DIMENSIONS["nuts"].at(1)})
USES = dimension(
    "byganv",
    "Bygningers anvendelse",
    [("1", 1, "Bolig"), ("110", 2, "Stuehus"), ("110", 3, "Stuehus"), ("120", 3, "Parcelhus"), ("01", 3, "Nul")],
)
USE = column("ANVEND", "anvendelse", {"110": "Stuehus", "120": "Parcelhus"})


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[Connection]:
    url = SecretStr(warehouse_url)
    prepare(url)
    with contextlib.closing(connect(url, "test")) as opened:
        DimTables(opened).load(DIMENSIONS["nuts"])
        DimTables(opened).load(USES)
        hold(opened, AREA, *[code.id for code in AREA.codes])
        yield opened


def hold(connection: Connection, one: FactColumn, *codes: str) -> None:
    """A fact table of these codes."""
    with transaction(connection, "make") as cursor:
        names = [sql.Identifier("fact", one.table.lower()), sql.Identifier(one.name)]
        cursor.execute(sql.SQL('CREATE TABLE {} ({} text COLLATE "C" NOT NULL)').format(*names))
        cursor.execute(sql.SQL("INSERT INTO {} SELECT unnest(%s)").format(names[0]), (list(codes) * 2,))


def declare(connection: Connection, one: FactColumn) -> None:
    """The rows of `meta` that a sync would write."""
    with transaction(connection, "declare") as cursor:
        cursor.execute(
            "INSERT INTO meta.fact_table (table_id, relation, title, description, unit, frequency, tid_type,"
            " first_period, last_period, updated, absent_value, source)"
            " VALUES (%s, %s, '', '', '', '', 'date', '', '', now(), 0, '')",
            (one.table, f"fact.{one.table.lower()}"),
        )
        cursor.execute(
            "INSERT INTO meta.fact_column (table_id, column_name, variable_id, position, role, sql_type, label,"
            " elimination) VALUES (%s, %s, %s, 1, 'dimension', 'text', %s, false)",
            (one.table, one.name, one.variable, one.label),
        )
        for position, code in enumerate(one.codes):
            cursor.execute(
                "INSERT INTO meta.code (table_id, column_name, code, text, position) VALUES (%s, %s, %s, %s, %s)",
                (one.table, one.name, code.id, code.text, position),
            )


def linked(one: FactColumn) -> Link:
    link = propose(one, [DIMENSIONS["nuts"], USES])
    assert link is not None
    return link


def test_a_link_that_holds(connection: Connection) -> None:
    declare(connection, AREA)
    finding = link_check.check(connection, linked(AREA), "fact.test1", "omrade")
    assert finding.holds
    assert finding.joined == tuple(code.id for code in AREA.codes[1:])
    assert finding.unmatched == (Unmatched("000", "Hele landet", total=True),)
    assert (finding.codes, dict(finding.levels), finding.coverage) == (6, {1: 5}, 1.0)
    assert (finding.doubled, finding.repeated) == ((), ())


def test_codes_nobody_listed_are_read_from_the_fact_table(connection: Connection) -> None:
    finding = link_check.check(connection, replace(linked(AREA), match_type=MatchType.APPROX), "test1", "omrade")
    assert finding.codes == 6
    # without labels nothing tells a total from a code that is missing, except that the link says so
    assert finding.unmatched == (Unmatched("000", "", total=True),)
    assert finding.holds


def test_a_new_code_breaks_an_exact_link(connection: Connection) -> None:
    stated = linked(AREA)
    declare(connection, replace(AREA, codes=(*AREA.codes, replace(AREA.codes[0], id="998", text="Uoplyst"))))
    finding = link_check.check(connection, stated, "test1", "omrade")
    assert not finding.holds
    assert "998" in finding.problems[0]
    loose = replace(stated, match_type=MatchType.APPROX)
    assert not link_check.check(connection, loose, "test1", "omrade").holds, "varro states each missing code"
    assert link_check.check(connection, replace(loose, made_by=MadeBy.HAND), "test1", "omrade").holds
    known = replace(loose, unmatched=(*loose.unmatched, Unmatched("998", "Uoplyst", total=False)))
    assert link_check.check(connection, known, "test1", "omrade").holds


def test_nothing_joins(connection: Connection) -> None:
    wrong = replace(linked(AREA), dimension="byganv", made_by=MadeBy.HAND, match_type=MatchType.APPROX)
    assert link_check.check(connection, wrong, "test1", "omrade").problems == ("no code joins",)


def test_codes_on_several_levels_and_on_one_twice(connection: Connection) -> None:
    one = replace(USE, table="TEST2")
    hold(connection, one, "110", "120")
    link = linked(one)
    finding = link_check.check(connection, link, "test2", "anvend")
    assert finding.holds
    assert (finding.repeated, finding.doubled, dict(finding.levels)) == (("110",), (), {2: 1, 3: 2})
    assert not link_check.check(connection, replace(link, repeated=()), "test2", "anvend").holds
    # every code joins 01, 110 and 120 of level 3
    doubling = replace(link, join="LEFT(f.anvend, 1) <> d.kode", made_by=MadeBy.HAND)
    finding = link_check.check(connection, doubling, "test2", "anvend")
    assert not finding.holds
    assert finding.doubled == ("110", "120")


def test_a_join_we_may_not_run(connection: Connection) -> None:
    for join in ("f.omrade = d.kode AND pg_sleep(9) IS NULL", "true", "f.omrade = d.kode; DROP TABLE dim.nuts"):
        with pytest.raises(InvalidLink):
            link_check.check(connection, replace(linked(AREA), join=join), "test1", "omrade")


def test_percent_is_no_parameter(connection: Connection) -> None:
    link = replace(linked(AREA), join="f.omrade = d.kode AND f.omrade LIKE '08%'")
    assert link_check.check(connection, link, "test1", "omrade").coverage == 1.0


def test_things_that_are_gone(connection: Connection) -> None:
    link = linked(AREA)
    with pytest.raises(DatabaseRefused, match="nosuch"):
        link_check.check(connection, replace(link, dimension="nosuch"), "test1", "omrade")
    with pytest.raises(DatabaseRefused):
        link_check.check(connection, link, "nosuch", "omrade")
    with pytest.raises(InvalidLink, match=r"f\.omrade"):
        link_check.check(connection, link, "test1", "other")
    cast = replace(link, join="CAST(f.omrade AS INT) > 0 AND CAST(d.kode || 'x' AS INT) = 1")
    with pytest.raises(DatabaseRefused, match="integer"):
        link_check.check(connection, cast, "test1", "omrade")
    assert link_check.check(connection, link, "test1", "omrade").joined, "the connection is good for more"


def test_a_check_that_takes_too_long(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_check, "_BEGIN", "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '1ms' -- %s")
    slow = "REPLACE(" * 9 + "f.omrade" + ", '0', '000000000000')" * 9 + " = d.kode"
    with pytest.raises(DatabaseUnavailable):
        link_check.check(connection, replace(linked(AREA), join=slow), "test1", "omrade")


def test_the_reader_may_check(connection: Connection, reader_url: str) -> None:
    declare(connection, AREA)
    with contextlib.closing(connect(SecretStr(reader_url), "test")) as reader:
        assert link_check.check(reader, linked(AREA), "fact.test1", "omrade").holds


def test_rows_are_replaced(connection: Connection) -> None:
    link = replace(linked(AREA), note="x")
    gone = replace(link, column="VÆK")
    for links in ([link, gone], [replace(link, made_by=MadeBy.HAND)]):
        with transaction(connection, "write") as cursor:
            link_check.write_rows(cursor, "TEST1", links, [AREA])
    with transaction(connection, "read") as cursor:
        cursor.execute(
            "SELECT column_name, variable_id, dimension, match_type, join_sql, levels, not_in_dimension, made_by"
            " FROM meta.dimension_link WHERE table_id = 'TEST1'"
        )
        rows = cursor.fetchall()
        link_check.write_rows(cursor, "TEST1", [], [AREA])
        cursor.execute("SELECT count(*) FROM meta.dimension_link")
        assert cursor.fetchone() == (0,)
    assert rows == [("omrade", "OMRÅDE", "nuts", "exact", "f.omrade = d.kode", [1], ["000"], "hand")]


def test_what_a_join_has_shown_is_stated_of_its_link(connection: Connection) -> None:
    use = replace(USE, table="USES1")
    hold(connection, use, "110", "120", "9")
    own = Link("ANVEND", "byganv", MatchType.APPROX, "f.anvend = d.kode", "anvend = kode", made_by=MadeBy.HAND)
    link = link_check.stated(link_check.check(connection, own, use.table.lower(), use.name), USES)
    assert (link.levels, link.level_coverage, link.repeated) == ((2, 3), {2: (1, 1), 3: (2, 3)}, ("110",))
    assert link.coverage == pytest.approx(2 / 3)
    assert [one.code for one in link.unmatched] == ["9"]
    assert (link.join_override, link.made_by) == ("anvend = kode", MadeBy.HAND)
