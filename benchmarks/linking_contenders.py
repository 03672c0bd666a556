"""Ways to tell which dimension a column joins, and how often each is right on the labelled set.

What belongs here: reading the set (linking_data), the ways, and the counts. What the stage prints and judges is
`linking_quality`, which runs this module as a process of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from varro_assets.dimensions.links.linking import Linker
from varro_assets.dimensions.models import Code, Dimension, FactColumn, Member
from varro_assets.statbank.facts import column_name

DATA = Path(__file__).parent / "linking_data"
OVERLAP = 0.8
"""Share of the codes as they are that is enough for the naive way."""
HELD_OUT = 3
"""Tenths of the pairs that nobody looks at while rules are made."""


@dataclass(frozen=True)
class Pair:
    """One labelled column.

    Attributes:
        dimension: what it joins; None if nothing.
        accepted: names that count as right: more than one where two dimensions have the very codes.
        labels: ``published``, or ``classification`` where the source names only the levels that stand in the column,
            so that the labels are those of the classification, which makes the pair easier.
    """

    column: FactColumn
    dimension: str | None
    accepted: frozenset[str]
    split: str
    labels: str
    source: str


@dataclass(frozen=True)
class Answer:
    """What one way says of one column."""

    dimension: str | None
    match_type: str = ""
    score: float | None = None
    best: str = ""


Way = Callable[[FactColumn], Answer]


def split_of(table: str, variable: str) -> str:
    """``develop`` or ``held-out``, by a hash, so that nobody chose."""
    digest = hashlib.sha256(f"{table}.{variable}".encode()).hexdigest()
    return "held-out" if int(digest, 16) % 10 < HELD_OUT else "develop"


def dimensions() -> list[Dimension]:
    """The classifications of the set, by name."""
    return [_dimension(json.loads(path.read_text("utf-8"))) for path in sorted((DATA / "dimensions").glob("*.json"))]


def _dimension(entry: dict[str, Any]) -> Dimension:
    # not `hierarchy`: a list of which only a part is known may lack the level between, which that module refuses
    above: list[tuple[str, int]] = []
    members = []
    for kode, niveau, titel in entry["members"]:
        above = [(code, level) for code, level in above if level < niveau]
        parent = above[-1] if above else (None, None)
        members.append(Member(kode, niveau, titel, *parent))
        above.append((kode, niveau))
    names = {int(level): name for level, name in entry["level_names"].items()}
    return Dimension(entry["name"], entry["title"], tuple(members), entry["source"], level_names=names)


def pairs() -> list[Pair]:
    """The labelled columns, in the order of the file."""
    return [_pair(entry) for entry in json.loads((DATA / "pairs.json").read_text("utf-8"))]


def _pair(entry: dict[str, Any]) -> Pair:
    column = FactColumn(
        table=entry["table"],
        variable=entry["variable"],
        name=column_name(entry["variable"]),
        label=entry["label"],
        codes=tuple(Code(*code) for code in entry["codes"]),
        map=entry.get("map"),
        eliminable=entry.get("eliminable", False),
    )
    wanted = entry["dimension"]
    accepted = frozenset([wanted, *entry.get("also", ())] if wanted else ())
    return Pair(column, wanted, accepted, entry["split"], entry["labels"], entry["source"])


def ours(known: Sequence[Dimension]) -> Way:
    """`linking.Linker`."""
    linker = Linker()

    def way(column: FactColumn) -> Answer:
        link = linker.propose(column, known)
        best = next(iter(linker.candidates(column, known)), None)
        said = f"{best.dimension} {best.score:.2f}, {best.coverage:.0%} of the codes" if best else ""
        if link is None:
            return Answer(None, score=best.score if best else None, best=said)
        return Answer(link.dimension, link.match_type.value, link.score, said)

    return way


def naive(known: Sequence[Dimension]) -> Way:
    """The dimension that has most of the codes as they are, if it has enough; no label is read."""
    codes = {dimension.name: frozenset(dimension.by_code) for dimension in known}

    def way(column: FactColumn) -> Answer:
        ids = {code.id for code in column.codes}
        shares = {name: len(ids & has) / len(ids) for name, has in codes.items()}
        best = min(shares, key=lambda name: (-shares[name], name))
        said = f"{best} {shares[best]:.0%} of the codes"
        return Answer(best if shares[best] >= OVERLAP else None, score=shares[best], best=said)

    return way


WAYS: dict[str, Callable[[Sequence[Dimension]], Way]] = {"ours": ours, "naive": naive}


def counts(judged: Iterable[tuple[Pair, Answer]]) -> dict[str, float]:
    """Pairs, linked pairs, proposed links and right ones; precision and recall, 1 where nothing could be wrong.

    A link to another dimension than the right one is a wrong link and a missed one.
    """
    judged = list(judged)
    linked = sum(pair.dimension is not None for pair, _ in judged)
    proposed = sum(answer.dimension is not None for _, answer in judged)
    right = sum(answer.dimension in pair.accepted for pair, answer in judged)
    precision = right / proposed if proposed else 1.0
    recall = right / linked if linked else 1.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    figures = {"pairs": len(judged), "linked": linked, "proposed": proposed, "right": right}
    return {**figures, "precision": precision, "recall": recall, "f1": f1}


def measure(name: str) -> dict[str, Any]:
    """One way over the whole set.

    Returns:
        ``parts``: part of the set -> `counts`; ``match_types``: how many of each; ``wrong``: the pairs it has wrong.
    """
    way = WAYS[name](dimensions())
    judged = [(pair, way(pair.column)) for pair in pairs()]
    parts = {
        "all": judged,
        "develop": [one for one in judged if one[0].split == "develop"],
        "held-out": [one for one in judged if one[0].split == "held-out"],
        "published labels": [one for one in judged if one[0].labels == "published"],
    }
    wrong = [
        {"column": f"{pair.column.table}.{pair.column.variable}", "wanted": pair.dimension, "split": pair.split}
        | asdict(answer)
        for pair, answer in judged
        if answer.dimension not in (pair.accepted or {None})
    ]
    match_types = Counter(answer.match_type for _, answer in judged if answer.match_type)
    return {
        "parts": {part: counts(ones) for part, ones in parts.items()},
        "match_types": dict(sorted(match_types.items())),
        "wrong": wrong,
    }


if __name__ == "__main__":
    print(json.dumps({name: measure(name) for name in WAYS}))
