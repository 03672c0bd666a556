"""Linking: which dimension a column's codes are those of.

What belongs here: choosing among dimensions and normalisations by `evidence`, and what suffices. Pure, deterministic,
the same for every table: there are no rules for single ones; a link made by hand is the place for those (`link_file`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Lock

from varro_assets.dimensions.links.code_index import CodeIndex, IndexedDimension, indexed
from varro_assets.dimensions.links.column_kinds import ColumnKind, kind_of
from varro_assets.dimensions.links.evidence import Evidence
from varro_assets.dimensions.links.normalisation import NORMALISATIONS, Normalisation, prefixed
from varro_assets.dimensions.links.totals import totals
from varro_assets.dimensions.models import Code, Dimension, FactColumn, Link

THRESHOLD = 0.6
"""Score from which a link is proposed; measured on the labelled set (benchmarks/linking_quality.py)."""
OVERLAP = 0.3
"""Share of a column's codes that a dimension must have before labels are looked at."""
AGREEMENT = 0.3
"""Share of a column's codes that must join under a label that says the same: codes alone are no evidence."""
SETS = 4
"""Sets of dimensions whose index is kept: all that are held, and those of them that were published."""
_PREFIX_SHARE = 0.5
_CAPITALS = re.compile(r"[A-Z]{1,2}(?=.)", re.ASCII)


class Linker:
    """Proposes links; keeps what it worked out about each dimension, by content, for the next column.

    Threads may share one.
    """

    def __init__(self) -> None:
        self._indexed: dict[str, IndexedDimension] = {}
        self._indexes: dict[tuple[str, ...], CodeIndex] = {}
        self._lock = Lock()

    def propose(self, column: FactColumn, dimensions: Sequence[Dimension]) -> Link | None:
        """The best candidate, if its evidence suffices: a score of at least `THRESHOLD`, `AGREEMENT` of the labels.

        Args:
            column: with its codes and labels.
            dimensions: to choose from, in any order; no two of one name.
        """
        for evidence in self._evidence(column, dimensions):
            if evidence.score >= THRESHOLD and evidence.agreed >= AGREEMENT:
                return evidence.link()
        return None

    def candidates(self, column: FactColumn, dimensions: Sequence[Dimension]) -> list[Link]:
        """Every dimension with at least `OVERLAP` of the codes, as a link with its evidence, best first.

        Best is the highest score; between equals the higher coverage, then more levels (more to sum up to), then the
        name. Measurement selectors, sex, age and time have none.
        """
        return [evidence.link() for evidence in self._evidence(column, dimensions)]

    def _evidence(self, column: FactColumn, dimensions: Sequence[Dimension]) -> list[Evidence]:
        if kind_of(column) is not ColumnKind.CATEGORY:
            return []
        left_out = frozenset(totals(column))
        codes = tuple(code for code in column.codes if code.id not in left_out)
        if not codes:
            return []
        index = self._index_of(dimensions)
        best: dict[int, Evidence] = {}
        for normalisation in (*NORMALISATIONS, *_prefixes(codes)):
            keys = [normalisation.fact_key(code.id) for code in codes]
            for position, count in index.overlaps(normalisation.dimension_key, keys).items():
                if count < OVERLAP * len(codes):
                    continue
                evidence = _measured(column, index.dimensions[position], normalisation, codes, left_out)
                # the earlier normalisation stays unless a later one explains more
                if evidence is not None and (position not in best or evidence.score > best[position].score):
                    best[position] = evidence
        return sorted(best.values(), key=_rank)

    def _index_of(self, dimensions: Sequence[Dimension]) -> CodeIndex:
        ordered = sorted(dimensions, key=lambda dimension: dimension.name)
        hashes = tuple(dimension.content_hash for dimension in ordered)
        with self._lock:
            if hashes not in self._indexes:
                for hashed, dimension in zip(hashes, ordered, strict=True):
                    self._indexed[hashed] = self._indexed.get(hashed) or indexed(dimension)
                while len(self._indexes) >= SETS:
                    del self._indexes[next(iter(self._indexes))]
                self._indexes[hashes] = CodeIndex([self._indexed[hashed] for hashed in hashes])
                wanted = {hashed for kept in self._indexes for hashed in kept}
                self._indexed = {hashed: one for hashed, one in self._indexed.items() if hashed in wanted}
            return self._indexes[hashes]


def propose(column: FactColumn, dimensions: Sequence[Dimension]) -> Link | None:
    """`Linker.propose` for one column; for many keep a `Linker`."""
    return Linker().propose(column, dimensions)


def candidates(column: FactColumn, dimensions: Sequence[Dimension]) -> list[Link]:
    """`Linker.candidates` for one column; for many keep a `Linker`."""
    return Linker().candidates(column, dimensions)


def measured(column: FactColumn, dimension: Dimension, normalisation: Normalisation) -> Link | None:
    """What a link of this column to this dimension by this normalisation would be; None if no code would join."""
    left_out = frozenset(totals(column))
    # a column of nothing but totals has only those to go by
    codes = tuple(code for code in column.codes if code.id not in left_out) or column.codes
    evidence = _measured(column, indexed(dimension), normalisation, codes, left_out)
    return evidence.link() if evidence is not None else None


def _rank(evidence: Evidence) -> tuple[float, float, int, str]:
    dimension = evidence.indexed.dimension
    return -evidence.score, -evidence.coverage, -len(dimension.levels), dimension.name


def _prefixes(codes: Sequence[Code]) -> Iterator[Normalisation]:
    """One or two capital letters that at least half of the codes begin with."""
    openings = [match[0] for code in codes if (match := _CAPITALS.match(code.id))]
    for length in (1, 2):
        counted = Counter(opening[:length] for opening in openings if len(opening) >= length)
        letters, count = min(counted.items(), key=lambda item: (-item[1], item[0]), default=("", 0))
        if count >= max(_PREFIX_SHARE * len(codes), 2):
            yield prefixed(letters)


def _measured(
    column: FactColumn,
    one: IndexedDimension,
    normalisation: Normalisation,
    codes: Sequence[Code],
    left_out: frozenset[str],
) -> Evidence | None:
    """The evidence; None if nothing joins, or if the normalisation makes different codes equal on either side."""
    by_key = one.members[normalisation.dimension_key]
    found = {}
    keys = set()
    for code in column.codes:
        key = normalisation.fact_key(code.id)
        members = by_key.get(key, ()) if key is not None else ()
        if not members:
            continue
        if key in keys or len({member.niveau for member in members}) < len(members):
            return None
        keys.add(key)
        found[code.id] = members
    evidence = Evidence(column, one, normalisation, codes, left_out, found)
    return evidence if evidence.matched else None
