"""Period: a publisher's code for a stretch of time, and what it means.

What belongs here: the grammars of period codes (statbank-api section 7), their order, frequency, value in the database
and name as a file. Pure; no table, no file, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote, unquote

from varro_assets.errors import InvalidPeriod

MAX_CODE_LENGTH = 40


class Kind(StrEnum):
    """What sort of code a period has."""

    YEAR = "year"
    HALF_YEAR = "half-year"
    QUARTER = "quarter"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"
    SPAN = "span"
    SEASON = "season"
    TEXT = "text"


class Frequency(StrEnum):
    """How often a table gets a new period."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    HALF_YEARLY = "half-yearly"
    YEARLY = "yearly"
    OTHER = "other"


class TidType(StrEnum):
    """Postgres type of a table's ``tid`` column."""

    DATE = "date"
    INT4RANGE = "int4range"
    TEXT = "text"


_FREQUENCY_OF = {
    Kind.DAY: Frequency.DAILY,
    Kind.WEEK: Frequency.WEEKLY,
    Kind.MONTH: Frequency.MONTHLY,
    Kind.QUARTER: Frequency.QUARTERLY,
    Kind.HALF_YEAR: Frequency.HALF_YEARLY,
    Kind.YEAR: Frequency.YEARLY,
}


@dataclass(frozen=True)
class Period:
    """One period.

    Attributes:
        code: the publisher's own string, never changed.
        kind: its grammar.
        start: first day; of a free text 1 January of the year it names, None if it names none.
        end: first day after it; None for a free text.
    """

    code: str
    kind: Kind
    start: date | None
    end: date | None

    @property
    def sort_key(self) -> tuple[date, date, str]:
        """Chronological; shorter of two that start together first; texts without a year before everything."""
        return (self.start or date.min, self.end or date.min, self.code)

    def database_value(self, tid_type: TidType) -> str:
        """The literal stored in the ``tid`` column, as Postgres itself prints it.

        Raises:
            InvalidPeriod: the code has no value of that type.
        """
        if tid_type is TidType.TEXT:
            return self.code
        if tid_type is TidType.DATE and self.kind in _FREQUENCY_OF and self.start is not None:
            return self.start.isoformat()
        if tid_type is TidType.INT4RANGE and self.kind is Kind.SPAN and self.start and self.end:
            return f"[{self.start.year},{self.end.year})"
        raise InvalidPeriod(
            "store the period",
            on=self.code,
            got=f"a {self.kind} has no value of type {tid_type}",
            todo="Let tid_type() choose the type from all codes of the table.",
        )


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    years, months = divmod(month - 1 + count, 12)
    return date(year, month, 1), date(year + years, months + 1, 1)


def _week(year: int, week: int) -> tuple[date, date]:
    monday = date.fromisocalendar(year, week, 1)
    return monday, monday + timedelta(days=7)


def _day(year: int, month: int, day: int) -> tuple[date, date]:
    first = date(year, month, day)
    return first, first + timedelta(days=1)


def _span(first: int, last: int) -> tuple[date, date]:
    if last < first:
        raise ValueError("a span ends before it starts")
    return date(first, 1, 1), date(last + 1, 1, 1)


def _season(first: int, last: int) -> tuple[date, date]:
    if last != first + 1:
        raise ValueError("a season runs from one year into the next")
    # a school or theatre season: the code tells the two years only, so the bounds are whole years
    return date(first, 1, 1), date(last + 1, 1, 1)


_Bounds = Callable[..., tuple[date, date]]
_GRAMMARS: tuple[tuple[Kind, re.Pattern[str], _Bounds], ...] = (
    (Kind.YEAR, re.compile(r"(\d{4})", re.ASCII), lambda y: _months(y, 1, 12)),
    (Kind.HALF_YEAR, re.compile(r"(\d{4})H(\d)", re.ASCII), lambda y, h: _months(y, 6 * h - 5, 6)),
    (Kind.QUARTER, re.compile(r"(\d{4})K(\d)", re.ASCII), lambda y, q: _months(y, 3 * q - 2, 3)),
    (Kind.MONTH, re.compile(r"(\d{4})M(\d{2})", re.ASCII), lambda y, m: _months(y, m, 1)),
    (Kind.WEEK, re.compile(r"(\d{4})U(\d{2})", re.ASCII), _week),
    (Kind.DAY, re.compile(r"(\d{4})M(\d{2})D(\d{2})", re.ASCII), _day),
    (Kind.SPAN, re.compile(r"(\d{4}):(\d{4})", re.ASCII), _span),
    (Kind.SEASON, re.compile(r"(\d{4})/(\d{4})", re.ASCII), _season),
)
# Free text: what can be a partition key in Dagster (no comma, no "...", no newline) and read by a person.
_TEXT = re.compile(r"[0-9A-Za-zÆØÅæøå](?:[0-9A-Za-zÆØÅæøå :/+&()_-]|\.(?!\.))*(?<! )")
_YEAR_IN_TEXT = re.compile(r"(?<!\d)(\d{4})(?!\d)", re.ASCII)


@lru_cache(maxsize=1 << 17)
def parse(code: str) -> Period:
    """Read a period code.

    A code that has the look of a grammar but not its sense (``2024M13``) is refused, not kept as text: a month that
    does not exist is a mistake, not a name.

    Raises:
        InvalidPeriod: empty, too long, unsafe as a partition key, or impossible as a date.
    """
    for kind, pattern, bounds in _GRAMMARS:
        if match := pattern.fullmatch(code):
            try:
                start, end = bounds(*(int(part) for part in match.groups()))
            except (ValueError, OverflowError) as error:
                raise _invalid(code, str(error)) from None
            return Period(code, kind, start, end)
    if len(code) > MAX_CODE_LENGTH or not _TEXT.fullmatch(code):
        raise _invalid(code, "not a code of any known form, and not safe as a partition key")
    # `AUG - DEC 2019` has no bounds we could stand by, but its year gives the order
    years = [int(year) for year in _YEAR_IN_TEXT.findall(code) if int(year) > 0]
    return Period(code, Kind.TEXT, date(years[0], 1, 1) if years else None, None)


def _invalid(code: str, got: str) -> InvalidPeriod:
    return InvalidPeriod(
        "read the period code",
        on=repr(code[: MAX_CODE_LENGTH * 2]),
        got=got,
        todo="Known forms: 2024, 2024H1, 2024K1, 2024M03, 2024U07, 2024M03D01, 1840:1849, 2006/2007 and short texts.",
    )


def in_order(codes: Iterable[str]) -> list[str]:
    """The codes, oldest first, each once."""
    return sorted(set(codes), key=lambda code: parse(code).sort_key)


def frequency(codes: Sequence[str]) -> Frequency:
    """How often the table that has these codes gets a new one; OTHER where the kinds are mixed or not of one step."""
    kinds = {parse(code).kind for code in codes}
    return _FREQUENCY_OF.get(kinds.pop(), Frequency.OTHER) if len(kinds) == 1 else Frequency.OTHER


def tid_type(codes: Iterable[str]) -> TidType:
    """Type of the ``tid`` column for a table with these codes (all that are held or declared).

    ``date`` if every code is a year, half-year, quarter, month, week or day; ``int4range`` if every one is a span; in
    both cases only if no two codes share a value, since the value is what a replaced period is deleted by.
    """
    periods = [parse(code) for code in set(codes)]
    kinds = {period.kind for period in periods}
    if periods and kinds <= _FREQUENCY_OF.keys():
        candidate = TidType.DATE
    elif kinds == {Kind.SPAN}:
        candidate = TidType.INT4RANGE
    else:
        return TidType.TEXT
    values = {period.database_value(candidate) for period in periods}
    return candidate if len(values) == len(periods) else TidType.TEXT


def file_stem(code: str) -> str:
    """File name for a period, without its ending; `period_of` is the way back.

    Raises:
        InvalidPeriod: the code cannot be a partition.
    """
    return quote(parse(code).code, safe="")


def period_of(stem: str) -> str:
    """The code whose `file_stem` this is.

    Raises:
        InvalidPeriod: it is nobody's.
    """
    code = parse(unquote(stem)).code
    if file_stem(code) != stem:
        raise _invalid(stem, f"the file of {code} is called {file_stem(code)}")
    return code
