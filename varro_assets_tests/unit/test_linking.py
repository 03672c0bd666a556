"""Linking: which dimension a column joins, from evidence alone."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from varro_assets.dimensions.links.linking import OVERLAP, THRESHOLD, Linker, candidates, measured, propose
from varro_assets.dimensions.links.normalisation import named
from varro_assets.dimensions.models import Dimension, FactColumn, Link, MatchType, Unmatched
from varro_assets_tests.linking_examples import column, demo_columns, dimension, published

DIMENSIONS = list(published().values())
NUTS = next(one for one in DIMENSIONS if one.name == "nuts")
GROUPS = next(one for one in DIMENSIONS if one.name == "kommunegrupper")
DEMO = {(one.table, one.variable): one for one in demo_columns()}


def coded(name: str, *levels: int, variable: str = "X", label: str = "x", before: str = "") -> FactColumn:
    """A column that has whole levels of a dimension."""
    members = next(one for one in DIMENSIONS if one.name == name).members
    return column(variable, label, {before + m.kode: m.titel for m in members if m.niveau in levels})


def proposed(one: FactColumn, dimensions: list[Dimension] = DIMENSIONS) -> Link:
    link = propose(one, dimensions)
    assert link is not None
    return link


def test_folk1a_links_exactly_with_the_country_as_total() -> None:
    link = proposed(DEMO["FOLK1A", "OMRÅDE"])
    assert (link.dimension, link.match_type, link.normalisation) == ("nuts", MatchType.EXACT, "identity")
    assert (link.join, link.join_override) == ("f.omrade = d.kode", None)
    assert link.unmatched == (Unmatched("000", "Hele landet", total=True),)
    assert (link.levels, dict(link.level_coverage)) == ((1, 3), {1: (5, 5), 3: (99, 99)})
    assert link.coverage == 1.0
    assert link.repeated == ()
    assert "000 Hele landet" in link.note
    assert any("104 of 104 codes" in reason for reason in link.reasons)


@pytest.mark.parametrize(
    ("table", "variable", "expected"),
    [
        ("VAN5", "OMRÅDE", "nuts"),
        ("VAN5", "INDVLAND", "lande_uhv"),
        ("BYGB70", "OMRÅDE", "nuts"),
        ("BYGB70", "ANVEND", "byganv"),
        ("FRDK126", "HERKOMST", "herkomst"),
        ("LABY43", "KOMGRP", "kommunegrupper"),
        ("STRAF42", "OVERTRÆD", "overtraedtype"),
        ("NABB69", "BRANCHE", "nr_branche"),
        ("FT", "HOVEDDELE", None),
        ("FV22TOTA", "VALRES", None),
        ("BIL10", "EGEN", None),
        ("PRIS111", "ENHED", None),
        ("FOLK1A", "KØN", None),
        ("FOLK1A", "ALDER", None),
        ("FOLK1A", "CIVILSTAND", None),
    ],
)
def test_the_demo(table: str, variable: str, expected: str | None) -> None:
    link = propose(DEMO[table, variable], DIMENSIONS)
    assert (link.dimension if link else None) == expected


def test_sex_does_not_link_to_a_dimension_of_sexes() -> None:
    koen = next(one for one in DIMENSIONS if one.name == "koen")
    codes = {member.kode: member.titel for member in koen.members}
    assert candidates(column("KØN", "køn", codes), DIMENSIONS) == []


def test_municipalities_alone_are_geography() -> None:
    # 98 without Christiansø are all of kommunegrupper's second level, and all but one of nuts' third
    without = {m.kode: m.titel for m in GROUPS.members if m.niveau == 2}
    assert len(without) == 98
    for label in ("område", "kommune"):
        assert proposed(column("OMRÅDE", label, without)).dimension == "nuts"
    assert proposed(coded("nuts", 3)).dimension == "nuts"


def test_groups_with_their_municipalities_are_groups() -> None:
    link = proposed(coded("kommunegrupper", 1, 2))
    assert (link.dimension, link.levels) == ("kommunegrupper", (1, 2))


def test_codes_alone_are_no_evidence() -> None:
    many = dimension("many", "Mange", [(f"{number:05}", 1, f"Titel nr. {number}") for number in range(16_000)])
    three = column("X", "x", {"00001": "Rød", "00002": "Gul", "00003": "Blå"})
    assert propose(three, [many]) is None
    (link,) = candidates(three, [many])
    assert link.coverage == 1.0
    assert link.score < THRESHOLD


def test_normalisation_is_found() -> None:
    made = dimension("d", "Brancher", [("01000", 1, "Landbrug"), ("03000", 1, "Fiskeri"), ("06090", 1, "Råstoffer")])
    prefixed = column("BRANCHE", "branche", {"V01000": "Landbrug", "V03000": "Fiskeri", "V06090": "Råstoffer"})
    link = proposed(prefixed, [made])
    assert link.normalisation in ("prefix V", "letters before")
    assert link.join_override is not None
    assert "f." not in link.join_override
    short = column("BRANCHE", "branche", {"1000": "Landbrug", "3000": "Fiskeri", "6090": "Råstoffer"})
    assert proposed(short, [made]).normalisation == "zeros"
    dotted = column("BRANCHE", "branche", {"01 00.0": "Landbrug", "03 00.0": "Fiskeri", "06 09.0": "Råstoffer"})
    assert proposed(dotted, [made]).normalisation == "marks"


def test_letters_that_are_codes_themselves_need_the_prefix() -> None:
    made = dimension("d", "Brancher", [("A", 1, "Landbrug"), ("B", 1, "Råstoffer"), ("06090", 2, "Olie")])
    link = proposed(column("BRANCHE", "branche", {"VA": "Landbrug", "VB": "Råstoffer", "V06090": "Olie"}), [made])
    assert link.normalisation == "prefix V"
    assert (link.join, link.join_override) == ("f.branche = 'V' || d.kode", "branche = 'V' || kode")
    assert link.match_type is MatchType.EXACT


def test_a_normalisation_may_not_make_two_codes_equal() -> None:
    made = dimension("d", "Brancher", [("1", 1, "Landbrug"), ("2", 1, "Fiskeri")])
    both = column("X", "x", {"01": "Landbrug", "001": "Landbrug", "02": "Fiskeri", "002": "Fiskeri"})
    assert candidates(both, [made]) == []
    assert measured(both, made, named("zeros")) is None


def test_missing_codes_make_it_approximate() -> None:
    regions = {m.kode: m.titel for m in NUTS.members if m.niveau == 1}
    link = proposed(column("OMRÅDE", "område", {"000": "Hele landet"} | regions | {"998": "Uoplyst region"}))
    assert link.match_type is MatchType.APPROX
    assert link.unmatched[1] == Unmatched("998", "Uoplyst region", total=False)
    assert link.coverage == pytest.approx(5 / 6)
    assert "998 Uoplyst region" in link.note


def test_codes_on_several_levels_are_named() -> None:
    made = dimension("d", "D", [("1", 1, "Bolig"), ("110", 2, "Stuehus"), ("110", 3, "Stuehus"), ("120", 3, "Villa")])
    link = proposed(column("X", "x", {"110": "Stuehus", "120": "Villa"}), [made])
    assert (link.repeated, link.levels) == (("110",), (2, 3))
    assert "110" in link.note


def test_a_total_with_the_code_of_something_else() -> None:
    made = dimension("disco", "DISCO", [("0", 1, "Militært arbejde"), ("1", 1, "Ledelse"), ("2", 1, "Viden")])
    link = proposed(column("ARB", "arbejdsfunktion", {"0": "I alt", "1": "Ledelse", "2": "Viden"}), [made])
    assert link.coverage == 1.0
    assert "leave them out: 0 I alt" in link.note
    fine = column("ARB", "arbejdsfunktion", {"0": "Militært arbejde", "1": "Ledelse", "2": "Viden"})
    assert proposed(fine, [made]).note == ""


def test_the_publishers_map_decides_between_equals() -> None:
    codes = {m.kode: m.titel for m in GROUPS.members if m.niveau == 2}
    # of the same codes, titles and number of levels; only the level's name tells them apart
    twin = replace(GROUPS, name="a", title="A", level_names={})
    other = replace(GROUPS, name="b", title="B", level_names={2: "Kommune"})
    on_map = column("X", "x", codes, on_map="Denmark_municipality_07")
    assert proposed(on_map, [twin, other]).dimension == "b"
    assert proposed(column("X", "x", codes), [twin, other]).dimension == "a", "by name, where nothing else tells"


def test_the_order_of_dimensions_does_not_matter() -> None:
    linker = Linker()
    orders = [DIMENSIONS, DIMENSIONS[::-1], random.Random(3).sample(DIMENSIONS, len(DIMENSIONS))]
    for one in DEMO.values():
        answers = [linker.candidates(one, order) for order in orders]
        assert answers[0] == answers[1] == answers[2] == candidates(one, DIMENSIONS)


def test_candidates_are_ordered_and_have_evidence() -> None:
    listed = candidates(DEMO["FOLK1A", "OMRÅDE"], DIMENSIONS)
    assert [link.dimension for link in listed[:2]] == ["nuts", "kommunegrupper"]
    assert all(a.score >= b.score for a, b in itertools.pairwise(listed))
    assert all(link.coverage >= OVERLAP and link.reasons for link in listed)


def test_a_linker_sees_that_a_dimension_changed() -> None:
    linker = Linker()
    area = DEMO["VAN5", "OMRÅDE"]
    assert linker.propose(area, [NUTS]) is not None
    renamed = replace(NUTS, members=tuple(replace(m, titel=f"Titel {m.kode}") for m in NUTS.members))
    assert linker.propose(area, [renamed]) is None
    assert linker.propose(area, [NUTS]) is not None
    assert linker.propose(area, []) is None


def test_a_column_of_nothing_but_a_total() -> None:
    assert propose(column("OMRÅDE", "område", {"000": "Hele landet"}), DIMENSIONS) is None
