"""Totals: which codes stand for all the others."""

from __future__ import annotations

import pytest

from varro_assets.dimensions.links.totals import totals
from varro_assets_tests.linking_examples import column


@pytest.mark.parametrize(
    ("label", "codes", "expected"),
    [
        ("område", {"000": "Hele landet", "081": "Region Nordjylland"}, ("000",)),
        ("køn", {"M": "Mænd", "K": "Kvinder", "TOT": "I alt"}, ("TOT",)),
        ("alder", {"IALT": "Alder i alt", "0": "0 år", "1": "1 år"}, ("IALT",)),
        ("herkomst", {"5": "Personer med dansk oprindelse", "00": "Total"}, ("00",)),
        # a sub-total is no total beside a whole one
        (
            "overtrædelsens art",
            {"TOT": "I alt", "1": "Straffelov i alt", "11": "Seksualforbrydelser", "3": "Særlov"},
            ("TOT",),
        ),
        # nor alone, when it heads some of the others
        ("overtrædelsens art", {"1": "Straffelov i alt", "11": "Seksualforbrydelser", "3": "Særlov"}, ()),
        ("sektor", {"1": "Stat i alt", "2": "Kommuner i alt"}, ()),
        ("branche", {"X": "Brancher i alt", "A": "Landbrug i alt", "B": "Industri"}, ("X",)),
        ("branche", {"TOT": "Alle brancher", "A": "Landbrug i alt", "B": "Industri"}, ("TOT",)),
        ("uddannelse", {"H10": "Grundskole", "H90": "Uoplyst"}, ()),
        ("varegruppe", {"000000": "Forbrugerprisindekset i alt", "01": "Fødevarer"}, ("000000",)),
        ("land", {"5100": "Danmark", "5110": "Grønland"}, ()),
        ("område", {"000": "Danmark", "081": "Region Nordjylland"}, ("000",)),
        ("kategori", {"1": "Hele familier", "2": "Delte familier"}, ("1",)),
        ("alder", {"0": "0 år", "1": "1 år"}, ()),
        ("tom", {}, ()),
    ],
)
def test_totals(label: str, codes: dict[str, str], expected: tuple[str, ...]) -> None:
    assert totals(column("X", label, codes)) == expected
