"""Subject pages, the list of subjects, and where documents lie."""

from __future__ import annotations

import dataclasses

import pytest

from varro_assets.context import places
from varro_assets.context.cards import TableCard
from varro_assets.context.places import DocumentPaths, path_part
from varro_assets.context.text import subject_page
from varro_assets.statbank.catalog import Place
from varro_assets_tests.context_material import (
    ENHED,
    KON,
    NUTS,
    OMRADE,
    OTHER_PLACE,
    PATHS,
    PLACE,
    carded,
    info,
    links_of,
    values,
)


def test_a_page() -> None:
    prices = info(
        id="PRIS1", description="Priser efter enhed og tid", unit="-", variables=(ENHED,), tids=("2006/2007",)
    )
    other = carded(prices, linked=False, places=[OTHER_PLACE, PLACE])
    assert subject_page.page(PLACE, [carded(), other]) == (
        "subject: Borgere / Befolkning / Befolkningstal\n"
        "<fact tables>\n"
        "<table>\n"
        "id: folk1a\n"
        "description: Befolkningen den 1. i kvartalet efter område, køn og tid\n"
        "columns: omrade (dim nuts, levels [1, 3]), kon, tid (time), indhold (unit Antal)\n"
        "tid range: 2024-10-01 to 2025-01-01\n"
        "frequency: quarterly\n"
        "doc: /fact/borgere/befolkning/befolkningstal/folk1a.md\n"
        "</table>\n"
        "<table>\n"
        "id: pris1\n"
        "description: Priser efter enhed og tid\n"
        "columns: enhed (measurement selector), tid (time), indhold (unit -)\n"
        "tid range: 2006/2007 to 2006/2007\n"
        "frequency: not fixed\n"
        "doc: /fact/økonomi/priser,_løn/indeks_(2015)/pris1.md\n"
        "</table>\n"
        "</fact tables>\n"
    )
    assert "status" not in subject_page.page(PLACE, [carded()])
    assert "status: discontinued, last update 2025-08-11\ndoc: " in subject_page.page(
        PLACE, [carded(info(active=False))]
    )
    assert "tid range: no period is loaded" in subject_page.page(PLACE, [carded(held=())])


def covering(table: str, *codes: str, way: str = "identity") -> TableCard:
    """A card whose OMRÅDE has these codes only."""
    description = info(id=table, variables=(OMRADE | {"values": values(*codes)}, KON))
    return carded(description, links=links_of(description, NUTS, way=way))


def test_coverage_notes_where_tables_differ() -> None:
    west, both = covering("VEST", "101 København"), covering("BEGGE", "V101 København", "V253 Greve", way="prefix V")
    page = subject_page.page(PLACE, [west, both])
    assert page.endswith(
        "</fact tables>\n"
        "<coverage notes>\n"
        "- nuts: full level-1 [Region Hovedstaden, Region Sjælland]; vest=[Region Hovedstaden]; "
        "begge=[Region Hovedstaden, Region Sjælland]\n"
        "</coverage notes>\n"
    )


def test_no_coverage_notes_where_they_agree() -> None:
    same = covering("ENS", "084 Region Hovedstaden", "085 Region Sjælland")
    assert "coverage" not in subject_page.page(PLACE, [carded(), same])
    assert "coverage" not in subject_page.page(PLACE, [covering("VEST", "101 København")])


def test_a_condition_of_peoples_own_gives_no_coverage_note() -> None:
    card = covering("VEST", "101 København")
    column = card.columns[0]
    assert column.link is not None
    own = dataclasses.replace(column.link, join="LEFT(f.omrade, 3) = d.kode")
    columns = (dataclasses.replace(column, link=own), *card.columns[1:])
    assert "coverage" not in subject_page.page(PLACE, [carded(), dataclasses.replace(card, columns=columns)])


def test_the_list_of_subjects() -> None:
    shallow = Place(("Økonomi", "Alene"), ("4", "6000"))
    second = Place(("Borgere", "Befolkning", "Fødte"), ("1", "3401", "20022"))
    paths = DocumentPaths([PLACE, OTHER_PLACE, shallow, second])
    text = subject_page.index([OTHER_PLACE, second, shallow, PLACE, second], paths)
    assert text.split("\n\n", 1)[1] == (
        "Borgere (/subjects/borgere)\n"
        "- Befolkning: 2 pages in /subjects/borgere/befolkning\n"
        "\n"
        "Økonomi (/subjects/økonomi)\n"
        "- Priser, løn: 1 page in /subjects/økonomi/priser,_løn\n"
        "- Alene: /subjects/økonomi/alene.md\n"
    )
    assert subject_page.index([PLACE, second], paths) == subject_page.index([second, PLACE], paths)


@pytest.mark.parametrize(
    ("title", "part"),
    [
        ("Arbejdsmarkedsstatus (RAS)", "arbejdsmarkedsstatus_(ras)"),
        (" Løn, ÆØÅ ", "løn,_æøå"),
        ("Ind-/udvandring\\x", "ind-_udvandring_x"),
        ("Ko\u0308b\u00a0nu\n", "köb_nu"),
        ("..", "_."),
        (".skjult", "_skjult"),
        ("", "_"),
        ("a\0b", "a_b"),
    ],
)
def test_parts_of_a_path(title: str, part: str) -> None:
    assert path_part(title) == part


def test_two_subjects_that_fold_to_one_path_carry_their_ids() -> None:
    one, two = (
        Place(("Borgere", "Ind/ud", "Leaf"), ("1", "11", "111")),
        Place(("Borgere", "Ind ud", "Leaf"), ("1", "12", "121")),
    )
    third = Place(("Borgere", "Andet", "Leaf"), ("1", "13", "131"))
    paths = DocumentPaths([one, two, third])
    assert paths.subject_path(one) == "subjects/borgere/ind_ud_(11)/leaf.md"
    assert paths.subject_path(two) == "subjects/borgere/ind_ud_(12)/leaf.md"
    assert paths.subject_path(third) == "subjects/borgere/andet/leaf.md"
    assert paths.fact_path([two, third], "FOLK1A") == "fact/borgere/ind_ud_(12)/leaf/folk1a.md"


def test_a_place_nobody_told_of_and_a_table_without_one() -> None:
    stranger = Place(("Kultur", "Biblioteker"), ("9", "99"))
    assert PATHS.subject_path(stranger) == "subjects/kultur/biblioteker.md"
    assert PATHS.fact_path([], "FOLK1A") == "fact/unplaced/folk1a.md"
    assert places.dim_path("nuts") == "dim/nuts.md"


def test_a_top_subject_called_index_does_not_take_the_list() -> None:
    place = Place(("Index",), ("7",))
    assert DocumentPaths([place]).subject_path(place) == "subjects/index_(7).md"
