"""Codes that hold others are recognised by label and code, and plain lists are left in peace."""

from __future__ import annotations

import pytest

from varro_assets.dimensions.links.overlaps import overlaps
from varro_assets.dimensions.models import Code, FactColumn


def found(*pairs: str, label: str = "art") -> dict[str, tuple[str, ...]]:
    """``"20 Indvandrere"`` → code -> codes inside it."""
    codes = tuple(Code(*pair.split(" ", 1)) for pair in pairs)
    return {one.code: one.parts for one in overlaps(FactColumn("T", "ART", "art", label, codes))}


# labels and codes as StatBank publishes them: RAS200, DNRNURI, AUK01, PRIS117, STRAF42, ARE1, INDKP101, BEV107
@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (
            ("16-64 16-64 år", "16-65 16-65 år (2020 -)", "16-17 16-17 år", "60-64 60-64 år", "65 65 år og derover"),
            {"16-64": ("16-17", "60-64"), "16-65": ("16-64", "16-17", "60-64")},
        ),
        (("U18 Under 18 år", "0 0 år", "18OV 18 år og derover", "80 80 år"), {"U18": ("0",), "18OV": ("80",)}),
        (
            ("0 I alt", "20 Indvandrere", "24 Indvandrere fra vestlige lande", "30 Efterkommere"),
            {"20": ("24",)},
        ),
        (
            ("ALLE Alle perioder", "M1A - Op til 1 år", "1M -  - Variabel", "6M -  - Over 3 mdr.", "S10A - Over 10 år"),
            {"M1A": ("1M", "6M")},
        ),
        (("1 Udlån", "2 heraf i udlandet", "3 Indlån"), {"1": ("2",)}),
        (("TOT I alt", "TOTLE Nettoledige i alt", "DP Dagpengemodtagere"), {"TOTLE": ()}),
        (("010000 Fødevarer", "011000 Mad", "011100 Brød", "020000 Drikke", "021100 Vin"),
         {"010000": ("011000", "011100"), "011000": ("011100",), "020000": ("021100",)}),
        (("TOT I alt", "1 Straffelov i alt", "11 Vold i alt", "1210 Trusler", "1130 Drab", "1140 Mord", "2 Andet"),
         {"1": ("11", "1210", "1130", "1140"), "11": ("1130", "1140")}),
        (("1 1 Dom", "11 11 Ubetinget", "12 12 Betinget", "2 2 Bøde"), {"1": ("11", "12")}),
        (("A Bebyggelse", "A1 Boliger", "A15 Erhverv", "B Vej"), {"A": ("A1", "A15")}),
        (("110 3 Erhvervsindkomst (4+5+6)", "115 4 Løn"), {"110": ()}),
        (("B01 Levendefødte", "B04 Fødselsoverskud", "B07 Nettoindvandring"), {"B04": (), "B07": ()}),
    ],
)  # fmt: skip
def test_what_holds_what(codes: tuple[str, ...], expected: dict[str, tuple[str, ...]]) -> None:
    assert found(*codes) == expected


@pytest.mark.parametrize(
    "codes",
    [
        ("TOT I alt", "1 Mænd", "2 Kvinder"),
        ("IALT Alder i alt", *(f"{age} {age} år" for age in range(126))),
        ("IALT Alder i alt", "0-4 0-4 år", "5-9 5-9 år", "80- 80 år og derover"),
        tuple(f"{number} {number} Gruppe" for number in range(1, 30)),
        ("1000 Musik", "1010 Forfattere", "1020 Billedkunst"),
        ("10100 Hovedstadsområdet", "46100 Odense", "85100 Aalborg", "99999 Landdistrikter"),
        ("-5 -5 år", "6 6 år", "7 7 år"),
        ("D1 Heste", "D14 Malkekøer", "D15 Ammekøer"),
        ("U Ugift", "G Gift/separeret", "F Fraskilt", "UOPL Uoplyst"),
        ("Z01 Alle valutaer", "DKK - heraf DKK", "EUR - heraf EUR"),
    ],
)
def test_plain_lists_hold_nothing(codes: tuple[str, ...]) -> None:
    assert found(*codes, label="alder" if "år" in codes[-1] else "art") == {}
