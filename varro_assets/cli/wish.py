"""Wish: what the user asks of a sync beyond what is due.

What belongs here: the options of `varro sync` as one value, and what they mean for a plan and for a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from varro_assets.engine.planning import Scope
from varro_assets.follow import TableOptions


@dataclass(frozen=True)
class Wish:
    """What the user asks beyond what is due."""

    full: bool = False
    since: str | None = None
    accept_shrink: bool = False

    @property
    def insists(self) -> bool:
        """Whether to fetch from tables that are not due."""
        return self.full or self.since is not None or self.accept_shrink

    def scope(self, options: TableOptions) -> Scope:
        """For a plan."""
        return Scope(full=self.full, since=self.since, trailing=options.trailing, refresh=options.refresh)

    def config(self) -> dict[str, Any]:
        """For a run."""
        config: dict[str, Any] = {"periods": "ALL" if self.full else "DUE", "accept_shrink": self.accept_shrink}
        return config if self.since is None else {**config, "since": self.since}
