"""Code list: levels of Danish areas told from labels and codes, totals left out, anything else flat."""

from __future__ import annotations

import pytest

from varro_assets.dimensions.classifications import code_list, hierarchy
from varro_assets.dimensions.models import DIMENSION_NAME, Code, FactColumn
from varro_assets.errors import ConfigurationError, InvalidHierarchy

MAP = "Denmark_municipality_07"


def _column(*labels: str, of_map: str | None = MAP, label: str = "område") -> FactColumn:
    """Codes written as ``084 Region Hovedstaden``."""
    codes = tuple(Code(*text.split(" ", 1)) for text in labels)
    return FactColumn("T1", "OMRÅDE", "omrade", label, codes, of_map)


def _levels(column: FactColumn) -> dict[str, int]:
    return {row.kode: row.niveau for row in code_list.rows_of(column)}


def _parents(column: FactColumn) -> dict[str, str | None]:
    return {member.kode: member.parent_kode for member in code_list.dimension_of(column, name="omrade").members}


THREE = (
    "000 Hele landet",
    "084 Region Hovedstaden",
    "01 Landsdel Byen København",
    "101 København",
    "04 Landsdel Bornholm",
    "400 Bornholm",
    "411 Christiansø",
    "085 Region Sjælland",
    "05 Landsdel Østsjælland",
    "253 Greve",
    "999 Uden for Danmark",
)


def test_regions_landsdele_and_municipalities() -> None:
    made = code_list.dimension_of(_column(*THREE), name="denmark")
    assert [(member.kode, member.niveau, member.parent_kode) for member in made.members] == [
        ("084", 1, None),
        ("01", 2, "084"),
        ("101", 3, "01"),
        ("04", 2, "084"),
        ("400", 3, "04"),
        ("411", 3, "04"),
        ("085", 1, None),
        ("05", 2, "085"),
        ("253", 3, "05"),
        ("999", 1, None),
    ]
    assert (made.name, made.title) == ("denmark", f"område ({MAP})")
    assert made.source == "StatBank code list T1 OMRÅDE"
    # regions share their level with what lies outside Denmark
    assert made.level_names == {2: "Landsdel", 3: "Kommune"}


def test_lines_are_numbered_and_can_be_stored_like_a_classification() -> None:
    column = _column(*THREE)
    rows = code_list.rows_of(column)
    assert [row.sekvens for row in rows] == [row.line for row in rows] == list(range(1, 11))
    assert hierarchy.members(rows, on="x") == code_list.dimension_of(column, name="x").members


def test_a_region_may_hold_municipalities_directly() -> None:
    column = _column("084 Region Hovedstaden", "101 København", "085 Region Sjælland", "253 Greve", of_map=MAP.lower())
    assert _levels(column) == {"084": 1, "101": 2, "085": 1, "253": 2}
    assert code_list.dimension_of(column, name="x").level_names == {1: "Region", 2: "Kommune"}


def test_old_amts_and_the_two_municipalities_that_were_one() -> None:
    column = _column(
        "000 Hele landet",
        "101 København",
        "147 Frederiksberg",
        "015 Københavns amt",
        "151 Ballerup",
        "080 Nordjyllands Amt",
        "861 Aalestrup",
        "076 Århus amtskommune",
        "751 Århus",
        of_map="Denmark_municipality",
    )
    assert _parents(column) == {
        "101": None,
        "147": None,
        "015": None,
        "151": "015",
        "080": None,
        "861": "080",
        "076": None,
        "751": "076",
    }


def test_groups_of_municipalities() -> None:
    column = _column("1 Hovedstadskommuner", "101 København", "2 Storbykommuner", "461 Odense", of_map="KOMGRP")
    assert _parents(column) == {"1": None, "101": "1", "2": None, "461": "2"}
    assert code_list.dimension_of(column, name="x").level_names == {1: "Kommunegruppe", 2: "Kommune"}


def test_what_is_no_area_ends_the_branch_before_it() -> None:
    column = _column(
        "084 Region Hovedstaden", "101 København", "998 Uoplyst", "147 Frederiksberg", "085 Region Sjælland"
    )
    assert _parents(column) == {"084": None, "101": "084", "998": None, "147": None, "085": None}


@pytest.mark.parametrize("code", ["100", "862", "1010", "10", "1O1", "١٠١"])
def test_municipalities_have_three_digits_of_their_range(code: str) -> None:
    assert _levels(_column("084 Region Hovedstaden", "101 København", f"{code} Et sted"))[code] == 1


def test_one_list_after_another_is_no_tree() -> None:
    column = _column("084 Region Hovedstaden", "085 Region Sjælland", "01 Landsdel Byen København", "02 Landsdel Fyn")
    assert set(_levels(column).values()) == {1}
    both = _column("01 Landsdel Byen København", "02 Landsdel Fyn", "101 København", "461 Odense")
    assert set(_levels(both).values()) == {1}


def test_a_single_region_with_its_municipalities_is_a_tree() -> None:
    assert _levels(_column("084 Region Hovedstaden", "101 København")) == {"084": 1, "101": 2}


def test_other_lists_are_flat() -> None:
    column = _column("TOT I alt", "DK Danmark", "101 Region X", "084 Landsdel Y", of_map="Verden_dk2", label="land")
    made = code_list.dimension_of(column, name="verden_dk2")
    assert [(member.kode, member.niveau) for member in made.members] == [("DK", 1), ("101", 1), ("084", 1)]
    assert (made.title, made.level_names) == ("land (Verden_dk2)", {})
    nowhere = code_list.dimension_of(_column("A Ja", "B Nej", of_map=None, label="svar"), name="svar")
    assert (nowhere.title, nowhere.levels) == ("svar (T1)", (1,))


@pytest.mark.parametrize("total", ["000 Hele landet", "TOT I alt", "IALT Alder i alt", "0 I alt", "000 Danmark"])
def test_a_total_in_front_is_left_out(total: str) -> None:
    assert list(_levels(_column(total, "084 Region Hovedstaden", "101 København"))) == ["084", "101"]


@pytest.mark.parametrize("first", ["0 0 år", "1 Straffelov"])
def test_a_first_code_that_is_no_total_stays(first: str) -> None:
    assert len(_levels(_column(first, "11 Andet", "12 Tredje", of_map=None))) == 3


def test_a_code_without_a_label_is_titled_by_itself() -> None:
    column = FactColumn("T1", "X", "x", "x", (Code("A1", " "), Code("A2", "to")))
    assert [row.titel for row in code_list.rows_of(column)] == ["A1", "to"]


def test_nothing_but_a_total_is_no_dimension() -> None:
    with pytest.raises(InvalidHierarchy, match="no line with a code"):
        code_list.dimension_of(_column("000 Hele landet"), name="x")


def test_a_name_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        code_list.dimension_of(_column(*THREE), name="Ældre; DROP")


NAMES = [
    (MAP, "denmark_municipality_07"),
    ("denmark_municipality_07", "denmark_municipality_07"),
    (" Verden_dk2 ", "verden_dk2"),
    ("KOMGRP", "komgrp"),
    ("Område-kort (2007)", "omrade_kort_2007"),
    ("07_dk", "map_07_dk"),
    ("apple_tree", "apple_tree_map"),
]


@pytest.mark.parametrize(("given", "name"), NAMES, ids=[name for _, name in NAMES])
def test_a_map_names_a_dimension(given: str, name: str) -> None:
    assert code_list.map_dimension_name(given) == name


def test_long_maps_that_begin_alike_differ() -> None:
    names = {code_list.map_dimension_name("denmark_" * 8 + end) for end in ("a", "b")}
    assert len(names) == 2
    assert all(DIMENSION_NAME.fullmatch(name) for name in names)


def test_a_map_without_letters_or_digits_names_nothing() -> None:
    with pytest.raises(ConfigurationError):
        code_list.map_dimension_name(" -- ")
