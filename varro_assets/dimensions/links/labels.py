"""Label: a text of the publisher's, made comparable.

What belongs here: folding, the words of a label, and how alike two labels are. What a label means is decided by
`column_kinds` and `totals`; what it proves, by `linking`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rapidfuzz import fuzz

_DANISH = str.maketrans({"å": "a", "ø": "o", "æ": "ae", "ö": "o", "ä": "ae", "ü": "u"})
_MARKS = re.compile(r"[^0-9a-z]+")
# what StatBank puts before a name that the classification gives bare, or the other way round
_KIND_OF_PLACE = re.compile(r"^(?:region|landsdel|province|kommune|by|amt)\s+|\s+(?:kommune|amt|politikreds)$")
# a label may open with its own code: "C Industri", "H10 Grundskole", "10-12 Føde-, drikke- og tobaksvareindustri"
_OWN_CODE = re.compile(r"^(?:[a-z]{1,2}(?=\s\w{3})|[a-z]{0,2}[0-9]+(?: [0-9]+)*)\s+(?=[a-z]{3})")
_NUMBERS = re.compile(r"\d+")


@lru_cache(maxsize=200_000)
def folded(text: str) -> str:
    """Lower case, Danish letters as in the column names (and ``aa`` as ``a``), anything but letters and digits a blank.

    ``Århus`` and ``Aarhus`` are both ``arhus``.
    """
    plain = unicodedata.normalize("NFC", text).casefold().translate(_DANISH)
    plain = "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))
    return _MARKS.sub(" ", plain).strip().replace("aa", "a")


@lru_cache(maxsize=200_000)
def core(text: str) -> str:
    """`folded`, less a code it opens with and the kind of place around a name: ``Landsdel Fyn`` → ``fyn``."""
    plain = folded(text)
    bare = _OWN_CODE.sub("", plain)
    return _KIND_OF_PLACE.sub("", bare).strip() or bare or plain


def stems(text: str) -> frozenset[str]:
    """Words of a name that say something, less their endings: ``region``, ``landsdel`` of "Regioner og landsdele"."""
    found = {_ENDING.sub("", word) for word in folded(text).split() if len(word) >= _SHORTEST_WORD}
    return frozenset(found - _SAYS_NOTHING)


@lru_cache(maxsize=400_000)
def alike(one: str, other: str) -> float:
    """How alike two labels are, 0 to 1; the order of words and a longer wording on one side cost little.

    A label that stands whole in the other counts as 0.9: ``Industri`` and ``Industri, råstofudvinding``. Two that name
    different numbers are never the same: ``1-9 ansatte`` and ``10-49 ansatte``, at most 0.5.
    """
    a, b = core(one), core(other)
    # as one number each: a code is written 01.21 here and 0121 there
    numbers = ["".join(_NUMBERS.findall(folded(text))).lstrip("0") for text in (one, other)]
    if all(numbers) and numbers[0] != numbers[1]:
        return min(0.5, fuzz.ratio(a, b) / 100)
    if not a or not b:
        return 0.0
    if a == b:
        return 1.0
    ratio = max(fuzz.ratio(a, b), fuzz.token_sort_ratio(a, b)) / 100
    contained = min(len(a), len(b)) >= _SHORTEST_PART and fuzz.token_set_ratio(a, b) == 100.0
    return max(ratio, 0.9 if contained else 0.0)


_SHORTEST_PART = 4
"""Letters a label needs to count when it is part of another: ``by`` is part of too many."""
_SHORTEST_WORD = 3
_ENDING = re.compile(r"(?<=[a-z]{4})(?:erne|ers|er|ne|en|et|es|e|r|s)$")
# stems that stand in the names of unrelated classifications and variables
_SAYS_NOTHING = frozenset(
    (
        *("art", "dansk", "danmark", "danmarks", "denmark", "dst", "efter", "for", "fra", "hoved", "med", "og", "til"),
        *("detalj", "grupp", "gruppe", "hovedgrupp", "inddeling", "indd", "kategori", "klassifikation", "kod", "kode"),
        *("niveau", "nomenklatur", "standard", "statistik", "status", "stat", "typ", "type", "version"),
    )
)
