"""What is found by what somebody types, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.context.asking import likeness

AREAS = [
    ("000", "Hele landet"),
    ("084", "Region Hovedstaden"),
    ("01", "Byen København"),
    ("02", "Københavns omegn"),
    ("101", "København"),
    ("147", "Frederiksberg"),
    ("751", "Aarhus"),
    ("851", "Aalborg"),
    ("492", "Ærø"),
    ("400", "Bornholm"),
    ("x101", "Café Ålborg"),
]


def _found(text: str) -> list[str]:
    return [AREAS[position][1] for position in likeness.ranked(text, AREAS)]


@pytest.mark.parametrize("text", ["kobenhavn", "koebenhavn", "KØBENHAVN", "København", "Köbenhavn", "  københavn "])
def test_danish_letters_may_be_written_as_one_can(text: str) -> None:
    assert _found(text) == ["København", "Københavns omegn", "Byen København"]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("101", "København"),
        ("X101", "Café Ålborg"),
        ("01", "Byen København"),
        ("århus", "Aarhus"),
        ("Arhus", "Aarhus"),
        ("aeroe", "Ærø"),
        ("cafe", "Café Ålborg"),
        ("hovedstaden", "Region Hovedstaden"),
        ("kobenhvan", "København"),
        ("frederiksbjerg", "Frederiksberg"),
        ("hovedstaden region", "Region Hovedstaden"),
        ("75", "Aarhus"),
    ],
)
def test_the_best_comes_first(text: str, first: str) -> None:
    assert _found(text)[0] == first


@pytest.mark.parametrize("text", ["xyzzy", "", " ", "%", "999"])
def test_what_fits_nothing_finds_nothing(text: str) -> None:
    assert _found(text) == []


def test_equals_stay_in_their_order() -> None:
    values = [("b", "Samme"), ("a", "Samme"), ("c", "Samme")]
    assert likeness.ranked("samme", values) == [0, 1, 2]
    assert likeness.ranked("samme", values[::-1]) == [0, 1, 2]


@given(st.text(alphabet="abeomøåæÆØÅ -é", max_size=12))
@settings(deadline=None)
def test_spelling_letters_out_changes_nothing(text: str) -> None:
    spelled = text
    for letter, written in (("æ", "ae"), ("ø", "oe"), ("å", "aa"), ("Æ", "Ae"), ("Ø", "Oe"), ("Å", "AA")):
        spelled = spelled.replace(letter, written)
    assert likeness.folded(spelled) == likeness.folded(text)
    assert likeness.folded(text.upper()) == likeness.folded(text)


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=8)), max_size=8), st.data())
@settings(deadline=None)
def test_a_code_typed_as_it_is_comes_first(values: list[tuple[str, str]], data: st.DataObject) -> None:
    if codes := [code for code, _ in values if code.strip() == code and code]:
        code = data.draw(st.sampled_from(codes))
        order = likeness.ranked(code, values)
        assert values[order[0]][0] == code
        assert len(set(order)) == len(order)
