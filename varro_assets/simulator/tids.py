"""Period codes as the publisher writes them: their order, their neighbours and their labels.

What belongs here: just enough of the grammars for inventing periods. It is kept apart from ``engine.periods`` on
purpose: a simulator that shared the reader's grammar would share its mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

_DAY = re.compile(r"(\d{4})M(\d{2})D(\d{2})")
_WEEK = re.compile(r"(\d{4})U(\d{2})")
_PART = re.compile(r"(\d{4})([MKH])(\d{1,2})")
_PAIR = re.compile(r"(\d{4})([:/-])(\d{4})")
_YEAR = re.compile(r"\d{4}")
_PARTS_OF_YEAR = {"M": 12, "K": 4, "H": 2}


def years(tid: str) -> float:
    """Where a period starts, in years; for ordering and for trends."""
    if found := _DAY.fullmatch(tid):
        day = date(*(int(part) for part in found.groups()))
        return day.year + (day.timetuple().tm_yday - 1) / 366
    if found := _WEEK.fullmatch(tid):
        return int(found[1]) + (int(found[2]) - 1) / 54
    if found := _PART.fullmatch(tid):
        return int(found[1]) + (int(found[3]) - 1) / _PARTS_OF_YEAR[found[2]]
    found = _YEAR.search(tid)
    return float(found[0]) if found else 0.0


def order(tid: str) -> tuple[float, str]:
    """Sort key: chronological, then by the code itself."""
    return years(tid), tid


def shifted(tid: str, by: int) -> str:
    """The code that lies ``by`` steps later (earlier when negative) in the grammar of ``tid``.

    Days step over weekends; spans keep their width, and those of two years overlap (``2022:2023``, ``2023:2024``). A
    text keeps its words and moves its year.

    Raises:
        ValueError: the code holds no year.
    """
    if found := _DAY.fullmatch(tid):
        return _business_day(date(*(int(part) for part in found.groups())), by)
    if found := _WEEK.fullmatch(tid):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1) + timedelta(weeks=by)
        return "{}U{:02d}".format(*monday.isocalendar()[:2])
    if found := _PART.fullmatch(tid):
        per_year = _PARTS_OF_YEAR[found[2]]
        year, part = divmod(int(found[1]) * per_year + int(found[3]) - 1 + by, per_year)
        return f"{year:04d}{found[2]}{part + 1:0{len(found[3])}d}"
    if found := _PAIR.fullmatch(tid):
        first, last = int(found[1]), int(found[3])
        width = last - first
        step = by * (width + 1 if found[2] == ":" and width > 1 else 1)
        return f"{first + step:04d}{found[2]}{last + step:04d}"
    if not _YEAR.search(tid):
        raise ValueError(f"{tid!r} holds no year to count from")
    return _YEAR.sub(lambda year: f"{int(year[0]) + by:04d}", tid)


def _business_day(day: date, by: int) -> str:
    step = timedelta(days=1 if by > 0 else -1)
    for _ in range(abs(by)):
        day += step
        while day.weekday() > 4:
            day += step
    return f"{day.year:04d}M{day.month:02d}D{day.day:02d}"


def run(first: str, last: str) -> tuple[str, ...]:
    """All codes from ``first`` to ``last``, both included."""
    codes = [first]
    while codes[-1] != last:
        codes.append(shifted(codes[-1], 1))
        if len(codes) > 20_000:
            raise ValueError(f"{last!r} is not reached from {first!r}")
    return tuple(codes)


def series(first: str, count: int) -> tuple[str, ...]:
    """``count`` codes from ``first`` on."""

    def walk() -> Iterator[str]:
        tid = first
        for _ in range(count):
            yield tid
            tid = shifted(tid, 1)

    return tuple(walk())


def first_gap(periods: tuple[str, ...]) -> str | None:
    """The earliest code missing between two held ones, if any."""
    for tid, following in pairwise(periods):
        expected = shifted(tid, 1)
        if order(expected) < order(following):
            return expected
    return None


def label(tid: str, lang: str) -> str:
    """The code as a text: only quarters differ between languages."""
    return re.sub(r"^(\d{4})K([1-4])$", r"\1Q\2", tid) if lang == "en" else tid
