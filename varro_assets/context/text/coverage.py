"""Coverage: which part of a dimension a column's codes stand for.

What belongs here: the members behind the codes, the top members above them, and what a filter on one level leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from varro_assets.context.cards import ColumnCard
from varro_assets.dimensions.links.normalisation import named
from varro_assets.dimensions.models import Dimension, Member
from varro_assets.errors import InvalidLink

Key: TypeAlias = tuple[str, int]
"""Code and level."""


def held(column: ColumnCard) -> tuple[Member, ...] | None:
    """Members that the column's codes, totals left out, stand for, in the dimension's order.

    None where that cannot be told from the codes: the column joins nothing, or by a condition of people's own.
    """
    link, dimension = column.link, column.dimension
    if link is None or dimension is None:
        return None
    try:
        way = named(link.normalisation)
    except InvalidLink:
        return None
    if way.join_sql(column.name) != link.join:
        return None
    wanted = {way.fact_key(code) for code in column.labels if code not in column.totals} - {None}
    levels = set(column.levels)
    return tuple(one for one in dimension.members if one.niveau in levels and way.dim_key(one.kode) in wanted)


def tops(dimension: Dimension, members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Members of level 1 that these are, or stand below."""
    parents = _parents(dimension)
    found = {_above(parents, member.key)[-1] for member in members}
    return tuple(member for member in dimension.at(1) if member.key in found)


def left_out(dimension: Dimension, members: tuple[Member, ...]) -> dict[int, tuple[Member, ...]]:
    """Level -> members whose figures a filter on it loses: none of them on the level is above, below or the same.

    Codes of different depth do that: a branch that ends on level 2 is missing among those of level 3.
    """
    parents = _parents(dimension)
    lines = {member.key: set(_above(parents, member.key)) for member in members}
    found: dict[int, tuple[Member, ...]] = {}
    for level in sorted({member.niveau for member in members}):
        there = {member.key for member in members if member.niveau == level}
        covered = set().union(*(lines[key] for key in there))
        lost = tuple(one for one in members if one.key not in covered and not lines[one.key] & there)
        if lost:
            found[level] = lost
    return found


def _parents(dimension: Dimension) -> Mapping[Key, Key | None]:
    return {
        one.key: None if one.parent_kode is None or one.parent_niveau is None else (one.parent_kode, one.parent_niveau)
        for one in dimension.members
    }


def _above(parents: Mapping[Key, Key | None], key: Key) -> list[Key]:
    """The member and all above it, the top last."""
    line = [key]
    while (above := parents[line[-1]]) is not None:
        line.append(above)
    return line
