"""Likeness: how well a code and its label fit what somebody typed.

What belongs here: folding of Danish text and the order of what fits; pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from rapidfuzz import fuzz, process

LEAST = 75.0
"""Likeness, 0 to 100, from which on a label is shown that does not hold the text itself."""
NEAR = 5
"""Names offered in the place of an unknown one."""

_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "ð": "d", "þ": "th"})
_SPELLED_OUT = re.compile(r"aa+|oe+")
_BETWEEN = re.compile(r"[\W_]+")


def folded(text: str) -> str:
    """Text without case, accents and punctuation, å and aa as a, ø and oe as o, æ as ae.

    However Danish letters are written, the result is the same: ``Århus``, ``Aarhus``, ``Arhus``. An e behind ø goes
    with it, since nobody can tell it from one that spells the ø out.
    """
    plain = unicodedata.normalize("NFC", text).casefold().translate(_LETTERS)
    marks = "".join(mark for mark in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(mark))
    return _BETWEEN.sub(" ", _SPELLED_OUT.sub(lambda pair: pair[0][0], marks)).strip()


def ranked(text: str, values: Sequence[tuple[str, str]]) -> list[int]:
    """Positions of the values that fit, best first; equals stay in their order.

    Best is the very code; then the very label, a label that begins with the text, one with a word that does, codes that
    begin with it, labels that hold it, and last those that are alike by `LEAST` (slips of the pen).

    Args:
        text: what was typed.
        values: (code, label).
    """
    wanted = folded(text)
    labels = [folded(label) for _, label in values]
    scores = [fuzz.ratio(wanted, label) for label in labels]
    alike = {position: score for _, score, position in process.extract(
        wanted, labels, scorer=fuzz.WRatio, score_cutoff=LEAST, limit=None
    )} if wanted else {}  # fmt: skip
    order = []
    for position, (code, _) in enumerate(values):
        rank = _rank(text.strip(), wanted, code, labels[position])
        if rank is not None:
            order.append((rank, -scores[position], position))
        elif position in alike:
            order.append((_ALIKE, -alike[position], position))
    return [position for *_, position in sorted(order)]


def nearest(text: str, names: Sequence[str]) -> list[str]:
    """At most `NEAR` of the names, the likest first."""
    found = process.extract(text.lower(), names, scorer=fuzz.WRatio, limit=NEAR)
    return [name for name, *_ in found]


_ALIKE = 7


def _rank(text: str, wanted: str, code: str, label: str) -> int | None:
    lower = text.lower()
    fits = (
        code == text,
        code.lower() == lower,
        bool(wanted) and label == wanted,
        bool(wanted) and label.startswith(wanted),
        bool(wanted) and f" {wanted}" in label,
        bool(text) and code.lower().startswith(lower),
        bool(wanted) and wanted in label,
    )
    return fits.index(True) if True in fits else None
