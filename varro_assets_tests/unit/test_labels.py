"""Labels: folding, cores, stems and likeness."""

from __future__ import annotations

import pytest

from varro_assets.dimensions.links.labels import alike, core, folded, stems


@pytest.mark.parametrize(
    ("text", "plain"),
    [("Århus", "arhus"), ("Aarhus", "arhus"), ("KØN, i alt", "kon i alt"), ("Café-drift", "cafe drift"), ("–", "")],
)
def test_folded(text: str, plain: str) -> None:
    assert folded(text) == plain


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("Landsdel Fyn", "fyn"),
        ("Region Hovedstaden", "hovedstaden"),
        ("Odense Kommune", "odense"),
        ("10-12 Føde-, drikkevarer", "fode drikkevarer"),
        ("C Industri", "industri"),
        ("H10 Grundskole", "grundskole"),
        ("Region", "region"),
        ("15 år", "15 ar"),
        ("122 Betinget dom", "betinget dom"),
    ],
)
def test_core(text: str, bare: str) -> None:
    assert core(text) == bare


def test_alike() -> None:
    assert alike("Landsdel Fyn", "Fyn") == 1.0
    assert alike("Straffelov i alt", "Straffelov") >= 0.9
    assert alike("Indvandrere", "Færdselslov") < 0.6
    assert alike("", "Fyn") == 0.0
    assert alike("122 Betinget dom", "Betinget dom") == alike("01.21 Føde", "121 Føde") == 1.0
    assert alike("1-9 ansatte", "10-49 ansatte") <= 0.5
    assert alike("By", "By og land") < 0.9, "two letters are part of too much"


def test_stems_leave_out_what_says_nothing() -> None:
    assert stems("Regioner og landsdele (NUTS)") == {"region", "landsdel", "nuts"}
    assert stems("kommunegruppe") == stems("Kommunegrupper") != stems("kommune")
    assert stems("type") == frozenset()
