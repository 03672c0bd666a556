"""CSV answer: the format that does not stream, as cells.

What belongs here: one answer of the publisher's CSV format (statbank-api 5.2) into cells by their codes, and the
refusal of what is none. A sync never reads this format: that is what makes it a second opinion.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import islice

from varro_assets.errors import BrokenStream, DuplicateKeys, InvalidValue, UndeclaredCode, UnexpectedResponse
from varro_assets.statbank.models import TIME_COLUMN, VALUE_COLUMN

MISSING = frozenset({"..", ""})
"""How a stored value that is missing or confidential is printed; empty before December 2017."""
_WHAT = "read the answer about"
_TODO = "Nothing was changed. Try again; if it lasts, report it."


def read(content: bytes, columns: Sequence[tuple[str, Sequence[str]]], on: str) -> dict[tuple[str, ...], float | None]:
    """The cells of an answer.

    Args:
        content: UTF-8 with a byte order mark, lines that end in a line feed, ``;`` between fields, decimal comma.
        columns: variable and the codes that were asked for, in the table's order, the period's (``TID``) last.
        on: what it is an answer about, for messages.

    Returns:
        Codes and period -> value; None = missing.

    Raises:
        BrokenStream: the last line has no end.
        UnexpectedResponse: not CSV with these columns.
        InvalidValue, UndeclaredCode, DuplicateKeys: a value that is none, a code not asked for, a cell given twice.
    """
    text = _decoded(content, on)
    if not text.endswith("\n"):
        raise BrokenStream(_WHAT, on=on, got="its last line has no end", todo=_TODO)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=";")
    header, wanted = next(lines), [*(name.upper() for name, _ in columns), VALUE_COLUMN]
    if [name.upper() for name in header] != wanted:
        got = f"columns {', '.join(islice(header, 8))} where {', '.join(wanted)} were due"
        raise UnexpectedResponse(_WHAT, on=on, got=got, todo=_TODO)
    asked = [frozenset(codes) for _, codes in columns]
    found: dict[tuple[str, ...], float | None] = {}
    for number, line in enumerate(lines, 2):
        if len(line) != len(wanted):
            raise UnexpectedResponse(_WHAT, on=on, got=f"{len(line)} fields in line {number}", todo=_TODO)
        cell = tuple(line[:-1])
        if any(code not in codes for code, codes in zip(cell, asked, strict=True)):
            raise UndeclaredCode(_WHAT, on=on, got=f"{' '.join(cell)} in line {number} was not asked for", todo=_TODO)
        if cell in found:
            raise DuplicateKeys(_WHAT, on=on, got=f"{' '.join(cell)} stands there twice", todo=_TODO)
        found[cell] = _value(line[-1], on, number)
    return found


def value(text: str) -> float | None:
    """A printed number, decimal comma; None for the marks of a missing one.

    Raises:
        ValueError: it is neither.
    """
    return None if text in MISSING else float(text.replace(",", ".", 1))


def _value(text: str, on: str, number: int) -> float | None:
    try:
        return value(text)
    except ValueError:
        raise InvalidValue(_WHAT, on=on, got=f"{text[:40]!r} as a value in line {number}", todo=_TODO) from None


def _decoded(content: bytes, on: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnexpectedResponse(_WHAT, on=on, got=f"byte {error.start} is not UTF-8", todo=_TODO) from None


def columns(codes: Sequence[tuple[str, Sequence[str]]], periods: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """The columns that an answer about these codes and periods has."""
    return [*codes, (TIME_COLUMN, periods)]
