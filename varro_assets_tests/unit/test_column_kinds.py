"""Column kinds: selectors of a measure, sex, age and time are told from categories."""

from __future__ import annotations

import pytest

from varro_assets.dimensions.links.column_kinds import ColumnKind, kind_of
from varro_assets_tests.linking_examples import column, demo_columns, published

MONTHS = ["Januar", "Februar", "Marts", "April"]


@pytest.mark.parametrize(
    ("variable", "label", "codes", "kind"),
    [
        ("KØN", "køn", {"TOT": "I alt", "M": "Mænd", "K": "Kvinder"}, ColumnKind.SEX),
        ("KON2", "forælder", {"1": "Mand", "2": "Kvinde", "9": "Uoplyst"}, ColumnKind.SEX),
        ("BARN", "barn", {"D": "Drenge", "P": "Piger"}, ColumnKind.SEX),
        ("KØN", "køn", {"M": "Mænd", "K": "Kvinder", "V": "Virksomheder"}, ColumnKind.SEX),
        ("ALDER", "alder", {"1664": "16-64", "0": "Alle"}, ColumnKind.AGE),
        ("ALDGRP", "aldersgruppe", {"A": "Unge", "B": "Gamle"}, ColumnKind.AGE),
        ("GRP", "gruppe", {"0-4": "0-4 år", "5-9": "5-9 år", "80-": "80 år og derover"}, ColumnKind.AGE),
        ("ENHED", "enhed", {"100": "Kasse", "200": "Palle"}, ColumnKind.MEASURE),
        ("TAL", "mængde", {"1": "a", "2": "b"}, ColumnKind.MEASURE),
        ("PRISENHED", "prisenhed", {"V": "Løbende priser", "LAN": "2020-priser, kædede værdier"}, ColumnKind.MEASURE),
        ("SÆSON", "sæsonkorrigering", {"N": "Ikke sæsonkorrigeret", "Y": "Sæsonkorrigeret"}, ColumnKind.MEASURE),
        ("X", "x", {"1": "Antal personer", "2": "Pct.", "3": "Mio. kr."}, ColumnKind.MEASURE),
        ("X", "x", {"1": "1.000 kr.", "2": "Indeks"}, ColumnKind.MEASURE),
        ("X", "x", {"-": "-"}, ColumnKind.MEASURE),
        ("X", "x", {str(n): month for n, month in enumerate(MONTHS)}, ColumnKind.TIME),
        ("X", "x", {"1": "Mandag", "2": "Tirsdag"}, ColumnKind.TIME),
        ("FODAAR", "fødselsår", {"1": "a", "2": "b"}, ColumnKind.TIME),
        ("X", "x", {"1990": "1990", "1991": "1991"}, ColumnKind.TIME),
        ("X", "x", {"K1": "1. kvartal", "K2": "2. kvartal"}, ColumnKind.TIME),
        ("ARBTID", "timer pr. uge", {"1": "a", "2": "b"}, ColumnKind.CATEGORY),
        ("OMRÅDE", "område", {"000": "Hele landet", "101": "København"}, ColumnKind.CATEGORY),
        ("YDELSE", "ydelsestype", {"1": "Alderspension", "2": "Førtidspension"}, ColumnKind.CATEGORY),
        ("VARE", "varegruppe", {"1": "Is", "2": "Brød", "3": "Antal æg"}, ColumnKind.CATEGORY),
        ("POST", "postnumre", {"2100": "2100 København Ø", "5000": "5000 Odense C"}, ColumnKind.CATEGORY),
    ],
)
def test_kind(variable: str, label: str, codes: dict[str, str], kind: ColumnKind) -> None:
    assert kind_of(column(variable, label, codes)) is kind


def test_a_whole_classification_is_a_category() -> None:
    for name, dimension in published().items():
        codes = {f"{member.kode}/{member.niveau}": member.titel for member in dimension.members}
        expected = ColumnKind.SEX if name == "koen" else ColumnKind.CATEGORY
        assert kind_of(column("X", "x", codes)) is expected, name


def test_kinds_of_the_demo() -> None:
    kinds = {(one.table, one.variable): kind_of(one) for one in demo_columns()}
    assert kinds["FOLK1A", "ALDER"] is ColumnKind.AGE
    assert kinds["FOLK1A", "OMRÅDE"] is ColumnKind.CATEGORY
    assert kinds["METROX1", "SÆSON"] is ColumnKind.MEASURE
    assert {kind for (_, variable), kind in kinds.items() if variable == "KØN"} == {ColumnKind.SEX}
    assert {kind for (_, variable), kind in kinds.items() if variable == "ENHED"} == {ColumnKind.MEASURE}
