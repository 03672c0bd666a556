"""Hierarchy: parents by order and level; every way in which lines form no tree, named with its line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from varro_assets.dimensions.classifications import hierarchy
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.models import Member
from varro_assets.errors import InvalidHierarchy

NUTS = [
    PublishedRow(1, 1, "084", 1, "Region Hovedstaden"),
    PublishedRow(2, 2, "01", 2, "Landsdel Byen København"),
    PublishedRow(3, 3, "101", 3, "København"),
    PublishedRow(4, 4, "147", 3, "Frederiksberg"),
    PublishedRow(5, 5, "04", 2, "Landsdel Bornholm"),
    PublishedRow(6, 6, "400", 3, "Bornholm"),
    PublishedRow(7, 7, "085", 1, "Region Sjælland"),
    PublishedRow(8, 8, "05", 2, "Landsdel Østsjælland"),
]


def _rows(*lines: tuple[str, int]) -> list[PublishedRow]:
    return [PublishedRow(number, number, kode, niveau, f"t{number}") for number, (kode, niveau) in enumerate(lines, 1)]


def _refusal(rows: list[PublishedRow], **options: bool) -> str:
    with pytest.raises(InvalidHierarchy) as refused:
        hierarchy.members(rows, on="nuts", **options)
    assert refused.value.on == "nuts"
    return refused.value.got


def test_a_parent_is_the_nearest_line_one_level_up() -> None:
    assert hierarchy.members(NUTS, on="nuts") == (
        Member("084", 1, "Region Hovedstaden"),
        Member("01", 2, "Landsdel Byen København", "084", 1),
        Member("101", 3, "København", "01", 2),
        Member("147", 3, "Frederiksberg", "01", 2),
        Member("04", 2, "Landsdel Bornholm", "084", 1),
        Member("400", 3, "Bornholm", "04", 2),
        Member("085", 1, "Region Sjælland"),
        Member("05", 2, "Landsdel Østsjælland", "085", 1),
    )


def test_sekvens_is_the_order_whatever_the_lines_are() -> None:
    assert hierarchy.members(NUTS[::-1], on="nuts") == hierarchy.members(NUTS, on="nuts")


def test_a_code_may_stand_on_two_levels() -> None:
    members = hierarchy.members(_rows(("1", 1), ("110", 2), ("110", 3), ("120", 3), ("120", 2)), on="byganv")
    assert [(member.key, member.parent_kode, member.parent_niveau) for member in members] == [
        (("1", 1), None, None),
        (("110", 2), "1", 1),
        (("110", 3), "110", 2),
        (("120", 3), "110", 2),
        (("120", 2), "1", 1),
    ]


REFUSED = [
    ([], "no line with a code"),
    (_rows(("1", 2), ("2", 1)), "line 1 ('1', level 2): nothing stands above it: the first line must be on level 1"),
    (
        _rows(("1", 1), ("11", 3)),
        "line 2 ('11', level 3): a level is skipped: it follows line 1 ('1') on level 1",
    ),
    (
        [PublishedRow(1, 7, "084", 1, "a"), PublishedRow(2, 2, "101", 2, "b")],
        (
            "line 2 ('101', level 2): a child before its parent: line 1 ('084', level 1) stands above it in the file,"
            " but SEKVENS 7 puts it after 2"
        ),
    ),
    (
        _rows(("1", 1), ("11", 2), ("2", 1), ("11", 2)),
        "line 4 ('11', level 2): the same code stands on this level already, on line 2",
    ),
    (_rows(("1", 1), ("", 2), ("2", 1)), "line 2 ('', level 2): the code is blank"),
    (_rows(("1", 1), (" \t", 2), ("2", 1)), "line 2 (' \\t', level 2): the code is blank"),
    ([*NUTS[:2], replace(NUTS[2], titel=" ")], "line 3 ('101', level 3): the title is blank"),
    (
        [*NUTS[:2], replace(NUTS[2], sekvens=2)],
        "line 3 ('101', level 3): SEKVENS 2 stands on line 2 too, so the order is open",
    ),
    (_rows(("1", 0)), "line 1 ('1', level 0): levels begin at 1"),
    (_rows(("1", 1), ("2\0", 1)), "line 2 ('2\\x00', level 1): holds a NUL character"),
]


@pytest.mark.parametrize(("rows", "got"), REFUSED, ids=[got.rpartition("): ")[2][:40] for _, got in REFUSED])
def test_lines_that_are_no_tree_are_refused(rows: list[PublishedRow], got: str) -> None:
    assert _refusal(rows) == got


def test_the_first_few_offenders_are_shown_and_all_are_counted() -> None:
    got = _refusal(_rows(("1", 1), *((f"1{number}", 3) for number in range(9))))
    assert got.count("a level is skipped") == 5
    assert got.startswith("line 2 ")
    assert got.endswith("; and 4 more of 9 problems")


def test_very_many_offenders_take_no_search_each() -> None:
    assert _refusal(_rows(*((f"{number}", 2) for number in range(50_000)))).endswith("49995 more of 50000 problems")


def test_lines_without_a_code_are_left_out_if_the_source_says_so() -> None:
    rows = [
        *NUTS[:4],
        PublishedRow(9, 9, "", 3, ""),
        PublishedRow(10, 10, " ", 3, "x"),
        PublishedRow(11, 11, "0", 1, "y"),
    ]
    assert [member.kode for member in hierarchy.members(rows, on="nuts", skip_blank=True)] == [
        *(row.kode for row in NUTS[:4]),
        "0",
    ]
    assert _refusal(rows) == "line 9 ('', level 3): the code is blank; line 10 (' ', level 3): the code is blank"


def test_a_line_without_a_code_that_has_children_cannot_be_left_out() -> None:
    got = _refusal(_rows(("1", 1), ("", 2), ("111", 3)), skip_blank=True)
    assert got.startswith("line 2 ('', level 2): the code is blank and lines stand below it, so it cannot be left out")


def test_nothing_but_blank_codes_is_no_hierarchy() -> None:
    assert _refusal(_rows(("", 1)), skip_blank=True) == "no line with a code"


def test_a_dimension_of_lines() -> None:
    made = hierarchy.dimension(
        "nuts", " ", NUTS, source="https://x/csv", page="https://x", description="d", level_names={1: "Region"}
    )
    assert (made.name, made.title, made.source, made.page, made.description) == (
        "nuts",
        "nuts",
        "https://x/csv",
        "https://x",
        "d",
    )
    assert made.members == hierarchy.members(NUTS, on="nuts")
    assert made.level_names == {1: "Region"}
    assert made.levels == (1, 2, 3)
    hierarchy.check(made)


BROKEN = [
    ((), "no members"),
    ((Member("1", 1, "a"), Member("1", 1, "b")), "code '1' on level 1: stands twice"),
    ((Member("1", 2, "a"),), "code '1' on level 2: has no parent, and only level 1 needs none"),
    ((Member("1", 1, "a", "9", None),), "code '1' on level 1: has no parent, and only level 1 needs none"),
    ((Member("1", 1, "a"), Member("2", 3, "b", "1", 1)), "code '2' on level 3: its parent stands on level 1"),
    (
        (Member("2", 2, "b", "1", 1), Member("1", 1, "a")),
        "code '2' on level 2: its parent '1' does not stand before it",
    ),
]


@pytest.mark.parametrize(("members", "got"), BROKEN, ids=[got[-24:] for _, got in BROKEN])
def test_members_made_otherwise_are_checked(members: tuple[Member, ...], got: str) -> None:
    with pytest.raises(InvalidHierarchy) as refused:
        hierarchy.check(replace(hierarchy.dimension("nuts", "t", NUTS, source="s"), members=members))
    assert refused.value.got == got
