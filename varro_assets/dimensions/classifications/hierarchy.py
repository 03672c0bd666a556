"""Hierarchy: the tree that a published classification describes by order and level.

What belongs here: from lines to members with their parents, and every reason why lines form no tree. Pure. Reading the
file is `csv_file`, storing the members is `dim_table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.models import Dimension, Member
from varro_assets.errors import InvalidHierarchy

_SHOWN = 5
"""Offending lines that an error quotes; it counts the others."""


def dimension(
    name: str,
    title: str,
    rows: Sequence[PublishedRow],
    *,
    source: str,
    page: str = "",
    description: str = "",
    level_names: Mapping[int, str] | None = None,
    skip_blank: bool = False,
) -> Dimension:
    """The dimension that these lines make.

    Args:
        name: as `models.dimension_name` makes it.
        title: for people; the name where it is blank.
        rows: as published, in any order.
        source: address or description of where they come from.
        page: address of the page that explains it.
        description: plain Markdown.
        level_names: level -> what its members are called.
        skip_blank: as `members`.

    Raises:
        InvalidHierarchy: as `members`.
    """
    return Dimension(
        name=name,
        title=title.strip() or name,
        members=members(rows, on=name, skip_blank=skip_blank),
        source=source,
        page=page,
        description=description,
        level_names=dict(level_names or {}),
    )


def members(rows: Sequence[PublishedRow], *, on: str, skip_blank: bool = False) -> tuple[Member, ...]:
    """Members in the order of SEKVENS, each with its parent: the nearest earlier line one level up.

    The publisher prints no parents; the order tells (statbank-api 9). A line may be any number of levels above the
    one before it, but only one below, and the first stands on level 1.

    Args:
        rows: as published, in any order.
        on: name of the classification, for errors.
        skip_blank: leave out lines without a code, as a few published files have them.

    Raises:
        InvalidHierarchy: no lines; a level is skipped; a child stands before its parent; SEKVENS or a code and level
            stand twice; a code or title is blank; a line without a code is to be left out, but others stand below it.
            Names the first few lines and says how many there are.
    """
    ordered = sorted(rows, key=lambda row: row.sekvens)
    problems = [*_twice(ordered), *_unreadable(ordered, skip_blank=skip_blank)]
    kept = [row for row in ordered if row.kode.strip()] if skip_blank else ordered
    if not kept:
        problems.append("no line with a code")
    made: list[Member] = []
    above: list[PublishedRow] = []
    for row in kept:
        if row.niveau > len(above) + 1:
            # the reason takes a search, so that it is found only where it is shown
            why = _gap(row, above, kept) if len(problems) < _SHOWN else "no parent"
            problems.append(f"{_place(row)}: {why}")
            continue
        # a level below 1 is a problem already; it must not reach the parents of others
        del above[max(row.niveau - 1, 0) :]
        parent = above[-1] if above else None
        made.append(
            Member(row.kode, row.niveau, row.titel)
            if parent is None
            else Member(row.kode, row.niveau, row.titel, parent.kode, parent.niveau)
        )
        above.append(row)
    _refuse(problems, on)
    return tuple(made)


def check(dimension: Dimension) -> None:
    """Make sure that a dimension's members are a tree in traversal order, however they were made.

    Raises:
        InvalidHierarchy: there are none, a code and level stand twice, or a parent does not stand one level up and
            earlier.
    """
    problems = [] if dimension.members else ["no members"]
    seen: set[tuple[str, int]] = set()
    for member in dimension.members:
        place = f"code {member.kode!r} on level {member.niveau}"
        if member.key in seen:
            problems.append(f"{place}: stands twice")
        if member.parent_kode is None or member.parent_niveau is None:
            if (member.niveau, member.parent_kode, member.parent_niveau) != (1, None, None):
                problems.append(f"{place}: has no parent, and only level 1 needs none")
        elif member.parent_niveau != member.niveau - 1:
            problems.append(f"{place}: its parent stands on level {member.parent_niveau}")
        elif (member.parent_kode, member.parent_niveau) not in seen:
            problems.append(f"{place}: its parent {member.parent_kode!r} does not stand before it")
        seen.add(member.key)
    _refuse(problems, dimension.name)


def _twice(ordered: Sequence[PublishedRow]) -> Iterable[str]:
    places: dict[int, PublishedRow] = {}
    keys: dict[tuple[str, int], PublishedRow] = {}
    for row in ordered:
        first = places.setdefault(row.sekvens, row)
        if first is not row:
            yield f"{_place(row)}: SEKVENS {row.sekvens} stands on line {first.line} too, so the order is open"
        # a blank code is a problem of its own, and may be repeated where it is left out
        same = keys.setdefault((row.kode, row.niveau), row) if row.kode.strip() else row
        if same is not row:
            yield f"{_place(row)}: the same code stands on this level already, on line {same.line}"


def _unreadable(ordered: Sequence[PublishedRow], *, skip_blank: bool) -> Iterable[str]:
    for number, row in enumerate(ordered):
        blank = not row.kode.strip()
        if row.niveau < 1:
            yield f"{_place(row)}: levels begin at 1"
        if blank and not skip_blank:
            yield f"{_place(row)}: the code is blank"
        elif blank and number + 1 < len(ordered) and ordered[number + 1].niveau > row.niveau:
            yield f"{_place(row)}: the code is blank and lines stand below it, so it cannot be left out"
        elif not blank and not row.titel.strip():
            yield f"{_place(row)}: the title is blank"
        if "\0" in row.kode + row.titel:
            yield f"{_place(row)}: holds a NUL character"


def _gap(row: PublishedRow, above: Sequence[PublishedRow], rows: Sequence[PublishedRow]) -> str:
    """Why the row has no parent: SEKVENS puts it before its parent, or there is none."""
    later = next(
        (p for p in rows if p.niveau == row.niveau - 1 and p.line < row.line and p.sekvens > row.sekvens), None
    )
    if later is not None:
        return (
            f"a child before its parent: line {later.line} ({later.kode!r}, level {later.niveau}) stands above it in"
            f" the file, but SEKVENS {later.sekvens} puts it after {row.sekvens}"
        )
    if not above:
        return "nothing stands above it: the first line must be on level 1"
    last = above[-1]
    return f"a level is skipped: it follows line {last.line} ({last.kode!r}) on level {last.niveau}"


def _place(row: PublishedRow) -> str:
    return f"line {row.line} ({row.kode!r}, level {row.niveau})"


def _refuse(problems: Sequence[str], on: str) -> None:
    if not problems:
        return
    more = len(problems) - _SHOWN
    raise InvalidHierarchy(
        "make a hierarchy of",
        on=on,
        got="; ".join(problems[:_SHOWN]) + (f"; and {more} more of {len(problems)} problems" if more > 0 else ""),
        todo="Nothing was stored. Correct the file, or wait until the publisher has.",
    )
