"""Words of titles, units and labels tell what kind of number it is."""

from __future__ import annotations

import pytest

from varro_assets.context.text import number_words
from varro_assets.dimensions.links.column_kinds import is_unit


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Gennemsnit pr. kamp", True),
        ("Tilskuere pr. kamp", True),
        ("Andel af alle familier", True),
        ("Udskrivninger (pct.)", True),
        ("Tilskuere", False),
        ("Under 10 pct.", False),
        ("Andel", False),
        ("Andelsbolig", False),
        ("Indeksobligationer", False),
        ("Handel", False),
    ],
)
def test_a_kind_of_number_among_categories(label: str, expected: bool) -> None:
    assert number_words.is_rate_label(label) is expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Befolkningen den 1. i kvartalet", True),
        ("Befolkningen 1. januar", True),
        ("Bestanden af personbiler pr. 1. januar", True),
        ("Job ultimo november", True),
        ("Befolkningen primo", True),
        ("Strafferetlige afgørelser", False),
        ("Biler pr. 1.000 indbyggere", False),
        ("Børn født 2. august - 31. december", False),
    ],
)
def test_figures_of_a_moment(words: str, expected: bool) -> None:
    assert number_words.is_stock(words) is expected


def test_units_and_chained_values() -> None:
    assert number_words.bracketed("Løbende priser, (mia. kr.)") == "mia. kr."
    assert number_words.bracketed("Straf (§89) alene") is None
    assert is_unit("mio. timer")
    assert is_unit("1.000 personer")
    assert not is_unit("BUPL-A")
    assert number_words.is_chained("2020-priser, kædede værdier, (mia. kr.)")
    assert not number_words.is_chained("Løbende priser")
