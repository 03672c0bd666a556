"""A home in which a year passes."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from pydantic import SecretStr

from varro_assets.defs.unattended import reloading
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator
from varro_assets.statbank.sources import open_sources
from varro_assets.warehouse import prepare
from varro_assets_tests.oracle import World
from varro_assets_tests.year.books import Books
from varro_assets_tests.year.calendar import NOT_FOLLOWED, START, TRAILING, WITHOUT_CELLS, Year
from varro_assets_tests.year.compressed_clock import CompressedClock, connect
from varro_assets_tests.year.machine import Machine, reloading_by

_WISHES = "".join(
    [
        f'[tables]\nfollow = ["*"]\nexclude = ["{NOT_FOLLOWED}"]\n',
        *(f'\n[table.{table}]\nrefresh = "trailing"\n' for table in TRAILING),
        f"\n[table.{WITHOUT_CELLS}]\nrevisions = false\n",
    ]
)


def one_connection(storage: Any) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Instead of a new connection for every event, the one that the storage in memory holds anyway."""
    lock, depth = threading.RLock(), [0]

    @contextlib.contextmanager
    def connected() -> Iterator[Any]:
        with lock:
            held = storage._held_conn
            if depth[0]:
                yield held
                return
            depth[0] += 1
            try:
                with held.begin():
                    yield held
            finally:
                depth[0] -= 1

    return connected


@pytest.fixture
def begin(tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Year], Machine]]:
    """Begins a year: a running publisher, an empty home, and a machine at the moment before the first poll."""
    with contextlib.ExitStack() as open_until_the_end:

        def begun(year: Year) -> Machine:
            simulator = open_until_the_end.enter_context(Simulator(year.universe()))
            (tmp_path / "varro.toml").write_text(_WISHES, encoding="utf-8")
            settings = Settings.load(tmp_path).model_copy(
                update={
                    "dst_api_url": simulator.url,
                    "dst_site_url": f"{simulator.root}/site",
                    "geo_url": f"{simulator.root}/geo",
                    "dst_api_sleep_seconds": 0.0,
                    "dst_api_timeout_seconds": 20.0,
                    "database_url": SecretStr(warehouse_url),
                    # one is named so that none is created beside; nothing is stored there
                    "dagster_database_url": SecretStr(warehouse_url),
                }
            )
            # resources load their settings anew, from the environment
            for name, value in settings.environment().items():
                monkeypatch.setenv(name, value)
            url = SecretStr(warehouse_url)
            clock = CompressedClock(open_until_the_end.enter_context(closing(connect(url))))
            prepare(url)
            world = World(simulator, open_sources(settings, url))
            instance = open_until_the_end.enter_context(DagsterInstance.ephemeral())
            monkeypatch.setattr(instance.event_log_storage, "_connect", one_connection(instance.event_log_storage))
            monkeypatch.setattr(instance.run_storage, "connect", one_connection(instance.run_storage))
            monkeypatch.setattr(instance.event_log_storage, "has_table", lambda _name: True)
            open_until_the_end.enter_context(clock.everywhere())
            logging.getLogger("dagster").setLevel(logging.CRITICAL)
            clock.set(START.replace(hour=21))
            machine = Machine(settings, world, instance, clock, Books(world))
            open_until_the_end.enter_context(reloading_by(machine, reloading))
            return machine

        yield begun
