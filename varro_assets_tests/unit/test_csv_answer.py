"""CSV answers: what is read of them, and what is refused."""

from __future__ import annotations

import pytest

from varro_assets.errors import (
    BrokenStream,
    DuplicateKeys,
    InvalidValue,
    UndeclaredCode,
    UnexpectedResponse,
    VarroError,
)
from varro_assets.statbank.proof import csv_answer

COLUMNS = [("KØN", ("M", "K")), ("TID", ("2024K1", "2024K2"))]
HEADER = "\ufeffKØN;TID;INDHOLD\r\n"


def read(*lines: str, header: str = HEADER, end: str = "\r\n") -> dict[tuple[str, ...], float | None]:
    return csv_answer.read((header + "\r\n".join(lines) + end).encode(), COLUMNS, "AB12")


def test_cells_by_code_with_decimal_comma_and_missing_values() -> None:
    assert read("M;2024K1;1234,5", "K;2024K1;..", "M;2024K2;-0,25", "K;2024K2;") == {
        ("M", "2024K1"): 1234.5,
        ("K", "2024K1"): None,
        ("M", "2024K2"): -0.25,
        ("K", "2024K2"): None,
    }


@pytest.mark.parametrize(
    ("lines", "options", "kind"),
    [
        (("M;2024K1;1", "K;2024K1;1"), {"end": ""}, BrokenStream),
        (("M;2024K1;1",), {"header": "KØN;TID;VALUE\r\n"}, UnexpectedResponse),
        (("M;2024K1;1",), {"header": "TID;KØN;INDHOLD\r\n"}, UnexpectedResponse),
        (("M;2024K1",), {}, UnexpectedResponse),
        (("M;2024K1;abc",), {}, InvalidValue),
        (("X;2024K1;1",), {}, UndeclaredCode),
        (("M;2025K1;1",), {}, UndeclaredCode),
        (("M;2024K1;1", "M;2024K1;1"), {}, DuplicateKeys),
    ],
    ids=["no end", "other header", "other order", "short line", "no number", "other code", "other period", "twice"],
)
def test_what_is_no_answer_is_refused(lines: tuple[str, ...], options: dict[str, str], kind: type[VarroError]) -> None:
    with pytest.raises(kind, match="AB12"):
        read(*lines, **options)


def test_other_bytes_are_refused() -> None:
    with pytest.raises(UnexpectedResponse, match="UTF-8"):
        csv_answer.read(b"K\xd8N;TID;INDHOLD\r\n", COLUMNS, "AB12")
