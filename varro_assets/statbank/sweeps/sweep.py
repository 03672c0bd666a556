"""Sweep: which due tables are asked for now, in which runs, and why the others wait.

What belongs here: the decision, pure: how the tables stand goes in, the runs to request come out. No network, no
database, no Dagster; the shell around it is `defs.unattended.changes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from varro_assets.engine import periods, planning
from varro_assets.errors import VarroError
from varro_assets.statbank.sweeps.due import State

FIRST_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=24)
SMALL_GAP = 3
"""So many keys between two that are due do not cut a range: a run costs more than looking at a key that is not due."""
LONGEST_RANGE = 12
"""Keys in the range of a run that finds out by itself what is due: they are only what shows the run in the UI."""
WHOLE_TABLE = "whole table"
_DUE = (State.REFILL, State.CHANGED, State.NEVER)


class How(Enum):
    """What a run does with its range."""

    REFILL = "refill"
    """Fill the fact table from the files; the range only places the run."""
    DUE = "due"
    """Bring in all that is due; the range only places the run."""
    SEGMENT = "segment"
    """Bring in what is due in the range, unless it was read of this publication already."""


@dataclass(frozen=True)
class Attempts:
    """What was tried for the present publication of a table.

    Attributes:
        last: highest number of an attempt, of all there is a trace of; 0 for none.
        vain: attempts that ended since the table was last complete, and left it due.
        ended: when the last of these ended; None for none.
        run_id: the newest of them that failed or was cancelled; empty if none was.
    """

    last: int = 0
    vain: int = 0
    ended: datetime | None = None
    run_id: str = ""

    def wait_until(self, now: datetime) -> datetime | None:
        """When the next attempt may begin; None if it may now.

        5 minutes after the first attempt in vain, doubled after each, a day at most. An end that lies in the future
        was stamped before the clock was set back, and says nothing of how long ago it was.
        """
        if not self.vain or self.ended is None or self.ended > now:
            return None
        until = self.ended + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self.vain - 1, 20))
        return until if until > now else None


@dataclass(frozen=True)
class Candidate:
    """How a followed table stands.

    Attributes:
        state: against the warehouse.
        updated: as the catalogue has it; empty for a table that it lacks.
        rows: held, to begin with the small ones.
        described: whether the description at hand is the publication's, as far as that matters now.
        under_way: somebody holds its lock, or a run of it has not ended.
        in_graph: whether the loaded definitions know it.
        later_held: a run of this very poll brought in a publication that came after the poll.
    """

    table: str
    state: State
    updated: str = ""
    rows: int = 0
    described: bool = True
    under_way: bool = False
    in_graph: bool = True
    later_held: bool = False
    attempts: Attempts = Attempts()


@dataclass(frozen=True)
class Work:
    """What is to be done for one table.

    Attributes:
        stored: its partition keys, in stored order.
        known: codes of the periods there are, as far as that is known; those not stored become keys.
        due: those to be read; None if the run is to find out.
        refillable: the files are whole, as a refill needs them.
    """

    stored: Sequence[str]
    known: Sequence[str]
    due: frozenset[str] | None = None
    refillable: bool = True


@dataclass(frozen=True)
class Demand:
    """A run to be requested.

    Attributes:
        first, last: its range of partition keys, in stored order; both empty if no key of the table is known.
        attempt: 1 for the first; its number and the rest of `key` were never used before.
    """

    table: str
    updated: str
    first: str
    last: str
    attempt: int
    how: How
    never: bool = False

    @property
    def segment(self) -> str:
        """What is read, for people: the range as Dagster's UI writes it, where the run reads nothing beyond it."""
        return f"{self.first}...{self.last}" if self.how is How.SEGMENT else WHOLE_TABLE

    @property
    def key(self) -> str:
        """What is never run twice."""
        placed = f"{self.first}...{self.last}" if self.first else "no keys yet"
        return f"{self.table} {self.updated} {placed} {self.attempt}"


@dataclass(frozen=True)
class Situation:
    """All a decision depends on.

    Attributes:
        tables: the followed ones.
        max_tables: how many may be under way at once.
        polling: a poll is under way: it will bring the descriptions that are lacking.
        after: table at which the decision before ran out of time; empty if it did not.
    """

    tables: Sequence[Candidate]
    max_tables: int
    polling: bool = False
    after: str = ""


@dataclass
class Decision:
    """What is to be done, and why not more.

    Attributes:
        demands: runs to request, in this order.
        register: table -> partition keys to add before, in this order.
        under_way: due, and somebody is at it.
        waiting: due, and not before then.
        later: due, and their turn comes when others are done.
        undescribed: due, and the poll under way will describe them first.
        unloaded: followed, and not in the loaded graph.
        gone: followed, and not in the catalogue.
        problems: table -> why it could not even be asked for.
        after: where the next decision goes on; empty for the beginning.
    """

    demands: list[Demand] = field(default_factory=list)
    register: dict[str, tuple[str, ...]] = field(default_factory=dict)
    under_way: list[str] = field(default_factory=list)
    waiting: dict[str, datetime] = field(default_factory=dict)
    later: list[str] = field(default_factory=list)
    undescribed: list[str] = field(default_factory=list)
    unloaded: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    after: str = ""

    @property
    def asked(self) -> list[str]:
        """The tables that runs are requested for."""
        return list(dict.fromkeys(demand.table for demand in self.demands))

    @property
    def due(self) -> int:
        """Tables that are due."""
        groups = (self.asked, self.under_way, self.waiting, self.later, self.undescribed, self.problems)
        return sum(map(len, groups))

    @property
    def next_try(self) -> tuple[str, datetime] | None:
        """The table whose wait ends first."""
        return min(self.waiting.items(), key=lambda item: item[1]) if self.waiting else None


def decide(
    situation: Situation,
    now: datetime,
    work: Callable[[Candidate], Work],
    out_of_time: Callable[[], bool] = lambda: False,
) -> Decision:
    """Decide what to request now. A due table stays due until it is done, whatever is lost meanwhile.

    Args:
        situation: how things stand.
        now: the present.
        work: looks up what is to be done for a table; called only for tables that are asked for.
        out_of_time: whether to leave the rest to the next decision; asked after every table.
    """
    decision = Decision()
    ready = _ready(situation, now, decision)
    free = max(0, situation.max_tables - sum(one.under_way for one in situation.tables))
    stopped = False
    for candidate in ready:
        if stopped or len(decision.asked) >= free:
            decision.later.append(candidate.table)
            continue
        try:
            decision.demands += _demands(candidate, work(candidate), decision)
        except (VarroError, OSError, ValueError) as error:
            # one table that cannot be read must not keep the others from being synced
            decision.problems[candidate.table] = str(error)
        if out_of_time():
            stopped, decision.after = True, candidate.table
    return decision


def _ready(situation: Situation, now: datetime, decision: Decision) -> list[Candidate]:
    """The tables that may be asked for, in order of their turn; the others go where they belong."""
    ready = []
    for one in situation.tables:
        if one.state is State.GONE:
            decision.gone.append(one.table)
        elif not one.in_graph:
            decision.unloaded.append(one.table)
        elif one.state not in _DUE or one.later_held:
            continue
        elif one.under_way:
            decision.under_way.append(one.table)
        elif (until := one.attempts.wait_until(now)) is not None:
            decision.waiting[one.table] = until
        elif situation.polling and not one.described and one.state is not State.REFILL:
            decision.undescribed.append(one.table)
        else:
            ready.append(one)
    ready.sort(key=lambda one: (_DUE.index(one.state), one.rows, one.table))
    turn = next((place for place, one in enumerate(ready, 1) if one.table == situation.after), 0)
    return ready[turn:] + ready[:turn]


def _demands(candidate: Candidate, work: Work, decision: Decision) -> list[Demand]:
    stored = set(work.stored)
    ordered = periods.in_order(set(work.known))
    fresh = tuple(code for code in ordered if code not in stored)
    order = [*work.stored, *fresh]
    due = work.due if candidate.state is State.CHANGED else None
    attempt = candidate.attempts.last + 1

    def demand(first: str, last: str, how: How) -> Demand:
        never = candidate.state is State.NEVER
        return Demand(candidate.table, candidate.updated, first, last, attempt, how, never)

    if not order:
        # the run asks for the description first, and registers what is in it
        demands = [demand("", "", How.DUE)]
    elif due:
        demands = [demand(first, last, How.SEGMENT) for first, last in ranges(order, due)]
    else:
        how = How.REFILL if candidate.state is State.REFILL and work.refillable else How.DUE
        demands = [demand(*newest(order, ordered or work.stored), how)]
    if fresh:
        decision.register[candidate.table] = fresh
    return demands


def ranges(order: Sequence[str], due: frozenset[str]) -> list[tuple[str, str]]:
    """Ranges that hold all that is due, and between two of it at most `SMALL_GAP` other keys.

    Args:
        order: partition keys as Dagster will have them stored.
        due: some of them.
    """
    wanted, gap = set(due), list[str]()
    for key in order[next((place for place, key in enumerate(order) if key in due), len(order)) :]:
        if key not in due:
            gap.append(key)
            continue
        if len(gap) <= SMALL_GAP:
            wanted.update(gap)
        gap = []
    return planning.segments(order, wanted)


def newest(order: Sequence[str], known: Sequence[str]) -> tuple[str, str]:
    """The range of the newest known keys that are stored one after another, `LONGEST_RANGE` at most.

    Args:
        order: partition keys as Dagster will have them stored.
        known: some of them, oldest first; not empty.
    """
    wanted = set(known[-LONGEST_RANGE:])
    last = order.index(known[-1])
    # keys are stored in order of time, but for late ones: so the newest is mostly the last of its stretch
    first = last
    while first > 0 and order[first - 1] in wanted:
        first -= 1
    while last + 1 < len(order) and order[last + 1] in wanted:
        last += 1
    return order[first], order[last]


def say(decision: Decision, followed: int, errors: Mapping[str, str], *, documents: bool = False) -> str:
    """The decision in a sentence or two, for people.

    Args:
        decision: made.
        followed: how many tables are.
        errors: table -> what ended its last attempt.
        documents: whether a run is requested for what tables share.
    """
    groups = (
        (decision.asked, "asked for now"),
        (decision.under_way, "under way"),
        (decision.later, "when others are done"),
        (decision.undescribed, "to be described by the poll first"),
        (decision.problems, "not to be read"),
    )
    parts = [f"{len(tables)} {what}" for tables, what in groups if tables]
    if (soonest := decision.next_try) is not None:
        parts.append(_waiting(len(decision.waiting), *soonest, errors))
    if decision.due:
        text = f"{_tables(decision.due)} due: {', '.join(parts)}."
    elif documents:
        text = "No table is due."
    else:
        rest = followed - len(decision.gone) - len(decision.unloaded)
        text = f"Nothing is due: {rest} of {followed} followed tables are up to date."
    if documents:
        text += " Subject pages and other shared documents are brought up to date (1 run)."
    for table, problem in decision.problems.items():
        text += f" {table}: {problem}"
    if decision.gone:
        text += f" Followed and not in the catalogue: {_names(decision.gone)}."
    return text


def _waiting(number: int, table: str, until: datetime, errors: Mapping[str, str]) -> str:
    why = f": {error}" if (error := errors.get(table, "")) else ""
    said = "1 waits after a failure and" if number == 1 else f"{number} wait after a failure; the next"
    return f"{said} is tried again at {until:%H:%M} UTC ({table}{why})"


def _tables(number: int) -> str:
    return "1 table is" if number == 1 else f"{number} tables are"


def _names(tables: Sequence[str]) -> str:
    more = f" and {len(tables) - 10} more" if len(tables) > 10 else ""
    return ", ".join(tables[:10]) + more
