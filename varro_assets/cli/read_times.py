"""Read times: when a table's periods were last asked of the publisher, as `varro show` tells it.

What belongs here: the lines and the list. What is due, and why, is `varro plan`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rich.table import Table

from varro_assets.cli.progress import number
from varro_assets.cli.session import Session
from varro_assets.cli.wish import Wish
from varro_assets.engine import periods
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Read
from varro_assets.follow import read as read_follow_file
from varro_assets.settings import Settings
from varro_assets.statbank import sync as syncs
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sources import Sources


def show_reads(
    here: Session, settings: Settings, sources: Sources, info: TableInfo, *, each_period: bool
) -> Table | None:
    """Say how the table is read again, and which of its published periods was longest unread.

    Args:
        here: where to say it.
        settings: where `varro.toml` lies.
        sources: files and database.
        info: the table's description.
        each_period: list every held period.

    Returns:
        The list, to be printed where there is room for it; None if none is asked for.
    """
    held = syncs.held_periods(sources, info.id)
    standing = syncs.standing_now(sources, info, held)
    scope = Wish().scope(read_follow_file(settings.follow_file).options(info.id))
    reads = standing.past.reads
    here.say(f"read       {standing.policy(scope)}{_longest_unread(reads, info)}")
    return _list(held, reads, info) if each_period else None


def _longest_unread(reads: Mapping[str, Read], info: TableInfo) -> str:
    published = {code: read.read_at for code in periods.in_order(info.tids) if (read := reads.get(code))}
    if not published:
        return ""
    oldest, newest = min(published, key=lambda code: published[code]), max(published.values())
    first, last = (moment.date().isoformat() for moment in (published[oldest], newest))
    return f"; all on {first}" if first == last else f"; last on {last}, longest unread: {oldest}, {first}"


def _list(held: Mapping[str, PartitionInfo], reads: Mapping[str, Read], info: TableInfo) -> Table:
    """Held periods, newest first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("period", "rows", "last read", "of publication", "last changed"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "rows" else "left")
    published = set(info.tids)
    for code in reversed(periods.in_order(held)):
        part, read = held[code], reads.get(code)
        when = _minute(read.read_at) if read else ""
        of = read.updated.replace("T", " ") if read else ""
        note = "" if code in published else " [dim](no longer published)[/]"
        table.add_row(code, number(part.rows), when, of, part.updated.replace("T", " ") + note)
    return table


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
