"""Event lines: an object a line, with what happened and to what."""

from __future__ import annotations

import json
from io import StringIO

from varro_assets.cli.event_lines import EventLines, watcher
from varro_assets.cli.progress import Line, ProgressWatcher
from varro_assets.cli.session import Session
from varro_assets.engine.planning import Plan, Reason
from varro_assets.settings import Settings
from varro_assets.statbank.sync_report import SyncReport


def test_each_line_stands_alone() -> None:
    stream = StringIO()
    lines = EventLines(stream)
    with lines.over(1), lines.table("A1"):
        lines.message("Danske bogstaver: æøå\nand a new line")
        lines.rows(7)
        lines.done(Line("A1", 1.25, SyncReport("A1", plan=Plan({"2020": Reason.NEW}), rows_fetched=7)))

    found = [json.loads(line) for line in stream.getvalue().splitlines()]

    assert [one["event"] for one in found] == ["sync began", "table began", "message", "table ended", "sync ended"]
    assert found[2]["text"] == "Danske bogstaver: æøå\nand a new line"
    assert (found[3]["level"], found[3]["rows_fetched"], found[3]["unsettled"]) == ("error", 7, ["2020"])
    assert all(one["time"].endswith("+00:00") for one in found)


def test_bars_are_what_people_get(settings: Settings) -> None:
    assert isinstance(watcher(Session(), settings), ProgressWatcher)
    assert isinstance(watcher(Session(), settings.model_copy(update={"varro_log": "json"})), EventLines)
