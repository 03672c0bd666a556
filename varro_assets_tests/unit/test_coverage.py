"""Which part of a dimension a column stands for, and what a filter on one level would lose."""

from __future__ import annotations

import dataclasses

from varro_assets.context.cards import ColumnCard
from varro_assets.context.text import coverage
from varro_assets.dimensions.models import Member
from varro_assets_tests.context_material import KON, NUTS, OMRADE, carded, info, links_of, values


def column(*codes: str) -> ColumnCard:
    """OMRÅDE with these codes only."""
    table = info(variables=(OMRADE | {"values": values(*codes)}, KON))
    return carded(table, links=links_of(table, NUTS)).columns[0]


def kept(members: tuple[Member, ...] | None) -> list[str]:
    return [member.kode for member in members or ()]


def test_members_and_the_tops_above_them() -> None:
    one = column("000 Hele landet", "101 København", "05 Landsdel Østsjælland")
    members = coverage.held(one)
    assert kept(members) == ["101", "05"]
    assert kept(coverage.tops(NUTS, members or ())) == ["084", "085"]
    assert kept(coverage.tops(NUTS, coverage.held(column("101 København")) or ())) == ["084"]


def test_a_filter_on_one_level_loses_branches_that_end_elsewhere() -> None:
    # Hovedstaden down to municipalities, Sjælland no further than its landsdel
    members = coverage.held(column("084 Region Hovedstaden", "101 København", "05 Landsdel Østsjælland")) or ()
    lost = coverage.left_out(NUTS, members)
    assert {level: kept(those) for level, those in lost.items()} == {1: ["05"], 2: ["084", "101"], 3: ["05"]}
    assert coverage.left_out(NUTS, coverage.held(column("084 Region Hovedstaden", "101 København")) or ()) == {}


def test_nothing_is_told_of_a_column_without_a_link_or_with_a_condition_of_peoples_own() -> None:
    one = column("101 København")
    assert one.link is not None
    assert coverage.held(dataclasses.replace(one, link=None, dimension=None)) is None
    own = dataclasses.replace(one.link, join="LEFT(f.omrade, 3) = d.kode")
    assert coverage.held(dataclasses.replace(one, link=own)) is None
