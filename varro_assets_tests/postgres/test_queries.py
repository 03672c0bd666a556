"""`varro sql` against a real server: what it answers, and that nothing comes through but reading."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
import time
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from varro_assets.context.asking import queries, query_rules
from varro_assets.context.asking.queries import LONGEST_CELL, Result
from varro_assets.engine import postgres
from varro_assets.engine.server.server import Endpoint
from varro_assets.errors import DatabaseRefused, QueryFailed, QueryRefused, QueryStopped, VarroError
from varro_assets.warehouse import READABLE_SCHEMAS, prepare
from varro_assets_tests.postgres_fixture import PATIENCE
from varro_assets_tests.reading_role import owner_as_reader

SETUP = """
CREATE TABLE fact.folk1a (omrade text, tid date, indhold double precision);
INSERT INTO fact.folk1a SELECT CAST(o AS text), date '2024-01-01' + 90 * t, o * t
  FROM generate_series(1, 50) o, generate_series(0, 9) t;
CREATE TABLE dim.nuts (kode text, niveau integer, titel text, parent_kode text, parent_niveau integer);
INSERT INTO dim.nuts VALUES ('1', 1, 'Ærø', NULL, NULL), ('2', 2, '', '1', 1);
CREATE SCHEMA secret;
CREATE TABLE secret.things AS SELECT 'hidden' AS word;
GRANT USAGE ON SCHEMA secret TO varro_reader;
GRANT SELECT ON secret.things TO varro_reader;
CREATE TABLE public.things AS SELECT 'public' AS word;
GRANT SELECT ON public.things TO varro_reader;
CREATE FUNCTION fact.wipe() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
    AS 'BEGIN DELETE FROM fact.folk1a; RETURN 1; END';
CREATE FUNCTION public.lower(integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
    AS 'BEGIN DELETE FROM fact.folk1a; RETURN 1; END';
"""
CONTENT = "SELECT count(*), sum(indhold) FROM fact.folk1a"


class House:
    """A warehouse with something in it, and the reader's way in."""

    def __init__(self, owner: str, reader: str) -> None:
        self.owner, self.reader = SecretStr(owner), SecretStr(reader)

    def run(self, query: str, *, seconds: float = PATIENCE, rows: int = 100) -> Result:
        return queries.run(self.reader, query, seconds=seconds, rows=rows)

    def running(self) -> bool:
        """Whether the server works on a query of ours; only its own role sees that."""
        busy = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'varro sql%' AND state = 'active'"
        )
        return self.execute(busy, self.reader) != [(0,)]

    def execute(self, statement: str, role: SecretStr | None = None) -> list[tuple[Any, ...]]:
        url = make_url((role or self.owner).get_secret_value()).set(drivername="postgresql")
        opened = contextlib.closing(psycopg2.connect(url.render_as_string(hide_password=False)))
        with opened as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def unharmed(self) -> None:
        """All is as it was, nothing of ours still runs, and the next query is answered."""
        assert self.execute(CONTENT) == [(500, 57375.0)]
        assert self.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(1,)]
        assert self.run(CONTENT).rows == ((500, 57375.0),)
        deadline = time.monotonic() + PATIENCE
        while self.running():
            assert time.monotonic() < deadline, "a query goes on"
            time.sleep(0.05)


@pytest.fixture
def house(warehouse_url: str, reader_url: str) -> House:
    prepare(SecretStr(warehouse_url))
    ready = House(warehouse_url, reader_url)
    ready.execute(SETUP)
    return ready


# -- answers -----------------------------------------------------------------------------------------------------------


def test_every_sort_of_value_comes_exactly(house: House) -> None:
    result = house.run(
        "SELECT 1 AS i, 2.50 AS n, CAST(0.1 AS double precision) AS f, true AS b, NULL AS z, '' AS e, 'Ærø' AS t,"
        " DATE '2024-01-31' AS d, CAST('infinity' AS date) AS forever, INTERVAL '1 month 2 days' AS v,"
        " int4range(1840, 1850) AS r, ARRAY['a', NULL, 'b c'] AS a, CAST('{\"x\": 1}' AS jsonb) AS j, 1 AS i,"
        " CAST('NaN' AS double precision) AS nan, ROW(1, 'x') AS pair, 9007199254740993 AS big"
    )  # fmt: skip
    assert result.columns == ("i", "n", "f", "b", "z", "e", "t", "d", "forever", "v", "r", "a", "j", "i", "nan", "pair",
                              "big")  # fmt: skip
    (row,) = result.rows
    assert row[:14] == (1, Decimal("2.50"), 0.1, True, None, "", "Ærø", "2024-01-31", "infinity", "1 mon 2 days",
                        "[1840,1850)", '{a,NULL,"b c"}', '{"x": 1}', 1)  # fmt: skip
    assert isinstance(row[14], float)
    assert row[14] != row[14]
    assert row[15:] == ("(1,x)", 9007199254740993)
    assert (result.truncated, result.cut) == (False, 0)


def test_order_joins_ctes_and_marks_of_other_languages(house: House) -> None:
    result = house.run(
        "-- the newest; not the oldest\nWITH newest(tid) AS (SELECT max(tid) FROM fact.folk1a)\n"
        "SELECT d.titel, sum(f.indhold) /* all ' /* of */ ; them */ FROM fact.folk1a f JOIN newest USING (tid)"
        " JOIN dim.nuts d ON f.omrade = d.kode WHERE d.titel NOT LIKE '%(name)s :x %s \\d'"
        " GROUP BY 1 ORDER BY 2 DESC;\n"
    )
    assert result.rows == (("", 18.0), ("Ærø", 9.0))


def test_rows_are_limited_and_it_says_so(house: House) -> None:
    query = "SELECT n FROM generate_series(1, 1500) AS s(n) ORDER BY n DESC"
    result = house.run(query, rows=1200)
    assert [row[0] for row in result.rows] == list(range(1500, 300, -1))
    assert result.truncated
    exact = house.run(query, rows=1500)
    assert (len(exact.rows), exact.truncated) == (1500, False)
    none = house.run(query, rows=0)
    assert (none.rows, none.truncated) == ((), True)
    nothing = house.run("SELECT * FROM fact.folk1a WHERE omrade = 'x'")
    assert (nothing.columns, nothing.rows, nothing.truncated) == (("omrade", "tid", "indhold"), (), False)


def test_long_cells_are_cut_by_the_server(house: House) -> None:
    result = house.run("SELECT repeat('å', 20000000) AS long, repeat('b', 10000) AS fits")
    (row,) = result.rows
    assert row == ("å" * LONGEST_CELL + "…", "b" * 10000)
    assert result.cut == 1


def test_a_large_result_ends_early(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "LARGEST_RESULT", 50_000)
    result = house.run("SELECT repeat('x', 9000) FROM generate_series(1, 100000)", rows=100_000)
    assert result.truncated
    assert 6 <= len(result.rows) <= 1000


def test_an_endless_result_is_no_problem_with_a_limit(house: House) -> None:
    endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    assert house.run(endless, rows=3).rows == ((1,), (2,), (3,))


@pytest.mark.parametrize(
    ("query", "phrases"),
    [
        ("SELECT omrade,\n  kno FROM fact.folk1a", ["line 2, column 3", 'column "kno" does not exist']),
        ("SELECT omrad FROM fact.folk1a", ["line 1, column 8", "omrade"]),
        ("SELECT * FROM fact.folk9", ["line 1, column 15", "does not exist"]),
        ("SELECT 1 / 0", ["division by zero"]),
        ("SELECT CAST('x' AS integer)", ["invalid input syntax"]),
        ("SELECT * FROM build.x, fact.folk1a", ["build"]),
        ("SELECT repeat('x', 2000000000)", ["requested length too large"]),
        ("SELECT FROM fact.folk1a", ["no columns"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(house: House, query: str, phrases: list[str]) -> None:
    with pytest.raises((QueryFailed, QueryRefused)) as caught:
        house.run(query)
    for phrase in phrases:
        assert phrase in str(caught.value)


# -- attacks -----------------------------------------------------------------------------------------------------------

WRITES = [
    "DELETE FROM fact.folk1a",
    "INSERT INTO fact.folk1a SELECT * FROM fact.folk1a",
    "UPDATE fact.folk1a SET indhold = 0",
    "TRUNCATE fact.folk1a",
    "DROP TABLE fact.folk1a",
    "CREATE TABLE public.mine (x int)",
    "CREATE TEMP TABLE mine AS SELECT 1",
    "SELECT * INTO public.mine FROM fact.folk1a",
    "SELECT * INTO TEMP mine FROM fact.folk1a",
    "MERGE INTO fact.folk1a f USING dim.nuts d ON f.omrade = d.kode WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM fact.folk1a RETURNING *) SELECT * FROM gone",
    "SELECT * FROM (WITH gone AS (DELETE FROM fact.folk1a RETURNING *) SELECT * FROM gone) x",
    "SELECT * FROM fact.folk1a FOR UPDATE",
    "SELECT * FROM (SELECT * FROM fact.folk1a FOR SHARE) x",
    "EXPLAIN ANALYZE DELETE FROM fact.folk1a",
    "PREPARE p AS DELETE FROM fact.folk1a",
    "DECLARE c CURSOR FOR SELECT 1",
    "COPY fact.folk1a TO '/tmp/x'",
    "COPY fact.folk1a FROM PROGRAM 'true'",
    "DO $$ BEGIN DELETE FROM fact.folk1a; END $$",
    "DO 'BEGIN DELETE FROM fact.folk1a; END'",
    "CALL x()",
    "LOCK TABLE fact.folk1a",
    "VACUUM fact.folk1a",
    "GRANT ALL ON fact.folk1a TO public",
    "SELECT fact.wipe()",
    "SELECT wipe()",
    'SELECT "fact"."wipe"()',
    "SELECT * FROM fact.wipe()",
    "SELECT public.lower(1)",
    "SELECT nextval('x')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "NOTIFY x",
    "SELECT pg_notify('a', 'b')",
]
SEVERAL = [
    "SELECT 1; DELETE FROM fact.folk1a",
    "SELECT 1 -- ;\n; DELETE FROM fact.folk1a",
    "SELECT 1 /* ; */ ; DELETE FROM fact.folk1a --",
    "SELECT 1 /* /* */ */ ; DELETE FROM fact.folk1a; -- */",
    "SELECT ';' ; DELETE FROM fact.folk1a",
    "SELECT '\\' ; DELETE FROM fact.folk1a; --'",
    "SELECT E'\\'' ; DELETE FROM fact.folk1a; --'",
    "SELECT e'\\'; SELECT 1 --', '; DELETE FROM fact.folk1a --'",
    "SELECT U&'\\0027' ; DELETE FROM fact.folk1a",
    "SELECT U&'!'' UESCAPE '!' ; DELETE FROM fact.folk1a; --'",
    "SELECT $$;$$ ; DELETE FROM fact.folk1a",
    "SELECT $a$ $b$; DELETE FROM fact.folk1a; $a$",
    "SELECT 1) AS q(c0) LIMIT 1; DELETE FROM fact.folk1a; --",
    "SELECT 1 FROM (SELECT 1) x) AS q LIMIT 0; COMMIT; DELETE FROM fact.folk1a --",
    "COMMIT; DELETE FROM fact.folk1a",
    "SELECT 1\x00; DELETE FROM fact.folk1a",
    "SELECT 1 \u2028; DELETE FROM fact.folk1a",
    "SELECT 1\uff1b DELETE FROM fact.folk1a",
    "SELECT '\ud800'",
]
TIME = [
    "SELECT pg_sleep(60)",
    "SELECT pg_catalog.pg_sleep(60)",
    'SELECT "pg_sleep"(60)',
    'SELECT U&"pg\\005fsleep"(60)',
    "SELECT pg_sleep_for('1 minute')",
    "SELECT PG_SLEEP /* x */ (60)",
    "WITH pg_sleep(x) AS (SELECT 1) SELECT pg_sleep(60) FROM pg_sleep",
    "SET statement_timeout = 0",
    "SET LOCAL statement_timeout = 0; SELECT 1",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT set_config('role', 'none', false)",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
]
ELSEWHERE = [
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT * FROM pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM dblink('x', 'y') AS t(a int)",
    "SELECT query_to_xml('DELETE FROM fact.folk1a', true, true, '')",
    "SELECT table_to_xml('secret.things', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT ts_stat('SELECT word FROM secret.things')",
    "SELECT current_setting('data_directory')",
    "SELECT pg_stat_file('x')",
    "SELECT * FROM secret.things",
    'SELECT * FROM "secret".things',
    "SELECT * FROM public.things",
    "SELECT * FROM things",
    "SELECT (SELECT word FROM secret.things)",
    "SELECT 1 FROM fact.folk1a WHERE EXISTS (SELECT FROM secret.things)",
    "WITH x AS (TABLE secret.things) SELECT * FROM x",
    "TABLE secret.things",
    "SELECT * FROM fact.folk1a UNION ALL SELECT word, NULL, NULL FROM secret.things",
    "SELECT * FROM fact.folk1a, LATERAL (SELECT * FROM secret.things) x",
    "SELECT * FROM postgres.pg_catalog.pg_authid",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_catalog.pg_roles",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM (WITH pg_authid AS (SELECT 1) SELECT * FROM pg_authid) x, pg_authid",
    "SELECT * FROM build.things",
    "SELECT * FROM dagster.runs",
    'SELECT * FROM "FACT".folk1a',
]


@pytest.mark.parametrize("attack", [*WRITES, *SEVERAL, *TIME, *ELSEWHERE])
def test_an_attack_is_refused_before_anything_is_sent(attack: str) -> None:
    with pytest.raises(QueryRefused):
        queries.run(SecretStr("postgresql+psycopg2://nobody@127.0.0.1:1/nothing"), attack, seconds=5, rows=10)


@pytest.mark.slow
def test_an_attack_that_the_rules_let_through_does_no_harm_either(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server, role, transaction and clock by themselves: as if the rules had a hole for everything."""
    monkeypatch.setattr(query_rules, "judged", lambda query: query)
    survivors = []
    for attack in [*WRITES, *SEVERAL, *(attack for attack in TIME if "60" not in attack)]:
        try:
            house.run(attack, seconds=3)
        except (VarroError, UnicodeEncodeError, ValueError):
            continue
        survivors.append(attack)
    # what gets through is harmless at the end of a transaction, or one statement by the server's own reading
    assert {name for name in survivors if "advisory" not in name and "backend" not in name} <= {
        "SELECT pg_notify('a', 'b')",
        "SELECT set_config('statement_timeout', '0', false)",
        "SELECT set_config('role', 'none', false)",
        "SELECT e'\\'; SELECT 1 --', '; DELETE FROM fact.folk1a --'",
        "SELECT $a$ $b$; DELETE FROM fact.folk1a; $a$",
    }
    house.unharmed()


# -- time --------------------------------------------------------------------------------------------------------------

ENDLESS = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.parametrize(
    "query",
    [ENDLESS, "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b"],
)
def test_what_never_ends_is_stopped(house: House, query: str) -> None:
    with pytest.raises(QueryStopped, match=r"still running after 0\.5 seconds"):
        house.run(query, seconds=0.5)
    house.unharmed()


def test_its_time_cannot_be_raised_from_within(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_rules, "judged", lambda query: query)
    query = f"SELECT set_config('statement_timeout', '0', true), x.* FROM ({ENDLESS}) x"
    sleeping = "SELECT set_config('statement_timeout', '0', true), pg_sleep(60)"
    for attack in (query, sleeping):
        with pytest.raises(QueryStopped):
            house.run(attack, seconds=0.5)
    house.unharmed()


class Deaf:
    """A connection whose cancellations nobody hears."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def cancel(self) -> None:
        """Heard by nobody."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("deaf", [False, True])
def test_the_clock_on_this_side_needs_no_help_from_the_server(
    house: House, monkeypatch: pytest.MonkeyPatch, deaf: bool
) -> None:
    # a server that is merely slow to obey is no deaf one
    monkeypatch.setattr(queries, "_PATIENCE", 0.5 if deaf else PATIENCE)
    heard: list[str] = []

    def sleep() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = 0; SELECT pg_sleep({PATIENCE})")
        except psycopg2.Error as error:
            heard.append(error.pgcode or "line cut")

    with contextlib.closing(postgres.connect(house.reader, "sql")) as connection:
        asleep = connection.info.backend_pid
        with pytest.raises(QueryStopped):
            queries._watched(Deaf(connection) if deaf else connection, 0.3, sleep)  # type: ignore[arg-type]
    assert heard == ["line cut" if deaf else "57014"]
    if deaf:  # of the line that was cut the server learns when it has slept
        house.execute(f"SELECT pg_terminate_backend({asleep})", house.reader)
    house.unharmed()


def test_ctrl_c_ends_the_query_on_the_server(house: House) -> None:
    def press() -> None:
        # before the query has had its time, or there is nothing to interrupt
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            if house.running():
                _thread.interrupt_main()
                return
            time.sleep(0.02)

    presser = threading.Thread(target=press)
    # a test run in the background ignores Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            house.run(ENDLESS, seconds=120)
        presser.join()
    finally:
        signal.signal(signal.SIGINT, before)
    house.unharmed()


# -- roles -------------------------------------------------------------------------------------------------------------


def test_an_owner_who_may_not_become_the_reader_is_refused(house: House) -> None:
    with pytest.raises(DatabaseRefused, match="GRANT varro_reader TO"):
        queries.run(house.owner, "SELECT 1", seconds=5, rows=5)


def test_an_owner_reads_as_the_reader(house: House, postgres_server: Endpoint, warehouse_database: str) -> None:
    house.execute("REVOKE ALL ON dim.nuts FROM varro_reader")
    with owner_as_reader(postgres_server, warehouse_database) as address:
        url = SecretStr(address)
        assert queries.run(url, "SELECT current_user", seconds=5, rows=5).rows == (("varro_reader",),)
        with pytest.raises(QueryFailed, match="permission denied"):
            queries.run(url, "SELECT * FROM dim.nuts", seconds=5, rows=5)


def test_what_may_be_read_is_what_the_reader_was_given() -> None:
    assert set(query_rules.SCHEMAS) == set(READABLE_SCHEMAS) - {"build"}
