"""Hierarchy: any tree, printed in traversal order and shuffled, comes back; what no longer is that tree is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.dimensions.classifications import hierarchy
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.models import Member
from varro_assets.errors import InvalidHierarchy

FEW = settings(max_examples=100, deadline=None)


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[PublishedRow], tuple[Member, ...]]:
    """Lines in traversal order, and the members they stand for, made from the other side: parents first drawn."""
    parents = draw(st.lists(st.integers(-1, 30), min_size=1, max_size=25))
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        children.setdefault(parent if parent < node else -1, []).append(node)
    # few codes on many levels, so that one code stands on several
    repeats = draw(st.booleans())
    steps = draw(st.lists(st.integers(1, 5), min_size=len(parents), max_size=len(parents)))
    rows: list[PublishedRow] = []
    members: list[Member] = []
    used: dict[int, int] = {}

    def visit(node: int, parent: Member | None) -> None:
        niveau = parent.niveau + 1 if parent else 1
        used[niveau] = used.get(niveau, 0) + 1
        kode = f"{used[niveau]:02}" if repeats else f"n{node}"
        above = (parent.kode, parent.niveau) if parent else (None, None)
        member = Member(kode, niveau, f"titel {node}", *above)
        sekvens = (rows[-1].sekvens if rows else 0) + steps[len(rows)]
        rows.append(PublishedRow(len(rows) + 1, sekvens, kode, niveau, member.titel))
        members.append(member)
        for child in children.get(node, []):
            visit(child, member)

    for top in children[-1]:
        visit(top, None)
    return rows, tuple(members)


@FEW
@given(trees(), st.randoms(use_true_random=False))
def test_a_shuffled_tree_comes_back(tree: tuple[list[PublishedRow], tuple[Member, ...]], random: st.Random) -> None:
    rows, expected = tree
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert hierarchy.members(rows, on="x") == expected
    assert hierarchy.members(shuffled, on="x") == expected


@FEW
@given(trees())
def test_every_way_up_ends_on_level_1(tree: tuple[list[PublishedRow], tuple[Member, ...]]) -> None:
    made = hierarchy.dimension("x", "x", tree[0], source="s")
    by_key = {member.key: member for member in made.members}
    for member in made.members:
        here = member
        while here.parent_kode is not None and here.parent_niveau is not None:
            assert here.parent_niveau == here.niveau - 1
            here = by_key[here.parent_kode, here.parent_niveau]
        assert here.niveau == 1
    hierarchy.check(made)


@FEW
@given(trees(), st.data())
def test_what_is_no_longer_a_tree_is_refused(
    tree: tuple[list[PublishedRow], tuple[Member, ...]], data: st.DataObject
) -> None:
    rows = list(tree[0])
    at = data.draw(st.integers(0, len(rows) - 1))
    row = rows[at]
    before = rows[at - 1].niveau if at else 0
    broken = data.draw(
        st.sampled_from(
            [
                replace(row, niveau=before + data.draw(st.integers(2, 4))),
                replace(row, niveau=0),
                replace(row, kode=data.draw(st.sampled_from(["", " ", "\t"]))),
                replace(row, titel=" "),
                *([replace(row, sekvens=rows[at - 1].sekvens)] if at else []),
            ]
        )
    )
    rows[at] = broken
    with pytest.raises(InvalidHierarchy, match=f"line {row.line} "):
        hierarchy.members(rows, on="x")


@FEW
@given(trees(), st.data())
def test_a_line_twice_is_refused(tree: tuple[list[PublishedRow], tuple[Member, ...]], data: st.DataObject) -> None:
    rows = list(tree[0])
    row = data.draw(st.sampled_from(rows))
    last = rows[-1]
    rows.append(replace(row, line=last.line + 1, sekvens=last.sekvens + 1))
    with pytest.raises(InvalidHierarchy, match=f"the same code stands on this level already, on line {row.line}"):
        hierarchy.members(rows, on="x")


@FEW
@given(trees(), st.data())
def test_a_child_that_sekvens_puts_before_every_parent_is_refused(
    tree: tuple[list[PublishedRow], tuple[Member, ...]], data: st.DataObject
) -> None:
    rows = list(tree[0])
    children = [number for number, row in enumerate(rows) if row.niveau > 1]
    if not children:
        return
    at = data.draw(st.sampled_from(children))
    rows[at] = replace(rows[at], sekvens=0)
    with pytest.raises(InvalidHierarchy, match="a child before its parent"):
        hierarchy.members(rows, on="x")
