"""Warehouse: the Postgres databases, reached or started, provisioned and migrated.

What belongs here: the choice between the embedded server and the user's own, by the settings. How either is done is the
engine's (`server`, `provision`, `migrations`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pydantic import SecretStr

from varro_assets.engine import migrations, postgres
from varro_assets.engine.server.provision import READER, Warehouse, grant_reader, provision_embedded, provision_external
from varro_assets.engine.server.server import EmbeddedServer
from varro_assets.settings import Settings

READABLE_SCHEMAS = ("fact", "dim", "meta", "build")
"""What `varro_reader` may read; tables are built in ``build`` and keep the rights they get there when they move."""


@contextlib.contextmanager
def open_warehouse(settings: Settings) -> Iterator[Warehouse]:
    """The databases, ready for use, for as long as the block lasts.

    With ``DATABASE_URL`` set nothing of the embedded server is touched.

    Raises:
        EmbeddedServerError: the embedded server could not be started.
        DatabaseUnavailable, DatabaseRefused: the server cannot be reached or used as it must be.
    """
    if settings.database_url is not None:
        warehouse = provision_external(settings.database_url, settings.dagster_database_url)
        prepare(warehouse.url)
        yield warehouse
        return
    with EmbeddedServer(settings.postgres_dir).running() as endpoint:
        warehouse = provision_embedded(endpoint)
        prepare(warehouse.url)
        yield warehouse


def prepare(url: SecretStr) -> None:
    """Bring the schema up to date and let the reader read it; one query each when that is so already.

    Raises:
        DatabaseUnavailable, DatabaseRefused: the server cannot be reached, or does not take a step.
    """
    with contextlib.closing(postgres.connect(url, "start")) as connection:
        migrations.migrate(connection)
        with postgres.transaction(connection, "grant reading to", on=READER):
            grant_reader(connection, READABLE_SCHEMAS)
