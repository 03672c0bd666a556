"""Resources: the plain objects that assets work with, opened from the project's settings.

What belongs here: fields and a method that returns the plain object; no logic.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from dagster import ConfigurableResource

from varro_assets.context.sources import ContextSources, open_context
from varro_assets.settings import Settings
from varro_assets.statbank.sources import Sources, open_sources
from varro_assets.warehouse import open_warehouse


class StatBankResource(ConfigurableResource):  # type: ignore[type-arg]
    """StatBank, the folders and the warehouse of one project home.

    Attributes:
        home: the project folder; its `.env` and the environment say the rest.
    """

    home: str

    @contextlib.contextmanager
    def open(self, on_retry: Callable[[str], None] | None = None) -> Iterator[Sources]:
        """Everything a sync works with, for as long as the block lasts."""
        settings = Settings.load(Path(self.home))
        with open_warehouse(settings) as warehouse:
            yield open_sources(settings, warehouse.url, on_retry)


class ContextResource(ConfigurableResource):  # type: ignore[type-arg]
    """Dimensions, folders of documents and the warehouse of one project home.

    Attributes:
        home: the project folder; its `.env` and the environment say the rest.
    """

    home: str

    @contextlib.contextmanager
    def open(self, on_retry: Callable[[str], None] | None = None) -> Iterator[ContextSources]:
        """Everything documents are written from, for as long as the block lasts."""
        settings = Settings.load(Path(self.home))
        with open_warehouse(settings) as warehouse:
            yield open_context(settings, warehouse.url, on_retry)
