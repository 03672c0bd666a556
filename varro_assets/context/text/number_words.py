"""Number words: what the words of a title, unit or label say of the number.

What belongs here: telling shares and means, chained values, figures of a moment and units, by the words Statistics
Denmark uses for them. Danish texts as published.
"""

from __future__ import annotations

import re

MIXED_UNIT = {"", "-"}
"""What the publisher prints as unit where a table mixes several."""


def is_rate(words: str) -> bool:
    """The words of a title, unit or selector are those of a share, mean, index or ratio, which is never summed."""
    return bool(_RATE.search(words))


def is_rate_label(label: str) -> bool:
    """A label among categories is such a number: ``Gennemsnit pr. kamp``; not the class ``Under 10 pct.``.

    Stricter than `is_rate`, since the housing ``Andel`` and the bond ``Indeksobligation`` are categories.
    """
    return bool(_RATE_LABEL.match(label))


def is_chained(label: str) -> bool:
    """Chained values, whose parts do not add up to the whole: ``2020-priser, kædede værdier``."""
    return "kædede" in label.casefold()


def is_stock(words: str) -> bool:
    """Figures of a moment, such as ``ultimo november`` or ``den 1. i kvartalet``; a sum over periods means nothing."""
    return bool(_STOCK.search(words))


def bracketed(label: str) -> str | None:
    """What stands in the last brackets of a label, where it ends in them: ``mio. kr.``."""
    match = _IN_BRACKETS.fullmatch(label)
    return match[1] if match else None


# by the units and titles of /tables, in Danish
_RATE = re.compile(
    r"pct|procent|promille|indeks|index|gennemsnit|gns|\bper\b|kvotient|frekvens|hyppighed|median|kvartil|percentil"
    # not handel, andelsbolig; not "pr. 1. januar"
    r"|(?<!h)andel(?!s)|\bpr\.(?! ?\d+\. [a-zæøå])|rater?\b|koefficient|tæthed|\bmiddel|‰|%",
    re.IGNORECASE,
)
_RATE_LABEL = re.compile(
    r"gennemsnit|gns\.|(?:andel (?:af|i|med|der)|median|procentdel|promille|indeks)\b"
    r"|.*\bpr\. \w+$|.*\((?:i )?pct\.?\)$",
    re.IGNORECASE,
)
_STOCK = re.compile(
    r"\b(?:ultimo|primo|bestand(?:en)?|beholdning(?:er)?)\b"
    r"|\bpr\. ?\d+\. [a-zæøå]|\b1\. (?:januar|i kvartalet|i måneden)\b",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r".*\(([^()]*[^() ][^()]*)\)")
