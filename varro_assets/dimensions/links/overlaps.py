"""Overlap: codes of a column that hold part of each other, so that adding all of them up counts twice.

What belongs here: recognising them by labels and codes alone. It is evidence, not proof: the publisher does not say
which code is part of which, so a document says "reads as". Totals of the whole column are `totals`; a column that joins
a dimension has levels instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from varro_assets.dimensions.links.labels import folded
from varro_assets.dimensions.links.totals import speaks_of_total, totals
from varro_assets.dimensions.models import Code, FactColumn

FEWEST_PARTS = 2
"""Codes that must begin with a code before it counts as theirs: one may be chance."""


@dataclass(frozen=True)
class Overlap:
    """A code that holds others.

    Attributes:
        code: the wider one.
        parts: codes inside it, in the publisher's order; empty where its label alone says that it is a sum.
    """

    code: str
    parts: tuple[str, ...]


def overlaps(column: FactColumn) -> tuple[Overlap, ...]:
    """The wider codes of the column, in the publisher's order; totals are none and hold none.

    A code holds another where one of these rules finds it:

    1. Spans of years: ``16-64 år`` and ``20-24 år``.
    2. Labels behind dashes or ``heraf`` are part of the nearest label above with fewer: ``Udlån``, ``- heraf DKK``.
    3. A label goes on where another ends: ``Indvandrere`` and ``Indvandrere fra vestlige lande``.
    4. Letters before letters or digits, `FEWEST_PARTS` times: ``C`` and ``CA``, ``CB``.
    5. Figures that end in at least two zeros, among figures of one length of five or more: ``010000`` and ``011100``.
    6. Codes that begin alike, `FEWEST_PARTS` times, where the shorter one's label speaks of a total (``1`` Straffelov i
       alt) or both labels open with their code (``11 Ubetinget frihedsstraf`` and ``111 Ubetinget dom alene``).

    Labels that call themselves a total, a balance or a formula otherwise (``Nettoledige i alt``, ``Fødselsoverskud``,
    ``Erhvervsindkomst (4+5+6)``) are there without parts.
    """
    left_out = set(totals(column))
    codes = [code for code in column.codes if code.id not in left_out]
    parts: dict[str, dict[str, None]] = {}
    for rule in (_spans, _indented, _continued, _lettered, _rounded, _opened):
        for wider, part in rule(codes):
            parts.setdefault(wider, {})[part] = None
    order = {code.id: place for place, code in enumerate(codes)}
    return tuple(
        Overlap(code.id, tuple(sorted(parts.get(code.id, ()), key=order.__getitem__)))
        for code in codes
        if code.id in parts or speaks_of_total(code.text) or _COMPUTED.search(code.text)
    )


def _spans(codes: list[Code]) -> Iterator[tuple[str, str]]:
    known = [(code.id, span) for code in codes if (span := _span(code.text)) is not None]
    for wider, (first, last) in known:
        if first == last:
            continue
        for part, (begins, ends) in known:
            if part != wider and first <= begins and ends <= last and (begins, ends) != (first, last):
                yield wider, part


def _span(label: str) -> tuple[int, int] | None:
    """First and last year of age: ``16-64 år`` is 16 to 64, ``80 år og derover`` has no end."""
    match = _YEARS.match(folded(label))
    if match is None:
        return None
    if match["under"]:
        return 0, int(match["under"]) - 1
    first = int(match["first"])
    return first, _OPEN if match["open"] else int(match["last"] or first)


def _indented(codes: list[Code]) -> Iterator[tuple[str, str]]:
    above: list[tuple[int, str]] = []
    for code in codes:
        dashes = _DASHES.match(code.text)
        depth = dashes[0].count("-") + dashes[0].count("–") if dashes else 0
        depth += depth == 0 and _OF_WHICH.match(folded(code.text)) is not None
        while above and above[-1][0] >= depth:
            above.pop()
        for _, wider in above if depth else ():
            yield wider, code.id
        above.append((depth, code.id))


def _continued(codes: list[Code]) -> Iterator[tuple[str, str]]:
    by_label: dict[str, str] = {}
    for code in codes:
        by_label.setdefault(folded(code.text), code.id)
    for code in codes:
        words = folded(code.text).split()
        for length in range(1, len(words)):
            wider = by_label.get(" ".join(words[:length]))
            if wider is not None and wider != code.id and words[length] in _GOES_ON:
                yield wider, code.id


def _lettered(codes: list[Code]) -> Iterator[tuple[str, str]]:
    for code in codes:
        if not code.id.isalpha() or not code.id.isupper():
            continue
        parts = [other.id for other in codes if other.id.startswith(code.id) and other is not code]
        if len(parts) >= FEWEST_PARTS:
            yield from ((code.id, part) for part in parts)


def _rounded(codes: list[Code]) -> Iterator[tuple[str, str]]:
    figures = [code.id for code in codes if _FIGURES.fullmatch(code.id)]
    if len(figures) != len(codes) or len({len(figure) for figure in figures}) != 1:
        return
    found = [
        (wider, part)
        for wider in figures
        if (stem := wider.rstrip("0")) and len(wider) - len(stem) >= _ZEROS
        # 010000 stands for 01: figures go in pairs or singly, so a stem of its own length would be chance
        for part in figures
        if part != wider and part.startswith(stem.ljust(2, "0"))
    ]
    if len({wider for wider, _ in found}) >= FEWEST_PARTS:
        yield from found


def _opened(codes: list[Code]) -> Iterator[tuple[str, str]]:
    if _counted({code.id for code in codes}):
        return
    # "10 år" opens with its code, too, and means another thing
    numbered = [code.id for code in codes if re.match(rf"{re.escape(code.id)} [^\W\d_a-zæøå]", code.text)]
    for code in codes:
        if code.id in numbered:
            among = numbered
        elif speaks_of_total(code.text):
            among = [other.id for other in codes]
        else:
            continue
        parts = [other for other in among if other.startswith(code.id) and other != code.id]
        if len(parts) >= FEWEST_PARTS:
            yield from ((code.id, part) for part in parts)


def _counted(ids: set[str]) -> bool:
    """The codes are counted on from 9 to 10 or 99 to 100: there ``1`` and ``10`` have nothing to do with each other."""
    return any({"9" * length, "1" + "0" * length} <= ids for length in (1, 2, 3))


_OPEN = 999
_ZEROS = 2
# of folded labels
_YEARS = re.compile(
    r"under (?P<under>\d+) ar\b|"
    r"(?P<first>\d+)(?: (?P<last>\d+))? ar\b(?P<open> (?:og|eller) (?:derover|over|aeldre))?"
)
_OF_WHICH = re.compile(r"(?:heraf|hvoraf|deraf)\b")
_GOES_ON = frozenset(("fra", "med", "uden", "til", "under", "over", "ekskl", "eksklusive", "heraf", "hvoraf", "deraf"))
# of labels as published
_DASHES = re.compile(r"[-–](?:\s*[-–])*(?=\s|[^\W\d])")
_COMPUTED = re.compile(
    r"\((?:\d+[+-])+\d+\)|fødselsoverskud|netto(?:ind|ud|til|fra|vandring|eksport|import)|tilvækst|\bsaldo\b|^balance\b",
    re.IGNORECASE,
)
_FIGURES = re.compile(r"[0-9]{5,}", re.ASCII)
