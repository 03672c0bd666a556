"""Sync report: what a sync did with each period, and who is told while it goes.

What belongs here: the outcomes, their counts and the interface of an observer. How a sync comes to them is `sync`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Plan
from varro_assets.engine.revisions.differences import Difference
from varro_assets.statbank.loading import SyncCounts
from varro_assets.statbank.models import TableInfo


class Outcome(StrEnum):
    """What became of a period."""

    NEW = "new"
    REVISED = "revised"
    UNCHANGED = "unchanged"
    SHRUNK = "shrunk"
    """Came back with suspiciously few rows, twice: what was held is kept."""
    KEPT = "kept"
    """No longer published; kept."""


@dataclass
class SyncReport:
    """What a sync did, filled in as it goes, so that it also tells of a failed one.

    Attributes:
        table: id.
        plan: the last plan made.
        outcomes: period -> outcome, in the order they were settled.
        parts: period -> its file as held now, for the settled ones.
        error: what ended the sync before its end; empty if nothing did.
        rows_fetched: rows received, repeats included.
        rows_written: rows written to Postgres.
        requests: sent to the publisher, retries included.
        revisions: period -> how much of it changed, for the revised ones.
        held: every period held at the end, settled or not.
        updated: of the publication that is held; empty until all of it that is due has come in.
    """

    table: str
    plan: Plan | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    parts: dict[str, PartitionInfo] = field(default_factory=dict)
    error: str = ""
    rows_fetched: int = 0
    rows_written: int = 0
    requests: int = 0
    updated: str = ""
    revisions: dict[str, Difference] = field(default_factory=dict)
    held: Mapping[str, PartitionInfo] = field(default_factory=dict)

    @property
    def unsettled(self) -> list[str]:
        """Planned periods that did not come in."""
        planned = self.plan.fetch if self.plan else {}
        return [code for code in planned if self.outcomes.get(code) in {None, Outcome.SHRUNK}]

    def count(self, outcome: Outcome) -> int:
        """Periods with that outcome."""
        return sum(1 for value in self.outcomes.values() if value is outcome)

    def counts(self) -> SyncCounts:
        """The outcomes, counted."""
        return SyncCounts(*map(self.count, (Outcome.NEW, Outcome.REVISED, Outcome.UNCHANGED, Outcome.KEPT)))

    def settle(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        """Note what became of a period and what is held of it now."""
        self.outcomes[period], self.parts[period] = outcome, part

    def finish(self, held: Mapping[str, PartitionInfo], updated: str) -> None:
        """Note what is held at the end, and of which publication if it is complete."""
        self.held, self.updated = held, updated


class Observer(Protocol):
    """Who watches a sync: a progress bar, or Dagster's event log."""

    def planned(self, plan: Plan, info: TableInfo) -> None:
        """The plan stands; data requests follow."""

    def rows(self, count: int) -> None:
        """So many more rows came in."""

    def settled(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        """A period is safely stored (or found unchanged, or kept): in parquet, and in Postgres if that was asked."""

    def message(self, text: str) -> None:
        """Something a reader of the log wants to know."""
