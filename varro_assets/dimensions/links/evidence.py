"""Evidence: what speaks for a column being coded by a dimension.

What belongs here: measuring one column against one dimension under one normalisation, and saying so in words. What is
compared with what, and what suffices, is decided by `linking`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from varro_assets.dimensions.links.code_index import IndexedDimension
from varro_assets.dimensions.links.labels import alike, stems
from varro_assets.dimensions.links.normalisation import IDENTITY, Normalisation
from varro_assets.dimensions.models import Code, FactColumn, Link, MatchType, Member, Unmatched

AGREES = 0.75
"""Likeness from which two labels count as saying the same."""
COMPARED = 80
"""Codes whose labels are compared, spread evenly over the column: the answer does not change beyond."""
WHOLE = 0.95
"""Share of a level from which it counts as wholly covered; Christiansø comes and goes."""

# Labels weigh most: small numbers coincide, and so do codes of unrelated lists of three digits.
_AGREED, _LIKENESS, _COVERAGE, _NAME, _STRUCTURE = 0.50, 0.30, 0.10, 0.05, 0.05
_MAP_WORDS = {
    "municipality": "kommune",
    "municipalities": "kommune",
    "municipalitygroups": "kommunegruppe",
    "region": "region",
    "regions": "region",
    "province": "landsdel",
    "provinces": "landsdel",
    "parish": "sogn",
    "parishes": "sogn",
    "county": "amt",
    "police": "politikreds",
}
"""Words of the publisher's maps (``Denmark_municipality_07``) in the language of the classifications."""
_NAMED_CODES = 10


@dataclass(frozen=True)
class Evidence:
    """A column measured against a dimension.

    Attributes:
        codes: the column's codes but totals, in the publisher's order.
        totals: codes that are totals.
        found: code -> the members it joins, for the codes that join.
    """

    column: FactColumn
    indexed: IndexedDimension
    normalisation: Normalisation
    codes: Sequence[Code]
    totals: frozenset[str]
    found: dict[str, tuple[Member, ...]]

    @cached_property
    def matched(self) -> tuple[Code, ...]:
        """Codes, but totals, that join."""
        return tuple(code for code in self.codes if code.id in self.found)

    @property
    def coverage(self) -> float:
        """Share of the codes that join."""
        return len(self.matched) / len(self.codes)

    @cached_property
    def _alike(self) -> tuple[float, ...]:
        step = max(1, -(-len(self.matched) // COMPARED))
        return tuple(
            max(alike(code.text, member.titel) for member in self.found[code.id]) for code in self.matched[::step]
        )

    @cached_property
    def likeness(self) -> float:
        """How alike the labels are of the codes that join: the mean."""
        return sum(self._alike) / len(self._alike)

    @cached_property
    def agreed(self) -> float:
        """Share of the column's codes, totals left out, that join under a label that says the same."""
        return self.coverage * sum(value >= AGREES for value in self._alike) / len(self._alike)

    @cached_property
    def named(self) -> frozenset[str]:
        """What the names of variable and dimension have in common."""
        words = stems(f"{self.column.variable} {self.column.label}")
        on_map = (self.column.map or "").lower().split("_")
        words |= frozenset(stem for word in on_map if word in _MAP_WORDS for stem in stems(_MAP_WORDS[word]))
        return words & self.indexed.stems

    @cached_property
    def level_coverage(self) -> dict[int, tuple[int, int]]:
        """Level -> (members the column has, members), top first."""
        had: dict[int, set[str]] = {}
        for members in self.found.values():
            for member in members:
                had.setdefault(member.niveau, set()).add(member.kode)
        return {niveau: (len(had[niveau]), self.indexed.sizes[niveau]) for niveau in sorted(had)}

    @property
    def structure(self) -> float:
        """How much of the level it covers best the column has; 1 from `WHOLE` on."""
        best = max((had / size for had, size in self.level_coverage.values()), default=0.0)
        return 1.0 if best >= WHOLE else best

    @cached_property
    def score(self) -> float:
        """Strength of it all, 0 to 1.

        The weighted mean of agreement, likeness, coverage, name and structure; less for a handful of codes that is not
        a level of the dimension, since two labels may agree by accident.
        """
        mean = (
            _AGREED * self.agreed
            + _LIKENESS * self.likeness
            + _COVERAGE * self.coverage
            + _NAME * bool(self.named)
            + _STRUCTURE * self.structure
        )
        agreeing = self.agreed * len(self.codes)
        few = 1 - 0.5 / max(agreeing, 1)
        return round(mean * max(few, self.structure), 4)

    def link(self) -> Link:
        """The link this evidence is for."""
        missing = tuple(
            Unmatched(code.id, code.text, code.id in self.totals)
            for code in self.column.codes
            if code.id not in self.found
        )
        repeated = tuple(code.id for code in self.column.codes if len(self.found.get(code.id, ())) > 1)
        return Link(
            column=self.column.variable,
            dimension=self.indexed.dimension.name,
            match_type=MatchType.EXACT if len(self.matched) == len(self.codes) else MatchType.APPROX,
            join=self.normalisation.join_sql(self.column.name),
            join_override=self.normalisation.override_sql(self.column.name),
            normalisation=self.normalisation.name,
            coverage=self.coverage,
            levels=tuple(self.level_coverage),
            level_coverage=self.level_coverage,
            unmatched=missing,
            repeated=repeated,
            score=self.score,
            reasons=tuple(self._reasons()),
            note=_note(self.normalisation, missing, repeated, self._misread()),
        )

    def _misread(self) -> list[str]:
        """Totals whose code is that of a member with another meaning: DISCO's 0 is the armed forces."""
        return [
            f"{code.id} {code.text}"
            for code in self.column.codes
            if code.id in self.totals
            and code.id in self.found
            and all(alike(code.text, member.titel) < AGREES for member in self.found[code.id])
        ]

    def _reasons(self) -> Iterator[str]:
        meaning = self.normalisation.meaning
        yield f"{len(self.matched)} of {len(self.codes)} codes, totals left out, are in the dimension {meaning}"
        agreeing = sum(value >= AGREES for value in self._alike)
        yield f"{agreeing} of {len(self._alike)} labels compared say the same (likeness {self.likeness:.2f})"
        for niveau, (had, size) in self.level_coverage.items():
            called = self.indexed.dimension.level_names.get(niveau)
            yield f"level {niveau}{f' ({called})' if called else ''}: {had} of {size} members"
        if self.named:
            yield f"variable and dimension share in name: {', '.join(sorted(self.named))}"


def _note(
    normalisation: Normalisation, missing: Sequence[Unmatched], repeated: Sequence[str], misread: Sequence[str]
) -> str:
    """What a reader of the link must know, in a few sentences; empty if there is nothing."""
    sentences = []
    if normalisation is not IDENTITY:
        sentences.append(f"Codes are equal {normalisation.meaning}.")
    sums = [one for one in missing if one.total]
    if sums:
        sentences.append(f"Totals, not in the dimension: {_listed([f'{one.code} {one.label}' for one in sums])}.")
    if misread:
        sentences.append(f"Totals that join a member of another meaning, so leave them out: {_listed(misread)}.")
    others = [one for one in missing if not one.total]
    if others:
        sentences.append(f"Not in the dimension: {_listed([f'{one.code} {one.label}' for one in others])}.")
    if repeated:
        sentences.append(f"On several levels, so filter on niveau: {_listed(repeated)}.")
    return " ".join(sentences)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_CODES
    return "; ".join(name.strip() for name in names[:_NAMED_CODES]) + (f"; and {more} more" if more > 0 else "")
