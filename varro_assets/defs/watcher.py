"""Watcher: somebody beside Dagster who follows a sync, such as a progress bar in the terminal.

What belongs here: the interface and the one that says nothing, which is what runs outside the CLI get.
"""

from __future__ import annotations

from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Plan
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sync_report import Observer, Outcome, SyncReport


class Watcher(Observer):
    """Watches and says nothing.

    Attributes:
        report: of the sync that began last; filled in as it goes.
    """

    report: SyncReport | None = None

    def began(self, report: SyncReport) -> None:
        """A sync begins."""
        self.report = report

    def planned(self, plan: Plan, info: TableInfo) -> None:
        """See `Observer`."""

    def rows(self, count: int) -> None:
        """See `Observer`."""

    def settled(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        """See `Observer`."""

    def message(self, text: str) -> None:
        """See `Observer`."""
