"""Publications: what a publisher can do to a table, each a pure step from one state to the next.

What belongs here: the kinds and their effect on a ``Table`` apart from ``updated``, which the universe's clock gives.
A publication is plain data, so that it can be sent over HTTP, kept in a file and replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from varro_assets.simulator import tids
from varro_assets.simulator.cube import ALL, Code, Dimension
from varro_assets.simulator.hashing import seed_of
from varro_assets.simulator.table import Footnote, Table

ADDED_VARIABLE = "DATATYPE"


class UnknownPublication(ValueError):
    """A publication that cannot be made: unknown kind, period, variable or argument."""


def publish_period(table: Table, tid: str | None = None) -> Table:
    """A new period: the next one in the table's grammar, or the one given."""
    return _with_period(table, tid or tids.shifted(table.periods[-1], 1))


def insert_period(table: Table, tid: str | None = None) -> Table:
    """A period in the middle: the first gap, or, where there is none, one before the first."""
    return _with_period(table, tid or tids.first_gap(table.periods) or tids.shifted(table.periods[0], -1))


def drop_period(table: Table, tid: str | None = None) -> Table:
    """A period disappears: the oldest, or the one given."""
    gone = _held(table, tid or table.periods[0])
    if len(table.periods) == 1:
        raise UnknownPublication(f"{table.id} has one period only; it cannot lose {gone}")
    return replace(table, periods=tuple(held for held in table.periods if held != gone))


def revise(table: Table, tid: str | None = None, cells: int | None = None) -> Table:
    """Values of one period change: ``cells`` leaf cells (a tenth of the rows when None) and the sums over them.

    Without ``tid`` an old period is meant: the middle one.
    """
    tid = _held(table, tid or table.periods[len(table.periods) // 2])
    count = max(1, len(table.rows(tid)) // 10) if cells is None else cells
    seed = seed_of(table.id, tid, len(table.revisions))
    return replace(table, revisions=(*table.revisions, (tid, seed, count)))


def offset(table: Table, tid: str | None = None) -> Table:
    """Two leaf cells of one period change by as much up as down, so that a sum over both tells nothing.

    Without ``tid`` the first period is meant.
    """
    tid = _held(table, tid or table.periods[0])
    return replace(table, offsets=(*table.offsets, (tid, seed_of("offset", table.id, tid, len(table.offsets)))))


def restate(table: Table) -> Table:
    """All history changes."""
    return replace(table, restated=table.restated + 1)


def add_code(table: Table, var: str | None = None, code: str | None = None) -> Table:
    """A dimension gets a code, with rows from the latest period on; totals from then on include it."""
    dimension = _dimension(table, var)
    taken = {held.id for held in dimension.codes} | set(dimension.undeclared)
    name = code or next(f"{number}" for number in range(9001, 9999) if f"{number}" not in taken)
    if name in taken:
        raise UnknownPublication(f"{table.id}.{dimension.id} already has the code {name}")
    added = Code(name, f"Ny kode {name}", f"New code {name}", since=table.periods[-1])
    return _with_dimension(table, replace(dimension, codes=(*dimension.codes, added)))


def change_dimensions(table: Table, remove: str | None = None) -> Table:
    """The table gets one variable more, or loses the one named; asked again it loses the one it got."""
    if remove is None and all(dimension.id != ADDED_VARIABLE for dimension in table.dimensions):
        codes = (Code("TOT", "I alt", "Total", parts=ALL), Code("A", "Foreløbig", "Preliminary"))
        added = Dimension(ADDED_VARIABLE, "datatype", "type of data", (*codes, Code("B", "Endelig", "Final")))
        return replace(table, dimensions=(*table.dimensions, added))
    gone = _dimension(table, remove or ADDED_VARIABLE)
    if len(table.dimensions) == 1:
        raise UnknownPublication(f"{table.id} has one variable only; it cannot lose {gone.id}")
    left = tuple(dimension for dimension in table.dimensions if dimension is not gone)
    return replace(table, dimensions=left)


def touch(table: Table) -> Table:
    """``updated`` moves and nothing else."""
    return table


def shrink(table: Table, tid: str | None = None, keep: float = 0.3) -> Table:
    """A period loses rows for good; ``keep`` is the share that stays."""
    return replace(table, kept={**table.kept, _held(table, tid or table.periods[-1]): keep})


def withdraw(table: Table, vanish: bool = False) -> Table:
    """The table leaves the catalogue, inactive list included; with ``vanish`` tableinfo and data end as well."""
    return replace(table, listed=False, answers=not vanish)


def deactivate(table: Table) -> Table:
    """The table leaves the active list and shows with includeInactive only."""
    return replace(table, active=False)


def reinstate(table: Table) -> Table:
    """A table that was withdrawn or inactive is listed again, as active, and answers."""
    return replace(table, listed=True, answers=True, active=True)


def move(table: Table, to: str, instead_of: str | None = None) -> Table:
    """The table hangs under the subject ``to`` instead of its first one, or of the one given."""
    gone = instead_of or table.subjects[0]
    if gone not in table.subjects or to in table.subjects:
        raise UnknownPublication(
            f"{table.id} hangs under {', '.join(table.subjects)}; it cannot go from {gone} to {to}"
        )
    return replace(table, subjects=tuple(to if held == gone else held for held in table.subjects))


def relabel(table: Table, text: str | None = None, var: str | None = None, code: str | None = None) -> Table:
    """A label changes, in both languages: the table's title, a variable's (``var``) or a code's (``var``, ``code``)."""
    if var is None and code is None:
        return replace(table, da=text or f"{table.da}, ny titel", en=text or f"{table.en}, new title")
    dimension = _dimension(table, var)
    if code is None:
        changed = replace(dimension, da=text or f"{dimension.da} (ny)", en=text or f"{dimension.en} (new)")
        return _with_dimension(table, changed)
    if all(held.id != code for held in dimension.codes):
        raise UnknownPublication(f"{table.id}.{dimension.id} has no code {code}")

    def after(held: Code) -> Code:
        if held.id != code:
            return held
        return replace(held, da=text or f"{held.da} (ny)", en=text or f"{held.en} (new)")

    return _with_dimension(table, replace(dimension, codes=tuple(map(after, dimension.codes))))


def annotate(table: Table, text: str | None = None, mandatory: bool = True) -> Table:
    """The table's footnote changes, in both languages; an empty text takes it away."""
    words = "Noten er ny og opfundet." if text is None else text
    return replace(table, footnote=Footnote(words, words, mandatory) if words else None)


KINDS: Mapping[str, Callable[..., Table]] = {
    "publish_period": publish_period,
    "insert_period": insert_period,
    "drop_period": drop_period,
    "revise": revise,
    "offset": offset,
    "restate": restate,
    "add_code": add_code,
    "change_dimensions": change_dimensions,
    "touch": touch,
    "shrink": shrink,
    "withdraw": withdraw,
    "deactivate": deactivate,
    "reinstate": reinstate,
    "move": move,
    "relabel": relabel,
    "annotate": annotate,
    "regress": touch,
}


def applied(table: Table, kind: str, arguments: Mapping[str, Any]) -> Table:
    """The table after a publication; ``updated`` is not moved yet.

    Raises:
        UnknownPublication: unknown kind or argument, or one that does not fit the table.
    """
    if kind not in KINDS:
        raise UnknownPublication(f"unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
    try:
        return KINDS[kind](table, **arguments)
    except TypeError as error:
        raise UnknownPublication(f"{kind} of {table.id}: {error}") from error


def _held(table: Table, tid: str) -> str:
    if tid not in table.periods:
        raise UnknownPublication(f"{table.id} has no period {tid}")
    return tid


def _with_period(table: Table, tid: str) -> Table:
    if tid in table.periods:
        raise UnknownPublication(f"{table.id} already has the period {tid}")
    return replace(table, periods=tuple(sorted((*table.periods, tid), key=tids.order)))


def _dimension(table: Table, var: str | None) -> Dimension:
    for dimension in table.dimensions:
        if var is None or dimension.id.upper() == var.upper():
            return dimension
    raise UnknownPublication(f"{table.id} has no variable {var}")


def _with_dimension(table: Table, changed: Dimension) -> Table:
    dimensions = (changed if held.id == changed.id else held for held in table.dimensions)
    return replace(table, dimensions=tuple(dimensions))
