"""Fixtures that lend a real Postgres: a throw-away server per pytest process, a fresh database per test."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg2 import sql

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
    connection = postgres_server.connect()
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
            yield name
            cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
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
