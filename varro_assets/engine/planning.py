"""Plan: which periods to fetch, and why; which stretches of partitions to run.

What belongs here: pure decisions over sets of period codes. No file, no database, no network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
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
ROTATION = 12
"""Beyond the window each publication has this part of the periods read again, the longest unread first."""
OVERDUE = timedelta(days=400)
"""A period last read longer ago than this is read again whatever the rotation says."""
_CLOCK_TOLERANCE = timedelta(days=1)
_NEVER = datetime.min.replace(tzinfo=UTC)


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
    ROTATION = "longest unread"
    WHOLE = "whole table"
    FULL = "full refresh"
    SINCE = "since"
    REQUESTED = "requested"
    RESHAPED = "table changed shape"
    DOUBTED = "not believed before"


@dataclass(frozen=True)
class Read:
    """The last time a period was asked of the publisher.

    Attributes:
        updated: the publication it was read of.
        read_at: when.
        read_before: when it had last been read of another publication than this one; None if it never was.
    """

    updated: str
    read_at: datetime
    read_before: datetime | None = None


@dataclass(frozen=True)
class History:
    """What was read of a table earlier.

    Attributes:
        present: the publication that is published now; publications are told apart, never ordered.
        reads: held period -> its last read; a held one that is missing counts as never read.
        now: the present moment.
        small: whether all of the table fits one request.
        doubted: held periods whose last answer, of which `reads` tells, was not believed. Asked for each time until one
            is, they are the last in the rotation and take nobody's turn.
    """

    present: str = ""
    reads: Mapping[str, Read] = field(default_factory=dict)
    now: datetime = _NEVER
    small: bool = False
    doubted: Collection[str] = ()

    def is_read(self, code: str) -> bool:
        """Whether the period was read of the present publication."""
        read = self.reads.get(code)
        return read is not None and read.updated == self.present and code not in self.doubted

    def unread_since(self, code: str) -> datetime | None:
        """When the period was last read of an earlier publication; None if it came in with the present one."""
        read = self.reads.get(code)
        if read is None:
            return _NEVER
        return read.read_before if read.updated == self.present else read.read_at

    def again(self, code: str, read_at: datetime) -> Read:
        """What is known of a period after it was asked of the present publication (once more)."""
        return Read(self.present, read_at, self.unread_since(code) if code in self.reads else None)


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
    """What the caller asks of a plan; the default is what is due.

    Due is what is new, what was not believed, and what `refresh` says is to be read again and was not read of the
    present publication yet.

    Attributes:
        full: every published period, read already or not.
        since: beside what is due every published period that starts at or after this one, read already or not.
        only: exactly these (those that are published), read already or not.
        within: of what is due only these.
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
    history: History | None = None,
    *,
    reshaped: bool = False,
    trusted: Collection[str] | None = None,
) -> Plan:
    """Decide which periods to fetch.

    Carried out in parts (`Scope.within`), by several runs one after another, the parts add up to the plan of the whole:
    what was read meanwhile drops out, and nothing else takes its place.

    Args:
        published: codes in the publisher's fresh table description.
        held: codes we have.
        scope: what the caller asks for.
        history: what was read earlier; nothing by default.
        reshaped: the table's shape differs from that of what is held, so all of it must be fetched.
        trusted: on a first load that is not yet complete, the held periods that were read of this very publication
            and need not be read again; None once a first load has been complete.

    Raises:
        InvalidPeriod: a published code, or the code in ``since``, cannot be read.
    """
    scope, history = scope or Scope(), history or History()
    ordered = periods.in_order(published)
    held = set(held)
    if reshaped:
        reasons = dict.fromkeys(ordered, Reason.RESHAPED)
    elif scope.only is not None:
        reasons = dict.fromkeys(set(ordered).intersection(scope.only), Reason.REQUESTED)
    elif scope.full:
        reasons = dict.fromkeys(ordered, Reason.FULL)
    else:
        reasons = _due(ordered, held, scope, history, trusted)
    return Plan(
        fetch={code: reasons[code] for code in reversed(ordered) if code in reasons},
        unread=tuple(code for code in ordered if code in held and code not in reasons),
        vanished=tuple(periods.in_order(held.difference(ordered))),
    )


def window(ordered: Sequence[str], scope: Scope) -> int:
    """How many of the newest of these periods are read again each time."""
    return TRAILING_WINDOW[periods.frequency(ordered)] if scope.trailing is None else scope.trailing


def _due(
    ordered: Sequence[str],
    held: Collection[str],
    scope: Scope,
    history: History,
    trusted: Collection[str] | None,
) -> dict[str, Reason]:
    if trusted is not None:
        known = set(held).intersection(trusted)
        reasons = {code: Reason.BOOTSTRAP for code in ordered if code not in known}
    else:
        again = _again(ordered, held, scope, history)
        reasons = {code: reason for code, reason in again.items() if not history.is_read(code)}
        if scope.since is not None:
            # by start, not by order: `since 2024` of a monthly table means from 2024M01, which ends before 2024 does
            first = _start(scope.since)
            reasons |= {code: Reason.SINCE for code in ordered if _start(code) >= first}
        reasons |= {code: Reason.NEW for code in ordered if code not in held}
    return reasons if scope.within is None else {code: reasons[code] for code in reasons.keys() & set(scope.within)}


def _again(ordered: Sequence[str], held: Collection[str], scope: Scope, history: History) -> dict[str, Reason]:
    """The held periods that this publication has read again, those included that were."""
    if scope.refresh is Refresh.FULL or (scope.refresh is Refresh.AUTO and history.small):
        return {code: Reason.WHOLE for code in ordered if code in held}
    start = max(0, len(ordered) - window(ordered, scope))
    beyond = [code for code in ordered[:start] if code in held]
    return (
        {code: Reason.DOUBTED for code in ordered if code in held and code in history.doubted}
        | dict.fromkeys(_rotation(beyond, history), Reason.ROTATION)
        | {code: Reason.TRAILING for code in ordered[start:] if code in held}
    )


def _rotation(beyond: Sequence[str], history: History) -> list[str]:
    """The longest unread share of the periods beyond the window, and those that are overdue.

    Ranked by the last read of an *earlier* publication, so that the choice stays the same while it is being carried
    out. A read that lies in the future was dated by a clock that has been put right since: it says nothing, and the
    period goes first.
    """
    known = ((code, history.unread_since(code)) for code in beyond)
    ranked = [(since <= history.now + _CLOCK_TOLERANCE, since, code) for code, since in known if since is not None]
    ranked.sort(key=lambda rank: rank[:2])  # stable: of equals the older period first
    share = -(-len(ranked) // ROTATION)
    overdue = [code for past, since, code in ranked[share:] if past and _is_overdue(since, history.now)]
    return [*(code for _, _, code in ranked[:share]), *overdue]


def _is_overdue(since: datetime, now: datetime) -> bool:
    return now - since > OVERDUE


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
