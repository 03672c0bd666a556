"""Judging: a period as it came, against the same period as it is held.

What belongs here: comparisons of two files' footers, of a file with its own footer, and what to do about a difference.
"""

from __future__ import annotations

import shlex

from varro_assets.engine import content
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Reason
from varro_assets.errors import DamagedPartition, DuplicateKeys
from varro_assets.statbank.sync_report import Outcome

SHRINK = 0.5
"""A held period that comes back with less than this part of its rows is not believed at first."""


def same(old: PartitionInfo, new: PartitionInfo) -> bool:
    """Whether the two hold the same content in the same shape."""
    return (old.content_hash, old.shape_hash) == (new.content_hash, new.shape_hash)


def intact(part: PartitionInfo) -> bool:
    """Whether the file holds what its footer states; reads all of it."""
    try:
        return content.of_parquet(part.path) == part.content_hash
    except (DamagedPartition, DuplicateKeys):
        return False


def outcome(before: PartitionInfo | None, now: PartitionInfo) -> Outcome:
    """What became of a period that was stored."""
    if before is None:
        return Outcome.NEW
    return Outcome.UNCHANGED if same(before, now) else Outcome.REVISED


def shrank(old: PartitionInfo | None, new: PartitionInfo) -> bool:
    """Whether a period came back with suspiciously few rows."""
    # rows of different shapes cannot be compared
    return old is not None and old.shape_hash == new.shape_hash and new.rows < old.rows * SHRINK


def wish_for(code: str, reason: Reason) -> str:
    """The options of `varro sync` by which a period is asked for that was fetched for this reason."""
    if reason is Reason.FULL:
        return " --full"
    return f" --since {shlex.quote(code)}" if reason in {Reason.SINCE, Reason.REQUESTED} else ""
