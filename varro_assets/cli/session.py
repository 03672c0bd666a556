"""Session: what every command needs, opened once: settings, terminal, warehouse, publisher.

What belongs here: the global options and their consequences. No command.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from varro_assets import follow
from varro_assets.cli import simulator_lease
from varro_assets.engine.files import write_bytes, write_text
from varro_assets.engine.server.provision import Warehouse
from varro_assets.errors import ConfigurationError, UnknownTable
from varro_assets.settings import SIMULATOR, Settings
from varro_assets.statbank import catalog, models
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.sources import Sources, open_sources
from varro_assets.warehouse import open_warehouse

DAGSTER_STORAGE_VARIABLE = "VARRO_DAGSTER_STORAGE_URL"
"""What dagster.yaml reads its storage from."""
DAGSTER_SWITCHES = {"DAGSTER_EVENT_BATCH_SIZE": "100", "FRESHNESS_DAEMON_INTERVAL_SECONDS": "900"}
"""What Dagster takes from the environment only: storing events in batches, a tenth of the time that one by one takes on
Postgres; and judging some ten thousand assets by their freshness policies not each half minute but each quarter of an
hour, which is soon enough for what is due by the week."""
PIPE_WIDTH = 160
"""Columns where nobody says how many there are: a file, a pipe, a log."""
DAGSTER_YAML = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"
"""How Dagster is set up where the home does not say: as in the project itself."""
COMMANDS = (
    "backup|db|dims|docs|doctor|document|follow|forget|links|migrate-legacy|plan|psql|rebuild|restore|revisions|runs|search"
    "|show|simulator|sql|sync|unfollow|up|values|verify"
)
"""What advice may tell people to type after `varro`."""
_ADVICE = re.compile(rf"\bvarro (?=(?:{COMMANDS})\b)")
DEMO_FOLLOW = '# The demo follows everything its simulated StatBank publishes.\n[tables]\nfollow = ["*"]\n'


class DemoConsole(Console):
    """Where the demo speaks: advice from layers that know of no demo must not lead to the reader's own home."""

    def render_str(self, text: str, **options: Any) -> Text:
        """As ever, commands called as the demo calls them."""
        return super().render_str(_ADVICE.sub("varro --demo ", text), **options)


@dataclass
class Session:
    """One invocation of `varro`.

    Attributes:
        demo: work in the demo's home, against the simulator.
        debug: show stack traces.
    """

    home: Path | None = None
    demo: bool = False
    debug: bool = False

    @cached_property
    def console(self) -> Console:
        """Where people read."""
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
        return self._speaker(highlight=False, width=width)

    @cached_property
    def errors(self) -> Console:
        """Where errors go."""
        return self._speaker(stderr=True, highlight=False)

    @property
    def _speaker(self) -> type[Console]:
        return DemoConsole if self.demo else Console

    @cached_property
    def project(self) -> Settings:
        """Settings of the project itself, demo or not."""
        return Settings.load(self.home)

    @cached_property
    def settings(self) -> Settings:
        """Settings in force."""
        if not self.demo:
            return self.project
        settings = self.project.for_demo()
        _make_home(settings, self.project.home / "dagster_home" / "dagster.yaml")
        return settings

    @property
    def command(self) -> str:
        """How to call us again in this mode."""
        return "varro --demo" if self.demo else "varro"

    def say(self, text: str = "", *, whole: bool = False) -> None:
        """Print for people; rich markup is understood.

        Args:
            text: what to say.
            whole: break no line: for what is copied (paths, addresses, SQL) and what is read by programs.
        """
        self.console.print(text, soft_wrap=whole or not self.console.is_terminal)

    @contextlib.contextmanager
    def publisher(self) -> Iterator[Settings]:
        """Settings whose ``DST_API_URL`` is an address; the simulator, if asked for, runs while the block lasts."""
        if self.settings.dst_api_url != SIMULATOR:
            yield self.settings
            return
        with simulator_lease.running(self.settings.data_dir / "simulator", self.errors.print) as url:
            yield self.settings.model_copy(update=_served_at(url))

    @contextlib.contextmanager
    def sources(self) -> Iterator[tuple[Settings, Warehouse, Sources]]:
        """Publisher and warehouse, ready."""
        with self.publisher() as settings, open_warehouse(settings) as warehouse:
            yield settings, warehouse, open_sources(settings, warehouse.url, on_retry=self.errors.print)

    @contextlib.contextmanager
    def dagster_environment(self, settings: Settings, warehouse: Warehouse) -> Iterator[dict[str, str]]:
        """The environment in which Dagster finds its home and its storage; also set for this process.

        Raises:
            ConfigurationError: neither the home nor the project says how Dagster is set up.
        """
        _set_up_dagster(settings.dagster_home)
        variables = {
            **settings.environment(),
            DAGSTER_STORAGE_VARIABLE: warehouse.dagster_url.get_secret_value(),
            **DAGSTER_SWITCHES,
        }
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield {**os.environ}
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    # -- tables ----------------------------------------------------------------------------------------------------

    def followed(self, catalogue: Catalogue) -> list[str]:
        """The followed tables, in catalogue order."""
        file = follow.read(self.settings.follow_file)
        return file.resolve(catalogue.entries.keys(), catalogue.tables_by_subject)

    def chosen(self, catalogue: Catalogue, tables: list[str]) -> list[str]:
        """The tables a command is about: those named, or all followed.

        Raises:
            InvalidTableId: a name that cannot be one.
            UnknownTable: a named table that is not followed.
        """
        followed = self.followed(catalogue)
        if not tables:
            return followed
        wanted = [models.table_id(table) for table in tables]
        for table in wanted:
            if table not in followed:
                known = table in catalogue.entries
                raise UnknownTable(
                    "work on table",
                    on=table,
                    got="it is not followed" if known else "no such table in the catalogue",
                    todo=f"{self.command} follow {table}" if known else f"Find it with: {self.command} search WORD",
                )
        return list(dict.fromkeys(wanted))

    def catalogue(self, sources: Sources, *, poll: bool = False) -> Catalogue:
        """The catalogue on disk, or from the publisher if there is none or a fresh one is wanted."""
        known = None if poll else sources.catalogue.read()
        return known or catalog.poll(sources.client, sources.catalogue).catalogue


def session(context: typer.Context) -> Session:
    """The session of a command."""
    found = context.find_object(Session)
    return found if found is not None else Session()


def _make_home(settings: Settings, dagster_yaml: Path) -> None:
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    follow.begin(settings.follow_file, DEMO_FOLLOW)
    if not dagster_yaml.is_file():
        return
    target, content = settings.dagster_home / "dagster.yaml", dagster_yaml.read_bytes()
    # a running `varro --demo up` reads it at any moment
    if not target.is_file() or target.read_bytes() != content:
        write_bytes(target, content)


def _set_up_dagster(home: Path) -> None:
    """Without a dagster.yaml Dagster would keep its history in SQLite files and know no limits, and say nothing."""
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    if target.is_file():
        return
    if not DAGSTER_YAML.is_file():
        raise ConfigurationError(
            "set up Dagster",
            on=str(target),
            got="there is no such file, nor one beside the installed package to copy",
            todo="Copy dagster_home/dagster.yaml of the project there.",
        )
    write_text(target, DAGSTER_YAML.read_text(encoding="utf-8"))


def _served_at(url: str) -> dict[str, str]:
    """The simulator stands for all three publishers: the API, the site with the classifications, the boundaries."""
    root = url.removesuffix("/v1")
    return {"dst_api_url": url, "dst_site_url": f"{root}/site", "geo_url": f"{root}/geo"}
