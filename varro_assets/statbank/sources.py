"""Sources: everything a sync works with, opened from the settings.

What belongs here: putting client, folders and warehouse together. No step of a sync.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from varro_assets.engine.http import Pace, Session
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.revisions.ledger import Ledger
from varro_assets.settings import Settings
from varro_assets.statbank.catalog import CatalogueFolder
from varro_assets.statbank.client import REQUEST_ID_HEADER, StatBank


@dataclass(frozen=True)
class Sources:
    """Everything a sync works with.

    Attributes:
        client: the publisher.
        catalogue: metadata folder.
        tables_dir: one folder of period files per table.
        revisions_dir: one folder of what changed in them per table.
        warehouse: Postgres.
    """

    client: StatBank
    catalogue: CatalogueFolder
    tables_dir: Path
    revisions_dir: Path
    warehouse: SecretStr

    def store(self, table: str) -> PartitionStore:
        """The table's period files."""
        return PartitionStore(self.tables_dir / table, table)

    def ledger(self, table: str, *, keep_cells: bool = True, run_id: str | None = None) -> Ledger:
        """What changed in the table's period files."""
        return Ledger(self.revisions_dir / table, table, keep_cells, run_id)


def open_client(settings: Settings, on_retry: Callable[[str], None] | None = None) -> StatBank:
    """The API at ``DST_API_URL``, paced with every other process that uses the same data directory.

    Args:
        settings: address, pace and time-out.
        on_retry: told of every failed attempt that will be repeated.
    """
    pace = Pace(settings.data_dir / "pace", settings.dst_api_url, settings.dst_api_sleep_seconds)
    session = Session(
        pace, timeout=settings.dst_api_timeout_seconds, request_id_header=REQUEST_ID_HEADER, on_retry=on_retry
    )
    return StatBank(session, settings.dst_api_url)


def open_sources(settings: Settings, warehouse: SecretStr, on_retry: Callable[[str], None] | None = None) -> Sources:
    """Client, folders and database by the settings.

    Args:
        settings: where things lie.
        warehouse: URL of the database, started and migrated.
        on_retry: as `open_client`.
    """
    client = open_client(settings, on_retry)
    folder = CatalogueFolder(settings.metadata_dir)
    return Sources(client, folder, settings.tables_dir, settings.revisions_dir, warehouse)
