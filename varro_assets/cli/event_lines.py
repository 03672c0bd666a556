"""Event lines: what a sync does as JSON, one object a line, for programs that collect logs.

What belongs here: the watcher that writes them and the choice between it and the bars. Nothing is decided here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from varro_assets.cli.progress import Line, ProgressWatcher
from varro_assets.cli.session import Session
from varro_assets.defs.watcher import Watcher
from varro_assets.engine import clock
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Plan
from varro_assets.settings import Settings
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sync_report import Outcome


def watcher(here: Session, settings: Settings) -> EventLines | ProgressWatcher:
    """Who follows a sync for the terminal, as ``VARRO_LOG`` says."""
    return EventLines(sys.stderr) if settings.varro_log == "json" else ProgressWatcher(here.console)


class EventLines(Watcher):
    """Writes a line as something happens: ``time`` (UTC), ``level``, ``event``, and what the event is about.

    Args:
        stream: the lines go to it, each flushed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._table = stream, ""

    @contextmanager
    def over(self, count: int) -> Iterator[None]:
        """So many tables are worked on while the block lasts."""
        self._write("info", "sync began", tables=count)
        yield
        self._write("info", "sync ended")

    @contextmanager
    def table(self, name: str) -> Iterator[None]:
        """One table is at work."""
        self._table = name
        self._write("info", "table began", table=name)
        try:
            yield
        finally:
            self._table = ""

    def planned(self, plan: Plan, info: TableInfo) -> None:
        """The plan stands."""
        reasons = {str(reason): count for reason, count in plan.count().items()}
        self._write("info", "planned", table=info.id, updated=info.updated, periods=len(plan.fetch), reasons=reasons)

    def settled(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        """A period is in."""
        level = "warning" if outcome is Outcome.SHRUNK else "info"
        self._write(level, "period settled", table=self._table, period=period, outcome=str(outcome), rows=part.rows)

    def message(self, text: str) -> None:
        """Something to read."""
        self._write("warning", "message", table=self._table, text=text)

    def done(self, line: Line) -> None:
        """A table ended."""
        fields: dict[str, Any] = {"table": line.table, "seconds": round(line.seconds, 3)}
        if line.report is not None:
            report = line.report
            fields |= {
                "rows_fetched": report.rows_fetched,
                "rows_written": report.rows_written,
                "requests": report.requests,
                "periods": {str(outcome): n for outcome in Outcome if (n := report.count(outcome))},
                "unsettled": report.unsettled,
            }
        if line.error:
            fields["error"] = line.error
        self._write("error" if line.failed else "info", "table ended", **fields)

    def _write(self, level: str, event: str, **fields: Any) -> None:
        record = {"time": clock.now().isoformat(timespec="milliseconds"), "level": level, "event": event, **fields}
        self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._stream.flush()
