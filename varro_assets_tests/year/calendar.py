"""Calendar: what the publisher does and what goes wrong in every week of a simulated year.

What belongs here: drawing it from a seed. Pure: the same seed gives the same year. Publications are tried out on a
publisher of the calendar's own, so that each of them can be made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from varro_assets.simulator import Universe
from varro_assets.simulator.table import Table
from varro_assets.simulator.universe import Publication

START = datetime(2025, 9, 7, 22, 0, tzinfo=UTC)
"""The first poll: a Sunday, when the simulated publisher has not yet published anything more."""
LATE = ("SIM0003", "SIM0005")
"""Tables that are not there when the year begins."""
NOT_FOLLOWED = "KORD1"
"""Followed from the middle of the year on."""
TRAILING = ("METROX1", "PRIS111", "NABB69", "SIM0006")
"""Tables of which only the newest periods and a share of the rest are read each time."""
WITHOUT_CELLS = "BIL10"
"""A table whose ledger keeps figures only."""
_WEEKS_BETWEEN = (("D", 1.0), ("U", 1.0), ("M", 4.33), ("K", 13.0), ("H", 26.0))


class Trouble(StrEnum):
    """What happens to the machine that keeps the copy, not to the publisher."""

    CURSOR_LOST = "the sensor's cursor is lost"
    CURSOR_GARBAGE = "the sensor's cursor is garbage"
    RESTARTED = "the daemon dies between adding partition keys and launching runs"
    TWO_DAEMONS = "two daemons evaluate the same tick and launch what it asks for twice"
    KILLED_AT_PLAN = "the first run is killed when its plan stands"
    KILLED_AT_PERIOD = "a run is killed when it has put a period in place"
    DATABASE_CUT = "every connection to Postgres is cut in the middle of a run"
    CLOCK_BACK = "the clock goes back an hour"
    CLOCK_FORWARD = "the clock goes forward a day"
    FOLLOWED = "one table more is followed"


@dataclass(frozen=True)
class Day:
    """What is published on one day, in this order."""

    morning: datetime
    publications: tuple[Publication, ...]


@dataclass(frozen=True)
class Week:
    """One week: days of publications, then the poll on Sunday.

    Attributes:
        poll: UTC.
        faults: of the API from the poll on, as fields of the simulator's `Fault`; forgotten when the week ends.
        troubles: of the machine, after the poll.
        accepted: tables whose shrunken periods a person accepts when the week's work is done.
    """

    number: int
    poll: datetime
    days: tuple[Day, ...] = ()
    faults: tuple[dict[str, Any], ...] = ()
    troubles: tuple[Trouble, ...] = ()
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Year:
    """A whole year and the publisher it begins with."""

    seed: int
    tables: tuple[Table, ...]
    weeks: tuple[Week, ...]

    def universe(self) -> Universe:
        """The publisher on the first day; a new one each time."""
        return Universe(self.tables)


def draw(
    seed: int, weeks: int, tables: Sequence[Table], *, pace: float = 1.0, specials: int = 3, troubles: int = 1
) -> Year:
    """A year.

    Args:
        seed: of everything that is drawn.
        weeks: that pass; two quiet ones follow, in which what is still due can be done.
        tables: of the publisher.
        pace: below 1, tables get new periods so much more often than they should; above, more seldom.
        specials: publications a week beside the new periods.
        troubles: of the machine, in a week that has any.
    """
    begun = tuple(replace(table, listed=False, answers=False) if table.id in LATE else table for table in tables)
    dice = random.Random(seed)
    publisher = _Publisher(Universe(begun), dice, pace, [table.id for table in begun if table.id in LATE])
    drawn = [Week(0, START)]
    tricks, faults, harm = _Deck(dice, _TRICKS), _Deck(dice, _FAULTS), _Deck(dice, list(Trouble))
    for number in range(1, weeks + 1):
        days, accepted = publisher.week(number, tricks, specials)
        published = [made["table"] for day in days for made in day.publications]
        drawn.append(
            Week(
                number,
                START + timedelta(weeks=number),
                days,
                tuple(_fault(faults.take(), published, dice) for _ in range(dice.choice((1, 1, 2)))),
                tuple(harm.take() for _ in range(troubles)) if dice.random() < max(0.6, len(Trouble) / weeks) else (),
                accepted,
            )
        )
    quiet = [Week(number, START + timedelta(weeks=number)) for number in (weeks + 1, weeks + 2)]
    return Year(seed, begun, (*drawn, *quiet))


class _Deck:
    """Cards that are all drawn before one comes again."""

    def __init__(self, dice: random.Random, cards: Sequence[Any]) -> None:
        self._dice, self._cards, self._left = dice, list(cards), []

    def take(self) -> Any:
        if not self._left:
            self._left = self._dice.sample(self._cards, len(self._cards))
        return self._left.pop()


# -- the publisher -------------------------------------------------------------------------------------------------


class _Publisher:
    """Draws publications and makes them on a publisher of its own, which tells what can be made next."""

    def __init__(self, universe: Universe, dice: random.Random, pace: float, late: list[str]) -> None:
        self.universe, self.dice = universe, dice
        self._due = {table.id: dice.uniform(1, 1 + self._interval(table, pace)) for table in universe.tables()}
        self._pace = pace
        self._away: dict[str, int] = {}
        self._late = late

    def week(self, number: int, tricks: _Deck, specials: int) -> tuple[tuple[Day, ...], tuple[str, ...]]:
        """The days of a week, and the tables whose shrinking is meant."""
        made: list[list[Publication]] = [[] for _ in range(5)]
        for publication in self._regular(number):
            self._make(publication, made)
        for table, back in list(self._away.items()):
            if back <= number and self._make({"kind": "reinstate", "table": table}, made):
                del self._away[table]
        meant: list[str] = []
        for _ in range(specials):
            self._trick(tricks.take(), number, made, meant)
        monday = (START + timedelta(weeks=number)).replace(tzinfo=None, hour=8) - timedelta(days=6)
        days = [Day(monday + timedelta(days=at), tuple(day)) for at, day in enumerate(made) if day]
        return tuple(days), tuple(meant)

    def _interval(self, table: Table, pace: float) -> float:
        last = table.periods[-1]
        weeks = next((every for letter, every in _WEEKS_BETWEEN if letter in last[4:]), 52.0)
        return max(1.0, weeks * pace)

    def _regular(self, number: int) -> list[Publication]:
        found = []
        for table in self._candidates():
            while self._due.setdefault(table.id, number + 4.0) <= number:
                self._due[table.id] += self._interval(table, self._pace)
                found += [{"kind": "publish_period", "table": table.id}] * (3 if "D" in table.periods[-1][4:] else 1)
        return found

    def _candidates(self) -> list[Table]:
        return [table for table in self.universe.tables() if table.active]

    def _trick(self, kind: str, number: int, made: list[list[Publication]], meant: list[str]) -> None:
        if kind == "appear":
            if self._late:
                self._make({"kind": "reinstate", "table": self._late.pop()}, made)
            return
        fit = [table for table in self._candidates() if _FITS.get(kind, _always)(table)]
        if not fit:
            return
        table = self.dice.choice(fit)
        publication = _arguments(kind, table)
        if kind in {"withdraw", "vanish", "deactivate"}:
            self._away[table.id] = number + 2
        if self._make(publication, made) and kind == "shrink for good":
            meant.append(table.id)

    def _make(self, publication: Publication, made: list[list[Publication]]) -> bool:
        # in the order in which they are made, day by day
        day = max((at for at, day in enumerate(made) if day), default=0)
        self.universe.make(publication)
        made[min(4, day + (self.dice.random() < 0.3))].append(publication)
        return True


def _arguments(kind: str, table: Table) -> Publication:
    """The publication that a special one is."""
    oldest, newest, named = table.periods[0], table.periods[-1], {"table": table.id}
    special: dict[str, Publication] = {
        "deep": {"kind": "revise", "tid": oldest},
        "recent": {"kind": "revise", "tid": newest},
        "one cell": {"kind": "revise", "tid": oldest, "cells": 1},
        "vanish": {"kind": "withdraw", "vanish": True},
        "shrink in one answer": {"kind": "shrink", "tid": newest, "answers": 1, "keep": 0.2},
        "shrink in two answers": {"kind": "shrink", "tid": newest, "answers": 2, "keep": 0.2},
        "shrink for good": {"kind": "shrink", "tid": newest, "keep": 0.3},
        "shrink a little": {"kind": "shrink", "tid": newest, "keep": 0.7},
        "move in silence": {"kind": "move", "silent": True},
        "regress": {"kind": "regress", "days": 5},
    }
    return special.get(kind, {"kind": kind}) | named


def _always(table: Table) -> bool:
    return True


_FITS: dict[str, Callable[[Table], bool]] = {
    "drop_period": lambda table: len(table.periods) > 4 and table.id not in TRAILING,
    "change_dimensions": lambda table: table.row_count() < 4000 and len(table.dimensions) < 5,
    "shrink for good": lambda table: len(table.rows(table.periods[-1])) > 20 and not table.kept,
    "shrink a little": lambda table: len(table.rows(table.periods[-1])) > 20 and not table.kept,
    "shrink in one answer": lambda table: len(table.rows(table.periods[-1])) > 20 and not table.kept,
    "shrink in two answers": lambda table: len(table.rows(table.periods[-1])) > 20 and not table.kept,
    "regress": lambda table: not table.offsets,
    "insert_period": lambda table: " " not in table.periods[0],
}
_TRICKS = [
    "deep",
    "deep",
    "one cell",
    "recent",
    "offset",
    "offset",
    "restate",
    "add_code",
    "change_dimensions",
    "insert_period",
    "insert_period",
    "drop_period",
    "regress",
    "shrink in one answer",
    "shrink in two answers",
    "shrink for good",
    "shrink a little",
    "withdraw",
    "vanish",
    "deactivate",
    "move",
    "move in silence",
    "relabel",
    "annotate",
    "touch",
    "appear",
]

# -- faults --------------------------------------------------------------------------------------------------------

_FAULTS: list[dict[str, Any]] = [
    # one request has five attempts, and three tables in a row make the service count as down
    {"kind": "server_error", "path": "tableinfo", "nth": 2, "count": 15},
    {"kind": "server_error", "path": "tables", "count": 5},
    {"kind": "server_error", "path": None, "count": None},
    {"kind": "reset", "path": "data", "nth": 2},
    {"kind": "cut", "path": "data", "bytes": 60},
    {"kind": "cut", "path": "data", "bytes": 60, "count": 6},
    {"kind": "truncated", "path": "data", "nth": 2},
    {"kind": "too_many_requests", "path": "data", "count": 2, "retry_after": 3},
    {"kind": "maintenance", "path": "data", "count": 6},
    {"kind": "maintenance", "path": "tables", "status": 200},
    {"kind": "html", "path": "data"},
    {"kind": "garbage", "path": "data"},
    {"kind": "duplicate", "path": "data", "nth": 3},
    {"kind": "wrong_header", "path": "data"},
    {"kind": "error_200", "path": "data", "nth": 2},
    {"kind": "slow", "path": "data", "rate": 200_000},
    {"kind": "reset", "path": "tableinfo", "nth": 3, "count": 2},
    {"kind": "publish", "path": "tableinfo", "then": {"kind": "revise"}},
    {"kind": "publish", "path": "data", "then": {"kind": "restate"}},
    {"kind": "publish", "path": "data", "then": {"kind": "publish_period"}},
]


def _fault(drawn: dict[str, Any], published: Sequence[str], dice: random.Random) -> dict[str, Any]:
    """A fault of the deck; one that is a publication meets a table that is to be synced."""
    if drawn["kind"] != "publish":
        return dict(drawn)
    if not published:
        return {"kind": "reset", "path": "tables"}
    table = dice.choice(sorted(published))
    return drawn | {"table": table, "then": drawn["then"] | {"table": table}}
