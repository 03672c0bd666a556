"""Table bodies: tableinfos and catalogue entries as the API would send them, made up to measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varro_assets.statbank.models import TableInfo

UPDATED = "2025-08-11T08:00:00"


def variable(name: str, codes: Sequence[str], *, time: bool = False, **fields: Any) -> dict[str, Any]:
    """One variable; labels are the codes in capitals with a mark."""
    values = [{"id": code, "text": f"{code} (label)"} for code in codes]
    return {"id": name, "text": name.lower(), "elimination": not time, "time": time, "values": values, **fields}


def body(
    table: str = "FOLK1A",
    dimensions: Mapping[str, Sequence[str]] | None = None,
    tids: Sequence[str] = ("2024K1", "2024K2"),
    **fields: Any,
) -> dict[str, Any]:
    """A whole tableinfo."""
    dimensions = {"OMRÅDE": ("000", "084"), "KØN": ("M", "K")} if dimensions is None else dimensions
    variables = [variable(name, codes) for name, codes in dimensions.items()]
    return {
        "id": table,
        "text": f"Title of {table}",
        "description": f"Title of {table} efter køn",
        "unit": "Antal",
        "suppressedDataValue": "0",
        "updated": UPDATED,
        "active": True,
        "contacts": [{"name": "Navn", "phone": "+4539173917", "mail": "navn@example.org"}],
        "documentation": {"id": "x", "url": "https://example.org/doc"},
        "footnote": {"text": "See\r\nthere &apos;", "mandatory": True},
        "variables": [*variables, variable("Tid", tids, time=True)],
        **fields,
    }


def info(
    table: str = "FOLK1A",
    dimensions: Mapping[str, Sequence[str]] | None = None,
    tids: Sequence[str] = ("2024K1", "2024K2"),
    **fields: Any,
) -> TableInfo:
    """The same, parsed."""
    return TableInfo.model_validate(body(table, dimensions, tids, **fields))


def entry(table: str, updated: str = UPDATED, **fields: Any) -> dict[str, Any]:
    """A line of the catalogue."""
    return {
        "id": table,
        "text": f"Title of {table}",
        "unit": "Antal",
        "updated": updated,
        "firstPeriod": "2024K1",
        "latestPeriod": "2024K2",
        "active": True,
        "variables": ["område", "tid"],
        **fields,
    }
