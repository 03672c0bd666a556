"""Restart: the commands that do again what failed of a sweep, and only that.

What belongs here: a pure decision over a sweep's report. All of these commands are harmless twice: what is held as
published is not asked for again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from varro_assets.engine import periods
from varro_assets.engine.sweep_report import in_order
from varro_assets.engine.sweeps import SYNC_STAGES, Asked, Failed, Stage, SweepReport, TableReport, TableStatus
from varro_assets.errors import InvalidPeriod


@dataclass(frozen=True)
class Restart:
    """What to do about a sweep.

    Attributes:
        commands: do again what failed; empty if nothing did.
        believing: instead, for periods that came back with far fewer rows: take the publisher's word for it.
        under_way: tables that have not ended. Nothing of them failed; if nobody works on them, they are due.
    """

    commands: tuple[str, ...] = ()
    believing: tuple[str, ...] = ()
    under_way: tuple[str, ...] = ()


def restart(report: SweepReport, command: str) -> Restart:
    """What does again what failed of the sweep.

    Args:
        report: of the sweep, with its failures.
        command: how varro is called: ``varro`` or ``varro --demo``.
    """
    lines: dict[str, list[str]] = {}
    shared = {failed.asset for failed in report.failures if not failed.table}
    if any(failed.stage is Stage.POLL for failed in report.failures):
        lines["sync"] = []
    believing: dict[str, list[str]] = {}
    for table in report.tables.values():
        mine = [failed for failed in report.failures if failed.table == table.table]
        shrunk = any(failed.shrank for failed in mine)
        if table.status is TableStatus.UNFINISHED or not mine:
            continue
        if shrunk or table.failed_stages.intersection(SYNC_STAGES):
            options = _options(table, mine)
            if not ("sync" in lines and not lines["sync"] and not options):  # a sync of everything has it
                lines.setdefault(f"sync{options}", []).append(table.table)
            if shrunk:
                believing.setdefault(f"sync{options.removesuffix(_ACCEPT)}{_ACCEPT}", []).append(table.table)
        else:
            lines.setdefault("document", []).append(table.table)
    for asset in sorted(shared):
        line, names = _shared(asset)
        if line:
            lines.setdefault(line, []).extend(names)
    return Restart(
        _written(lines, command),
        _written(believing, command),
        tuple(table.table for table in report.tables.values() if table.status is TableStatus.UNFINISHED),
    )


_ACCEPT = " --accept-shrink"


def _options(table: TableReport, failures: Iterable[Failed]) -> str:
    """The options by which the same periods are asked for, or more."""
    asked = Asked.of(table.wish)
    since = [str(table.wish["since"])] if table.wish.get("since") else []
    if asked is Asked.SELECTED:
        # launched for certain partitions, which need not be due
        since += [failed.period for failed in failures if failed.period and failed.stage is Stage.FETCH]
    options = ""
    if asked is Asked.ALL and Stage.FETCH in table.failed_stages:
        options = " --full"
    elif since:
        options = _from(since)
    return options + (_ACCEPT if table.wish.get("accept_shrink") else "")


def _from(codes: Iterable[str]) -> str:
    """What has all of these read."""
    oldest = in_order(codes)[0]
    try:
        begins = periods.parse(oldest).start
    except InvalidPeriod:
        begins = None
    return f" --since {shlex.quote(oldest)}" if begins else " --full"


def _shared(asset: str) -> tuple[str, list[str]]:
    first, *rest = asset.split("/")
    if first in {"classification", "dim"}:
        return "dims sync", rest[-1:]
    if first == "context" and rest[:1] == ["geo"]:
        return "document --maps", []
    return ("document", []) if first == "context" else ("", [])


def _written(lines: dict[str, list[str]], command: str) -> tuple[str, ...]:
    return tuple(f"{command} {_with(line, names)}" for line, names in lines.items())


def _with(line: str, names: Sequence[str]) -> str:
    """``sync --full`` and names → ``sync A B --full``."""
    words = line.split(" ")
    place = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    return " ".join([*words[:place], *dict.fromkeys(names), *words[place:]])
