"""Questions: what to ask the publisher, other than a sync does, to prove what is held.

What belongs here: which cells to ask for, cut so that each request stays below the limit of the formats that do not
stream (statbank-api 5.4). Pure; asking is `verifying`'s.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

from varro_assets.statbank.models import TableInfo, Variable

CELL_LIMIT = 1_000_000
"""Of one request: rows of the whole grid times columns, absent rows included (statbank-api 5.4)."""
FEW_REQUESTS = 5
"""A table is asked for whole if that takes no more requests than these."""

TotalOf = Callable[[Variable], str | None]
"""Which code of a variable is the total of all others, if one is."""


@dataclass(frozen=True)
class Question:
    """Some cells of a table.

    Attributes:
        codes: variable id -> codes, for the variables that are asked for, in the table's order.
        left_out: variables the publisher takes away: variable id -> the code it takes for that, None if it adds up.
        periods: codes.
    """

    codes: Mapping[str, tuple[str, ...]]
    periods: tuple[str, ...]
    left_out: Mapping[str, str | None]

    @property
    def rows(self) -> int:
        """Cells that were asked for."""
        return prod(len(codes) for codes in self.codes.values()) * len(self.periods)

    @property
    def cells(self) -> int:
        """As the publisher counts them against its limit: rows times columns, period and value included."""
        return self.rows * (len(self.codes) + 2)


def whole(info: TableInfo, periods: Sequence[str], limit: int = CELL_LIMIT) -> list[Question]:
    """Questions for every cell of these periods."""
    every = Question({variable.id: variable.codes for variable in info.dimensions}, tuple(periods), {})
    return list(_cut(every, limit))


def part(
    info: TableInfo, periods: Sequence[str], total_of: TotalOf, *, seed: str, limit: int = CELL_LIMIT
) -> list[Question]:
    """Two questions for a table that is too large to be asked for whole; over all of these periods.

    The first leaves out every variable that the publisher can take away: where it adds up for that, every row counts.
    The second asks for cells themselves, total codes first, others drawn by lot: tables of averages and indices cannot
    be totalled.

    Args:
        info: the table.
        periods: codes.
        total_of: the total of a variable, which the publisher takes when the variable is left out.
        seed: of the lot; another one asks for other cells.
        limit: cells of a request.
    """
    left = {variable.id: total_of(variable) for variable in info.dimensions if variable.elimination}
    kept = [variable for variable in info.dimensions if variable.id not in left]
    questions = [_drawn(info.dimensions, periods, {}, total_of, seed, limit)]
    if left:
        questions.insert(0, _drawn(kept, periods, left, total_of, seed, limit))
    return questions


def _cut(question: Question, limit: int) -> Iterator[Question]:
    """Cut along the periods, then along the longest list of codes, until every part is below the limit."""
    if question.cells <= limit:
        yield question
        return
    parts = ceil(question.cells / limit)
    if len(question.periods) > 1:
        for periods in _stretches(question.periods, parts):
            yield from _cut(Question(question.codes, periods, question.left_out), limit)
        return
    longest = max(question.codes, key=lambda name: len(question.codes[name]))
    for codes in _stretches(question.codes[longest], parts):
        yield from _cut(Question({**question.codes, longest: codes}, question.periods, question.left_out), limit)


def _stretches(items: Sequence[str], parts: int) -> Iterator[tuple[str, ...]]:
    step = max(1, len(items) // parts)
    for start in range(0, len(items), step):
        yield tuple(items[start : start + step])


def _drawn(
    variables: Sequence[Variable],
    periods: Sequence[str],
    left_out: Mapping[str, str | None],
    total_of: TotalOf,
    seed: str,
    limit: int,
) -> Question:
    """As many codes of each variable as fit one request: its total, then others by lot, in turn."""
    lot = random.Random(seed)  # noqa: S311 - nothing is secret here
    waiting = {variable.id: _by_lot(variable, total_of(variable), lot) for variable in variables}
    chosen = {name: [codes.pop()] for name, codes in waiting.items()}
    room = limit // ((len(variables) + 2) * max(1, len(periods)))
    while True:
        # the shortest first, so that each variable is seen about as widely as the others
        open_ = [name for name, codes in waiting.items() if codes and _grown(chosen, name) <= room]
        if not open_:
            break
        name = min(open_, key=lambda name: len(chosen[name]))
        chosen[name].append(waiting[name].pop())
    order = {variable.id: variable.codes for variable in variables}
    codes = {name: tuple(code for code in order[name] if code in set(chosen[name])) for name in order}
    return Question(codes, tuple(periods), left_out)


def _by_lot(variable: Variable, total: str | None, lot: random.Random) -> list[str]:
    """Codes to be taken from the end: the total, then the rest."""
    rest = [code for code in variable.codes if code != total]
    lot.shuffle(rest)
    return rest if total is None else [*rest, total]


def _grown(chosen: Mapping[str, Sequence[str]], name: str) -> int:
    return prod(len(codes) + (other == name) for other, codes in chosen.items())
