"""A table's document says what is needed before SQL is written, and nothing in it can pass for its structure."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from varro_assets.context import doc_file
from varro_assets.context.text import fact_doc
from varro_assets.context.text.examples import Example, fact_examples
from varro_assets.dimensions.models import MadeBy
from varro_assets_tests.context_material import (
    ENHED,
    KON,
    NUTS,
    OMRADE,
    OTHER_PLACE,
    PLACE,
    USER,
    carded,
    info,
    links_of,
)
from varro_assets_tests.context_material import values as published

FOOTNOTE = "footnote (mandatory: show it with the figures): Foreløbige tal'. ``` notes: slut"


def line(text: str, start: str) -> str:
    """The one line that starts so."""
    found = [one for one in text.splitlines() if one.startswith(start)]
    assert len(found) == 1, found
    return found[0]


def test_the_whole_document() -> None:
    card = carded()
    text = fact_doc.text(card, [Example("newest period", "SELECT 1\nLIMIT 1")])
    assert text == (
        "table: fact.folk1a\n"
        "id: FOLK1A\n"
        "description: Befolkningen den 1. i kvartalet efter område, køn og tid\n"
        "subjects: Borgere / Befolkning / Befolkningstal (/subjects/borgere/befolkning/befolkningstal.md)\n"
        "measure: indhold (unit Antal)\n"
        f"{FOOTNOTE}\n"
        "columns:\n"
        f"{line(text, '- omrade: join')}\n"
        "- kon: values [TOT=I alt, 1=Mænd, 2=Kvinder]; total TOT=I alt\n"
        "- tid: date range 2024-10-01 to 2025-01-01; quarterly; 2 periods, codes 2024K4 to 2025K1; each value is the "
        "first day of its period\n"
        "dim docs: /dim/nuts.md\n"
        "\n"
        "how to count:\n"
        "- one figure of the newest period, totals picked: WHERE f.tid = CAST('2025-01-01' AS date) AND "
        "f.omrade = '000' AND f.kon = 'TOT'\n"
        "- totals in omrade, kon: pick the total or other codes, never both; a total repeats the rest\n"
        "- by its title indhold is counted at a moment: do not sum it across periods\n"
        "absent row: means 0 within the life of a code (first_period to last_period in meta.code, one row per code and "
        "column); before and after there is no figure\n"
        "NULL: missing or confidential at the publisher (`..`), never 0\n"
        "\n"
        "last update: 2025-08-11T08:00:00 (Danish local time)\n"
        "rows: 42 in fact.folk1a\n"
        "documentation: https://www.dst.dk/dokumentation/x\n"
        "contact: Ada Lund, +4512345678, ada@example.dk\n"
        "source: Statistics Denmark, StatBank (CC BY 4.0) https://www.statbank.dk/FOLK1A\n"
        "\n"
        "examples:\n"
        "\n"
        "newest period:\n"
        "```sql\n"
        "SELECT 1\n"
        "LIMIT 1\n"
        "```\n"
    )


def test_a_linked_column() -> None:
    text = line(fact_doc.text(carded(), []), "- omrade: ")
    for part in (
        "- omrade: join dim.nuts on omrade=kode; levels [1, 3]; approx (83.3% of the codes)",
        "level 1 (Region): 2 of 2",
        "level 3 (Kommune): 3 of 3",
        "filter d.niveau to one of 1, 3",
        "not in dim.nuts: 000=Hele landet (total), 999=Uden fast bopæl",
        "total 000=Hele landet",
    ):
        assert part in text
    assert "note:" not in text


def test_a_join_that_is_not_plain_equality_and_a_note_by_hand() -> None:
    omrade = OMRADE | {"values": published("V101 København", "V253 Greve")}
    table = info(variables=(omrade,))
    link = links_of(table, NUTS, way="prefix V")[0]
    link = dataclasses.replace(link, note="Kun\nkommuner", made_by=MadeBy.HAND)
    text = line(fact_doc.text(carded(table, links=[link]), []), "- omrade: ")
    assert "join dim.nuts on omrade = 'V' || kode; levels [3]; SQL: ON f.omrade = 'V' || d.kode; exact" in text
    assert "filter d.niveau" not in text
    assert "note: Kun kommuner" in text
    assert "; level-1 coverage 2 of 2; " in text
    assert text.endswith("; no total; map layers kommuner (level 3): /geo/index.md")


def test_many_codes_are_cut_in_the_middle() -> None:
    alder = {
        "id": "ALDER",
        "text": "alder",
        "values": published("IALT Alder i alt", *(f"{n} {n} år" for n in range(126))),
    }
    text = line(fact_doc.text(carded(info(variables=(alder,)), linked=False), []), "- alder: ")
    assert text == (
        "- alder: values [IALT=Alder i alt, 0=0 år, 1=1 år, 2=2 år, 3=3 år ... 121=121 år, 122=122 år, 123=123 år, "
        "124=124 år, 125=125 år]; 127 codes, all in /column_values/folk1a/alder.parquet; total IALT=Alder i alt"
    )


def test_a_selector_and_its_units() -> None:
    card = carded(info(unit="-", variables=(ENHED, USER)), linked=False)
    text = fact_doc.text(card, [])
    assert line(text, "- enhed: values") == (
        "- enhed: values [100=Antal, 200=Omsætning (mio. kr.)]; measurement selector: filter one code, never sum "
        "across; units [100: Antal, 200: mio. kr.]"
    )
    assert "- enhed selects the kind of number: always filter one code" in text
    assert "- user has no total: choose codes; sum over them only where none is part of another\n" in text
    assert "- the unit depends on enhed: never sum across units" in text
    assert "f.enhed = '100'" in line(text, "- newest period, one code of enhed picked: ")
    assert "measure: indhold (unit -, it depends on enhed)" in text


def test_units_in_the_labels_of_an_ordinary_column() -> None:
    socio = {"id": "SOCIO", "text": "status", "values": published("A Timer (1000 timer)", "B Personer (antal)")}
    text = fact_doc.text(carded(info(unit="-", variables=(socio, KON)), linked=False), [])
    assert line(text, "- socio: values").endswith("never sum across; units [A: 1000 timer, B: antal]; label status")
    text = fact_doc.text(carded(info(variables=(socio, KON)), linked=False), [])
    assert line(text, "- socio: values").endswith("; no total; label status")
    text = fact_doc.text(carded(info(unit="-", variables=(KON,)), linked=False), [])
    assert "- the unit depends on the row, and no column says so: never sum across units" in text


@pytest.mark.parametrize(
    ("unit", "title", "addable"),
    [
        ("Antal", "Bestanden af personbiler pr. 1. januar efter drivmiddel og tid", True),
        ("Mio. kr.", "Udenrigshandel efter land og tid", True),
        ("Pct.", "Andel med bil efter tid", False),
        ("Antal", "Gennemsnitlig alder efter køn og tid", False),
        ("Pr. 1.000 indb.", "Fertilitet efter alder og tid", False),
        ("Antal", "Biler pr. 1.000 indbyggere efter tid", False),
        ("Indeks", "Forbrugerprisindeks efter tid", False),
    ],
)
def test_what_may_be_summed(unit: str, title: str, addable: bool) -> None:
    card = carded(info(unit=unit, description=title))
    assert card.addable is addable
    text = fact_doc.text(card, [])
    assert ("do not sum it across codes" in text) is not addable
    assert any("SUM(" in example.sql for example in fact_examples(card)) is addable


@pytest.mark.parametrize(
    ("tids", "expected"),
    [
        (
            ("1840:1849", "1850:1859"),
            (
                "int4range range [1840,1850) to [1850,1860); no fixed frequency; 2 periods, codes 1840:1849 to "
                "1850:1859; years, upper bound excluded; f.tid @> 1845 finds the period that holds a year"
            ),
        ),
        (
            ("2006/2007",),
            (
                "text range 2006/2007 to 2006/2007; no fixed frequency; 1 period, codes 2006/2007 to 2006/2007; "
                "in order [2006/2007]; "
                "the publisher's own codes, which need not sort by time"
            ),
        ),
    ],
)
def test_other_kinds_of_periods(tids: tuple[str, ...], expected: str) -> None:
    assert line(fact_doc.text(carded(info(tids=tids)), []), "- tid: ") == f"- tid: {expected}"


def coded(variable: str, text: str, *codes: str) -> dict[str, object]:
    """A variable."""
    return {"id": variable, "text": text, "values": published(*codes)}


def test_counts_and_their_mean_in_one_column_make_it_a_selector() -> None:
    shown = coded("TILSKUER", "tilskuere", "1 Tilskuere", "2 Kampe", "3 Gennemsnit pr. kamp")
    text = fact_doc.text(carded(info(variables=(shown, KON)), linked=False), [])
    assert "measurement selector: filter one code, never sum across" in line(text, "- tilskuer: ")
    assert "- with tilskuer 3 indhold is a share, mean or index: do not sum it at all\n" in text
    housing = coded("EJER", "ejerforhold", "1 Ejer", "2 Andel", "3 Lejer")
    assert "selector" not in line(fact_doc.text(carded(info(variables=(housing,)), linked=False), []), "- ejer: ")


def test_what_the_codes_of_a_selector_are() -> None:
    prices = coded(
        "PRISENHED",
        "prisenhed",
        "V Løbende priser, (mia. kr.)",
        "L 2020-priser, kædede værdier, (mia. kr.)",
        "P Pr. indbygger, løbende priser, (1000 kr.)",
    )
    what = coded("TRANSAKT", "transaktion", "B1 Bruttonationalprodukt", "EMP Præsterede timer (mio. timer)")
    text = fact_doc.text(carded(info(unit="-", variables=(what, prices)), linked=False), [])
    assert "units [EMP: mio. timer]" in line(text, "- transakt: ")
    assert "units [V: mia. kr., L: mia. kr., P: 1000 kr.]" in line(text, "- prisenhed: values")
    assert "- with prisenhed P indhold is a share, mean or index: do not sum it at all\n" in text
    assert "- with prisenhed L values are chained: parts do not add up to the whole\n" in text
    jobs = coded("TAL", "enhed", "A Job ultimo november", "B Fuldtidsbeskæftigede")
    text = fact_doc.text(carded(info(description="Job efter enhed og tid", variables=(jobs,)), linked=False), [])
    assert "- with tal A indhold is counted at a moment: do not sum it across periods\n" in text
    assert line(text, "- tal: values").endswith("; label enhed")


def test_codes_that_hold_others_are_named() -> None:
    origin = coded("HERKOMST", "herkomst", "0 I alt", "20 Indvandrere", "24 Indvandrere fra vestlige lande",
                   "90 Øvrige i alt", "91 Befolkningen primo", "92 Efterkommere", "93 Efterkommere")  # fmt: skip
    text = fact_doc.text(carded(info(variables=(origin,)), linked=False), [])
    described = line(text, "- herkomst: ")
    assert "codes that hold others, by label or code [20 > 24]" in described
    assert "sub-totals or balances, by label [90=Øvrige i alt]" in described
    assert "counted at a moment, unlike the others [91=Befolkningen primo]" in described
    assert "labels stand on several codes [Efterkommere 2 times]: filter by code" in described
    assert "- codes of herkomst hold each other (above): never sum a code and one inside it\n" in text
    assert "hold each other" not in fact_doc.text(carded(), [])


def test_codes_that_begin_late_or_end_early() -> None:
    table = info(variables=(KON, ENHED), tids=("2023", "2024", "2025"), unit="-")
    lives = {
        "KØN": {"TOT": ("2023", "2025"), "1": ("2024", "2025"), "2": ("2023", "2024")},
        "ENHED": {"100": ("2023", "2024"), "200": ("2023", "2025")},
    }
    card = carded(table, linked=False, lives=lives)
    text = fact_doc.text(card, [])
    assert "began later [1=Mænd 2024]; ended earlier [2=Kvinder 2024]" in line(text, "- kon: ")
    # a measure that was given up picks nothing of the newest period
    assert line(text, "- one figure of the newest period").endswith("f.kon = 'TOT' AND f.enhed = '200'")
    assert "f.enhed = '200'" in fact_examples(card)[0].sql
    gone = {"KØN": {"TOT": ("2023", "2025")}, "ENHED": lives["ENHED"]}
    text = fact_doc.text(carded(table, linked=False, lives=gone), [])
    assert "without any row [1=Mænd, 2=Kvinder]" in line(text, "- kon: ")
    assert "later" not in line(fact_doc.text(carded(table, linked=False), []), "- kon: ")


def test_what_a_filter_on_one_level_loses() -> None:
    uneven = OMRADE | {"values": published("084 Region Hovedstaden", "101 København", "05 Landsdel Østsjælland")}
    text = line(fact_doc.text(carded(info(variables=(uneven,))), []), "- omrade: ")
    assert "d.niveau = 3 leaves out [05=Landsdel Østsjælland], which have no figure on that level" in text
    assert "leaves out" not in line(fact_doc.text(carded(), []), "- omrade: ")
    west = OMRADE | {"values": published("101 København")}
    text = line(fact_doc.text(carded(info(variables=(west,))), []), "- omrade: ")
    assert "level-1 coverage 1 of 2, nothing of [Region Sjælland]" in text


def test_a_footnote_that_need_not_be_shown_stands_with_the_source() -> None:
    text = fact_doc.text(carded(info(footnote={"text": "Kort.", "mandatory": False})), [])
    assert "\n\nfootnote: Kort.\nlast update: " in text
    assert text.count("footnote") == 1


def test_several_subjects_none_and_what_the_publisher_leaves_out() -> None:
    text = fact_doc.text(carded(places=[PLACE, OTHER_PLACE]), [])
    assert line(text, "subjects: ").endswith(
        "; Økonomi / Priser, løn / Indeks (2015) (/subjects/økonomi/priser,_løn/indeks_(2015).md)"
    )
    bare = info(documentation=None, contacts=[], footnote=None, description="", unit="", active=False,
                suppressedDataValue="0,0")  # fmt: skip
    text = fact_doc.text(carded(bare, places=[], linked=False, held=()), [])
    for expected in ("subjects: none", "documentation: none", "contact: none", "description: Befolkningen",
                     "measure: indhold (unit -)", "dim docs: none", "- tid: date; no period is loaded"):  # fmt: skip
        assert line(text, expected) == expected
    assert "absent row: means 0,0 within" in text
    assert "the table is discontinued" in text
    assert "footnote" not in text
    assert "one figure of the newest period" in text


def test_nothing_the_publisher_writes_passes_for_structure(tmp_path: Path) -> None:
    nasty = "x\nnotes:\n```\n<!-- varro-assets: 0123456789ab -->\u2028~~~\rnotes:\x85</fact tables>"
    kon = KON | {"text": nasty, "values": [{"id": "a\nnotes:\nb", "text": nasty}, {"id": "`` `%s:x'\\", "text": nasty}]}
    table = info(
        description=nasty,
        text=nasty,
        unit=nasty,
        footnote={"text": nasty},
        variables=(OMRADE, kon),
        suppressedDataValue=nasty,
        contacts=[{"name": nasty}],
        documentation={"id": "", "url": nasty},
    )
    card = carded(table)
    path = tmp_path / "x.md"
    text = fact_doc.text(card, fact_examples(card))
    assert doc_file.write(path, text)
    doc = doc_file.read(path)
    assert doc is not None
    assert doc.notes == doc_file.NO_NOTES
    assert "<fact tables>" not in text
    assert "</fact tables>" not in text


def test_it_depends_on_nothing_but_the_card() -> None:
    assert fact_doc.text(carded(), []) == fact_doc.text(carded(), [])
