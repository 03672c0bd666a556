"""Homes that are filled once in a pytest process and copied for every test: folder and database, both whole."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from psycopg2 import sql

from varro_assets.engine.server.provision import OWNER
from varro_assets.engine.server.server import Endpoint
from varro_assets_tests.postgres_fixture import administrator, when_left

_COPY = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
_DROP = sql.SQL("DROP DATABASE {} WITH (FORCE)")
# what a connection pool still holds open would keep the database from being copied
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


@dataclass
class ReadyHomes:
    """Copies of homes by name."""

    server: Endpoint
    folder: Path
    _made: dict[str, str] = field(default_factory=dict)

    def bring(self, name: str, home: Path, database: str, fill: Callable[[], object]) -> None:
        """Make home and database as ``fill`` leaves them; it is called for the first test that asks."""
        if name not in self._made:
            fill()
            copy = f"ready_{secrets.token_hex(6)}"
            shutil.copytree(home, self.folder / name, symlinks=True)
            self._do(_COPY.format(*map(sql.Identifier, (copy, OWNER, database))), left=database)
            self._made[name] = copy
            return
        shutil.copytree(self.folder / name, home, symlinks=True, dirs_exist_ok=True)
        copied = _COPY.format(*map(sql.Identifier, (database, OWNER, self._made[name])))
        self._do(_DROP.format(sql.Identifier(database)), copied)

    def clear(self) -> None:
        """Drop the copies."""
        self._do(*(_DROP.format(sql.Identifier(copy)) for copy in self._made.values()))

    def _do(self, *statements: sql.Composable, left: str = "") -> None:
        with closing(administrator(self.server)) as connection, connection.cursor() as cursor:
            cursor.execute(_END, (left,))
            for statement in statements:
                when_left(cursor, statement)


@pytest.fixture(scope="session")
def ready_homes(postgres_server: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadyHomes]:
    """The copies of this process."""
    homes = ReadyHomes(postgres_server, tmp_path_factory.mktemp("ready"))
    yield homes
    homes.clear()
