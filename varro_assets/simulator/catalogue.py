"""A catalogue of the real one's size: many small synthetic tables.

What belongs here: drawing table specifications from a seed, in the proportions of period kinds that the real catalogue
has. Most tables have code lists of real classifications, so that linking and documenting them all is the work it is in
earnest; the others have codes that mean nothing. Values and tableinfo are made when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod

from varro_assets.simulator import classification_lists_business, codelists, tids
from varro_assets.simulator.classifications import Classification
from varro_assets.simulator.cube import ALL, Code, Dimension
from varro_assets.simulator.hashing import seed_of
from varro_assets.simulator.subjects import Tree
from varro_assets.simulator.table import Table

# (share of a thousand tables, first period, number of periods at most); counted off the active tables of 2025
_KINDS = (
    (767, "2008", 18),
    (104, "2018K1", 30),
    (93, "2023M01", 30),
    (22, "1990:1994", 6),
    (6, "2015/2016", 9),
    (4, "2015H1", 20),
    (2, "2025M07D01", 40),
    (1, "2024U01", 60),
    (1, "AUG - DEC 2019", 5),
)
_NAMES = (
    ("BRANCHE", "branche", "industry"),
    ("ENHED", "enhed", "unit"),
    ("OMRÅDE", "område", "region"),
    ("KØN", "køn", "sex"),
    ("ALDER", "alder", "age"),
    ("TYPE", "type", "type"),
    ("STØRRELSE", "størrelse", "size"),
)
_LINKABLE = 60  # per cent of the tables
_MOST_CELLS = 1_200  # of a period of a table with real code lists
_MOST_ROWS = 6_000  # of all its periods
_UPDATED = ("2025-09-05T08:00:00", "2025-08-21T08:00:00", "2025-06-30T08:00:00", "2024-11-12T08:00:00")


def tables(count: int, seed: int, tree: Tree) -> Iterator[Table]:
    """``count`` small tables spread over the active leaves of a subject tree; the same ones for the same seed."""
    leaves = [leaf.id for leaf in tree.leaves() if leaf.active]
    for number in range(count):
        yield _table(number, seed, leaves)


def _table(number: int, seed: int, leaves: list[str]) -> Table:
    draw = seed_of("catalogue", seed, number)
    places = sorted({(draw >> shift) % len(_NAMES) for shift in (8, 16, 24, 32)[: 1 + (draw >> 40) % 4]})
    first, most = _kind((draw >> 4) % 1000)
    periods = 1 + (draw >> 52) % most
    dimensions = tuple(_dimension(place, 2 + (draw >> (44 + place)) % 4) for place in places)
    second = seed_of("linkable", seed, number)
    if second % 100 < _LINKABLE:
        dimensions = _linkable(places, second >> 8)
        # long lists go with few periods, as the whole catalogue is to stay small
        periods = max(min(periods, _MOST_ROWS // _cells(dimensions)), 1)
    mixed = any(dimension.id == "ENHED" and dimension.total is None for dimension in dimensions)
    return Table(
        f"SIM{number:04d}",
        f"Afprøvningstabel {number} (simuleret)",
        f"Trial table {number} (simulated)",
        "-" if mixed else "Antal",
        "-" if mixed else "Number",
        dimensions,
        tids.series(first, periods),
        _UPDATED[draw % len(_UPDATED)],
        (leaves[(draw >> 12) % len(leaves)],),
        scale=10_000,
        density=0.9,
    )


def _kind(place: int) -> tuple[str, int]:
    for share, first, most in _KINDS:
        if place < share:
            return first, most
        place -= share
    return _KINDS[0][1:]


@lru_cache
def _dimension(place: int, size: int) -> Dimension:
    name, da, en = _NAMES[place]
    codes = (Code(f"{number:02d}", f"{da} {number}", f"{en} {number}") for number in range(1, size + 1))
    return Dimension(name, da, en, (Code("TOT", "I alt", "Total", parts=ALL), *codes))


def _linkable(places: list[int], draw: int) -> tuple[Dimension, ...]:
    """Variables with real code lists: the drawn ones, or shorter ones where the table would get too large."""
    drawn = tuple(_lists()[place][(draw >> (8 * at)) % len(_lists()[place])] for at, place in enumerate(places))
    if _cells(drawn) <= _MOST_CELLS:
        return drawn
    return tuple(_lists()[place][0] for place in places)


def _cells(dimensions: tuple[Dimension, ...]) -> int:
    return prod(len(dimension.codes) for dimension in dimensions)


@lru_cache
def _lists() -> tuple[tuple[Dimension, ...], ...]:
    """For every place of ``_NAMES`` the variables to draw from, the shortest list first."""
    held = {listed.name: listed for listed in classification_lists_business.classifications()}
    db, nr_branche = held["db"], held["nr-branche"]
    units = """
        AN Antal / Number
        PCT Pct. / Per cent
        KR Mio. kr. / DKK million
    """
    sizes = """
        TOT I alt / Total
        1 Under 10 ansatte / Below 10 employees
        2 10-49 ansatte / 10-49 employees
        3 50 ansatte og derover / 50 employees and over
    """
    return (
        (
            _branches("BRANCHE07", "branche (DB07)", _codes_of(db, 1)),
            _branches("BRANCHE", "branche", _codes_of(nr_branche, 4, prefix="V")),
            _branches("BRANCHE07", "branche (DB07)", _codes_of(db, 2)),
        ),
        (Dimension("ENHED", "enhed", "unit", codelists.codes(units), elimination=False),),
        (
            codelists.area(municipalities=False),
            Dimension("OMRÅDE", "område", "region", codelists.provinces()),
            codelists.area(),
        ),
        (codelists.sex(), codelists.sex(men="M", women="K")),
        (codelists.all_ages(codelists.ages(0, 80, 20)), codelists.all_ages(codelists.ages(0, 90, 10))),
        (Dimension("KOMGRP", "kommunegruppe", "municipality group", codelists.municipality_groups()),),
        (Dimension("STØRRELSE", "størrelse", "size", codelists.codes(sizes, total="TOT")),),
    )


def _branches(name: str, da: str, codes: tuple[Code, ...]) -> Dimension:
    return Dimension(name, da, "industry", (Code("TOT", "I alt", "Total", parts=ALL), *codes))


def _codes_of(listed: Classification, niveau: int, prefix: str = "") -> tuple[Code, ...]:
    return tuple(Code(prefix + item.kode, item.da, item.en) for item in listed.items if item.niveau == niveau)
