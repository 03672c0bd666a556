"""Migrations: each once, in order, by one process at a time, and never one that is not ours."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from varro_assets.engine import migrations, postgres
from varro_assets.errors import DatabaseRefused
from varro_assets.warehouse import prepare
from varro_assets_tests.postgres_fixture import PATIENCE


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[postgres.Connection]:
    with contextlib.closing(postgres.connect(SecretStr(warehouse_url), "test")) as opened:
        yield opened


def _rows(connection: postgres.Connection, statement: str) -> list[tuple[object, ...]]:
    with postgres.transaction(connection, "test") as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


VERSIONS = [version for version, _sql in migrations.scripts()]


def test_a_fresh_database_gets_all_of_them_and_the_next_time_none(connection: postgres.Connection) -> None:
    assert sorted(VERSIONS) == VERSIONS
    assert migrations.migrate(connection) == VERSIONS
    assert _rows(connection, "SELECT version FROM meta.schema_migration ORDER BY 1") == [(name,) for name in VERSIONS]
    assert migrations.migrate(connection) == []


def test_two_processes_may_start_at_once(warehouse_url: str) -> None:
    barrier = threading.Barrier(4, timeout=PATIENCE)
    applied, errors = [], []

    def start() -> None:
        try:
            with contextlib.closing(postgres.connect(SecretStr(warehouse_url), "test")) as own:
                barrier.wait()
                applied.append(migrations.migrate(own))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails by it
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert errors == []
    assert sorted(applied) == [[], [], [], VERSIONS]


def test_a_new_one_is_applied_to_an_old_database(
    connection: postgres.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.migrate(connection)
    later = [*migrations.scripts(), ("0999_later", "CREATE TABLE meta.later (x int)")]
    monkeypatch.setattr(migrations, "scripts", lambda: later)
    assert migrations.migrate(connection) == ["0999_later"]
    assert _rows(connection, "SELECT to_regclass('meta.later') IS NOT NULL") == [(True,)]


def test_one_that_fails_leaves_the_database_as_it_was(
    connection: postgres.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.migrate(connection)
    broken = "CREATE TABLE meta.later (x int); SELECT 1/0"
    later = [*migrations.scripts(), ("0998_fine", "CREATE TABLE meta.fine (x int)"), ("0999_broken", broken)]
    monkeypatch.setattr(migrations, "scripts", lambda: later)
    with pytest.raises(DatabaseRefused):
        migrations.migrate(connection)
    assert _rows(connection, "SELECT to_regclass('meta.fine'), to_regclass('meta.later')") == [(None, None)]
    assert _rows(connection, "SELECT version FROM meta.schema_migration ORDER BY 1") == [(name,) for name in VERSIONS]


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        ("UPDATE meta.schema_migration SET checksum = 'edited'", "differs"),
        ("INSERT INTO meta.schema_migration VALUES ('9999_future', 'x')", "newer varro-assets"),
    ],
)
def test_an_edited_or_unknown_one_is_refused(connection: postgres.Connection, tamper: str, said: str) -> None:
    migrations.migrate(connection)
    _rows(connection, tamper)
    before = _rows(connection, "SELECT * FROM meta.schema_migration ORDER BY 1")
    with pytest.raises(DatabaseRefused) as caught:
        migrations.migrate(connection)
    assert said in str(caught.value)
    assert not caught.value.transient
    assert _rows(connection, "SELECT * FROM meta.schema_migration ORDER BY 1") == before


def test_a_schema_of_the_users_own_is_not_taken_over(connection: postgres.Connection) -> None:
    _rows(connection, "CREATE SCHEMA fact; CREATE TABLE fact.mine (x int)")
    with pytest.raises(DatabaseRefused) as caught:
        migrations.migrate(connection)
    assert "fact" in str(caught.value)
    assert _rows(connection, "SELECT to_regclass('meta.schema_migration'), count(*) FROM fact.mine") == [(None, 0)]


def test_preparing_twice_is_as_good_as_once(warehouse_url: str, reader_url: str) -> None:
    for _ in range(2):
        prepare(SecretStr(warehouse_url))
    with contextlib.closing(postgres.connect(SecretStr(reader_url), "test")) as reader:
        assert _rows(reader, "SELECT count(*) FROM meta.table_sync") == [(0,)]
