"""A catalogue of the real one's size: many small synthetic tables.

What belongs here: drawing table specifications from a seed, in the proportions of period kinds that the real catalogue
has. Values and tableinfo are made when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from varro_assets.simulator import tids
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
    return Table(
        f"SIM{number:04d}",
        f"Afprøvningstabel {number} (simuleret)",
        f"Trial table {number} (simulated)",
        "Antal",
        "Number",
        tuple(_dimension(place, 2 + (draw >> (44 + place)) % 4) for place in places),
        tids.series(first, 1 + (draw >> 52) % most),
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
