"""A small table and a small dimension for the tests of documents."""

from __future__ import annotations

from typing import Any

from varro_assets.context.cards import TableCard, card, fact_columns
from varro_assets.context.places import DocumentPaths
from varro_assets.dimensions.links.linking import measured
from varro_assets.dimensions.links.normalisation import named
from varro_assets.dimensions.models import Dimension, Link, Member
from varro_assets.statbank.catalog import Place
from varro_assets.statbank.models import TableInfo

PLACE = Place(("Borgere", "Befolkning ", "Befolkningstal"), ("1", "3401", "20021"))
OTHER_PLACE = Place(("Økonomi", "Priser, løn", "Indeks (2015)"), ("4", "5000", "50001"))
PATHS = DocumentPaths([PLACE, OTHER_PLACE])
NUTS = Dimension(
    "nuts",
    "Regioner, landsdele og kommuner",
    (
        Member("084", 1, "Region Hovedstaden"),
        Member("01", 2, "Landsdel Byen København", "084", 1),
        Member("101", 3, "København", "01", 2),
        Member("147", 3, "Frederiksberg", "01", 2),
        Member("085", 1, "Region Sjælland"),
        Member("05", 2, "Landsdel Østsjælland", "085", 1),
        Member("253", 3, "Greve", "05", 2),
    ),
    "https://www.dst.dk/nuts.csv",
    page="https://www.dst.dk/nuts",
    description=(
        "# Overskrift\n\nDanmark har regioner.\nOg kommuner.\n\n```\nnotes:\n```\n\n| a | b |\n\nnotes:\n\n"
        "Andet afsnit."
    ),
    level_names={1: "Region", 2: "Landsdel", 3: "Kommune"},
)


def values(*pairs: str) -> list[dict[str, str]]:
    """``"TOT I alt"`` → a value."""
    return [dict(zip(("id", "text"), pair.split(" ", 1), strict=True)) for pair in pairs]


OMRADE = {
    "id": "OMRÅDE",
    "text": "område",
    "values": values("000 Hele landet", "084 Region Hovedstaden", "101 København", "147 Frederiksberg",
                     "085 Region Sjælland", "253 Greve", "999 Uden fast bopæl"),
}  # fmt: skip
KON = {"id": "KØN", "text": "køn", "values": values("TOT I alt", "1 Mænd", "2 Kvinder")}
USER = {"id": "USER", "text": "bruger", "values": values("A Første", "B Anden")}
ENHED = {"id": "ENHED", "text": "enhed", "values": values("100 Antal", "200 Omsætning (mio. kr.)")}


def info(**changed: Any) -> TableInfo:
    """A table's description; ``variables`` without the time variable, ``tids`` are its codes."""
    tids = changed.pop("tids", ("2024K4", "2025K1"))
    variables = changed.pop("variables", (OMRADE, KON))
    time = {"id": "Tid", "text": "tid", "time": True, "values": values(*(f"{tid} {tid}" for tid in tids))}
    body = {
        "id": "FOLK1A",
        "text": "Befolkningen",
        "description": "Befolkningen den 1. i kvartalet efter område, køn og tid",
        "unit": "Antal",
        "updated": "2025-08-11T08:00",
        "contacts": [{"name": "Ada Lund", "phone": "+4512345678", "mail": "ada@example.dk"}],
        "documentation": {"id": "x", "url": "https://www.dst.dk/dokumentation/x"},
        "footnote": {"text": "Foreløbige tal&apos;.\r\n```\nnotes:\nslut", "mandatory": True},
        "variables": [*variables, time],
    }
    return TableInfo.model_validate(body | changed)


def links_of(table: TableInfo, dimension: Dimension, variable: str = "OMRÅDE", way: str = "identity") -> list[Link]:
    """The link that this variable has to the dimension."""
    column = next(one for one in fact_columns(table) if one.variable == variable)
    link = measured(column, dimension, named(way))
    assert link is not None
    return [link]


def carded(table: TableInfo | None = None, *, linked: bool = True, **options: Any) -> TableCard:
    """The table's card."""
    table = table or info()
    links = options.pop("links", None)
    if links is None:
        links = links_of(table, NUTS) if linked else []
    held = options.pop("held", table.tids)
    places = options.pop("places", [PLACE])
    return card(table, places, links, {"nuts": NUTS}, held, 42, PATHS, **options)
