"""Plan: which periods to fetch, and why; which stretches of partitions to run.

What belongs here: pure decisions over sets of period codes. No file, no database, no network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from varro_assets.engine import periods
from varro_assets.engine.periods import Frequency

TRAILING_WINDOW: Mapping[Frequency, int] = {
    Frequency.DAILY: 14,
    Frequency.WEEKLY: 12,
    Frequency.MONTHLY: 18,
    Frequency.QUARTERLY: 8,
    Frequency.HALF_YEARLY: 6,
    Frequency.YEARLY: 4,
    Frequency.OTHER: 2,
}
"""How many of the newest periods a publisher is expected to revise, and which are therefore read again."""


class Refresh(StrEnum):
    """How much of a table is read again when it was published anew."""

    AUTO = "auto"
    """All of it if that fits one request, else as `TRAILING`."""
    TRAILING = "trailing"
    """The newest periods, and in turn the rest: a share of the longest unread, each time."""
    FULL = "full"
    """All of it, each time."""


class Reason(StrEnum):
    """Why a period is fetched."""

    BOOTSTRAP = "first load"
    NEW = "new"
    TRAILING = "trailing window"
    FULL = "full refresh"
    SINCE = "since"
    REQUESTED = "requested"
    RESHAPED = "table changed shape"


@dataclass(frozen=True)
class Plan:
    """What a sync will do with each period.

    Attributes:
        fetch: period code -> reason, newest first.
        unread: held, published, and not to be read this time; oldest first.
        vanished: held but no longer published: kept, never requested; oldest first.
    """

    fetch: Mapping[str, Reason]
    unread: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()

    def count(self) -> dict[Reason, int]:
        """How many periods are fetched for each reason."""
        counts: dict[Reason, int] = {}
        for reason in self.fetch.values():
            counts[reason] = counts.get(reason, 0) + 1
        return counts


@dataclass(frozen=True)
class Scope:
    """What the caller asks of a plan; the default is new and trailing periods.

    Attributes:
        full: every published period.
        since: every published period that starts at or after this one.
        only: exactly these (those that are published).
        within: of what is due only these, those left out that were read of the present publication already.
        trailing: window in periods instead of the one for the table's frequency.
        refresh: how much is read again.
    """

    full: bool = False
    since: str | None = None
    only: tuple[str, ...] | None = None
    within: tuple[str, ...] | None = None
    trailing: int | None = None
    refresh: Refresh = Refresh.AUTO


def plan(
    published: Iterable[str],
    held: Collection[str],
    scope: Scope | None = None,
    *,
    reshaped: bool = False,
    trusted: Collection[str] | None = None,
) -> Plan:
    """Decide which periods to fetch.

    Args:
        published: codes in the publisher's fresh table description.
        held: codes we have.
        scope: what the caller asks for.
        reshaped: the table's shape differs from that of what is held, so all of it must be fetched.
        trusted: on a first load that is not yet complete, the held periods that were read of this very publication
            and need not be read again; None once a first load has been complete.

    Raises:
        InvalidPeriod: a published code, or the code in ``since``, cannot be read.
    """
    scope = scope or Scope()
    ordered = periods.in_order(published)
    held = set(held)
    reasons = _reasons(ordered, held, scope, reshaped=reshaped, trusted=trusted)
    return Plan(
        fetch={code: reasons[code] for code in reversed(ordered) if code in reasons},
        unread=tuple(code for code in ordered if code in held and code not in reasons),
        vanished=tuple(periods.in_order(held.difference(ordered))),
    )


def _reasons(
    ordered: Sequence[str],
    held: Collection[str],
    scope: Scope,
    *,
    reshaped: bool,
    trusted: Collection[str] | None,
) -> dict[str, Reason]:
    if reshaped:
        return dict.fromkeys(ordered, Reason.RESHAPED)
    if scope.only is not None:
        only = set(scope.only)
        return {code: Reason.REQUESTED for code in ordered if code in only}
    if scope.full:
        return dict.fromkeys(ordered, Reason.FULL)
    if trusted is not None:
        known = set(held).intersection(trusted)
        return {code: Reason.BOOTSTRAP for code in ordered if code not in known}
    reasons: dict[str, Reason] = {}
    window = TRAILING_WINDOW[periods.frequency(ordered)] if scope.trailing is None else scope.trailing
    for code in ordered[max(0, len(ordered) - window) :]:
        reasons[code] = Reason.TRAILING
    if scope.since is not None:
        # by start, not by order: `since 2024` of a monthly table means from 2024M01, which ends before 2024 does
        first = _start(scope.since)
        reasons |= {code: Reason.SINCE for code in ordered if _start(code) >= first}
    return reasons | {code: Reason.NEW for code in ordered if code not in held}


def _start(code: str) -> date:
    return periods.parse(code).start or date.min


def segments(stored_order: Sequence[str], wanted: Collection[str]) -> list[tuple[str, str]]:
    """Cut wanted partition keys into ranges that hold nothing else.

    A range of dynamic partitions in Dagster follows the order in which the keys were added, not time: see
    docs/architecture.md.

    Returns:
        (first, last) of each contiguous stretch of ``stored_order``; their union is exactly ``wanted``.

    Raises:
        ValueError: a wanted key is not among the stored ones.
    """
    wanted = set(wanted)
    missing = wanted.difference(stored_order)
    if missing:
        raise ValueError(f"not registered as partitions: {sorted(missing)}")
    ranges: list[tuple[str, str]] = []
    previous_wanted = False
    for key in stored_order:
        if key in wanted:
            ranges.append((ranges.pop()[0], key) if previous_wanted else (key, key))
        previous_wanted = key in wanted
    return ranges
