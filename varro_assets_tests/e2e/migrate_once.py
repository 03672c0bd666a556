"""A program that migrates the legacy files of some tables and ends: what a test kills. Not a test.

``python -m varro_assets_tests.e2e.migrate_once FOLDER ARCHIVE TABLE ...``; settings come from the environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

from varro_assets.settings import Settings
from varro_assets.statbank.legacy import source_files
from varro_assets.statbank.legacy.migration import Wanted, migrate_table
from varro_assets.statbank.sources import open_sources
from varro_assets_tests.e2e.sync_once import Silent


def migrate(folder: Path, archive: Path, tables: list[str]) -> None:
    settings = Settings.load()
    assert settings.database_url is not None
    sources = open_sources(settings, settings.database_url)
    print("ready", flush=True)
    for table in tables:
        files = source_files.find(folder).get(table, [])
        migrate_table(sources, table, files, Wanted(folder, archive=archive), Silent(), wait=60)
        print(table, flush=True)


if __name__ == "__main__":
    migrate(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
