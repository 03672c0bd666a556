"""The grammar in which /data is told which values of a variable are wanted.

What belongs here: from the strings of a request and the codes of a variable to the codes selected. Pure; what an error
looks like on the wire is ``problems``.

Forms: an exact code, ``*`` as a wildcard, ``>=a<=b`` ranges with either end, nth-child rules for time counted from the
newest (``(1)``, ``(-n+3)``) or, with a minus before the parenthesis, from the oldest; lists with commas. Case is
ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_RANGE = re.compile(r"(?:(>=?)\s*([^<>=]+?))?\s*(?:(<=?)\s*([^<>=]+?))?", re.DOTALL)
_NTH = re.compile(r"(?:first|last)?\s*(-?)\s*(?:first|last)?\s*\((.*)\)", re.IGNORECASE)
_RULE = re.compile(r"([+-]?\d*)n\s*(?:([+-])\s*(\d+))?|([+-]?\d+)", re.IGNORECASE)
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")


class UnknownValue(ValueError):
    """A string that selects nothing; its text is the string."""


def select(wanted: Sequence[str], codes: Sequence[str], time: bool) -> list[str]:
    """The codes that a request's strings select, each once, in the order of ``codes``.

    Args:
        wanted: strings of the request.
        codes: all codes of the variable; for time ascending.
        time: whether nth-child rules are allowed.

    Raises:
        UnknownValue: a string that matches no code.
    """
    by_fold = {code.casefold(): code for code in codes}
    chosen: set[str] = set()
    for text in wanted:
        whole = text.strip()
        # a code may itself look like a rule or a list (``100-``, ``AUG - DEC 2019``), so the exact match goes first
        parts = [whole] if whole.casefold() in by_fold else _COMMA_OUTSIDE_PARENTHESES.split(whole)
        for part in filter(None, (part.strip() for part in parts)):
            chosen.update(_matches(part, codes, by_fold, time))
    return [code for code in codes if code in chosen]


def is_everything(wanted: Sequence[str]) -> bool:
    """Whether a bare ``*`` is among the strings, which takes the whole cube."""
    return any(part.strip() == "*" for text in wanted for part in text.split(","))


def _matches(part: str, codes: Sequence[str], by_fold: dict[str, str], time: bool) -> list[str]:
    fold = part.casefold()
    if fold in by_fold:
        return [by_fold[fold]]
    if part[0] in "<>":
        found = _in_range(fold, codes)
    elif "*" in part:
        pattern = re.compile(".*".join(re.escape(piece) for piece in fold.split("*")), re.DOTALL)
        found = [code for code in codes if pattern.fullmatch(code.casefold())]
    elif time and (rule := _NTH.fullmatch(part)):
        from_oldest, takes = bool(rule[1]), _nth(rule[2].strip(), part)
        counted = codes if from_oldest else codes[::-1]
        found = [code for place, code in enumerate(counted, start=1) if takes(place)]
    else:
        raise UnknownValue(part)
    if not found:
        raise UnknownValue(part)
    return found


def _in_range(fold: str, codes: Sequence[str]) -> list[str]:
    bounds = _RANGE.fullmatch(fold)
    if bounds is None:
        raise UnknownValue(fold)
    above, low, below, high = bounds.groups()

    def inside(code: str) -> bool:
        after_low = above is None or code > low or (above == ">=" and code == low)
        before_high = below is None or code < high or (below == "<=" and code == high)
        return after_low and before_high

    return [code for code in codes if inside(code.casefold())]


def _nth(rule: str, part: str) -> Callable[[int], bool]:
    """A rule ``an+b`` as a test of places counted from 1: place = a*n + b for some n >= 0."""
    found = _RULE.fullmatch(rule)
    if found is None:
        raise UnknownValue(part)
    if found[4] is not None:
        only = int(found[4])
        return lambda place: place == only
    step = int(found[1] + "1") if found[1] in {"", "+", "-"} else int(found[1])
    offset = int(f"{found[2]}{found[3]}") if found[3] else 0

    def takes(place: int) -> bool:
        distance = place - offset
        return distance == 0 if step == 0 else distance % step == 0 and distance // step >= 0

    return takes
