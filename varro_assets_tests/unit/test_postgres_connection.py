"""The way to Postgres: what its failures are called, that a transaction is one, and that no password is told."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import psycopg2
import psycopg2.errors
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import DatabaseRefused, DatabaseUnavailable, StorageFull, VarroError

PASSWORD = "hemmelig42"


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[Connection]:
    with contextlib.closing(postgres.connect(SecretStr(warehouse_url), "test")) as opened:
        yield opened


def refused(url: str, kind: type[VarroError]) -> str:
    with pytest.raises(kind) as caught:
        postgres.connect(SecretStr(url), "test")
    told = f"{caught.value} {caught.value!r}"
    assert PASSWORD not in told
    assert "DATABASE_URL" in told
    return told


def shown(connection: Connection, setting: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", (setting,))
        row = cursor.fetchone()
    assert row is not None
    return str(row[0])


def test_a_connection_says_what_it_is_for(connection: Connection) -> None:
    assert shown(connection, "application_name").startswith("varro test pid ")


def test_a_purpose_of_any_length(warehouse_url: str) -> None:
    with contextlib.closing(postgres.connect(SecretStr(warehouse_url), "æ" * 100)) as opened:
        assert shown(opened, "application_name").startswith("varro ")


@pytest.mark.parametrize(
    ("query", "setting", "value"),
    [
        ("application_name=mine", "application_name", "mine"),
        ("connect_timeout=3&application_name=other", "application_name", "other"),
        ("options=-c%20statement_timeout%3D7s", "statement_timeout", "7s"),
        ("keepalives_idle=5&sslmode=prefer", "server_encoding", "UTF8"),
    ],
)
def test_what_the_url_asks_for_goes_first(warehouse_url: str, query: str, setting: str, value: str) -> None:
    mark = "&" if "?" in warehouse_url else "?"
    with contextlib.closing(postgres.connect(SecretStr(f"{warehouse_url}{mark}{query}"), "test")) as opened:
        assert shown(opened, setting) == value


def test_an_option_nobody_knows(warehouse_url: str) -> None:
    mark = "&" if "?" in warehouse_url else "?"
    assert "pool_size" in refused(f"{warehouse_url}{mark}pool_size=5", DatabaseRefused)


def test_nobody_answers() -> None:
    # bound and not listening: it refuses, and nobody else can get the port meanwhile
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        told = refused(f"postgresql+psycopg2://u:{PASSWORD}@127.0.0.1:{port}/warehouse", DatabaseUnavailable)
    assert f"warehouse on 127.0.0.1:{port}" in told


def test_a_host_that_does_not_exist() -> None:
    refused(f"postgresql+psycopg2://u:{PASSWORD}@no-such-host.invalid/warehouse", DatabaseUnavailable)


def test_no_such_database_role_or_password(warehouse_url: str) -> None:
    url = make_url(warehouse_url)
    for changed in (
        url.set(database="nowhere"),
        url.set(username="nobody_at_all", password=PASSWORD),
        url.set(password=PASSWORD),
    ):
        told = refused(changed.render_as_string(hide_password=False), DatabaseRefused)
        assert str(url.host) in told or "local socket" in told or str(url.query.get("host")) in told


def test_a_transaction_is_kept_at_its_end(connection: Connection) -> None:
    with postgres.transaction(connection, "make", on="t") as cursor:
        cursor.execute("CREATE TABLE t (a int)")
        cursor.execute("INSERT INTO t VALUES (1)")
    assert connection.status == psycopg2.extensions.STATUS_READY
    connection.rollback()
    with postgres.transaction(connection, "count", on="t") as cursor:
        cursor.execute("SELECT count(*) FROM t")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt(), SystemExit(3)])
def test_any_exception_undoes_it_and_passes_as_it_is(connection: Connection, error: BaseException) -> None:
    def fail() -> None:
        with postgres.transaction(connection, "make", on="t") as cursor:
            cursor.execute("CREATE TABLE t (a int)")
            raise error

    with pytest.raises(type(error)):
        fail()
    with postgres.transaction(connection, "look") as cursor:
        cursor.execute("SELECT to_regclass('t')")
        assert cursor.fetchone() == (None,)


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("SELECT * FROM nowhere", DatabaseRefused, "nowhere"),
        ("SELECT 1/0", DatabaseRefused, "division by zero"),
        ("CREATE DATABASE other", DatabaseRefused, "CREATE DATABASE"),
        ("SET LOCAL ROLE postgres_or_so", DatabaseRefused, "postgres_or_so"),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)", DatabaseUnavailable, "timeout"),
    ],
)
def test_what_the_server_refuses_gets_its_name(
    connection: Connection, statement: str, kind: type[VarroError], words: str
) -> None:
    with pytest.raises(kind) as caught, postgres.transaction(connection, "try something on", on="it") as cursor:
        cursor.execute(statement)
    assert str(caught.value).startswith("Could not try something on it: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    # and the connection can be used again
    with postgres.transaction(connection, "go on") as cursor:
        cursor.execute("SELECT 1")


def test_a_server_that_goes_away_in_the_middle(connection: Connection, warehouse_url: str) -> None:
    def work() -> None:
        with postgres.transaction(connection, "work") as cursor:
            cursor.execute("SELECT 1")
            with (
                contextlib.closing(postgres.connect(SecretStr(warehouse_url), "killer")) as killer,
                postgres.transaction(killer, "kill") as other,
            ):
                other.execute("SELECT pg_terminate_backend(%s, 120000)", (connection.get_backend_pid(),))
            cursor.execute("SELECT 2")

    with pytest.raises(DatabaseUnavailable, match="same command again"):
        work()
    with pytest.raises(DatabaseUnavailable), postgres.transaction(connection, "go on") as cursor:
        cursor.execute("SELECT 3")


def test_a_full_disk_of_the_server_is_a_full_disk() -> None:
    with pytest.raises(StorageFull, match="database server") as caught, postgres.named_errors("write", on="fact.x"):
        raise psycopg2.errors.DiskFull('could not extend file "base/1/2": No space left on device')
    assert not caught.value.transient


def test_our_own_errors_pass() -> None:
    mine = DatabaseRefused("do", on="it")
    with pytest.raises(DatabaseRefused) as caught, postgres.named_errors("write"):
        raise mine
    assert caught.value is mine
