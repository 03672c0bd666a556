"""A role as on a user's own server: it owns what there is and may become the reader."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

from psycopg2 import sql

from varro_assets.engine.server.provision import OWNER, READER
from varro_assets.engine.server.server import Endpoint
from varro_assets_tests.postgres_fixture import administrator


@contextlib.contextmanager
def owner_as_reader(server: Endpoint, database: str) -> Iterator[str]:
    """The database's address as that role; it is gone afterwards."""
    name, password = f"both_{secrets.token_hex(4)}", secrets.token_hex(16)
    role = sql.Identifier(name)
    with contextlib.closing(administrator(server, database)) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(role), (password,))
        granted = sql.SQL(", ").join(map(sql.Identifier, (OWNER, READER)))
        cursor.execute(sql.SQL("GRANT {} TO {}").format(granted, role))
        yield f"postgresql+psycopg2://{name}:{password}@127.0.0.1:{server.port}/{database}"
        cursor.execute(sql.SQL("DROP OWNED BY {}").format(role))
        cursor.execute(sql.SQL("DROP ROLE {}").format(role))
