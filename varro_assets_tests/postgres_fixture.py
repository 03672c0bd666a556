"""Fixtures that lend a real Postgres: a throw-away server per pytest process, a fresh database per test."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from varro_assets.engine.server.provision import OWNER, provision_embedded
from varro_assets.engine.server.server import EmbeddedServer, Endpoint

# Nothing here must survive a power cut, so nothing waits for the disk.
THROW_AWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
}

PATIENCE = 240.0
"""Seconds; a deadline of a test ends what is hopeless, and nothing that is merely slow."""
MEMORY = Path("/dev/shm")


def _plenty(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 4 << 30


@contextmanager
def reachable() -> Iterator[Path]:
    """A folder another account may enter: root's server runs as ``nobody``; pytest's own folders are 0700.

    In memory where there is plenty: a fresh database for each test is 300 files made and deleted, which on some file
    systems takes a quarter of the processor time of all tests.
    """
    folder = Path(tempfile.mkdtemp(prefix="varro-pg-", dir=MEMORY if _plenty(MEMORY) else None))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def administrator(server: Endpoint, database: str = "postgres") -> Connection:
    """The superuser's connection by autocommit; more patient than the program's own, which give up after seconds."""
    url = server.url(database).get_secret_value().replace("+psycopg2", "")
    connection = psycopg2.connect(url, connect_timeout=int(PATIENCE), sslmode="disable", gssencmode="disable")
    connection.autocommit = True
    return connection


def when_left(cursor: Cursor, statement: str | sql.Composable) -> None:
    """Copy or drop a database: the server itself waits only five seconds for those who are in it to be gone."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return cursor.execute(statement)
        except psycopg2.errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """The same for one test: give `EmbeddedServer` a folder below it, never one below ``tmp_path``."""
    with reachable() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Endpoint]:
    """A running, provisioned embedded server; stopped when the session ends."""
    with reachable() as folder, EmbeddedServer(folder / "postgres", settings=THROW_AWAY).running() as endpoint:
        provision_embedded(endpoint)
        yield endpoint


@pytest.fixture
def warehouse_database(postgres_server: Endpoint) -> Iterator[str]:
    """A fresh database owned by the warehouse's role, dropped after the test whoever still uses it."""
    name = f"test_{secrets.token_hex(6)}"
    connection = administrator(postgres_server)
    try:
        with connection.cursor() as cursor:
            create = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER))
            when_left(cursor, create)
            yield name
            when_left(cursor, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    finally:
        connection.close()


@pytest.fixture
def warehouse_url(postgres_server: Endpoint, warehouse_database: str) -> str:
    """SQLAlchemy's address of the fresh database, as the role that owns it (not a superuser)."""
    return postgres_server.url(warehouse_database, OWNER).get_secret_value()


@pytest.fixture
def reader_url(postgres_server: Endpoint, warehouse_database: str) -> str:
    """The same database as the analyst's read-only role."""
    return postgres_server.url(warehouse_database, "varro_reader").get_secret_value()
