"""Code column: from what pandas made of a column of codes back to the publisher's codes.

What belongs here: one column's values, and which declared code each of them was. The predecessor let pandas guess the
types: `01` became 1, `01` beside an empty cell 1.0, the code `NA` an empty cell. What was lost is restored from the
declared codes where only one of them can have been meant, and refused otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from varro_assets.engine import periods
from varro_assets.errors import InvalidPeriod, UndeclaredCode
from varro_assets.statbank.models import Variable

READ_AS_MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
     "NULL", "NaN", "None", "n/a", "nan", "null"}
)  # fmt: skip
"""What pandas takes for an empty cell unless told otherwise; codes among them came out empty."""
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_SHOWN = 5

Codes = Mapping[Any, str]
"""Value as pandas left it -> code."""


class CodeColumn:
    """One column's way back.

    Args:
        name: of the column, for messages.
        variable: what is declared for it. Of a time variable any period code may come, declared or not.
    """

    def __init__(self, name: str, variable: Variable) -> None:
        self.name, self._is_time = name, variable.time
        self._declared = frozenset(variable.codes)
        self._labels = {value.text.casefold(): value.id for value in variable.values}
        self._by_number: dict[Decimal, list[str]] = {}
        for code in variable.codes:
            if (number := _number(code)) is not None:
                self._by_number.setdefault(number, []).append(code)
        self._missing = sorted(self._declared & READ_AS_MISSING)

    def codes(self, values: Iterable[Any]) -> dict[Any, str]:
        """The code of each distinct value.

        Raises:
            UndeclaredCode: a value that no declared code, or more than one, can have become.
            InvalidPeriod: a period that cannot be one.
        """
        found: dict[Any, str] = {}
        problems: list[str] = []
        for value in values:
            code, candidates = self._code(value)
            if code is None:
                meant = f"may be {' or '.join(map(repr, candidates))}" if candidates else "is no declared code"
                problems.append(f"{_shown(value)} {meant}")
            else:
                found[value] = code
        if problems:
            more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise self._refused("; ".join(problems[:_SHOWN]) + more)
        if found and not self._is_time and self._declared.isdisjoint(found.values()):
            raise self._refused(f"none of its values is a declared code ({_some(found.values())})")
        return found

    def withdrawn(self, codes: Iterable[str]) -> list[str]:
        """Those of the codes that the publisher does not declare (any more)."""
        return sorted(set(codes) - self._declared)

    def _code(self, value: Any) -> tuple[str | None, list[str]]:
        """The code that became this value, else the candidates."""
        if _is_empty(value):
            return _only(self._missing)
        if isinstance(value, bool):
            return _only([code for code in self._declared if code.casefold() == str(value).casefold()])
        text = value if isinstance(value, str) else ""
        if text in self._declared:
            return text, []
        number = _number(text) if text else _exact(value)
        if number is not None:
            if candidates := self._by_number.get(number, []):
                return _only(candidates)
            return (_year(number), []) if self._is_time else (None, [])
        if not text:
            return None, []
        if self._is_time:
            return periods.parse(text).code, []
        if label := self._labels.get(text.casefold()):
            return None, [label]
        # a text lost nothing on its way: the publisher had this code then
        return text, []

    def _refused(self, got: str) -> UndeclaredCode:
        todo = "Nothing of this file was stored. A sync fetches what is still published."
        return UndeclaredCode("restore the codes of column", on=self.name, got=got, todo=todo)


def _only(candidates: list[str]) -> tuple[str | None, list[str]]:
    return (candidates[0], []) if len(candidates) == 1 else (None, sorted(candidates))


def _number(text: str) -> Decimal | None:
    return Decimal(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None


def _exact(value: Any) -> Decimal | None:
    """The number as it was printed; None for what is none (a date, an infinity)."""
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, float) and value not in {float("inf"), float("-inf")}:
        return Decimal(repr(value))
    return None


def _year(number: Decimal) -> str:
    """The code of a period that is no longer declared and became a number: only a year can."""
    if number != number.to_integral_value():
        raise InvalidPeriod("read the period", on=str(number), got="a number, and no year", todo="Look at the file.")
    return periods.parse(f"{int(number):04d}").code


def _is_empty(value: Any) -> bool:
    # NaN alone differs from itself
    return value is None or value == "" or bool(value != value)


def _shown(value: Any) -> str:
    return "an empty cell" if _is_empty(value) else repr(value)[:40]


def _some(codes: Iterable[str]) -> str:
    shown = sorted(set(codes))
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")
