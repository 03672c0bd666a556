"""A program that syncs some tables and ends: what the tests limit, kill and race against. Not a test.

``python -m varro_assets_tests.e2e.sync_once TABLE ... [--full] [--wait SECONDS]``; settings come from the environment.
With ``--serve`` alone it reads such command lines from its input and forks a child for each, so that a test which kills
many does not wait for many starts: what is printed is the child's process id, what the child prints, how it ended.
"""

from __future__ import annotations

import os
import sys

from varro_assets.engine.planning import Scope
from varro_assets.settings import Settings
from varro_assets.statbank import catalog
from varro_assets.statbank.sources import open_sources
from varro_assets.statbank.sync import sync_table
from varro_assets.statbank.sync_report import Observer


class Silent(Observer):
    """Told of everything, says nothing."""


def sync(arguments: list[str]) -> None:
    wait = float(arguments[arguments.index("--wait") + 1]) if "--wait" in arguments else 0.0
    settings = Settings.load()
    assert settings.database_url is not None
    sources = open_sources(settings, settings.database_url)
    catalog.poll(sources.client, sources.catalogue)
    print("ready", flush=True)
    for table in [name for name in arguments if name.isupper()]:
        report = sync_table(sources, table, Silent(), scope=Scope(full="--full" in arguments), wait=wait)
        print(table, report.rows_written, flush=True)


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                # by the child itself: by us it could come after what the child prints
                print("child", os.getpid(), flush=True)
                sync(line.split())
                os._exit(0)
            finally:
                os._exit(1)
        _pid, status = os.waitpid(child, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["--serve"] else sync(sys.argv[1:])
