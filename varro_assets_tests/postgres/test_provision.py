"""Roles and databases: the embedded server's, and what a user's own server lets us make."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from pydantic import SecretStr

from varro_assets.engine.server import provision
from varro_assets.engine.server.provision import (
    DAGSTER,
    OWNER,
    READER,
    WAREHOUSE,
    grant_reader,
    provision_embedded,
    provision_external,
)
from varro_assets.engine.server.server import EmbeddedServer, Endpoint
from varro_assets.errors import DatabaseRefused, DatabaseUnavailable
from varro_assets_tests.postgres_fixture import PATIENCE, THROW_AWAY, administrator, when_left


def connect(url: SecretStr | str) -> Connection:
    text = url if isinstance(url, str) else url.get_secret_value()
    return psycopg2.connect(text.replace("+psycopg2", ""))


def run(url: SecretStr | str, *statements: str) -> list[tuple[object, ...]]:
    connection = connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


# -- the embedded server -------------------------------------------------------------------------------------


def test_the_owner_owns_and_is_no_superuser(postgres_server: Endpoint) -> None:
    warehouse = provision_embedded(postgres_server)
    for url, name in ((warehouse.url, WAREHOUSE), (warehouse.dagster_url, DAGSTER)):
        assert url.get_secret_value().startswith(f"postgresql+psycopg2://{OWNER}:")
        assert run(url, "SELECT current_database()::text, current_user::text") == [(name, OWNER)]
        run(url, "CREATE SCHEMA probe", "CREATE TABLE probe.t (n int)", "DROP SCHEMA probe CASCADE")
    assert run(
        warehouse.url, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    ) == [(False,)]
    assert warehouse.notes == ()


def test_the_reader_may_only_read(postgres_server: Endpoint) -> None:
    warehouse = provision_embedded(postgres_server)
    assert warehouse.reader_url is not None
    assert run(warehouse.reader_url, "SHOW default_transaction_read_only") == [("on",)]
    assert run(warehouse.reader_url, "SHOW statement_timeout") == [("5min",)]
    writable = "SET default_transaction_read_only = off"  # anybody may: it is a guard rail and not the fence
    for statement in ("CREATE SCHEMA mine", "CREATE TABLE public.mine (n int)", "CREATE TEMP TABLE mine (n int)"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(warehouse.reader_url, writable, statement)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        postgres_server.connect(DAGSTER, READER)


def test_secrets_are_wrapped(postgres_server: Endpoint) -> None:
    warehouse = provision_embedded(postgres_server)
    for role in (OWNER, READER):
        assert postgres_server.password(role).get_secret_value() not in repr(warehouse)


def test_the_second_time_is_one_query(postgres_server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    first = provision_embedded(postgres_server)

    def never(*_: object) -> None:
        raise AssertionError("provisioned again")

    monkeypatch.setattr("varro_assets.engine.server.provision._provision", never)
    assert provision_embedded(postgres_server) == first


def test_half_done_and_lost_pieces_are_made_good_by_several_at_once(reachable_folder) -> None:
    with EmbeddedServer(reachable_folder / "postgres", settings=THROW_AWAY).running() as endpoint:
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(provision_embedded, [endpoint] * 4))
        assert len(set(made)) == 1
        run(endpoint.url("postgres"), f"DROP DATABASE {DAGSTER}", f"ALTER ROLE {OWNER} SUPERUSER")
        (endpoint.folder / f"password.{READER}").unlink()
        warehouse = provision_embedded(endpoint)
        assert run(warehouse.dagster_url, "SELECT 1") == [(1,)]
        assert run(warehouse.url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(False,)]
        assert warehouse.reader_url != made[0].reader_url
        assert warehouse.reader_url is not None
        assert run(warehouse.reader_url, "SELECT 1") == [(1,)]


def test_a_server_that_went_away(postgres_server: Endpoint) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        gone = Endpoint(unused.getsockname()[1], postgres_server.folder)
        with pytest.raises(DatabaseUnavailable, match="refused"):
            provision_embedded(gone)


# -- the user's own server -----------------------------------------------------------------------------------


class Own:
    """A user's own server: a role with a given set of rights and its database, on the test server."""

    def __init__(self, endpoint: Endpoint, rights: str) -> None:
        self.endpoint, self.name = endpoint, f"own_{secrets.token_hex(4)}"
        self.password = "p@ss/w#rd:%" + secrets.token_hex(8)
        self.admin("CREATE ROLE {} LOGIN PASSWORD {} " + rights, sql.Identifier(self.name), sql.Literal(self.password))
        self.admin("CREATE DATABASE {0} OWNER {0}", sql.Identifier(self.name))

    def admin(self, statement: str, *parts: sql.Composable) -> None:
        run(self.endpoint.url("postgres"), sql.SQL(statement).format(*parts))

    def url(self, database: str | None = None, password: str | None = None) -> SecretStr:
        made = self.endpoint.url(database or self.name).get_secret_value()
        secret = (password or self.password).replace("%", "%25").replace("@", "%40").replace("/", "%2F")
        secret = secret.replace("#", "%23").replace(":", "%3A")
        return SecretStr(f"postgresql+psycopg2://{self.name}:{secret}@{made.rpartition('@')[2]}")

    def drop(self) -> None:
        for database in (f"{self.name}_dagster", self.name):
            with closing(administrator(self.endpoint)) as connection, connection.cursor() as cursor:
                when_left(cursor, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
        self.admin("DROP ROLE {}", sql.Identifier(self.name))


@pytest.fixture
def own(postgres_server: Endpoint, request: pytest.FixtureRequest) -> Iterator[Own]:
    made = Own(postgres_server, getattr(request, "param", "CREATEDB"))
    yield made
    made.drop()


@pytest.fixture
def without_reader(postgres_server: Endpoint) -> Iterator[None]:
    """The role is the server's and not the database's, so it is put away under another name for a while."""
    admin = postgres_server.url("postgres")
    run(admin, f"ALTER ROLE {READER} RENAME TO put_away")
    yield
    run(admin, f"DROP ROLE IF EXISTS {READER}", f"ALTER ROLE put_away RENAME TO {READER}")


def test_dagsters_database_is_made_beside_the_warehouse(own: Own) -> None:
    for _ in range(2):
        warehouse = provision_external(own.url())
        assert warehouse.url == own.url()
        assert run(warehouse.dagster_url, "SELECT current_database()::text") == [(f"{own.name}_dagster",)]
    assert warehouse.reader_url is None
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        own.endpoint.connect(f"{own.name}_dagster", READER)


class Killed(BaseException):
    """Stands for a kill: no `except` of ours may meet it."""


def _killed_before(statement: str, own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provision, and be killed before the statement that begins so."""

    def text(words: str) -> sql.SQL:
        if words.startswith(statement):
            raise Killed
        return sql.SQL(words)

    with monkeypatch.context() as patched:
        known = {name: getattr(sql, name) for name in ("Identifier", "Literal")}
        patched.setattr(provision, "sql", SimpleNamespace(**known, SQL=text))
        with pytest.raises(Killed):
            provision_external(own.url())


def test_a_kill_before_dagsters_database_is_closed_is_made_good(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    _killed_before("REVOKE ALL ON DATABASE", own, monkeypatch)
    own.endpoint.connect(f"{own.name}_dagster", READER).close()
    provision_external(own.url())
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        own.endpoint.connect(f"{own.name}_dagster", READER)


def test_whom_people_let_into_dagsters_database_may_stay(own: Own) -> None:
    provision_external(own.url())
    run(own.url(), f'GRANT CONNECT ON DATABASE "{own.name}_dagster" TO {READER}')
    provision_external(own.url())
    own.endpoint.connect(f"{own.name}_dagster", READER).close()


@pytest.mark.parametrize("statement", ["ALTER ROLE {} SET", "GRANT {} TO CURRENT_USER"])
@pytest.mark.parametrize("own", ["CREATEDB CREATEROLE"], indirect=True)
def test_a_kill_while_the_readers_role_is_made_leaves_none(
    own: Own, without_reader: None, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _killed_before(statement, own, monkeypatch)
    assert run(own.url(), f"SELECT 1 FROM pg_roles WHERE rolname = '{READER}'") == []
    provision_external(own.url())
    made = "SELECT cardinality(rolconfig), pg_has_role(oid, 'SET') FROM pg_roles WHERE rolname"
    assert run(own.url(), f"{made} = '{READER}'") == [(3, True)]
    run(own.url(), f"DROP ROLE {READER}")


@pytest.mark.parametrize("own", ["NOCREATEDB"], indirect=True)
def test_without_the_right_to_create_databases(own: Own) -> None:
    with pytest.raises(DatabaseRefused) as caught:
        provision_external(own.url())
    assert f'CREATE DATABASE "{own.name}_dagster" OWNER "{own.name}";' in caught.value.todo
    assert "DAGSTER_DATABASE_URL" in caught.value.todo
    # each of the two pieces of advice works
    assert provision_external(own.url(), own.url()).dagster_url == own.url()
    run(own.endpoint.url("postgres"), caught.value.todo.split("run: ")[1].split(";")[0])
    provision_external(own.url())


@pytest.mark.parametrize("own", ["NOCREATEDB"], indirect=True)
def test_dagsters_database_must_take_tables(own: Own) -> None:
    own.admin("CREATE DATABASE {}", sql.Identifier(f"{own.name}_dagster"))
    with pytest.raises(DatabaseRefused, match=rf'GRANT CREATE ON SCHEMA public TO "{own.name}"'):
        provision_external(own.url())


@pytest.mark.parametrize("own", ["NOCREATEDB"], indirect=True)
def test_the_warehouse_must_take_schemas(own: Own) -> None:
    own.admin("ALTER DATABASE {} OWNER TO postgres", sql.Identifier(own.name))
    with pytest.raises(DatabaseRefused, match=rf'GRANT CREATE ON DATABASE "{own.name}" TO "{own.name}"'):
        provision_external(own.url())


@pytest.mark.parametrize("own", ["CREATEDB CREATEROLE"], indirect=True)
def test_the_readers_role_is_made_where_allowed(own: Own, without_reader: None) -> None:
    notes = provision_external(own.url()).notes
    assert len(notes) == 1
    assert f"ALTER ROLE \"{READER}\" LOGIN PASSWORD '...';" in notes[0]
    assert run(own.url(), f"SELECT rolcanlogin, rolconfig[1] FROM pg_roles WHERE rolname = '{READER}'") == [
        (False, "default_transaction_read_only=on")
    ]
    run(own.url(), f"ALTER ROLE {READER} LOGIN PASSWORD 'chosen by the user'")
    assert provision_external(own.url()).notes == ()
    run(own.url(), f"DROP ROLE {READER}")


def test_the_readers_role_is_asked_for_where_not_allowed(own: Own, without_reader: None) -> None:
    warehouse = provision_external(own.url())
    assert warehouse.reader_url is None
    assert f"CREATE ROLE \"{READER}\" LOGIN PASSWORD '...';" in warehouse.notes[0]
    connection = connect(own.url())
    assert "no role varro_reader" in grant_reader(connection, ["public"])[0]
    connection.close()


def test_a_database_of_another_encoding(own: Own) -> None:
    own.admin("DROP DATABASE {}", sql.Identifier(own.name))
    own.admin(
        "CREATE DATABASE {0} OWNER {0} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0",
        sql.Identifier(own.name),
    )
    with pytest.raises(DatabaseRefused, match=r"LATIN1.*UTF8"):
        provision_external(own.url())


def test_a_wrong_password_is_refused_and_not_told(own: Own) -> None:
    with pytest.raises(DatabaseRefused, match=r"authentication failed.*DATABASE_URL") as caught:
        provision_external(own.url(password="w@rong-secret"))
    assert "rong-secret" not in repr(caught.value) + str(caught.value)
    with pytest.raises(DatabaseRefused, match="does not exist"):
        provision_external(own.url(database="nowhere"))


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql+psycopg2://me:top-secret@127.0.0.1:{unused.getsockname()[1]}/db"
        with pytest.raises(DatabaseUnavailable, match="refused") as caught:
            provision_external(SecretStr(url))
    assert "top-secret" not in repr(caught.value)


@pytest.mark.parametrize("password", ["top/secret", "top?secret", "top#secret", "top@secret", "1/top@secret"])
def test_an_address_that_cannot_be_read_is_not_repeated(password: str) -> None:
    with pytest.raises((DatabaseRefused, DatabaseUnavailable)) as caught:
        provision_external(SecretStr(f"postgresql+psycopg2://me:{password}@127.0.0.1:1/db"))
    assert "secret" not in repr(caught.value)
    assert "top" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


# -- what the reader may read --------------------------------------------------------------------------------


def test_the_reader_reads_what_is_there_and_what_comes(warehouse_url: str, reader_url: str) -> None:
    run(warehouse_url, 'CREATE SCHEMA "fact"', 'CREATE SCHEMA "od d"', "CREATE SCHEMA meta")
    run(warehouse_url, "CREATE TABLE fact.old AS SELECT 1 AS n", "CREATE TABLE meta.hidden AS SELECT 1 AS n")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(reader_url, "SELECT n FROM fact.old")
    connection = connect(warehouse_url)
    try:
        assert grant_reader(connection, ["fact", "od d", "not there"]) == ()
        connection.commit()
        run(warehouse_url, 'CREATE VIEW "od d".v AS SELECT 3 AS n')
        # built beside the old one and swapped in
        run(
            warehouse_url,
            "CREATE TABLE fact.new AS SELECT 2 AS n",
            "DROP TABLE fact.old",
            "ALTER TABLE fact.new RENAME TO old",
        )
        assert run(reader_url, "SELECT n FROM fact.old") == [(2,)]
        assert run(reader_url, 'SELECT n FROM "od d".v') == [(3,)]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(reader_url, "SELECT n FROM meta.hidden")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(reader_url, "SET default_transaction_read_only = off", "DELETE FROM fact.old")
        # a second time writes nothing: the transaction is given no id
        assert grant_reader(connection, ["fact", "od d", "not there"]) == ()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id_if_assigned()")
            assert cursor.fetchone() == (None,)
    finally:
        connection.close()


def test_granting_is_part_of_the_callers_transaction(warehouse_url: str, reader_url: str) -> None:
    run(warehouse_url, "CREATE SCHEMA fact", "CREATE TABLE fact.t AS SELECT 1 AS n")
    connection = connect(warehouse_url)
    grant_reader(connection, ["fact"])
    connection.rollback()
    connection.close()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(reader_url, "SELECT n FROM fact.t")


def test_two_that_grant_at_once_wait_for_each_other(postgres_server: Endpoint, warehouse_url: str) -> None:
    run(warehouse_url, "CREATE SCHEMA fact", "CREATE TABLE fact.t (n int)")
    first, second = connect(warehouse_url), connect(warehouse_url)
    waiting = f"SELECT 1 FROM pg_locks WHERE NOT granted AND pid = {second.info.backend_pid}"
    try:
        assert grant_reader(first, ["fact"]) == ()
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(grant_reader, second, ["fact"])
            while not run(postgres_server.url("postgres"), waiting) and not late.done():
                time.sleep(0.02)
            first.commit()
            assert late.result(PATIENCE) == ()  # and not "tuple concurrently updated"
        second.commit()
    finally:
        first.close()
        second.close()


def test_a_closed_database_is_noted(warehouse_url: str, warehouse_database: str) -> None:
    run(warehouse_url, f'REVOKE CONNECT ON DATABASE "{warehouse_database}" FROM PUBLIC')
    connection = connect(warehouse_url)
    assert f'GRANT CONNECT ON DATABASE "{warehouse_database}"' in grant_reader(connection, [])[0]
    connection.close()
